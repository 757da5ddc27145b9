"""Parquet that agrees with its manifest but not with the format: no crash, no traceback, no value that is not there."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import parquet_mutations
from parquet_mutations import PARTS, SEED, WrongError, _compare, make, mutations, rewrite

KINDS = ("log1p", "counts", "real")


@pytest.fixture(scope="module")
def datasets(made_once: Callable) -> Callable[[str], Path]:
    return lambda kind: made_once(f"parquet-{kind}", lambda folder: make(folder, kind)) / "dataset"


def came_of(dataset: Path, kind: str, numbers: list[int], folder: Path, *, commands: bool = False) -> list[dict]:
    """Read mutations in a process of their own; what came of each, by reader."""
    done = subprocess.run(
        [sys.executable, parquet_mutations.__file__, dataset, kind, json.dumps(numbers), str(SEED),
         "commands" if commands else "readers"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = [json.loads(line.removeprefix("MUTATION ")) for line in done.stderr.splitlines() if line[:9] == "MUTATION "]
    last = next((words["begun"] for words in reversed(told) if "begun" in words), "nothing")
    assert done.returncode == 0, f"the process died of {last} ({done.returncode})\n{done.stderr[-2000:]}"
    wrong = [
        f"{one['begun']}: {other['wrong']}"
        for one, other in zip(told[::2], told[1::2], strict=True)
        if "wrong" in other
    ]
    assert not wrong, "\n".join(wrong)
    assert len(told) == 2 * len(numbers)
    return [words["came"] for words in told if "came" in words]


def seeded(dataset: Path, n: int) -> list[int]:
    return sorted(np.random.default_rng(SEED).choice(len(mutations(dataset, SEED)), n, replace=False).tolist())


def test_changed_parquet_is_refused_or_read_as_it_is(datasets, tmp_path):
    dataset = datasets("log1p")
    came = came_of(dataset, "log1p", seeded(dataset, 10), tmp_path)
    told = Counter(word for words in came for word in words.values())
    assert told["refused"] > 10
    assert told["read"] > 10


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_much_changed_parquet_is_refused_or_read_as_it_is(datasets, tmp_path, kind):
    dataset = datasets(kind)
    assert len(came_of(dataset, kind, seeded(dataset, 120), tmp_path)) > 100


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_all_changed_parquet_is_refused_or_read_as_it_is(datasets, tmp_path, kind):
    dataset = datasets(kind)
    came = came_of(dataset, kind, list(range(len(mutations(dataset, SEED)))), tmp_path)
    assert len(came) > 600


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("many", [pytest.param(12, marks=pytest.mark.long), pytest.param(60, marks=pytest.mark.long)])
def test_commands_say_what_is_wrong_with_changed_parquet(datasets, tmp_path, kind, many):
    dataset = datasets(kind)
    came_of(dataset, kind, seeded(dataset, many), tmp_path, commands=True)


CHANGED = [
    "expression: genes twice", "expression: genes as NAME", "expression, genes: of double", "expression: age twice",
    "expression_panel: G0 twice", "feature_metadata: no n_cells", "feature_metadata: n_cells twice",
    "feature_metadata, n_cells: of string", "projection_X_umap: no columns but the first",
    "sample_metadata, age: first is 4611686018427387904",
]  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_what_writes_a_dataset_anew_refuses_columns_that_are_not_the_formats(datasets, tmp_path, monkeypatch, name):
    dataset = datasets("log1p")
    (number,) = [k for k, m in enumerate(mutations(dataset, SEED)) if m[0].rpartition(", by ")[0] == name]
    monkeypatch.chdir(tmp_path)
    told = rewrite(dataset, number, tmp_path)
    assert set(told.values()) <= {"exit 0", "exit 2"}
    assert told["publish"] == "exit 2" or "first is" in name


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_writes_a_dataset_anew_takes_or_refuses_any_changed_table(datasets, tmp_path, monkeypatch, kind, part):
    monkeypatch.chdir(tmp_path)
    dataset = datasets(kind)
    of_table = [k for k, m in enumerate(mutations(dataset, SEED)) if m[0].startswith(f"{part}: ")]
    told = [rewrite(dataset, number, tmp_path) for number in of_table]
    assert sum(map(bool, told)) > 10


def test_what_differs_from_a_plain_reader_is_found():
    assert _compare("same", lambda: np.ones(3), np.ones(3)) == "read"
    with pytest.raises(WrongError, match="differs"):
        _compare("other", lambda: np.ones(3), np.array([1.0, 1.0, 90.0]))
    with pytest.raises(WrongError, match="cannot read"):
        _compare("made up", lambda: np.ones(3), None)
