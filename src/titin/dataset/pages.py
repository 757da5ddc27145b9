"""List columns, and numbers beside them, straight from Parquet pages, for the encodings that the format uses.

Reads what `titin.dataset.layout` makes pyarrow write (format 1 data pages, zstd, lists without missing entries, 16
and 32 bit integers as DELTA_BINARY_PACKED or BYTE_STREAM_SPLIT, floats as BYTE_STREAM_SPLIT; flat columns of plain
32 bit integers) in less than half the time that pyarrow takes, without holding the interpreter's lock in the kernels.
Anything else raises `UnsupportedPageError`, and pyarrow reads it.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset.page_kernels import (
    NO_CHECKSUM,
    decode_deltas,
    decode_two_bytes,
    join_bytes,
    read_headers,
    read_rows,
)
from titin.dataset.thrift import Bytes, read_struct

_DATA_PAGE, _ZSTD = 0, "ZSTD"
_PLAIN, _DELTA_BINARY_PACKED, _BYTE_STREAM_SPLIT = 0, 5, 9
_WIDTH = {"INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8}
_HOLDS = {("INT32", "i4"), ("INT32", "u2"), ("INT32", "u4"), ("INT64", "u4"), ("FLOAT", "f4"), ("DOUBLE", "f8")}
_MAX_PAGE = 2**31 - 1  # bytes, and entries; Parquet counts both in 32 bits
_MAX_OVERHEAD = 16  # bytes a page may have beyond those of its elements: for each entry, and _SLACK for the page
_SLACK = 4096
_HEADERS = 64  # that are read at a time
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
class PageChunk:
    """Where one column of one row group lies in its file.

    Attributes
    ----------
    path
        Of the column in the schema, with dots.
    offset, length
        Bytes of its pages.
    n_entries
        Entries of the column: numbers, or elements of lists and one for each empty list.
    n_rows
        Rows of the row group.
    dtype
        Of the elements.
    width
        Bytes that Parquet gives an element.
    """

    path: str
    offset: int
    length: int
    n_entries: int
    n_rows: int
    dtype: np.dtype
    width: int


def find_chunk(metadata: Any, group: int, column: str, dtype: np.dtype, *, flat: bool = False) -> PageChunk:
    """Locate a list column, or a ``flat`` one, in a file's footer (`pyarrow.parquet.FileMetaData`).

    Raises
    ------
    UnsupportedPageError
        If it is not stored as the format stores it.
    DamagedPageError
        If the footer gives it a negative size.
    """
    row_group = metadata.row_group(group)
    path, deep = (column, 0) if flat else (f"{column}.list.element", 1)
    for i in range(row_group.num_columns):
        chunk = row_group.column(i)
        if chunk.path_in_schema == path:
            levels = metadata.schema.column(i)
            required = levels.max_definition_level == levels.max_repetition_level == deep
            held = (chunk.physical_type, np.dtype(dtype).str[1:])
            if chunk.compression != _ZSTD or chunk.has_dictionary_page or held not in _HOLDS or not required:
                raise UnsupportedPageError(f"{path}: {chunk.compression}, {chunk.encodings}, {chunk.physical_type}")
            found = PageChunk(
                path, chunk.data_page_offset, chunk.total_compressed_size, chunk.num_values, row_group.num_rows,
                np.dtype(dtype), _WIDTH[chunk.physical_type],
            )  # fmt: skip
            if min(found.offset, found.length, found.n_entries, found.n_rows) < 0:
                raise DamagedPageError(f"its footer gives {column} a negative size")
            return found
    raise UnsupportedPageError(f"{column} is no column as the format has them")


def with_entries(data: Bytes, chunk: PageChunk) -> PageChunk:
    """A chunk of some pages of a column, with the number of entries that these have; raises as `decode_lists`."""
    return replace(chunk, n_entries=sum(header.n_entries for header in _headers(data, chunk)))


def count_page_rows(
    data: Bytes, chunk: PageChunk, *, flat: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row and first byte of every page of a column of a row group, from the pages themselves.

    Returns
    -------
    first_row, at
        int64, pages + 1, as `titin.dataset.page_index.PagePlaces` has them.

    Raises
    ------
    UnsupportedPageError, DamagedPageError
        As `decode_lists`.
    """
    rows, places = [0], [chunk.offset]
    lengths = np.zeros(chunk.n_rows, np.int64)
    for header in _headers(data, chunk):
        if flat:
            row = rows[-1] + header.n_entries
        else:
            row, _ = _read_rows(_decompress(data, header), header, lengths, rows[-1])
        rows.append(row)
        places.append(chunk.offset + header.at + header.compressed)
    return np.array(rows, np.int64), np.array(places, np.int64)


def decode_lists(data: Bytes, chunk: PageChunk, out: NDArray[Any] | None = None) -> Lists:
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
    elements = np.empty(chunk.n_entries, chunk.dtype) if out is None else out[: chunk.n_entries]
    if len(elements) != chunk.n_entries or elements.dtype != chunk.dtype:
        raise ValueError(f"no room for {chunk.n_entries} elements of {chunk.dtype}")
    indptr = np.zeros(chunk.n_rows + 1, np.int64)
    lengths, filled, entries, row = indptr[1:], 0, 0, 0
    for header, page in _pages(data, chunk):
        entries += header.n_entries
        row, n = _decode(page, header, chunk.width, lengths, row, elements[filled:])
        filled += n
    if entries != chunk.n_entries or row != chunk.n_rows:
        raise DamagedPageError("fewer rows than the footer says")
    np.cumsum(indptr, out=indptr)
    if indptr[-1] != filled:
        raise DamagedPageError("rows and elements that do not agree")
    return Lists(indptr, elements[:filled])


def decode_numbers(data: Bytes, chunk: PageChunk) -> NDArray[Any]:
    """Decode a flat column of a row group, stored plainly; raises as `decode_lists`."""
    parts = []
    for header, page in _pages(data, chunk):
        if header.encoding != _PLAIN:
            raise UnsupportedPageError(f"encoding {header.encoding}")
        if len(page) != header.n_entries * chunk.width:
            raise DamagedPageError("numbers that do not fill the page")
        parts.append(page.view(chunk.dtype.newbyteorder("<")))
    found = np.concatenate(parts or [np.empty(0, chunk.dtype)])
    if len(found) != chunk.n_rows:
        raise DamagedPageError("fewer rows than the footer says")
    return found


def _pages(data: Bytes, chunk: PageChunk) -> Iterator[tuple["_Header", NDArray[np.uint8]]]:
    """Header and bytes of each page."""
    for header in _headers(data, chunk):
        yield header, _decompress(data, header)


def _headers(data: Bytes, chunk: PageChunk) -> list["_Header"]:
    """Header of each page; together they have no more entries than the footer says."""
    if len(data) != chunk.length:
        raise DamagedPageError("the file ends early")
    end = entries = 0
    headers = _read_headers(data)
    for header in headers:
        entries += header.n_entries
        if entries > chunk.n_entries:
            raise DamagedPageError("more entries than the footer says")
        if header.uncompressed > header.n_entries * (chunk.width + _MAX_OVERHEAD) + _SLACK:
            raise DamagedPageError(f"a page of {header.uncompressed:,} bytes for {header.n_entries:,} entries")
        end = header.at + header.compressed
    if end != len(data):
        raise DamagedPageError("a page ends early")
    return headers


def _read_headers(data: Bytes) -> list["_Header"]:
    """Every header: many at a time where they are as the format writes them."""
    headers: list[_Header] = []
    page_bytes, found, at = np.frombuffer(data, np.uint8), np.empty((_HEADERS, len(_Header._fields)), np.int64), 0
    while at < len(data):
        n = read_headers(page_bytes, at, found)
        headers += map(_Header._make, found[:n].tolist())
        if n == 0:
            headers.append(_read_header(data, at))
        at = headers[-1].at + headers[-1].compressed
    return headers


def _decode(
    page: NDArray[np.uint8], header: "_Header", width: int, lengths: NDArray[np.int64], row: int, out: NDArray[Any]
) -> tuple[int, int]:
    """Decode a page: its entries are added to the lengths of its rows, its elements put into the front of ``out``.

    Returns
    -------
    row, n
        The number of rows begun so far, and of the page's elements.
    """
    if header.encoding == _DELTA_BINARY_PACKED and out.dtype.kind == "u" and width == 4:
        row, at, n = decode_deltas(page, header.n_entries, lengths, row, out)
        _refuse_rows(row, at)
        if n < 0:
            raise DamagedPageError("deltas that run past the page, or an element too large for its type")
        return row, n
    if header.encoding != _BYTE_STREAM_SPLIT:
        raise UnsupportedPageError(f"encoding {header.encoding}")
    if out.dtype == np.uint16:
        row, at, n = decode_two_bytes(page, header.n_entries, lengths, row, out, width)
        _refuse_rows(row, at)
    else:
        row, values = _read_rows(page, header, lengths, row)
        n, rest = divmod(len(values), width)
        if rest or n > len(out):
            n = -1
        elif out.dtype.kind == "u" and out.dtype.itemsize < width and values[n * out.dtype.itemsize :].max(initial=0):
            n = -2
        else:
            join_bytes(values, n, out[:n].view(np.uint8), out.dtype.itemsize)
    if n < 0:
        raise DamagedPageError("elements that run past the page" if n == -1 else "an element too large for its type")
    return row, n


def _decompress(data: Bytes, header: "_Header") -> NDArray[np.uint8]:
    """The bytes of a page."""
    if not _codec:
        _codec.append(pa.Codec("zstd"))
    stored = data[header.at : header.at + header.compressed]
    if len(stored) != header.compressed:
        raise DamagedPageError("a page ends early")
    if header.checksum != NO_CHECKSUM and zlib.crc32(stored) != header.checksum & 0xFFFFFFFF:
        raise DamagedPageError("a page does not fit its checksum")
    try:
        page = _codec[0].decompress(stored, header.uncompressed)
    except (OSError, pa.ArrowException) as error:
        raise DamagedPageError(f"a page cannot be decompressed ({error})") from error
    return np.frombuffer(page, np.uint8)


def _read_rows(
    page: NDArray[np.uint8], header: "_Header", lengths: NDArray[np.int64], row: int
) -> tuple[int, NDArray[np.uint8]]:
    """Add a page's entries to the lengths of its rows; the number of rows begun so far, and the page's values."""
    row, at = read_rows(page, header.n_entries, lengths, row)
    _refuse_rows(row, at)
    return row, page[at:]


def _refuse_rows(row: int, at: int) -> None:
    """Refuse what `read_rows` has found damaged."""
    if at < 0:
        raise DamagedPageError("levels that run past the page")
    if row < 0:
        raise DamagedPageError("row lengths that do not fit the footer")


class _Header(NamedTuple):
    """The header of a data page, as `read_headers` has it."""

    kind: int
    uncompressed: int
    compressed: int
    checksum: int  # of four bytes, with a sign; NO_CHECKSUM without one
    n_entries: int
    encoding: int
    at: int  # where the page begins, behind its header


def _read_header(data: Bytes, at: int) -> _Header:
    """Parse any page header (Thrift compact protocol)."""
    try:
        fields, at = read_struct(data, at)
        page = fields[5]
        header = _Header(fields[1], fields[2], fields[3], fields.get(4, NO_CHECKSUM), page[1], page[2], at)
        sizes = header.uncompressed, header.compressed, header.n_entries
        if header.kind == _DATA_PAGE and 0 <= min(sizes) <= max(sizes) <= _MAX_PAGE:
            return header
    except (IndexError, struct.error):
        raise DamagedPageError("a page header ends early") from None
    except (KeyError, TypeError, ValueError):
        pass
    raise UnsupportedPageError("a page that is no format 1 data page")
