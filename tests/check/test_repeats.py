"""Names that are missing or not alone are found by hashes as by counting the names themselves."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.check.kernels import hash_texts
from titin.check.repeats import NameHashes, text_buffers

NAMES = st.lists(st.sampled_from(["", "a", "b", "ab", "ba", "Zelle-ü", "x" * 40, None]), max_size=30)


@given(NAMES, st.integers(1, 7))
def test_names_are_found_that_are_missing_or_there_again(names: list[str | None], at_once: int) -> None:
    parts = [pa.array(names[first : first + at_once], pa.string()) for first in range(0, len(names), at_once)]
    hashes = NameHashes(len(names))
    for part in parts:
        hashes.add(part)
    found = hashes.repeats(iter(parts))
    counts = Counter(names)
    rows = [row for row, name in enumerate(names) if counts[name] > 1]
    assert found.n_missing == counts[None]
    assert found.rows.tolist() == rows
    assert found.names.to_pylist() == [names[row] for row in rows]
    again = [place for place, row in enumerate(rows) if names[row] in names[:row]]
    assert found.again == (again[0] if again else None)


def test_names_that_share_a_hash_and_nothing_else_are_different(monkeypatch: pytest.MonkeyPatch) -> None:
    def alike(bounds: np.ndarray, data: np.ndarray, hashes: np.ndarray) -> None:
        hashes[:] = 7

    monkeypatch.setattr("titin.check.repeats.hash_texts", alike)
    names = pa.array(["a", "b", "c", "b"])
    hashes = NameHashes(4)
    hashes.add(names)
    found = hashes.repeats(iter([names]))
    assert (found.rows.tolist(), found.names.to_pylist()) == ([1, 3], ["b", "b"])


def test_a_hash_is_that_of_the_text_wherever_it_lies() -> None:
    texts = pa.array(["left", "one", None, "two", "one"])[1:]
    hashes = np.empty(len(texts), np.uint64)
    hash_texts(*text_buffers(texts.fill_null("")), hashes)
    assert hashes[0] == hashes[3]
    assert len(set(hashes.tolist())) == 3
