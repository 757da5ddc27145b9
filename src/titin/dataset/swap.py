"""Files and folders are written beside their place, flushed to the disk, and put there in one step."""

import ctypes
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from titin.dataset.leftovers import REPLACED, clear, dismantle, make_place
from titin.disk import disk_error, raise_for_disk
from titin.errors import OutputError

_AT_FDCWD, _EXCHANGE = -100, 2
_AT_ONCE = 8  # files flushed: journals write many of them together


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Give a folder of one's own beside a target, to write in and then to `put` in the target's place.

    It is removed at the end. What killed processes have left beside the same target is removed first.

    Raises
    ------
    OutputError
        If nothing can be written there, or the disk is full.
    """
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        clear(folder, target=target)
        place, lock = make_place(target)
    except OSError as error:
        raise disk_error(error, folder) or OutputError(
            f"cannot write in {folder}: {error.strerror or error}", "check its permissions, or choose another --output"
        ) from error
    try:
        yield place
    except OSError as error:
        raise_for_disk(error, folder)
        raise
    finally:
        dismantle(place)
        os.close(lock)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give where to write a file or folder, which takes its place when the block ends; nothing does if it raises.

    Raises
    ------
    OutputError
        As `scratch`.

    Examples
    --------
    >>> with whole(Path("table.csv")) as file:  # doctest: +SKIP
    ...     table.to_csv(file)
    """
    with scratch(path) as place:
        yield place / path.name
        put(place / path.name, path)


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    with whole(path) as file:
        file.write_text(text, "utf-8")


def write_json(path: Path, document: Any) -> None:
    """Write strict JSON, whole or not at all."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def put(new: Path, target: Path) -> None:
    """Put a finished file or folder in a place, in one step, and wait until all of that is on the disk."""
    flush([new])
    if os.path.lexists(target) and (new.is_dir() or (target.is_dir() and not target.is_symlink())):
        exchange(new, target)
    else:
        new.replace(target)
    flush_folders(new.parent, target.parent)


def flush(paths: Iterable[Path]) -> None:
    """Wait until files, and folders with all that is in them, are on the disk."""
    files: list[str] = []
    folders: list[str] = []
    for path in paths:
        if not path.is_dir():
            files.append(str(path))
        for folder, _, names in os.walk(path):
            folders.append(folder)
            files += [f"{folder}/{name}" for name in names if stat.S_ISREG(os.lstat(f"{folder}/{name}").st_mode)]
    if len(files) <= 1:
        for file in files:
            _sync(file)
    else:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_sync, files))
    flush_folders(*map(Path, folders))


def flush_folders(*folders: Path) -> None:
    """Wait until the names in folders are on the disk."""
    for folder in dict.fromkeys(folders):
        _sync(str(folder))


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def exchange(new: Path, old: Path) -> None:
    """Swap two files or folders: in one step where the system can, else by two renames.

    By two renames the old one goes to a folder ``replaced`` beside the new. If the process is killed between them,
    whoever next writes the same, or clears up, fetches it from there: `titin.dataset.leftovers.bring_back`.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        rename = None
    if rename is not None:
        if rename(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _EXCHANGE) == 0:
            return
        if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(old))
    aside = new.with_name(REPLACED)
    aside.mkdir(exist_ok=True)
    old.rename(aside / old.name)
    try:
        new.rename(old)
    except BaseException:
        (aside / old.name).rename(old)
        raise
