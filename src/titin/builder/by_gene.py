"""The matrix by gene: filed by strips of genes as the cells come, then gathered and written a strip at a time."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.builder.cell_groups import Groups
from titin.builder.job import GENES, BuildJob
from titin.builder.scan import Scan
from titin.cluster import Cluster
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_column
from titin.dataset.block import bounded_runs
from titin.dataset.encoded_groups import EncodedGroups
from titin.dataset.kernels import append_parts
from titin.dataset.layout import required
from titin.dataset.spill import Spill, SpilledPart, run_length
from titin.parallel import ordered_map, read_ahead

_TAKEN_APART = "run"  # intermediate file: the strips of one run of them
_AT_ONCE = 4  # so small a part of a strip's values is taken apart at once

_Groups = list[list[NDArray[Any]]]


@dataclass(frozen=True)
class Strips:
    """Neighbouring row groups of genes, as many as memory allows to gather at a time.

    Attributes
    ----------
    starts
        First token of each strip, and after the last the number of genes.
    in_run
        Strips that are filed as one; see `titin.dataset.spill.run_length`.
    """

    starts: NDArray[np.int64]
    in_run: int

    @classmethod
    def of(cls, scan: Scan) -> "Strips":
        """The strips of a build."""
        sizes = scan.n_cells_by_gene[scan.source_columns]
        ends = np.concatenate([[0], np.cumsum(sizes)])
        starts = [0]
        for first, last in row_groups(sizes).tolist():
            if first > starts[-1] and ends[last] - ends[starts[-1]] > scan.strip_values:
                starts.append(first)
        return cls(np.array([*starts, len(sizes)], np.int64), run_length(len(starts)))

    @property
    def runs(self) -> list[NDArray[np.int64]]:
        """First token of each strip of each run, and the end of the last."""
        n = len(self.starts) - 1
        return [self.starts[a : a + self.in_run + 1] for a in range(0, n, self.in_run)]


class GeneFiler:
    """Files buckets of cells, in their order, by runs of strips.

    Each makes a group a run: cells a gene (uint32), then rows within the bucket and counts, gene by gene.
    """

    def __init__(self, job: BuildJob, scan: Scan) -> None:
        self._runs = [run[[0, -1]].tolist() for run in Strips.of(scan).runs]
        self.spill = Spill(job.work / GENES, len(self._runs))

    def append(self, gene_indptr: NDArray[np.int64], rows: NDArray[np.uint16], counts: NDArray[Any]) -> None:
        """File the next bucket: rows within it and counts, gene by gene; see `titin.builder.cell_buckets.Bucket`."""
        for run, (first, last) in enumerate(self._runs):
            indptr = gene_indptr[first : last + 1]
            own = slice(indptr[0], indptr[-1])
            self.spill.append(run, np.diff(indptr).astype(np.uint32), rows[own], counts[own])


def write_genes(job: BuildJob, scan: Scan, spill: Spill) -> list[str]:
    """Write ``expression_by_gene`` from what was filed by gene; return the names of its files."""
    groups = GeneGroups.of(job, scan)
    job.progress.start("write expression by gene", scan.nnz, "values")
    if job.resources.cluster is not None:
        return _write_on_workers(job, scan, spill, groups, job.resources.cluster)
    file = ParquetFile(job.out, job.layout.expression_by_gene, groups.schema, page_bytes=layout.GENE_PAGE_BYTES)
    for strip in read_ahead(_gathered(job, scan, spill)):
        groups.write(strip, file)
        job.progress.advance(len(strip.cells))
    return file.close()


def row_groups(n_cells_by_token: NDArray[np.int64]) -> NDArray[np.int64]:
    """Token ranges of the row groups: as many genes as stay within the bound of non-zeros, at least one.

    Returns
    -------
    int64, groups × 2: first token, end token.
    """
    indptr = np.concatenate([[0], np.cumsum(n_cells_by_token)])
    return np.array(bounded_runs(indptr, layout.ROW_GROUP_NONZEROS), np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class _Strip:
    """Genes from the token ``first`` on, with all of their cells or those of some buckets."""

    first: int
    sizes: NDArray[np.int64]
    cells: NDArray[np.uint32]
    counts: NDArray[Any]

    @property
    def indptr(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.sizes)])


@dataclass(frozen=True)
class GeneGroups:
    """``expression_by_gene``: names, token, number of cells, cells and counts of each gene.

    Attributes
    ----------
    schema
        Of the file.
    names
        Symbol and stable id of each token.
    n_cells
        int64, of each token.
    bounds
        int64, groups × 2; see `row_groups`.
    """

    schema: pa.Schema
    names: pa.Table
    n_cells: NDArray[np.int64]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, job: BuildJob, scan: Scan) -> "GeneGroups":
        """Those of a build."""
        n_cells = scan.n_cells_by_gene[scan.source_columns]
        element = layout.list_of(pa.from_numpy_dtype(scan.element))
        schema = job.index_schema(pa.schema([
            required(layout.GENE, pa.string()), required(layout.GENE_ID, pa.string()),
            required(layout.TOKEN, pa.int32()), required(layout.N_CELLS, pa.int64()),
            required(layout.CELLS, layout.list_of(pa.uint32())),
            required(scan.value_kind.entries, element),
        ]), layout.GENE)  # fmt: skip
        return cls(schema, job.gene_names(scan.source_columns), n_cells, row_groups(n_cells))

    def write(self, strip: "_Strip", file: Groups) -> None:
        """Write the row groups of a strip."""
        last = strip.first + len(strip.sizes)
        for a, b in self.bounds[(self.bounds[:, 0] >= strip.first) & (self.bounds[:, 0] < last)].tolist():
            offsets = strip.indptr[a - strip.first : b + 1 - strip.first]
            names = self.names.slice(a, b - a)
            file.write(pa.Table.from_arrays([
                names.column(layout.GENE), names.column(layout.GENE_IDS),
                pa.array(np.arange(a, b, dtype=np.int32)), pa.array(self.n_cells[a:b]),
                list_column(offsets, strip.cells), list_column(offsets, strip.counts),
            ], schema=self.schema))  # fmt: skip


@dataclass(frozen=True)
class _FiledStrip:
    """A strip as its values are filed: tokens of its first gene and of the one behind its last."""

    first: int
    end: int
    step: int
    part: SpilledPart


def _write_on_workers(job: BuildJob, scan: Scan, spill: Spill, groups: GeneGroups, cluster: Cluster) -> list[str]:
    """Write the file as in threads, byte for byte; the workers gather and encode strips, and write nothing."""
    file = ParquetFile(job.out, job.layout.expression_by_gene, groups.schema)

    def write(filed: Spill, starts: NDArray[np.int64], step: int) -> None:
        bounds = enumerate(pairwise(starts.tolist()))
        strips = (_FiledStrip(first, end, step, filed.part(number)) for number, (first, end) in bounds)
        with closing(cluster.map(_encode_strip, (groups, scan.element), strips, together=False)) as results:
            for n_values, encoded in results:
                for group in encoded:
                    file.write_encoded(group)
                job.progress.advance(n_values)

    strips = Strips.of(scan)
    try:
        if strips.in_run == 1:
            write(spill, strips.starts, scan.bucket_cells)
            return file.close()
        for run, starts in enumerate(strips.runs):
            with Spill(job.work / f"{_TAKEN_APART}.{run}", len(starts) - 1) as apart:
                _take_apart(job, scan, spill.groups(run), starts, apart)
                write(apart, starts, 0)
        return file.close()
    finally:
        file.abandon()


def _encode_strip(groups: GeneGroups, element: np.dtype, strip: _FiledStrip) -> tuple[int, list[bytes]]:
    """Gather and encode a strip, on a worker; return its number of values, and its row groups."""
    tokens = np.array([strip.first, strip.end], np.int64)
    joined, _ = _join(list(strip.part.groups()), tokens, 0, strip.step, element)
    encoding = EncodedGroups(groups.schema, page_bytes=layout.GENE_PAGE_BYTES)
    groups.write(joined, encoding)
    return len(joined.cells), encoding.groups


def _gathered(job: BuildJob, scan: Scan, spill: Spill) -> Iterator[_Strip]:
    """Strips in their order, each with all of its values."""
    strips = Strips.of(scan)

    def gather(filed: Spill, starts: NDArray[np.int64], step: int) -> Iterator[_Strip]:
        def work(strip: int) -> _Strip:
            return _join(filed.read(strip), starts[strip : strip + 2], 0, step, scan.element)[0]

        return ordered_map(work, range(len(starts) - 1), max(1, job.resources.threads - 1))

    if strips.in_run == 1:
        yield from gather(spill, strips.starts, scan.bucket_cells)
        return
    for run, starts in enumerate(strips.runs):
        with Spill(job.work / _TAKEN_APART, len(starts) - 1) as apart:
            _take_apart(job, scan, spill.groups(run), starts, apart)
            yield from gather(apart, starts, 0)


def _take_apart(
    job: BuildJob, scan: Scan, groups: Iterator[list[NDArray[Any]]], starts: NDArray[np.int64], apart: Spill
) -> None:
    """File the groups of a run by its strips; cells have their positions in the dataset then."""
    row = 0
    for some in _some(groups, job.resources.bucket_values // _AT_ONCE):
        joined, row = _join(some, starts, row, scan.bucket_cells, scan.element)
        indptr = joined.indptr
        for strip, (a, b) in enumerate(pairwise((starts - starts[0]).tolist())):
            own = slice(indptr[a], indptr[b])
            apart.append(strip, joined.sizes[a:b].astype(np.uint32), joined.cells[own], joined.counts[own])


def _some(groups: Iterator[list[NDArray[Any]]], limit: int) -> Iterator[_Groups]:
    """Groups, as many at a time as have so many values together."""
    some: _Groups = []
    for group in groups:
        some.append(group)
        if sum(len(rows) for _, rows, _ in some) >= limit:
            yield some
            some = []
    if some:
        yield some


def _join(groups: _Groups, tokens: NDArray[np.int64], row: int, step: int, element: np.dtype) -> tuple[_Strip, int]:
    """Join groups gene by gene; each of their parts stands for the ``step`` cells that follow ``row``.

    Returns
    -------
    strip, row
        What is joined, and the row that follows.
    """
    n_genes = int(tokens[-1] - tokens[0])
    sizes = np.zeros(n_genes, np.int64)
    for lengths, *_ in groups:
        sizes += lengths.reshape(-1, n_genes).sum(axis=0, dtype=np.int64)
    cursor = np.concatenate([[0], np.cumsum(sizes[:-1])])
    cells, counts = np.empty(int(sizes.sum()), np.uint32), np.empty(int(sizes.sum()), element)
    for lengths, rows, stored in groups:
        row = int(append_parts(lengths, rows, stored, row, step, cursor, cells, counts))
    groups.clear()
    return _Strip(int(tokens[0]), sizes, cells, counts), row
