"""Some columns of a Parquet file written anew, all others copied as they lie in it: no value of theirs is decoded."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.dataset.parquet_parts import Parts, Target, as_damage
from titin.errors import DatasetError

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
        olds = [Parts(opened.enter_context(path.open("rb")), path.name) for path in shards]
        group_rows = [rows for old in olds for rows in old.group_rows]
        if sum(group_rows) != len(columns):
            said = f"the footer of {name} is damaged: {sum(group_rows):,} rows for {len(columns):,} cells"
            raise DatasetError(said, "restore it, or build again")
        new = _write_columns(Path(scratch), columns, group_rows, schema)
        fresh = Parts(opened.enter_context(new.open("rb")), new.name)
        (empty,) = ParquetFile(Path(scratch), "empty.parquet", schema).close()
        target = Target(folder, name, Parts(opened.enter_context((Path(scratch) / empty).open("rb")), empty).footer)
        opened.callback(target.abandon)
        groups = [(old, index) for old in olds for index in range(len(old.groups))]
        with as_damage(f"the footer of {name}"):
            for ordinal, (old, index) in enumerate(groups):
                chunks = [
                    fresh.chunk(ordinal, field.name) if field.name in columns.column_names
                    else old.chunk(index, (former or {}).get(field.name, field.name), field.name)
                    for field in schema
                ]  # fmt: skip
                target.add(old.groups[index], chunks)
                if target.is_full(shard_bytes):
                    target.close_shard()
            return target.close()


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
