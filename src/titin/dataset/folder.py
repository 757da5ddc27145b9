"""What a dataset's files are read through, and a folder of this machine: whole files and open files, no format."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from titin.files import read_bytes

Mark = tuple[Any, ...]  # what changes when a file is replaced; the first is its size


class DatasetFolder(ABC):
    """A folder somewhere.

    Attributes
    ----------
    name
        As messages call it.
    remote
        Whether a read costs a round trip, so that few large reads are better than many small ones.
    pinned
        Whether nothing that is there can ever change, so that no file need be looked at again.
    """

    name: str
    remote: bool
    pinned = False

    def path(self, file: str) -> str:
        """Full name of a file, as messages call it."""
        return f"{self.name.rstrip('/')}/{file}"

    @abstractmethod
    def mark(self, file: str) -> Mark:
        """Size and whatever else tells a file from one put in its place; FileNotFoundError if there is none."""

    def explain_absence(self) -> tuple[str, str]:
        """Why there is no dataset, and what to do, where more is known than that a file is not there."""
        return "", ""

    def last_mark(self, file: str) -> Mark | None:  # noqa: ARG002 - only a folder far away remembers
        """The last that `mark` has found, where it is remembered."""
        return None

    @property
    def tells(self) -> bool:
        """Whether every read says which file it was from, so that none need be looked at before or after it."""
        return False

    def told(self, file: str) -> frozenset[Mark]:  # noqa: ARG002 - as above
        """All marks that a file was found to have, where `tells`."""
        return frozenset()

    def expect(self, sizes: Mapping[str, int]) -> None:  # noqa: B027 - as is all that follows, it is for far away
        """Be told how large files are, which need not be asked for then."""

    def keep(self, file: str) -> None:  # noqa: B027
        """Read a small file at once, where a read costs a round trip, and all parts of it from there."""

    def begin(self, file: str, *, whole: bool) -> None:  # noqa: B027
        """Begin to read a file's end, or a small file, where a read costs a round trip."""

    @abstractmethod
    def open(self, file: str) -> Any:
        """Open a file for `pyarrow.parquet.ParquetFile`."""

    @abstractmethod
    def read(self, file: str, most: int | None = None) -> bytes:
        """Read a whole file, which may have so many bytes at most."""

    @abstractmethod
    def read_range(self, file: str, offset: int, length: int) -> bytes | memoryview:
        """Read part of a file; fewer bytes at its end."""


class LocalFolder(DatasetFolder):
    """A folder of this machine."""

    remote = False

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder.expanduser().absolute(), str(folder)

    def mark(self, file: str) -> Mark:
        """Size, time of change and inode."""
        found = os.stat(self.folder / file)  # noqa: PTH116 - Path.stat costs twice as much, and one gene is two of these
        return found.st_size, found.st_mtime_ns, found.st_ino

    def open(self, file: str) -> Any:
        """Open without Python between the reader and the disk."""
        return pa.OSFile(str(self.folder / file), "rb")

    def read(self, file: str, most: int | None = None) -> bytes:  # noqa: ARG002 - `read_bytes` has a limit of its own
        """Read a whole file."""
        return read_bytes(self.folder / file)

    def read_range(self, file: str, offset: int, length: int) -> bytes | memoryview:
        """Read part of a file, into memory that may be written to: numba takes 50 µs to look at any other."""
        handle = os.open(self.folder / file, os.O_RDONLY)
        try:
            memory = np.empty(length, np.uint8).data
            return memory[: os.preadv(handle, [memory], offset)]
        finally:
            os.close(handle)
