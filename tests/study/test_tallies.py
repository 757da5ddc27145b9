"""What is counted of columns in ranges is what is counted of them whole."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.study import tallies
from titin.study.ages import donor_ages
from titin.study.tallies import (
    CELLS,
    code,
    count_combinations,
    count_missing,
    count_pairs,
    is_known,
    span,
    spread_out,
    summarise,
)

_ENTRIES = st.sampled_from(["a", "b", "c", None])
_ROWS = st.lists(st.tuples(_ENTRIES, _ENTRIES, st.sampled_from([1.5, 2.0, 40.0, np.nan])), min_size=1, max_size=40)
_KINDS = st.sampled_from(["category", "object", "string"])


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr("titin.dataset.store.RANGE", 7)


def _column(values: list, kind: str) -> pd.Series:
    return pd.Series(values, dtype=object).astype(kind)


@given(_ROWS, _KINDS)
def test_codes_name_the_entries_and_count_them(rows, kind: str) -> None:
    column = _column([row[0] for row in rows], kind)
    coded = code(column)
    named = [None if number < 0 else coded.names[number] for number in coded.codes]
    assert named == [row[0] for row in rows]
    counted = dict(zip(coded.distinct, coded.counts[coded.used].tolist(), strict=True))
    assert counted == column.value_counts().loc[lambda n: n > 0].to_dict()
    assert coded.n_known == column.notna().sum()
    spread = spread_out(np.array([*map(str.upper, coded.names), "none"], object), coded.codes)
    assert spread.tolist() == [row[0].upper() if row[0] else "none" for row in rows]


@given(_ROWS, _KINDS, _KINDS, st.sampled_from([0, 1 << 16]))
def test_pairs_are_those_of_the_crossed_table(rows, kind: str, other: str, few: int) -> None:
    one, two = (_column([row[i] for row in rows], k) for i, k in enumerate((kind, other)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tallies, "_FEW", few)
        a, b = code(one), code(two)
        found = count_pairs(a, b)
    counted = {(a.names[i], b.names[j]): int(n) for i, j, n in zip(*found, strict=True)}
    both = pd.DataFrame({"a": one.astype(object), "b": two.astype(object)}).dropna()
    assert counted == both.groupby(["a", "b"]).size().to_dict()


@given(_ROWS, _KINDS)
def test_combinations_are_those_of_all_rows_at_once(rows, kind: str) -> None:
    columns = {"a": _column([row[0] for row in rows], kind), "b": _column([row[1] for row in rows], kind),
               "years": pd.Series([row[2] for row in rows])}  # fmt: skip
    found = count_combinations(columns)
    table = pd.DataFrame(columns)
    whole = table.groupby(list(table), observed=True, dropna=False).size().reset_index(name=CELLS)
    pd.testing.assert_frame_equal(found, whole)
    assert int(found[CELLS].sum()) == len(rows)


@given(_ROWS, _KINDS)
def test_the_age_of_a_donor_is_the_median_over_its_cells(rows, kind: str) -> None:
    donor, ages = _column([row[0] for row in rows], kind), pd.Series([row[2] for row in rows])
    expected = ages.groupby(donor.astype(object)).median().dropna()
    assert donor_ages(ages, donor).to_dict() == expected.to_dict()


_NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1e-320, -5.5]))


@given(st.lists(_NUMBERS, max_size=30).filter(lambda own: not np.isinf(own).any()), st.sampled_from(["f8", "f4"]))
def test_a_summary_is_that_of_all_numbers_at_once(numbers: list[float], dtype: str) -> None:
    with np.errstate(over="ignore"):
        values = np.array(numbers, dtype)
    values = values[~np.isinf(values)]
    known = values[~np.isnan(values)].astype(np.float64)
    found = summarise(values)
    if not len(known):
        assert found is None
    else:
        with np.errstate(over="ignore"):
            assert found == pytest.approx((known.min(), known.max(), np.median(known)), rel=1e-15, abs=0)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=30))
def test_a_summary_of_whole_numbers(numbers: list[int]) -> None:
    assert summarise(np.array(numbers, np.int32)) == (min(numbers), max(numbers), np.median(numbers))


@given(
    st.lists(st.one_of(st.none(), st.floats(-9, 9)), max_size=40), st.sampled_from(["float64", "object", "category"])
)
def test_what_is_missing_is_counted_as_by_pandas(entries: list[float | None], dtype: str) -> None:
    column = pd.Series(entries, dtype=object).astype(dtype)
    assert count_missing(column) == column.isna().sum()
    assert is_known(column) == column.notna().any()
    low, high, n = span(pd.Series(entries, dtype=np.float64).to_numpy())
    known = [entry for entry in entries if entry is not None]
    assert (low, high, n) == (min(known, default=np.inf), max(known, default=-np.inf), len(known))
