"""A dataset as AnnData on disk, written block by block."""

import io
import os
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.kept_arrays import KeptArrays, array_places, read_array
from titin.atlas.orders import gene_order, source_order
from titin.atlas.tables import read_embedding, read_loadings, read_obs, read_source_var, read_uns
from titin.dataset.manifest import RAW
from titin.dataset.store import Store
from titin.dataset.tables import values_of
from titin.errors import TitinError
from titin.exporter.job import ExportJob
from titin.exporter.names import check_keys, check_table, split_name
from titin.extras import check_installed

_CHUNK = 2**17  # stored values a chunk
_DENSE_CHUNK_BYTES = 2**20


def write_h5ad(job: ExportJob, path: Path) -> None:
    """Write an ``.h5ad`` file."""
    check_installed("anndata", "this format")
    import h5py

    if job.manifest.modalities:
        kept = ", ".join(job.manifest.modalities)
        job.progress.note(f"an .h5ad file has no place for {kept}: titin export --to h5mu writes them beside the genes")
    with PatientFile(path) as file:
        with h5py.File(file, "w") as root:
            write_root(job, root, "h5ad")
        file.check()


class PatientFile(io.FileIO):
    """A file that swallows a failure to write until `check`: the HDF5 library crashes where a disk is full."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or remember why not."""
        view = memoryview(data).cast("B")
        at, end = self.tell(), self.tell() + len(view)
        try:
            while self._error is None and len(view):
                view = view[super().write(view) :]
        except OSError as error:
            self._error = error
        if self._error is not None:  # a hole takes no space
            super().truncate(max(end, self.seek(0, os.SEEK_END)))
            self.seek(end)
        return end - at

    def check(self) -> None:
        """Raise what a write has failed with."""
        if self._error is not None:
            raise self._error


def write_zarr(job: ExportJob, path: Path) -> None:
    """Write an AnnData ``.zarr`` folder, format 2, which every release of anndata reads."""
    check_installed("anndata", "this format")
    import zarr

    from titin.exporter.zarr_store import stoppable_store

    with stoppable_store(path) as store:
        write_root(job, zarr.open_group(store, mode="w", zarr_format=2), "zarr")


def write_root(job: ExportJob, root: Any, to: str) -> None:
    """Write a dataset as AnnData into a group of HDF5 (``h5ad``) or ``zarr``."""
    from anndata import settings

    store, manifest = job.store, job.manifest
    order = source_order(store)
    obs, var, uns = read_obs(store, order), read_source_var(store), dict(read_uns(store))
    beside = _arrays(store, order, obs.index, var.index)
    raw = store.part(RAW) if RAW in manifest.parts else None
    raw_var = None if raw is None else read_source_var(raw)
    of_raw = {} if raw is None or raw_var is None else _arrays(raw, order, obs.index, raw_var.index)["varm"]
    for table, place in ((obs, "obs"), (var, "var"), (raw_var, "raw/var")):
        if table is not None:
            check_table(table, place, to)
    mappings: dict[str, Mapping[str, Any]] = {**beside, "uns": uns}
    for place, mapping in (mappings | {"layers": dict.fromkeys(manifest.layers), "raw/varm": of_raw}).items():
        check_keys(mapping, place, to)
    # a source may hold text with missing values, which anndata by default reads but does not write
    with warnings.catch_warnings(), settings.override(allow_write_nullable_strings=True):
        # anndata announces changes of its defaults here; what is written is the same either way
        warnings.simplefilter("ignore")
        write_table(root, "obs", obs, to)
        write_table(root, "var", var, to)
        for place, mapping in (mappings | {"layers": {}}).items():
            write_element(root, place, {}, place, to)
            for key, value in mapping.items():
                write_element(root[place], key, value, f"{place}/{key}", to)
        if raw_var is not None:
            group = root.create_group("raw")
            group.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
            write_table(group, "var", raw_var, to)
            write_element(group, "varm", {}, "raw/varm", to)
            for key, value in of_raw.items():
                write_element(group["varm"], key, value, f"raw/varm/{key}", to)
    root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    write_matrix(job, root, "X", "X")
    for name, place in manifest.layers.items():
        write_matrix(job.of(store.part(place)), root["layers"], name, place)
    if raw is not None:
        write_matrix(job.of(raw), root["raw"], "X", "raw/X")


def _arrays(store: Store, order: NDArray[np.int64], obs_names: pd.Index, var_names: pd.Index) -> dict[str, KeptArrays]:
    """What AnnData has of cells, of genes and between them, in the source's order; each read when it is written."""
    manifest, orders = store.manifest, {"obs": order, "var": np.zeros(0, np.int64)}
    if any(place.startswith("var") for place in manifest.arrays):
        orders["var"] = gene_order(store)
    names = {"obs": obs_names, "var": var_names}
    found: dict[str, dict[str, Callable[[], Any]]] = {
        group: {key: partial(read_array, store, place, orders[group[:3]], names[group[:3]])
                for key, place in array_places(store, group).items()}
        for group in ("obsm", "varm", "obsp", "varp")
    }  # fmt: skip
    found["obsm"] |= {key: partial(read_embedding, store, key, obs_names, order) for key in manifest.obsm}
    found["varm"] |= {key: partial(read_loadings, store, key) for key in manifest.varm}
    return {group: KeptArrays(group, readers, "export another") for group, readers in found.items()}


def write_matrix(job: ExportJob, parent: Any, name: str, place: str) -> None:
    """Write a matrix as the source stored it: dense, or its values alone."""
    job.progress.start(f"write {place}", job.manifest.n_cells, "cells")
    (_write_dense if job.manifest.source["storage"] == "dense" else _write_sparse)(job, parent, name)


def write_table(root: Any, place: str, table: pd.DataFrame, to: str) -> None:
    """Write obs or var; a column with slashes in its name as anndata reads it, in groups within groups."""
    write_element(root, place, table[[]], place, to)
    for position, name in enumerate(table.columns):
        if name == table.index.name:  # which check_table has found to be the same
            continue
        *groups, last = split_name(name, to)
        parent = root[place]
        for group in groups:
            parent = parent.require_group(group)
        write_element(parent, last, values_of(table.iloc[:, position]), f"column {name!r} of {place}", to)
    if names := list(table.columns):
        root[place].attrs["column-order"] = np.array(names, object) if to == "h5ad" else names


def write_element(group: Any, key: str, value: Any, place: str, to: str) -> None:
    """Write one element with anndata.

    Raises
    ------
    TitinError
        If anndata cannot write it there.
    """
    from anndata.io import write_elem

    try:
        write_elem(group, key, value)
    except OSError:
        raise
    except Exception as error:  # whatever anndata or the store has against it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TitinError(f"{place} cannot be written to {to}: {reason}", "export in another format") from error


def _write_sparse(job: ExportJob, parent: Any, name: str) -> None:
    manifest = job.manifest
    shape = (manifest.n_cells, manifest.n_genes)
    group = parent.create_group(name)
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape_entry(group, shape)})
    dtype = np.dtype(np.uint32) if job.counts else np.dtype(manifest.source["dtype"])
    if dtype == np.float16:  # of which SciPy has no sparse matrices; float32 holds the same values
        dtype = np.dtype(np.float32)
    index = np.dtype(np.int32) if manifest.nnz < 2**31 else np.dtype(np.int64)
    data = Appender(group, "data", manifest.nnz, dtype, job.compression)
    indices = Appender(group, "indices", manifest.nnz, index, job.compression)
    ends = [np.zeros(1, np.int64)]
    for block in job.blocks():
        data.append(block.data.astype(dtype))
        indices.append(block.indices.astype(index))
        ends.append(block.indptr[1:] + ends[-1][-1])
        job.progress.advance(block.n_cells)
    data.finish()
    indices.finish()
    indptr = np.concatenate(ends).astype(index)
    pointers = Appender(group, "indptr", len(indptr), index, job.compression)
    pointers.append(indptr)
    pointers.finish()


def _write_dense(job: ExportJob, parent: Any, name: str) -> None:
    manifest = job.manifest
    dtype = np.dtype(np.uint32) if job.counts else np.dtype(manifest.source["dtype"])
    shape = (manifest.n_cells, manifest.n_genes)
    rows = max(1, min(shape[0], _DENSE_CHUNK_BYTES // (shape[1] * dtype.itemsize)))
    X = _create(parent, name, shape, (rows, shape[1]), dtype, job.compression)
    X.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    at_once = max(1, job.resources.bucket_values * 4 // (shape[1] * dtype.itemsize)) // rows * rows or rows
    pending = np.zeros((at_once, shape[1]), dtype)
    first = filled = 0
    for block in job.blocks():
        for c in range(block.n_cells):
            entries = slice(block.indptr[c], block.indptr[c + 1])
            pending[filled, block.indices[entries]] = block.data[entries].astype(dtype)
            filled += 1
            if filled == at_once:
                X[first : first + filled] = pending
                pending[:] = 0
                first, filled = first + filled, 0
        job.progress.advance(block.n_cells)
    if filled:
        X[first : first + filled] = pending[:filled]


class Appender:
    """A one-dimensional array on disk filled from the front, whole chunks at a time; in HDF5 it may end up shorter."""

    def __init__(self, group: Any, name: str, length: int, dtype: np.dtype, compression: str | None) -> None:
        chunk = max(1, min(_CHUNK, length))
        self._array = _create(group, name, (length,), (chunk,), dtype, compression)
        self._chunk, self._at = chunk, 0
        self._pending: list[NDArray[Any]] = []

    def append(self, values: NDArray[Any]) -> None:
        """Add values at the end."""
        self._pending.append(values)
        whole = sum(map(len, self._pending)) // self._chunk * self._chunk
        if whole:
            joined = np.concatenate(self._pending)
            self._array[self._at : self._at + whole] = joined[:whole]
            self._at, self._pending = self._at + whole, [joined[whole:].copy()]

    def finish(self) -> None:
        """Write what is pending."""
        rest = np.concatenate(self._pending) if self._pending else np.empty(0, self._array.dtype)
        end = self._at + len(rest)
        if end < self._array.shape[0]:
            self._array.resize((end,))
        if len(rest):
            self._array[self._at : end] = rest


def _create(
    group: Any, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype, compression: str | None
) -> Any:
    if _is_hdf5(group):
        return group.create_dataset(name, shape, dtype, chunks=chunks if all(shape) else None, compression=compression)
    return group.create_array(name, shape=shape, chunks=chunks, dtype=dtype)


def shape_entry(group: Any, shape: tuple[int, int]) -> Any:
    """The shape of a sparse matrix as HDF5 and zarr note it."""
    return np.array(shape, np.int64) if _is_hdf5(group) else list(shape)


def _is_hdf5(group: Any) -> bool:
    return hasattr(group, "create_virtual_dataset")
