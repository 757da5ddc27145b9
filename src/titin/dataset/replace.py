"""Put a finished folder in another's place, so that nobody ever finds half of it."""

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.errors import OutputError

_AT_FDCWD, _EXCHANGE = -100, 2
REPLACED = "replaced"  # beside the new folder: the old one, where the system cannot exchange the two in one step


def flush(folder: Path) -> None:
    """Wait until the files of a folder, and the folder itself, are on the disk."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def exchange(new: Path, old: Path) -> None:
    """Swap two folders: in one step where the system can, else by two renames.

    By two renames the old folder goes to ``new.with_name(REPLACED)``. If the process is killed between them, the next
    `revise` of that folder, or the next build into it, fetches it from there.
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
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        aside.rename(old)
        raise


@dataclass
class Draft:
    """A dataset as it will be.

    Attributes
    ----------
    folder
        Holds every file of the dataset. They are the dataset's own (hard links), so write none that `replace` did not
        name.
    manifest
        To be changed in place; ``files`` is brought up to date at the end.
    """

    folder: Path
    manifest: Manifest
    changed: set[str] = field(default_factory=set)

    def replace(self, name: str) -> Path:
        """Say that a file will be written, new or instead of the one there; return where to write it."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        self.changed.add(name)
        return path

    def remove(self, name: str) -> None:
        """Drop a file."""
        (self.folder / name).unlink(missing_ok=True)
        self.manifest.files.pop(name, None)
        self.changed.discard(name)

    def finish(self) -> None:
        """Describe the changed files and write the manifest."""
        for name in self.changed:
            self.manifest.files[name] = describe_file(self.folder / name)
        self.manifest.files = dict(sorted(self.manifest.files.items()))
        self.replace(layout.MANIFEST)
        self.manifest.write(self.folder)


@contextmanager
def revise(folder: Path) -> Iterator[Draft]:
    """Change a dataset: what the block writes takes the place of what was there when the block ends, in one step.

    The draft is a hidden folder beside the dataset, of hard links where the file system has them. If the block raises,
    or the process is killed, the dataset is as it was; whoever had opened it goes on reading what it had opened.

    Parameters
    ----------
    folder
        The dataset.

    Raises
    ------
    DatasetError
        If it is none.
    OutputError
        If it cannot be written beside, or somebody else is changing it.

    Examples
    --------
    >>> with revise(Path("liver_10x")) as draft:  # doctest: +SKIP
    ...     draft.replace("README.md").write_text("# Liver", "utf-8")
    """
    folder = folder.resolve()
    place = folder.parent / f".{folder.name}.titin-revision"
    if not folder.exists() and (place / REPLACED).exists():  # killed between two renames; see exchange
        (place / REPLACED).rename(folder)
    manifest = Manifest.read(folder)
    lock = _take_lock(folder)
    try:
        draft = Draft(_copy(folder, place), manifest)
        yield draft
        draft.finish()
        flush(draft.folder)
        exchange(draft.folder, folder)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def _take_lock(folder: Path) -> int:
    """Lock the folder itself: the lock goes with it when another takes its place."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == folder.stat().st_ino:
            return lock
    except OSError:
        pass
    os.close(lock)
    raise OutputError(f"another process is changing {folder}", "wait for it to end")


def _copy(folder: Path, place: Path) -> Path:
    """Copy a folder by links, or in full where the file system has none."""
    shutil.rmtree(place, ignore_errors=True)  # of a process that was killed
    try:
        place.mkdir()
        return Path(shutil.copytree(folder, place / "draft", symlinks=True, copy_function=_link))
    except (OSError, shutil.Error) as error:
        shutil.rmtree(place, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot write in {folder.parent}: {reason}", "a dataset is changed by a copy beside it: make room there"
        ) from error


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target)
