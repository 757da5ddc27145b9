"""What of a dataset the sections on its cells show."""

import numpy as np
import pandas as pd
import pytest

from titin.report.atlas_sections import is_measure


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([120, 0, 3], True),
        ([0.5, np.nan], True),
        (pd.array([5, None], dtype="Int64"), True),
        ([-1, 4], False),  # a code for what is not known, or something else under that name
        ([np.inf, 1.0], False),
        ([np.nan, np.nan], False),
        (["120", "3"], False),
        (pd.Categorical([120, 3]), False),
    ],
)
def test_measures_of_quality_are_numbers_from_zero_on(column: object, expected: bool) -> None:
    assert is_measure(pd.Series(column)) is expected
