"""Byte ranges as HTTP asks for them."""

import re

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class UnsatisfiableRangeError(ValueError):
    """The range lies beyond the end of the file."""


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of a single range; None for the whole file, which several ranges at once are answered with.

    Raises
    ------
    UnsatisfiableRangeError
        If no byte of the file lies in it.

    Examples
    --------
    >>> read_range("bytes=0-9", 100), read_range("bytes=-10", 100), read_range("bytes=95-", 100)
    ((0, 10), (90, 100), (95, 100))
    >>> read_range("bytes=0-9,20-29", 100) is None
    True
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        first, end = max(0, size - int(found[2])), size
    else:
        first = int(found[1])
        if found[2] and int(found[2]) < first:
            return None  # no range at all
        end = min(size, int(found[2]) + 1) if found[2] else size
    if first >= end:
        raise UnsatisfiableRangeError(header)
    return first, end
