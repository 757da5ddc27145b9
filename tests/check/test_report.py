"""What validation says: as an object, a table, JSON and a page; and the command's exit codes."""

import importlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from good_datasets import Good
from mutations import edit_table, set_in_list, sign

import titin
from titin.check import CHECKS, Finding, Outcome, ValidationReport, load_checks, validate
from titin.check.registry import Check, check
from titin.check.report import HTML_NAME, JSON_NAME, CheckResult
from titin.check.terminal import render
from titin.cli import main
from titin.errors import DatasetError, OutputError, SourceError, TitinError
from titin.publish.card import write_card


@pytest.fixture
def corrupted(copy_of: Callable[[str], Good]) -> Good:
    """A dataset with one count too many in by_gene."""
    good = copy_of("log1p")
    edit_table(good.path, "expression_by_gene", lambda t: set_in_list(t, "counts", 5, lambda c: [c[0] + 1, *c[1:]]))
    sign(good.path)
    return good


def run(*words: object) -> int:
    """Exit code of a command."""
    try:
        main([str(word) for word in words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_report_counts_and_lists_what_was_found(corrupted: Good) -> None:
    report = validate(corrupted.path, source=corrupted.source, checks=["matrix", "source.obs"])
    assert [result.check.name for result, _ in report.findings("error")] == ["matrix.transpose"]
    assert (report.passed, report.exit_code, report.count("error"), report.count("warning")) == (False, 1, 1, 0)
    assert report["matrix.transpose"].status == "error"
    assert report["source.obs"].status == "passed"
    with pytest.raises(KeyError):
        report["integrity.files"]


def test_the_document_has_the_keys_that_users_know_and_all_else(corrupted: Good) -> None:
    document = validate(corrupted.path, checks=["matrix"]).document()
    assert document == json.loads(json.dumps(document, allow_nan=False))
    summary = document["validation_summary"]
    assert (summary["total_tests"], summary["passed_tests"], summary["failed_tests"]) == (8, 7, 1)
    assert summary["success_rate"] == "87.5%"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", summary["timestamp"])
    title = CHECKS["matrix.transpose"].title
    assert document["test_results"][title]["status"] is False
    assert "1 genes differ" in document["test_results"][title]["message"]
    assert [stage["stage"] for stage in document["memory_timeline"]] == [c["name"] for c in document["checks"]]
    assert all(stage["memory_mb"] > 10 for stage in document["memory_timeline"])
    assert document["memory_usage"]["peak_memory_mb"] >= document["memory_usage"]["final_memory_mb"] > 10
    found = next(c for c in document["checks"] if c["name"] == "matrix.transpose")["findings"]
    assert found[0]["severity"] == "error"
    assert found[0]["where"].startswith("muscle_10x_expression_by_gene.parquet, gene ")


def test_a_check_of_kind_counts_says_what_it_skips(good: Callable[[str], Good]) -> None:
    document = validate(good("counts").path, checks=["matrix.levels", "source"]).document()
    assert document["validation_summary"]["skipped_tests"] == len(document["checks"])
    assert {c["skipped"] for c in document["checks"]} == {"the matrix is of kind counts", "no source was given"}


class _Page(HTMLParser):
    """Collects what a page links to, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_from_anywhere_and_escapes_what_it_shows(corrupted: Good, tmp_path: Path) -> None:
    report = validate(corrupted.path, checks=["matrix"])
    json_path, html_path = report.write(tmp_path / "report")
    assert (json_path.name, html_path.name) == (JSON_NAME, HTML_NAME)
    page = _Page()
    text = html_path.read_text("utf-8")
    page.feed(text)
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?://", re.sub(r"data:[^\"]*", "", text))
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "1 genes differ" in text
    figures = json.loads(json_path.read_text("utf-8"))["visualizations"]["figures"]
    assert text.count("<figure>") == len(figures) > 0


def test_a_page_shows_text_as_text(good: Callable[[str], Good]) -> None:
    report = validate(good("log1p").path, checks=["integrity.files"])
    bad = Outcome([Finding("<b>5 < 6</b> & more", "<place>", "<do>")])
    hostile = ValidationReport(**{**vars(report), "results": [type(report.results[0])(CHECKS["integrity.files"], bad)]})
    text = hostile.page()
    assert "<b>5" not in text
    assert "&lt;b&gt;5 &lt; 6&lt;/b&gt; &amp; more" in text
    assert "&lt;place&gt;" in text


def test_a_report_is_never_written_into_the_dataset(good: Callable[[str], Good], tmp_path: Path) -> None:
    report = validate(good("log1p").path, checks=["integrity.files"])
    for folder in (good("log1p").path, good("log1p").path / "report"):
        with pytest.raises(OutputError, match="lies in the dataset"):
            report.write(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        report.write(tmp_path / "file")


def test_a_report_is_replaced_with_force_only_and_this_is_said_before_anything_is_checked(
    good: Callable[[str], Good], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, folder = good("log1p").path, tmp_path / "report"
    report = validate(dataset, checks=["integrity.files"])
    first = report.write(folder)[0]
    first.write_text("mine")
    with pytest.raises(OutputError, match="is there already") as error:
        report.write(folder)
    assert "--force" in str(error.value.hint)
    command = ["validate", dataset, "-q", "--level", "quick", "--check", "integrity.files", "-o", folder]
    with monkeypatch.context() as patch:
        patch.setattr("titin.check.run._run", lambda *_: pytest.fail("nothing is to be checked"))
        assert run(*command) == 2
    assert first.read_text() == "mine"
    assert run(*command, "--force") == 0
    assert json.loads(first.read_text("utf-8"))["passed"]


def test_the_terminal_shows_every_check_with_its_mark_place_and_hint(corrupted: Good) -> None:
    text = render(validate(corrupted.path, checks=["matrix", "source"]), width=400, passed=True)
    lines = [line.strip() for line in text.splitlines()]
    assert any(line.startswith("✗ matrix.transpose") for line in lines)
    assert any(line.startswith("✓ matrix.panel") for line in lines)
    assert any(line.startswith("– source.matrix") and line.endswith("no source was given") for line in lines)
    assert any(line.startswith("error: muscle_10x_expression_by_gene.parquet, gene ") for line in lines)
    assert any(line.startswith("restore the file") for line in lines)
    assert re.fullmatch(r"1 error, 0 warnings, 0 notes in 8 checks, 8 skipped, [\d.]+ s", lines[-1])
    assert "\x1b" not in text
    assert "\x1b" in render(validate(corrupted.path, checks=["matrix"]), colour=True, width=80)


def test_the_verdict_comes_first_in_one_sentence(corrupted: Good, good: Callable[[str], Good]) -> None:
    bad = validate(corrupted.path, checks=["matrix"])
    assert bad.verdict == "dataset does not pass: 1 error in 8 checks, by matrix.transpose."
    fine = good("log1p")
    seen = validate(fine.path, source=fine.source)
    n = sum(r.status != "skipped" for r in seen.results)
    warned = f", {seen.count('warning')} warnings" if seen.count("warning") else ""
    looked = f"every value was read, and compared with {fine.source.name}."
    assert seen.verdict == f"dataset passes: no errors{warned} in {n} checks; {looked}"
    assert validate(fine.path, level="quick").verdict.endswith("; no value of the matrix was read.")
    assert validate(fine.path, checks=["matrix.panel"]).verdict == (
        "dataset passes: no errors in 1 check; no others were asked for."
    )
    for report in (bad, seen):
        assert render(report, width=400).splitlines()[0] == report.verdict == report.document()["verdict"]
        assert report.verdict in report.page()
        assert "made up" not in report.verdict


def test_what_passed_is_counted_and_listed_when_asked(corrupted: Good) -> None:
    report = validate(corrupted.path, checks=["matrix", "source"])
    folded, whole = render(report, width=400), render(report, width=400, passed=True)
    assert "✓ 7 checks found nothing: matrix 7" in folded
    assert "– 8 skipped: no source was given" in folded
    assert [line for line in folded.splitlines() if "matrix.panel" in line or "source.sha256" in line] == []
    for result in report.results:
        assert result.check.name in whole


def test_what_one_check_says_of_several_places_is_said_once() -> None:
    def result(*findings: Finding) -> CheckResult:
        return CheckResult(Check("own.check", "One.", "note", "quick", frozenset(), lambda _: Outcome()),
                           Outcome(findings))  # fmt: skip

    seven = [Finding("it is so", f"file{i}", "let it be") for i in range(7)]
    other = Finding("another thing", "file1", "let it be")
    report = ValidationReport(Path("d"), None, "full", [result(*seven, other)], {}, "", 0.0, 0, 0)
    lines = [line.strip() for line in render(report, width=400).splitlines()]
    assert "note: 7 places (file0; file1; file2 and 4 more): it is so" in lines
    assert "note: file1: another thing" in lines
    assert lines.count("let it be") == 1
    assert report.count("note") == 8
    assert len(report.document()["checks"][0]["findings"]) == 8


def test_a_dataset_of_made_up_data_says_so_everywhere(good: Callable[[str], Good]) -> None:
    report = validate(good("log1p").path, checks=["integrity.files"])
    assert report.synthetic is titin.open(good("log1p").path).synthetic is None
    assert "ynthetic" not in render(report, width=400) + report.page()
    made_up = replace(report, facts={**report.facts, "synthetic": "Drawn <b>by chance."})
    assert render(made_up, width=400).splitlines()[1] == "These data are synthetic. Drawn <b>by chance."
    assert "<b>Synthetic data.</b> Drawn &lt;b&gt;by chance." in made_up.page()
    assert made_up.document()["facts"]["synthetic"] == "Drawn <b>by chance."


def test_levels_quick_reads_no_value(corrupted: Good) -> None:
    write_card(corrupted.path, images=False, croissant=False)  # which says how many bytes the files have
    report = validate(corrupted.path, level="quick")
    assert report.passed
    assert {r.check.level for r in report.results} == {"quick"}
    assert "expression" not in vars(report.checked)["_passes"]


def test_wrong_use_is_refused(good: Callable[[str], Good], tmp_path: Path) -> None:
    path = good("log1p").path
    with pytest.raises(TitinError, match="no level 'deep'"):
        validate(path, level="deep")  # type: ignore[arg-type]
    with pytest.raises(TitinError, match=r"no check 'matrix\.shape'"):
        validate(path, checks=["matrix.shape"])
    with pytest.raises(DatasetError, match="not a titin dataset"):
        validate(tmp_path)
    with pytest.raises(SourceError, match="does not exist"):
        validate(path, source=tmp_path / "none.h5ad")


@pytest.fixture
def own_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    load_checks()
    monkeypatch.setattr("titin.check.registry.CHECKS", dict(CHECKS))


@pytest.mark.usefixtures("own_checks")
def test_two_checks_of_one_name_are_refused_in_one_module_too() -> None:
    def first(_: object) -> Outcome:
        return Outcome()

    def second(_: object) -> Outcome:
        return Outcome()

    with pytest.raises(ValueError, match=r"two checks are called matrix\.panel: titin\.check\.matrix\.panel and "):
        check("matrix.panel", "Another.")(first)
    check("own.check", "One.")(first)
    with pytest.raises(ValueError, match=r"two checks are called own\.check: \S+first and \S+second"):
        check("own.check", "Another.")(second)


def test_checks_register_again_when_their_module_is_loaded_again() -> None:
    before = load_checks()["matrix.panel"]
    importlib.reload(importlib.import_module("titin.check.matrix"))
    after = load_checks()["matrix.panel"]
    assert after.function is not before.function
    assert (after.name, after.title, after.needs) == (before.name, before.title, before.needs)


@pytest.fixture
def broken_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of the panel with a bug."""

    def panel(_: object) -> Outcome:
        raise ZeroDivisionError("of nothing")

    load_checks()
    monkeypatch.setitem(CHECKS, "matrix.panel", replace(CHECKS["matrix.panel"], function=panel))


@pytest.mark.usefixtures("broken_check")
def test_a_bug_of_a_check_is_no_error_of_a_sound_dataset(
    good: Callable[[str], Good], capsys: pytest.CaptureFixture[str]
) -> None:
    path = good("log1p").path
    report = validate(path, checks=["matrix.panel", "matrix.tokens"])
    assert list(report.findings()) == []
    assert [r.status for r in report.results] == ["passed", "crashed"]
    assert (report.passed, report.exit_code, report["matrix.panel"].crash) == (
        False,
        3,
        "ZeroDivisionError: of nothing",
    )
    document = report.document()
    assert (document["passed"], document["validation_summary"]["crashed"]) == (False, 1)
    assert "in panel" in document["checks"][1]["crash"]["traceback"]
    assert "ZeroDivisionError: of nothing" in report.page()
    options = ("validate", path, "--check", "matrix.panel", "--no-report", "--quiet")
    assert run(*options) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "crashed: ZeroDivisionError: of nothing" in said
    assert "please report it" in said
    assert "Traceback" not in said
    assert run(*options, "--debug") == 3
    assert "Traceback (most recent call last)" in capsys.readouterr().out


@pytest.mark.usefixtures("broken_check")
def test_what_a_check_stumbles_over_in_a_damaged_dataset_is_an_error_of_it(copy_of: Callable[[str], Good]) -> None:
    path = copy_of("log1p").path
    (path / "README.md").write_text("another", "utf-8")  # which no check of the panel reads
    report = validate(path, checks=["matrix.panel"])
    assert [f.message for _, f in report.findings()] == ["not evaluated: ZeroDivisionError: of nothing"]
    assert (report["matrix.panel"].status, report.exit_code) == ("error", 1)


def test_threads_do_not_change_what_is_found(good: Callable[[str], Good]) -> None:
    dataset = good("sharded")
    one, two = (validate(dataset.path, source=dataset.source, threads=n, checks=["matrix"]) for n in (1, 3))
    assert [r.outcome for r in one.results] == [r.outcome for r in two.results]
    totals = [r.checked.totals for r in (one, two) if r.checked is not None]
    for name in vars(totals[0]):
        assert np.array_equal(getattr(totals[0], name), getattr(totals[1], name))


def test_the_command_writes_the_report_beside_the_dataset(
    copy_of: Callable[[str], Good], capsys: pytest.CaptureFixture[str]
) -> None:
    good = copy_of("log1p")
    assert run("validate", good.path, "--source", good.source, "--check", "source", "--quiet") == 0
    folder = good.path.with_name("dataset.validation")
    assert sorted(p.name for p in folder.iterdir()) == [HTML_NAME, JSON_NAME]
    assert not list(good.path.glob("validation*"))
    assert f"wrote {folder / JSON_NAME}" in capsys.readouterr().out


def test_the_command_exits_with_1_for_errors_and_2_for_wrong_use(
    corrupted: Good, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("validate", corrupted.path, "--no-report", "--json", "--quiet", "--check", "matrix") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is False
    assert not list(corrupted.path.parent.glob("*.validation"))
    assert run("validate", tmp_path / "nothing", "--no-report") == 2
    assert run("validate", corrupted.path, "--no-report", "--output", tmp_path / "x") == 2
    assert run("validate", corrupted.path, "--check", "nonsense", "--no-report") == 2
    assert "no check 'nonsense'" in capsys.readouterr().err
