"""A validation as text for the terminal."""

from typing import TYPE_CHECKING

from titin.check.findings import SEVERITIES, Finding, Severity
from titin.check.report import BUG_HINT, MARKS, CheckResult, Status, ValidationReport

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_STYLES: dict[Status, str] = {"passed": "green", "note": "green", "warning": "yellow", "error": "bold red",
                              "skipped": "dim", "crashed": "bold magenta"}  # fmt: skip
_FINDING_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_WIDTH = 120  # where there is no terminal to ask


def render(
    report: ValidationReport, *, colour: bool = False, width: int | None = None, tracebacks: bool = False
) -> str:
    """Return every check with its mark, what it found, where, and what to do; then the sum.

    Parameters
    ----------
    colour
        Use the terminal's colours.
    width
        Columns; those of the terminal with ``colour``, else 120, where not given.
    tracebacks
        Show where checks crashed.
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
            _print(console, result, tracebacks)
        console.print(summary(report), style=_STYLES["passed" if report.passed else "error"])
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def _print(console: "Console", result: CheckResult, tracebacks: bool) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(min_width=24, no_wrap=True)
    row.add_column()
    row.add_row(
        Text(MARKS[result.status], style=_STYLES[result.status]), result.check.name, Text(result.read, style="dim")
    )
    console.print(Padding(row, (0, 0, 0, 2)))
    if result.crash:
        said = Text(f"crashed: {result.crash}", style=_STYLES["crashed"])
        said.append(f"\n  {BUG_HINT}" if not tracebacks else f"\n{result.traceback.rstrip()}", style="dim")
        console.print(Padding(said, (0, 0, 0, 6)))
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
    beside = f", {len(report.crashed)} crashed" if report.crashed else ""
    beside += f", {skipped} skipped" if skipped else ""
    return f"{', '.join(parts)} in {ran} checks{beside}, {report.seconds:.1f} s"
