"""The tables of a dataset, wherever it lies: their shards, columns and row groups."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.block import Block
from titin.dataset.opened_files import RESTORE, OpenedFiles
from titin.dataset.pages import Lists, UnsupportedPageError
from titin.dataset.row_group import PageReader, RowGroup, find_columns, some_rows
from titin.errors import DatasetError
from titin.shelf import let_go_of_pages

_RANGES_HELD = 16  # of what is mapped, before it is let go of
RANGE = 2**16  # rows that are read at a time, where a whole column would be the largest thing in memory


def slices(n_rows: int) -> Iterator[slice]:
    """Rows in ranges of `RANGE`, in which arrays of all rows are worked on without another of that size in memory."""
    for number, first in enumerate(range(0, n_rows, RANGE), 1):
        yield slice(first, min(first + RANGE, n_rows))
        if not number % _RANGES_HELD:
            let_go_of_pages()


class Store(OpenedFiles):
    """The one place that knows where a dataset lies; whatever is read of it is read through here.

    Takes and raises what `OpenedFiles` does.
    """

    def _start(self) -> None:
        super()._start()
        self._groups: dict[str, tuple[RowGroup, ...]] = {}
        self._dtypes: dict[str, dict[str, np.dtype]] = {}
        self._pages = PageReader()

    @property
    def whole(self) -> "Store":
        """All of the dataset, where this shows some of its genes; itself otherwise."""
        return self

    def let_go(self) -> None:
        """Forget footers, and what was read from them."""
        super().let_go()
        self._groups.clear()

    def seen(self, block: Block) -> Block:
        """The values of the genes that this shows, of a block of all."""
        return block

    def part(self, place: str) -> "Store":
        """The dataset as if a further matrix of its cells were the matrix.

        Parameters
        ----------
        place
            One of `titin.dataset.manifest.Manifest.parts`.
        """
        store = object.__new__(Store)
        store.__setstate__(self.__getstate__() | {"manifest": self.manifest.part(place)})
        return store

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read a table, or some columns of it, all shards.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or replaced, lacks a column, or has not the rows of the dataset.
        """
        parts = []
        for shard in self.manifest.shards(name):
            self._place.keep(shard)
        for shard in self.shards(name):
            try:
                parts.append(self.parquet(shard).read(columns))
            except (OSError, ValueError, pa.ArrowException) as error:
                self.check(shard)
                raise self.damaged(shard, error) from error
            self.check(shard)
            self._check_columns(shard, columns or [], parts[-1].column_names)
        table = pa.concat_tables(parts)
        self._check_rows(name, table.num_rows)
        return table

    def shards(self, name: str) -> list[str]:
        """Names of the files of a table, in order, which must have the same columns, each of another name.

        Raises
        ------
        DatasetError
            If there is none, or if one is missing, damaged or replaced, or has other columns than the first.
        """
        shards = self.manifest.shards(name)
        first = self.arrow_schema(shards[0])
        twice = [column for column, n in Counter(first.names).items() if n > 1]
        if twice:
            raise self.damaged(shards[0], ValueError(f"it has {first.names.count(twice[0])} columns {twice[0]}"))
        for shard in shards[1:]:
            if not self.arrow_schema(shard).equals(first):
                raise self.damaged(shard, ValueError(f"its columns are not those of {shards[0]}"))
        return shards

    def _check_columns(self, shard: str, wanted: Collection[str], there: Collection[str]) -> None:
        missing = sorted(set(wanted) - set(there))
        if missing:
            raise self.damaged(shard, ValueError(f"it has no column {', '.join(missing)}"))

    def _check_rows(self, name: str, n_rows: int) -> None:
        wanted = self.manifest.rows_of(name)
        if wanted is not None and n_rows != wanted:
            raise DatasetError(
                f"{self.path(name)} has {n_rows:,} rows, where {layout.MANIFEST} says {wanted:,}", RESTORE
            )

    def column(self, name: str, column: str) -> pa.ChunkedArray:
        """Read one column of a table, all shards."""
        return self.table(name, [column]).column(0)

    def ranges(self, name: str, columns: list[str], n_rows: int = RANGE) -> Iterator[pa.Table]:
        """Read some columns of a table a range of rows at a time, all shards; raises as `table`.

        Yields
        ------
        pyarrow.Table
            ``n_rows`` rows, but for the last.
        """
        total = self.n_rows(name)
        read, waiting, n_waiting = 0, list[pa.Table](), 0
        for shard in self.shards(name):
            for part in self._parts(shard, columns, n_rows):
                read, n_waiting = read + part.num_rows, n_waiting + part.num_rows
                waiting.append(part)
                if n_waiting >= n_rows:
                    whole = pa.concat_tables(waiting)
                    full = n_waiting - n_waiting % n_rows
                    for first in range(0, full, n_rows):
                        yield whole.slice(first, n_rows)
                    waiting, n_waiting = [whole.slice(full)], n_waiting - full
        if n_waiting:
            yield pa.concat_tables(waiting)
        if read != total:
            self._check_rows(name, read)

    def _parts(self, shard: str, columns: list[str], n_rows: int) -> Iterator[pa.Table]:
        """Some columns of one file, some rows at a time."""
        try:
            with self.parquet(shard) as file:
                self._check_columns(shard, columns, file.schema_arrow.names)
                for batch in file.iter_batches(n_rows, columns=columns, use_threads=False):
                    yield pa.Table.from_batches([batch]).select(columns)
        except (OSError, ValueError, pa.ArrowException) as error:
            self.check(shard)
            raise self.damaged(shard, error) from error
        self.check(shard)

    def n_rows(self, name: str) -> int:
        """How many rows a table has, all shards, which must be those that the manifest says; raises as `table`."""
        return sum(group.n_rows for group in self.row_groups(name))

    def numbers(
        self, name: str, column: str, dtype: pa.DataType, read: pa.ChunkedArray | None = None, *,
        least: float = -np.inf, most: float = np.inf,
    ) -> NDArray[Any]:  # fmt: skip
        """Read one of the format's own columns of numbers, all shards.

        Parameters
        ----------
        dtype
            What the format has there.
        read
            The column, where it has been read already.
        least, most
            Bounds of the numbers.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or replaced, or the column is of another type, lacks a number, or has one out
            of bounds.
        """
        numbers: NDArray[Any] = self._own(name, column, dtype, read).to_numpy()
        outside = ~((numbers >= least) & (numbers <= most))
        if outside.any():
            raise self.damaged(name, ValueError(f"column {column} holds {numbers[outside][0]}"))
        return numbers

    def texts(self, name: str, column: str, read: pa.ChunkedArray | None = None) -> list[str]:
        """Read one of the format's own columns of texts; as `numbers`."""
        texts: list[str] = self._own(name, column, pa.string(), read).to_pylist()
        return texts

    def _own(self, name: str, column: str, dtype: pa.DataType, read: pa.ChunkedArray | None) -> pa.ChunkedArray:
        """One of the format's own columns, of the type it must have and without missing entries."""
        found = self.column(name, column) if read is None else read
        if found.type != dtype:
            raise self.damaged(name, ValueError(f"column {column} is {found.type}, not {dtype}"))
        if found.null_count:
            raise self.damaged(name, ValueError(f"column {column} lacks {found.null_count:,} of its entries"))
        return found

    def read_group(self, group: RowGroup, columns: list[str]) -> pa.Table:
        """Read some columns of a row group, in the order of the file.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced.
        """
        try:
            with self.parquet(group.shard) as file:
                table = file.read_row_group(group.index, columns, use_threads=False)
        except (OSError, ValueError, pa.ArrowException) as error:
            self.check(group.shard)
            raise self.damaged(group.shard, error) from error
        self.check(group.shard)
        self._check_columns(group.shard, columns, table.column_names)
        if table.num_rows != group.n_rows:
            said = f"row group {group.index} has {table.num_rows:,} rows, its footer says {group.n_rows:,}"
            raise self.damaged(group.shard, ValueError(said))
        return table

    def read_lists(
        self, group: RowGroup, columns: Sequence[str], out: Sequence[NDArray[Any]] | None = None
    ) -> list[Lists]:
        """Read list columns of a row group: from the pages where they are the format's own, else as pyarrow does.

        Parameters
        ----------
        out
            Where to decode each column to: an array of its `list_dtype` with room for its `elements`; new arrays where
            not given.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced, or has no such column of the format's type.
        """
        return self._read(group, columns, out)[1]

    def read_genes(
        self, group: RowGroup, columns: Sequence[str], rows: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.int32], list[Lists]]:
        """Read list columns of a row group of genes as `read_lists` does, and with them the token of each row.

        Parameters
        ----------
        rows
            First and end of those wanted, within the row group; all where not given. No more than the pages that hold
            them is read of a column that has many entries.
        """
        (tokens,), lists = self._read(group, columns, None, [layout.TOKEN], rows)
        return tokens, lists

    def _read(
        self, group: RowGroup, columns: Sequence[str], out: Sequence[NDArray[Any]] | None,
        beside: Sequence[str] = (), rows: tuple[int, int] | None = None,
    ) -> tuple[list[NDArray[Any]], list[Lists]]:  # fmt: skip
        """Read list columns, and columns of int32 ``beside`` them."""
        dtypes = [self.list_dtype(group.shard, name) for name in columns]
        try:
            there = find_columns(self.footer(group.shard), group, beside, dict(zip(columns, dtypes, strict=True)))
            for name, chunk in (there.flat | there.lists).items():
                self._check_entries(group, name, chunk.n_entries)
            found = self._pages.read(self, group, there, out, rows)
        except UnsupportedPageError:  # another writer has made this file of ours
            numbers, lists = self._read_arrow_lists(group, columns, out, beside)
            first, end = rows or (0, group.n_rows)
            return [own[first:end] for own in numbers], [some_rows(own, first, end) for own in lists]
        except (OSError, ValueError, pa.ArrowException) as error:
            self.check(group.shard)
            raise self.damaged(group.shard, error) from error
        self.check(group.shard)
        return found

    def check_page_index(self, group: RowGroup, columns: Sequence[str]) -> int:
        """Compare what the page index of a row group of genes says with its pages; return how many there are.

        Parameters
        ----------
        columns
            List columns; that of the tokens is compared as well.

        Raises
        ------
        DatasetError
            If the index says otherwise, or the file is missing, damaged or replaced.
        """
        dtypes = {name: self.list_dtype(group.shard, name) for name in columns}
        try:
            there = find_columns(self.footer(group.shard), group, [layout.TOKEN], dtypes)
            return self._pages.check_index(self, group, there)
        except UnsupportedPageError:  # whose index nobody uses
            return 0
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self.damaged(group.shard, error) from error

    def _read_arrow_lists(
        self, group: RowGroup, columns: Sequence[str], out: Sequence[NDArray[Any]] | None, beside: Sequence[str]
    ) -> tuple[list[NDArray[Any]], list[Lists]]:
        table = self.read_group(group, [*beside, *columns])
        numbers = [self.numbers(group.shard, name, pa.int32(), table.column(name)) for name in beside]
        try:
            found = [list_arrays(table.column(name)) for name in columns]
            for (_, elements), room in zip(found, out or (), strict=out is not None):
                np.copyto(room[: len(elements)], elements, casting="no")
        except (ValueError, TypeError) as error:
            raise self.damaged(group.shard, error) from error
        if out is not None:
            found = [Lists(lists.indptr, room[: len(lists.elements)]) for lists, room in zip(found, out, strict=True)]
        return numbers, found

    def list_dtype(self, shard: str, column: str) -> np.dtype:
        """Return the dtype of a list column's elements; from the footer.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced, or has no such column of the format's type.
        """
        known = self._dtypes.setdefault(shard, {})
        if column not in known:
            schema = self.arrow_schema(shard)
            if schema.names.count(column) != 1 or not pa.types.is_list(schema.field(column).type):
                raise self.damaged(shard, ValueError(f"it has no list column {column}"))
            kind = schema.field(column).type
            if not layout.is_list_of_format(column, kind):
                raise self.damaged(shard, ValueError(f"its column {column} is {kind}, which the format has not"))
            known[column] = np.dtype(kind.value_type.to_pandas_dtype())
        return known[column]

    def row_groups(self, name: str) -> tuple[RowGroup, ...]:
        """List the row groups of a table, in order, all shards.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or replaced.
        """
        if name not in self._groups:
            groups, first = [], 0
            for shard in self.shards(name):
                footer = self.parquet(shard).metadata
                for index in range(footer.num_row_groups):
                    n_rows = footer.row_group(index).num_rows
                    if n_rows < 0:
                        raise self.damaged(shard, ValueError(f"its footer gives row group {index} {n_rows:,} rows"))
                    groups.append(RowGroup(shard, index, first, n_rows))
                    first += n_rows
            self._check_rows(name, first)
            self._groups[name] = tuple(groups)
        return self._groups[name]

    def elements(self, group: RowGroup, column: str) -> int:
        """Return how many values a row group holds in a column, elements of lists included; from the footer."""
        footer = self._footer(group.shard).row_group(group.index)
        columns = (footer.column(i) for i in range(footer.num_columns))
        n_entries = sum(int(c.num_values) for c in columns if c.path_in_schema.split(".")[0] == column)
        self._check_entries(group, column, n_entries)
        return n_entries

    def _check_entries(self, group: RowGroup, column: str, n_entries: int) -> None:
        """Refuse a number of entries, one for an empty list included, that the matrix has no room for."""
        if not 0 <= n_entries <= self.manifest.nnz + group.n_rows:
            said = f"its footer gives {column} {n_entries:,} values of {self.manifest.nnz:,}"
            raise self.damaged(group.shard, ValueError(said))
