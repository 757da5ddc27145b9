"""Row groups encoded apart: the file is the one of a single writer, and they depend on nothing but their rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_column
from titin.dataset.encoded_groups import EncodedGroups, encode_group
from titin.dataset.tables import with_pandas_index

ROWS, GROUP = 5_000, 700


def table(longest: int = 40) -> pa.Table:
    rng = np.random.default_rng(0)
    indptr = np.concatenate([[0], np.cumsum(rng.integers(0, longest, ROWS))])
    genes = list_column(indptr, rng.integers(0, 60_000, indptr[-1]).astype(np.uint16))
    counts = list_column(indptr, rng.integers(1, 9, indptr[-1]).astype(np.uint16))
    columns = {
        "cell_id": pa.array([f"cell {i}" for i in range(ROWS)]),
        "type": pa.DictionaryArray.from_arrays(rng.integers(0, 3, ROWS).astype(np.int32), ["B", "T", "ß"]),
        "age": pa.array(rng.normal(size=ROWS), mask=rng.random(ROWS) < 0.1),
        "sick": pa.array(rng.random(ROWS) < 0.5), "genes": genes, "counts": counts,
    }  # fmt: skip
    fields = [layout.required(name, column.type) if name in ("genes", "counts") else pa.field(name, column.type)
              for name, column in columns.items()]  # fmt: skip
    return pa.table(list(columns.values()), schema=with_pandas_index(pa.schema(fields), "cell_id"))


def groups_of(whole: pa.Table) -> list[pa.Table]:
    return [whole.slice(first, GROUP).combine_chunks() for first in range(0, ROWS, GROUP)]


@pytest.mark.parametrize("page_bytes", [None, 256])
def test_the_file_is_the_one_of_one_writer(page_bytes: int | None, tmp_path: Path) -> None:
    """As long as no column is so long that its chunking would go on from one row group to the next."""
    whole = table(longest=10)
    file = ParquetFile(tmp_path, "x.parquet", whole.schema, page_bytes=page_bytes)
    schema = layout.with_file_metadata(whole.schema)
    options = layout.parquet_options(schema, page_bytes)
    with pq.ParquetWriter(tmp_path / "one.parquet", schema, **options) as writer:
        for group in groups_of(whole):
            file.write(group)
            writer.write_table(group, row_group_size=GROUP)
    assert file.close() == ["x.parquet"]
    assert (tmp_path / "x.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()


@pytest.mark.parametrize("shard_bytes", [layout.SHARD_BYTES, 60_000])
@pytest.mark.parametrize("page_bytes", [None, 256])
def test_it_does_not_matter_who_encodes(shard_bytes: int, page_bytes: int | None, tmp_path: Path) -> None:
    whole = table()
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = ParquetFile(tmp_path / "here", "x.parquet", whole.schema, shard_bytes=shard_bytes, page_bytes=page_bytes)
    there = ParquetFile(tmp_path / "there", "x.parquet", whole.schema, shard_bytes=shard_bytes)
    encoded = []
    for group in reversed(groups_of(whole)):
        encoding = EncodedGroups(whole.schema, page_bytes=page_bytes)
        encoding.write(group)
        encoded += encoding.groups
    for group, done in zip(groups_of(whole), reversed(encoded), strict=True):
        here.write(group)
        there.write_encoded(done)
    names = here.close()
    assert there.close() == names
    assert (len(names) > 1) == (shard_bytes < layout.SHARD_BYTES)
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    found = pa.concat_tables([pq.read_table(tmp_path / "here" / name) for name in names])
    assert found.combine_chunks().equals(whole.cast(found.schema).combine_chunks())
    files = [pq.ParquetFile(tmp_path / "here" / name) for name in names]
    assert [file.metadata.row_group(i).num_rows for file in files for i in range(file.num_row_groups)] == [
        len(group) for group in groups_of(whole)
    ]
    for file in files:
        file.close()


def test_a_long_column_is_cut_alike_wherever_its_row_group_stands(tmp_path: Path) -> None:
    """pyarrow's own writer cuts the same rows into other pages behind others, which is what this is about."""
    (group,) = (table(longest=400).slice(0, GROUP).combine_chunks(),)
    file = ParquetFile(tmp_path, "x.parquet", group.schema)
    for _ in range(5):
        file.write(group)
    (name,) = file.close()
    with pq.ParquetFile(tmp_path / name) as found:
        sizes = [found.metadata.row_group(i).column(4).total_compressed_size for i in range(5)]
    assert len(set(sizes)) == 1
    schema = layout.with_file_metadata(group.schema)
    with pq.ParquetWriter(tmp_path / "one.parquet", schema, **layout.parquet_options(schema)) as writer:
        for _ in range(5):
            writer.write_table(group)
    with pq.ParquetFile(tmp_path / "one.parquet") as found:
        assert len({found.metadata.row_group(i).column(4).total_compressed_size for i in range(5)}) > 1


def test_no_rows_make_no_row_group(tmp_path: Path) -> None:
    schema = table().schema
    file = ParquetFile(tmp_path, "x.parquet", schema)
    file.write(schema.empty_table())
    assert file.close() == ["x.parquet"]
    with pq.ParquetFile(tmp_path / "x.parquet") as found:
        assert (found.num_row_groups, found.metadata.num_rows) == (0, 0)
        assert found.schema_arrow.names == schema.names
    assert (tmp_path / "x.parquet").read_bytes() == encode_group(schema.empty_table(), schema)
