"""Change a dataset that is there: some files of it, and its manifest, all at once or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from titin.dataset import layout
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.swap import REPLACED, exchange, flush
from titin.errors import OutputError


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
