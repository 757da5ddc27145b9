"""What the Hub would show: our own reading of footers and cards, against pyarrow, `datasets` and titin's datasets."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titin.check import validate
from titin.check.footer import read_footer
from titin.check.footer_summary import largest_window, size_in_arrow
from titin.check.hub import NoFeatureError, dataset_info, feature, features, read_hub_card
from titin.check.viewer_features import _text_problem, is_category, size_category
from titin.check.viewer_rules import LIMIT, _ask, cell_size, first_rows
from titin.check.viewer_rules import _run as run_by_itself  # before the tests' own way takes its place
from titin.errors import DatasetError
from titin.publish import write_card


@pytest.fixture
def clean(copy_of) -> Path:
    """A dataset with a card and a licence."""
    folder = copy_of("log1p").path
    write_card(folder, licence="cc-by-4.0", images=False)
    return folder


def test_a_clean_dataset_passes(clean):
    report = validate(clean, checks=["viewer"])
    assert [f.message for _, f in report.findings("error", "warning")] == []
    wanted = (
        "configs dataset_info columns types pages first_rows limits statistics size modality chunking categories "
        "other_files search_hint metadata load"
    )
    assert {result.check.name for result in report.results} == {f"viewer.{name}" for name in wanted.split()}
    facts = report["viewer.load"].outcome.facts
    assert facts["default"] == "expression"
    assert facts["configs"]["expression"]["rows"] == 240
    assert all(found["streamed"] == 3 for found in facts["configs"].values())


@pytest.mark.parametrize("kind", ["counts", "real", "sharded"])
def test_datasets_of_every_kind_pass(copy_of, kind):
    folder = copy_of(kind).path
    write_card(folder, licence="cc0-1.0", images=False)
    report = validate(folder, level="quick", checks=["viewer"])
    assert [f.message for _, f in report.findings("error", "warning")] == []


@pytest.mark.parametrize("damaged", ["", "_expression.parquet", "README.md"])
def test_a_process_of_its_own_is_told_what_the_server_of_the_tests_is(clean, monkeypatch, damaged):
    pytest.importorskip("datasets", reason="needs `pip install datasets`")
    for path in clean.glob(f"*{damaged}") if damaged else ():
        path.write_bytes(path.read_bytes()[:-7] + b"\n- [no")
    asked = str(clean), {"expression": True, "projection_X_umap": False}
    served = _ask(*asked)
    monkeypatch.setattr("titin.check.viewer_rules._run", run_by_itself)
    assert served == _ask(*asked)
    if not damaged:
        assert served["configs"]["expression"]["rows"] == 240


# footers


def test_the_footer_is_what_pyarrow_says(clean):
    for path in clean.glob("*.parquet"):
        ours, theirs = read_footer(path), pq.read_metadata(path)
        assert ours.n_rows == theirs.num_rows
        assert len(ours.groups) == theirs.num_row_groups
        assert {k.encode(): v.encode() for k, v in ours.metadata.items()} == theirs.metadata
        for g, group in enumerate(ours.groups):
            known = theirs.row_group(g)
            assert (group.n_rows, group.encoded) == (known.num_rows, known.total_byte_size)
            for c, chunk in enumerate(group.chunks):
                column = known.column(c)
                assert ".".join(chunk.path) == column.path_in_schema
                assert (chunk.n_values, chunk.compressed) == (column.num_values, column.total_compressed_size)
                assert chunk.pages is not None
                assert chunk.pages.n_bytes.sum() + chunk.pages.dictionary_bytes == column.total_compressed_size


@settings(max_examples=30)
@given(
    rows=st.integers(1, 500), page=st.integers(1, 60), window=st.integers(1, 120), groups=st.integers(1, 3),
    lists=st.booleans(),
)  # fmt: skip
def test_the_worst_window_is_the_worst_of_all(tmp_path_factory, rows, page, window, groups, lists):
    rng = np.random.default_rng(rows * 7 + page)
    table = pa.table({"a": rng.integers(0, 2**40, rows), "b": [f"{i}" * (i % 7) for i in range(rows)]})
    if lists:
        table = table.append_column("c", pa.array([[i] * (i % 11) for i in range(rows)], pa.list_(pa.int32())))
    path = tmp_path_factory.mktemp("pages") / "t.parquet"
    pq.write_table(table, path, write_page_index=True, max_rows_per_page=page, row_group_size=-(-rows // groups),
                   write_batch_size=max(1, page // 2))  # fmt: skip
    footer = read_footer(path)
    worst, start = 0, 0
    for group in footer.groups:
        for first in range(max(1, group.n_rows - window + 1)):
            total = 0
            for chunk in group.chunks:
                ends = [*chunk.pages.first_row[1:], group.n_rows]
                total += chunk.pages.dictionary_bytes + sum(
                    int(n) for a, b, n in zip(chunk.pages.first_row, ends, chunk.pages.n_bytes, strict=True)
                    if a < first + window and b > first
                )  # fmt: skip
            worst = max(worst, total)
        start += group.n_rows
    assert largest_window(footer.groups, window)[0] == worst


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "x.parquet"
    for content in (
        b"",
        b"PAR1",
        b"nothing of the kind",
        b"PAR1" + b"\xff" * 40 + (30).to_bytes(4, "little") + b"PAR1",
    ):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"x\.parquet"):
            read_footer(path)


# features


TYPES = [
    pa.int8(), pa.uint16(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.string(),
    pa.large_string(), pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.date32(), pa.duration("s"), pa.binary(),
    pa.decimal128(9, 2), pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.uint16()), pa.list_(pa.list_(pa.string())),
    pa.large_list(pa.float32()), pa.list_(pa.float32(), 3), pa.list_(pa.struct([("a", pa.int64())])), pa.null(),
    pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]), pa.time32("s"),
]  # fmt: skip


@pytest.mark.parametrize("arrow", TYPES, ids=str)
def test_features_are_those_of_datasets(arrow):
    datasets = pytest.importorskip("datasets", reason="needs `pip install datasets`")
    schema = pa.schema([("x", arrow)])
    assert features(schema) == datasets.Features.from_arrow_schema(schema)._to_yaml_list()


@pytest.mark.parametrize(
    "arrow", [pa.map_(pa.string(), pa.int64()), pa.list_(pa.map_(pa.string(), pa.int64()))], ids=str
)
def test_types_that_no_config_can_have(arrow):
    with pytest.raises(NoFeatureError, match="map"):
        feature(arrow)


def test_sizes_are_those_that_datasets_counts(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs `pip install datasets`")
    n = 1000
    rng = np.random.default_rng(0)
    frame = {
        "text": [f"name {i}" for i in range(n)], "gaps": [None if i % 3 else "x" * i for i in range(n)],
        "flag": rng.random(n) > 0.5, "number": rng.random(n), "some": [None if i % 2 else i for i in range(n)],
        "label": pa.array([f"type {i % 7}" for i in range(n)]).dictionary_encode(),
        "list": pa.array([list(range(i % 9)) for i in range(n)], pa.list_(pa.uint16())),
    }  # fmt: skip
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(frame), path, row_group_size=333)
    loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert size_in_arrow(read_footer(path).groups, pq.read_schema(path)) == loaded.info.splits["train"].num_bytes
    info = dataset_info("x", {"train": [path]})
    assert info["splits"] == [{"name": "train", "num_bytes": loaded.info.splits["train"].num_bytes, "num_examples": n}]


# the first rows


def test_short_rows_are_shown_whole(tmp_path):
    pd.DataFrame({"a": range(500)}).to_parquet(tmp_path / "t.parquet")
    shown = first_rows(tmp_path / "t.parquet", 100)
    assert (shown.n_rows, shown.cut) == (100, ())


def test_long_rows_are_dropped_and_long_cells_cut(tmp_path):
    pq.write_table(pa.table({"id": range(50), "text": ["x" * 9000] * 50}), tmp_path / "t.parquet")
    shown = first_rows(tmp_path / "t.parquet", 0)
    assert (shown.n_rows, shown.cut) == (LIMIT // 9060, ())
    pq.write_table(pa.table({"id": range(50), "text": ["x" * 90_000] * 50}), tmp_path / "t.parquet")
    shown = first_rows(tmp_path / "t.parquet", 0)
    assert (shown.n_rows, shown.cut) == (10, ("text",))
    assert shown.n_bytes <= LIMIT


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=20), min_size=1, max_size=5), st.sampled_from([3, 99]))
def test_the_size_of_a_list_is_that_of_its_json(lists, at_once):
    column = pa.array(lists, pa.list_(pa.int64()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("titin.dataset.store.RANGE", at_once)
        for row, value in enumerate(lists):
            expected = len(json.dumps(value, separators=(",", ":")))
            assert cell_size(column, row) == expected


@given(st.lists(st.sampled_from([10, 9_000, 50_000, 250_000]), min_size=1, max_size=130))
def test_rows_are_shown_as_far_as_ten_are_or_the_answer_takes_more(tmp_path_factory, lengths):
    path = tmp_path_factory.getbasetemp() / "rows.parquet"
    pq.write_table(pa.table({"text": [""]}), path)
    sizes = [n + first_rows(path, 0).n_bytes for n in lengths]
    pq.write_table(pa.table({"text": ["x" * n for n in lengths]}), path, row_group_size=7)
    shown = first_rows(path, 0)
    fitting = [n for n in range(len(sizes) + 1) if sum(sizes[:n]) <= LIMIT and n <= 100]
    n = max(10, fitting[-1])
    assert shown.n_rows == min(n, len(sizes))
    assert (shown.cut == ("text",)) is (sum(sizes[:n]) > LIMIT)


@pytest.mark.parametrize("n", [9, 900, 9_000])
def test_texts_of_two_lengths_are_told_however_many_they_are(tmp_path, n):
    table = pa.table({"note": [f"{'x' * (i % 2)}{i + 10_000}" for i in range(n)], "few": ["a", "bc", "a"] * (n // 3)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=500)
    card = SimpleNamespace(folder=tmp_path)
    told = [_text_problem(card, ("t.parquet",), field) for field in table.schema]
    assert told == [None if n == 9 else "has texts of 5 or 6 characters alone", None]


# cards


def test_configs_may_be_written_in_other_ways(clean):
    for name in ("expression", "X_umap"):
        assert any(name in path.name for path in clean.glob("*.parquet"))
    (clean / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files: '*_expression.parquet'\n- config_name: rest\n"
        "  data_files:\n  - split: a.b\n    path: ['*metadata.parquet', '*_panel.parquet']\n  - split: c\n"
        "    path: ['*_X_*.parquet', '*_by_gene.parquet']\n---\ntext\n", "utf-8",
    )  # fmt: skip
    card = read_hub_card(clean)
    named = {name for config in card.configs for name in config.files}
    rest = sorted({path.name for path in clean.glob("*.parquet")} - named)
    assert [c.name for c in card.configs] == ["default", "rest"]
    assert set(card.configs[1].splits) == {"a.b", "c"}
    assert [p.message for p in card.problems] == [
        f"{n} is in no config; each Parquet file belongs to one" for n in rest
    ]
    assert card.text.strip() == "text"


def test_small_rules():
    assert [size_category(n) for n in (999, 1000, 183_161, 10**10)] == ["n<1K", "1K<n<10K", "100K<n<1M", "10B<n<100B"]
    assert is_category(10, 10)
    assert is_category(200, 1000)
    assert not is_category(201, 1000)
    assert not is_category(1001, 10**6)


def test_without_datasets_the_proof_is_skipped_with_a_reason(clean, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = validate(clean, checks=["viewer.load"])["viewer.load"]
    assert result.status == "skipped"
    assert "titin[datasets]" in str(result.outcome.skipped)


def test_a_folder_without_a_card(clean):
    (clean / "README.md").unlink()
    report = validate(clean, level="quick", checks=["viewer"])
    assert "there is no card" in report["viewer.configs"].outcome.findings[0].message
    shutil.rmtree(clean)
