"""Common to all readers of this room: a failing file becomes a `SourceError`, and rows are cut into blocks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.errors import SourceError

DAMAGED = "The file is damaged or incomplete; copy or download it again, or write it anew with a current anndata."


@contextmanager
def reading(path: Path, place: str) -> Iterator[None]:
    """Say which file and place could not be read, whatever the storage library raised."""
    try:
        yield
    except (SourceError, MemoryError):
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, KeyError):
            reason = f"missing: {reason}"
        hint = DAMAGED
        if "filter" in reason and ("registered" in reason or "not available" in reason):
            hint = "It is compressed with a filter that hdf5plugin does not have; write it with gzip or zstd."
        raise SourceError(f"{path}: {place} cannot be read ({reason})", hint) from error


def members(node: Any) -> list[str]:
    """Return the sorted names in a group; of a compound dataset its fields; of anything else none."""
    if hasattr(node, "keys"):
        return sorted(node.keys())
    return list(getattr(node.dtype, "names", None) or ())


def is_group(node: Any) -> bool:
    """Whether an HDF5 or zarr node is a group rather than an array."""
    return hasattr(node, "keys")


def attributes(node: Any, name: str) -> list[str]:
    """Return a list of names kept as an attribute, however the writer's language stored its strings."""
    values = np.atleast_1d(node.attrs.get(name, [])).tolist()
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


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
