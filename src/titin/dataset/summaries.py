"""Tables of summaries, whose rows are neither cells nor genes: written as the format has them."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from titin.dataset import layout
from titin.dataset.arrow import ParquetFile

_ONE = 2**62  # bytes of a shard: none of these tables has more than one


def write_summary(
    folder: Path, name: str, table: pd.DataFrame, columns: Mapping[str, pa.DataType], *,
    told: tuple[bytes, Mapping[str, Any]] | None = None, ends: Sequence[int] | None = None,
) -> None:  # fmt: skip
    """Write a table of summaries as one file.

    Parameters
    ----------
    folder, name
        Of the file.
    table
        Has these columns.
    columns
        Their types, from `titin.dataset.layout`.
    told
        A key of the schema's metadata, and what is kept there as JSON.
    ends
        Rows at which row groups end, 0 first; one row group where not given.
    """
    schema = layout.table_schema(columns)
    if told is not None:
        key, document = told
        schema = schema.with_metadata({key: json.dumps(document, ensure_ascii=False, allow_nan=False).encode()})
    whole = pa.Table.from_arrays([_array(table[column], kind) for column, kind in columns.items()], schema=schema)
    file = ParquetFile(folder, name, schema, shard_bytes=_ONE)
    for start, end in itertools.pairwise(ends or [0, len(table)]):
        file.write(whole.slice(start, end - start).combine_chunks())
    file.close()


def _array(column: pd.Series, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(column.astype(object), pa.string(), from_pandas=True).dictionary_encode()
    values = column.to_numpy(kind.to_pandas_dtype())
    return pa.array(values, kind, from_pandas=True) if pa.types.is_floating(kind) else pa.array(values, kind)
