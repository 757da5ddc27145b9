"""The files that a source consists of, as they were when it was opened: what they are, and whether they stay so."""

import copy
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from titin.dataset.checksums import sha256
from titin.errors import SourceError

FOLLOW = (
    "What such a link leads to would become a part of the dataset, and be published with it. Put what is meant in the "
    "place of the link, or give --follow-links (follow_links=True) if you know where it leads."
)
_LOST = "Put that file there, or copy the source again."
_SETTLED = "Wait until nothing writes to it any more, and begin again."


class FileState(NamedTuple):
    """What tells that a file is another one, or was written to."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "FileState":
        """State by what the system says of the file."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


class Origin(Protocol):
    """Where a source comes from: a path that errors name, and what tells whether it stays as it was."""

    path: Path

    def sha256(self) -> str:
        """Checksum of all that it consists of."""
        ...

    def fingerprint(self) -> str:
        """Checksum of what tells that it is another one, without reading it."""
        ...

    def check_unchanged(self) -> None:
        """Refuse it where it is not as it was when it was opened."""
        ...


class Inventory:
    """Every file of a source by name, with its state when this was made; made before anything is read.

    Parameters
    ----------
    path
        A file, or a folder with all that is in it. It may be a symbolic link itself.
    follow_links
        Whether files of a folder may be symbolic links; else they are refused.

    Raises
    ------
    SourceError
        If a folder holds a link, or anything that is neither file nor folder.
    """

    def __init__(self, path: Path, *, follow_links: bool = False) -> None:
        self.path, self.follow_links = path, follow_links
        self.links: dict[str, str] = {}
        self._elsewhere: dict[str, Path] = {}
        self.states = self._look()

    def _look(self) -> dict[str, FileState]:
        if self.path.is_dir():
            found = {name: FileState.of(state) for name, state in self._below()}
        else:
            found = {self.path.name: FileState.of(self.path.stat())}
        return found | {name: FileState.of(path.stat()) for name, path in self._elsewhere.items()}

    def _below(self) -> Iterator[tuple[str, os.stat_result]]:
        """Name and state of each file of the folder, in no order."""
        folders = [("", frozenset({_identity(self.path.stat())}))]
        while folders:
            inside, around = folders.pop()
            with os.scandir(self.path / inside) as entries:
                for entry in entries:
                    name = f"{inside}/{entry.name}" if inside else entry.name
                    linked = entry.is_symlink()
                    if linked:
                        self._note_link(name, str(Path(entry.path).readlink()))
                    if not entry.is_dir():
                        yield name, self._state_of(name, entry)
                        continue
                    identity = _identity(entry.stat())
                    if linked and identity in around:
                        what = f"a symbolic link to {self.links[name]}, in which it lies itself"
                        raise SourceError(f"{self.path}: {name} is {what}", "Remove it: it has no end.")
                    folders.append((name, around | {identity}))

    def _note_link(self, name: str, target: str) -> None:
        if not self.follow_links:
            raise SourceError(f"{self.path}: {name} is a symbolic link to {target}", FOLLOW)
        self.links[name] = target

    def _state_of(self, name: str, entry: os.DirEntry[str]) -> os.stat_result:
        try:
            found = entry.stat()
        except FileNotFoundError:
            what = f"a symbolic link to {self.links[name]}, where nothing is" if name in self.links else "gone"
            raise SourceError(f"{self.path}: {name} is {what}", _LOST) from None
        if not stat.S_ISREG(found.st_mode):
            raise SourceError(
                f"{self.path}: {name} is neither a file nor a folder", "Remove it: no source has pipes or devices."
            )
        return found

    def add(self, name: str, path: Path) -> None:
        """Count a file that lies elsewhere, to which a link that is followed leads."""
        if name not in self._elsewhere:
            self._elsewhere[name] = path
            self.states[name] = FileState.of(path.stat())

    def _place(self, name: str) -> Path:
        return self._elsewhere.get(name) or (self.path / name if self.path.is_dir() else self.path)

    def sha256(self) -> str:
        """Checksum of the file; of several, that of their sorted names and checksums.

        Raises
        ------
        SourceError
            If a file is gone.
        """
        try:
            return self._checksum()
        except FileNotFoundError:
            self.check_unchanged()
            raise

    def _checksum(self) -> str:
        if len(self.states) == 1 and not self.path.is_dir():
            return sha256(self.path)
        total = hashlib.sha256()
        for name in sorted(self.states):
            total.update(f"{sha256(self._place(name))}  ".encode() + os.fsencode(name) + b"\n")
        return total.hexdigest()

    def fingerprint(self) -> str:
        """Checksum of the names and states, which no reading of the files is needed for."""
        return hashlib.sha256(repr(sorted(self.states.items())).encode("utf-8", "surrogateescape")).hexdigest()

    def check_unchanged(self) -> None:
        """Refuse files that are not as they were.

        What this cannot see is a change that keeps a file's size and sets its time back, or comes within the same tick
        of the system's clock (some milliseconds) as the opening.

        Raises
        ------
        SourceError
            With what changed.
        """
        if changed := self.difference():
            raise SourceError(f"{self.path} changed while it was read: {changed}", _SETTLED)

    def difference(self) -> str:
        """What is not as it was, of one file of several; nothing where all are."""
        try:
            now = self._look()
        except (OSError, SourceError) as error:
            return _first_line(error)
        if now == self.states:
            return ""
        names = sorted(name for name in now.keys() | self.states.keys() if now.get(name) != self.states.get(name))
        before, after = self.states.get(names[0]), now.get(names[0])
        more = f" ({len(names):,} files changed in all)" if len(names) > 1 else ""
        return f"{names[0]} {_change(before, after)}{more}"

    def from_anywhere(self) -> "Inventory":
        """The same with absolute paths, for processes that work in other folders."""
        other = copy.copy(self)
        other.path = self.path.absolute()
        other._elsewhere = {name: path.absolute() for name, path in self._elsewhere.items()}
        return other


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _change(before: FileState | None, after: FileState | None) -> str:
    if before is None:
        return "was added"
    if after is None:
        return "was removed"
    if before.inode != after.inode:
        return "was replaced by another file"
    if before.size != after.size:
        return f"had {before.size:,} bytes and has {after.size:,}"
    return "was written to"


def _first_line(error: BaseException) -> str:
    return str(error.args[0] if isinstance(error, SourceError) else error).splitlines()[0]
