"""Text of a source, in whatever encoding its writer used: R tags UTF-8 as ASCII, and older tools write Latin-1."""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_AT_ONCE = 1 << 16  # names that are Python's strings at a time, which take some 200 bytes each


def decode(value: Any) -> str:
    """Text of bytes: UTF-8, or Latin-1 where they are no UTF-8; of anything else its text.

    Examples
    --------
    >>> decode("Größe".encode()), decode("Größe".encode("latin-1")), decode("Größe")
    ('Größe', 'Größe', 'Größe')
    """
    if isinstance(value, str) and not value.isascii():  # h5py puts stand-ins where an attribute is no UTF-8
        try:
            value = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return str(value)
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def decode_all(values: NDArray[Any]) -> NDArray[np.object_]:
    """Decode an array of bytes or text of any shape; entries that are neither stay as they are."""
    known: dict[Any, str] = {}
    out = np.empty(values.size, object)
    for i, value in enumerate(values.ravel().tolist()):
        if isinstance(value, bytes | str):
            out[i] = known[value] if value in known else known.setdefault(value, decode(value))
        else:
            out[i] = value
    return out.reshape(values.shape)


def is_text(node: Any) -> bool:
    """Whether a dataset or array holds text, of fixed or variable length."""
    dtype = getattr(node, "dtype", None)
    if isinstance(node, h5py.Dataset):
        return h5py.check_string_dtype(dtype) is not None
    return getattr(dtype, "kind", "") in "SUOT" if dtype is not None else False


def read_text(node: Any) -> NDArray[np.object_]:
    """Read a whole dataset of text as Python strings, whatever its encoding is said to be."""
    return decode_all(np.asarray(node[()]))


def read_names(node: Any) -> Iterator[pa.StringArray]:
    """Read a dataset of one dimension as `read_text` does, some at a time, as Arrow's text: a fifth of Python's."""
    for start in range(0, node.shape[0], _AT_ONCE):
        yield pa.array(decode_all(np.asarray(node[start : start + _AT_ONCE])), pa.string())
