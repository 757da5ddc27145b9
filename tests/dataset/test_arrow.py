"""List columns without copies, and Parquet files encoded as the format has them."""

import hashlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.dataset import layout
from titin.dataset.arrow import OrderedRows, ParquetFile, list_arrays, list_column, write_table
from titin.dataset.checksums import sha256

SCHEMA = pa.schema([
    layout.required("cell_id", pa.string()),
    layout.required("scale", pa.float32()),
    layout.required("genes", layout.list_of(pa.uint16())),
    layout.required("counts", layout.list_of(pa.uint16())),
    layout.required("levels", layout.list_of(pa.float32())),
])  # fmt: skip


def table(n_cells=4, start=0, length=3):
    rows = range(start, start + n_cells)
    return pa.Table.from_arrays([
        pa.array([f"cell-{i}" for i in rows]), pa.array([float(i) for i in rows], pa.float32()),
        pa.array([[i % 7 + j for j in range(length)] for i in rows], SCHEMA.field("genes").type),
        pa.array([[i % 3 + 1] * length for i in rows], SCHEMA.field("counts").type),
        pa.array([[float(i)] for i in rows], SCHEMA.field("levels").type),
    ], schema=SCHEMA)  # fmt: skip


# list columns


@given(st.lists(st.lists(st.integers(0, 65_535), max_size=5), max_size=8), st.sampled_from(["u2", "u4", "f4", "f8"]))
def test_rows_become_lists_and_rows_again(rows, dtype):
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    elements = np.array([x for row in rows for x in row], dtype)
    column = list_column(indptr, elements)
    column.validate(full=True)
    assert column.to_pylist() == rows
    assert column.type == layout.list_of(pa.from_numpy_dtype(elements.dtype))
    back = list_arrays(pa.chunked_array([column]))
    assert back[0].tolist() == indptr.tolist()
    assert (back[1].dtype, back[1].tolist()) == (elements.dtype, elements.tolist())


@pytest.mark.parametrize("rows", [slice(0, 2), slice(1, 4), slice(2, 3), slice(3, 3), slice(0, 4)])
def test_a_part_of_the_rows(rows):
    indptr, elements = np.array([0, 2, 2, 5, 6]), np.arange(6, dtype="u2")
    expected = [[0, 1], [], [2, 3, 4], [5]][rows]
    part = list_column(indptr[rows.start : rows.stop + 1], elements)
    assert part.to_pylist() == expected
    sliced = pa.chunked_array([list_column(indptr, elements).slice(rows.start, rows.stop - rows.start)])
    pointers, values = list_arrays(sliced)
    assert pointers[0] == 0
    assert [values[a:b].tolist() for a, b in pairwise(pointers)] == expected


def test_several_chunks_are_one_column():
    columns = (([0, 1, 3], [1, 2, 3]), ([0, 2], [4, 5]))
    parts = [list_column(np.array(indptr), np.array(elements, "u2")) for indptr, elements in columns]
    pointers, values = list_arrays(pa.chunked_array(parts))
    assert pointers.tolist() == [0, 1, 3, 5]
    assert values.tolist() == [1, 2, 3, 4, 5]
    empty = list_arrays(pa.chunked_array([], parts[0].type))
    assert [a.tolist() for a in empty] == [[0], []]


@pytest.mark.parametrize("rows", [[[1], None], [[1, None]]])
def test_missing_entries_are_an_error(rows):
    with pytest.raises(ValueError, match="missing entries"):
        list_arrays(pa.chunked_array([pa.array(rows, pa.list_(pa.uint16()))]))


# files


def test_a_table_a_row_group(tmp_path):
    file = ParquetFile(tmp_path, "a.parquet", SCHEMA)
    file.write(table(4))
    file.write(table(3, start=4))
    assert file.close() == ["a.parquet"]
    read = pq.ParquetFile(tmp_path / "a.parquet")
    assert [read.metadata.row_group(i).num_rows for i in range(read.metadata.num_row_groups)] == [4, 3]
    assert read.read().equals(table(7))
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_a_file_of_no_rows(tmp_path):
    assert ParquetFile(tmp_path, "a.parquet", SCHEMA).close() == ["a.parquet"]
    assert pq.read_table(tmp_path / "a.parquet").equals(SCHEMA.empty_table())


def test_encodings(tmp_path):
    write_table(tmp_path, "a.parquet", table(2000, length=5))
    group = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {c.compression for c in columns} == {"ZSTD"}
    assert all(c.has_offset_index and c.has_column_index for c in columns)
    by_name = {c.path_in_schema.split(".")[0]: set(c.encodings) for c in columns}
    assert "DELTA_BINARY_PACKED" in by_name["genes"]
    assert "BYTE_STREAM_SPLIT" in by_name["counts"] & by_name["levels"]
    assert not {"PLAIN_DICTIONARY", "RLE_DICTIONARY"} & set.union(*by_name.values())


def test_metadata_of_the_schema_and_of_the_format_are_in_the_file(tmp_path):
    file = ParquetFile(tmp_path, "a.parquet", SCHEMA.with_metadata({b"mine": b"kept"}))
    file.write(table())
    file.close()
    found = pq.read_metadata(tmp_path / "a.parquet").metadata
    assert found[b"mine"] == b"kept"
    assert found.items() >= layout.file_metadata().items()
    assert pq.read_schema(tmp_path / "a.parquet").field("genes").type.value_field.nullable is False


@pytest.mark.parametrize("n_groups", [2, 3, 11])
def test_shards_hold_whole_row_groups(tmp_path, n_groups):
    file = ParquetFile(tmp_path, "a.parquet", SCHEMA, shard_bytes=1)
    for i in range(n_groups):
        file.write(table(3, start=3 * i))
    names = file.close()
    assert names == [f"a-{i:05d}-of-{n_groups:05d}.parquet" for i in range(n_groups)]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    for i, name in enumerate(names):
        assert pq.read_table(tmp_path / name).equals(table(3, start=3 * i))


def test_a_shard_is_closed_when_it_has_its_size(tmp_path):
    rng = np.random.default_rng(0)
    size = 100_000
    file = ParquetFile(tmp_path, "a.parquet", pa.schema({"x": pa.float64()}), shard_bytes=3 * size)
    for _ in range(7):
        file.write(pa.table({"x": rng.random(size // 8)}))
    names = file.close()
    rows = [pq.read_metadata(tmp_path / name).num_rows for name in names]
    assert sum(rows) == 7 * (size // 8)
    assert len(names) == 2
    assert all(r >= 3 * (size // 8) for r in rows[:-1])


@pytest.mark.parametrize("reordered", [False, True])
def test_row_groups_of_a_whole_table(tmp_path, monkeypatch, reordered):
    monkeypatch.setattr(layout, "TABLE_ROW_GROUP_ROWS", 4)
    order = np.random.default_rng(0).permutation(10) if reordered else None
    rows = table(10) if order is None else OrderedRows(table(10), order)
    assert write_table(tmp_path, "a.parquet", rows) == ["a.parquet"]
    metadata = pq.read_metadata(tmp_path / "a.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [4, 4, 2]
    assert pq.read_table(tmp_path / "a.parquet").equals(table(10) if order is None else table(10).take(order))


def test_the_same_table_makes_the_same_bytes(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        write_table(tmp_path, name, table(1000))
    assert sha256(tmp_path / "a.parquet") == sha256(tmp_path / "b.parquet")
    assert sha256(tmp_path / "a.parquet") == hashlib.sha256((tmp_path / "a.parquet").read_bytes()).hexdigest()
