"""Columns of obs in words, of every dtype that a source may have."""

import numpy as np
import pandas as pd
import pytest

from titin.study.columns import describe_columns, rows_of_columns
from titin.study.roles import choose_roles

N = 12
COLUMNS = {
    "labels": (["a", "b", "b"] * 4, ("labels", 2, 0, ["b", "a"])),
    "categories": (pd.Categorical(["x"] * N, ["x", "unused"]), ("labels", 1, 0, ["x"])),
    "with gaps": (["a", None, "a"] * 4, ("labels", 1, 4, ["a"])),
    "names": ([f"n{i}" for i in range(N)], ("text", N, 0, ["n0", "n1", "n2"])),
    "whole": (np.arange(N), ("whole numbers", N, 0, ["0", "11"])),
    "numbers": (np.linspace(0.5, 2, N), ("numbers", N, 0, ["0.5", "2"])),
    "same": (np.full(N, 7.0), ("numbers", 1, 0, ["7"])),
    "unknown": ([np.nan] * N, ("nothing", 0, N, [])),
    "flags": ([True, True, False] * 4, ("yes or no", 2, 0, ["True", "False"])),
    "long": (["l" * 60] * N, ("labels", 1, 0, ["l" * 23 + "…"])),
    "endless": ([np.inf, 1.0] * 6, ("numbers", 2, 0, ["1", "inf"])),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_each_kind_is_told(name: str) -> None:
    values, expected = COLUMNS[name]
    (found,) = describe_columns(pd.DataFrame({name: values}), {})
    assert (found["kind"], found["values"], found["missing"], found["examples"]) == expected
    assert (found["role"], found["guess"]) == (None, {})


def test_roles_and_guesses_are_those_of_the_build() -> None:
    obs = pd.DataFrame({
        "patient": ["p1", "p2", "p3"] * 4, "donor_id": ["unknown"] * N, "age": [30, 40, 50] * 4, "depth": range(N),
    })  # fmt: skip
    choices = choose_roles(obs, {})
    found = {one["column"]: one for one in describe_columns(obs, choices)}
    assert {name: one["role"] for name, one in found.items()} == {
        "patient": "donor", "donor_id": None, "age": "age", "depth": None,
    }  # fmt: skip
    assert found["donor_id"]["guess"] == {"donor": choices["donor"].others["donor_id"]}
    rows = {row[0]: row for row in rows_of_columns(list(found.values()))}
    assert rows["patient"] == ("patient", "labels (3)", "p1, p2, p3", "donor")
    assert rows["donor_id"][3].startswith("not donor: ")
    assert rows["depth"] == ("depth", "whole numbers (12)", "0 to 11", "")
