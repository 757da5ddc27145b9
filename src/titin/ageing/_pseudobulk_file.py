"""``PREFIX_pseudobulk.parquet``: one row a group, counts and detection as lists by ascending token."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas import Atlas, Store, open_atlas
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_arrays, list_column
from titin.dataset.revision import revise
from titin.progress import Progress
from titin.publish import refresh_card

if TYPE_CHECKING:
    from titin.ageing.pseudobulk import Pseudobulk

_ROW_GROUP_ENTRIES = 500_000


def write_pseudobulk(atlas: Atlas, *, threads: int | None = None, progress: Progress | None = None) -> Atlas:
    """Compute the pseudobulk of a dataset and put it into it, recorded in its manifest, in one step.

    Parameters
    ----------
    atlas
        A local dataset.
    threads, progress
        As for `pseudobulk`.

    Returns
    -------
    Atlas
        The dataset as it is now.

    Raises
    ------
    TitinError
        If the dataset lies elsewhere, or has no counts or donors.
    OutputError
        If it cannot be written.
    """
    from titin.ageing.pseudobulk import pseudobulk

    folder, name = atlas.folder, atlas.layout.pseudobulk
    found = pseudobulk(atlas, threads=threads, progress=progress)
    with revise(folder) as draft:
        for shard in draft.manifest.shards(name) if has_file(atlas.store) else ():
            draft.remove(shard)
        draft.changed.update(_write(found, draft.folder, name))
        refresh_card(draft)
    resources = atlas.reader.resources
    return open_atlas(folder, memory=resources.memory, threads=resources.threads)


def has_file(store: Store) -> bool:
    """Whether the dataset has its pseudobulk with it."""
    stem = store.manifest.layout.pseudobulk.removesuffix(".parquet")
    return any(name.startswith(stem) for name in store.manifest.files)


def read_file(store: Store, levels: Sequence[str]) -> tuple[pd.DataFrame, sparse.csr_matrix, sparse.csr_matrix] | None:
    """Read groups, counts and detection; None where the dataset has no file, or one of other levels.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced.
    """
    if not has_file(store):
        return None
    name = store.manifest.layout.pseudobulk
    table = store.table(name)
    lists = (layout.GENES, layout.COUNTS, layout.CELLS)
    if not set(levels) <= set(table.column_names):
        return None
    n_genes = store.manifest.n_genes
    try:
        indptr, tokens = list_arrays(table.column(layout.GENES))
        matrices = [_matrix(indptr, tokens, list_arrays(table.column(c)), n_genes) for c in lists[1:]]
    except (KeyError, ValueError) as error:
        raise store.damaged(store.manifest.shards(name)[0], error) from error
    groups = pd.DataFrame({c: _values(table.column(c)) for c in table.column_names if c not in lists})
    return groups, matrices[0], matrices[1]


def _matrix(
    indptr: NDArray[np.int64], tokens: NDArray[Any], column: tuple[NDArray[np.int64], NDArray[Any]], n_genes: int
) -> sparse.csr_matrix:
    if not np.array_equal(indptr, column[0]):
        raise ValueError("its lists differ in length")
    if len(tokens) and int(tokens.max()) >= n_genes:
        raise ValueError(f"it names gene {int(tokens.max()):,} of {n_genes:,}")
    return sparse.csr_matrix((column[1].astype(np.int64), tokens.astype(np.int32), indptr), (len(indptr) - 1, n_genes))


def _values(column: pa.ChunkedArray) -> Any:
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return column.to_numpy()
    return np.array(column.to_pylist(), object)


def _write(found: "Pseudobulk", folder: Any, name: str) -> list[str]:
    counts, detected, groups = found.counts, found.detected, found.groups
    numeric = [c for c in groups if pd.api.types.is_numeric_dtype(groups[c].dtype)]
    labels = {
        c: pa.array(groups[c]) if c in numeric else pa.array(groups[c], pa.string()).dictionary_encode() for c in groups
    }
    tokens = layout.gene_type(counts.shape[1])
    large = counts.data.max(initial=0) > np.iinfo(np.uint32).max
    types = {layout.GENES: tokens, layout.COUNTS: pa.uint64() if large else pa.uint32(), layout.CELLS: pa.uint32()}
    fields = [pa.field(str(c), values.type) for c, values in labels.items()]
    fields += [layout.required(c, layout.list_of(t)) for c, t in types.items()]
    schema = pa.schema(fields)
    file = ParquetFile(folder, name, schema)
    for start, end in _row_groups(counts.indptr):
        part = slice(counts.indptr[start], counts.indptr[end])
        indptr = counts.indptr[start : end + 1].astype(np.int64) - counts.indptr[start]
        data = {layout.GENES: counts.indices, layout.COUNTS: counts.data, layout.CELLS: detected.data}
        lists = [list_column(indptr, data[c][part].astype(t.to_pandas_dtype())) for c, t in types.items()]
        plain = [values.slice(start, end - start) for values in labels.values()]
        file.write(pa.Table.from_arrays([*plain, *lists], schema=schema))
    return file.close()


def _row_groups(indptr: NDArray[Any]) -> list[tuple[int, int]]:
    """Rows in runs of a bounded number of entries, at least one row each."""
    ends, n_rows = [0], len(indptr) - 1
    while ends[-1] < n_rows:
        next_end = int(np.searchsorted(indptr, indptr[ends[-1]] + _ROW_GROUP_ENTRIES, side="right")) - 1
        ends.append(min(n_rows, max(ends[-1] + 1, next_end)))
    return list(itertools.pairwise(ends))
