"""Some columns of a Parquet file written anew, all others copied as they lie in it: no value of theirs is decoded."""

import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.dataset.thrift_fields import I32, I64, Field, Fields, read_fields, write_fields
from titin.errors import DatasetError

_MAGIC = b"PAR1"
# field numbers of parquet.thrift
_N_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _BYTES, _GROUP_ROWS, _GROUP_AT, _GROUP_COMPRESSED, _ORDINAL = 1, 2, 3, 5, 6, 7
_CHUNK_AT, _META, _OFFSETS_AT, _OFFSETS_BYTES, _INDEX_AT, _INDEX_BYTES = 2, 3, 4, 5, 6, 7
_PATH, _UNCOMPRESSED, _COMPRESSED, _DATA_AT, _DICTIONARY_AT = 3, 6, 7, 9, 11
_PAGES, _PAGE_AT = 1, 1
_ALL_ROWS = 1 << 62  # bytes of a shard that is never full


def splice_columns(
    folder: Path, name: str, shards: Sequence[Path], columns: pa.Table, schema: pa.Schema,
    former: Mapping[str, str] | None = None, *, shard_bytes: int = layout.SHARD_BYTES,
) -> list[str]:  # fmt: skip
    """Write a table again with other columns in the place of some, as if all had been written together.

    Parameters
    ----------
    folder, name
        Where to write, and the plain name of the table; not where ``shards`` lie.
    shards
        The files of the table as it is, in order.
    columns
        The columns that are written anew, all rows.
    schema
        Of the whole table as it will be. Columns that ``columns`` lacks are copied.
    former
        Name that a copied column had, where it has another now.
    shard_bytes
        As for `titin.dataset.arrow.ParquetFile`.

    Returns
    -------
    Names of the files, as `titin.dataset.arrow.write_table` gives them.

    Raises
    ------
    DatasetError
        If a file is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="columns-", dir=folder) as scratch, ExitStack() as opened:
        olds = [_Parts(opened.enter_context(path.open("rb")), path.name) for path in shards]
        group_rows = [rows for old in olds for rows in old.group_rows]
        if sum(group_rows) != len(columns):
            said = f"the footer of {name} is damaged: {sum(group_rows):,} rows for {len(columns):,} cells"
            raise DatasetError(said, "restore it, or build again")
        new = _write_columns(Path(scratch), columns, group_rows, schema)
        fresh = _Parts(opened.enter_context(new.open("rb")), new.name)
        (empty,) = ParquetFile(Path(scratch), "empty.parquet", schema).close()
        target = _Target(folder, name, _Parts(opened.enter_context((Path(scratch) / empty).open("rb")), empty).footer)
        opened.callback(target.abandon)
        groups = [(old, index) for old in olds for index in range(len(old.groups))]
        with _as_damage(f"the footer of {name}"):
            for ordinal, (old, index) in enumerate(groups):
                chunks = [
                    fresh.chunk(ordinal, field.name) if field.name in columns.column_names
                    else old.chunk(index, (former or {}).get(field.name, field.name), field.name)
                    for field in schema
                ]  # fmt: skip
                target.add(old.groups[index], chunks)
                if target.size >= shard_bytes:
                    target.close_shard()
            return target.close()


@contextmanager
def _as_damage(what: str) -> Iterator[None]:
    """Say that a footer is damaged, whatever its fields led to; what the system refuses to write is not meant."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise DatasetError(f"{what} is damaged: {error}", "restore it, or build again") from error


def _write_columns(folder: Path, columns: pa.Table, group_rows: Sequence[int], schema: pa.Schema) -> Path:
    """Write the new columns in row groups of the old ones."""
    fields = pa.schema([schema.field(name) for name in columns.column_names])
    file = ParquetFile(folder, "columns.parquet", fields, shard_bytes=_ALL_ROWS)
    first = 0
    for rows in group_rows:
        file.write(columns.slice(first, rows).cast(fields))
        first += rows
    (written,) = file.close()
    return folder / written


class _Chunk:
    """One column of one row group: what the footer says of it, its pages, and its page index."""

    def __init__(self, parts: "_Parts", fields: Fields, name: str) -> None:
        self.parts, self.name = parts, name
        self.fields: Fields = dict(fields)
        self.meta: Fields = dict(fields[_META].value)
        starts = [self.meta[at].value for at in (_DATA_AT, _DICTIONARY_AT) if at in self.meta]
        self.start = min(start for start in starts if start > 0)
        self.size = self.meta[_COMPRESSED].value

    def moved(self, to: int) -> Fields:
        """What the footer says of it at another place of another file."""
        shift = to - self.start
        for at in (_DATA_AT, _DICTIONARY_AT):
            if self.meta.get(at, Field(I64, 0)).value:
                self.meta[at] = Field(I64, self.meta[at].value + shift)
        element, path = self.meta[_PATH].value
        self.meta[_PATH] = Field(self.meta[_PATH].kind, (element, [self.name.encode(), *path[1:]]))
        if self.fields[_CHUNK_AT].value:
            self.fields[_CHUNK_AT] = Field(I64, self.fields[_CHUNK_AT].value + shift)
        self.fields[_META] = Field(self.fields[_META].kind, self.meta)
        return self.fields

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


class _Parts:
    """An open Parquet file, with its footer."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name = file, name
        with _as_damage(f"the footer of {name}"):
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

    def chunk(self, group: int, column: str, name: str | None = None) -> _Chunk:
        """One column of one row group, under another name if one is given."""
        if column not in self._places[group]:
            said = f"{self.name} has no column {column} in its row group {group}"
            raise DatasetError(said, "restore it, or build again")
        return _Chunk(self, self._places[group][column], name or column)

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


class _Target:
    """The file that is written, or its shards; as pyarrow lays one out: chunks, page indexes, footer."""

    def __init__(self, folder: Path, name: str, footer: Fields) -> None:
        self._folder, self._name, self._footer = folder, name, footer
        self._parts: list[Path] = []
        self._file: BinaryIO | None = None
        self._groups: list[Fields] = []
        self._chunks: list[list[tuple[_Chunk, int]]] = []

    @property
    def size(self) -> int:
        """Bytes written to the shard so far."""
        return self._file.tell() if self._file else 0

    def add(self, group: Fields, chunks: Sequence[_Chunk]) -> None:
        """Write a row group."""
        if self._file is None:
            self._parts.append(self._folder / f"{self._name}.part{len(self._parts)}")
            self._file = self._parts[-1].open("xb")
            self._file.write(_MAGIC)
        at = start = self._file.tell()
        columns, placed = [], []
        for chunk in chunks:
            self._file.write(chunk.parts.read(chunk.start, chunk.size))
            placed.append((chunk, at - chunk.start))
            columns.append(chunk.moved(at))
            at += chunk.size
        element, _ = group[_COLUMNS].value
        uncompressed = sum(chunk.meta[_UNCOMPRESSED].value for chunk in chunks)
        described = {**group, _COLUMNS: Field(group[_COLUMNS].kind, (element, columns)),
                     _BYTES: Field(I64, uncompressed)}  # fmt: skip
        for number, value in ((_GROUP_AT, start), (_GROUP_COMPRESSED, at - start), (_ORDINAL, len(self._groups))):
            if number in group:
                described[number] = Field(group[number].kind, value)
        self._groups.append(described)
        self._chunks.append(placed)

    def abandon(self) -> None:
        """Close what is still open; it is not finished."""
        if self._file is not None:
            self._file.close()

    def close_shard(self) -> None:
        """Write page indexes and footer of a shard."""
        if self._file is None:
            return
        for group, placed in zip(self._groups, self._chunks, strict=True):
            self._place_indexes(group, [chunk.index() for chunk, _ in placed], _INDEX_AT, _INDEX_BYTES)
        for group, placed in zip(self._groups, self._chunks, strict=True):
            self._place_indexes(group, [chunk.offsets(shift) for chunk, shift in placed], _OFFSETS_AT, _OFFSETS_BYTES)
        rows = sum(group[_GROUP_ROWS].value for group in self._groups)
        kind, (element, _) = self._footer[_ROW_GROUPS]
        footer = write_fields({**self._footer, _N_ROWS: Field(I64, rows),
                               _ROW_GROUPS: Field(kind, (element or 12, self._groups))})  # fmt: skip
        self._file.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)
        self._file.close()
        self._file, self._groups, self._chunks = None, [], []

    def _place_indexes(self, group: Fields, indexes: Sequence[bytes], at: int, size: int) -> None:
        columns: list[Any] = group[_COLUMNS].value[1]
        for fields, index in zip(columns, indexes, strict=True):
            if self._file is not None and index:
                fields[at] = Field(I64, self._file.tell())
                fields[size] = Field(I32, len(index))
                self._file.write(index)

    def close(self) -> list[str]:
        """Finish the file and return its name, or its shards' names."""
        self.close_shard()
        names = [layout.shard(self._name, i, len(self._parts)) for i in range(len(self._parts))]
        for part, name in zip(self._parts, names, strict=True):
            part.rename(self._folder / name)
        return names
