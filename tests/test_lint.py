"""What `make lint` looks at."""

import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_types_are_checked_of_all_python_but_tests() -> None:
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "*.py"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout of git")
    checked = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["files"]
    scripts = [path for path in listed.stdout.splitlines() if not path.startswith("tests/")]
    assert "benchmarks/gene.py" in scripts
    assert [path for path in scripts if not any(Path(path).is_relative_to(part) for part in checked)] == []
