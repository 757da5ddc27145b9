"""Columns of a Parquet file replaced without a look at the others: as if all had been written together."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_column
from titin.dataset.splice import splice_columns
from titin.dataset.tables import with_pandas_index
from titin.dataset.thrift import read_fields, write_fields
from titin.errors import DatasetError

ROWS, GROUP = 5_000, 700


def labels(kind: str, seed: int) -> pa.Table:
    """Columns of every type that obs has."""
    rng = np.random.default_rng(seed)
    table = pa.table({
        "type": pa.DictionaryArray.from_arrays(rng.integers(0, 3, ROWS).astype(np.int32), ["B", "T", f"{kind} ß"]),
        "age": pa.array(rng.normal(size=ROWS), mask=rng.random(ROWS) < 0.1),
        "sick": pa.array(rng.random(ROWS) < 0.5), "name": [f"{kind}{i}" for i in rng.integers(0, ROWS, ROWS)],
    })  # fmt: skip
    left_out = {"few": ["sick"], "text": ["age", "type"]}
    return table.drop_columns(left_out.get(kind, []))


def matrix() -> pa.Table:
    """The columns that are copied: lists, of which some are empty, and numbers."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 40, ROWS)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    genes = list_column(indptr, rng.integers(0, 60_000, indptr[-1]).astype(np.uint16))
    counts = list_column(indptr, rng.integers(1, 9, indptr[-1]).astype(np.uint16))
    fields = [layout.required("source_row", pa.int64()), layout.required("genes", genes.type),
              layout.required("counts", counts.type)]  # fmt: skip
    return pa.table([pa.array(np.arange(ROWS)), genes, counts], schema=pa.schema(fields))


def whole_schema(table: pa.Table) -> pa.Schema:
    fields = [layout.required("cell_id", pa.string()), *table.schema, *matrix().schema]
    return with_pandas_index(pa.schema(fields), "cell_id")


def write(folder: Path, table: pa.Table, shard_bytes: int = layout.SHARD_BYTES) -> list[str]:
    folder.mkdir()
    file = ParquetFile(folder, "x.parquet", whole_schema(table), shard_bytes=shard_bytes)
    cells = pa.array([f"cell{i}" for i in range(ROWS)])
    every = pa.table([cells, *table.columns, *matrix().columns], schema=whole_schema(table))
    for first in range(0, ROWS, GROUP):
        file.write(every.slice(first, GROUP).combine_chunks())
    return file.close()


@pytest.mark.parametrize("shard_bytes", [layout.SHARD_BYTES, 60_000])
@pytest.mark.parametrize(("before", "after"), [("all", "few"), ("few", "all"), ("all", "text"), ("text", "few")])
def test_the_file_is_the_one_that_would_have_been_written(tmp_path, before, after, shard_bytes):
    old = write(tmp_path / "old", labels(before, 1), shard_bytes)
    expected = write(tmp_path / "expected", labels(after, 2), shard_bytes)
    (tmp_path / "new").mkdir()
    new = splice_columns(tmp_path / "new", "x.parquet", [tmp_path / "old" / name for name in old], labels(after, 2),
                         whole_schema(labels(after, 2)), shard_bytes=shard_bytes)  # fmt: skip
    assert new == expected
    assert (len(new) > 1) == (shard_bytes < layout.SHARD_BYTES)
    for name in new:
        assert (tmp_path / "new" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    read = pa.concat_tables([pq.read_table(tmp_path / "new" / name, page_checksum_verification=True) for name in new])
    assert read.column("genes").equals(pa.chunked_array(matrix().column("genes").chunks))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == new


def test_a_copied_column_may_have_another_name(tmp_path):
    (old,) = write(tmp_path / "old", labels("few", 1))
    schema = whole_schema(labels("few", 1))
    renamed = schema.set(schema.get_field_index("source_row"), layout.required("row", pa.int64()))
    (tmp_path / "new").mkdir()
    (new,) = splice_columns(tmp_path / "new", "x.parquet", [tmp_path / "old" / old], labels("few", 1),
                            with_pandas_index(renamed, "cell_id"), {"row": "source_row"})  # fmt: skip
    read = pq.read_table(tmp_path / "new" / new)
    assert read.column_names == renamed.names
    assert read.column("row").to_pylist() == list(range(ROWS))
    assert pq.read_table(tmp_path / "new" / new, columns=["row"], filters=[("row", "<", 3)]).num_rows == 3


def test_footers_are_written_as_they_were_read(tmp_path):
    (name,) = write(tmp_path / "old", labels("all", 1))
    data = (tmp_path / "old" / name).read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    fields, end = read_fields(footer)
    assert end == length
    assert write_fields(fields) == footer


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda _: b"", lambda data: data[:-8] + b"\xff" * 4 + b"PAR1"]
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    (name,) = write(tmp_path / "old", labels("all", 1))
    path = tmp_path / "old" / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"footer of x\.parquet is damaged"):
        splice_columns(tmp_path, "y.parquet", [path], labels("few", 1), whole_schema(labels("few", 1)))


@pytest.mark.parametrize("trials", [100, pytest.param(400, marks=pytest.mark.slow)])
def test_a_footer_of_whatever_bytes_is_refused_in_words_or_copied(tmp_path, trials):
    """Every byte of a footer changed in turn: what a stranger may have written."""
    (old,) = write(tmp_path / "old", labels("few", 1))
    path = tmp_path / "old" / old
    good = path.read_bytes()
    length = int.from_bytes(good[-8:-4], "little")
    rng = np.random.default_rng(3)
    outcomes = {"refused": 0, "written": 0}
    for trial, place in enumerate(rng.choice(np.arange(len(good) - 8 - length, len(good)), trials, replace=False)):
        changed = bytearray(good)
        changed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        new = tmp_path / str(trial)
        new.mkdir()
        try:
            splice_columns(new, "x.parquet", [path], labels("few", 2), whole_schema(labels("few", 2)))
            outcomes["written"] += 1
        except DatasetError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > trials / 20


def test_structs_that_lie_too_deep_are_refused():
    with pytest.raises(ValueError, match="deep"):
        read_fields(b"\x1c" * 5_000 + b"\x00" * 5_001)
