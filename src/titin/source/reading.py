"""Common to all readers of this room: a failing file becomes a `SourceError`, and rows are cut into blocks."""

import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from titin.errors import SourceError, TitinError
from titin.source.strings import decode

DAMAGED = "The file is damaged or incomplete; copy or download it again, or write it anew with a current anndata."
MISSING = "The file lacks this part: its writer did not write it. Write the file anew with a current anndata."
UNKNOWN = (
    "It is stored in a way that is not known here. Read it with the program that wrote the file, and write it anew "
    "with a current anndata."
)
MOST_ELEMENTS = 20_000
"""Elements of one group, and of what is read whole: more than any real file has, and few enough to be read soon."""
MOST_OBJECTS = 4 * MOST_ELEMENTS
"""Groups and arrays of a file."""
DEEPEST = 64
"""Groups within groups."""
_BYTES = (OSError, EOFError, RuntimeError, zlib.error, json.JSONDecodeError)  # what libraries raise over lost bytes


class UnboundedError(ValueError):
    """A part of a source whose reading would not end, or not within the memory there is; `reading` says where."""

    def __init__(self, message: str, hint: str = "No program writes such a file for its data; write it anew.") -> None:
        super().__init__(message)
        self.hint = hint


@contextmanager
def reading(path: Path, place: str) -> Iterator[None]:
    """Say which file and place could not be read, whatever the storage library raised."""
    try:
        yield
    except (TitinError, MemoryError):  # what is said already
        raise
    except Exception as error:
        reason = reason_of(error)
        raise SourceError(f"{path}: {place} cannot be read ({reason})", _hint_for(error, reason)) from error


def shortened(place: str) -> str:
    """A place with its middle left out, where that is very long."""
    return place if len(place) <= 80 else f"{place[:50]}…{place[-25:]}"


def reason_of(error: BaseException) -> str:
    """Return the first line of what a library said."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"missing: {reason}" if isinstance(error, KeyError) else reason


def _hint_for(error: Exception, reason: str) -> str:
    """What to do: only where bytes are missing or wrong does it help to fetch the file again."""
    if isinstance(error, UnboundedError):
        return error.hint
    if "filter" in reason and ("registered" in reason or "not available" in reason):
        return "It is compressed with a filter that hdf5plugin does not have; write it with gzip or zstd."
    if isinstance(error, KeyError):
        absent = "doesn't exist" in reason or "component not found" in reason  # the latter of a link to nowhere
        lost = "unable to" in reason.lower() and not absent
        return DAMAGED if lost else MISSING
    lost = isinstance(error, _BYTES) and not isinstance(error, NotImplementedError)
    return DAMAGED if lost or _is_checksum(reason) else UNKNOWN


def _is_checksum(reason: str) -> bool:
    words = reason.lower()
    return any(word in words for word in ("checksum", "corrupt", "decompress", "decoding", "truncated"))


def members(node: Any) -> list[str]:
    """Return the sorted names in a group; of a compound dataset its fields; of anything else none."""
    if hasattr(node, "keys"):
        names = list(islice(node.keys(), MOST_ELEMENTS + 1))
        if len(names) > MOST_ELEMENTS:
            raise UnboundedError(f"{node.name} holds more than {MOST_ELEMENTS:,} elements")
        return sorted(map(decode, names))
    return list(getattr(node.dtype, "names", None) or ())


def child(group: Any, name: str) -> Any:
    """Return a member of a group by the name that `members` gives it."""
    try:
        return group[name]
    except KeyError:
        if name.isascii() or not isinstance(group, h5py.Group):
            raise
        return group[name.encode("latin-1", "replace")]


def is_group(node: Any) -> bool:
    """Whether an HDF5 or zarr node is a group rather than an array."""
    return hasattr(node, "keys")


def attributes(node: Any, name: str) -> list[str]:
    """Return a list of names kept as an attribute, however the writer's language stored its strings."""
    if name not in node.attrs:
        return []
    if isinstance(node.attrs, h5py.AttributeManager) and math.prod(node.attrs.get_id(name).shape) > MOST_ELEMENTS:
        raise UnboundedError(f"attribute {name} of {node.name} holds more than {MOST_ELEMENTS:,} values")
    stored = node.attrs[name]
    values = [] if isinstance(stored, h5py.Empty) else np.atleast_1d(stored).tolist()
    return [decode(value) for value in values]


def attribute(node: Any, name: str) -> str:
    """Return an attribute that is one string; empty where there is none."""
    return next(iter(attributes(node, name)), "")


def encoding(node: Any) -> str:
    """Return AnnData's encoding type of a node; empty before anndata 0.7."""
    return attribute(node, "encoding-type")


def row_ranges(indptr: NDArray[np.int64], entry_bytes: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Cut rows into the longest runs of at most ``max_bytes``; a run has at least one row.

    Parameters
    ----------
    indptr
        ``n_rows + 1`` positions, ascending.
    entry_bytes
        Bytes of one stored value and its index.
    max_bytes
        Bytes a run may take; the row pointers themselves are held to the same limit.

    Yields
    ------
    tuple of int
        First row and one past the last.
    """
    n_rows, start = len(indptr) - 1, 0
    most_rows = max(1, max_bytes // indptr.itemsize)
    while start < n_rows:
        limit = indptr[start] + max_bytes // entry_bytes
        stop = int(np.searchsorted(indptr, limit, side="right")) - 1
        stop = min(max(stop, start + 1), start + most_rows, n_rows)
        yield start, stop
        start = stop
