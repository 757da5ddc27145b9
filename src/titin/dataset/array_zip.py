"""A zip of one JSON document and some arrays of NumPy, such as a model: read within bounds or refused.

Such a file may come from a stranger. Nothing in it is ever unpickled or run; every name, size, type and number is
checked against what the document says.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.dataset.shapes import ShapeError
from titin.dataset.strict_json import parse_json
from titin.dataset.swap import whole
from titin.errors import OutputError
from titin.files import open_regular
from titin.text import json_safe

MOST_BYTES = 256 << 20  # of the file
_MOST_JSON = 64 << 20
_STAMP = (1980, 1, 1, 0, 0, 0)  # of all members: the same content makes the same file

Shapes = Mapping[str, tuple[tuple[int, ...], Any]]
UNREADABLE = (OSError, EOFError, ValueError, ShapeError, zipfile.BadZipFile, NotImplementedError, RuntimeError,
              zlib.error)  # fmt: skip


def write_array_zip(
    path: Path, name: str, document: Any, arrays: Mapping[str, NDArray[Any]], *, force: bool = False
) -> None:
    """Write a document (member ``name``) and arrays (``KEY.npy``), whole or not at all; the same makes the same bytes.

    Raises
    ------
    OutputError
        If the file is there and ``force`` is not given, or cannot be written.
    """
    if path.exists() and not force:
        raise OutputError(f"{path} is there already", "give --force to replace it, or another name")
    members: dict[str, bytes] = {}
    for key, array in arrays.items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
        members[f"{key}.npy"] = buffer.getvalue()
    text = json.dumps(json_safe(document), indent=1, ensure_ascii=False, allow_nan=False)
    with whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in {name: text.encode(), **members}.items():
            archive.writestr(zipfile.ZipInfo(member, _STAMP), data, zipfile.ZIP_DEFLATED)


def read_array_zip(
    path: Path, name: str, keys: Sequence[str], shapes: Callable[[Any], Shapes]
) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Read a document and arrays.

    Parameters
    ----------
    path
        The file.
    name, keys
        Of the document, and of all arrays.
    shapes
        Checks the document, and tells shape and type of each array by it.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    OSError, EOFError, ValueError, ShapeError, BadZipFile, NotImplementedError, RuntimeError, zlib.error
        (`UNREADABLE`) If it is no such file in every respect.
    """
    with open_regular(path) as file:
        if file.seek(0, io.SEEK_END) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        with zipfile.ZipFile(file) as archive:
            members = [one.filename for one in archive.infolist()]
            expected = [name, *(f"{key}.npy" for key in keys)]
            if sorted(members) != sorted(expected):
                raise ValueError(f"it holds {len(members)} files, not {', '.join(expected)}")
            document = parse_json(_bytes(archive, name, _MOST_JSON))
            told = shapes(document).items()
            return document, {key: _array(archive, f"{key}.npy", shape, dtype, name) for key, (shape, dtype) in told}


def _bytes(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A member whole; what says that it is larger than it may be, or turns out to be, is refused unread."""
    info = archive.getinfo(name)
    if info.file_size > most:
        raise ValueError(f"{name} is too large")
    with archive.open(info) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{name} is too large")
    return data


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: Any, document: str) -> NDArray[Any]:
    """An array of the very shape and type that are expected, all of it finite."""
    dtype = np.dtype(dtype).newbyteorder("<")
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    data = io.BytesIO(_bytes(archive, name, n_bytes + 4096))
    if np.lib.format.read_magic(data) != (1, 0):
        raise ValueError(f"{name} is of another version of NumPy's format")
    found, fortran, kind = np.lib.format.read_array_header_1_0(data, max_header_size=4096)
    if found != shape or kind != dtype or fortran:
        raise ValueError(f"{name} is not the {' × '.join(map(str, shape))} of {dtype} that {document} says")
    rest = data.read()
    if len(rest) != n_bytes:
        raise ValueError(f"{name} is cut off or too long")
    array = np.frombuffer(rest, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds what is no number")
    return array
