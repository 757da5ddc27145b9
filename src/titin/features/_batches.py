"""Moments of the genes in every batch of cells, from passes over the row blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.atlas.row_reader import RowReader
from titin.errors import TitinError
from titin.features import _kernels
from titin.source import Block

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Batches:
    """Chosen cells and the batch of each.

    Attributes
    ----------
    reader
        Of all genes of the cells.
    codes
        int64 a cell, which of ``names``.
    names, sizes
        The batches that have cells, in the order of their categories or sorted; and how many cells.
    threads
        For passes.
    """

    reader: RowReader
    codes: NDArray[np.int64]
    names: list[str]
    sizes: NDArray[np.int64]
    threads: int

    def moments(self, *, linear: bool = False) -> tuple[Floats, Floats, Floats]:
        """Mean, sample variance and number of cells with a positive value; batches × genes, genes as in var.

        With ``linear``, of ``expm1`` of the values.
        """
        shape = len(self.names), self.reader.n_genes

        def work(blocks: Iterator[Block]) -> list[Floats]:
            totals = [np.zeros(shape) for _ in range(3)]
            for block in blocks:
                _kernels.add_moments(
                    block.indptr, block.indices, block.data, self._codes(block), linear, *totals
                )  # fmt: skip
            return totals

        sums, squares, detected = map(self._by_gene, self.reader.sum(work, self.threads))
        n = self.sizes[:, None]
        mean = sums / n
        return mean, np.maximum(squares / n - mean * mean, 0.0) * (n / (n - 1)), detected

    def clipped_sums(self, most: Floats) -> tuple[Floats, Floats]:
        """Sum and sum of squares of the values, none counting for more than ``most``; batches × genes as in var."""
        limits = np.ascontiguousarray(most[:, self.reader.genes])

        def work(blocks: Iterator[Block]) -> list[Floats]:
            totals = [np.zeros_like(limits) for _ in range(2)]
            for block in blocks:
                _kernels.add_clipped(block.indptr, block.indices, block.data, self._codes(block), limits, *totals)
            return totals

        sums, squares = map(self._by_gene, self.reader.sum(work, self.threads))
        return sums, squares

    def _codes(self, block: Block) -> NDArray[np.int64]:
        return self.codes[block.start : block.start + block.n_cells]

    def _by_gene(self, totals: Floats) -> Floats:
        """From the reader's order of genes to that of var."""
        ordered = np.empty_like(totals)
        ordered[:, self.reader.genes] = totals
        return ordered


def make_batches(atlas: Atlas, reader: RowReader, batch_key: str | None, threads: int) -> Batches:
    """Divide the reader's cells by a column of obs; all are one batch without one.

    Raises
    ------
    TitinError
        If there is no such column, a cell has no batch, or a batch has fewer than two cells.
    """
    column: Any = np.zeros(reader.n_cells, np.int64)
    if batch_key is not None:
        if batch_key not in atlas.obs:
            known = ", ".join(map(str, atlas.obs.columns))
            raise TitinError(f"obs has no column {batch_key!r}", f"columns of obs: {known}")
        column = atlas.ordered_obs[batch_key].to_numpy()[reader.cells]
    codes, uniques = pd.factorize(column, sort=True)
    if (codes < 0).any():
        cell = atlas.obs_names[reader.cells[np.flatnonzero(codes < 0)[0]]]
        raise TitinError(f"cell {cell!r} has no {batch_key}", "leave such cells out: cells=…")
    sizes = np.bincount(codes, minlength=len(uniques))
    names = [str(name) for name in uniques]
    if reader.n_cells < 2 or sizes.min() < 2:
        where = f"batch {names[sizes.argmin()]!r} of {batch_key}" if batch_key is not None else "the choice"
        n = int(sizes.min()) if len(sizes) else 0
        raise TitinError(f"{where} has {n} cell{'s' * (n != 1)}: no variance", "choose two cells or more of each batch")
    return Batches(reader, codes.astype(np.int64), names, sizes, threads)
