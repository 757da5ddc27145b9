"""What is freed, and the C library keeps for the next array or gives back to the system: when it does which."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_TRIM, _MAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT, _LARGEST = 64 * 2**20, 32 * 2**20  # what glibc comes to by itself, as long as nobody sets either
_LARGEST_AT_FIRST = 128 * 2**10
_TRIM_VARIABLE, _MAP_VARIABLE = "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"

_lock = Lock()
_users = 0


@contextmanager
def keep_freed() -> Iterator[None]:
    """Have memory that is freed meanwhile used again, and not be given back and asked for page by page.

    Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``, so that what lies free in them is small. glibc then
    maps every array of more than 128 KiB anew, and passes spend much of their time on pages. Afterwards all is as it
    was, and what lies free at the end of the heap goes back with the next large array that is freed. Nothing is changed
    where that variable is not set, or where somebody has chosen the other one. May be entered by several threads.
    """
    before = _chosen()
    if before is None:
        yield
        return
    _enter(before, 1)
    try:
        yield
    finally:
        _enter(before, -1)


def give_back() -> None:
    """Give the system back what is freed and the C library keeps, after much was read; nothing on other systems."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # no such library, or none that keeps what is freed
        return
    trim(0)


def _chosen() -> int | None:
    """The bytes from which on free memory is given back, as the environment has them; None where it is not to say."""
    text = os.environ.get(_TRIM_VARIABLE, "")
    if not text.isdecimal() or _MAP_VARIABLE in os.environ or int(text) >= _KEPT:
        return None
    return int(text)


def _enter(before: int, step: int) -> None:
    global _users
    with _lock:
        _users += step
        if _users == max(step, 0):  # the first that comes, or the last that goes
            _set(*((_KEPT, _LARGEST) if step > 0 else (before, _LARGEST_AT_FIRST)))


def _set(trim: int, largest: int) -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library, which keeps memory as it likes
        return
    mallopt(_TRIM, trim)
    mallopt(_MAP, largest)
