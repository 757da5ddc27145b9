"""A disk that is full in the middle of a column is an error, and no end of the process."""

import errno
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import titin
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile, list_column
from titin.dataset.parquet_sink import ParquetSink, save_parquet

N = 2_000_000  # more than a page, which Arrow writes when it is full


def large(kind: str) -> pa.Table:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2**30, N).astype(np.uint32)
    if kind == "lists":
        return pa.table({"x": list_column(np.arange(0, N + 1, 100), numbers)})
    if kind == "text":
        return pa.table({"x": [f"cell {i}" for i in numbers[: N // 10]]})
    return pa.table({"x": numbers})


@pytest.mark.parametrize("options", [{"use_dictionary": False}, {"use_dictionary": False, "data_page_size": 8192}, {}])
@pytest.mark.parametrize("kind", ["numbers", "lists", "text"])
def test_a_full_disk_is_an_error(kind: str, options: dict[str, object]) -> None:
    with pytest.raises(OSError, match="No space left") as raised, Path("/dev/full").open("wb", buffering=0) as full:
        save_parquet(large(kind), full, **options)
    assert raised.value.errno == errno.ENOSPC


def test_what_is_written_is_what_arrow_writes(tmp_path: Path) -> None:
    table, options = large("lists"), {"compression": "zstd", "write_page_index": True}
    expected = io.BytesIO()
    with pq.ParquetWriter(expected, table.schema, **options) as writer:
        writer.write_table(table, row_group_size=7_000)
        writer.write_table(table)
    with ParquetSink(tmp_path / "x.parquet", table.schema, **options) as sink:
        sink.write(table, 7_000)
        sink.write(table)
        assert sink.tell() > 100_000
    assert (tmp_path / "x.parquet").read_bytes() == expected.getvalue()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("theirs")
    (tmp_path / "x.parquet").symlink_to("other")
    save_parquet(pa.table({"x": [1]}), tmp_path / "x.parquet")
    assert (tmp_path / "other").read_text() == "theirs"
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 1


def test_shards_are_counted_by_what_is_written(tmp_path: Path) -> None:
    table = large("numbers")
    file = ParquetFile(tmp_path, "x.parquet", table.schema, shard_bytes=1)
    for _ in range(3):
        file.write(table.slice(0, 1000))
    assert file.close() == [layout.shard("x.parquet", i, 3) for i in range(3)]


def test_all_parquet_is_written_so() -> None:
    """Arrow's own ways to write a file end the process on a full disk."""
    home = Path(titin.__file__).parent
    ways = ("pq.write_table", "pq.ParquetWriter", "to_parquet(")
    texts = {path.relative_to(home).as_posix(): path.read_text("utf-8") for path in home.rglob("*.py")}
    own = [path for path, text in texts.items() if any(way in text for way in ways)]
    assert own == ["dataset/parquet_sink.py"]
