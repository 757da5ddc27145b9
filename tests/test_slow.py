"""Slow tests run on demand, and for the rooms that a change touches; what tests share is made once."""

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
ROOMS = ["atlas", "builder", "dataset", "learn"]


@pytest.fixture(scope="module")
def slow_rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("slow_rooms", ROOT / ".ci" / "slow_rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), {"passed": 1, "deselected": 2}),
        (("--slow",), {"passed": 2, "deselected": 1}),
        (("--slow", "-m", "slow"), {"passed": 1, "deselected": 2}),
        (("--long", "-m", "long"), {"passed": 1, "deselected": 2}),
        (("--slow", "--long"), {"passed": 3}),
    ],
)
def test_slow_tests_run_only_when_asked_for(
    arguments: tuple[str, ...], expected: dict[str, int], pytester: pytest.Pytester
) -> None:
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    pytester.makeini("[pytest]\nmarkers =\n  slow: minutes\n  long: hours")
    pytester.makepyfile(
        "import pytest\n\ndef test_quick(): pass\n\n@pytest.mark.slow\ndef test_slow(): pass\n"
        "\n@pytest.mark.long\ndef test_long(): pass\n"
    )
    pytester.runpytest_inprocess(*arguments, "-p", "no:cacheprovider").assert_outcomes(**expected)


DOCUMENTS = "tests/test_docs.py"
BENCHMARKS = "tests/test_benchmarks.py"
STUDIES, NAMES, EXTRAS = "tests/test_any_study.py", "tests/test_reserved_names.py", "tests/test_extras.py"
HOSTILE, WORDS = "tests/test_hostile_datasets.py", "tests/test_hostile_words.py"
FAULTS = [f"tests/builder/test_{name}.py" for name in ("power_cuts", "signals", "full_disk")]
PATTERNS, SHORTAGE = "tests/test_patterns.py", "tests/test_shortage.py"
ANYTHING = [DOCUMENTS, BENCHMARKS, STUDIES, NAMES, EXTRAS, HOSTILE, WORDS, PATTERNS, SHORTAGE, *FAULTS]
ALL = [*ANYTHING, *(f"tests/{room}" for room in ROOMS)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (None, ALL),
        ([], []),
        (["CHANGELOG.md", ".gitignore"], []),
        (["README.md"], [DOCUMENTS]),
        (["docs/format.md", "CHANGELOG.md"], [DOCUMENTS]),
        (["benchmarks/load.py"], [BENCHMARKS]),
        (["src/titin/learn/models.py"], [*ANYTHING, "tests/learn"]),
        (["tests/builder/test_build.py", "src/titin/atlas/atlas.py"], [*ANYTHING, "tests/atlas", "tests/builder"]),
        (["src/titin/report/write.py"], ANYTHING),  # of a room that has no tests here
        (["src/titin/dataset/codec.py"], ALL),
        (["tests/conftest.py"], ALL),
        (["src/titin/resources.py"], ALL),
        (["pyproject.toml"], ALL),
        ([".ci/run"], ALL),
    ],
)
def test_a_change_asks_for_the_slow_tests_of_its_rooms_and_documents(
    changed: list[str] | None, expected: list[str], slow_rooms: ModuleType
) -> None:
    assert slow_rooms.tests_to_run(changed, ROOMS) == expected


def test_what_changed_is_read_from_git(slow_rooms: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        named = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *named, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(slow_rooms, "ROOT", tmp_path)
    assert slow_rooms.changed_files("main") is None  # no repository
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert slow_rooms.changed_files("main") is None  # nothing lies between, as on the branch itself
    assert slow_rooms.changed_files("no-such-branch") is None
    git("checkout", "-q", "-b", "change")
    (tmp_path / "a.py").write_text("")
    git("add", "a.py")
    git("commit", "-q", "-m", "second")
    assert slow_rooms.changed_files("main") == ["a.py"]


def test_things_are_made_once_and_each_has_its_own_copy(made_once: Callable[..., Path]) -> None:
    made = []

    def fill(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("new")

    first, second = made_once("a-thing-of-this-test", fill), made_once("a-thing-of-this-test", fill)
    assert len(made) <= 1  # none, if another worker was quicker
    (first / "file").write_text("changed")
    assert (second / "file").read_text() == "new"


def test_what_could_not_be_made_is_tried_again(made_once: Callable[..., Path]) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        made_once("a-thing-that-failed", fail)
    folder = made_once("a-thing-that-failed", lambda folder: (folder / "whole").write_text(""))
    assert [path.name for path in folder.iterdir()] == ["whole"]
