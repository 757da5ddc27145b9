"""What PCA asks of all cells, one pass each: moments, products with the scatter matrix, all products, and scores.

A is cells × genes less ``mean``, which is taken off implicitly. No result depends on the number of threads, bit for
bit.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from titin.atlas.row_reader import RowReader
from titin.embed import _kernels
from titin.parallel import ordered_map
from titin.source import Block

Floats = NDArray[np.float64]
Advance = Callable[[int], None]


def moments(reader: RowReader, threads: int) -> tuple[Floats, Floats]:
    """Sum and sum of squares of each gene, float64."""

    def work(blocks: Iterator[Block]) -> tuple[Floats, Floats]:
        sums, squares = np.zeros(reader.n_genes), np.zeros(reader.n_genes)
        for block in blocks:
            _kernels.add_moments(block.indptr, block.indices, block.data, sums, squares)
        return sums, squares

    sums, squares = reader.sum(work, threads)
    return sums, squares


def scatter_product(reader: RowReader, mean: Floats, Q: NDArray[np.float32], threads: int) -> Floats:
    """AᵀA Q, genes × columns of ``Q``: float32 within a few thousand cells, float64 between them.

    As A is centred before it is multiplied, nothing cancels: AᵀA Q is what the stored values give, less mean × the
    columns' sums of A Q, which are 0.
    """
    Q = np.ascontiguousarray(Q)
    offset = (mean @ Q).astype(np.float32)

    def work(blocks: Iterator[Block]) -> tuple[NDArray[np.float32]]:
        Z = np.zeros_like(Q)
        for block in blocks:
            _kernels.add_products(block.indptr, block.indices, block.data, Q, offset, Z)
        return (Z,)

    (product,) = reader.sum(work, threads)
    return product


def gram_matrix(reader: RowReader, threads: int, advance: Advance) -> tuple[Floats, Floats]:
    """Upper triangle of the genes' products without centring, genes × genes, and each gene's sum, from one pass.

    Each thread adds every block to its own rows of the matrix, in float64.
    """
    gram, sums = np.zeros((reader.n_genes, reader.n_genes)), np.zeros(reader.n_genes)
    with ThreadPoolExecutor(threads, thread_name_prefix="titin-gram") as pool:
        for block in ordered_map(reader.read, reader.shares, threads):
            entries = block.indptr, block.indices, block.data
            parts = [pool.submit(_kernels.add_gram, *entries, part, threads, gram) for part in range(threads)]
            sums += np.bincount(block.indices, block.data, minlength=reader.n_genes)
            for part in parts:
                part.result()
            advance(block.n_cells)
    return gram, sums


def project(reader: RowReader, mean: Floats, V: Floats, threads: int) -> NDArray[np.float32]:
    """A V, cells × columns of ``V``, in the reader's order; float32."""
    Q = np.ascontiguousarray(V, np.float32)
    offset = (mean @ V).astype(np.float32)
    scores = np.empty((reader.n_cells, V.shape[1]), np.float32)

    def work(block: Block) -> None:
        rows = scores[block.start : block.start + block.n_cells]
        _kernels.multiply(block.indptr, block.indices, block.data, Q, offset, rows)

    for _ in reader.map(work, threads):
        pass
    return scores
