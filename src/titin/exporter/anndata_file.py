"""A dataset as AnnData on disk, written block by block."""

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.atlas.tables import read_obs, read_obsm, read_uns, read_var, read_varm, source_blocks, source_order
from titin.exporter.job import ExportJob

_CHUNK = 2**17  # stored values a chunk
_DENSE_CHUNK_BYTES = 2**20


def write_h5ad(job: ExportJob, path: Path) -> None:
    """Write an ``.h5ad`` file."""
    import h5py

    with _PatientFile(path) as file:
        with h5py.File(file, "w") as root:
            _write(job, root)
        file.check()


class _PatientFile(io.FileIO):
    """A file that swallows a failure to write until `check`: the HDF5 library crashes where a disk is full."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
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
    import zarr

    _write(job, zarr.open_group(str(path), mode="w", zarr_format=2))


def _write(job: ExportJob, root: Any) -> None:
    from anndata import settings
    from anndata.io import write_elem

    store, manifest = job.store, job.manifest
    order = source_order(store)
    obs = read_obs(store, order)
    # a source may hold text with missing values, which anndata by default reads but does not write
    with warnings.catch_warnings(), settings.override(allow_write_nullable_strings=True):
        # anndata announces changes of its defaults here; what is written is the same either way
        warnings.simplefilter("ignore")
        write_elem(root, "obs", obs)
        write_elem(root, "var", read_var(store))
        write_elem(root, "obsm", read_obsm(store, obs.index, order))
        write_elem(root, "varm", read_varm(store))
        write_elem(root, "uns", dict(read_uns(store)))
        for empty in ("layers", "obsp", "varp"):
            write_elem(root, empty, {})
    root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    if manifest.source["storage"] == "dense":
        _write_dense(job, root)
    else:
        _write_sparse(job, root)


def _write_sparse(job: ExportJob, root: Any) -> None:
    manifest = job.manifest
    shape = (manifest.n_cells, manifest.n_genes)
    group = root.create_group("X")
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": _shape(root, shape)})
    dtype = np.dtype(np.uint32) if job.counts else np.dtype(manifest.source["dtype"])
    index = np.dtype(np.int32) if manifest.nnz < 2**31 else np.dtype(np.int64)
    data = _Appender(root, group, "data", manifest.nnz, dtype, job.compression)
    indices = _Appender(root, group, "indices", manifest.nnz, index, job.compression)
    ends = [np.zeros(1, np.int64)]
    job.progress.start("write X", manifest.n_cells, "cells")
    for block in source_blocks(job.store, job.scratch, job.resources, counts=job.counts):
        data.append(block.data.astype(dtype))
        indices.append(block.indices.astype(index))
        ends.append(block.indptr[1:] + ends[-1][-1])
        job.progress.advance(block.n_cells)
    data.finish()
    indices.finish()
    indptr = np.concatenate(ends).astype(index)
    pointers = _Appender(root, group, "indptr", len(indptr), index, job.compression)
    pointers.append(indptr)
    pointers.finish()


def _write_dense(job: ExportJob, root: Any) -> None:
    manifest = job.manifest
    dtype = np.dtype(np.uint32) if job.counts else np.dtype(manifest.source["dtype"])
    shape = (manifest.n_cells, manifest.n_genes)
    rows = max(1, min(shape[0], _DENSE_CHUNK_BYTES // (shape[1] * dtype.itemsize)))
    X = _create(root, root, "X", shape, (rows, shape[1]), dtype, job.compression)
    X.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    at_once = max(1, job.resources.bucket_values * 4 // (shape[1] * dtype.itemsize)) // rows * rows or rows
    pending = np.zeros((at_once, shape[1]), dtype)
    first = filled = 0
    job.progress.start("write X", manifest.n_cells, "cells")
    for block in source_blocks(job.store, job.scratch, job.resources, counts=job.counts):
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


class _Appender:
    """A one-dimensional array on disk filled from the front, whole chunks at a time."""

    def __init__(self, root: Any, group: Any, name: str, length: int, dtype: np.dtype, compression: str | None) -> None:
        chunk = max(1, min(_CHUNK, length))
        self._array = _create(root, group, name, (length,), (chunk,), dtype, compression)
        self._chunk, self._at = chunk, 0
        self._pending: list[NDArray[Any]] = []

    def append(self, values: NDArray[Any]) -> None:
        self._pending.append(values)
        whole = sum(map(len, self._pending)) // self._chunk * self._chunk
        if whole:
            joined = np.concatenate(self._pending)
            self._array[self._at : self._at + whole] = joined[:whole]
            self._at, self._pending = self._at + whole, [joined[whole:].copy()]

    def finish(self) -> None:
        rest = np.concatenate(self._pending) if self._pending else np.empty(0, self._array.dtype)
        if len(rest):
            self._array[self._at : self._at + len(rest)] = rest


def _create(
    root: Any, group: Any, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype,
    compression: str | None,
) -> Any:  # fmt: skip
    if hasattr(root, "userblock_size"):  # HDF5
        return group.create_dataset(name, shape, dtype, chunks=chunks if all(shape) else None, compression=compression)
    return group.create_array(name, shape=shape, chunks=chunks, dtype=dtype)


def _shape(root: Any, shape: tuple[int, int]) -> Any:
    return np.array(shape, np.int64) if hasattr(root, "userblock_size") else list(shape)
