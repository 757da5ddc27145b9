"""Change a dataset that is there, so that nobody ever finds half of a change."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from titin.dataset import layout
from titin.dataset.leftovers import clear
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.own_files import refuse_links
from titin.dataset.swap import put, scratch
from titin.disk import raise_for_disk
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
        path = self._path(name)
        path.unlink(missing_ok=True)
        self.changed.add(name)
        return path

    def remove(self, name: str) -> None:
        """Drop a file."""
        self._path(name).unlink(missing_ok=True)
        self.manifest.files.pop(name, None)
        self.changed.discard(name)

    def remove_ageing(self) -> None:
        """Drop what changes with age, by all levels of cell types."""
        for names in self.manifest.ageing_files.values():
            for name in names:
                self.remove(name)
        self.manifest.ageing = {}

    def _path(self, name: str) -> Path:
        """Path of what is written or removed; a name that leads out of the draft is a mistake of whoever gives it."""
        if name != layout.MANIFEST and not re.fullmatch(layout.FILE, name):
            raise ValueError(f"{name!r} is no name of a file of a dataset")
        return self.folder / name

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
    clear(folder.parent, target=folder)  # which brings back what a killed process had half replaced
    manifest = Manifest.read(folder)
    refuse_links(folder)
    lock = _take_lock(folder)
    try:
        with scratch(folder) as place:
            draft = Draft(_copy(folder, place / folder.name), manifest)
            yield draft
            draft.finish()
            put(draft.folder, folder)
    finally:
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


def _copy(folder: Path, copy: Path) -> Path:
    """Copy a folder by links, or in full where the file system has none."""
    try:
        return Path(shutil.copytree(folder, copy, symlinks=True, copy_function=_link))
    except shutil.Error as error:  # a list of what could not be copied, and why
        raise_for_disk(error, folder.parent)
        source, _, reason = error.args[0][0]
        raise OutputError(f"{source} cannot be copied: {reason}", "a dataset is changed by a copy beside it") from error


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target)
