"""Tests mirror the rooms, every one of them is collected, and the architecture names each as it stands."""

import re
from collections import Counter
from pathlib import Path

import pytest

import titin

ROOT = Path(__file__).parents[1]
SOURCE, TESTS = Path(titin.__file__).parent, Path(__file__).parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def rooms(folder: Path) -> dict[str, Path]:
    """Folders that hold Python files, by name."""
    return {path.name: path for path in sorted(folder.iterdir()) if any(path.glob("*.py"))}


@pytest.mark.parametrize("folder", rooms(TESTS).values(), ids=rooms(TESTS))
def test_every_folder_of_tests_is_collected(folder: Path, request: pytest.FixtureRequest) -> None:
    config = request.config
    assert not config.hook.pytest_ignore_collect(collection_path=folder, config=config)
    assert list(folder.glob("test_*.py")), "a folder without tests"
    patterns = config.getini("python_files")
    assert all(any(path.match(pattern) for pattern in patterns) for path in folder.glob("test_*.py"))


def test_a_folder_that_pytest_passes_over_is_noticed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for name in request.config.getini("norecursedirs"):
        folder = tmp_path / name.replace("*", "x")
        folder.mkdir(exist_ok=True)
        assert request.config.hook.pytest_ignore_collect(collection_path=folder, config=request.config)


def test_tests_and_rooms_mirror_each_other() -> None:
    assert set(rooms(TESTS)) == set(rooms(SOURCE))


def test_no_two_files_of_tests_have_one_name() -> None:
    """Python files of tests are top-level modules: pytest cannot import two of one name."""
    names = Counter(path.name for path in TESTS.rglob("*.py") if path.name != "conftest.py")
    assert [name for name, n in names.items() if n > 1] == []


# ---- the page that describes the house


def test_every_file_the_architecture_names_is_there() -> None:
    text = ARCHITECTURE.read_text("utf-8")
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml))`", text))
    assert len(named) > 40
    missing = [name for name in sorted(named) if not any((base / name).exists() for base in (SOURCE, ROOT))]
    assert missing == []


def test_the_architecture_describes_every_room() -> None:
    described = re.findall(r"^\| `(\w+)/` \| \S", ARCHITECTURE.read_text("utf-8"), flags=re.MULTILINE)
    assert sorted(described) == sorted(rooms(SOURCE))


def test_the_architecture_lists_rooms_in_the_order_that_lint_holds() -> None:
    contract = (ROOT / "pyproject.toml").read_text("utf-8").partition("layers = [")[2].partition("]")[0]
    floors = re.findall(r"\w+", contract)
    described = re.findall(r"^\| `(\w+)/` \| \S", ARCHITECTURE.read_text("utf-8"), flags=re.MULTILINE)
    assert described == [name for name in reversed(floors) if name in described]
