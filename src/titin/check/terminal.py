"""A validation as text for the terminal."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from titin.check.findings import SEVERITIES, Repeated, Severity, merge_repeated
from titin.check.report import BUG_HINT, MARKS, CheckResult, Status, ValidationReport
from titin.console import Styled, make_console
from titin.text import count
from titin.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_STYLES: dict[Status, str] = {"passed": "green", "note": "green", "warning": "yellow", "error": "bold red",
                              "skipped": "dim", "crashed": "bold magenta"}  # fmt: skip
_FINDING_STYLES: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_FOUND: dict[Status, str] = {"error": "errors", "crashed": "crashed", "warning": "warnings", "note": "notes"}
_WIDTH = 120  # where there is no terminal to ask


def render(
    report: ValidationReport, *, colour: bool = False, width: int | None = None, tracebacks: bool = False,
    passed: bool = False,
) -> Styled:  # fmt: skip
    """Return the verdict, then every check that found something, the worst first: what, where, and what to do.

    Parameters
    ----------
    colour
        Use the terminal's colours.
    width
        Columns; those of the terminal with ``colour``, else 120, where not given.
    tracebacks
        Show where checks crashed.
    passed
        List the checks that found nothing, too, which are otherwise counted.
    """
    wide = width or (None if colour else _WIDTH)
    console = make_console(force_terminal=colour, no_color=not colour, width=wide, highlight=False)
    with console.capture() as capture:
        console.print(visible(report.verdict), style=_STYLES["passed" if report.passed else "error"])
        if report.synthetic is not None:
            console.print(visible(f"These data are synthetic. {report.synthetic}"), style="bold")
        for status, title in _FOUND.items():
            results = [result for result in report.results if result.status == status]
            if results:
                console.print(f"\n{title}", style="bold")
            for result in results:
                _print(console, result, tracebacks)
        _print_others(console, report, passed)
        console.print(f"\n{summary(report)}")
    return Styled("\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")))


def _print(console: "Console", result: CheckResult, tracebacks: bool) -> None:
    """One check: its mark and name, what was read, and what it found, what several findings advise said once."""
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(_line(result), (0, 0, 0, 2)))
    if result.crash:
        said = Text(f"crashed: {visible(result.crash)}", style=_STYLES["crashed"])
        said.append(f"\n  {BUG_HINT}" if not tracebacks else f"\n{result.traceback.rstrip()}", style="dim")
        console.print(Padding(said, (0, 0, 0, 6)))
    merged = merge_repeated(result.outcome.findings)
    for found, hint in zip(merged, _hints(merged), strict=True):
        text = _finding(found, result.severity(found.finding))
        if hint:
            text.append(f"\n  {visible(hint)}", style="dim")
        console.print(Padding(text, (0, 0, 0, 6)))


def _hints(findings: Sequence[Repeated]) -> list[str | None]:
    """What to do, of each; of findings in a row that advise the same, after the last of them."""
    hints = [found.finding.hint for found in findings]
    return [hint if following != hint else None for hint, following in zip_longest(hints, hints[1:])][: len(hints)]


def _line(result: CheckResult) -> "Table":
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(min_width=24, no_wrap=True)
    row.add_column()
    mark = Text(MARKS[result.status], style=_STYLES[result.status])
    row.add_row(mark, result.check.name, Text(visible(result.read), style="dim"))
    return row


def _finding(found: Repeated, severity: Severity) -> "Text":
    from rich.text import Text

    text = Text()
    text.append(f"{severity}: ", style=_FINDING_STYLES[severity])
    text.append(f"{visible(found.where)}: " if found.where else "", style="bold")
    text.append(visible(found.finding.message))
    return text


def _print_others(console: "Console", report: ValidationReport, passed: bool) -> None:
    """Checks that found nothing and those that were skipped: by name, or counted by subject and by reason."""
    from rich.padding import Padding

    good = [result for result in report.results if result.status == "passed"]
    skipped = [result for result in report.results if result.status == "skipped"]
    if passed:
        for title, results in (("passed", good), ("skipped", skipped)):
            if results:
                console.print(f"\n{title}", style="bold")
            for result in results:
                console.print(Padding(_line(result), (0, 0, 0, 2)))
        return
    if good:
        subjects = Counter(result.check.name.partition(".")[0] for result in good)
        told = ", ".join(f"{subject} {n}" for subject, n in subjects.items())
        console.print(f"\n{MARKS['passed']} {count(len(good), 'check')} found nothing: {told}", style="green")
    reasons = Counter(visible(result.read) for result in skipped)
    for reason, n in reasons.items():
        console.print(f"{MARKS['skipped']} {n} skipped: {reason}", style="dim")


def summary(report: ValidationReport) -> str:
    """One line: how many checks, and what they found."""
    ran = sum(result.status != "skipped" for result in report.results)
    skipped = len(report.results) - ran
    parts = [count(report.count(severity), severity) for severity in SEVERITIES]
    beside = f", {len(report.crashed)} crashed" if report.crashed else ""
    beside += f", {skipped} skipped" if skipped else ""
    return f"{', '.join(parts)} in {ran} checks{beside}, {report.seconds:.1f} s"
