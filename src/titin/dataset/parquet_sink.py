"""Parquet files on a disk that may be full: what Arrow writes is held in memory, and written from there.

Arrow ends the process, with no word of Python's, where a write fails in the middle of a column. So it writes to memory,
which takes all that it is given, a row group at a time; what fails to reach the disk is an OSError like any other.
"""

import io
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq


class _Held(io.RawIOBase):
    """A file that keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def take(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        return parts


class ParquetSink:
    """Writes tables to a file, each as row groups; a context manager, or ended by `close`.

    Parameters
    ----------
    file
        Where to write: a path, of which nothing that lies there is followed or kept, or an open file.
    schema
        Of every table.
    options
        Of `pyarrow.parquet.ParquetWriter`.

    Raises
    ------
    OSError
        If the disk takes no more.
    """

    def __init__(self, file: Path | BinaryIO, schema: pa.Schema, **options: Any) -> None:
        self._own = isinstance(file, Path)
        if isinstance(file, Path):
            file.unlink(missing_ok=True)
            file = file.open("xb")  # through no link or pipe that lay there
        self._file: BinaryIO = file
        self._held = _Held()
        self._writer = pq.ParquetWriter(self._held, schema, **options)

    def write(self, table: pa.Table, row_group_size: int | None = None) -> None:
        """Write a table in row groups of so many rows, Arrow's million where not given."""
        self._writer.write_table(table, row_group_size=row_group_size)
        self._file.writelines(self._held.take())

    def tell(self) -> int:
        """Bytes written so far."""
        return self._held.tell()

    def close(self) -> None:
        """Write the footer, and close the file if it was given by its path."""
        try:
            self._writer.close()
            self._file.writelines(self._held.take())
        finally:
            if self._own:
                self._file.close()

    def __enter__(self) -> "ParquetSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._own:
            self._file.close()


def save_parquet(table: pa.Table, file: Path | BinaryIO, *, row_group_size: int | None = None, **options: Any) -> None:
    """Write a table as a whole file; as `ParquetSink`."""
    with ParquetSink(file, table.schema, **options) as sink:
        sink.write(table, row_group_size)
