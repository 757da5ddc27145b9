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
    join_bytes,
    join_two_bytes,
    read_headers,
    read_rows,
    unpack_deltas,
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
_UNKNOWN = "a page that is no format 1 data page"
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
    entries = sum(header.n_entries for header, _ in _headers(data, chunk))
    return replace(chunk, n_entries=entries)


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
    for header, at in _headers(data, chunk):
        if flat:
            row = rows[-1] + header.n_entries
        else:
            row, _ = _read_rows(_decompress(data[at : at + header.compressed], header), header, lengths, rows[-1])
        rows.append(row)
        places.append(chunk.offset + at + header.compressed)
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
    filled = entries = row = 0
    for header, page in _pages(data, chunk):
        entries += header.n_entries
        row, values = _read_rows(page, header, indptr[1:], row)
        filled += _decode(values, header.encoding, chunk.width, elements[filled:])
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
    for header, at in _headers(data, chunk):
        yield header, _decompress(data[at : at + header.compressed], header)


def _headers(data: Bytes, chunk: PageChunk) -> Iterator[tuple["_Header", int]]:
    """Header of each page and where what follows it lies; together they have no more entries than the footer says."""
    if len(data) != chunk.length:
        raise DamagedPageError("the file ends early")
    end = entries = 0
    for header, at in _read_headers(data):
        entries += header.n_entries
        if entries > chunk.n_entries:
            raise DamagedPageError("more entries than the footer says")
        if header.uncompressed > header.n_entries * (chunk.width + _MAX_OVERHEAD) + _SLACK:
            raise DamagedPageError(f"a page of {header.uncompressed:,} bytes for {header.n_entries:,} entries")
        yield header, at
        end = at + header.compressed
    if end != len(data):
        raise DamagedPageError("a page ends early")


def _read_headers(data: Bytes) -> Iterator[tuple["_Header", int]]:
    """Each header and where its page begins: many at a time where they are as the format writes them."""
    page_bytes, found, at = np.frombuffer(data, np.uint8), np.empty((_HEADERS, 7), np.int64), 0
    while at < len(data):
        n = read_headers(page_bytes, at, found)
        for kind, uncompressed, compressed, checksum, entries, encoding, at in found[:n].tolist():
            yield _known(_Header(uncompressed, compressed, entries, encoding, checksum), kind), at
            at += compressed
        if n < _HEADERS and at < len(data):
            header, at = _read_header(data, at)
            yield header, at
            at += header.compressed


def _decode(values: NDArray[np.uint8], encoding: int, width: int, out: NDArray[Any]) -> int:
    """Decode the elements of a page into the front of ``out``; their number."""
    if encoding == _DELTA_BINARY_PACKED and out.dtype.kind == "u" and width == 4:
        n = int(unpack_deltas(values, out))
        if n < 0:
            raise DamagedPageError("deltas that run past the page, or an element too large for its type")
        return n
    if encoding == _BYTE_STREAM_SPLIT:
        n, rest = divmod(len(values), width)
        if rest or n > len(out):
            raise DamagedPageError("elements that run past the page")
        if out.dtype.kind == "u" and out.dtype.itemsize < width and values[n * out.dtype.itemsize :].max(initial=0):
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
    if header.checksum != NO_CHECKSUM and zlib.crc32(data) != header.checksum & 0xFFFFFFFF:
        raise DamagedPageError("a page does not fit its checksum")
    try:
        page = _codec[0].decompress(data, header.uncompressed)
    except (OSError, pa.ArrowException) as error:
        raise DamagedPageError(f"a page cannot be decompressed ({error})") from error
    return np.frombuffer(page, np.uint8)


def _read_rows(
    page: NDArray[np.uint8], header: "_Header", lengths: NDArray[np.int64], row: int
) -> tuple[int, NDArray[np.uint8]]:
    """Add a page's entries to the lengths of its rows; the number of rows begun so far, and the page's values."""
    row, at = read_rows(page, header.n_entries, lengths, row)
    if at < 0:
        raise DamagedPageError("levels that run past the page")
    if row < 0:
        raise DamagedPageError("row lengths that do not fit the footer")
    return row, page[at:]


class _Header(NamedTuple):
    uncompressed: int
    compressed: int
    n_entries: int
    encoding: int
    checksum: int  # of four bytes, with a sign; NO_CHECKSUM without one


def _read_header(data: Bytes, at: int) -> tuple[_Header, int]:
    """Parse any page header (Thrift compact protocol) and return it with the position behind it."""
    try:
        fields, at = read_struct(data, at)
        page = fields[5]
        header = _Header(fields[2], fields[3], page[1], page[2], fields.get(4, NO_CHECKSUM))
        return _known(header, fields.get(1)), at
    except (IndexError, struct.error):
        raise DamagedPageError("a page header ends early") from None
    except (KeyError, TypeError, ValueError):
        raise UnsupportedPageError(_UNKNOWN) from None


def _known(header: _Header, kind: Any) -> _Header:
    """A header of a page that the format has."""
    sizes = header[:3]
    if kind != _DATA_PAGE or not 0 <= min(sizes) <= max(sizes) <= _MAX_PAGE:
        raise UnsupportedPageError(_UNKNOWN)
    return header
