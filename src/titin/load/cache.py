"""A dataset's matrix decoded once into files that are mapped into memory, and compared with checksums when first used.

A cache is used if it lies in a folder of this user's own that nobody else can write to, and is as it was made; else it
is made again. What is damaged while it is open is noticed before a batch is handed out.
"""

import fcntl
import hashlib
import json
import logging
import mmap
import os
import shutil
import stat
import weakref
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.checksums import digest_of
from titin.dataset.leftovers import open_lock
from titin.dataset.manifest import Manifest
from titin.dataset.swap import put, scratch
from titin.errors import OutputError
from titin.load.buffers import Cells, RowGroups, Space

State = tuple[tuple[int, ...], ...]

_VERSION = 2
_AT_ONCE = 8  # row groups
_HEADER = "header.json"
_LENGTHS = ("lengths", "level_lengths")
_ELEMENTS = ("tokens", "data", "levels")
_log = logging.getLogger(__name__)


class DamagedCacheError(Exception):
    """A cache of one's own is not as it was made."""


class DecodedCache:
    """The cells of a dataset, decoded, in files that are mapped into memory.

    Each row group is compared with its checksum when it is first used: a CRC of 32 bits, which costs half a second a
    gigabyte, once. Nobody writes to a cache that has been made: one that is written to while it is open is damaged.
    A file that is cut short while it is mapped, or a disk that fails, ends the process, as with any mapped file; to
    copy what is mapped first would cost a third of the speed.

    Parameters
    ----------
    folder
        Where the files lie.
    groups
        The dataset.

    Attributes
    ----------
    cells
        All cells, in the dataset's order.

    Raises
    ------
    DamagedCacheError
        If the files are not those of the dataset, or not as they were made.
    OutputError
        If the folder is not this user's own.
    """

    def __init__(self, folder: Path, groups: RowGroups) -> None:
        self.folder, self._groups = folder, groups
        self._files: dict[str, int] = {}
        weakref.finalize(self, _close, self._files)
        handle = _open_folder(folder)
        try:
            header = _read_header(handle, folder.name)
            lengths, level_lengths = (_read_lengths(handle, name, groups, header) for name in _LENGTHS)
            sizes = (int(lengths.sum()), int(lengths.sum()), int(level_lengths.sum()))
            arrays = [self._map(handle, *part) for part in zip(_ELEMENTS, groups.dtypes, sizes, strict=True)]
        finally:
            os.close(handle)
        self.cells = Cells(
            np.cumsum(lengths) - lengths, lengths, np.cumsum(level_lengths) - level_lengths, level_lengths, *arrays
        )
        self._sums = [_numbers(header, name, len(groups.groups)) for name in _ELEMENTS]
        self._sound = np.zeros(len(groups.groups), bool)
        self._opened = self._state()

    def _map(self, folder: int, name: str, dtype: np.dtype, n: int) -> NDArray[Any]:
        self._files[name] = _open_file(name, folder)
        size = os.fstat(self._files[name]).st_size
        if size != n * dtype.itemsize:
            raise DamagedCacheError(f"{name} has {size:,} bytes, not {n * dtype.itemsize:,}")
        return np.frombuffer(mmap.mmap(self._files[name], size, prot=mmap.PROT_READ) if n else b"", dtype)

    def _state(self) -> State:
        found = [os.fstat(file) for file in self._files.values()]
        return tuple((own.st_size, own.st_mtime_ns, own.st_ctime_ns) for own in found)

    def refuse_written(self) -> None:
        """Refuse files that somebody has written to: what was read of them may not be what was checked.

        Raises
        ------
        DamagedCacheError
            If somebody has.
        """
        if self._state() != self._opened:
            raise DamagedCacheError("a file was written to after it was opened")

    def check(self, positions: NDArray[np.int64]) -> None:
        """Compare the row groups of some cells with their checksums, each once.

        Raises
        ------
        DamagedCacheError
            If one differs.
        """
        self.refuse_written()
        groups = np.unique(self._groups.of_cells(positions))
        for group in groups[~self._sound[groups]].tolist():
            own = self._groups.groups[group]
            parts = elements(self.cells, own.first_row, own.n_rows)
            for name, part, sums in zip(_ELEMENTS, parts, self._sums, strict=True):
                if zlib.crc32(part.data) != sums[group]:
                    raise DamagedCacheError(f"{name} of row group {group} differ from their checksum")
            self._sound[group] = True


def elements(cells: Cells, first: int, n: int) -> list[NDArray[Any]]:
    """Tokens, data and levels of neighbouring cells whose lists lie one after another."""
    if n == 0:
        return [cells.tokens[:0], cells.data[:0], cells.levels[:0]]
    last = first + n - 1
    run = slice(cells.starts[first], cells.starts[last] + cells.lengths[last])
    level_run = slice(cells.level_starts[first], cells.level_starts[last] + cells.level_lengths[last])
    return [cells.tokens[run], cells.data[run], cells.levels[level_run]]


def open_cache(groups: RowGroups, folder: Path | None, pool: ThreadPoolExecutor) -> DecodedCache:
    """Map the decoded arrays of a dataset, making them first where they are not there, or not as they were made.

    Two processes that want the same cache do not both make it: the second waits for the first. A cache is put in its
    place when it is whole, so an interrupted one is never read.

    Parameters
    ----------
    groups
        The dataset.
    folder
        Where caches are kept; ``$TITIN_CACHE``, or ``~/.cache/titin``, where not given.

    Raises
    ------
    OutputError
        If the cache cannot be written, or others can write to where it is kept.
    """
    home = folder or cache_home()
    target = home / cache_key(groups.manifest)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder is None and not os.environ.get("TITIN_CACHE"):
            _close_to_others(home)
        _refuse_shared(home)
        with _locked(home / f"{target.name}.lock"):
            if not os.path.lexists(target):
                _make(groups, target, pool)
            try:
                return DecodedCache(target, groups)
            except DamagedCacheError as error:
                _log.warning("the cache %s is damaged and made again: %s", target, error)
            _remove(target)
            _make(groups, target, pool)
            return DecodedCache(target, groups)
    except (OSError, DamagedCacheError) as error:
        raise OutputError(
            f"the cache {target} cannot be made: {getattr(error, 'strerror', None) or error}",
            "free some space, or name another folder with cache=",
        ) from error


def discard(cache: DecodedCache) -> None:
    """Remove a cache that was found damaged, so that it is made again by who next asks for it."""
    with suppress(OSError):
        _remove(cache.folder)


def cache_home() -> Path:
    """Where caches are kept."""
    return Path(os.environ.get("TITIN_CACHE") or Path.home() / ".cache" / "titin")


def cache_key(manifest: Manifest) -> str:
    """Name of a dataset's cache: its prefix and what its expression files hold."""
    sums = [manifest.files[name]["sha256"] for name in manifest.shards(manifest.layout.expression)]
    return f"{manifest.prefix}-{digest_of([_VERSION, sums])[:16]}"


def _close_to_others(home: Path) -> None:
    """Let nobody else write to titin's own folder, which an earlier titin may have made for the whole group."""
    found = home.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & 0o022:
        home.chmod(stat.S_IMODE(found.st_mode) & ~0o022)


def _refuse_shared(home: Path) -> None:
    """Refuse a folder in which others could put something in a cache's place."""
    mode = home.stat().st_mode
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise OutputError(
            f"others can write in {home}, where a cache would be kept",
            f"let nobody else write there (chmod go-w {home}), or name another folder with cache=",
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = open_lock(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open_folder(folder: Path) -> int:
    """Open a folder that only this user can have written to."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise OutputError(
            f"the cache {folder} is no folder of yours: {error.strerror}",
            "remove it, or name another folder with cache=",
        ) from error
    found = os.fstat(handle)
    if found.st_uid == os.geteuid() and not found.st_mode & 0o022:
        return handle
    os.close(handle)
    if found.st_uid == os.geteuid():
        raise DamagedCacheError("others can write to it")
    raise OutputError(f"the cache {folder} belongs to another user", "name another folder with cache=")


def _open_file(name: str, folder: int) -> int:
    """Open a file of a cache; it must be a plain file of this user's own."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise DamagedCacheError(f"{name}: {error.strerror}") from error
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
        return handle
    os.close(handle)
    raise DamagedCacheError(f"{name} is no file of yours alone")


def _read_file(name: str, folder: int, limit: int) -> bytes:
    """Read a small file whole; more than it can have is not read."""
    with open(_open_file(name, folder), "rb") as file:
        return file.read(limit + 1)


def _read_header(folder: int, key: str) -> dict[str, Any]:
    """Checksums by file; the header's own is on the first line."""
    digest, _, text = _read_file(_HEADER, folder, 2**30).partition(b"\n")
    if digest.decode("ascii", "replace") != hashlib.sha256(text).hexdigest():
        raise DamagedCacheError(f"{_HEADER} differs from its checksum")
    header = json.loads(text)
    if not isinstance(header, dict) or header.get("key") != key:
        raise DamagedCacheError(f"{_HEADER} is that of another cache")
    return header


def _read_lengths(folder: int, name: str, groups: RowGroups, header: dict[str, Any]) -> NDArray[np.int64]:
    """How many elements each cell has."""
    n = groups.manifest.n_cells
    data = _read_file(name, folder, 8 * n)
    if len(data) != 8 * n or zlib.crc32(data) != _numbers(header, name, 1)[0]:
        raise DamagedCacheError(f"{name} differ from their checksum")
    lengths = np.frombuffer(data, np.int64)
    if n and not (lengths.min() >= 0 and lengths.max() <= groups.manifest.n_genes):
        raise DamagedCacheError(f"{name} are not those of {groups.manifest.n_genes:,} genes")
    return lengths


def _numbers(header: dict[str, Any], name: str, n: int) -> list[int]:
    found = header.get(name)
    if not isinstance(found, list) or len(found) != n:
        raise DamagedCacheError(f"{_HEADER} has not {n:,} checksums of {name}")
    return found


def _make(groups: RowGroups, target: Path, pool: ThreadPoolExecutor) -> None:
    with scratch(target) as place:
        whole = place / target.name
        whole.mkdir(mode=0o700)
        _write(groups, whole, pool)
        put(whole, target)


def _write(groups: RowGroups, folder: Path, pool: ThreadPoolExecutor) -> None:
    sums: dict[str, list[int]] = {name: [] for name in _ELEMENTS}
    lengths: dict[str, list[NDArray[np.int64]]] = {name: [] for name in _LENGTHS}
    space = Space()
    with ExitStack() as stack:
        files = [stack.enter_context((folder / name).open("xb")) for name in _ELEMENTS]
        for first in range(0, len(groups.groups), _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, len(groups.groups)))
            cells = groups.read(numbers, pool, space)
            at = 0
            for group in numbers:
                # without the gaps that empty lists leave between row groups
                parts = elements(cells, at, groups.groups[group].n_rows)
                for name, file, part in zip(_ELEMENTS, files, parts, strict=True):
                    file.write(part.data)
                    sums[name].append(zlib.crc32(part.data))
                at += groups.groups[group].n_rows
            lengths["lengths"].append(cells.lengths)
            lengths["level_lengths"].append(cells.level_lengths)
    for name, own in lengths.items():
        joined = np.concatenate(own or [np.empty(0, np.int64)])
        (folder / name).write_bytes(joined.data)
        sums[name] = [zlib.crc32(joined.data)]
    text = json.dumps({"key": folder.name, **sums}).encode()
    (folder / _HEADER).write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def _remove(path: Path) -> None:
    """Remove a folder with all that is in it, or a link as such."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def _close(files: dict[str, int]) -> None:
    for file in files.values():
        os.close(file)
