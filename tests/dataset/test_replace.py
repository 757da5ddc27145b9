"""A dataset is changed in one step, or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minimal_manifest import minimal_manifest
from titin.dataset import layout, leftovers, swap
from titin.dataset.manifest import Manifest, describe_file
from titin.dataset.replace import revise
from titin.errors import DatasetError, OutputError


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A folder with a manifest and two files."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    files = {name: describe_file(folder / name) for name in ("a.txt", "b.txt")}
    minimal_manifest(files=files).write(folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir())}


def alone(dataset: Path) -> bool:
    """Whether nothing lies beside the dataset."""
    return [path.name for path in dataset.parent.iterdir()] == [dataset.name]


def change(dataset: Path) -> None:
    with revise(dataset) as draft:
        draft.replace("a.txt").write_text("changed")
        draft.replace("c.txt").write_text("new")
        draft.remove("b.txt")
        draft.manifest.notes.append("changed")


def is_changed(dataset: Path) -> bool:
    manifest = Manifest.read(dataset)
    texts = {name: text for name, text in contents(dataset).items() if name != layout.MANIFEST}
    described = {name: describe_file(dataset / name) for name in ("a.txt", "c.txt")}
    return (
        manifest.notes == ["changed"]
        and manifest.files == described
        and texts == {"a.txt": "changed", "c.txt": "new"}
    )  # fmt: skip


def test_files_and_manifest_change_together_and_what_was_open_stays_readable(dataset):
    with (dataset / "a.txt").open() as opened:
        change(dataset)
        assert opened.read() == "a"
    assert is_changed(dataset)
    assert alone(dataset)


def test_where_files_cannot_be_linked_they_are_copied(dataset, monkeypatch):
    def link(*_, **__):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", link)
    change(dataset)
    assert is_changed(dataset)


def test_where_folders_cannot_be_exchanged_they_are_renamed(dataset, monkeypatch):
    monkeypatch.setattr(swap.ctypes, "CDLL", lambda *_, **__: object())
    change(dataset)
    assert is_changed(dataset)
    assert alone(dataset)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_dataset_as_it_was(dataset, failure):
    def fail() -> None:
        with revise(dataset) as draft:
            draft.replace("a.txt").write_text("changed")
            draft.remove("b.txt")
            raise failure

    before = contents(dataset)
    with pytest.raises(failure):
        fail()
    assert contents(dataset) == before
    assert alone(dataset)


@pytest.mark.parametrize("moment", ["replace:Draft.finish", "swap:flush", "swap:exchange"])
def test_a_kill_leaves_the_dataset_as_it_was_and_the_next_change_clears_up(dataset, moment):
    before = contents(dataset)
    code = f"""
import functools, importlib, os, signal, sys
from pathlib import Path
from titin.dataset.replace import revise
room, _, attribute = {moment!r}.partition(":")
*owner, name = attribute.split(".")
owner = functools.reduce(getattr, owner, importlib.import_module("titin.dataset." + room))
with revise(Path(sys.argv[1])) as draft:
    setattr(owner, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    draft.replace("a.txt").write_text("half")
"""
    killed = subprocess.run([sys.executable, "-c", code, dataset], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert contents(dataset) == before
    change(dataset)
    assert is_changed(dataset)
    assert alone(dataset)


def test_a_kill_between_two_renames_is_mended_by_the_next_change(dataset):
    place, lock = leftovers.make_place(dataset)
    (place / leftovers.REPLACED).mkdir()
    dataset.rename(place / leftovers.REPLACED / dataset.name)
    os.close(lock)
    change(dataset)
    assert is_changed(dataset)
    assert alone(dataset)


def test_one_at_a_time(dataset):
    with revise(dataset) as draft:
        draft.replace("a.txt").write_text("changed")
        with pytest.raises(OutputError, match="another process is changing"), revise(dataset):
            pass
    assert contents(dataset)["a.txt"] == "changed"


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"no titin\.json"), revise(tmp_path):
        pass
