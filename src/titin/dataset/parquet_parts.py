"""Column chunks of Parquet files put together as another file, as they lie: no value is decoded.

A file is laid out as pyarrow does it, so that its bytes are those that pyarrow would have written.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from titin.dataset import layout
from titin.dataset.thrift import I32, I64, Field, Fields, read_fields, write_fields
from titin.errors import DatasetError

_MAGIC = b"PAR1"
# field numbers of parquet.thrift
_N_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _BYTES, _GROUP_ROWS, _GROUP_AT, _GROUP_COMPRESSED, _ORDINAL = 1, 2, 3, 5, 6, 7
_CHUNK_AT, _META, _OFFSETS_AT, _OFFSETS_BYTES, _INDEX_AT, _INDEX_BYTES = 2, 3, 4, 5, 6, 7
_PATH, _UNCOMPRESSED, _COMPRESSED, _DATA_AT, _DICTIONARY_AT = 3, 6, 7, 9, 11
_PAGES, _PAGE_AT = 1, 1


@contextmanager
def as_damage(what: str) -> Iterator[None]:
    """Say that a footer is damaged, whatever its fields led to; what the system refuses to write is not meant."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise DatasetError(f"{what} is damaged: {error}", "restore it, or build again") from error


class CopiedChunk:
    """One column of one row group: what the footer says of it, its pages, and its page index."""

    def __init__(self, parts: "Parts", fields: Fields, name: str) -> None:
        self.parts, self.name = parts, name
        self.fields: Fields = dict(fields)
        self.meta: Fields = dict(fields[_META].value)
        starts = [self.meta[at].value for at in (_DATA_AT, _DICTIONARY_AT) if at in self.meta]
        self.start = min(start for start in starts if start > 0)
        self.size = self.meta[_COMPRESSED].value

    def moved(self, to: int) -> Fields:
        """What the footer says of it at another place of another file, but for its page indexes."""
        shift = to - self.start
        for at in (_DATA_AT, _DICTIONARY_AT):
            if self.meta.get(at, Field(I64, 0)).value:
                self.meta[at] = Field(I64, self.meta[at].value + shift)
        element, path = self.meta[_PATH].value
        self.meta[_PATH] = Field(self.meta[_PATH].kind, (element, [self.name.encode(), *path[1:]]))
        if self.fields[_CHUNK_AT].value:
            self.fields[_CHUNK_AT] = Field(I64, self.fields[_CHUNK_AT].value + shift)
        self.fields[_META] = Field(self.fields[_META].kind, self.meta)
        return {number: field for number, field in self.fields.items() if number <= _META}

    def index(self) -> bytes:
        """The least and largest of each page; empty where there is none."""
        return self._read(_INDEX_AT, _INDEX_BYTES)

    def offsets(self, shift: int) -> bytes:
        """Where each page lies, all moved by as many bytes."""
        found = self._read(_OFFSETS_AT, _OFFSETS_BYTES)
        if not found:
            return b""
        fields, _ = read_fields(found)
        for page in fields[_PAGES].value[1]:
            page[_PAGE_AT] = Field(I64, page[_PAGE_AT].value + shift)
        return write_fields(fields)

    def _read(self, at: int, size: int) -> bytes:
        if at not in self.fields:
            return b""
        return self.parts.read(self.fields[at].value, self.fields[size].value)


class Parts:
    """An open Parquet file, with its footer."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name = file, name
        with as_damage(f"the footer of {name}"):
            size = file.seek(0, 2)
            tail = self.read(max(size - 8, 0), 8)
            if tail[4:] != _MAGIC:
                raise ValueError("it does not end as one")
            length = int.from_bytes(tail[:4], "little")
            self.footer, _ = read_fields(self.read(size - 8 - length, length))
            self.groups: list[Fields] = self.footer[_ROW_GROUPS].value[1]
            self._places = [self._columns(group) for group in self.groups]
            self.group_rows: list[int] = [group[_GROUP_ROWS].value for group in self.groups]
            if any(not isinstance(rows, int) or rows < 0 for rows in self.group_rows):
                raise ValueError("its row groups have no number of rows")

    @staticmethod
    def _columns(group: Fields) -> dict[str, Fields]:
        chunks: list[Fields] = group[_COLUMNS].value[1]
        return {chunk[_META].value[_PATH].value[1][0].decode(): chunk for chunk in chunks}

    def chunk(self, group: int, column: str, name: str | None = None) -> CopiedChunk:
        """One column of one row group, under another name if one is given."""
        if column not in self._places[group]:
            said = f"{self.name} has no column {column} in its row group {group}"
            raise DatasetError(said, "restore it, or build again")
        return CopiedChunk(self, self._places[group][column], name or column)

    def chunks(self, group: int) -> list[CopiedChunk]:
        """All columns of one row group."""
        columns: list[Fields] = self.groups[group][_COLUMNS].value[1]
        return [CopiedChunk(self, fields, fields[_META].value[_PATH].value[1][0].decode()) for fields in columns]

    def read(self, at: int, size: int) -> bytes:
        """Bytes of the file.

        Raises
        ------
        ValueError
            If they are not there.
        """
        if at < 0 or size < 0:
            raise ValueError("it names bytes before its first")
        self.file.seek(at)
        found = self.file.read(size)
        if len(found) != size:
            raise ValueError(f"it ends before byte {at + size:,}")
        return found


class _Strings:
    """Strings of bytes, one behind another: objects of Python would take ten times as much."""

    def __init__(self) -> None:
        self.data, self.lengths = bytearray(), array("I")

    def add(self, piece: bytes) -> None:
        self.data += piece
        self.lengths.append(len(piece))

    def __iter__(self) -> Iterator[bytes]:
        at = 0
        for length in self.lengths:
            yield bytes(self.data[at : at + length])
            at += length


class _Written:
    """A row group that is written: what the footer will say of it, and its page indexes, which lie before the footer.

    Attributes
    ----------
    fields
        Of the row group, without its columns.
    chunks
        Fields of each column up to where its page indexes are named, without the end of the struct.
    indexes, offsets
        Of each column; empty where it has none.
    """

    def __init__(self) -> None:
        self.fields: Fields = {}
        self.chunks, self.indexes, self.offsets = _Strings(), _Strings(), _Strings()

    def footer(self, at: int, offsets_at: int) -> bytes:
        """The row group's struct, where its page indexes lie at these places of the file."""
        columns = []
        for chunk, index, offsets in zip(self.chunks, self.indexes.lengths, self.offsets.lengths, strict=True):
            named: Fields = {}
            if offsets:
                named |= {_OFFSETS_AT: Field(I64, offsets_at), _OFFSETS_BYTES: Field(I32, offsets)}
            if index:
                named |= {_INDEX_AT: Field(I64, at), _INDEX_BYTES: Field(I32, index)}
            columns.append(chunk + write_fields(named, after=_META))
            at, offsets_at = at + index, offsets_at + offsets
        kind, (element, _) = self.fields[_COLUMNS]
        return write_fields({**self.fields, _COLUMNS: Field(kind, (element, columns))})


class Target:
    """The file that is written, or its shards; as pyarrow lays one out: chunks, page indexes, footer."""

    def __init__(self, folder: Path, name: str, footer: Fields) -> None:
        self._folder, self._name, self._footer = folder, name, footer
        self._parts: list[Path] = []
        self._file: BinaryIO | None = None
        self._groups: list[_Written] = []

    def is_full(self, shard_bytes: int) -> bool:
        """Whether a shard has so many bytes, or so many parts that its footer would be a burden to whoever opens it."""
        if self._file is None:
            return False
        n_chunks = sum(len(group.chunks.lengths) for group in self._groups)
        return self._file.tell() >= shard_bytes or n_chunks >= layout.SHARD_CHUNKS

    def add(self, group: Fields, chunks: Sequence[CopiedChunk]) -> None:
        """Write a row group."""
        if self._file is None:
            self._parts.append(self._folder / f"{self._name}.part{len(self._parts)}")
            self._parts[-1].unlink(missing_ok=True)
            self._file = self._parts[-1].open("xb")  # through no link or pipe that lay there
            self._file.write(_MAGIC)
        at = start = self._file.tell()
        written = _Written()
        for chunk in chunks:
            self._file.write(chunk.parts.read(chunk.start, chunk.size))
            written.indexes.add(chunk.index())
            written.offsets.add(chunk.offsets(at - chunk.start))
            written.chunks.add(write_fields(chunk.moved(at))[:-1])
            at += chunk.size
        element, _ = group[_COLUMNS].value
        uncompressed = sum(chunk.meta[_UNCOMPRESSED].value for chunk in chunks)
        described = {**group, _COLUMNS: Field(group[_COLUMNS].kind, (element, [])), _BYTES: Field(I64, uncompressed)}
        for number, value in ((_GROUP_AT, start), (_GROUP_COMPRESSED, at - start), (_ORDINAL, len(self._groups))):
            if number in group:
                described[number] = Field(group[number].kind, value)
        written.fields = described
        self._groups.append(written)

    def abandon(self) -> None:
        """Close what is still open; it is not finished."""
        if self._file is not None:
            self._file.close()

    def close_shard(self) -> None:
        """Write page indexes and footer of a shard."""
        if self._file is None:
            return
        at = self._file.tell()
        for indexes in chain((group.indexes for group in self._groups), (group.offsets for group in self._groups)):
            self._file.write(indexes.data)
        offsets_at = at + sum(len(group.indexes.data) for group in self._groups)
        groups = []
        for group in self._groups:
            groups.append(group.footer(at, offsets_at))
            at, offsets_at = at + len(group.indexes.data), offsets_at + len(group.offsets.data)
        rows = sum(group.fields[_GROUP_ROWS].value for group in self._groups)
        kind, (element, _) = self._footer[_ROW_GROUPS]
        footer = write_fields({**self._footer, _N_ROWS: Field(I64, rows),
                               _ROW_GROUPS: Field(kind, (element or 12, groups))})  # fmt: skip
        self._file.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
        self._file.close()
        self._file, self._groups = None, []

    def close(self) -> list[str]:
        """Finish the file and return its name, or its shards' names."""
        self.close_shard()
        names = [layout.shard(self._name, i, len(self._parts)) for i in range(len(self._parts))]
        for part, name in zip(self._parts, names, strict=True):
            part.rename(self._folder / name)
        return names
