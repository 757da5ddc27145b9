"""Columns of the cells' table, read one at a time and by ranges, are those of obs; what is compared takes few bytes."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from good_datasets import Good

from titin.atlas.tables import column_ranges, read_column, read_derived_column
from titin.check.dataset import CheckedDataset
from titin.check.metadata import compare_quality
from titin.check.units import Keys, text_labels
from titin.dataset.tables import encode_table
from titin.study import Study
from titin.study.groups import group_by


@pytest.fixture(params=[7, 2**16])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges smaller than a row group, and larger."""
    original = CheckedDataset.__module__  # the store is read by this
    assert original
    monkeypatch.setattr("titin.dataset.store.Store.ranges.__defaults__", (request.param,))
    monkeypatch.setattr("titin.dataset.store.RANGE", request.param)


@pytest.mark.parametrize("kind", ["log1p", "sharded", "demo"])
@pytest.mark.usefixtures("at_once")
def test_columns_are_those_of_obs(kind: str, good: Callable[[str], Good]) -> None:
    dataset = CheckedDataset(good(kind).path)
    obs = dataset.atlas.obs.reset_index(drop=True)
    assert dataset.obs.columns == obs.columns.tolist()
    for name in obs.columns:
        pd.testing.assert_series_equal(dataset.obs[name], obs[name], check_index_type=False)
    own = [record["name"] for record in dataset.manifest.obs["columns"][1:]]
    for name in own:
        parts = list(dataset.obs.ranges(name))
        assert pd.concat(parts).isna().tolist() == obs[name].isna().tolist()
        assert [int(row) for part in parts for row in part.index] == list(range(len(obs)))
    with pytest.raises(KeyError):
        dataset.obs["no such column"]


def test_columns_of_every_kind_come_back(tmp_path: Path, good: Callable[[str], Good]) -> None:
    n = 50
    frame = pd.DataFrame(
        {
            "text": [None if i % 7 == 0 else f"t{i % 3}" for i in range(n)],
            "label": pd.Categorical([None if i % 5 == 0 else "xyz"[i % 3] for i in range(n)], categories=list("zyxw")),
            "number label": pd.Categorical([i % 4 for i in range(n)], ordered=True),
            "number": np.where(np.arange(n) % 6, np.arange(n) / 3, np.nan),
            "whole": pd.array([None if i % 9 == 0 else i for i in range(n)], dtype="Int16"),
            "time": pd.date_range("2020-01-01", periods=n, unit="ns"),
            "yes": np.arange(n) % 2 == 0,
        },
        index=[f"c{i}" for i in range(n)],
    )
    table, records = encode_table(frame, index_name="cell_id")
    store = CheckedDataset(good("log1p").path).atlas.store
    whole = pa.Table.from_batches(table.to_batches())

    def ranges(name: str, columns: list[str]) -> list[pa.Table]:
        return [whole.select(columns).slice(first, 8) for first in range(0, n, 8)]

    store.ranges, store.n_rows = ranges, lambda name: n  # type: ignore[method-assign, assignment]
    store.column = lambda name, column: whole.column(column)  # type: ignore[method-assign]
    for record in records[1:]:
        read = pd.Series(read_column(store, "obs", record))
        pd.testing.assert_series_equal(read, frame[record["name"]].reset_index(drop=True), check_names=False)
        assert sum(map(len, column_ranges(store, "obs", record))) == n


def test_derived_ages_are_the_same_as_labels(good: Callable[[str], Good]) -> None:
    dataset = CheckedDataset(good("log1p").path)
    for name in dataset.manifest.derived:
        plain = read_derived_column(dataset.atlas.store, name)
        labels = read_derived_column(dataset.atlas.store, name, labels=True)
        assert isinstance(labels, pd.Categorical)
        np.testing.assert_array_equal(np.asarray(labels, np.float64), plain)
        np.testing.assert_array_equal(dataset.years(name), plain)


@pytest.mark.parametrize("complete", [True, False])
def test_groups_of_combinations_are_those_of_all_cells(complete: bool, good: Callable[[str], Good]) -> None:
    dataset = CheckedDataset(good("demo").path)
    study = Study.of(dataset.atlas)
    names = study.key_names
    expected, found = group_by(study.keys(names), complete=complete), Keys(dataset.study, names).groups(
        complete=complete
    )  # fmt: skip
    pd.testing.assert_frame_equal(found.table, expected.table)
    np.testing.assert_array_equal(found.codes, expected.codes)
    values = np.random.default_rng(1).poisson(3, len(found.codes))
    np.testing.assert_array_equal(found.sum(values), expected.sum(values))
    np.testing.assert_array_equal(found.median(values), expected.median(values))
    np.testing.assert_array_equal(
        found.gene_counts(dataset.atlas, ["XIST", "MALAT1"]), expected.gene_counts(dataset.atlas, ["XIST", "MALAT1"])
    )


def test_labels_as_texts_are_those_of_pandas() -> None:
    labels = pd.Series(pd.Categorical([3, 1, None, 10, 1], categories=[10, 3, 2, 1]))
    expected = labels.astype("string").astype("category")
    found = text_labels(labels)
    assert found.cat.codes.tolist() == expected.cat.codes.tolist()
    assert found.cat.categories.tolist() == expected.cat.categories.tolist()


def test_a_comparison_of_quality_takes_few_bytes_a_cell_and_says_the_correlation() -> None:
    n = 500_000
    rng = np.random.default_rng(4)
    actual = rng.poisson(900, n).astype(np.float64)
    stated = (1.3 * actual + rng.normal(0, 30, n)).astype(np.float32)
    stated[:3] = np.nan
    tracemalloc.start()
    found = compare_quality(stated, actual, "n_counts", "counts")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = np.corrcoef(stated[3:].astype(np.float64), actual[3:])[0, 1]
    assert f"correlation {expected:.3f}" in found.message
    assert peak < 16 * n


def test_a_footer_that_is_let_go_is_read_again(good: Callable[[str], Good]) -> None:
    dataset = CheckedDataset(good("log1p").path)
    store, name = dataset.atlas.store, dataset.layout.expression
    before = store.arrow_schema(store.shards(name)[0]), store.row_groups(name)
    dataset.let_go()
    assert (store.arrow_schema(store.shards(name)[0]), store.row_groups(name)) == before
