"""What grows with the cells, in files that are mapped: memory then holds what is worked on, and not all there is."""

import mmap
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from titin.disk import raise_for_disk
from titin.errors import OutputError
from titin.heap import give_back

_LEAST = 4 * 2**20  # bytes; less is not worth a file
WORTH_A_FILE = 64 * 2**20  # bytes of columns that wait to be put away
_MOST_TEXT = 2**31 - 1  # bytes of text in one array of Arrow's
_ALIGNED = 64  # bytes to which arrays are
_MAPPED = "biufmM"  # kinds of arrays that are bytes and no more

_lock, _maps = Lock(), weakref.WeakSet[mmap.mmap]()  # of all shelves


def let_go_of_pages() -> None:
    """Free the memory that what lies on shelves takes because it was looked at; it is read again when it is needed."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    with _lock:
        maps = list(_maps)
    for mapped in maps:
        mapped.madvise(mmap.MADV_DONTNEED)


class Shelf:
    """A place for columns of all cells; they are read from there as if they were in memory.

    The files have no names: they take up the disk as long as anything of them is used, or the process lives.

    Parameters
    ----------
    folder
        On whose disk the files are; the nearest above it that is there is taken. None for memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def arrays(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Put arrays of one dimension away, in one file; those of objects stay as they are.

        Raises
        ------
        DiskError
            If the disk takes no more.
        """
        put = [array for array in arrays if array.dtype.kind in _MAPPED and array.size]
        if self.folder is None or sum(array.nbytes for array in put) < _LEAST:
            return list(arrays)
        starts = list[int]()
        with self._file() as file:
            for array in put:
                starts.append(file.tell())
                file.write(np.ascontiguousarray(array).view(np.uint8).data)
                file.write(bytes(-file.tell() % _ALIGNED))
            mapped = self._map(file)
        found = iter([np.frombuffer(mapped, array.dtype, len(array), start)
                      for array, start in zip(put, starts, strict=True)])  # fmt: skip
        return [next(found) if array.dtype.kind in _MAPPED and array.size else array for array in arrays]

    def empty(self, n: int, *dtypes: DTypeLike) -> list[NDArray[Any]]:
        """Make room for arrays of ``n`` values each, one of each dtype; what they hold is not said.

        Raises
        ------
        DiskError
            As `arrays`.
        """
        sizes = [-(-n * np.dtype(dtype).itemsize // _ALIGNED) * _ALIGNED for dtype in dtypes]
        if self.folder is None or sum(sizes) < max(_LEAST, 1):
            return [np.empty(n, dtype) for dtype in dtypes]
        with self._file() as file:
            file.allocate(sum(sizes))
            mapped = self._map(file)
        starts = np.cumsum([0, *sizes]).tolist()
        return [np.frombuffer(mapped, dtype, n, start) for dtype, start in zip(dtypes, starts, strict=False)]

    def stored(self, stored: Any) -> NDArray[Any]:
        """Read an array that is on disk, of HDF5 or zarr and one dimension or two, rows by rows.

        Raises
        ------
        DiskError
            As `arrays`.
        """
        if self.folder is None or stored.dtype.kind not in _MAPPED:
            return np.asarray(stored[()])
        found = self.empty(stored.size, stored.dtype)[0].reshape(stored.shape)
        n_rows, size = len(found), max(stored.size, 1)
        step = max(1, n_rows * WORTH_A_FILE // (size * stored.dtype.itemsize))
        for start in range(0, n_rows, step):
            found[start : start + step] = stored[start : start + step]
            let_go_of_pages()
        return found

    def has(self, array: NDArray[Any]) -> bool:
        """Whether an array lies here already."""
        base: Any = array
        while isinstance(base, np.ndarray):
            base = base.base
        return isinstance(base, memoryview) and base.obj in _maps

    def columns(self, columns: Sequence[pa.Array]) -> list[pa.Array]:
        """Put columns of numbers, text and labels away, in one file; what labels there are stays in memory.

        Raises
        ------
        DiskError
            As `arrays`.
        """
        if self.folder is None or sum(column.nbytes for column in columns) < _LEAST:
            return list(columns)
        plain = [column.indices if pa.types.is_dictionary(column.type) else column for column in columns]
        pieces = iter(self.pieces(piece for column in plain for piece in column.buffers() if piece is not None))
        return [_with_buffers(column, own, [piece if piece is None else next(pieces) for piece in own.buffers()])
                for column, own in zip(columns, plain, strict=True)]  # fmt: skip

    def text(self, parts: Iterable[pa.StringArray]) -> pa.ChunkedArray:
        """Put text away that comes in parts, in as few chunks as it can be; what is missing is empty then.

        Raises
        ------
        DiskError
            As `arrays`.
        """
        first, rest = list[pa.StringArray](), iter(parts)
        for part in rest:
            first.append(part)
            if self.folder is not None and sum(own.nbytes for own in first) >= _LEAST:
                break
        else:
            return pa.chunked_array(first, pa.string())
        with self._file() as text, self._file() as ends:
            sizes = list(_file_text(chain(first, rest), text, ends))
            buffers = pa.py_buffer(self._map(ends)), pa.py_buffer(self._map(text))
        chunks, at, start = [], 0, 0
        for n, size in sizes:
            own = buffers[0].slice(at, 4 * (n + 1)), buffers[1].slice(start, size)
            chunks.append(pa.Array.from_buffers(pa.string(), n, [None, *own]))
            at, start = at + 4 * (n + 1), start + size
        return pa.chunked_array(chunks, pa.string())

    def pieces(self, pieces: Iterable[pa.Buffer]) -> list[pa.Buffer]:
        """Put pieces of anything away, as they come.

        Raises
        ------
        DiskError
            As `arrays`.
        """
        if self.folder is None:
            return list(pieces)
        places = list[tuple[int, int]]()
        with self._file() as file:
            for piece in pieces:
                places.append((file.tell(), len(piece)))
                for start in range(0, len(piece), WORTH_A_FILE):
                    file.write(memoryview(piece)[start : start + WORTH_A_FILE])
                    let_go_of_pages()  # of where it lies
                file.write(bytes(-len(piece) % _ALIGNED))
            mapped = pa.py_buffer(self._map(file))
        return [mapped.slice(start, size) for start, size in places]

    @contextmanager
    def _file(self) -> Iterator["_Unnamed"]:
        file = _Unnamed(_existing(Path(self.folder or tempfile.gettempdir()).absolute()))
        try:
            yield file
        finally:
            file.end()

    def _map(self, file: "_Unnamed") -> mmap.mmap:
        mapped = file.map()
        with _lock:
            _maps.add(mapped)
        let_go_of_pages()  # of what it was made from
        pa.default_memory_pool().release_unused()
        give_back()
        return mapped


class ShelvedColumns:
    """Columns of a table that come one by one, put away when there is as much of them as is worth a file."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf, self._values, self._waiting = shelf, dict[str, Any](), dict[str, NDArray[Any]]()

    def add(self, name: str, values: Any) -> None:
        """Take the next column: an array of numpy or pandas; numbers and categories can be put away."""
        self._values[name] = values
        plain = values.codes if isinstance(values, pd.Categorical) else values
        if isinstance(plain, np.ndarray) and plain.ndim == 1 and not self._shelf.has(plain):
            self._waiting[name] = plain
        if sum(array.nbytes for array in self._waiting.values()) >= WORTH_A_FILE:
            self._put_away()

    def _put_away(self) -> None:
        arrays = self._shelf.arrays(list(self._waiting.values()))
        for name, array in zip(self._waiting, arrays, strict=True):
            own = self._values[name]
            is_coded = isinstance(own, pd.Categorical)
            self._values[name] = pd.Categorical.from_codes(array, dtype=own.dtype) if is_coded else array
        self._waiting.clear()

    def finish(self) -> dict[str, Any]:
        """All of them, by name."""
        self._put_away()
        return self._values


def _with_buffers(column: pa.Array, plain: pa.Array, buffers: list[pa.Buffer | None]) -> pa.Array:
    """The same column, its values (of labels, the numbers ``plain``) in other buffers."""
    found = pa.Array.from_buffers(plain.type, len(plain), buffers, plain.null_count, plain.offset)
    if plain is column:
        return found
    return pa.DictionaryArray.from_arrays(found, column.dictionary, ordered=column.type.ordered)


def _file_text(parts: Iterable[pa.StringArray], text: "_Unnamed", ends: "_Unnamed") -> Iterator[tuple[int, int]]:
    """Write the characters of all parts and where each text ends; yield the texts and bytes of each chunk."""
    n = size = 0
    ends.write(bytes(4))
    for part in parts:
        offsets = np.frombuffer(part.buffers()[1], np.int32)[part.offset : part.offset + len(part) + 1].astype(np.int64)
        characters = memoryview(part.buffers()[2] or b"")[offsets[0] : offsets[-1]] if len(part) else b""
        if size + len(characters) > _MOST_TEXT:
            yield n, size
            n = size = 0
            ends.write(bytes(4))
        text.write(characters)
        ends.write((offsets[1:] - offsets[0] + size).astype(np.int32).tobytes())
        n, size = n + len(part), size + len(characters)
    yield n, size


class _Unnamed:
    """A file without a name.

    What the disk refuses is said as such, and nothing else: what is written may be read from a source meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._telling():
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, prefix=".titin-")  # noqa: SIM115 - see `end`

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise_for_disk(error, self._folder)
            raise OutputError(f"cannot write in {self._folder}: {error.strerror}", "choose another --output") from error

    def write(self, data: Any) -> int:
        with self._telling():
            return self._file.write(data)

    def flush(self) -> None:
        with self._telling():
            self._file.flush()

    def tell(self) -> int:
        return self._file.tell()

    def allocate(self, size: int) -> None:
        """Make it so large, with all of its blocks: who writes to a map of what the disk has no room for is killed."""
        with self._telling():
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, size)
                return
        for start in range(0, size, _LEAST):
            self.write(bytes(min(_LEAST, size - start)))

    def map(self) -> mmap.mmap:
        if not self._file.seek(0, os.SEEK_END):  # nothing of nothing can be mapped
            self.write(bytes(_ALIGNED))
        self.flush()
        with self._telling():
            return mmap.mmap(self._file.fileno(), 0)

    def end(self) -> None:
        """Let go of it; it is there as long as it is mapped."""
        with suppress(OSError):  # what was not written has been told
            self._file.close()


def _existing(folder: Path) -> Path:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder
