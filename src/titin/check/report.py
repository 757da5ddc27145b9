"""What a validation found: as an object, as JSON, and as files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from titin import __version__
from titin.check.findings import SEVERITIES, Finding, Outcome, Severity
from titin.check.registry import Check, Level
from titin.dataset.manifest import write_json
from titin.errors import OutputError
from titin.text import json_safe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from titin.check.dataset import CheckedDataset


Status = Literal["passed", "note", "warning", "error", "skipped"]
MARKS: dict[Status, str] = {"passed": "✓", "note": "✓", "warning": "!", "error": "✗", "skipped": "–"}

JSON_NAME, HTML_NAME = "validation_report.json", "validation_report.html"
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Result:
    """One check that was run, or skipped.

    Attributes
    ----------
    check, outcome
        What ran and what it returned.
    seconds, memory_bytes
        Wall time; memory of the process afterwards.
    """

    check: Check
    outcome: Outcome
    seconds: float = 0.0
    memory_bytes: int = 0

    def severity(self, finding: Finding) -> Severity:
        """How bad a finding is."""
        return finding.severity or self.check.severity

    @property
    def status(self) -> Status:
        """The worst finding's severity; ``passed`` without any."""
        if self.outcome.skipped is not None:
            return "skipped"
        found = {self.severity(finding) for finding in self.outcome.findings}
        return next((s for s in ("error", "warning", "note") if s in found), "passed")


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
        Size and kind of the dataset.
    timestamp
        When it began, UTC, ISO 8601.
    seconds, peak_bytes, limit_bytes
        Wall time, largest memory of the process, and the memory it was given.
    """

    dataset: Path
    source: Path | None
    level: Level
    results: Sequence[Result]
    facts: Mapping[str, Any]
    timestamp: str
    seconds: float
    peak_bytes: int
    limit_bytes: int
    context: "CheckedDataset | None" = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> Result:
        """Return the result of a check by its name."""
        for result in self.results:
            if result.check.name == name:
                return result
        raise KeyError(name)

    def findings(self, *severities: Severity) -> Iterator[tuple[Result, Finding]]:
        """Findings with the check that made them; of all severities where none is named."""
        for result in self.results:
            for finding in result.outcome.findings:
                if not severities or result.severity(finding) in severities:
                    yield result, finding

    def count(self, severity: Severity) -> int:
        """How many findings are of a severity."""
        return sum(1 for _ in self.findings(severity))

    @property
    def passed(self) -> bool:
        """Whether no error was found."""
        return self.count("error") == 0

    @property
    def exit_code(self) -> int:
        """0 without errors, 1 with."""
        return 0 if self.passed else 1

    def document(self, visualizations: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Everything, JSON-safe; with the keys of the validator that this one replaces."""
        run = [r for r in self.results if r.status != "skipped"]
        good = [r for r in run if r.status != "error"]
        return {
            "schema_version": _SCHEMA_VERSION,
            "titin": __version__,
            "dataset": str(self.dataset),
            "source": str(self.source) if self.source else None,
            "level": self.level,
            "passed": self.passed,
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
                "timestamp": self.timestamp,
                "seconds": round(self.seconds, 3),
            },
            "memory_usage": {
                "peak_memory_mb": round(self.peak_bytes / 1e6, 1),
                "final_memory_mb": round(self.results[-1].memory_bytes / 1e6, 1) if self.results else 0.0,
                "memory_efficient": self.peak_bytes <= self.limit_bytes,
            },
            "test_results": {r.check.title: {"status": r.status not in ("error", "skipped"), "message": message(r)}
                             for r in self.results},
            "memory_timeline": [{"stage": r.check.name, "memory_mb": round(r.memory_bytes / 1e6, 1)}
                                for r in self.results],
            "visualizations": dict(visualizations or {"generated": False}),
            "checks": [_document(r) for r in self.results],
        }  # fmt: skip

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
        from titin.check.page import make_figures, make_page

        check_folder(self.dataset, folder, force)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            figures, reason = make_figures(self)
            shown = {"generated": bool(figures), "figures": [f.title for f in figures], "output_directory": str(folder)}
            if reason:
                shown["reason"] = reason
            write_json(folder / JSON_NAME, self.document(shown))
            (folder / HTML_NAME).write_text(make_page(self, figures, reason), "utf-8")
        except OSError as error:
            raise OutputError(f"the report cannot be written to {folder}: {error}", "give another --output") from error
        return [folder / JSON_NAME, folder / HTML_NAME]


def check_folder(dataset: Path, folder: Path, force: bool) -> None:
    """Refuse a folder that a report must not be written to.

    Raises
    ------
    OutputError
        If it is the dataset or lies in it, or holds a report and ``force`` is not given.
    """
    place = folder.absolute().resolve()
    if dataset.absolute().resolve() in (place, *place.parents):
        raise OutputError(f"{folder} lies in the dataset, which a report is no part of", "give another --output")
    there = [name for name in (JSON_NAME, HTML_NAME) if (folder / name).exists()]
    if there and not force:
        raise OutputError(f"{folder / there[0]} is there already", "give --force to replace it, or another --output")


def message(result: Result) -> str:
    """One line: the first finding, why it was skipped, or what was read."""
    outcome = result.outcome
    if outcome.skipped is not None:
        return f"skipped: {outcome.skipped}"
    if not outcome.findings:
        return outcome.read
    first = outcome.findings[0]
    more = f" (and {len(outcome.findings) - 1} more)" if len(outcome.findings) > 1 else ""
    return f"{first.where}: {first.message}{more}" if first.where else f"{first.message}{more}"


def _document(result: Result) -> dict[str, Any]:
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
    }


_STYLES: dict[Status, str] = {"passed": "green", "note": "green", "warning": "yellow", "error": "bold red",
                              "skipped": "dim"}  # fmt: skip
_FINDING_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_WIDTH = 120  # where there is no terminal to ask


def render(report: ValidationReport, *, colour: bool = False, width: int | None = None) -> str:
    """Return every check with its mark, what it found, where, and what to do; then the sum.

    Parameters
    ----------
    colour
        Use the terminal's colours.
    width
        Columns; those of the terminal with ``colour``, else 120, where not given.
    """
    from rich.console import Console

    wide = width or (None if colour else _WIDTH)
    console = Console(force_terminal=colour, no_color=not colour, width=wide, highlight=False)
    with console.capture() as capture:
        subject = ""
        for result in report.results:
            own = result.check.name.partition(".")[0]
            if own != subject:
                console.print(own, style="bold")
                subject = own
            _print(console, result)
        console.print(summary(report), style=_STYLES["passed" if report.passed else "error"])
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def _print(console: "Console", result: Result) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(min_width=24, no_wrap=True)
    row.add_column()
    said = result.outcome.read if result.outcome.skipped is None else result.outcome.skipped
    row.add_row(Text(MARKS[result.status], style=_STYLES[result.status]), result.check.name, Text(said, style="dim"))
    console.print(Padding(row, (0, 0, 0, 2)))
    for finding in result.outcome.findings:
        console.print(Padding(_finding(finding, result.severity(finding)), (0, 0, 0, 6)))


def _finding(finding: Finding, severity: Severity) -> "RenderableType":
    from rich.text import Text

    text = Text()
    text.append(f"{severity}: ", style=_FINDING_STYLES[severity])
    text.append(f"{finding.where}: " if finding.where else "", style="bold")
    text.append(finding.message)
    if finding.hint:
        text.append(f"\n  {finding.hint}", style="dim")
    return text


def summary(report: ValidationReport) -> str:
    """One line: how many checks, and what they found."""
    ran = sum(result.status != "skipped" for result in report.results)
    skipped = len(report.results) - ran
    parts = [f"{report.count(s):,} {s}{'' if report.count(s) == 1 else 's'}" for s in SEVERITIES]
    beside = f", {skipped} skipped" if skipped else ""
    return f"{', '.join(parts)} in {ran} checks{beside}, {report.seconds:.1f} s"
