"""What is kept of obsp, varm, varp and sparse obsm: whole in itself, and that of the source."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from titin.atlas.kept_arrays import read_array
from titin.atlas.orders import gene_order
from titin.check.comparison import differing, frame_difference
from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.check.source import source_of, source_positions
from titin.dataset import layout
from titin.dataset.manifest import ARRAY_GROUPS, RAW, RAW_VARM, group_of
from titin.dataset.store import Store
from titin.errors import DatasetError
from titin.source import Source

_RESTORE = "restore the file from where it was published, or build the dataset again"
_AGAIN = "validate with the file it was built from, or build the dataset again"


@check(
    "integrity.arrays", "Every array that is kept beside the matrix can be read, and is as large as the manifest says."
)
def arrays(dataset: CheckedDataset) -> Outcome:
    """Every row and column of obsp, varm, varp and what of obsm is no embedding."""
    entries = dataset.manifest.arrays
    if not entries:
        return Outcome(skipped="no obsp, varm, varp or sparse obsm is kept")
    found, n_values = [], 0
    for place, entry in entries.items():
        try:
            value = read_array(*_within(dataset.atlas.store, place))
        except DatasetError as error:
            found.append(Finding(f"{place}: {error.args[0]}", entry["file"], _RESTORE))
            continue
        n = int(value.nnz if sparse.issparse(value) else value.size)
        n_values += n
        if n != entry["n_values"]:
            said = f"{place}: {n:,} values are stored, {layout.MANIFEST} says {entry['n_values']:,}"
            found.append(Finding(said, entry["file"], _RESTORE))
    return Outcome(found, f"{len(entries):,} arrays, {n_values:,} values")


@check("source.arrays", "Every array that is kept beside the matrix is the source's, bit for bit.", level="full",
       needs=["source"])  # fmt: skip
def source_arrays(dataset: CheckedDataset) -> Outcome:
    """Every value of obsp, varm, varp and what of obsm is no embedding, and that all of the source's are kept."""
    manifest, source = dataset.manifest, source_of(dataset)
    if not manifest.arrays and not source.arrays:
        return Outcome(skipped="no obsp, varm, varp or sparse obsm is kept")
    found, n_values = [], 0
    for place in source.arrays:
        if place not in manifest.arrays and place not in manifest.left_out:
            said = f"the source has {place}; the dataset has not, and does not say why"
            found.append(Finding(said, layout.MANIFEST, _AGAIN))
    for place, entry in manifest.arrays.items():
        theirs = _theirs(source, place)
        if theirs is None:
            found.append(Finding(f"the source has no {place}", entry["file"], _AGAIN))
            continue
        rows, (store, own) = ARRAY_GROUPS[group_of(place)], _within(dataset.atlas.store, place)
        order = source_positions(dataset) if rows == "cells" else gene_order(store)
        of = source.parts[RAW] if rows == RAW else source
        ours = read_array(store, own, order, of.obs.index if rows == "cells" else of.var.index)
        n_values += entry["n_values"]
        found += [Finding(f"{place}: {said}", entry["file"], _AGAIN) for said in _difference(ours, theirs)]
    return Outcome(found, f"{len(manifest.arrays):,} arrays, {n_values:,} values")


def _within(store: Store, place: str) -> tuple[Store, str]:
    """The matrix whose cells or genes are the rows of an array, and the place of the array beside it."""
    if group_of(place) == RAW_VARM:
        return store.part(RAW), place.removeprefix(f"{RAW}/")
    return store, place


def _theirs(source: Source, place: str) -> Any:
    """An array of the source; None where it has none of that place."""
    key = place.removeprefix("obsm/")
    if key == place:
        return source.arrays.get(place)
    return source.obsm.get(key)


def _difference(ours: Any, theirs: Any) -> Iterator[str]:
    """Say how two arrays differ: in type, in shape, or in the first of the values that do."""
    if isinstance(theirs, pd.DataFrame) or isinstance(ours, pd.DataFrame):
        if type(ours) is not type(theirs):
            yield f"it is a {type(ours).__name__}, the source's a {type(theirs).__name__}"
        elif problem := frame_difference(ours, theirs.set_axis(ours.index, axis=0)):
            yield f"{problem.message}{problem.where}"
        return
    kinds = [f"{one.format if sparse.issparse(one) else 'dense'} {one.dtype} {one.shape}" for one in (ours, theirs)]
    if kinds[0] != kinds[1]:
        yield f"it is {kinds[0]}, the source's {kinds[1]}"
    elif sparse.issparse(theirs):
        yield from _sparse_difference(sparse.csr_matrix(ours), sparse.csr_matrix(theirs))
    elif (differ := differing(ours.reshape(len(ours), -1), theirs.reshape(len(theirs), -1))).any():
        row, column = (int(i) for i in np.argwhere(differ)[0])
        first = ours.reshape(len(ours), -1)[row, column], theirs.reshape(len(theirs), -1)[row, column]
        yield f"{int(differ.sum()):,} values differ; the first is {first[0]}, not {first[1]}, in source row {row:,}"


def _sparse_difference(ours: sparse.csr_matrix, theirs: sparse.csr_matrix) -> Iterator[str]:
    theirs = theirs.copy()
    theirs.sort_indices()
    if ours.nnz != theirs.nnz:
        yield f"{ours.nnz:,} values are stored, {theirs.nnz:,} in the source"
        return
    rows = np.repeat(np.arange(ours.shape[0]), np.diff(ours.indptr))
    wrong = differing(ours.data[:, None], theirs.data[:, None])[:, 0] | (ours.indices != theirs.indices)
    if not np.array_equal(ours.indptr, theirs.indptr):
        yield "its values lie in other rows than the source's"
    elif wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        yield (f"{int(wrong.sum()):,} values differ; the first is {ours.data[at]} in column {ours.indices[at]:,}, "
               f"not {theirs.data[at]} in {theirs.indices[at]:,}, of source row {rows[at]:,}")  # fmt: skip
