"""What PCA asks of all cells, one pass each: moments, products with the scatter matrix, all products, and scores.

A is cells × genes less ``mean``, which is taken off implicitly. No result depends on the number of threads or workers,
bit for bit.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas.passes import BlockReader
from titin.dataset.block import Block
from titin.dataset.kernels import add_gram, add_moments
from titin.embed import kernels as _kernels
from titin.extras import require
from titin.parallel import ordered_map

_DENSE_SPEED = 32  # products that a dense multiplication does in the time of one that is added by itself
_STRIP = 512
_GRAM_LANES = 8

Floats = NDArray[np.float64]
Advance = Callable[[int], None]


def moments(reader: BlockReader, threads: int) -> tuple[Floats, Floats]:
    """Sum and sum of squares of each gene, float64."""
    sums, squares = reader.sum(partial(_moments, reader.n_genes), threads)
    return sums, squares


def _moments(n_genes: int, blocks: Iterator[Block]) -> tuple[Floats, Floats]:
    sums, squares, stored = np.zeros((3, 1, n_genes))
    for block in blocks:
        one_group = np.zeros(block.n_cells, np.int64)
        add_moments(block.indptr, block.indices, block.data, one_group, sums, squares, stored)
    return sums[0], squares[0]


def scatter_product(reader: BlockReader, mean: Floats, Q: NDArray[np.float32], threads: int) -> Floats:
    """AᵀA Q, genes × columns of ``Q``: float32 within a few thousand cells, float64 between them.

    As A is centred before it is multiplied, nothing cancels: AᵀA Q is what the stored values give, less mean × the
    columns' sums of A Q, which are 0.
    """
    Q = np.ascontiguousarray(Q)
    (product,) = reader.sum(partial(_products, Q, (mean @ Q).astype(np.float32)), threads)
    return product


def _products(
    Q: NDArray[np.float32], offset: NDArray[np.float32], blocks: Iterator[Block]
) -> tuple[NDArray[np.float32]]:
    Z = np.zeros_like(Q)
    for block in blocks:
        _kernels.add_products(block.indptr, block.indices, block.data, Q, offset, Z)
    return (Z,)


def gram_matrix(reader: BlockReader, threads: int, advance: Advance) -> tuple[Floats, Floats]:
    """Upper triangle of the genes' products without centring, genes × genes, and each gene's sum, from one pass.

    Blocks in which cells express few of the genes are added value by value, each thread having its own rows of the
    matrix; others as dense float32 matrices of some hundred cells, which takes less from a sixth of the genes on.
    Several lanes have a matrix of their own, which is then added: one is as large as what many cells give.
    """
    runs = [range(first, min(first + _GRAM_LANES, len(reader.lanes)))
            for first in range(0, len(reader.lanes), _GRAM_LANES)]  # fmt: skip
    grams: Iterator[tuple[Floats, Floats]]
    if reader.cluster is None:
        grams = (_gram_of(reader, run, threads, advance) for run in runs)
    else:
        told = reader.cells_of_lanes
        grams = reader.cluster.map(_gram_of, (reader,), runs, told=lambda run: advance(told(run)), together=False)
    gram, sums = np.zeros((reader.n_genes, reader.n_genes)), np.zeros(reader.n_genes)
    for its_gram, its_sums in grams:
        gram += its_gram
        sums += its_sums
        del its_gram  # before there is the next
    return gram, sums


def _gram_of(
    reader: BlockReader, lanes: range, threads: int = 1, advance: Advance = lambda _: None
) -> tuple[Floats, Floats]:
    gram, sums = np.zeros((reader.n_genes, reader.n_genes)), np.zeros(reader.n_genes)
    chosen = [part for lane in lanes for part in reader.lanes[lane]]
    limit = require("threadpoolctl", "PCA").threadpool_limits(1, "blas")  # products depend on its threads
    with limit, ThreadPoolExecutor(threads, thread_name_prefix="titin-gram") as pool:
        for block in ordered_map(reader.read, chosen, threads):
            entries = block.indptr, block.indices, block.data
            lengths = np.diff(block.indptr).astype(np.float64)
            if (lengths**2).sum() * _DENSE_SPEED > block.n_cells * float(reader.n_genes) ** 2:
                _add_dense(gram, block, pool)
            else:
                add = partial(add_gram, *entries)
                parts = [pool.submit(add, part, threads, gram) for part in range(threads)]
                for part in parts:
                    part.result()
            sums += np.bincount(block.indices, block.data, minlength=reader.n_genes)
            advance(block.n_cells)
    return gram, sums


def _add_dense(gram: Floats, block: Block, pool: ThreadPoolExecutor) -> None:
    """Add the products of a block, some strips of the triangle at a time."""
    n_genes = len(gram)
    dense = sparse.csr_matrix((block.data, block.indices, block.indptr), (block.n_cells, n_genes)).toarray()

    def add(start: int) -> None:
        stop = min(start + _STRIP, n_genes)
        gram[start:stop, start:] += dense[:, start:stop].T @ dense[:, start:]

    list(pool.map(add, range(0, n_genes, _STRIP)))


def project(reader: BlockReader, mean: Floats, V: Floats, threads: int) -> NDArray[np.float32]:
    """A V, cells × columns of ``V``, in the reader's order; float32."""
    Q = np.ascontiguousarray(V, np.float32)
    offset = (mean @ V).astype(np.float32)
    scores = np.empty((reader.n_cells, V.shape[1]), np.float32)
    for rows, found in reader.spread(partial(_multiply, Q, offset), threads):
        scores[rows] = found
    return scores


def _multiply(Q: NDArray[np.float32], offset: NDArray[np.float32], block: Block) -> NDArray[np.float32]:
    scores = np.empty((block.n_cells, Q.shape[1]), np.float32)
    _kernels.multiply(block.indptr, block.indices, block.data, Q, offset, scores)
    return scores
