"""What is put on a shelf is read back as it was, leaves nothing, and says so when the disk is full."""

import errno

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin import shelf
from titin.disk import DiskError
from titin.errors import OutputError
from titin.shelf import Shelf, ShelvedColumns, let_go_of_pages

_ARRAYS = st.lists(st.tuples(st.sampled_from(["i1", "u2", ">i4", "f4", "f8", "?", "M8[s]", "O"]), st.integers(0, 40)),
                   max_size=5)  # fmt: skip


@pytest.fixture(autouse=True)
def everything(monkeypatch):
    monkeypatch.setattr(shelf, "_LEAST", 0)
    monkeypatch.setattr(shelf, "WORTH_A_FILE", 100)


@pytest.fixture(params=["disk", "memory"])
def place(request, tmp_path):
    yield Shelf(tmp_path / "not there" if request.param == "disk" else None)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module", params=["disk", "memory"])
def lasting(request, tmp_path_factory):
    return Shelf(tmp_path_factory.mktemp("shelf") if request.param == "disk" else None)


@given(kinds=_ARRAYS)
def test_arrays_are_those_that_were_put_away(lasting: Shelf, kinds) -> None:
    arrays = [np.arange(n).astype(kind) for kind, n in kinds]
    found = lasting.arrays(arrays)
    let_go_of_pages()
    for array, own in zip(arrays, found, strict=True):
        assert own.dtype == array.dtype
        assert np.array_equal(own, array)


@given(texts=st.lists(st.lists(st.one_of(st.text(max_size=5), st.just("é" * 9)), max_size=6), max_size=5))
def test_text_is_what_was_put_away_in_parts(lasting: Shelf, texts) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "_MOST_TEXT", 60)  # no part is longer, several chunks are made
        parts = [pa.array(["", *part], pa.string())[1:] for part in texts if len("".join(part).encode()) <= 60]
        found = lasting.text(iter(parts))
    let_go_of_pages()
    assert found.to_pylist() == [text for part in parts for text in part.to_pylist()]
    assert found.type == pa.string()
    found.validate(full=True)


_COLUMNS = {
    "numbers": pa.array([1, None, 3]), "whole": pa.array([1.5, 2, float("nan")], pa.float32()),
    "flags": pa.array([True, None, False]), "text": pa.array(["é", None, ""]), "none": pa.array([], pa.string()),
    "nothing": pa.array([None, None]), "times": pa.array([1, None], pa.timestamp("us", "UTC")),
    "labels": pa.array(["x", "y", None, "x"]).dictionary_encode(),
    "ordered": pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int32()), pa.array([2.5, 1]), ordered=True),
    "part": pa.array([True, None, False] * 9)[5:], "part of text": pa.array(["a", None, "bc", "d"])[1:],
    "part of labels": pa.array(["x", "y", None, "x"]).dictionary_encode()[2:],
}  # fmt: skip


def test_columns_of_arrow_and_pieces_are_those_that_were_put_away(place: Shelf) -> None:
    found = place.columns(list(_COLUMNS.values()))
    pieces = place.pieces(pa.py_buffer(bytes([i]) * 99 * i) for i in range(5))
    let_go_of_pages()
    for (name, column), own in zip(_COLUMNS.items(), found, strict=True):
        own.validate(full=True)
        assert own.type == column.type, name
        assert str(own) == str(column), name  # NaN is NaN
    assert [piece.to_pybytes() for piece in pieces] == [bytes([i]) * 99 * i for i in range(5)]


def test_there_is_room_for_what_comes_later(place: Shelf) -> None:
    numbers, flags = place.empty(1000, np.float64, np.bool_)
    numbers[:], flags[:] = np.arange(1000), True
    let_go_of_pages()
    assert numbers.tolist() == list(range(1000))
    assert flags.all()


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2", "?", "S3"])
@pytest.mark.parametrize("shape", [(11, 7), (77,), (0, 3), (3, 0), (0,)])
def test_what_is_stored_is_read_rows_by_rows(place: Shelf, tmp_path_factory, dtype: str, shape) -> None:
    own = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    with h5py.File(tmp_path_factory.mktemp("stored") / "a.h5", "w") as file:
        found = place.stored(file.create_dataset("a", data=own))
    assert (found.dtype, found.shape) == (own.dtype, own.shape)
    assert np.array_equal(found, own)
    on_disk = place.folder is not None and dtype != "S3" and own.size > 0
    assert place.has(found) is place.has(found[1:]) is on_disk


def test_what_lies_there_already_is_not_put_away_again(tmp_path, monkeypatch) -> None:
    place = Shelf(tmp_path)
    (numbers,), columns = place.arrays([np.arange(1000)]), ShelvedColumns(place)
    monkeypatch.setattr(place, "arrays", lambda arrays: pytest.fail("again") if arrays else [])
    columns.add("numbers", numbers)
    assert columns.finish()["numbers"] is numbers


def test_what_is_changed_there_stays_changed_and_is_not_what_was_put_away(place: Shelf) -> None:
    own = np.arange(10)
    (found,) = place.arrays([own])
    found[3] = 99
    let_go_of_pages()
    assert found[3] == 99
    assert place.folder is None or own[3] == 3


def test_columns_are_those_of_the_table(place: Shelf) -> None:
    table = {
        "labels": pd.Categorical(["a", None, "b"] * 30, ["b", "a", "c"], ordered=True), "numbers": np.arange(90.0),
        "texts": np.array(["x", None, 1] * 30, object), "masked": pd.array([1, None, 2] * 30, dtype="Int16"),
    }  # fmt: skip
    columns = ShelvedColumns(place)
    for name, values in table.items():
        columns.add(name, values)
    pd.testing.assert_frame_equal(pd.DataFrame(columns.finish()), pd.DataFrame(table))


@pytest.mark.parametrize("put", [
    lambda own: own.arrays([np.arange(9)]), lambda own: own.empty(9, "f8"), lambda own: own.columns([pa.array([1])]),
    lambda own: own.text([pa.array(["a"])]), lambda own: own.pieces([pa.py_buffer(b"a")]),
])  # fmt: skip
def test_a_disk_that_is_full_is_named(put, tmp_path, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shelf.mmap, "mmap", full)
    monkeypatch.setattr(shelf.os, "posix_fallocate", full, raising=False)
    with pytest.raises(DiskError, match="is full"):
        put(Shelf(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_named(tmp_path, monkeypatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(shelf.tempfile, "TemporaryFile", refused)
    with pytest.raises(OutputError, match=r"^cannot write in \S+: Permission denied"):
        Shelf(tmp_path).arrays([np.arange(9)])


def test_what_a_source_refuses_is_not_the_disk(tmp_path) -> None:
    def parts():
        yield pa.array(["a" * 100])
        raise OSError(errno.EIO, "the source cannot be read")

    with pytest.raises(OSError, match="the source"):
        Shelf(tmp_path).text(parts())
    assert list(tmp_path.iterdir()) == []
