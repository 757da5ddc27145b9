"""What a validation found: as an object, as JSON, and as files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from titin import __version__, html
from titin.check.dataset import CheckedDataset
from titin.check.figures import ValidationFigure, make_figures
from titin.check.findings import SEVERITIES, Finding, Outcome, Repeated, Severity, merge_repeated
from titin.check.registry import Check, Level
from titin.dataset.swap import write_text
from titin.errors import OutputError, TitinError
from titin.files import is_url
from titin.results import write_document
from titin.text import count, json_safe, say_some

Status = Literal["passed", "note", "warning", "error", "skipped", "crashed"]
MARKS: dict[Status, str] = {"passed": "✓", "note": "✓", "warning": "!", "error": "✗", "skipped": "–", "crashed": "?"}
BUG_HINT = "a bug of titin, not an error of the dataset; please report it, with what --debug shows"
_CLASSES: dict[Status, str] = {"passed": "pass", "note": "pass", "warning": "warning", "error": "error",
                               "skipped": "skipped", "crashed": "error"}  # fmt: skip

JSON_NAME, HTML_NAME = "validation_report.json", "validation_report.html"
_SCHEMA_VERSION = 1
_NAMED = 3  # checks in a sentence
_SHOWN = 20  # findings in a notebook
_SIZES = {"n_cells": "cells", "n_genes": "genes", "nnz": "values"}


@dataclass(frozen=True)
class CheckResult:
    """One check that was run, or skipped.

    Attributes
    ----------
    check, outcome
        What ran and what it returned.
    seconds, memory_bytes
        Wall time; memory of the process afterwards.
    crash, traceback
        The exception that a bug of the check raised, and where; empty where there was none.
    """

    check: Check
    outcome: Outcome
    seconds: float = 0.0
    memory_bytes: int = 0
    crash: str = ""
    traceback: str = ""

    def severity(self, finding: Finding) -> Severity:
        """How bad a finding is."""
        return finding.severity or self.check.severity

    @property
    def status(self) -> Status:
        """The worst finding's severity; ``passed`` without any; ``crashed`` where the check could not say."""
        if self.crash:
            return "crashed"
        if self.outcome.skipped is not None:
            return "skipped"
        found = {self.severity(finding) for finding in self.outcome.findings}
        return next((s for s in ("error", "warning", "note") if s in found), "passed")

    @property
    def read(self) -> str:
        """What was read, or why the check was skipped."""
        return self.outcome.read if self.outcome.skipped is None else self.outcome.skipped


@dataclass(frozen=True)
class ValidationReport:
    """A validation.

    Attributes
    ----------
    dataset, source
        What was validated, and against what.
    level
        ``quick`` or ``full``.
    results
        Of every check, in order.
    facts
        Size and kind of the dataset, and whether it is ``synthetic``.
    timestamp
        When it began, UTC, ISO 8601.
    seconds, peak_bytes, limit_bytes
        Wall time, largest memory of the process, and the memory it was given.
    whole
        Whether all checks of the level were asked for.
    checked
        The dataset, open, to draw from.
    place
        URL of a dataset that was fetched to be validated, where ``dataset`` is its copy; else empty.
    """

    dataset: Path
    source: Path | None
    level: Level
    results: Sequence[CheckResult]
    facts: Mapping[str, Any]
    timestamp: str
    seconds: float
    peak_bytes: int
    limit_bytes: int
    whole: bool = True
    checked: CheckedDataset | None = field(default=None, repr=False, compare=False)
    place: str = ""

    def __getitem__(self, name: str) -> CheckResult:
        """Return the result of a check by its name."""
        for result in self.results:
            if result.check.name == name:
                return result
        raise KeyError(name)

    def findings(self, *severities: Severity) -> Iterator[tuple[CheckResult, Finding]]:
        """Findings with the check that made them; of all severities where none is named."""
        for result in self.results:
            for finding in result.outcome.findings:
                if not severities or result.severity(finding) in severities:
                    yield result, finding

    def repeated(self, severity: Severity) -> Iterator[tuple[CheckResult, Repeated]]:
        """Findings of a severity, what a check says of several places as one."""
        for result in self.results:
            own = (finding for finding in result.outcome.findings if result.severity(finding) == severity)
            for found in merge_repeated(own):
                yield result, found

    def count(self, severity: Severity) -> int:
        """How many findings are of a severity."""
        return sum(1 for _ in self.findings(severity))

    @property
    def passed(self) -> bool:
        """Whether every check could say, and none found an error."""
        return self.count("error") == 0 and not self.crashed

    @property
    def crashed(self) -> list[CheckResult]:
        """Checks that a bug of titin kept from saying anything."""
        return [result for result in self.results if result.status == "crashed"]

    @property
    def verdict(self) -> str:
        """Whether the dataset may be used, in one sentence: what was found, and how closely it was looked at."""
        name, ran = self.dataset.absolute().name, [r for r in self.results if r.status != "skipped"]
        checks = count(len(ran), "check")
        if errors := self.count("error"):
            where = [result.check.name for result in ran if result.status == "error"]
            return f"{name} does not pass: {count(errors, 'error')} in {checks}, by {say_some(where, _NAMED)}."
        if self.crashed:
            return f"Of {name} nothing is known: {len(self.crashed)} of {checks} crashed by a bug of titin."
        warnings = self.count("warning")
        beside = f", {count(warnings, 'warning')}" if warnings else ""
        if not self.whole:
            looked = "no others were asked for"
        elif self.level == "quick":
            looked = "no value of the matrix was read"
        else:
            against = f"compared with {self.source.name}" if self.source else "not compared with its source"
            looked = f"every value was read, and {against}"
        return f"{name} passes: no errors{beside} in {checks}; {looked}."

    @property
    def synthetic(self) -> str | None:
        """What the source says of data that are made up; None where it says nothing of the kind."""
        return self.facts.get("synthetic")

    @property
    def exit_code(self) -> int:
        """1 with errors; without, 3 if a check crashed; else 0."""
        if self.count("error"):
            return 1
        return 3 if self.crashed else 0

    def __repr__(self) -> str:
        return f"ValidationReport: {self.verdict}"

    def _repr_html_(self) -> str:
        rows = [[result.severity(finding), result.check.title, finding.message]
                for severity in SEVERITIES for result, finding in self.findings(severity)]  # fmt: skip
        more = len(rows) - _SHOWN
        return html.notebook(repr(self), columns=["", "check", "found"] if rows else (), rows=rows[:_SHOWN],
                             rest=f"{more:,} more findings in .findings()" if more > 0 else "")  # fmt: skip

    def document(self, visualizations: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Everything, JSON-safe; with the keys of the validator that this one replaces."""
        run = [r for r in self.results if r.status != "skipped"]
        good = [r for r in run if r.status not in ("error", "crashed")]
        return {
            "schema_version": _SCHEMA_VERSION,
            "titin": __version__,
            "dataset": self.place or str(self.dataset),
            "source": str(self.source) if self.source else None,
            "level": self.level,
            "passed": self.passed,
            "verdict": self.verdict,
            "facts": json_safe(self.facts),
            "validation_summary": {
                "total_tests": len(run),
                "passed_tests": len(good),
                "failed_tests": len(run) - len(good),
                "skipped_tests": len(self.results) - len(run),
                "success_rate": f"{100 * len(good) / max(1, len(run)):.1f}%",
                "errors": self.count("error"),
                "warnings": self.count("warning"),
                "notes": self.count("note"),
                "crashed": len(self.crashed),
                "timestamp": self.timestamp,
                "seconds": round(self.seconds, 3),
            },
            "memory_usage": {
                "peak_memory_mb": round(self.peak_bytes / 1e6, 1),
                "final_memory_mb": round(self.results[-1].memory_bytes / 1e6, 1) if self.results else 0.0,
                "memory_efficient": self.peak_bytes <= self.limit_bytes,
            },
            "test_results": {r.check.title: {"status": r in good, "message": message(r)} for r in self.results},
            "memory_timeline": [{"stage": r.check.name, "memory_mb": round(r.memory_bytes / 1e6, 1)}
                                for r in self.results],
            "visualizations": dict(visualizations or {"generated": False}),
            "checks": [_document(r) for r in self.results],
        }  # fmt: skip

    def page(self, figures: Sequence[ValidationFigure] = (), reason: str = "") -> str:
        """Return everything as one self-contained HTML page.

        Parameters
        ----------
        figures
            Shown below the checks.
        reason
            Why there are none.
        """
        facts = self.facts
        return html.render(
            "validation.html",
            title=f"Validation of {Path(self.dataset).name}",
            subtitle=f"level {self.level}; {self.timestamp}, {self.seconds:.1f} s",
            verdict=self.verdict, verdict_class=_CLASSES["passed" if self.passed else "error"],
            synthetic=self.synthetic,
            tiles=[
                *((f"{facts[name]:,}", word) for name, word in _SIZES.items()),
                *((f"{self.count(severity):,}", f"{severity}s") for severity in SEVERITIES),
            ],
            findings=[(severity, *found) for severity in SEVERITIES for found in self.repeated(severity)],
            results=self.results, crashes=self.crashed, bug_hint=BUG_HINT, marks=MARKS, classes=_CLASSES,
            figures=[{"title": f.title, "alt": f.alt, "source": html.data_url(f.png)} for f in figures], reason=reason,
        )  # fmt: skip

    def _draw(self) -> tuple[Sequence[ValidationFigure], str]:
        """Figures; without matplotlib, none, and why."""
        if self.checked is None:
            return [], ""
        try:
            return make_figures(self.checked), ""
        except ImportError as error:
            return [], f"{error.name or error} is not installed"
        except TitinError as error:
            return [], str(error.args[0])

    def write(self, folder: Path, *, force: bool = False) -> list[Path]:
        """Write ``validation_report.json`` and ``validation_report.html`` into a folder outside the dataset.

        Parameters
        ----------
        folder
            Made where it is not there.
        force
            Replace an earlier report.

        Raises
        ------
        OutputError
            If the folder is the dataset or lies in it, holds a report and ``force`` is not given, or cannot be written.
        """
        check_folder(self.dataset, folder, force)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figures, reason = self._draw()
            shown = {"generated": bool(figures), "figures": [f.title for f in figures], "output_directory": str(folder)}
            if reason:
                shown["reason"] = reason
            write_document(folder / JSON_NAME, self.document(shown))
            write_text(folder / HTML_NAME, self.page(figures, reason))
        except OSError as error:
            raise OutputError(f"the report cannot be written to {folder}: {error}", "give another --output") from error
        return [folder / JSON_NAME, folder / HTML_NAME]


def check_folder(dataset: str | Path, folder: Path, force: bool) -> None:
    """Refuse a folder that a report must not be written to.

    Raises
    ------
    OutputError
        If it is the dataset or lies in it, or holds a report and ``force`` is not given.
    """
    place = folder.absolute().resolve()
    if not is_url(dataset) and Path(dataset).absolute().resolve() in (place, *place.parents):
        raise OutputError(f"{folder} lies in the dataset, which a report is no part of", "give another --output")
    there = [name for name in (JSON_NAME, HTML_NAME) if (folder / name).exists()]
    if there and not force:
        raise OutputError(f"{folder / there[0]} is there already", "give --force to replace it, or another --output")


def message(result: CheckResult) -> str:
    """One line: the first finding, why it was skipped, or what was read."""
    outcome = result.outcome
    if result.crash:
        return f"crashed: {result.crash}"
    if outcome.skipped is not None:
        return f"skipped: {outcome.skipped}"
    if not outcome.findings:
        return outcome.read
    first = outcome.findings[0]
    more = f" (and {len(outcome.findings) - 1} more)" if len(outcome.findings) > 1 else ""
    return f"{first.where}: {first.message}{more}" if first.where else f"{first.message}{more}"


def _document(result: CheckResult) -> dict[str, Any]:
    check, outcome = result.check, result.outcome
    return {
        "name": check.name,
        "title": check.title,
        "status": result.status,
        "level": check.level,
        "read": outcome.read,
        "skipped": outcome.skipped,
        "seconds": round(result.seconds, 4),
        "findings": [
            {"severity": result.severity(f), "message": f.message, "where": f.where, "hint": f.hint}
            for f in outcome.findings
        ],
        "facts": json_safe(outcome.facts),
        "crash": {"error": result.crash, "traceback": result.traceback} if result.crash else None,
    }
