"""List columns straight from Parquet pages, for the encodings that the format uses.

Reads what `titin.dataset.layout` makes pyarrow write (format 1 data pages, zstd, lists without missing entries, 16
and 32 bit integers as DELTA_BINARY_PACKED or BYTE_STREAM_SPLIT, floats as BYTE_STREAM_SPLIT) in less than half the
time that pyarrow takes, without holding the interpreter's lock in the kernels. Anything else raises
`UnsupportedPageError`, and pyarrow reads it.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset.page_kernels import add_lengths, join_bytes, join_two_bytes, unpack_deltas
from titin.dataset.thrift import Bytes, read_struct

_DATA_PAGE, _ZSTD = 0, "ZSTD"
_DELTA_BINARY_PACKED, _BYTE_STREAM_SPLIT = 5, 9
_PHYSICAL = {"INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8}
_codec: list[pa.Codec] = []


class UnsupportedPageError(Exception):
    """A page of a kind that the format does not write."""


class DamagedPageError(ValueError):
    """A page whose bytes contradict its header or the file's footer."""


class Lists(NamedTuple):
    """A list column of some rows.

    Attributes
    ----------
    indptr
        int64, rows + 1, beginning at 0: where each list begins.
    elements
        Those of all lists, one after another.
    """

    indptr: NDArray[np.int64]
    elements: NDArray[Any]


@dataclass(frozen=True)
class ListChunk:
    """Where one list column of one row group lies in its file.

    Attributes
    ----------
    offset, length
        Bytes of its pages.
    n_entries
        Entries of the column: elements, and one for each empty list.
    n_rows
        Rows of the row group.
    dtype
        Of the elements.
    width
        Bytes that Parquet gives an element.
    """

    offset: int
    length: int
    n_entries: int
    n_rows: int
    dtype: np.dtype
    width: int


def find_chunk(metadata: Any, group: int, column: str, dtype: np.dtype) -> ListChunk:
    """Locate a list column in a file's footer (`pyarrow.parquet.FileMetaData`).

    Raises
    ------
    UnsupportedPageError
        If it is not stored as the format stores it.
    """
    row_group = metadata.row_group(group)
    path = f"{column}.list.element"
    for i in range(row_group.num_columns):
        chunk = row_group.column(i)
        if chunk.path_in_schema == path:
            if chunk.compression != _ZSTD or chunk.has_dictionary_page or chunk.physical_type not in _PHYSICAL:
                raise UnsupportedPageError(f"{path}: {chunk.compression}, {chunk.encodings}, {chunk.physical_type}")
            return ListChunk(
                chunk.data_page_offset, chunk.total_compressed_size, chunk.num_values, row_group.num_rows,
                np.dtype(dtype), _PHYSICAL[chunk.physical_type],
            )  # fmt: skip
    raise UnsupportedPageError(f"{column} is no list column as the format has them")


def decode_lists(data: Bytes, chunk: ListChunk, out: NDArray[Any] | None = None) -> Lists:
    """Decode a list column of a row group.

    Parameters
    ----------
    data
        The bytes that the chunk names.
    chunk
        From `find_chunk`.
    out
        Where to decode to: an array of the chunk's dtype with room for its entries; a new one where not given.

    Returns
    -------
    Lists
        Its elements are the front of ``out``.

    Raises
    ------
    UnsupportedPageError
        If a page is not encoded as the format encodes it.
    DamagedPageError
        If the bytes are not what header and footer say.
    """
    if len(data) != chunk.length:
        raise DamagedPageError("the file ends early")
    elements = np.empty(chunk.n_entries, chunk.dtype) if out is None else out[: chunk.n_entries]
    if len(elements) != chunk.n_entries or elements.dtype != chunk.dtype:
        raise ValueError(f"no room for {chunk.n_entries} elements of {chunk.dtype}")
    indptr = np.zeros(chunk.n_rows + 1, np.int64)
    at = filled = entries = row = 0
    while at < len(data):
        header, at = _read_header(data, at)
        page = _decompress(data[at : at + header.compressed], header)
        at += header.compressed
        entries += header.n_entries
        if entries > chunk.n_entries:
            raise DamagedPageError("more entries than the footer says")
        repetition, definition, values = _sections(page)
        row = add_lengths(repetition, definition, header.n_entries, indptr[1:], row)
        if row < 0:
            raise DamagedPageError("row lengths that do not fit the footer")
        filled += _decode(values, header.encoding, chunk.width, elements[filled:])
    if entries != chunk.n_entries or row != chunk.n_rows:
        raise DamagedPageError("fewer rows than the footer says")
    np.cumsum(indptr, out=indptr)
    if indptr[-1] != filled:
        raise DamagedPageError("rows and elements that do not agree")
    return Lists(indptr, elements[:filled])


def _decode(values: NDArray[np.uint8], encoding: int, width: int, out: NDArray[Any]) -> int:
    """Decode the elements of a page into the front of ``out``; their number."""
    if encoding == _DELTA_BINARY_PACKED and out.dtype.kind == "u":
        n = int(unpack_deltas(values, out))
        if n < 0:
            raise DamagedPageError("deltas that run past the page")
        return n
    if encoding == _BYTE_STREAM_SPLIT:
        n, rest = divmod(len(values), width)
        if rest or n > len(out):
            raise DamagedPageError("elements that run past the page")
        if out.dtype.kind == "u" and out.dtype.itemsize < width and values[n * out.dtype.itemsize :].any():
            raise DamagedPageError("an element too large for its type")
        if out.dtype == np.uint16:
            join_two_bytes(values, out[:n])
        else:
            join_bytes(values, n, out[:n].view(np.uint8), out.dtype.itemsize)
        return n
    raise UnsupportedPageError(f"encoding {encoding}")


def _decompress(data: Bytes, header: "_Header") -> NDArray[np.uint8]:
    if not _codec:
        _codec.append(pa.Codec("zstd"))
    if len(data) != header.compressed:
        raise DamagedPageError("a page ends early")
    if header.checksum is not None and zlib.crc32(data) != header.checksum & 0xFFFFFFFF:
        raise DamagedPageError("a page does not fit its checksum")
    try:
        page = _codec[0].decompress(data, header.uncompressed)
    except (OSError, pa.ArrowException) as error:
        raise DamagedPageError(f"a page cannot be decompressed ({error})") from error
    return np.frombuffer(page, np.uint8)


def _sections(page: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Repetition levels, definition levels and values of a page."""
    parts, at = [], 0
    for _ in range(2):
        if at + 4 > len(page):
            raise DamagedPageError("a page without levels")
        n = int.from_bytes(page[at : at + 4].tobytes(), "little")
        if at + 4 + n > len(page):
            raise DamagedPageError("levels that run past the page")
        parts.append(page[at + 4 : at + 4 + n])
        at += 4 + n
    return parts[0], parts[1], page[at:]


@dataclass(frozen=True)
class _Header:
    uncompressed: int
    compressed: int
    n_entries: int
    encoding: int
    checksum: int | None


def _read_header(data: Bytes, at: int) -> tuple[_Header, int]:
    """Parse a page header (Thrift compact protocol) and return it with the position behind it."""
    try:
        fields, at = read_struct(data, at)
        page = fields[5]
        header = _Header(fields[2], fields[3], page[1], page[2], fields.get(4))
    except (IndexError, struct.error):
        raise DamagedPageError("a page header ends early") from None
    except (KeyError, TypeError, ValueError):
        raise UnsupportedPageError("a page that is no format 1 data page") from None
    if fields.get(1) != _DATA_PAGE or min(header.uncompressed, header.compressed, header.n_entries) < 0:
        raise UnsupportedPageError("a page that is no format 1 data page")
    return header, at
