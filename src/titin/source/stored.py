"""A matrix as it is stored in a source: what CSR, CSC and dense storage have in common."""

import os
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from titin.errors import SourceError
from titin.extras import require
from titin.source.base import Matrix
from titin.source.reading import UNKNOWN, reading

INDEX_DTYPE = np.dtype(np.int32)


class StoredMatrix(Matrix):
    """A `Matrix` of one file, which errors name.

    Parameters
    ----------
    path, name
        The file, and the place of the matrix in it.
    shape
        Cells, genes.
    dtype
        Of the stored values, in native byte order.
    """

    def __init__(self, path: Path, name: str, shape: tuple[int, int], dtype: np.dtype) -> None:
        if dtype.kind not in "fiub" or dtype.itemsize > 8:
            raise SourceError(
                f"{path}: {name} holds values of type {dtype}, not numbers an expression matrix can have",
                "Convert it to float32 or to integers first.",
            )
        self.path, self.name, self.shape, self.dtype = path, name, shape, dtype
        self.nnz = None

    @abstractmethod
    def head(self, n: int) -> NDArray[Any]:
        """Return about ``n`` stored values from where the file begins."""

    def stored_by_cell(self) -> NDArray[np.int64] | None:
        """Return the number of stored values of each cell, where that is known without reading them."""
        return None


_CHUNK_CACHE = 1 << 20  # bytes of the chunks that HDF5 keeps unpacked


class Vector(Protocol):
    """A one-dimensional array of which any range can be read, in native byte order."""

    dtype: np.dtype
    travels: bool  # whether a pickle of it reads the same file in another process, where that is at the same path

    def __len__(self) -> int:
        """Return the number of elements."""
        ...

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return elements ``start`` to ``stop`` as a new array."""
        ...


def open_vector(path: Path, node: Any, place: str) -> Vector:
    """Open a one-dimensional HDF5 or zarr array with the fastest reader that its storage allows."""
    with reading(path, place):
        if not hasattr(node, "ndim") or node.ndim != 1:
            found = f"an array of shape {node.shape}" if hasattr(node, "ndim") else "a group"
            raise SourceError(f"{path}: {place} is {found}, not a one-dimensional array", UNKNOWN)
        return _fastest(path, node, place)


def _fastest(path: Path, node: Any, place: str) -> Vector:
    if isinstance(node, h5py.Dataset):
        extents = _extents(node)
        if extents is not None:
            return _PlainH5(path, node, place, extents)
        vector = _LibraryH5(path, node, place)
        large = node.chunks is not None and node.chunks[0] * vector.dtype.itemsize > _CHUNK_CACHE
        return _LargeChunks(vector, node.chunks[0]) if large else vector
    return _LargeChunks(_Zarr(path, node, place), int(node.chunks[0]))


class _LargeChunks:
    """A vector whose library unpacks a whole chunk for any part of it: keeps the last chunk read in part."""

    def __init__(self, vector: Vector, extent: int) -> None:
        self._vector, self._extent = vector, max(1, extent)
        self._kept: tuple[int, NDArray[Any]] = (-1, np.empty(0, vector.dtype))
        self.dtype, self.travels = vector.dtype, vector.travels

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": (-1, np.empty(0, self.dtype))}

    def __len__(self) -> int:
        return len(self._vector)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        out = np.empty(stop - start, self.dtype)
        whole = -(-start // self._extent) * self._extent, stop // self._extent * self._extent
        cuts = sorted({start, stop, *(cut for cut in whole if start < cut < stop)})
        for first, last in pairwise(cuts):
            if first % self._extent or last % self._extent:
                chunk = self._chunk(first // self._extent)
                first_of_chunk = first - first % self._extent
                out[first - start : last - start] = chunk[first - first_of_chunk : last - first_of_chunk]
            else:
                out[first - start : last - start] = self._vector.read(first, last)
        return out

    def _chunk(self, number: int) -> NDArray[Any]:
        kept, values = self._kept
        if kept != number:
            start = number * self._extent
            values = self._vector.read(start, min(start + self._extent, len(self)))
            self._kept = (number, values)
        return values


class _Zarr:
    travels = False  # its store is made by a function that checks every chunk

    def __init__(self, path: Path, array: Any, place: str) -> None:
        self._path, self._array, self._place = path, array, place
        self.dtype = np.dtype(array.dtype).newbyteorder("=")

    def __len__(self) -> int:
        return int(self._array.shape[0])

    def read(self, start: int, stop: int) -> NDArray[Any]:
        with reading(self._path, self._place):
            return np.asarray(self._array[start:stop]).astype(self.dtype, copy=False)


class _H5:
    """A dataset of an HDF5 file. What is made of its pickle opens the file anew for each reading, and keeps none open.

    So no worker of a cluster holds a file that somebody wants to write.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset, place: str) -> None:
        self._path, self._dataset, self._place = path, dataset, place
        self._n, self._filters = int(dataset.shape[0]), "hdf5plugin" in sys.modules
        self._file, self._name = dataset.file.filename, dataset.name
        self.dtype = dataset.dtype.newbyteorder("=")
        self.travels = dataset.file.driver == "sec2" and isinstance(self._file, str) and self._name is not None

    def __len__(self) -> int:
        return self._n

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_dataset": None, "_file": str(Path(self._file).absolute())}

    @contextmanager
    def _opened(self) -> Iterator[h5py.Dataset]:
        if self._dataset is not None:
            yield self._dataset
            return
        if self._filters:
            require("hdf5plugin", f"the compression of {self._path}")
        with h5py.File(self._file, "r") as file:
            yield file[self._name]


class _LibraryH5(_H5):
    """Any dataset, through the HDF5 library, which converts byte order and lets other threads run meanwhile."""

    def read(self, start: int, stop: int) -> NDArray[Any]:
        out = np.empty(stop - start, self.dtype)
        if len(out):
            with reading(self._path, f"{self._place}[{start}:{stop}]"), self._opened() as dataset:
                dataset.read_direct(out, np.s_[start:stop])
        return out


class _PlainH5(_H5):
    """An unfiltered dataset in native byte order, copied straight from the file: no chunk cache in between.

    Reading a whole atlas so takes 0.6 of the time that the HDF5 library needs. Compressed datasets go through the
    library: inflating them here was no faster, and slower where bytes are shuffled.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset, place: str, extents: tuple[NDArray[np.int64], int]) -> None:
        super().__init__(path, dataset, place)
        self._offsets, self._extent = extents
        self.dtype = dataset.dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        out = np.empty(stop - start, self.dtype)
        with reading(self._path, f"{self._place}[{start}:{stop}]"), self._descriptor() as descriptor:
            for first, last in self._runs(start, stop):
                chunk, within = divmod(first, self._extent)
                offset = int(self._offsets[chunk]) + within * self.dtype.itemsize
                _read_fully(descriptor, out[first - start : last - start], offset)
        return out

    @contextmanager
    def _descriptor(self) -> Iterator[int]:
        if self._dataset is not None:
            # asking HDF5 for the descriptor fails once the file is closed, before a stale one could be read
            yield self._dataset.file.id.get_vfd_handle()
            return
        descriptor = os.open(self._file, os.O_RDONLY)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _runs(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Element ranges that lie in the file without a gap."""
        if start >= stop:
            return []
        first, last = start // self._extent, (stop - 1) // self._extent
        gaps = np.diff(self._offsets[first : last + 1]) != self._extent * self.dtype.itemsize
        edges = (first + 1 + np.flatnonzero(gaps)) * self._extent
        bounds = [start, *edges.tolist(), stop]
        return list(pairwise(bounds))


def _read_fully(descriptor: int, out: NDArray[Any], offset: int) -> None:
    view = out.view(np.uint8).data
    while len(view):
        got = os.preadv(descriptor, [view], offset)
        if not got:
            raise EOFError("the file ends early")
        view, offset = view[got:], offset + got


def _extents(dataset: h5py.Dataset) -> tuple[NDArray[np.int64], int] | None:
    """File offsets of a dataset's chunks and their length in elements, if its bytes lie in the file as in memory."""
    plist, file = dataset.id.get_create_plist(), dataset.file
    if (
        dataset.dtype.kind not in "fiu"
        or not dataset.dtype.isnative
        or len(dataset) == 0
        or plist.get_nfilters()
        or plist.get_external_count()
        or dataset.is_virtual
        or file.driver != "sec2"
        or file.userblock_size
        or not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype))
    ):
        return None
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        return None if offset is None else (np.array([offset], np.int64), len(dataset))
    if not hasattr(dataset.id, "chunk_iter"):  # HDF5 before 1.12.3
        return None
    extent = dataset.chunks[0]
    offsets = np.full(-(-len(dataset) // extent), -1, np.int64)

    def note(chunk: Any) -> None:
        offsets[chunk.chunk_offset[0] // extent] = chunk.byte_offset

    dataset.id.chunk_iter(note)
    return None if (offsets < 0).any() else (offsets, extent)
