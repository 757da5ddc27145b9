"""JSON documents with one thing changed, as a stranger's may be."""

import copy

from hypothesis import strategies as st

VALUES = [None, True, -1, 3, 1.5, "x", "../x", [], [1], {}, {"x": 1}, 1e300]


@st.composite
def changed(draw: st.DrawFn, document: object) -> object:
    """A document with another value at one place, or without it."""
    document = copy.deepcopy(document)
    at, key = None, None
    inner = document
    while isinstance(inner, dict | list) and inner and (at is None or draw(st.booleans())):
        keys = sorted(inner) if isinstance(inner, dict) else list(range(len(inner)))
        at, key = inner, draw(st.sampled_from(keys))
        inner = inner[key]
    if draw(st.booleans()):
        at[key] = draw(st.sampled_from(VALUES))
    else:
        del at[key]
    return document
