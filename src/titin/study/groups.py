"""Cells grouped by donor, sample, protocol and whatever else tells them apart: the units that are compared."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.dataset import layout
from titin.study.design import Study, labels_of, level_columns

if TYPE_CHECKING:
    from titin.atlas import Atlas

_BATCH_VALUES = 10_000_000  # cells × genes read at a time, 18 bytes each where all are stored
_FEW_GENES = 64  # more are read sooner with all of every cell than one by one


@dataclass(frozen=True, eq=False)
class CellGroups:
    """Cells by group.

    Attributes
    ----------
    table
        One row a group, sorted: a column for each key (text; ``age`` float64 years) and ``n_cells``.
    codes
        int32 a cell: row of its group, -1 for a cell of none.
    levels
        Columns of ``table`` that hold labels, coarsest first.
    """

    table: pd.DataFrame
    codes: NDArray[np.int32]
    levels: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.table)

    def sum(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Sum of a value a cell, by group (float64)."""
        mine = self.codes >= 0
        return np.bincount(self.codes[mine], values[mine].astype(np.float64), minlength=len(self)).astype(np.float64)

    def median(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Median of a value a cell, by group (float64)."""
        mine = self.codes >= 0
        medians = pd.Series(values[mine]).groupby(self.codes[mine]).median()
        return medians.reindex(range(len(self))).to_numpy(np.float64)

    def gene_counts(self, atlas: "Atlas", genes: Sequence[str]) -> NDArray[np.float64]:
        """Counts of genes summed by group, shape ``(groups, genes)``; a bounded number of values is held at a time."""
        total = np.zeros((len(self), len(genes)))
        if len(genes) > _FEW_GENES:
            for block in atlas.iter_blocks(counts=True, genes=list(genes)):
                sums = self._sums(self.codes[block.rows], block.X)
                for group, (first, last) in enumerate(pairwise(sums.indptr)):  # a dense copy would be as large as total
                    total[group, sums.indices[first:last]] += sums.data[first:last]
            return total
        batch = max(1, _BATCH_VALUES // max(len(self.codes), 1))
        for first in range(0, len(genes), batch):
            own = slice(first, first + batch)
            total[:, own] = self._sums(self.codes, atlas.counts[:, list(genes[own])]).toarray()
        return total

    def _sums(self, codes: NDArray[np.int32], counts: sparse.csr_matrix) -> sparse.csr_array:
        mine = np.flatnonzero(codes >= 0)
        which = sparse.csr_array((np.ones(len(mine)), (codes[mine], mine)), shape=(len(self), len(codes)))
        return which @ counts.astype(np.float64)

    def name(self, row: int) -> str:
        """Name of a group, for messages: its first key, and what of it."""
        first, *rest = (str(v) for v in self.table.drop(columns=layout.N_CELLS).iloc[row])
        return f"{first} ({', '.join(rest)})" if rest else first


def group_by(keys: pd.DataFrame, *, complete: bool = False) -> CellGroups:
    """Group cells by all columns together.

    Parameters
    ----------
    keys
        From `Study.keys`; without columns, all cells are one group.
    complete
        Cells that lack a key are of no group; else what is missing is a value like any other, sorted last.
    """
    codes, whole = np.zeros(len(keys), np.int64), np.ones(len(keys), bool)
    for name in keys:
        code, distinct = pd.factorize(keys[name], sort=True)
        whole &= code >= 0
        _, codes = np.unique(codes * (len(distinct) + 1) + np.where(code < 0, len(distinct), code), return_inverse=True)
    mine = np.flatnonzero(whole) if complete else np.arange(len(keys))
    _, first, of_mine = np.unique(codes[mine], return_index=True, return_inverse=True)
    table = keys.iloc[mine[first]].reset_index(drop=True)
    table[layout.N_CELLS] = np.bincount(of_mine, minlength=len(table)).astype(np.int64)
    of_cell = np.full(len(keys), -1, np.int32)
    of_cell[mine] = of_mine
    return CellGroups(table, of_cell)


def level_keys(cells: CellGroups, level: str) -> pd.DataFrame:
    """The table of groups with the labels of a level as ``cell_type``; protocol is ``all`` where none is known."""
    keys = cells.table.assign(cell_type=labels_of(cells.table, level))
    if "protocol" not in keys or keys["protocol"].isna().all():
        keys["protocol"] = "all"
    return keys


def cell_keys(atlas: "Atlas", *, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Keys of every cell of an atlas: all that it has, and further columns of obs; see `Study.keys`.

    Raises
    ------
    TitinError
        If obs has no such column.
    """
    study = Study.of(atlas, extra)
    return study.keys(list(dict.fromkeys([*study.key_names, *extra])))


def group_cells(atlas: "Atlas", *, extra: Sequence[str] = ()) -> CellGroups:
    """Group the cells of an atlas by everything that plays a role in a comparison of donors.

    Parameters
    ----------
    atlas
        The dataset.
    extra
        Further columns of obs to tell groups apart by.

    Raises
    ------
    TitinError
        If obs has no such column.
    """
    found = group_by(cell_keys(atlas, extra=extra))
    return CellGroups(found.table, found.codes, list(level_columns(atlas.roles)))
