"""Matrices of a file of the CELLxGENE schema: which are its counts and its values, written as CSR in float32."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.dataset.manifest import RAW
from titin.errors import TitinError
from titin.exporter.anndata_file import Appender, shape_entry
from titin.exporter.job import ExportJob
from titin.text import count

_LARGEST = 2**24  # whole numbers up to it are float32 exactly


@dataclass(frozen=True)
class GenePlaces:
    """Which genes of a matrix are written, and where.

    Attributes
    ----------
    columns
        Of the source, ascending.
    places
        Column of each in the file.
    n_genes
        Of the file.
    """

    columns: NDArray[np.int64]
    places: NDArray[np.int64]
    n_genes: int


@dataclass(frozen=True)
class MatrixPlan:
    """What is written as counts, and what as values beside them.

    Attributes
    ----------
    counts
        The matrix of counts.
    values
        That of normalised values, of the same cells; None where there are only counts.
    layer
        Name of the layer that the counts are from, if they are of one.
    """

    counts: ExportJob
    values: ExportJob | None
    layer: str | None = None


def plan_matrices(job: ExportJob) -> MatrixPlan:
    """Find the counts: those of the matrix itself, of raw, or of a layer.

    Raises
    ------
    TitinError
        If there are none, which the schema asks for.
    """
    manifest, kind = job.manifest, job.manifest.value_kind
    values = replace(job, counts=False)
    if kind.has_counts:
        return MatrixPlan(replace(job, counts=True), values if kind.has_levels else None)
    for place in (RAW, *manifest.layers.values()):
        if place in manifest.parts and manifest.part(place).value_kind.has_counts:
            layer = next((name for name, own in manifest.layers.items() if own == place), None)
            return MatrixPlan(replace(job.of(job.store.part(place)), counts=True), values, layer)
    raise TitinError(
        f"the schema of CELLxGENE wants counts, and this dataset has none: {manifest.why_no_counts}",
        "where the source has counts in raw or in a layer, build it again with --with-raw or --layers NAME",
    )


def same_places(positions: NDArray[np.int64]) -> GenePlaces:
    """Genes one after another, of a matrix that has them in the order of the file."""
    return GenePlaces(positions, np.arange(len(positions)), len(positions))


def places_among(ids: list[str | None], of_file: list[str], left_out: set[str]) -> GenePlaces:
    """Genes of a matrix whose own order is another, by their ids.

    Parameters
    ----------
    ids
        Of the matrix, one a gene; None for those that have none.
    of_file
        Of the genes of the file.
    left_out
        Ids that are not exported.

    Raises
    ------
    TitinError
        If the file lacks one, or an id stands for two genes.
    """
    place = pd.Index(of_file)
    found = place.get_indexer(pd.Index([own if own is not None else "" for own in ids]))
    lacking = [own for own, at in zip(ids, found, strict=True) if at < 0 and own is not None and own not in left_out]
    if lacking:
        raise TitinError(f"X has {count(len(lacking), 'gene')} that the counts in raw have not, such as {lacking[0]}",
                         "name them in leave_out of the file of terms")  # fmt: skip
    columns = np.flatnonzero(found >= 0)
    if len(np.unique(found[columns])) < len(columns):
        raise TitinError("several genes of X have one id", "name all but one of them in leave_out of the file of terms")
    return GenePlaces(columns, found[columns].astype(np.int64), len(of_file))


def write_float_csr(job: ExportJob, parent: Any, name: str, place: str, genes: GenePlaces) -> NDArray[np.int64]:
    """Write genes of a matrix, block by block, without zeros.

    Returns
    -------
    How many values each cell has, in the order of the source.

    Raises
    ------
    TitinError
        If a count is too large for float32.
    """
    n_cells, most = job.manifest.n_cells, job.manifest.nnz
    group = parent.create_group(name)
    shape = shape_entry(group, (n_cells, genes.n_genes))
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
    index = np.dtype(np.int32) if most < 2**31 else np.dtype(np.int64)
    data = Appender(group, "data", most, np.dtype(np.float32), job.compression)
    indices = Appender(group, "indices", most, index, job.compression)
    lengths = []
    job.progress.start(f"write {place}", n_cells, "cells")
    for block in job.blocks(columns=genes.columns):
        if job.counts and len(block.data) and block.data.max() > _LARGEST:
            raise TitinError(f"a count of {int(block.data.max()):,} is no float32, as the schema wants them",
                             "export as --format h5ad")  # fmt: skip
        columns = genes.places[block.indices].astype(np.int32)
        own = sparse.csr_matrix((block.data.astype(np.float32), columns, block.indptr), (block.n_cells, genes.n_genes))
        own.sort_indices()
        own.eliminate_zeros()
        data.append(own.data)
        indices.append(own.indices.astype(index))
        lengths.append(np.diff(own.indptr).astype(np.int64))
        job.progress.advance(block.n_cells)
    data.finish()
    indices.finish()
    n_values = np.concatenate(lengths)
    indptr = np.concatenate([[0], np.cumsum(n_values)]).astype(index)
    pointers = Appender(group, "indptr", len(indptr), index, job.compression)
    pointers.append(indptr)
    pointers.finish()
    return n_values
