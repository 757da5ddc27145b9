"""Arrays set aside on disk by bucket, so that a shuffle or a transpose needs memory for one bucket only."""

import math
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_AT_ONCE = 512  # buckets; of what is gathered, each then gets writes of about 100 kB
_MOST_VIEWS = 512  # buffers of one call of the system

_Dtypes = tuple[np.dtype, ...]


def run_length(n_buckets: int) -> int:
    """How many neighbouring buckets are filed as one, to be taken apart later: 1 where all are filed at once.

    Filed at once, n buckets get writes of an n-th of what is gathered in memory, and there are n² of them. So many
    buckets are filed in two steps, first by runs of √n of them, then each run by its buckets: what is written and read
    stays large, and its number grows with the data alone.

    Examples
    --------
    >>> run_length(512), run_length(513), run_length(15_000)
    (1, 23, 123)
    """
    return 1 if n_buckets <= MOST_AT_ONCE else math.isqrt(n_buckets - 1) + 1


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
        self._kinds: list[_Dtypes] = []
        self._groups = [array("q") for _ in range(n_buckets)]  # of each: kind, offset, a length an array
        self._size = 0
        path.unlink(missing_ok=True)  # not through a link or pipe that lies there
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    @classmethod
    def reopen(cls, path: Path) -> "Spill":
        """Open a finished spill for reading."""
        self = cls.__new__(cls)
        self.path = path
        with np.load(cls._index_path(path)) as index:
            ends, groups = index["ends"].tolist(), index["groups"]
            self._kinds = [tuple(np.dtype(d) for d in row.split(",") if d) for row in index["kinds"].tolist()]
            self._size = int(index["size"])
        self.n_buckets = len(ends)
        self._groups = [array("q", groups[a:b].tobytes()) for a, b in zip([0, *ends], ends, strict=False)]
        self._gathered, self._gathered_bytes = [[] for _ in range(self.n_buckets)], 0
        self._file = os.open(path, os.O_RDONLY)
        return self

    @staticmethod
    def _index_path(path: Path) -> Path:
        return path.with_name(path.name + ".index.npz")

    @classmethod
    def files(cls, name: str) -> list[str]:
        """Names of the files of a finished spill."""
        return [name, cls._index_path(Path(name)).name]

    def append(self, bucket: int, *arrays: NDArray[Any]) -> None:
        """File one group of one-dimensional arrays, not to be changed afterwards, under ``bucket``."""
        self._gathered[bucket].append(tuple(np.ascontiguousarray(a) for a in arrays))
        self._gathered_bytes += sum(a.nbytes for a in arrays)
        if self._gathered_bytes >= self._buffer_bytes:
            self._flush()

    def _flush(self) -> None:
        if not self._gathered_bytes and not any(self._gathered):
            return
        for bucket, groups in enumerate(self._gathered):
            start = 0
            for end in range(1, len(groups) + 1):
                if end == len(groups) or _dtypes(groups[end]) != _dtypes(groups[start]):
                    self._write(bucket, list(zip(*groups[start:end], strict=True)))
                    start = end
            groups.clear()
        self._gathered_bytes = 0

    def _write(self, bucket: int, columns: list[tuple[NDArray[Any], ...]]) -> None:
        dtypes = tuple(column[0].dtype for column in columns)
        if dtypes not in self._kinds:
            self._kinds.append(dtypes)
        lengths = (sum(len(a) for a in column) for column in columns)
        self._groups[bucket].extend((self._kinds.index(dtypes), self._size, *lengths))
        views = [memoryview(a.data).cast("B") for column in columns for a in column if len(a)]
        while views:
            written = os.writev(self._file, views[:_MOST_VIEWS])
            self._size += written
            views = _beyond(views, written)

    def read(self, bucket: int) -> list[list[NDArray[Any]]]:
        """Return the groups of a bucket in the order they were filed."""
        return list(self.groups(bucket))

    def groups(self, bucket: int) -> Iterator[list[NDArray[Any]]]:
        """Yield the groups of a bucket in the order they were filed, one read of the file each."""
        self._flush()
        yield from _groups_of(self._file, self.path, self._kinds, self._groups[bucket])

    def part(self, bucket: int) -> "SpilledPart":
        """The groups of a bucket, to be read by another process that sees the file."""
        self._flush()
        return SpilledPart(self.path, tuple(self._kinds), self._groups[bucket].tobytes())

    def finish(self) -> None:
        """Write everything and the index, so that another process can `reopen` the spill."""
        self._flush()
        index = self._index_path(self.path)
        index.unlink(missing_ok=True)
        with index.open("xb") as file:
            np.savez(
                file,
                groups=np.concatenate([np.frombuffer(g, np.int64) for g in self._groups], dtype=np.int64),
                ends=np.cumsum([len(g) for g in self._groups], dtype=np.int64),
                kinds=np.array([",".join(d.str for d in dtypes) for dtypes in self._kinds], dtype=str),
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


@dataclass(frozen=True)
class SpilledPart:
    """The groups of one bucket of a spill, as long as its file is there; pickled, they are where they lie.

    Attributes
    ----------
    path
        The file.
    kinds
        Types of the arrays of a group.
    index
        Of each group: kind, offset, a length an array.
    """

    path: Path
    kinds: tuple[_Dtypes, ...]
    index: bytes

    def groups(self) -> Iterator[list[NDArray[Any]]]:
        """Yield the groups in the order they were filed."""
        file = os.open(self.path, os.O_RDONLY)
        try:
            yield from _groups_of(file, self.path, self.kinds, array("q", self.index))
        finally:
            os.close(file)


def _groups_of(file: int, path: Path, kinds: Sequence[_Dtypes], index: "array[int]") -> Iterator[list[NDArray[Any]]]:
    at = 0
    while at < len(index):
        dtypes = kinds[index[at]]
        end = at + 2 + len(dtypes)
        yield _read_group(file, path, index[at + 1], dtypes, index[at + 2 : end].tolist())
        at = end


def _read_group(file: int, path: Path, offset: int, dtypes: _Dtypes, lengths: list[int]) -> list[NDArray[Any]]:
    arrays = [np.empty(length, dtype) for dtype, length in zip(dtypes, lengths, strict=True)]
    views = [memoryview(a.data).cast("B") for a in arrays if len(a)]
    while views:
        got = os.preadv(file, views, offset)
        if not got:
            raise OSError(f"{path} ends early")
        offset += got
        views = _beyond(views, got)
    return arrays


def _beyond(views: list[memoryview], done: int) -> list[memoryview]:
    """What is left of buffers of which so many bytes are done."""
    at = 0
    while at < len(views) and done >= len(views[at]):
        done -= len(views[at])
        at += 1
    left = views[at:]
    return [left[0][done:], *left[1:]] if left else []


def _dtypes(group: tuple[NDArray[Any], ...]) -> _Dtypes:
    return tuple(a.dtype for a in group)
