"""The first pass on the workers of a cluster: they read ranges of the source, and return them encoded."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.builder.job import BuildJob
from titin.cluster import Cluster
from titin.dataset import layout
from titin.dataset.codec import Encoded, InvalidValueError, RefusedError, decode, encode
from titin.dataset.kinds import ValueKind
from titin.source.base import DistantRows, RowReader
from titin.source.counted import with_counts
from titin.source.reading import row_ranges

_TOGETHER = 4  # ranges of a task: one alone is little to send

# first cell, and pointers of X and of the counts beside it
_Range = tuple[int, NDArray[np.int64], NDArray[np.int64] | None]


@dataclass(frozen=True)
class EncodedRows:
    """Cells of the source as a worker encoded them.

    Attributes
    ----------
    start, n_cells
        Which.
    n_beyond
        See `titin.dataset.block.Block`.
    found
        The cells without their values, which follow from the rest; or why they cannot be encoded.
    """

    start: int
    n_cells: int
    n_beyond: int
    found: Encoded | RefusedError | InvalidValueError

    def encoded(self) -> Encoded:
        """The cells, as `titin.dataset.codec.encode` gives them here.

        Raises
        ------
        RefusedError, InvalidValueError
            As there.
        """
        if not isinstance(self.found, Encoded):
            raise self.found
        values = decode(self.found).astype(np.float64)
        return replace(self.found, genes=self.found.genes.astype(np.int32), values=values)


@dataclass(frozen=True)
class _RowPass:
    """What all tasks have in common."""

    rows: RowReader
    counts: RowReader | None
    kind: ValueKind
    n_genes: int
    allow_negative: bool


def encode_on_workers(job: BuildJob, kind: ValueKind, cluster: Cluster) -> Generator[EncodedRows, None, None] | None:
    """Yield all cells, in the order of the source; None where only this process can read it.

    Parameters
    ----------
    kind
        What to take the values for.
    """
    source = job.source
    rows, counts = source.X.distant_rows(), None if source.counts is None else source.counts.distant_rows()
    if rows is None or (source.counts is not None and counts is None):
        return None
    shared = _RowPass(rows.reader, counts and counts.reader, kind, source.X.shape[1], job.options.allow_negative)
    return _found(cluster, shared, _tasks(rows, counts, job.block_bytes))


def _found(cluster: Cluster, shared: _RowPass, tasks: Iterator[list[_Range]]) -> Generator[EncodedRows, None, None]:
    with closing(cluster.map(_encode, (shared,), tasks, together=False)) as results:
        for found in results:
            yield from found


def _tasks(rows: DistantRows, counts: DistantRows | None, max_bytes: int) -> Iterator[list[_Range]]:
    ranges: Iterator[_Range] = (
        (a, rows.indptr[a : b + 1], None if counts is None else counts.indptr[a : b + 1])
        for a, b in row_ranges(rows.indptr, rows.reader.entry_bytes, max_bytes)
    )
    return iter(lambda: list(islice(ranges, _TOGETHER)), [])


def _encode(shared: _RowPass, task: list[_Range]) -> list[EncodedRows]:
    """Read and encode ranges, on a worker."""
    return [_encode_range(shared, *each) for each in task]


def _encode_range(
    shared: _RowPass, start: int, indptr: NDArray[np.int64], known: NDArray[np.int64] | None
) -> EncodedRows:  # fmt: skip
    block = shared.rows.read(start, indptr)
    if shared.counts is not None and known is not None:
        block = with_counts(block, shared.counts.read(start, known))
    found: Any
    try:
        found = encode(
            block.indptr, block.indices, block.data, shared.n_genes, shared.kind.name, base=shared.kind.base,
            witness=block.counts, allow_negative=shared.allow_negative,
        )  # fmt: skip
        genes = found.genes.astype(np.uint16 if shared.n_genes <= layout.MAX_UINT16_GENES else np.uint32)
        found = replace(found, genes=genes, values=np.empty(0))
    except (RefusedError, InvalidValueError) as error:
        found = error.with_traceback(None)
    return EncodedRows(start, block.n_cells, block.n_beyond, found)
