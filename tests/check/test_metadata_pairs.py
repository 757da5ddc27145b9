"""Labels are crossed by their kinds, and the table is that of all cells."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from titin.check.metadata import _crossed

_LABELS = st.sampled_from(["T", "B", "nan", "1", None])


@given(st.lists(st.tuples(_LABELS, _LABELS), min_size=1, max_size=50), st.booleans())
def test_labels_are_crossed_as_their_texts_are(rows, categories) -> None:
    one, other = (pd.Series(list(column), dtype=object) for column in zip(*rows, strict=True))
    if categories:
        one, other = one.astype("category"), other.astype("category")
    crossed = pd.crosstab(one.astype(str), other.astype(str))
    found = _crossed(one, other)
    assert found.to_numpy().tolist() == crossed.to_numpy().tolist()
    assert (list(found.index), list(found.columns)) == (list(crossed.index), list(crossed.columns))
