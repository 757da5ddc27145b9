"""Tables that a user gives beside an atlas: CSV, TSV or Parquet, packed or not, up to a size."""

import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.io.common import get_handle  # type: ignore[import-not-found]

from titin.errors import TitinError
from titin.files import check_regular

_Content = TypeVar("_Content")
_PIECE_ROWS = 1024
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")


def read_table_file(path: Path, option: str, holds: str, *, most: int, **reading: Any) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    path
        ``.parquet``; ``.tsv`` or ``.txt`` with tabs, all others with commas, also packed (``.csv.gz``).
    option
        By which it was given, for errors, e.g. ``--donors``.
    holds
        What it must hold, for errors, e.g. ``a donor and an age column``.
    most
        Bytes that it may unpack to.
    **reading
        For `pandas.read_csv`, of a table of text.

    Returns
    -------
    pandas.DataFrame
        Of a table of text, all columns are text; of Parquet, of the types that it states.

    Raises
    ------
    TitinError
        If it cannot be read.
    """
    try:
        check_regular(path)
        if path.suffix == ".parquet":
            return _read_parquet(path, most)
        suffix = next((suffix for suffix in reversed(path.suffixes) if suffix not in _PACKED), "")
        separator = "\t" if suffix in (".tsv", ".txt") else ","
        table: pd.DataFrame = pd.read_csv(_unpacked(path, most), sep=separator, dtype=str, **reading)
        return table
    except FileNotFoundError:
        raise TitinError(f"{option}: {path} does not exist", f"give a table with {holds}") from None
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise TitinError(f"{option}: {path} cannot be read as a table: {error}", "give CSV, TSV or Parquet") from error


def _unpacked(path: Path, most: int) -> io.BytesIO:
    """The bytes of a table of text, unpacked as its suffix says; few bytes can unpack to any number."""
    with get_handle(path, "rb", compression="infer", is_text=False) as opened:
        content: bytes = opened.handle.read(most + 1)
    return io.BytesIO(_bounded(content, len(content), most))


def _read_parquet(path: Path, most: int) -> pd.DataFrame:
    """A table read in pieces: a page of a few bytes can stand for any number of rows."""
    pieces, size = [], 0
    with pq.ParquetFile(path) as file:
        for piece in file.iter_batches(batch_size=_PIECE_ROWS, use_threads=False):
            size += piece.nbytes
            pieces.append(_bounded(piece, size, most))
        table: pd.DataFrame = pa.Table.from_batches(pieces, file.schema_arrow).to_pandas()
    return table


def _bounded(content: _Content, size: int, most: int) -> _Content:
    if size > most:
        raise ValueError(f"it unpacks to more than {most // 2**20:,} MiB, which no such table has")
    return content
