"""Row groups encoded each by itself, in any process, to be put into a `titin.dataset.arrow.ParquetFile`.

pyarrow's content-defined chunking goes on from one row group of a writer to the next. Each has a writer of its own
here, so that its bytes depend on its rows alone, whoever encodes it.
"""

import io

import pyarrow as pa

from titin.dataset import layout
from titin.dataset.parquet_sink import ParquetSink


def encode_group(table: pa.Table, schema: pa.Schema, *, page_bytes: int | None = None) -> bytes:
    """Encode a table as a Parquet file of one row group, or of none where it has no rows.

    Parameters
    ----------
    schema, page_bytes
        As for `titin.dataset.arrow.ParquetFile`.
    """
    held = io.BytesIO()
    options = layout.parquet_options(schema, page_bytes)
    with ParquetSink(held, layout.with_file_metadata(schema), **options) as sink:
        if table.num_rows:
            sink.write(table, table.num_rows)
    return held.getvalue()


class EncodedGroups:
    """Row groups that are encoded, in their order, to be sent to where the file is.

    Parameters
    ----------
    schema, page_bytes
        As for `titin.dataset.arrow.ParquetFile`.

    Attributes
    ----------
    groups
        What `titin.dataset.arrow.ParquetFile.write_encoded` takes.
    """

    def __init__(self, schema: pa.Schema, *, page_bytes: int | None = None) -> None:
        self._schema, self._page_bytes = schema, page_bytes
        self.groups: list[bytes] = []

    def write(self, table: pa.Table) -> None:
        """Encode a table as one row group."""
        self.groups.append(encode_group(table, self._schema, page_bytes=self._page_bytes))
