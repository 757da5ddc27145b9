"""Row blocks of a matrix, each with the counts that are known to lie behind its values."""

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from titin.dataset.block import Block
from titin.dataset.kernels import align_witness
from titin.source.base import Matrix


def blocks_with_counts(X: Matrix, counts: Matrix | None, max_bytes: int, scratch: Path) -> Generator[Block, None, None]:
    """Yield the blocks of a matrix, each with the counts of the matrix beside it that go with its values.

    Blocks that have their counts already, as those of a dataset, are given as they are.
    """
    rows: _Rows | None = None
    for block in X.blocks(max_bytes, scratch):
        if counts is None or block.counts is not None:
            yield block
            continue
        rows = rows or _Rows(counts.blocks(max_bytes, scratch))
        yield with_counts(block, rows.take(block.n_cells))


def with_counts(block: Block, known: Block) -> Block:
    """A block, with the counts that another of the same cells has for its values."""
    aligned = np.zeros(len(block.data))
    beyond = align_witness(
        block.indptr, np.asarray(block.indices, np.int64),
        known.indptr, np.asarray(known.indices, np.int64), np.asarray(known.data, np.float64), aligned,
    )  # fmt: skip
    return replace(block, counts=aligned, n_beyond=int(beyond))


class _Rows:
    """Cut a stream of blocks at other places."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._parts: list[Block] = []

    def take(self, n_cells: int) -> Block:
        """Return the next ``n_cells`` cells as one block."""
        while sum(p.n_cells for p in self._parts) < n_cells:
            self._parts.append(next(self._blocks))
        whole = _join(self._parts)
        rest = whole.part(n_cells, whole.n_cells)
        rest = replace(rest, indices=rest.indices.copy(), data=rest.data.copy())
        self._parts = [rest] if rest.n_cells else []
        return whole.part(0, n_cells)


def _join(parts: list[Block]) -> Block:
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([np.diff(p.indptr) for p in parts])
    return Block(
        parts[0].start,
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([p.indices for p in parts]),
        np.concatenate([p.data for p in parts]),
    )
