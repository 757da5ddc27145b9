"""Rows that are put in order on disk are those that are taken from here and there."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin import shelf
from titin.dataset import sorted_rows
from titin.dataset.arrow import OrderedRows
from titin.shelf import Shelf


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(shelf, "_LEAST", 0)
    monkeypatch.setattr(sorted_rows, "_LEAST", 0)
    monkeypatch.setattr(sorted_rows, "RUN", 5)


def _table(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    texts = [None if value < 0.2 else "ab" * int(9 * value) for value in rng.random(n)]
    numbers = pa.array(rng.integers(0, 3, n), pa.int32(), mask=rng.random(n) < 0.2)
    labels = pa.DictionaryArray.from_arrays(numbers, ["x", "y", "never"], ordered=bool(seed % 2))
    columns = {"names": pa.array([f"c{i}" for i in range(n)], pa.string()), "texts": pa.array(texts, pa.string()),
               "labels": labels, "flags": pa.array(rng.random(n) < 0.5), "sizes": pa.array(rng.random(n))}  # fmt: skip
    return pa.table(columns)


@given(st.integers(0, 23), st.integers(0, 99), st.integers(1, 30), st.booleans())
def test_they_are_the_same_rows(tmp_path_factory, n: int, seed: int, step: int, wide: bool) -> None:
    order = np.random.default_rng(seed).permutation(n).astype(np.int64 if wide else np.int32)
    rows = OrderedRows(_table(n, seed), order)
    found = sorted_rows.sort_rows(rows, Shelf(tmp_path_factory.getbasetemp()))
    assert not isinstance(found, OrderedRows)
    assert (found.num_rows, found.schema) == (n, rows.schema)
    for start in range(0, n + step, step):
        assert found.slice(start, step).equals(rows.slice(start, step) if start < n else rows.schema.empty_table())
    for start in (n - 1, n // 2, 0):  # also backwards
        assert start < 0 or found.slice(start, 1).equals(rows.slice(start, 1))


def test_few_rows_and_those_of_no_disk_stay_as_they_are(tmp_path, monkeypatch) -> None:
    rows = OrderedRows(_table(9, 1), np.arange(9))
    assert sorted_rows.sort_rows(rows, Shelf()) is rows
    monkeypatch.setattr(sorted_rows, "_LEAST", 1 << 20)
    assert sorted_rows.sort_rows(rows, Shelf(tmp_path)) is rows
