"""Put a finished folder in another's place, so that nobody ever finds half of it."""

import ctypes
import errno
import os
from pathlib import Path

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

    By two renames the old folder goes to ``new.with_name(REPLACED)``, from where `bring_back` fetches it if the
    process is killed between them.
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
