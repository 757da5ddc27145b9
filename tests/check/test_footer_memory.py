"""Footers that the checks keep: names stand once, whatever the number of row groups."""

from pathlib import Path

import pyarrow as pa

from titin.check.footer import read_footer
from titin.dataset.parquet_sink import save_parquet


def test_names_of_all_row_groups_are_one_object(tmp_path: Path) -> None:
    table = pa.table(
        {"a": pa.array(range(40)), "b": [[i, i + 1] for i in range(40)], "c": [f"x{i}" for i in range(40)]}
    )
    save_parquet(table, tmp_path / "t.parquet", row_group_size=8, write_page_index=True)
    footer = read_footer(tmp_path / "t.parquet")
    assert [group.n_rows for group in footer.groups] == [8] * 5
    paths = [[chunk.path for chunk in group.chunks] for group in footer.groups]
    assert paths[0] == [("a",), ("b", "list", "element"), ("c",)]
    assert all(one is other for group in paths for one, other in zip(group, paths[0], strict=True))
    assert all(chunk.pages is not None and not hasattr(chunk, "__dict__") for g in footer.groups for chunk in g.chunks)
