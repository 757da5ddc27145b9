"""Whether two results are the same."""

from dataclasses import fields

import pandas as pd


def assert_equal(one, other):
    """Every field of two results is the same."""
    assert type(one) is type(other)
    for own in fields(one):
        mine, theirs = getattr(one, own.name), getattr(other, own.name)
        if isinstance(mine, pd.DataFrame):
            pd.testing.assert_frame_equal(mine, theirs)
        else:
            assert mine == theirs, own.name
