"""Ranges of bytes as they are asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.explore.ranges import UnsatisfiableRangeError, read_range

WHOLE = None


@pytest.mark.parametrize(("header", "expected"), [
    (None, WHOLE), ("", WHOLE), ("bytes=", WHOLE), ("bytes=-", WHOLE), ("items=0-1", WHOLE), ("bytes=a-b", WHOLE),
    ("bytes=0-1,3-4", WHOLE), ("bytes=5-4", WHOLE), ("bytes=0-0", (0, 1)), ("bytes=0-99", (0, 10)),
    ("bytes=9-", (9, 10)), ("bytes=-3", (7, 10)), ("bytes=-99", (0, 10)), ("bytes=0-" + "9" * 30, WHOLE),
])  # fmt: skip
def test_what_of_ten_bytes_is_asked_for(header: str | None, expected: tuple[int, int] | None) -> None:
    assert read_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_what_lies_beyond_the_end_is_refused(header: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        read_range(header, 10)


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(0, 50))
def test_an_answer_always_lies_within_the_file(header: str, size: int) -> None:
    try:
        found = read_range(header, size)
    except UnsatisfiableRangeError:
        return
    assert found is None or 0 <= found[0] < found[1] <= size
