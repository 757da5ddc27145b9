"""Single corruptions of a good dataset, each with the check that must catch it and the words it must use."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.swap import write_json


@dataclass(frozen=True)
class Mutation:
    """One corruption.

    Attributes
    ----------
    name
        What is done, in words; unique.
    check
        The check that must catch it.
    message
        Regular expression that must be found in ``where: message`` of one of the check's findings.
    corrupt
        Does it to a dataset folder.
    dataset
        Of which good dataset: ``log1p``, ``counts``, ``real``, ``sharded``, ``layers``, or ``demo``.
    source
        Whether the check compares with the source.
    sign
        Whether bytes, sha256 and rows in the manifest are brought up to date afterwards, so that the checksums fit.
    """

    name: str
    check: str
    message: str
    corrupt: Callable[[Path], None]
    dataset: Literal["log1p", "counts", "real", "sharded", "layers", "demo"] = "log1p"
    source: bool = False
    sign: bool = True


def sign(folder: Path) -> None:
    """Bring bytes, sha256 and rows of every listed file up to date; files that are gone are no longer listed."""
    manifest = Manifest.read(folder)
    manifest.files = {name: describe_file(folder / name) for name in manifest.files if (folder / name).is_file()}
    manifest.write(folder)


def names(folder: Path) -> layout.Layout:
    """File names of a dataset."""
    return Manifest.read(folder).layout


def path_of(folder: Path, part: str, shard: int = 0) -> Path:
    """A file by its role (``expression``, ``sample_metadata`` …), by ``obsm`` key, or by name."""
    manifest = Manifest.read(folder)
    name = manifest.obsm[part]["file"] if part in manifest.obsm else getattr(manifest.layout, part, part)
    return folder / (manifest.shards(name)[shard] if name.endswith(".parquet") else name)


def edit_table(folder: Path, part: str, change: Callable[[pa.Table], pa.Table], shard: int = 0) -> None:
    """Write a Parquet file again as the format writes it, its rows groups as they were, after a change."""
    path = path_of(folder, part, shard)
    with pq.ParquetFile(path) as file:
        lengths = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        table = file.read()
    table = change(table)
    lengths[-1] += table.num_rows - sum(lengths)
    pages = layout.GENE_PAGE_BYTES if "expression_by_gene" in part else None
    writer = ParquetFile(path.parent, "edited.parquet", table.schema, shard_bytes=2**62, page_bytes=pages)
    start = 0
    for n in lengths:
        writer.write(table.slice(start, n).combine_chunks())
        start += n
    (name,) = writer.close()
    (path.parent / name).replace(path)


def set_values(table: pa.Table, column: str, rows: Sequence[int], values: Sequence[Any]) -> pa.Table:
    """Put values (Python's) at some rows of a column."""
    field = table.schema.field(column)
    entries = table.column(column).to_pylist()
    for row, value in zip(rows, values, strict=True):
        entries[row] = value
    array = pa.array(entries, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
    array = array.dictionary_encode().cast(field.type) if pa.types.is_dictionary(field.type) else array
    return table.set_column(table.schema.get_field_index(column), field, array)


def set_in_list(table: pa.Table, column: str, row: int, change: Callable[[list[Any]], list[Any]]) -> pa.Table:
    """Change the list of one row."""
    return set_values(table, column, [row], [change(table.column(column)[row].as_py())])


def swap_rows(table: pa.Table, one: int, other: int) -> pa.Table:
    """Swap two rows."""
    order = np.arange(table.num_rows)
    order[[one, other]] = other, one
    return table.take(pa.array(order))


def edit_json(folder: Path, part: str, change: Callable[[Any], None]) -> None:
    """Change a JSON document in place."""
    path = path_of(folder, part)
    document = json.loads(path.read_text("utf-8"))
    change(document)
    write_json(path, document)


def edit_manifest(folder: Path, change: Callable[[Any], None]) -> None:
    """Change ``titin.json`` in place."""
    edit_json(folder, layout.MANIFEST, change)


def edit_card(folder: Path, old: str, new: str) -> None:
    """Replace some text of the card, which must have it."""
    path = folder / layout.CARD
    text = path.read_text("utf-8")
    assert old in text, f"the card does not say {old!r}"
    path.write_text(text.replace(old, new, 1), "utf-8")


def flip_byte(folder: Path, part: str, at: float = 0.5) -> None:
    """Flip all bits of a byte, at a share of the file's length."""
    path = path_of(folder, part)
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 0xFF
    path.write_bytes(bytes(data))
