"""Each single corruption is caught by the check meant for it, with words that name the place; good datasets pass."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from all_mutations import all_mutations
from good_datasets import Good
from mutations import Mutation, sign

from titin.check import load_checks, validate

MUTATIONS = all_mutations()
OWN = ("integrity", "matrix", "source", "metadata")
LARGE = {"1,001 columns", "descriptions of columns above 200 kB"}  # cards of a thousand columns take seconds


@pytest.mark.parametrize("mutation", [
    pytest.param(m, id=m.name, marks=[pytest.mark.slow] if m.name in LARGE else []) for m in MUTATIONS
])  # fmt: skip
def test_a_corruption_is_caught_by_the_check_meant_for_it(mutation: Mutation, copy_of: Callable[[str], Good]) -> None:
    good = copy_of(mutation.dataset)
    mutation.corrupt(good.path)
    if mutation.sign:
        sign(good.path)
    report = validate(good.path, source=good.source if mutation.source else None, checks=[mutation.check], threads=1)
    found = [f"{f.where}: {f.message}" for f in report[mutation.check].outcome.findings]
    assert any(re.search(mutation.message, text) for text in found), found or report[mutation.check].status


def test_the_mutations_are_many_and_every_check_of_these_subjects_has_one() -> None:
    names = Counter(m.name for m in MUTATIONS)
    assert len(names) >= 40
    assert max(names.values()) == 1
    assert set(names) >= LARGE
    wanted = {name for name in load_checks() if name.partition(".")[0] in OWN}
    assert wanted <= {m.check for m in MUTATIONS}


@pytest.mark.parametrize("kind", ["log1p", "counts", "real", "sharded", "layers"])
def test_a_good_dataset_passes_every_check(kind: str, good: Callable[[str], Good]) -> None:
    dataset = good(kind)
    report = validate(dataset.path, source=dataset.source, checks=[*OWN, "biology", "design"], threads=2)
    own = [r for r in report.results if r.check.name.partition(".")[0] in OWN]
    assert {
        r.check.name: [f.message for f in r.outcome.findings]
        for r in own
        if r.status != "skipped" and r.outcome.findings
    } == {}
    skipped = {r.check.name for r in own if r.status == "skipped"}
    none_kept = set() if kind == "layers" else {"integrity.arrays", "source.arrays"}
    assert skipped == none_kept | (set() if kind in ("log1p", "sharded", "layers") else {"matrix.levels"})
    assert report.passed, [f.message for _, f in report.findings("error")]


def test_what_a_full_validation_finds_in_a_corrupted_dataset_makes_it_fail(copy_of: Callable[[str], Good]) -> None:
    good = copy_of("log1p")
    path = good.path / "muscle_10x_expression.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    report = validate(good.path, source=good.source, checks=OWN)
    assert not report.passed
    assert report.exit_code == 1
    # nothing that could not be looked at passes in silence
    assert report["matrix.transpose"].status == "error"
    assert "not evaluated" in report["matrix.transpose"].outcome.findings[0].message


def test_a_mutation_is_no_longer_there_once_undone(copy_of: Callable[[str], Good], tmp_path: Path) -> None:
    good = copy_of("log1p")
    path = good.path / "README.md"
    text = path.read_text("utf-8")
    path.write_text(text + "\n240 cells × 99 genes\n", "utf-8")
    assert validate(good.path, checks=["integrity"]).count("error") == 2  # checksum and card
    path.write_text(text, "utf-8")
    assert validate(good.path, checks=["integrity"]).count("error") == 0
