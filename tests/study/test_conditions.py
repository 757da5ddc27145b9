"""Conditions on columns: read, never run; what they choose, and what is said where they choose nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.errors import TitinError
from titin.study.conditions import Condition, Joined, Where

TABLE = pd.DataFrame({
    "sex": ["female", "male", None, "female"], "age": [19.0, 38.0, 52.5, np.nan], "batch": [1.0, 2, 3, 3],
    "type": ["B cell", "B cell, naive", "T cell", None], "a b": ["x", "y", "x", "y"], "kit": ["v2", "v3", "V2", "v2"],
}).astype({"sex": object, "type": object})  # fmt: skip


@pytest.mark.parametrize(("conditions", "rows"), [
    ([], [0, 1, 2, 3]),
    (["sex=F"], [0, 3]), (["sex=female"], [0, 3]), (["sex == 'M'"], [1]), (["sex!=M"], [0, 3]),
    (["sex=M,F"], [0, 1, 3]),
    (["age>=38"], [1, 2]), (["age>38"], [2]), (["age<38"], [0]), (["age <= 38"], [0, 1]), (["age=19..38"], [0, 1]),
    (["age=38.."], [1, 2]), (["age=..38"], [0, 1]), (["age=19,52.5"], [0, 2]), (["age=19..20,50..60"], [0, 2]),
    (["age!=19..38"], [2]), (["batch=3"], [2, 3]), (["batch!=3", "sex=F"], [0]),
    (["type=B cell"], [0]), (["type=B cell, naive"], [1]), (["type=B cell,T cell"], [0, 2]),
    (['type="B cell, naive",T cell'], [1, 2]), (["type!=nothing"], [0, 1, 2]),
    (["a b=x"], [0, 2]), (["`a b`=x"], [0, 2]), (["kit=v2"], [0, 3]),
    (["sex=F and batch=3"], [3]), (["sex=F or age>40"], [0, 2, 3]), (["sex == 'M' or age > 40 and batch != 3"], [1]),
    (["(sex == 'M' or age > 40) and batch == 3"], [2]), (["not sex=M"], [0, 3]), (["not (sex=F or age>40)"], [1]),
    (["not not sex=M"], [1]), (["type in ['B cell', \"T cell\"]"], [0, 2]), (["type not in [B cell]"], [1, 2]),
    (["type in ('B cell, naive', T cell) and age > 40"], [2]), (["batch in [1, 2..2.5]"], [0, 1]),
    (["'type'='B cell' and `a b` = x"], [0]), (["type=B cell, naive and sex=M"], [1]),
    (["((sex=F))and(batch=1)"], [0]), (["sex=F,M and age<30", "batch=1"], [0]),
])  # fmt: skip
def test_rows_that_are_chosen(conditions, rows):
    assert np.flatnonzero(Where.of(conditions).holds(TABLE)).tolist() == rows


@pytest.mark.parametrize(("condition", "said"), [
    ("sex", "is no condition"), ("sex=", "is no condition"), ("=M", "is no condition"), ("", "is no condition"),
    ("__import__('os').system('true')", "is no condition"), ("colour=red", "there is no column 'colour'"),
    ("sex=X", "no cell has 'X' in 'sex'"), ("sex>3", "cannot be compared as numbers"),
    ("age>old", "cannot be compared as numbers"), ("age=old", "'age' holds numbers, and 'old' is none"),
    ("age>100", "no cell is left"), ("age=1e999..", "no cell is left"),
    ("(sex=M", "is no condition"), ("sex=M)", "is no condition"), ("sex=M and", "no cell has 'M and'"),
    ("and sex=M", "there is no column 'and sex'"), ("not", "is no condition"), ("sex in []", "is no condition"),
    ("sex in [M", "is no condition"), ("sex in [M] or", "is no condition"),
    ("sex=M or colour=red", "no column 'colour'"),
    ("(" * 5000 + "sex=M" + ")" * 4999, "is no condition"), ("not " * 100 + "sex=M", "is no condition"),
    ("sex=M or " * 2000 + "sex=M", "is no condition"),
])  # fmt: skip
def test_what_is_not_understood_or_chooses_nothing_is_said(condition, said):
    with pytest.raises(TitinError, match=said):
        Where.of([condition]).holds(TABLE)


def test_values_may_come_from_a_mapping():
    assert Where.of({"sex": "M"}).holds(TABLE).tolist() == [False, True, False, False]
    assert Where.of({"type": ["B cell, naive", "T cell"]}).holds(TABLE).tolist() == [False, True, True, False]
    assert Where.of({"batch": [1, 2]}).holds(TABLE).tolist() == [True, True, False, False]
    assert Where.of(None).columns == []
    assert Where.of(["age>=38", "sex=M", "age<60"]).columns == ["age", "sex"]


def test_words_of_conditions_may_stand_in_a_value():
    table = pd.DataFrame({"kind": ["T and B", "this or that", "T"], "sex": ["M", "F", "M"]})
    assert Where.of("kind=T and B and sex=M").holds(table).tolist() == [True, False, False]
    assert Where.of("kind=this or that").holds(table).tolist() == [False, True, False]
    assert Where.of("kind='T and B' or sex=F").holds(table).tolist() == [True, True, False]


def test_the_nearest_column_is_named():
    with pytest.raises(TitinError) as error:
        Where.of("bach=3").holds(TABLE)
    assert error.value.hint.startswith("did you mean batch?")


_names = st.sampled_from(["sex", "age", "batch", "kit"])
_leaves = st.tuples(_names, st.sampled_from(["=", "!="])).map(
    lambda of: Condition(of[0], of[1], {"sex": "male", "age": "19..38", "batch": "3", "kit": "v2"}[of[0]])
)
_trees = st.recursive(
    _leaves, lambda own: st.builds(Joined, st.sampled_from(["and", "or"]), st.tuples(own, own)), max_leaves=8
)


@given(_trees)
def test_what_is_written_is_read_as_it_was_meant(tree):
    again = Joined("and", Where.of(str(tree)).conditions)
    assert again.holds(TABLE).tolist() == tree.holds(TABLE).tolist()
    known = TABLE[list(tree.columns)].notna().all(axis=1).to_numpy()
    opposite = Where.of(f"not ({tree})").holds(TABLE, empty=True)
    assert (opposite != tree.holds(TABLE))[known].all()
