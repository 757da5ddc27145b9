"""The files of a dataset wherever it lies, each checked to be the one that was opened first."""

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.block import Block
from titin.dataset.folder import LocalFolder, Mark
from titin.dataset.manifest import Manifest
from titin.dataset.page_index import IndexPlace, PagePlaces, find_page_indexes, narrow, read_places
from titin.dataset.pages import (
    DamagedPageError,
    Lists,
    PageChunk,
    UnsupportedPageError,
    count_page_rows,
    decode_lists,
    decode_numbers,
    find_chunk,
    with_entries,
)
from titin.dataset.places import find_place, read_remote_manifest
from titin.dataset.strict_json import parse_json
from titin.errors import DatasetError, TitinError
from titin.parallel import ordered_map

_RESTORE = "restore it, or build the dataset again"
_GAP = 2**16  # bytes read for nothing, rather than twice
_FAR_GAP, _FAR_SHARE = 2**21, 8  # the same far away, but no more than this part of a file,
_SPARE = 2**23  # and as long as no more than these are read for nothing in all
_SMALL = 2**18  # entries of a column that are read whole as quickly as some of its pages are found
_JUST_NOW = 1.0  # seconds for which a file that was looked at is not looked at once more
_AT_ONCE = 8  # reads far away, each of which costs a round trip
_REOPEN = "open the dataset again; nothing was mixed"


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One row group of a table: where it lies, and which rows of the whole table it holds."""

    shard: str
    index: int
    first_row: int
    n_rows: int


class Store:
    """The one place that knows where a dataset lies; whatever is read of it is read through here.

    A file that is replaced after it was first read is refused, so that no answer mixes two datasets. Can be shared
    between threads, and pickled.

    Parameters
    ----------
    path
        A folder, ``hf://datasets/user/repo`` with or without ``@revision``, or any URL that fsspec opens.
    storage_options
        For a URL: see `titin.open`.

    Attributes
    ----------
    manifest
        What ``titin.json`` says.

    Raises
    ------
    DatasetError
        If there is no dataset, or one of a later format.
    TitinError
        If a package is missing that the URL needs.
    """

    lasting = True  # sent to the workers of a cluster once

    def __init__(self, path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> None:
        self._place = find_place(path, storage_options)
        self._marks: dict[str, Mark] = {}
        self._start()
        self.manifest = self._read_manifest()

    def _start(self) -> None:
        self._footers: dict[str, pq.FileMetaData] = {}
        self._groups: dict[str, tuple[RowGroup, ...]] = {}
        self._dtypes: dict[str, dict[str, np.dtype]] = {}
        self._indexes: dict[str, list[dict[str, IndexPlace]]] = {}
        self._places: dict[tuple[str, int, str], PagePlaces | None] = {}
        self._lock = Lock()
        self._just_marked: dict[str, float] = {}
        self._spare = _SPARE

    @property
    def name(self) -> str:
        """The folder or URL, as it was given."""
        return self._place.name

    @property
    def remote(self) -> bool:
        """Whether each read costs a round trip."""
        return self._place.remote

    @property
    def whole(self) -> "Store":
        """All of the dataset, where this shows some of its genes; itself otherwise."""
        return self

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

    @property
    def folder(self) -> Path:
        """The folder of a local dataset.

        Raises
        ------
        TitinError
            If the dataset lies elsewhere.
        """
        if not isinstance(self._place, LocalFolder):
            raise TitinError(f"{self.name} is no local folder", "download it first")
        return self._place.folder

    def path(self, file: str) -> str:
        """Full name of a file, for messages."""
        return self._place.path(file)

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
                self._check_again(shard)
                raise self.damaged(shard, error) from error
            self._check_again(shard)
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
        first = self._arrow_schema(shards[0])
        twice = [column for column, n in Counter(first.names).items() if n > 1]
        if twice:
            raise self.damaged(shards[0], ValueError(f"it has {first.names.count(twice[0])} columns {twice[0]}"))
        for shard in shards[1:]:
            if not self._arrow_schema(shard).equals(first):
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
                f"{self.path(name)} has {n_rows:,} rows, where {layout.MANIFEST} says {wanted:,}", _RESTORE
            )

    def column(self, name: str, column: str) -> pa.ChunkedArray:
        """Read one column of a table, all shards."""
        return self.table(name, [column]).column(0)

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

    def parquet(self, shard: str) -> pq.ParquetFile:
        """Open one file: a new reader each time, as they are not to be shared between threads; its footer is kept.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced.
        """
        try:
            footer = self._footer(shard)
            source = self._place.open(shard)
            file = pq.ParquetFile(
                source, metadata=footer, pre_buffer=self._place.remote, page_checksum_verification=True
            )
        except (OSError, pa.ArrowException) as error:
            raise self.damaged(shard, error) from error
        self._check(shard)
        return file

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
            self._check_again(group.shard)
            raise self.damaged(group.shard, error) from error
        self._check_again(group.shard)
        self._check_columns(group.shard, columns, table.column_names)
        if table.num_rows != group.n_rows:
            said = f"row group {group.index} has {table.num_rows:,} rows, its footer says {group.n_rows:,}"
            raise self.damaged(group.shard, ValueError(said))
        return table

    def footer(self, shard: str) -> pq.FileMetaData:
        """Return a file's footer, read once.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced.
        """
        try:
            return self._footer(shard)
        except (OSError, pa.ArrowException) as error:
            raise self.damaged(shard, error) from error

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
            found = self._read_pages(group, dict(zip(columns, dtypes, strict=True)), out, beside, rows)
        except UnsupportedPageError:  # another writer has made this file of ours
            numbers, lists = self._read_arrow_lists(group, columns, out, beside)
            first, end = rows or (0, group.n_rows)
            return [own[first:end] for own in numbers], [_cut(own, first, end) for own in lists]
        except (OSError, ValueError, pa.ArrowException) as error:
            self._check_again(group.shard)
            raise self.damaged(group.shard, error) from error
        self._check_again(group.shard)
        return found

    def _read_pages(
        self, group: RowGroup, columns: dict[str, np.dtype], out: Sequence[NDArray[Any]] | None, beside: Sequence[str],
        rows: tuple[int, int] | None,
    ) -> tuple[list[NDArray[Any]], list[Lists]]:  # fmt: skip
        footer = self.footer(group.shard)
        flat = [find_chunk(footer, group.index, name, np.dtype(np.int32), flat=True) for name in beside]
        lists = [find_chunk(footer, group.index, name, dtype) for name, dtype in columns.items()]
        for chunk, name in zip([*flat, *lists], [*beside, *columns], strict=True):
            self._check_entries(group, name, chunk.n_entries)
        checked = self._begin_check(group.shard)
        first, end = rows or (0, group.n_rows)
        parts = [(chunk, 0) if rows is None else self._narrow(group, chunk, first, end) for chunk in (*flat, *lists)]
        try:
            pieces = self._read_ranges(group.shard, [(chunk.offset, chunk.length) for chunk, _ in parts])
        finally:  # which tells better why a read has failed
            checked()
        rooms = [None] * len(lists) if out is None else out
        numbers, found = [], []
        for i, (piece, (chunk, skip)) in enumerate(zip(pieces, parts, strict=True)):
            own = with_entries(piece, chunk) if skip or chunk.n_rows < group.n_rows else chunk
            if i < len(flat):
                numbers.append(decode_numbers(piece, own)[first - skip : end - skip])
            else:
                found.append(_cut(decode_lists(piece, own, rooms[i - len(flat)]), first - skip, end - skip))
        return numbers, found

    def _narrow(self, group: RowGroup, chunk: PageChunk, first: int, end: int) -> tuple[PageChunk, int]:
        """The pages of a column that hold some rows, and their first row; all where they are few or not listed."""
        places = None if chunk.n_entries <= _SMALL else self._page_places(group, chunk)
        return (chunk, 0) if places is None else narrow(chunk, places, first, end)

    def _page_places(self, group: RowGroup, chunk: PageChunk) -> PagePlaces | None:
        """The pages of a column as the file's index has them; None where it has none."""
        key = group.shard, group.index, chunk.path
        if key not in self._places:
            place = self._page_indexes(group.shard)[group.index].get(chunk.path)
            self._places[key] = (
                None if place is None else read_places(self._read_ranges(group.shard, [place])[0], chunk)
            )
        return self._places[key]

    def _page_indexes(self, shard: str) -> list[dict[str, IndexPlace]]:
        if shard not in self._indexes:
            footer = self.footer(shard)
            n, size = footer.serialized_size, int(self.manifest.files[shard]["bytes"])
            found = find_page_indexes(self._read_ranges(shard, [(size - 8 - n, n)])[0])
            if len(found) != footer.num_row_groups:
                raise DamagedPageError("its footer has other row groups than it had")
            self._indexes[shard] = found
        return self._indexes[shard]

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
        footer, n_pages = self.footer(group.shard), 0
        try:
            chunks = [find_chunk(footer, group.index, layout.TOKEN, np.dtype(np.int32), flat=True)]
            chunks += [find_chunk(footer, group.index, name, self.list_dtype(group.shard, name)) for name in columns]
            for chunk in chunks:
                places = self._page_places(group, chunk)
                if places is not None:
                    (data,) = self._read_ranges(group.shard, [(chunk.offset, chunk.length)])
                    first_row, at = count_page_rows(data, chunk, flat=chunk is chunks[0])
                    if not np.array_equal(first_row, places.first_row) or not np.array_equal(at, places.at):
                        raise DamagedPageError(f"the page index of {chunk.path} is not that of its pages")
                    n_pages += len(at) - 1
        except UnsupportedPageError:  # whose index nobody uses
            pass
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self.damaged(group.shard, error) from error
        return n_pages

    def _read_ranges(self, shard: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Read parts of a file, in one go where they lie close together: far away, each go is a request.

        The pages of a gene lie apart by a part of a row group. Who reads a few genes is spared requests; who reads many
        is spared bytes.
        """
        first, end = min(a for a, _ in ranges), max(a + n for a, n in ranges)
        size = next(iter(self._marks.get(shard, ())), self.manifest.files[shard]["bytes"])
        if isinstance(size, int) and end > size:
            raise DamagedPageError(f"its footer names byte {end:,} of {size:,}")
        wasted = end - first - sum(n for _, n in ranges)
        spared = self._place.remote and _GAP < wasted <= min(_FAR_GAP, self._spare, size // _FAR_SHARE)
        if spared:
            self._spare -= wasted
        if spared or wasted <= _GAP:
            whole = memoryview(self._place.read_range(shard, first, end - first))
            return [whole[a - first : a - first + n] for a, n in ranges]

        def read(place: tuple[int, int]) -> memoryview:
            return memoryview(self._place.read_range(shard, *place))

        return list(ordered_map(read, ranges, _AT_ONCE)) if self._place.remote else [read(place) for place in ranges]

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
            schema = self._arrow_schema(shard)
            if schema.names.count(column) != 1 or not pa.types.is_list(schema.field(column).type):
                raise self.damaged(shard, ValueError(f"it has no list column {column}"))
            kind = schema.field(column).type
            if not layout.is_list_of_format(column, kind):
                raise self.damaged(shard, ValueError(f"its column {column} is {kind}, which the format has not"))
            known[column] = np.dtype(kind.value_type.to_pandas_dtype())
        return known[column]

    def _arrow_schema(self, shard: str) -> pa.Schema:
        """A file's columns and their types.

        Raises
        ------
        DatasetError
            If the file is missing, damaged or replaced, or has a column of a type that Arrow does not know.
        """
        try:
            return self.footer(shard).schema.to_arrow_schema()
        except pa.ArrowException as error:
            raise self.damaged(shard, error) from error

    def check(self, shard: str) -> None:
        """Refuse a file that is no longer the one that was read first.

        Raises
        ------
        DatasetError
            If the file is missing or replaced.
        """
        self._check_again(shard)

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

    def begin(self, tables: Sequence[str], others: Sequence[str] = ()) -> None:
        """Begin to read what is asked for next, where a read costs a round trip, so that one does for all of it.

        Parameters
        ----------
        tables
            To be read as tables.
        others
            Of which the footers are needed.
        """
        if not self._place.remote:
            return
        for name, whole in [*((name, True) for name in tables), *((name, False) for name in others)]:
            for shard in self.manifest.shards(name):
                if shard not in self._footers:
                    self._place.begin(shard, whole=whole)

    def json(self, name: str) -> Any:
        """Read a JSON file.

        Raises
        ------
        DatasetError
            If it is missing or no JSON.
        """
        try:
            return parse_json(self._place.read(name))
        except FileNotFoundError as error:
            raise self.damaged(name, error) from error
        except (OSError, ValueError) as error:
            raise DatasetError(f"{self.path(name)} cannot be read: {error}", _RESTORE) from error

    def damaged(self, file: str, error: Exception) -> DatasetError:
        """Return the error that says that a file is missing or damaged."""
        if isinstance(error, FileNotFoundError):
            return DatasetError(f"{self.path(file)} is missing", _RESTORE)
        return DatasetError(f"{self.path(file)} is damaged: {error}", _RESTORE)

    def _read_manifest(self) -> Manifest:
        if not isinstance(self._place, LocalFolder):
            manifest = read_remote_manifest(self._place)
            mark = self._place.last_mark(layout.MANIFEST)
            self._marks |= {layout.MANIFEST: mark} if mark is not None and not self._place.pinned else {}
            self._seen_manifest()
            self._expect(manifest)
            return manifest
        manifest = Manifest.read(self._place.folder)
        self._marks[layout.MANIFEST] = self._place.mark(layout.MANIFEST)
        return manifest

    def _seen_manifest(self) -> None:
        if self._place.tells:
            self._just_marked[layout.MANIFEST] = time.monotonic()

    def _expect(self, manifest: Manifest) -> None:
        self._place.expect({name: entry["bytes"] for name, entry in manifest.files.items() if "bytes" in entry})

    def _footer(self, shard: str) -> pq.FileMetaData:
        """Read a footer once, and remember the file by its mark."""
        if shard in self._footers:
            return self._footers[shard]
        with self._lock:
            if shard not in self._footers:
                self._footers[shard] = self._look_at(shard)
            return self._footers[shard]

    def _look_at(self, shard: str) -> pq.FileMetaData:
        """Read a footer, of the file that belongs to the manifest and has been there all the time."""
        checked = self._begin_check(layout.MANIFEST)
        mark = None
        try:
            if not (self._place.tells or self._place.pinned):
                mark = self._place.mark(shard)
                checked()
                self._check_size(shard, mark)
            with self._place.open(shard) as source:
                footer = pq.read_metadata(source)
        finally:  # which tells better why a read has failed
            checked()
        mark = self._place.last_mark(shard) if mark is None else mark
        if mark is not None and self._marks.setdefault(shard, mark) != mark:
            raise self._replaced(shard)
        self._just_marked[shard] = time.monotonic()
        return footer

    def _check_size(self, shard: str, mark: Mark) -> None:
        expected = self.manifest.files.get(shard, {}).get("bytes")
        if expected is not None and mark and mark[0] != expected:
            raise DatasetError(
                f"{self.path(shard)} is damaged or not of this dataset: it has {mark[0]:,} bytes, "
                f"{layout.MANIFEST} says {expected:,}",
                _RESTORE,
            )

    def _check(self, file: str) -> None:
        """Refuse a file that is no longer the one that was read first."""
        if file not in self._marks or self._place.pinned:
            return
        if self._place.tells and file != layout.MANIFEST:
            if self._place.told(file) - {self._marks[file]}:
                raise self._replaced(file)
            return
        if self._place.remote and time.monotonic() - self._just_marked.get(file, -np.inf) < _JUST_NOW:
            if file != layout.MANIFEST:  # once, as its footer is read and then its data
                del self._just_marked[file]
            return
        try:
            mark = self._place.mark(file)
        except OSError as error:
            raise self.damaged(file, error) from error
        if mark != self._marks[file]:
            raise self._replaced(file)
        if file == layout.MANIFEST:
            self._seen_manifest()

    def _begin_check(self, file: str) -> Callable[[], None]:
        """Refuse a file that is no longer the one that was read first, beside a read; return what waits for it.

        Of a folder of this machine, whose files are looked at after each read, nothing but the manifest is asked.
        """
        if not self._place.remote or self._place.pinned:
            if file == layout.MANIFEST:
                self._check(file)
            return lambda: None
        if self._place.tells and file != layout.MANIFEST:
            return partial(self._check, file)
        pool = ThreadPoolExecutor(1, thread_name_prefix="titin-check")
        future = pool.submit(self._check, file)
        pool.shutdown(wait=False)
        return future.result

    def _check_again(self, file: str) -> None:
        """Check after a read: it may have been written over meanwhile. Far away, that would be a round trip more."""
        if not self._place.remote:
            self._check(file)

    def _replaced(self, file: str) -> DatasetError:
        return DatasetError(f"{self.path(file)} was replaced after the dataset was opened", _REOPEN)

    def __getstate__(self) -> dict[str, Any]:
        return {"manifest": self.manifest, "_place": self._place, "_marks": self._marks}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()
        self._expect(self.manifest)


def _cut(lists: Lists, first: int, end: int) -> Lists:
    """Some rows of a list column."""
    if first == 0 and end == len(lists.indptr) - 1:
        return lists
    a, b = lists.indptr[first], lists.indptr[end]
    return Lists(lists.indptr[first : end + 1] - a, lists.elements[a:b])
