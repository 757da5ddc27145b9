"""Combinations of columns are those that pandas groups by, in the order in which they are met."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.study.combinations import Combinations

ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([1.5, 2.0, np.nan]), st.booleans()),
                max_size=40)  # fmt: skip


@given(ROWS, st.integers(1, 9))
def test_each_combination_is_numbered_once_whatever_the_ranges(rows: list[tuple], at_once: int) -> None:
    columns = [pd.Series([row[i] for row in rows], dtype=dtype) for i, dtype in enumerate(("category", "f8", object))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("titin.dataset.store.RANGE", at_once)
        found = Combinations.of(columns, len(rows))
    told = [tuple(None if pd.isna(entry) else entry for entry in row) for row in rows]
    distinct = list(dict.fromkeys(told))
    assert found.number.tolist() == [distinct.index(row) for row in told]
    assert found.rows.tolist() == [told.index(row) for row in distinct]
    assert found.n_cells.tolist() == [told.count(row) for row in distinct]
    table = found.table({"one": columns[0], "two": columns[1]})
    assert len(table) == len(distinct)


def test_without_columns_all_cells_are_alike() -> None:
    found = Combinations.of([], 5)
    assert (found.rows.tolist(), found.number.tolist(), found.n_cells.tolist()) == ([0], [0] * 5, [5])
    assert Combinations.of([], 0).n_cells.tolist() == []


def test_no_more_than_some_bytes_a_cell_are_taken() -> None:
    n = 600_000
    rng = np.random.default_rng(2)
    columns = [pd.Series(pd.Categorical.from_codes(rng.integers(-1, k, n), range(k))) for k in (30, 12, 8)]
    tracemalloc.start()
    found = Combinations.of(columns, n)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.n_cells.sum() == n
    assert peak < 20 * n
