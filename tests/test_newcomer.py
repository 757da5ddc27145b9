"""The script that follows the README: what it takes for a failure, for silence, and what it leaves out."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from documents import blocks_of

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def newcomer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("newcomer", ROOT / ".ci" / "newcomer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["newcomer"] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def shell(newcomer: ModuleType, folder: Path, *commands: str) -> list[Any]:
    session = newcomer.Session(["bash"], folder, dict(os.environ))
    told = []
    for command in commands:
        mark = session.mark()
        told.append(session.do(command, f"{command} </dev/null\necho '{mark}' $?\n", mark))
    session.close()
    return told


def test_a_shell_keeps_its_settings_from_one_command_to_the_next(newcomer: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    told = shell(newcomer, tmp_path, "cd inside", "export WORD=here", 'echo "$WORD in $PWD"')
    assert told[-1].output == [f"here in {tmp_path / 'inside'}"]
    assert not any(done.failed for done in told)


@pytest.mark.parametrize(
    ("command", "failed"),
    [
        ("true", False),
        ("(exit 3)", True),
        ("no-such-command-at-all", True),
        ("echo 'Traceback (most recent call last):'", True),
        ("echo 'no Traceback here'", False),
        ("exit 4", True),  # the shell itself is gone
    ],
)
def test_failures(newcomer: ModuleType, tmp_path: Path, command: str, failed: bool) -> None:
    (done,) = shell(newcomer, tmp_path, command)
    assert done.failed is failed


def test_silence_is_the_longest_time_without_a_word(newcomer: ModuleType, tmp_path: Path) -> None:
    (done,) = shell(newcomer, tmp_path, "echo a; sleep 1; echo b >&2; sleep 0.1; echo c")
    assert done.output == ["a", "b", "c"]
    assert 0.9 <= done.silence <= done.seconds


def test_blocks_of_python_share_their_names_and_fail_as_they_would(newcomer: ModuleType, tmp_path: Path) -> None:
    session = newcomer.Session([sys.executable, "-u", "-c", newcomer.PYTHON_SESSION], tmp_path, dict(os.environ))
    told = []
    for source in ("x = 20", "print(x + 1)", "1 / 0", "print('on')"):
        mark = session.mark()
        told.append(session.do(source, json.dumps({"at": 7, "source": source, "mark": mark}) + "\n", mark))
    session.close()
    assert told[1].output == ["21"]
    assert [done.failed for done in told] == [False, False, True, False]
    assert any('File "README.md", line 8' in line for line in told[2].output)


def test_what_is_installed_otherwise_is_left_out_and_nothing_else(newcomer: ModuleType) -> None:
    text = "```console\n$ pip install titin            # to read\n$ make demo   # makes\n$ titin info muscle\n```"
    (block,) = blocks_of(text, "sample.md")
    assert newcomer.commands_of(block) == ["make demo", "titin info muscle"]


def test_the_readme_is_all_followed(newcomer: ModuleType) -> None:
    blocks = blocks_of((ROOT / "README.md").read_text("utf-8"), "README.md")
    commands = [command for block in blocks if block.language == "console" for command in newcomer.commands_of(block)]
    assert commands[:2] == ["make demo", ". .venv/bin/activate"]
    assert sum(command.startswith("titin ") for command in commands) >= 10
    assert sum(block.language == "python" for block in blocks) >= 5
