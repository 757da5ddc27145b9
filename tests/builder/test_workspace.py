"""A dataset comes into being beside its target, and takes its place in one step or not at all."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from titin.builder.workspace import Workspace, check_target
from titin.errors import OutputError

SETTINGS = {"source": ["a.h5ad", 10], "settings": {"seed": 0}, "titin": "0.1.0"}


def begin(target, *, force=False, resume=False, **changes):
    return Workspace(target, force=force, resume=resume, fingerprint=SETTINGS | changes)


def dataset(folder, text="old"):
    folder.mkdir(parents=True)
    (folder / "titin.json").write_text(text)
    return folder


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def target(tmp_path):
    return tmp_path / "dataset"


# targets


def test_a_target_that_is_not_there_or_empty(target):
    check_target(target, force=False)
    target.mkdir()
    check_target(target, force=False)
    assert names(target) == []


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["file", "link to a folder", "broken link", "foreign folder"])
def test_what_is_no_dataset_is_never_touched(target, tmp_path, force, kind):
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        target.write_text("mine")
    elif kind == "foreign folder":
        target.mkdir()
        (target / "thesis.tex").write_text("mine")
    else:
        target.symlink_to(tmp_path / ("elsewhere" if kind == "link to a folder" else "nowhere"))
    before = names(tmp_path)
    expected = "not a titin dataset; it will not be touched" if kind == "foreign folder" else "is not a folder"
    with pytest.raises(OutputError, match=expected) as error:
        begin(target, force=force)
    assert str(target) in str(error.value)
    assert error.value.hint == "choose another --output"
    assert names(tmp_path) == before


def test_a_dataset_is_replaced_only_with_force(target, tmp_path):
    dataset(target)
    with pytest.raises(OutputError, match="is a dataset already") as error:
        begin(target)
    assert "--force" in error.value.hint
    assert names(tmp_path) == ["dataset"]
    begin(target, force=True).close()
    assert (target / "titin.json").read_text() == "old"


def test_a_folder_that_cannot_be_written_in(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write in") as error:
        begin(tmp_path / "file" / "dataset")
    assert error.value.hint == "choose another --output"


# publishing


@pytest.mark.parametrize("before", ["nothing", "empty folder", "dataset"])
@pytest.mark.parametrize("exchange", [True, False])
def test_publishing_puts_the_new_in_place_and_leaves_nothing_beside_it(target, tmp_path, before, exchange, monkeypatch):
    if not exchange:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    if before == "empty folder":
        target.mkdir()
    elif before == "dataset":
        dataset(target)
        (target / "old.parquet").write_text("")
    work = begin(target, force=True)
    (work.out / "titin.json").write_text("new")
    (work.work / "cells").write_text("")
    work.publish()
    assert names(target) == ["titin.json"]
    assert (target / "titin.json").read_text() == "new"
    assert names(tmp_path) == ["dataset"]


@pytest.fixture
def replacing(target):
    """A finished build that is about to replace a dataset."""
    dataset(target)
    work = begin(target, force=True)
    (work.out / "titin.json").write_text("new")
    yield work
    work.close()


def test_a_refused_exchange_leaves_the_old_dataset(replacing, target, monkeypatch):
    def renameat2(*_):
        ctypes.set_errno(errno.EACCES)
        return -1

    library = type("Library", (), {"renameat2": staticmethod(renameat2)})
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library())
    with pytest.raises(PermissionError):
        replacing.publish()
    assert (target / "titin.json").read_text() == "old"
    assert (replacing.out / "titin.json").read_text() == "new"


def test_where_the_second_of_two_renames_fails_the_old_dataset_comes_back(replacing, target, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    rename = Path.rename

    def failing(self, other):
        if self == replacing.out:
            raise OSError(errno.EIO, "input/output error")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="input/output error"):
        replacing.publish()
    assert (target / "titin.json").read_text() == "old"
    assert (replacing.out / "titin.json").read_text() == "new"


def test_a_failed_flush_leaves_the_old_dataset(replacing, target, monkeypatch):
    def fsync(_):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="input/output error"):
        replacing.publish()
    assert (target / "titin.json").read_text() == "old"


# two builds at once


def test_only_one_build_at_a_time_writes_a_target(target, tmp_path):
    first = begin(target)
    (first.work / "cells").write_text("precious")
    for resume in (False, True):
        with pytest.raises(OutputError, match=f"another build is writing {target}"):
            begin(target, resume=resume)
    assert (first.work / "cells").read_text() == "precious"
    begin(tmp_path / "other").close()
    first.close()
    begin(target).close()


# resuming


def interrupted(target):
    work = begin(target)
    (work.work / "cells").write_text("spilled")
    (work.out / "a.parquet").write_text("whole")
    work.record("scan", {"kind": "log1p"}, ["a.parquet"], ["cells"])
    work.close()


def test_resuming_finds_what_was_finished(target):
    interrupted(target)
    work = begin(target, resume=True)
    assert work.resumed
    assert work.result("scan") == {"kind": "log1p"}
    assert work.result("cells") is None
    assert (work.work / "cells").read_text() == "spilled"
    assert (work.out / "a.parquet").read_text() == "whole"
    work.close()


def test_without_resume_a_build_begins_again(target):
    interrupted(target)
    work = begin(target)
    assert not work.resumed
    assert work.result("scan") is None
    assert names(work.out) == names(work.work) == []
    work.close()


def test_resuming_what_was_never_begun_begins(target):
    work = begin(target, resume=True)
    assert not work.resumed
    work.close()
    again = begin(target, resume=True)
    assert not again.resumed
    again.close()


@pytest.mark.parametrize(("changes", "named"), [
    ({"settings": {"seed": 1}}, "settings"),
    ({"source": ["a.h5ad", 11]}, "source"),
    ({"source": ["b.h5ad", 10], "titin": "0.2.0"}, "source, titin"),
    ({"donor table": [1, 2]}, "donor table"),
])  # fmt: skip
def test_resuming_with_other_settings_is_refused_and_names_them(target, changes, named):
    interrupted(target)
    with pytest.raises(OutputError, match=f"cannot be resumed: {named} changed since") as error:
        begin(target, resume=True, **changes)
    assert "without --resume" in error.value.hint
    work = begin(target, resume=True)
    assert work.result("scan") == {"kind": "log1p"}
    work.close()


def test_removing(target, tmp_path):
    interrupted(target)
    work = begin(target, resume=True)
    work.remove()
    work.close()
    assert names(tmp_path) == []
