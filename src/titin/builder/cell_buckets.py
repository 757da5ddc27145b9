"""Cells on their way to their final order: filed on disk by buckets of it, and sorted a bucket at a time."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.builder.job import BuildJob
from titin.dataset import layout
from titin.dataset.codec import Encoded
from titin.dataset.kernels import copy_runs, transpose
from titin.dataset.kinds import ValueKind
from titin.dataset.spill import Spill, SpilledPart, run_length
from titin.parallel import ordered_map

Cells = tuple[NDArray[Any], ...]
"""Cells as they are filed: position within the bucket (uint32), number of genes (int64), number of levels (int64) and
scale of each; then genes, counts and levels of the cells one after another."""

_TAKEN_APART = "run"  # intermediate file: the cells of one run of buckets


@dataclass(frozen=True)
class Bucket:
    """Cells ``start`` … in their final order.

    Attributes
    ----------
    indptr, tokens, counts
        CSR by ascending token.
    gene_indptr, rows, gene_counts
        The same matrix as CSC: for each token, rows within the bucket (ascending) and their counts.
    scale, level_indptr, levels
        As in `titin.dataset.codec.Encoded`; empty unless counts were recovered.
    """

    start: int
    indptr: NDArray[np.int64]
    tokens: NDArray[Any]
    counts: NDArray[Any]
    gene_indptr: NDArray[np.int64]
    rows: NDArray[np.uint16]
    gene_counts: NDArray[Any]
    scale: NDArray[np.float32]
    level_indptr: NDArray[np.int64]
    levels: NDArray[Any]

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.indptr) - 1


def run_cells(n_cells: int, bucket_cells: int) -> int:
    """Cells that the first pass files as one: those of a bucket, or of a run of them where there are many buckets."""
    return bucket_cells * run_length(-(-n_cells // bucket_cells))


def file_block(block: Encoded, positions: NDArray[np.int64], cells_a_run: int, n_genes: int) -> list[tuple[int, Cells]]:
    """A block's cells as they are filed, cut at the edges of the runs.

    Parameters
    ----------
    positions
        Of the block's cells, in the dataset's order.

    Returns
    -------
    list of run, cells
    """
    n_cells = len(block.indptr) - 1
    if ValueKind(block.kind).has_levels:
        n_levels, scale = np.diff(block.level_indptr), block.scale
    else:
        n_levels, scale = np.zeros(n_cells, np.int64), np.ones(n_cells, np.float32)
    genes = block.genes.astype(np.uint16 if n_genes <= layout.MAX_UINT16_GENES else np.uint32)
    lengths = np.diff(block.indptr)
    return _cut((positions[:n_cells], lengths, n_levels, scale, genes, block.counts, block.levels), cells_a_run)


def _cut(cells: Cells, size: int) -> list[tuple[int, Cells]]:
    """Order cells by their positions, and cut them where these pass a multiple of ``size``."""
    positions, lengths, n_levels, scale, genes, counts, levels = cells
    order = np.argsort(positions, kind="stable")
    target = positions[order].astype(np.int64)
    genes, starts = _reorder(genes, lengths, order)
    counts, _ = _reorder(counts, lengths, order)
    levels, level_starts = _reorder(levels, n_levels, order)
    lengths, n_levels, scale = lengths[order], n_levels[order], scale[order]
    edges = np.searchsorted(target, np.arange(target[0] // size, target[-1] // size + 2) * size)
    pieces: list[tuple[int, Cells]] = []
    for a, b in pairwise(edges.tolist()):
        if a == b:
            continue
        number = int(target[a]) // size
        local = (target[a:b] - number * size).astype(np.uint32)
        pieces.append((number, (
            local, lengths[a:b], n_levels[a:b], scale[a:b], genes[starts[a] : starts[b]],
            counts[starts[a] : starts[b]], levels[level_starts[a] : level_starts[b]],
        )))  # fmt: skip
    return pieces


def _reorder(
    elements: NDArray[Any], lengths: NDArray[np.int64], order: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Elements of the rows in another order, and where each row then starts (rows + 1)."""
    size = elements.dtype.itemsize
    before = np.concatenate([[0], np.cumsum(lengths[:-1])])
    starts = np.concatenate([[0], np.cumsum(lengths[order])])
    moved = np.empty_like(elements)
    source, target = elements.view(np.uint8), moved.view(np.uint8)
    copy_runs(source, before[order] * size, lengths[order] * size, target, starts * size)
    return moved, starts


def sorted_buckets(
    job: BuildJob, spill: Spill, bucket_cells: int, tokens: NDArray[np.int32], element: np.dtype
) -> Iterator[Bucket]:
    """Yield all cells in their final order, a bucket at a time, from what the first pass has filed.

    Parameters
    ----------
    tokens
        Of each gene, in source order.
    element
        Type of the counts.
    """
    n_cells = job.source.X.shape[0]
    cells_a_run = run_cells(n_cells, bucket_cells)

    def sort(filed: Spill, first: int) -> Iterator[Bucket]:
        def work(bucket: int) -> Bucket:
            start = first + bucket * bucket_cells
            return sort_bucket(filed.read(bucket), start, min(bucket_cells, n_cells - start), tokens, element)

        return ordered_map(work, range(filed.n_buckets), max(1, job.resources.threads - 1))

    if cells_a_run == bucket_cells:
        yield from sort(spill, 0)
        return
    for run, first in enumerate(range(0, n_cells, cells_a_run)):
        with _taken_apart(job, spill, bucket_cells, run, _TAKEN_APART) as apart:
            yield from sort(apart, first)


def _taken_apart(job: BuildJob, spill: Spill, bucket_cells: int, run: int, name: str) -> Spill:
    """File the cells of a run by its buckets, in an intermediate file of this name."""
    n_cells = job.source.X.shape[0]
    cells_a_run = run_cells(n_cells, bucket_cells)
    n_buckets = -(-min(cells_a_run, n_cells - run * cells_a_run) // bucket_cells)
    apart = Spill(job.work / name, n_buckets)
    try:
        for group in spill.groups(run):
            for bucket, cells in _cut(tuple(group), bucket_cells):
                apart.append(bucket, *cells)
    except BaseException:
        apart.discard()
        raise
    return apart


@dataclass(frozen=True)
class FiledBucket:
    """A bucket as the first pass has filed it: cells ``start`` …, in no order."""

    start: int
    n_cells: int
    part: SpilledPart

    @property
    def end(self) -> int:
        """The cell behind its last."""
        return self.start + self.n_cells


class FiledBuckets:
    """All buckets in their order, to be read by other processes; a context manager, which lets go of them.

    Parameters
    ----------
    job, spill, bucket_cells
        As for `sorted_buckets`.
    """

    def __init__(self, job: BuildJob, spill: Spill, bucket_cells: int) -> None:
        self._job, self._spill, self._bucket_cells = job, spill, bucket_cells
        self._apart: deque[tuple[int, Spill]] = deque()  # and the first cell behind it

    def __iter__(self) -> Iterator[FiledBucket]:
        n_cells, size = self._job.source.X.shape[0], self._bucket_cells
        cells_a_run = run_cells(n_cells, size)
        for run, first in enumerate(range(0, n_cells, cells_a_run)):
            filed, numbers = self._spill, range(run, run + 1)
            if cells_a_run > size:
                filed = _taken_apart(self._job, self._spill, size, run, f"{_TAKEN_APART}.{run}")
                self._apart.append((first + cells_a_run, filed))
                numbers = range(filed.n_buckets)
            for number, start in zip(numbers, range(first, n_cells, size), strict=False):
                yield FiledBucket(start, min(size, n_cells - start), filed.part(number))

    def are_done(self, cells: int) -> None:
        """Say that the first cells are needed no more."""
        while self._apart and self._apart[0][0] <= cells:
            self._apart.popleft()[1].discard()

    def __enter__(self) -> "FiledBuckets":
        return self

    def __exit__(self, *_: object) -> None:
        while self._apart:
            self._apart.popleft()[1].discard()


def sort_bucket(
    groups: list[list[NDArray[Any]]], start: int, n_cells: int, tokens: NDArray[np.int32], element: np.dtype
) -> Bucket:
    """Put a bucket's cells in place and its genes in token order, by transposing twice; ``groups`` are let go of."""
    lengths, level_lengths = np.zeros(n_cells, np.int64), np.zeros(n_cells, np.int64)
    scale = np.ones(n_cells, np.float32)
    for local, n, n_levels, group_scale, *_ in groups:
        lengths[local], level_lengths[local], scale[local] = n, n_levels, group_scale
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    level_indptr = np.concatenate([[0], np.cumsum(level_lengths)])
    genes = _place([(g[0], g[1], g[4]) for g in groups], indptr, None)
    counts = _place([(g[0], g[1], g[5]) for g in groups], indptr, element)
    levels = _place([(g[0], g[2], g[6]) for g in groups], level_indptr, None)
    groups.clear()
    gene_indptr = np.empty(len(tokens) + 1, np.int64)
    rows, gene_counts = np.empty(len(genes), np.uint16), np.empty_like(counts)
    transpose(indptr, genes, counts, tokens, rows, gene_counts, gene_indptr)
    in_place = np.arange(n_cells, dtype=np.int32)
    transpose(gene_indptr, rows, gene_counts, in_place, genes, counts, np.empty_like(indptr))
    return Bucket(start, indptr, genes, counts, gene_indptr, rows, gene_counts, scale, level_indptr, levels)


def _place(
    groups: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]], indptr: NDArray[np.int64], dtype: np.dtype | None
) -> NDArray[Any]:
    """Copy each group's runs of elements to their rows."""
    dtype = dtype or (groups[0][2].dtype if groups else np.dtype(np.float64))
    size = dtype.itemsize
    out = np.empty(int(indptr[-1]), dtype)
    for local, lengths, elements in groups:
        source = np.ascontiguousarray(elements, dtype).view(np.uint8)
        starts = np.concatenate([[0], np.cumsum(lengths[:-1])]) * size
        copy_runs(source, starts, lengths * size, out.view(np.uint8), indptr[local] * size)
    return out
