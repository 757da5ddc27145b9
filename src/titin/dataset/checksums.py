"""Checksums: sha256 of a file or of a value, and a sum at the speed at which memory is read.

The quick one tells what was lost or damaged, not what was forged; what goes into a dataset has its sha256 in the
manifest.
"""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.jit import kernel

_AT_ONCE = 2**18  # bytes: they stay in the processor's cache; a multiple of the 32 that are stirred in together
_PRIMES = np.array([0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63], np.uint64)


def sha256(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: Any, *, default: Callable[[Any], Any] | None = None) -> str:
    """sha256 of a value as JSON, keys of tables in order, in hexadecimal.

    Parameters
    ----------
    content
        What JSON has.
    default
        Gives something that JSON has for what it has not, such as `str`; where not given, a TypeError tells of it.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=default).encode()).hexdigest()


def checksum_file(path: Path) -> list[int | str]:
    """Return the size of a file in bytes, and a checksum of 256 bits in hexadecimal.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    lanes, size = _PRIMES.copy(), 0
    buffer = np.zeros(_AT_ONCE, np.uint8)
    with path.open("rb", buffering=0) as file:
        while got := _fill(file, buffer.data):
            buffer[got : -(-got // 8) * 8] = 0  # to whole words: the size tells them from zeros of the file
            _mix(buffer[: -(-got // 8) * 8].view(np.uint64), lanes)
            size += got
    return [size, lanes.tobytes().hex()]


def _fill(file: io.FileIO, view: memoryview) -> int:
    """Read until the view is full or the file ends; return how much was read."""
    filled = 0
    while filled < len(view) and (got := file.readinto(view[filled:])):
        filled += got
    return filled


@kernel
def _mix(words: NDArray[np.uint64], lanes: NDArray[np.uint64]) -> None:
    """Stir words into the lanes: each lane is multiplied by an odd number, which loses nothing, and turned."""
    a, b, c, d = lanes[0], lanes[1], lanes[2], lanes[3]
    odd, turn, back = np.uint64(0x9FB21C651E98DF25), np.uint64(29), np.uint64(35)
    whole = len(words) // 4 * 4
    for i in range(0, whole, 4):
        a = (a ^ words[i]) * odd
        b = (b ^ words[i + 1]) * odd
        c = (c ^ words[i + 2]) * odd
        d = (d ^ words[i + 3]) * odd
        a = (a << turn) | (a >> back)
        b = (b << turn) | (b >> back)
        c = (c << turn) | (c >> back)
        d = (d << turn) | (d >> back)
    for i in range(whole, len(words)):
        a = (a ^ words[i]) * odd
        a = (a << turn) | (a >> back)
    lanes[0], lanes[1], lanes[2], lanes[3] = a, b, c, d
