"""Disks that take no more: which one, how much is free there, and what to do."""

import contextlib
import errno
import re
import shutil
import tempfile
from pathlib import Path

from titin.errors import OutputError
from titin.text import size

_SAID = re.compile(r"\[?errno (\d+)\]?", re.IGNORECASE)  # by Arrow, whose errors carry no number
_WORDS = {"no space left": errno.ENOSPC, "quota exceeded": errno.EDQUOT, "file too large": errno.EFBIG}
_HALF = re.compile(r"\d requested and \d++ written")  # by NumPy, which says no more
_HIDDEN = re.compile(r"\..+\.titin-\w+")  # where titin writes before it puts things in their place
_ROOM = "free some space, or write to another disk"


class DiskError(OutputError):
    """A disk takes no more, or fails."""


def disk_error(error: BaseException, folder: Path) -> DiskError | None:
    """Say what is wrong with a disk, if that is why writing failed; None if it is not.

    Parameters
    ----------
    error
        What was raised, by whichever library.
    folder
        Where was written to.
    """
    code = _code(error)
    folder, free = _existing(folder.absolute()), ""
    with contextlib.suppress(OSError):
        free = f" ({size(shutil.disk_usage(folder).free)} free)"
    room = _ROOM
    if folder == Path(tempfile.gettempdir()):
        room = "free some space there, or set TMPDIR to a folder of another disk"
    told = {
        errno.ENOSPC: (f"the disk of {folder} is full{free}; what was begun is removed again", room),
        errno.EDQUOT: (f"your quota on the disk of {folder} is used up{free}; what was begun is removed again", room),
        errno.EFBIG: (f"a file in {folder} would become larger than is allowed there{free}",
                      "raise the limit (ulimit -f says it), or write to another disk"),
        errno.EROFS: (f"the disk of {folder} is mounted for reading only", "write to another disk"),
        errno.EIO: (f"the disk of {folder} fails to read or write", "check the disk, and write to another one"),
    }  # fmt: skip
    return DiskError(*told[code]) if code in told else None


def raise_for_disk(error: BaseException, folder: Path) -> None:
    """Raise what `disk_error` says, if anything.

    Raises
    ------
    DiskError
    """
    if told := disk_error(error, folder):
        raise told from error


def _code(error: BaseException) -> int | None:
    """Return the system's number of an error, whether it is carried or only said."""
    if not isinstance(error, OSError):
        return None
    if error.errno is not None:
        return error.errno
    text = str(error)
    if _HALF.search(text):
        return errno.ENOSPC
    if found := _SAID.search(text):
        return int(found[1])
    return next((code for word, code in _WORDS.items() if word in text.lower()), None)


def _existing(folder: Path) -> Path:
    """Return the folder, or the first above it that is there and no hidden one of ours."""
    hidden = [place for place in (folder, *folder.parents) if _HIDDEN.fullmatch(place.name)]
    if hidden:
        folder = hidden[-1].parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
