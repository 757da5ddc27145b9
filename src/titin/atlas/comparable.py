"""The genes that all studies of some cells measured: a dataset as if it had no others.

What a study did not measure is no zero. Whatever compares cells of several studies, or learns from them, reads the
dataset through a `ComparableStore`, in which the other genes are not there: none of them is found by name, counts in a
total, or takes part, and the results are those of the studies joined by the genes that all have.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.orders import Positions, check_tokens
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.manifest import Manifest
from titin.dataset.pages import Lists
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store
from titin.errors import TitinError
from titin.text import say_first

_NAMED = 4  # studies named in a sentence


class ComparableStore(Store):
    """The files of a dataset, of which some genes are not seen; tokens number those that are.

    Parameters
    ----------
    whole
        All of the dataset.
    kept
        Tokens of the genes that are seen, ascending.
    studies
        Of which they were all measured, for what is said.
    """

    def __init__(self, whole: Store, kept: NDArray[np.int64], studies: Sequence[str]) -> None:
        name = whole.manifest.layout.detection
        n_cells = whole.numbers(name, layout.N_CELLS, pa.int64(), least=0, most=whole.manifest.n_cells)
        # of nothing that can be reached in this store it is known that a study lacks it
        entries = {study: entry | {"measured": None} for study, entry in whole.manifest.studies.items()}
        arrays = {place: entry for place, entry in whole.manifest.arrays.items() if place.startswith("obs")}
        manifest = replace(whole.manifest, n_genes=len(kept), nnz=int(n_cells[kept].sum()), studies=entries,
                           arrays=arrays)  # fmt: skip
        self.__setstate__(whole.__getstate__() | {"manifest": manifest})
        self._whole, self.kept, self.studies = whole, kept, tuple(studies)
        self._column_of = np.full(whole.manifest.n_genes, -1, np.int32)
        self._column_of[kept] = np.arange(len(kept), dtype=np.int32)

    @property
    def whole(self) -> Store:
        """All of the dataset."""
        return self._whole

    def part(self, place: str) -> Store:
        """The dataset as if a further matrix were the matrix; of the same genes, if it has none of its own."""
        part = self._whole.part(place)
        own = part.manifest.layout.feature_metadata != self.manifest.layout.feature_metadata
        return part if own else ComparableStore(part, self.kept, self.studies)

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read a table; of one with a row a gene, the rows of those that are seen, numbered anew."""
        table = self._whole.table(name, columns)
        if not self._is_by_gene(name):
            return table
        table = table.take(pa.array(self.kept))
        for column, numbers in self._numbers(table).items():
            place = table.column_names.index(column)
            table = table.set_column(place, table.field(place), pa.chunked_array([numbers]))
        return table

    def _numbers(self, table: pa.Table) -> dict[str, pa.Array]:
        """Tokens and places in the source, of the genes that are seen."""
        found = {}
        if layout.TOKEN in table.column_names:
            found[layout.TOKEN] = pa.array(np.arange(len(self.kept)), table.field(layout.TOKEN).type)
        if layout.SOURCE_COLUMN in table.column_names:
            places = table.column(layout.SOURCE_COLUMN).to_numpy()
            found[layout.SOURCE_COLUMN] = pa.array(np.argsort(np.argsort(places)), pa.int64())
        return found

    def _is_by_gene(self, name: str) -> bool:
        manifest = self.manifest
        by_gene = (manifest.layout.feature_metadata, manifest.layout.detection)
        return name in by_gene or name in {entry["file"] for entry in manifest.varm.values()}

    def row_groups(self, name: str) -> tuple[RowGroup, ...]:
        """List the row groups of a table; of the matrix by gene those of which some gene is seen."""
        groups = self._whole.row_groups(name)
        if name != self.manifest.layout.expression_by_gene:
            return groups
        seen = []
        for group in groups:
            first, end = np.searchsorted(self.kept, [group.first_row, group.first_row + group.n_rows]).tolist()
            if end > first:
                seen.append(replace(group, first_row=first, n_rows=end - first))
        return tuple(seen)

    def read_genes(
        self, group: RowGroup, columns: Sequence[str], rows: tuple[int, int] | None = None
    ) -> tuple[NDArray[np.int32], list[Lists]]:
        """Read list columns of the genes that are seen, with their tokens; see `Store.read_genes`."""
        first, end = (group.first_row + row for row in rows or (0, group.n_rows))
        own = self.kept[first:end]
        stored = self._stored(group)
        tokens, lists = self._whole.read_genes(
            stored, columns, (int(own[0]) - stored.first_row, int(own[-1]) + 1 - stored.first_row)
        )
        check_tokens(self._whole, group.shard, tokens, int(own[0]))
        return np.arange(first, end, dtype=np.int32), [_rows(one, own - own[0]) for one in lists]

    def elements(self, group: RowGroup, column: str) -> int:
        """Return how many values the whole row group holds in a column."""
        return self._whole.elements(group, column)

    def seen(self, block: Block) -> Block:
        """The values of the genes that are seen, of a block of all."""
        columns = self._column_of[block.indices]
        kept = columns >= 0
        ends = np.concatenate([[0], np.cumsum(kept)])
        counts = None if block.counts is None else block.counts[kept]
        return Block(block.start, ends[block.indptr], columns[kept], block.data[kept], counts, block.n_beyond)

    def _check_entries(self, group: RowGroup, column: str, n_entries: int) -> None:
        self._whole._check_entries(group, column, n_entries)

    def _stored(self, group: RowGroup) -> RowGroup:
        """The row group as it lies in the file."""
        groups = self._whole.row_groups(self.manifest.layout.expression_by_gene)
        return next(one for one in groups if (one.shard, one.index) == (group.shard, group.index))

    def __getstate__(self) -> dict[str, Any]:
        own = {name: self.__dict__[name] for name in ("_whole", "kept", "studies", "_column_of")}
        return super().__getstate__() | own


def _rows(lists: Lists, rows: Positions) -> Lists:
    """Some rows of a list column, ascending."""
    lengths = np.diff(lists.indptr)
    wanted = np.zeros(len(lengths), bool)
    wanted[rows] = True
    indptr = np.concatenate([[0], np.cumsum(lengths[rows])])
    return Lists(indptr, lists.elements[np.repeat(wanted, lengths)])


def unmeasured_columns(manifest: Manifest, studies: Sequence[str]) -> list[str]:
    """Columns of var that say what some studies measured, of those that did not measure every gene."""
    return [entry["measured"] for name, entry in manifest.studies.items() if name in studies and entry.get("measured")]


def say_not_comparable(n: int, studies: Sequence[str]) -> str:
    """In words, how many genes take no part; without a full stop."""
    return (f"{n:,} {'gene was' if n == 1 else 'genes were'} not measured by all of the studies "
            f"{say_first(studies, _NAMED)}: not evaluable between them, and left out")  # fmt: skip


def refuse_none(studies: Sequence[str]) -> TitinError:
    """The error that says that studies cannot be compared at all."""
    said = f"no gene was measured by all of the studies {', '.join(studies)}"
    return TitinError(said, "choose cells of fewer studies: --where study=NAME")
