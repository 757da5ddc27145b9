"""Arrays set aside on disk by bucket, so that a shuffle or a transpose needs memory for one bucket only."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Layout = tuple[tuple[str, int], ...]  # dtype and length of each array of a group


class Spill:
    """One append-only file of array groups, each filed under a bucket.

    Groups come back in the order they were filed; neighbouring groups of a bucket may come back as one, their arrays
    joined end to end. They are gathered in memory first, so that small groups make few and large writes; an index in
    memory finds them again, so thousands of buckets cost no open files.

    Parameters
    ----------
    path
        The data file; `finish` writes its index to the same name with ``.index.npz`` appended.
    n_buckets
        Buckets are 0 … ``n_buckets - 1``.
    buffer_bytes
        Write when this much has been gathered.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Spill(Path(folder) / "spill", n_buckets=2) as spill:
    ...     spill.append(1, np.array([1, 2], "u2"), np.array([0.5], "f4"))
    ...     spill.append(1, np.array([3], "u2"), np.array([], "f4"))
    ...     [[array.tolist() for array in group] for group in spill.read(1)]
    [[[1, 2, 3], [0.5]]]
    """

    def __init__(self, path: Path, n_buckets: int, buffer_bytes: int = 48 * 2**20) -> None:
        self.path = path
        self.n_buckets = n_buckets
        self._buffer_bytes = buffer_bytes
        self._gathered: list[list[tuple[NDArray[Any], ...]]] = [[] for _ in range(n_buckets)]
        self._gathered_bytes = 0
        self._groups: list[list[tuple[int, _Layout]]] = [[] for _ in range(n_buckets)]
        self._size = 0
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    @classmethod
    def reopen(cls, path: Path) -> "Spill":
        """Open a finished spill for reading."""
        self = cls.__new__(cls)
        self.path = path
        with np.load(cls._index_path(path)) as index:
            bucket, offset, lengths = index["bucket"], index["offset"], index["lengths"]
            dtypes = [tuple(row.split(",")) for row in index["dtypes"].tolist()]
            self.n_buckets, self._size = int(index["n_buckets"]), int(index["size"])
        self._gathered, self._gathered_bytes = [[] for _ in range(self.n_buckets)], 0
        self._groups = [[] for _ in range(self.n_buckets)]
        for b, o, n, d in zip(bucket.tolist(), offset.tolist(), lengths.tolist(), dtypes, strict=True):
            self._groups[b].append((o, tuple(zip(d, n, strict=False))))
        self._file = os.open(path, os.O_RDONLY)
        return self

    @staticmethod
    def _index_path(path: Path) -> Path:
        return path.with_name(path.name + ".index.npz")

    def append(self, bucket: int, *arrays: NDArray[Any]) -> None:
        """File one group of one-dimensional arrays, not to be changed afterwards, under ``bucket``."""
        self._gathered[bucket].append(tuple(np.ascontiguousarray(a) for a in arrays))
        self._gathered_bytes += sum(a.nbytes for a in arrays)
        if self._gathered_bytes >= self._buffer_bytes:
            self._flush()

    def _flush(self) -> None:
        for bucket, groups in enumerate(self._gathered):
            start = 0
            for end in range(1, len(groups) + 1):
                if end == len(groups) or _dtypes(groups[end]) != _dtypes(groups[start]):
                    self._write(bucket, list(zip(*groups[start:end], strict=True)))
                    start = end
            groups.clear()
        self._gathered_bytes = 0

    def _write(self, bucket: int, columns: list[tuple[NDArray[Any], ...]]) -> None:
        layout = tuple((column[0].dtype.str, sum(len(a) for a in column)) for column in columns)
        self._groups[bucket].append((self._size, layout))
        views = [memoryview(a.data).cast("B") for column in columns for a in column if len(a)]
        while views:
            written = os.writev(self._file, views[:512])
            self._size += written
            done = 0
            while done < len(views) and written >= len(views[done]):
                written -= len(views[done])
                done += 1
            del views[:done]
            if views and written:
                views[0] = views[0][written:]

    def read(self, bucket: int) -> list[list[NDArray[Any]]]:
        """Return the groups of a bucket in the order they were filed."""
        self._flush()
        return [self._read_group(offset, layout) for offset, layout in self._groups[bucket]]

    def read_slices(self, bucket: int, group: int, slices: list[tuple[int, int]]) -> list[NDArray[Any]]:
        """Return part of one group: from its i-th array the half-open range ``slices[i]``."""
        self._flush()
        offset, layout = self._groups[bucket][group]
        found = []
        for (dtype, length), (start, stop) in zip(layout, slices, strict=False):
            size = np.dtype(dtype).itemsize
            found.append(self._read_array(offset + start * size, dtype, stop - start))
            offset += length * size
        return found

    def _read_group(self, offset: int, layout: _Layout) -> list[NDArray[Any]]:
        arrays = []
        for dtype, length in layout:
            arrays.append(self._read_array(offset, dtype, length))
            offset += arrays[-1].nbytes
        return arrays

    def _read_array(self, offset: int, dtype: str, length: int) -> NDArray[Any]:
        array = np.empty(length, dtype)
        view = memoryview(array.data).cast("B") if length else memoryview(b"")
        while len(view):
            got = os.preadv(self._file, [view], offset)
            if not got:
                raise OSError(f"{self.path} ends early")
            offset += got
            view = view[got:]
        return array

    def finish(self) -> None:
        """Write everything and the index, so that another process can `reopen` the spill."""
        self._flush()
        rows = [(b, o, layout) for b, groups in enumerate(self._groups) for o, layout in groups]
        width = max((len(layout) for _, _, layout in rows), default=0)
        lengths = np.zeros((len(rows), width), np.int64)
        for i, (_, _, layout) in enumerate(rows):
            lengths[i, : len(layout)] = [n for _, n in layout]
        np.savez(
            self._index_path(self.path),
            bucket=np.array([r[0] for r in rows], np.int64),
            offset=np.array([r[1] for r in rows], np.int64),
            lengths=lengths,
            dtypes=np.array([",".join(d for d, _ in r[2]) for r in rows], dtype=str),
            n_buckets=self.n_buckets,
            size=self._size,
        )

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._gathered = [[] for _ in range(self.n_buckets)]
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def discard(self) -> None:
        """Close and delete the file and its index."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._index_path(self.path).unlink(missing_ok=True)

    def __enter__(self) -> "Spill":
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


def _dtypes(group: tuple[NDArray[Any], ...]) -> tuple[np.dtype, ...]:
    return tuple(a.dtype for a in group)
