"""What killed commands leave is found by name, user and lock; nothing else is ever touched."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from titin.cli import cli
from titin.dataset import leftovers, swap
from titin.dataset.leftovers import LOCK, REPLACED, clear, find_leftovers, make_place
from titin.errors import OutputError


def leave(target: Path, text: str = "half") -> Path:
    """As a killed process leaves its folder: the lock is given up, the files stay."""
    place, lock = make_place(target)
    (place / "file").write_text(text)
    os.close(lock)
    return place


def foreign(folder: Path) -> dict[str, Path]:
    """Folders and files that look like titin's and are not, or are in use."""
    places = {name: folder / f".{name}.titin-0123abcd" for name in ("file", "link", "unlocked", "pipe")}
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / LOCK).touch()
    places["file"].write_text("mine")
    places["link"].symlink_to(folder / "elsewhere")
    places["unlocked"].mkdir()
    (places["unlocked"] / "thesis.tex").write_text("mine")
    places["pipe"].mkdir()
    os.mkfifo(places["pipe"] / LOCK)
    for name in (".other.titin-012", ".titin-0123abcd", "plain.titin-0123abcd", ".a.titin-0123abcd.bak"):
        places[name] = folder / name
        places[name].mkdir()
        (places[name] / LOCK).touch()
    return places


def test_what_is_not_titins_own_is_not_found(tmp_path: Path) -> None:
    places = foreign(tmp_path)
    dead = leave(tmp_path / "dataset")
    assert [one.path for one in find_leftovers(tmp_path)] == [dead]
    clear(tmp_path, below=True)
    assert not dead.exists()
    assert all(os.path.lexists(path) for path in places.values())
    assert (tmp_path / "elsewhere" / LOCK).exists()


def test_what_is_of_another_user_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(tmp_path / "dataset")
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert list(find_leftovers(tmp_path)) == []


def test_what_is_in_use_is_left_alone(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from titin.dataset.swap import scratch
with scratch(Path(sys.argv[1])) as place:
    (place / "file").write_text("at work")
    print(place, flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, tmp_path / "dataset"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        place = Path(process.stdout.readline().strip())
        assert place.stat().st_mode & 0o777 == 0o700
        assert list(find_leftovers(tmp_path)) == []
        with swap.whole(tmp_path / "dataset") as file:
            file.write_text("mine")
        assert (place / "file").read_text() == "at work"
        process.send_signal(signal.SIGKILL)
    (left,) = find_leftovers(tmp_path)
    assert (left.path, left.name, left.resumable, left.n_bytes) == (place, "dataset", False, len("at work"))
    with swap.whole(tmp_path / "dataset") as file:
        file.write_text("again")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_only_leftovers_of_the_same_target_are_cleared_at_the_next_use(tmp_path: Path) -> None:
    other, same = leave(tmp_path / "data"), leave(tmp_path / "dataset")
    with swap.scratch(tmp_path / "dataset"):
        assert other.exists()
        assert not same.exists()


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 120, "with space", "a.titin-build", ".hidden"])
def test_any_name_can_be_written_whole(tmp_path: Path, name: str) -> None:
    swap.write_text(tmp_path / name, "text")
    leave(tmp_path / name)
    swap.write_text(tmp_path / name, "again")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "again"}


@pytest.mark.parametrize("old", ["nothing", "file", "folder", "link to a file", "broken link", "link to a folder"])
@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("exchange", [True, False])
def test_anything_takes_the_place_of_anything(
    tmp_path: Path, old: str, new: str, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        monkeypatch.setattr(swap.ctypes, "CDLL", lambda *_, **__: object())
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("untouched")
    if old == "file":
        target.write_text("old")
    elif old == "folder":
        target.mkdir()
        (target / "old").write_text("old")
    elif old != "nothing":
        target.symlink_to(elsewhere / {"link to a file": "file", "broken link": "no", "link to a folder": ""}[old])
    with swap.whole(target) as place:
        if new == "folder":
            place.mkdir()
        (place / "new" if new == "folder" else place).write_text("new")
    assert not target.is_symlink()
    assert (target / "new" if new == "folder" else target).read_text() == "new"
    assert (elsewhere / "file").read_text() == "untouched"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "target"]


def test_what_had_been_set_aside_comes_back(tmp_path: Path) -> None:
    place = leave(tmp_path / "report.html")
    (place / REPLACED / "report_files").mkdir(parents=True)
    (place / REPLACED / "report_files" / "a.csv").write_text("old")
    clear(tmp_path)
    assert (tmp_path / "report_files" / "a.csv").read_text() == "old"
    assert not place.exists()


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def fail() -> None:
        with swap.whole(target) as file:
            file.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write in"), swap.whole(tmp_path / "file" / "below"):
        pass


def test_the_doctor_lists_and_removes_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, temporary, data = (tmp_path / name for name in ("cache", "temporary", "data"))
    for folder in (cache, temporary, data):
        folder.mkdir()
    monkeypatch.setenv("TITIN_CACHE", str(cache))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    build = data / f".atlas.titin-{leftovers.BUILD}"
    build.mkdir()
    (build / LOCK).touch()
    (build / "state.json").write_text("{}")
    places = foreign(data)
    left = [leave(cache / "decoded"), leave(temporary / "plan"), leave(data / "out.h5ad"), build]

    def doctor(*arguments: str) -> dict[str, bool]:
        done = CliRunner().invoke(cli, ["doctor", str(data), *arguments, "--json"])
        assert done.exit_code == 0, done.output
        return {one["path"]: one["removed"] for one in json.loads(done.stdout)["leftovers"]}

    assert doctor() == {str(path): False for path in left}
    text = CliRunner().invoke(cli, ["doctor", str(data)]).stdout
    assert f"left behind: {build} (2 B), unfinished build of atlas" in text
    assert doctor("--clean") == {str(path): True for path in left}
    assert not any(path.exists() for path in left)
    assert doctor() == {}
    assert all(os.path.lexists(path) for path in places.values())
