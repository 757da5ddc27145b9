"""Files that others made, opened for reading: regular files only, and text only up to a size; and where they lie.

A pipe that nobody writes to never ends, nor does ``/dev/zero``, and a file of ``/proc`` is no data. Each is refused
with an `OSError` that says what it is, so that whoever opens files has one kind of error to tell.
"""

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from titin.errors import TitinError
from titin.masking import mask

MOST_TEXT = 256 << 20
"""Bytes of a text file that is read whole: settings, presets, gene sets, results in JSON."""

TABLE_FORMATS = ("parquet", "csv")
"""Of tables that are written for people and programs."""

_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip
_KERNEL = ("/proc", "/sys")


class NotRegularError(OSError):
    """What is there is no regular file, or too large to be read as text."""


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse what is no regular file; for libraries that open it by its name.

    Raises
    ------
    NotRegularError
        If it is a folder, a pipe, a socket, a device or a file of the kernel.
    FileNotFoundError
        If there is nothing.
    """
    _refuse(os.fspath(path), Path(path).stat())


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading; what is none is refused without waiting for it.

    Raises
    ------
    NotRegularError
        As `check_regular`.
    OSError
        If it cannot be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        check_regular(path)  # a socket cannot be opened: say that it is one
        raise
    try:
        _refuse(os.fspath(path), os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_bytes(path: str | os.PathLike[str], most: int = MOST_TEXT) -> bytes:
    """Read a file whole.

    Raises
    ------
    NotRegularError
        As `check_regular`; or if it has more than ``most`` bytes.
    OSError
        If it cannot be opened.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    if size > most or len(content) > most:
        raise NotRegularError(f"{os.fspath(path)} has more than {most // 2**20:,} MiB, which is too large to be read")
    return content


def read_text(path: str | os.PathLike[str], most: int = MOST_TEXT) -> str:
    """Read a text file in UTF-8 whole, with line ends as Python reads them.

    Raises
    ------
    NotRegularError, OSError
        As `read_bytes`.
    UnicodeDecodeError
        If it is not UTF-8.
    """
    return read_bytes(path, most).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _refuse(path: str, found: os.stat_result) -> None:
    what = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "")
    if not what and found.st_dev in _kernel_devices():
        what = "a file of the kernel"
    if what:
        raise NotRegularError(f"{path} is {what}, not a regular file")


def _kernel_devices() -> set[int]:
    return {os.stat(folder).st_dev for folder in _KERNEL if os.path.ismount(folder)}  # noqa: PTH116


_FILE_URL = re.compile(r"file:(?://(?:localhost(?=/))?(?=.)|(?=/))", re.IGNORECASE)
_ONE_SLASH = re.compile(r"(s3a?|gs|gcs|az|abfss?|hf|https?):/(?!/)", re.IGNORECASE)


def is_url(place: str | os.PathLike[str]) -> bool:
    """Whether a place is a URL and not on this machine."""
    text = os.fspath(place)
    return "://" in text and not _FILE_URL.match(text)


def local_path(place: str | os.PathLike[str], needs: str = "it has to be") -> Path:
    """Return a path of this machine, given as it is or as a ``file://`` URL.

    Parameters
    ----------
    needs
        What is said of a URL: "… is not on this machine, where" this.

    Raises
    ------
    TitinError
        If it is a URL of another machine, or was one before a path took one of its slashes.
    """
    text = os.fspath(place)
    if is_url(text):
        raise TitinError(f"{mask(text)} is not on this machine, where {needs}", "download it first")
    if found := _ONE_SLASH.match(text):
        raise TitinError(
            f"{mask(text)} is neither a path nor a URL, which has two slashes",
            f"write {found[1]}://…, in Python as text and not as a Path; or the whole path, if it is a folder",
        )
    return Path(_FILE_URL.sub("", text, count=1) if _FILE_URL.match(text) else text)


def local_folder(place: str | os.PathLike[str]) -> Path:
    """Return the folder of a dataset on this machine, as `local_path` does."""
    return local_path(place, "this needs the dataset to be")


def beside(place: str | os.PathLike[str], suffix: str) -> Path:
    """Return where results of a dataset are written: beside it, under its name and a suffix.

    Raises
    ------
    TitinError
        If the dataset is not on this machine.
    """
    if is_url(place):
        raise TitinError("the dataset is not on this machine", "say with --output where the results are to be")
    whole = local_folder(place).absolute()
    return whole.with_name(f"{whole.name}{suffix}")
