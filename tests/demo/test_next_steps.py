"""What `titin demo` says to try works where it is read: with titin on the path, and right after `make demo`."""

import os
import re
import sys
from pathlib import Path

import pytest

from titin.demo.commands import _activation


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in ``.venv`` of the working directory, from which this Python seems to run."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("titin", "python"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", os.defpath)
    return programs


def test_an_environment_that_is_not_active_is_made_so_first(environment: Path) -> None:
    (environment / "activate").write_text("")
    assert _activation() == [(".", ".venv/bin/activate")]


def test_one_elsewhere_by_its_whole_path(environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (environment / "activate").write_text("")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert _activation() == [(".", str(environment / "activate"))]


def test_another_titin_on_the_path_is_not_taken_for_this_one(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (environment / "activate").write_text("")
    other = tmp_path / "other"
    other.mkdir()
    (other / "titin").write_text("#!/bin/sh\n")
    (other / "titin").chmod(0o755)
    monkeypatch.setenv("PATH", str(other))
    assert _activation() == [(".", ".venv/bin/activate")]


def test_nothing_is_said_where_the_shell_finds_it(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (environment / "activate").write_text("")
    monkeypatch.setenv("PATH", str(environment))
    assert _activation() == []


def test_nothing_is_said_where_there_is_nothing_to_activate(environment: Path) -> None:
    assert _activation() == []


def test_the_readme_activates_what_make_demo_made() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    assert re.search(r"\$ make demo\b.*\n\$ \. \.venv/bin/activate\b", text)
