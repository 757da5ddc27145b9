"""The hidden folders in which titin writes, beside what it writes: made, locked, and cleared up after a kill.

Each is called ``.NAME.titin-…`` after what is written, belongs to one user, and has a file that is locked as long as
the process lives: a folder whose lock can be taken is of a process that was killed.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from titin.errors import OutputError

LOCK = "lock"
REPLACED = "replaced"  # folder within: what was there before, where the system cannot exchange two folders in one step
BUILD = "build"
_NAME = re.compile(rf"\.(.+)\.titin-({BUILD}|[0-9a-f]{{8}})")
_LONGEST = 180  # bytes of a name that are kept: with what is added it must remain a name


@dataclass(frozen=True)
class Leftover:
    """A folder that a killed process has left.

    Attributes
    ----------
    path
        The folder.
    name
        Of what was being written, beside it.
    resumable
        Whether ``titin build --resume`` would go on from it.
    """

    path: Path
    name: str
    resumable: bool

    @property
    def n_bytes(self) -> int:
        """Size of all files in it."""
        return sum(os.lstat(Path(place) / file).st_size for place, _, files in os.walk(self.path) for file in files)

    def remove(self) -> bool:
        """Remove it unless somebody uses it after all; return whether it is gone. What it had replaced comes back."""
        lock = _try_lock(self.path)
        if lock is None:
            return _remove_empty(self.path)
        try:
            bring_back(self.path)
            dismantle(self.path)
        finally:
            os.close(lock)
        return not self.path.exists()


def make_place(target: Path) -> tuple[Path, int]:
    """Make a folder beside a target, which only this user can enter; return it and its lock, which is to be closed."""
    while True:
        place = target.parent / f"{_stem(target)}{secrets.token_hex(4)}"
        place.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # somebody has taken it for a leftover before it was locked
            lock = open_lock(place / LOCK)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            except OSError:  # a file system without locks
                return place, lock
            else:
                if os.fstat(lock).st_nlink:
                    return place, lock
            os.close(lock)


def own_folder(path: Path) -> None:
    """Make a folder that only this user can enter, or take one that is there: no link, and nobody else's to write to.

    Raises
    ------
    OutputError
        If what is there is something else.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise OutputError(
                f"{path} is no folder of yours alone, where titin would write", "remove it, or write somewhere else"
            ) from None


def open_lock(path: Path, *, create: bool = True) -> int:
    """Open a file to lock, which is not written to: a plain file of this user's own, and no link to one.

    Raises
    ------
    OutputError
        If it is something else.
    OSError
        If it is not there and not to be made, or its folder is not there or not to be written to.
    """
    try:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_CREAT if create else 0)
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _no_lock(path) from error
        raise
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return handle
    os.close(handle)
    raise _no_lock(path)


def _no_lock(path: Path) -> OutputError:
    return OutputError(f"{path} is no file of yours, but would be locked", "remove it, or write somewhere else")


def find_leftovers(folder: Path, *, target: Path | None = None, below: bool = False) -> Iterator[Leftover]:
    """Yield this user's folders that no living process holds.

    Parameters
    ----------
    folder
        Looked in.
    target
        Only those beside this target; unfinished builds, which can be gone on with, are then left out.
    below
        Look in the folders below it as well.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        found = _NAME.fullmatch(entry.name)
        if found is None:
            if below and entry.is_dir(follow_symlinks=False):
                yield from find_leftovers(Path(entry.path), below=True)
            continue
        resumable = found[2] == BUILD
        if target is not None and (resumable or not entry.name.startswith(_stem(target))):
            continue
        if _is_ours(entry) and _is_dead(Path(entry.path)):
            yield Leftover(Path(entry.path), found[1], resumable)


def clear(folder: Path, *, target: Path | None = None, below: bool = False) -> None:
    """Remove what `find_leftovers` finds, but no unfinished builds."""
    for leftover in find_leftovers(folder, target=target, below=below):
        if not leftover.resumable:
            leftover.remove()


def bring_back(place: Path) -> None:
    """Undo half an exchange: what was set aside in a place goes back to where it was, if nothing is there."""
    aside = place / REPLACED
    if aside.is_dir() and not aside.is_symlink():
        for old in list(aside.iterdir()):
            if not os.path.lexists(place.parent / old.name):
                old.rename(place.parent / old.name)


def dismantle(place: Path, *last: str) -> None:
    """Remove a folder, its lock at the end: as long as anything is in it, it can be told whose it is.

    ``last`` names what is to be removed after everything else.
    """
    late = [*last, LOCK]
    with contextlib.suppress(OSError):
        for path in [path for path in place.iterdir() if path.name not in late]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for name in late:
            (place / name).unlink(missing_ok=True)
        place.rmdir()


def _stem(target: Path) -> str:
    name = target.name
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return f".{name}.titin-"


def _is_ours(entry: "os.DirEntry[str]") -> bool:
    found = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _is_dead(place: Path) -> bool:
    lock = _try_lock(place)
    if lock is not None:
        os.close(lock)
        return True
    try:
        return not any(place.iterdir())  # killed before it had a lock, or after
    except OSError:
        return False


def _try_lock(place: Path) -> int | None:
    """Take the lock of a place; None if it is held, or there is none."""
    try:
        lock = open_lock(place / LOCK, create=False)
    except (OSError, OutputError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _remove_empty(place: Path) -> bool:
    try:
        place.rmdir()
    except OSError:
        return False
    return True
