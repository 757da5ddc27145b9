"""Third pass: strips of genes over all cells, written as ``expression_by_gene``."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.build.context import Context
from titin.build.scan import Scan
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_column
from titin.dataset.kernels import append_runs
from titin.dataset.layout import required
from titin.dataset.spill import Spill
from titin.parallel import ordered_map, read_ahead


def write_genes(context: Context, scan: Scan, spill: Spill) -> list[str]:
    """Write ``expression_by_gene``; return the names of its files."""
    n_cells_by_token = scan.n_cells_by_gene[scan.source_columns]
    groups = row_groups(n_cells_by_token)
    indptr = np.concatenate([[0], np.cumsum(n_cells_by_token)])
    genes = context.gene_names(scan.source_columns)
    element = layout.list_of(pa.from_numpy_dtype(scan.element))
    schema = context.index_schema(pa.schema([
        required(layout.GENE, pa.string()), required(layout.GENE_ID, pa.string()),
        required(layout.TOKEN, pa.int32()), required(layout.N_CELLS, pa.int64()),
        required(layout.CELLS, layout.list_of(pa.uint32())),
        required(layout.VALUES if scan.kind == "real" else layout.COUNTS, element),
    ]), layout.GENE)  # fmt: skip
    file = ParquetFile(context.out, context.layout.expression_by_gene, schema)
    context.progress.start("write expression by gene", len(genes), "genes")
    for first, last, cells, counts in _strips(context, scan, spill, groups, indptr):
        for a, b in groups[(groups[:, 0] >= first) & (groups[:, 0] < last)].tolist():
            offsets = indptr[a : b + 1] - indptr[first]
            names = genes.slice(a, b - a)
            file.write(pa.Table.from_arrays([
                names.column(layout.GENE), names.column(layout.GENE_IDS),
                pa.array(np.arange(a, b, dtype=np.int32)), pa.array(n_cells_by_token[a:b]),
                list_column(offsets, cells), list_column(offsets, counts),
            ], schema=schema))  # fmt: skip
        context.progress.advance(last - first)
    return file.close()


def row_groups(n_cells_by_token: NDArray[np.int64]) -> NDArray[np.int64]:
    """Token ranges of the row groups: as many genes as stay within the bound of non-zeros, at least one.

    Returns
    -------
    int64, groups × 2: first token, end token.
    """
    ends = np.cumsum(n_cells_by_token)
    groups, first = [], 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + layout.ROW_GROUP_NONZEROS, side="right")))
        groups.append((first, last))
        first = last
    return np.array(groups, np.int64).reshape(-1, 2)


_Strip = tuple[int, int, NDArray[np.uint32], NDArray]


def _strips(
    context: Context, scan: Scan, spill: Spill, groups: NDArray[np.int64], indptr: NDArray[np.int64]
) -> Iterator[_Strip]:
    """Row groups gathered from all buckets, as many at a time as memory allows."""
    limit = context.resources.bucket_values
    ranges, first = [], 0
    for i in range(len(groups)):
        last = groups[i, 1]
        following = groups[i + 1, 1] if i + 1 < len(groups) else None
        if following is None or indptr[following] - indptr[first] > limit:
            ranges.append((int(first), int(last)))
            first = last

    def work(strip: tuple[int, int]) -> _Strip:
        return _gather(scan, spill, indptr, *strip)

    return read_ahead(ordered_map(work, ranges, max(1, context.resources.threads - 1)))


def _gather(scan: Scan, spill: Spill, indptr: NDArray[np.int64], first: int, last: int) -> _Strip:
    """Join what every bucket has of the tokens ``first`` … ``last - 1``; buckets come in cell order."""
    start = indptr[first]
    cells = np.empty(int(indptr[last] - start), np.uint32)
    counts = np.empty(len(cells), scan.element)
    cursor = indptr[first:last] - start
    for bucket in range(spill.n_buckets):
        (pointers,) = spill.read_slices(bucket, 0, [(first, last + 1)])
        a, b = int(pointers[0]), int(pointers[-1])
        _, rows, part = spill.read_slices(bucket, 0, [(0, 0), (a, b), (a, b)])
        append_runs(pointers - a, rows, part, bucket * scan.bucket_cells, cursor, cells, counts)
    return first, last, cells, counts
