"""Hashes that are there several times, however many are given at once and compared at once."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titin.dataset import repeated_hashes
from titin.dataset.repeated_hashes import RepeatedHashes


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@given(st.lists(st.integers(0, 12), max_size=40), st.integers(1, 9), st.integers(1, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hashes_that_are_there_again_are_found(
    monkeypatch: pytest.MonkeyPatch, dtype: type, values: list[int], given_at_once: int, compared_at_once: int
) -> None:
    monkeypatch.setattr(repeated_hashes, "_AT_ONCE", compared_at_once)
    given_hashes = np.array(values, dtype) * dtype(2**20 + 7)
    hashes = RepeatedHashes(len(values) + 3, dtype)  # fewer come than might
    for first in range(0, len(values), given_at_once):
        hashes.add(given_hashes[first : first + given_at_once])
    counts = Counter(given_hashes.tolist())
    assert hashes.several.tolist() == sorted(value for value, n in counts.items() if n > 1)
    assert hashes.among(given_hashes).tolist() == [counts[value] > 1 for value in given_hashes.tolist()]
