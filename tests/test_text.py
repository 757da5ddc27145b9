"""Tables, sizes, numbers and JSON as text."""

import datetime
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.text import json_safe, memory, number, records_table, size, table, to_json

SCALARS = [
    (None, None), (True, True), (np.bool_(False), False), (3, 3), (np.int8(-3), -3), (np.uint64(2**63), 2**63),
    (0.5, 0.5), (np.float32(0.5), 0.5), (np.float64("nan"), None), (float("inf"), None), (-np.inf, None),
    ("é", "é"), (np.str_("a"), "a"), (Path("a/b"), "a/b"), (pd.NA, None), (pd.NaT, None),
    (datetime.date(2024, 1, 2), "2024-01-02"), (datetime.datetime(2024, 1, 2, 3, 4), "2024-01-02T03:04:00"),
    (pd.Timestamp("2024-01-02"), "2024-01-02T00:00:00"),
    (np.datetime64("2024-01-02", "ns"), "2024-01-02T00:00:00.000000000"), (np.datetime64("NaT", "ns"), None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), SCALARS, ids=[f"{type(v).__name__}-{v}" for v, _ in SCALARS])
def test_every_scalar_becomes_plain_json(value, expected):
    found = json_safe(value)
    assert found == expected
    assert type(found) in (type(None), bool, int, float, str)
    assert json.loads(to_json({"a": [value]})) == {"a": [expected]}


@pytest.mark.parametrize(
    "holder",
    [list, tuple, lambda v: np.array(v, dtype=object), pd.Series, lambda v: {"k": v}["k"], lambda v: pd.Index(v)],
    ids=["list", "tuple", "array", "Series", "inside", "Index"],
)
def test_every_sequence_becomes_a_list(holder):
    assert json_safe(holder([1.5, np.nan, 2.0])) == [1.5, None, 2.0]


def test_nesting_keys_and_sets():
    value = {1: {"a", "b"}, "x": frozenset({2}), ("t",): np.array([[1, 2], [3, 4]]), "c": pd.Categorical(["u", "v"])}
    assert json_safe(value) == {"1": ["a", "b"], "x": [2], "('t',)": [[1, 2], [3, 4]], "c": ["u", "v"]}
    assert json_safe(np.array(["2024-01-02", "NaT"], "datetime64[D]")) == ["2024-01-02", None]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
))  # fmt: skip
def test_whatever_it_gives_survives_strict_json(value):
    safe = json_safe(value)
    assert json.loads(json.dumps(safe, allow_nan=False)) == safe
    assert json_safe(safe) == safe


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (999_400, "999 kB"), (999_600, "1 MB"), (198_005_480, "198 MB"),
     (2.5e9, "2.5 GB"), (3e12, "3e+03 GB")],
)  # fmt: skip
def test_sizes(n_bytes, text):
    assert size(n_bytes) == text


def test_amounts_of_memory_are_read_as_they_are_written():
    from titin.resources import parse_memory

    for n_bytes in (600 * 2**20, 2**30, 5 * 2**29):
        assert parse_memory(memory(n_bytes)) == n_bytes


def test_columns_line_up_and_numbers_stand_to_the_right():
    rows = [("a", "1", "x"), ("bücher [b]", "10,000", ""), ("中文", "~2", "yes")]
    lines = table(("name", "n", "so"), rows).split("\n")
    assert lines == [
        "name             n  so",
        "a                1  x",
        "bücher [b]  10,000",
        "中文            ~2  yes",
    ]
    assert table(("a", "b"), []) == "a  b"
    long = "x" * 500
    assert table(("name",), [(long,)]).split("\n")[1] == long


def test_records_have_their_keys_on_top():
    rows = [{"cell_type": "MuSC", "adj_p_value": 1e-9, "effect": None}, {"cell_type": "T", "adj_p_value": 0.04,
                                                                         "effect": -1.5}]  # fmt: skip
    assert records_table(rows).split("\n") == [
        "  cell type  adjusted p  effect",
        "  MuSC            1e-09",
        "  T                0.04    -1.5",
    ]
    assert records_table([]) == ""


def test_numbers():
    values = (1234, 1234.5, 2.0, 0.25, -1e-5, 0.0, "a", None, np.nan, True)
    assert list(map(number, values)) == [
        "1,234", "1,234", "2", "0.25", "-1e-05", "0", "a", "", "", "True",
    ]  # fmt: skip
