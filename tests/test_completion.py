"""The shell completes commands, options, their choices, and the folders of datasets."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from titin.cli import COMMANDS, cli
from titin.exporter.formats import FORMATS


def completed(*words: str) -> list[tuple[str, str]]:
    """Type and text of what completes the last word."""
    found = ShellComplete(cli, {}, "titin", "_TITIN_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [(item.type, item.value) for item in found]


def test_commands_options_and_choices_are_completed() -> None:
    assert completed("") == [("plain", name) for name in COMMANDS]
    assert completed("val") == [("plain", "validate")]
    assert ("plain", "de") in completed("age", "")
    assert ("plain", "--figures") in completed("age", "de", "--fig")
    assert {text for _, text in completed("export", "x", "--format", "")} == set(FORMATS)


@pytest.mark.parametrize("words", [["info"], ["validate"], ["export"], ["age", "de"], ["bench"], ["publish"]])
def test_datasets_are_completed_as_folders_and_files_as_files(words: list[str]) -> None:
    assert completed(*words, "da") == [("dir", "da")]
    assert completed("build", "at") == [("file", "at")]
    assert completed("export", "x", "-o", "ou") == [("file", "ou")]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash is installed")
def test_bash_completes_as_documented(tmp_path: Path) -> None:
    script = tmp_path / "titin"
    script.write_text(f"#!{sys.executable}\nfrom titin.cli import main\nmain()\n")
    script.chmod(0o755)
    page = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text("utf-8")
    line = next(line for line in page.splitlines() if "bash_source titin)" in line)
    asked = f'{line}\nCOMP_WORDS=(titin age v)\nCOMP_CWORD=2\n_titin_completion titin\necho "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", asked], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("variance", 0), done.stderr
