"""What is filed under a bucket comes back from it, in order, from any process."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.dataset.spill import Spill

N_BUCKETS = 4


@st.composite
def groups(draw):
    """Groups to file: bucket, and two arrays of equal or different length."""
    made = []
    for bucket in draw(st.lists(st.integers(0, N_BUCKETS - 1), max_size=25)):
        dtypes = draw(st.sampled_from([("u2", "f4"), ("u4", "f4")]))
        lengths = draw(st.tuples(st.integers(0, 6), st.integers(0, 6)))
        start = len(made) * 10
        arrays = [np.arange(start, start + n).astype(d) for d, n in zip(dtypes, lengths, strict=True)]
        made.append((bucket, arrays))
    return made


def joined(filed, bucket):
    """Dtypes and elements that a bucket should give back: neighbours of one type joined."""
    mine = [arrays for b, arrays in filed if b == bucket]
    runs = [list(run) for _, run in groupby(mine, key=lambda arrays: [a.dtype.str for a in arrays])]
    return [[np.concatenate(column) for column in zip(*run, strict=True)] for run in runs]


def flat(found):
    """The same, whatever groups the arrays came in: one list of elements a dtype run and column."""
    runs = [list(run) for _, run in groupby(found, key=lambda arrays: [a.dtype.str for a in arrays])]
    columns = [list(zip(*run, strict=True)) for run in runs]
    return [[(arrays[0].dtype.str, np.concatenate(arrays).tolist()) for arrays in run] for run in columns]


@given(groups(), st.integers(1, 300))
def test_a_bucket_gives_back_what_was_filed_under_it(tmp_path_factory, filed, buffer_bytes):
    path = tmp_path_factory.mktemp("spill") / "spill"
    with Spill(path, N_BUCKETS, buffer_bytes) as spill:
        for bucket, arrays in filed:
            spill.append(bucket, *arrays)
        for bucket in range(N_BUCKETS):
            assert flat(spill.read(bucket)) == flat(joined(filed, bucket))
        spill.finish()
        with Spill.reopen(path) as again:
            assert again.n_buckets == N_BUCKETS
            for bucket in range(N_BUCKETS):
                assert flat(again.read(bucket)) == flat(joined(filed, bucket))


def test_reading_between_appends(tmp_path):
    with Spill(tmp_path / "spill", 1) as spill:
        spill.append(0, np.arange(3))
        assert [g[0].tolist() for g in spill.read(0)] == [[0, 1, 2]]
        spill.append(0, np.arange(2))
        assert [g[0].tolist() for g in spill.read(0)] == [[0, 1, 2], [0, 1]]


def test_groups_of_other_types_stay_apart(tmp_path):
    with Spill(tmp_path / "spill", 1) as spill:
        for dtype in ("u2", "u2", "u4", "u2"):
            spill.append(0, np.array([7], dtype))
        found = [(g[0].dtype.str[1:], g[0].tolist()) for g in spill.read(0)]
    assert found == [("u2", [7, 7]), ("u4", [7]), ("u2", [7])]


def test_more_arrays_than_one_call_can_write(tmp_path):
    with Spill(tmp_path / "spill", 1) as spill:
        for i in range(3000):
            spill.append(0, np.array([i], "u2"), np.array([i, i], "f8"))
        ((first, second),) = spill.read(0)
    assert first.tolist() == list(range(3000))
    assert second.tolist() == np.repeat(np.arange(3000.0), 2).tolist()


def test_a_view_is_filed_by_its_elements(tmp_path):
    with Spill(tmp_path / "spill", 1) as spill:
        spill.append(0, np.arange(10)[::3], np.arange(4, dtype="f4").reshape(2, 2)[:, 1])
        assert [a.tolist() for a in spill.read(0)[0]] == [[0, 3, 6, 9], [1.0, 3.0]]


def test_a_spill_that_nothing_was_filed_in(tmp_path):
    with Spill(tmp_path / "spill", 3) as spill:
        spill.finish()
        with Spill.reopen(tmp_path / "spill") as again:
            assert [again.read(b) for b in range(3)] == [[], [], []]


def test_discarding_removes_the_files(tmp_path):
    spill = Spill(tmp_path / "spill", 1)
    spill.append(0, np.arange(3))
    spill.finish()
    assert len(list(tmp_path.iterdir())) == 2
    spill.discard()
    spill.discard()
    assert list(tmp_path.iterdir()) == []


def test_closing_keeps_what_is_finished(tmp_path):
    spill = Spill(tmp_path / "spill", 1)
    spill.append(0, np.arange(3))
    spill.finish()
    spill.close()
    spill.close()
    with Spill.reopen(tmp_path / "spill") as again:
        assert again.read(0)[0][0].tolist() == [0, 1, 2]


def test_an_error_inside_leaves_no_files(tmp_path):
    def fail():
        with Spill(tmp_path / "spill", 1) as spill:
            spill.append(0, np.arange(3))
            spill.read(0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_ends_early_is_an_error(tmp_path):
    path = tmp_path / "spill"
    spill = Spill(path, 1)
    spill.append(0, np.arange(100))
    spill.finish()
    spill.close()
    path.write_bytes(path.read_bytes()[:-1])
    with Spill.reopen(path) as again, pytest.raises(OSError, match="spill ends early"):
        again.read(0)
