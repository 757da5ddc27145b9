"""Ways to corrupt a dataset, for the lists of mutations: each gives a function of the folder, or is one."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mutations import edit_json, edit_manifest, edit_table, path_of, set_in_list, set_values, swap_rows

from titin.dataset import layout
from titin.dataset.page_index import find_page_indexes
from titin.dataset.thrift import read_struct

Corrupt = Callable[[Path], None]


def edited(part: str, change: Callable[[pa.Table], pa.Table], shard: int = 0) -> Corrupt:
    return lambda folder: edit_table(folder, part, change, shard)


def put(part: str, column: str, row: int, value: Any) -> Corrupt:
    return edited(part, lambda table: set_values(table, column, [row], [value]))


def put_in_list(part: str, column: str, row: int, change: Callable[[list[Any]], list[Any]]) -> Corrupt:
    return edited(part, lambda table: set_in_list(table, column, row, change))


def as_type(part: str, column: str, kind: pa.DataType) -> Corrupt:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(column)
        field = pa.field(column, kind, nullable=table.schema.field(column).nullable)
        return table.set_column(at, field, table.column(column).cast(kind))

    return edited(part, change)


def nullable(part: str, column: str) -> Corrupt:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(column)
        return table.set_column(at, pa.field(column, table.schema.field(column).type), table.column(column))

    return edited(part, change)


def removed(part: str, shard: int = 0) -> Corrupt:
    return lambda folder: path_of(folder, part, shard).unlink()


def truncated(part: str) -> Corrupt:
    def corrupt(folder: Path) -> None:
        path = path_of(folder, part)
        path.write_bytes(path.read_bytes()[:-100])

    return corrupt


def extra(name: str) -> Corrupt:
    return lambda folder: write_extra(folder, name)


def write_extra(folder: Path, name: str) -> None:
    shutil.copy(path_of(folder, "sample_metadata"), folder / name)


def in_manifest(change: Callable[[Any], None]) -> Corrupt:
    return lambda folder: edit_manifest(folder, change)


def in_json(part: str, change: Callable[[Any], None]) -> Corrupt:
    return lambda folder: edit_json(folder, part, change)


def item(key: str, value: Any) -> Callable[[Any], None]:
    return lambda document: document.__setitem__(key, value)


def first_plus_one(counts: list[int]) -> list[int]:
    return [counts[0] + 1, *counts[1:]]


def swap_two(values: list[Any]) -> list[Any]:
    return [values[1], values[0], *values[2:]]


def forget_shard(folder: Path) -> None:
    """Remove a shard and all mention of it."""
    path = path_of(folder, "expression", 1)
    edit_manifest(folder, lambda m: m["files"].pop(path.name))
    path.unlink()


def foreign_projection(folder: Path) -> None:
    """A projection of as many other cells."""

    def change(table: pa.Table) -> pa.Table:
        other = pa.array([f"OTHER{i:03d}-1" for i in range(table.num_rows)])
        return table.set_column(0, table.schema.field(0), other)

    edit_table(folder, "X_umap", change)


def lying_page_index(folder: Path) -> None:
    """The page index of a column says that its first page is a few bytes longer than it is."""
    path = path_of(folder, "expression_by_gene")
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    at, n = find_page_indexes(bytes(content[-8 - length : -8]))[0]["cells.list.element"]
    document, _ = read_struct(bytes(content), at)
    size = document[1][0][2]
    said = [(size << 1 & 127) | 128, size >> 6] if size >= 64 else [size << 1]  # as Thrift writes a number
    place = bytes(content).index(bytes(said), at, at + n)
    content[place] ^= 4
    path.write_bytes(content)


def duplicate_barcode(folder: Path) -> None:
    """The same barcode for two cells, in every file."""
    for part in ("expression", "expression_panel", "sample_metadata", "X_umap", "X_pca"):
        edit_table(folder, part, lambda t: set_values(t, layout.CELL_ID, [9], [t.column(layout.CELL_ID)[4].as_py()]))


def everywhere(column: str, row: int, value: Any) -> Corrupt:
    """A label changed wherever it stands."""

    def corrupt(folder: Path) -> None:
        for part in ("expression", "expression_panel", "sample_metadata"):
            edit_table(folder, part, lambda t: set_values(t, column, [row], [value]))

    return corrupt


def two_sexes(folder: Path) -> None:
    def other(table: pa.Table) -> pa.Table:
        now = table.column("sex")[3].as_py()
        return set_values(table, "sex", [3], ["male" if now == "female" else "female"])

    for part in ("expression", "expression_panel", "sample_metadata"):
        edit_table(folder, part, other)


def two_ages(folder: Path) -> None:
    def other(table: pa.Table) -> pa.Table:
        now = table.column("age")[3].as_py()
        return set_values(table, "age", [3], ["60-65" if now != "60-65" else "25-30"])

    for part in ("expression", "expression_panel", "sample_metadata"):
        edit_table(folder, part, other)


def wrong_parent(folder: Path) -> None:
    def other(table: pa.Table) -> pa.Table:
        now = table.column("annotation_level0")[3].as_py()
        return set_values(table, "annotation_level0", [3], ["muscle" if now == "immune" else "immune"])

    for part in ("expression", "expression_panel", "sample_metadata"):
        edit_table(folder, part, other)


def level_off(ulps: int) -> Callable[[list[float]], list[float]]:
    """The first level moved by so many units in the last place beyond where it belongs at most."""

    def change(levels: list[float]) -> list[float]:
        moved = np.float32(levels[0])
        for _ in range(ulps):
            moved = np.nextafter(moved, np.float32(0))
        return [float(moved), *levels[1:]]

    return change


def drop_row(table: pa.Table) -> pa.Table:
    return table.slice(0, table.num_rows - 1)


def panel_gene(folder: Path) -> str:
    """A gene of the panel that some cells express."""
    table = pq.read_table(path_of(folder, "expression_panel"))
    return next(str(n) for n in reversed(table.column_names) if (table.column(n).to_numpy() > 0).sum() > 3)


def in_panel(row_value: Callable[[float], float]) -> Corrupt:
    def corrupt(folder: Path) -> None:
        gene = panel_gene(folder)

        def change(table: pa.Table) -> pa.Table:
            row = int(np.flatnonzero(table.column(gene).to_numpy() > 0)[0])
            return set_values(table, gene, [row], [row_value(table.column(gene)[row].as_py())])

        edit_table(folder, "expression_panel", change)

    return corrupt


def move_n_cells(folder: Path) -> None:
    """n_cells of the first gene raised in both files of genes: it still falls."""
    for part in ("feature_metadata", "expression_by_gene"):
        edit_table(folder, part, lambda t: set_values(t, "n_cells", [0], [t.column("n_cells")[0].as_py() + 1]))


def renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns(["score2" if c == "score" else c for c in table.column_names])


def reordered(table: pa.Table) -> pa.Table:
    order = [*table.column_names[:-2], table.column_names[-1], table.column_names[-2]]
    return table.select(order)


def with_version(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({**table.schema.metadata, b"pandas": b'{"index_columns": ["score"]}'})


def swap_files(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def swap_columns(table: pa.Table, columns: tuple[str, ...], one: int, other: int) -> pa.Table:
    for name in columns:
        swapped = swap_rows(table.select([name]), one, other).column(0)
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), swapped)
    return table


def same_change(folder: Path, by_cell: str = "expression", by_gene: str = "expression_by_gene") -> None:
    """One more count of a gene in a cell, in ``expression`` and in ``expression_by_gene``."""
    cells = pq.read_table(path_of(folder, by_gene), columns=["cells"]).column("cells")[5].as_py()
    edit_table(folder, by_gene, lambda t: set_in_list(t, "counts", 5, first_plus_one))

    def change(table: pa.Table) -> pa.Table:
        at = table.column("genes")[cells[0]].as_py().index(5)
        return set_in_list(table, "counts", cells[0], lambda c: [*c[:at], c[at] + 1, *c[at + 1 :]])

    edit_table(folder, by_cell, change)
