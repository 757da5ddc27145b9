"""Whole cells, spread over donors and types, by which genes that tell classes apart are chosen.

Which cells they are follows from the design alone, never from a value, so that each fold may use those of its training
donors.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.learn import _kernels
from titin.learn.design import levels_of
from titin.learn.units import spread

WHOLE_CELLS = 10_000


@dataclass(frozen=True)
class Sample:
    """Whole cells.

    Attributes
    ----------
    obs
        Their rows of the design table.
    group
        int64, the row of `titin.learn.gather.Moments.groups` of each.
    X
        Cells × genes, in the order of ``atlas.var``: log-normalised values, CSR, float32.
    """

    obs: pd.DataFrame
    group: NDArray[np.int64]
    X: sparse.csr_matrix = field(repr=False)

    def separation(self, column: str, groups: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Say how far each class of a column is set apart from all other cells of some groups.

        Returns
        -------
        t
            float64, classes × genes: Welch's t. A class with fewer than two cells, or that is alone, has zeros.
        elsewhere
            float64, classes × genes: share of the other cells that express the gene.
        """
        mine = np.flatnonzero(groups[self.group] & self.obs[column].notna().to_numpy())
        code, classes = pd.factorize(self.obs[column].iloc[mine].astype(str), sort=True)
        X, shape = self.X[mine], (len(classes), self.X.shape[1])
        sums, squares, detected = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int32)
        _kernels.add_moments(X.indptr, X.indices, X.data, code, sums, squares, detected)
        n = np.bincount(code, minlength=len(classes))[:, None]
        mean, spread_of = _mean_and_error(sums, squares, n)
        other, other_spread = _mean_and_error(sums.sum(axis=0) - sums, squares.sum(axis=0) - squares, n.sum() - n)
        error = np.sqrt(spread_of + other_spread)
        t = np.divide(mean - other, error, out=np.zeros(shape), where=error > 0)
        elsewhere = (detected.sum(axis=0) - detected) / np.maximum(n.sum() - n, 1)
        return np.where(np.minimum(n, n.sum() - n) < 2, 0.0, t), elsewhere


def _mean_and_error(
    sums: NDArray[np.float64], squares: NDArray[np.float64], n: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean, and squared standard error of it."""
    mean = sums / np.maximum(n, 1)
    variance = np.maximum(squares / np.maximum(n, 1) - mean**2, 0)
    return mean, variance / np.maximum(n - 1, 1)


class SampleStore:
    """Picks the cells of a sample out of the blocks of a pass.

    Parameters
    ----------
    design
        One row a cell of the dataset.
    of_cell
        int64, the group of each cell; -1 for cells of none, which are never chosen.
    n
        Cells, at most.
    """

    def __init__(self, design: pd.DataFrame, of_cell: NDArray[np.int64], n: int) -> None:
        known = np.flatnonzero(of_cell >= 0)
        by = ["donor", *levels_of(design)[-1:]]
        self.rows = known[spread(design.iloc[known], n, by)] if n and len(known) else np.zeros(0, np.int64)
        self.obs, self.group = design.iloc[self.rows].reset_index(drop=True), of_cell[self.rows]
        self._parts: list[sparse.csr_matrix] = []

    def add(self, block: Any) -> None:
        """Take the chosen cells of a block; blocks come in the order of cells."""
        first, last = np.searchsorted(self.rows, [block.start, block.start + block.n_cells])
        if first == last:
            return
        width = int(block.indices.max()) + 1 if len(block.indices) else 1
        whole = sparse.csr_matrix((block.data, block.indices, block.indptr), shape=(block.n_cells, width))
        self._parts.append(whole[self.rows[first:last] - block.start])

    def finish(self, genes: NDArray[np.int64]) -> Sample | None:
        """Return the sample; ``genes`` is the position in ``atlas.var`` of each column of the blocks."""
        if not len(self.rows):
            return None
        lengths = np.concatenate([np.diff(part.indptr) for part in self._parts])
        indices = genes[np.concatenate([part.indices for part in self._parts])].astype(np.int32)
        data = np.concatenate([part.data for part in self._parts]).astype(np.float32, copy=False)
        self._parts.clear()
        X = sparse.csr_matrix((data, indices, np.concatenate([[0], np.cumsum(lengths)])),
                              shape=(len(self.rows), len(genes)))  # fmt: skip
        X.sort_indices()
        return Sample(self.obs, self.group, X)
