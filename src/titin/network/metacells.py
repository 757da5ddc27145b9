"""Metacells: a donor's cells of one type, those of like expression summed, less what donor and depth make of them.

Single cells have too few counts for two genes to be seen together. Cells are divided in two along the direction in
which they differ most, again and again, until a part has few enough; no metacell has cells of two donors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas import Atlas
from titin.atlas.passes import BlockReader

Singles = NDArray[np.float32]
SIZE = 10  # cells of a metacell, about
MOST_CELLS = 400  # of a donor
_GROUPING_GENES = 2000
_ROUNDS = 8  # of the power method
_PER = 1e4


@dataclass(frozen=True, eq=False)
class Metacells:
    """Metacells of one type and protocol, sorted by donor.

    Attributes
    ----------
    values
        float32, metacells × genes: log1p of counts per 10,000, less the donor's mean and what goes with depth, scaled
        to a variance of 1 in all metacells together.
    genes
        Symbols.
    donor
        int64 a metacell: place of its donor in ``donors``, ascending.
    donors
        Names.
    n_cells
        Cells behind them.
    tokens
        int64 a gene: its column in counts of all genes.
    """

    values: Singles
    genes: list[str]
    donor: NDArray[np.int64]
    donors: list[str]
    n_cells: int
    tokens: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Row at which the metacells of each donor begin."""
        return np.asarray(np.searchsorted(self.donor, np.arange(len(self.donors))), np.int64)

    def take(self, donors: Sequence[int]) -> NDArray[np.int64]:
        """Rows of some donors, as often as they are named."""
        return np.concatenate([np.flatnonzero(self.donor == d) for d in donors])


def draw_cells(cells: NDArray[np.int64], donor: NDArray[np.int64], *, most: int, seed: int) -> NDArray[np.int64]:
    """Draw at most so many cells of each donor; what is drawn of one depends on that donor alone."""
    kept = []
    for code in np.unique(donor):
        own = cells[donor == code]
        if len(own) > most:
            rng = np.random.Generator(np.random.PCG64([seed, int(own[0])]))
            own = np.sort(rng.permutation(own)[:most])
        kept.append(own)
    return np.sort(np.concatenate(kept)) if kept else cells


def read_counts(atlas: Atlas, cells: NDArray[np.int64], threads: int) -> sparse.csr_matrix:
    """Counts of some cells (int64 positions, ascending) × all genes, by token."""
    reader = BlockReader(atlas, values="counts", cells=cells)
    parts = [sparse.csr_matrix((block.data.astype(np.float32), block.indices, block.indptr),
                               (block.n_cells, reader.n_genes))
             for block in reader.map(lambda block: block, threads)]  # fmt: skip
    return sparse.csr_matrix(sparse.vstack(parts, format="csr"))


def make_metacells(
    counts: sparse.csr_matrix, donor: NDArray[np.int64], batch: NDArray[np.int64], *, size: int = SIZE
) -> tuple[sparse.csr_matrix, NDArray[np.int64], NDArray[np.int64]]:
    """Sum like cells.

    Parameters
    ----------
    counts
        Cells × genes.
    donor, batch
        Of each cell; no metacell has cells of two donors, or of two batches such as chemistries.
    size
        Cells of a metacell, at most twice as many.

    Returns
    -------
    sums, donor, batch
        Metacells × genes, and of each its donor, ascending, and its batch.
    """
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    detected = np.asarray((counts > 0).sum(axis=0)).ravel()
    often = np.sort(np.argsort(-detected, kind="stable")[:_GROUPING_GENES])
    logs = counts[:, often].astype(np.float32)
    logs.data = np.log1p(logs.data * np.repeat((_PER / total).astype(np.float32), np.diff(logs.indptr)))
    groups: list[NDArray[np.int64]] = []
    pairs = pd.DataFrame({"donor": donor, "batch": batch}).groupby(["donor", "batch"], sort=True).indices
    for own in pairs.values():
        groups += _divide(logs, np.asarray(own, np.int64), size)
    code = np.repeat(np.arange(len(groups)), [len(own) for own in groups])
    cells = np.concatenate(groups)
    which = sparse.csr_matrix((np.ones(len(code), np.float32), (code, cells)), (len(groups), counts.shape[0]))
    first = np.array([own[0] for own in groups])
    return sparse.csr_matrix(which @ counts), donor[first], batch[first]


def _divide(logs: sparse.csr_matrix, rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Divide cells at the middle of their main direction until a part has fewer than twice the size."""
    if len(rows) < 2 * size:
        return [rows]
    place = _main_direction(logs[rows])
    order = np.argsort(place, kind="stable")
    half = len(rows) // 2
    return [*_divide(logs, np.sort(rows[order[:half]]), size), *_divide(logs, np.sort(rows[order[half:]]), size)]


def _main_direction(values: sparse.csr_matrix) -> NDArray[np.float64]:
    """Place of each row along the direction of largest variance."""
    mean = np.asarray(values.mean(axis=0)).ravel()
    place = np.asarray(values.sum(axis=1), np.float64).ravel()
    for _ in range(_ROUNDS):
        place = place - place.mean()
        length = np.linalg.norm(place)
        if length == 0:
            break
        direction = values.T @ (place / length)
        place = np.asarray(values @ direction - mean @ direction, np.float64)
    found: NDArray[np.float64] = place
    return found


def standardise(
    sums: sparse.csr_matrix, donor: NDArray[np.int64], batch: NDArray[np.int64], genes: NDArray[np.int64]
) -> Singles:
    """Log-normalised values of some genes, less the means of donor and batch and what goes with depth, of variance 1.

    Parameters
    ----------
    sums
        Metacells × genes, counts.
    donor, batch
        Of each metacell.
    genes
        Columns to keep; what does not vary is 0.
    """
    total = np.maximum(np.asarray(sums.sum(axis=1), np.float64).ravel(), 1)
    values = np.log1p(sums[:, genes].toarray() * (_PER / total)[:, None])
    groups = pd.DataFrame({"donor": donor, "batch": batch}).groupby(["donor", "batch"], sort=True).ngroup().to_numpy()
    which = sparse.csr_matrix((np.ones(len(groups)), (groups, np.arange(len(groups)))))
    n = np.bincount(groups)
    depth = np.log(total)
    depth = depth - (np.bincount(groups, depth) / n)[groups]
    values -= (np.asarray(which @ values) / n[:, None])[groups]
    if depth @ depth > 0:
        values -= np.outer(depth, depth @ values / (depth @ depth))
    spread = np.sqrt((values**2).mean(axis=0))
    scaled: Singles = np.where(spread > 1e-6, values / np.where(spread > 1e-6, spread, 1), 0).astype(np.float32)
    return scaled
