"""The report as a page, and as a table on a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from titin import html
from titin.check.registry import SEVERITIES, Finding
from titin.check.report import Report, Result, Status
from titin.errors import TitinError

if TYPE_CHECKING:
    from titin.check.figures import Figure

MARKS: dict[Status, str] = {"passed": "✓", "note": "✓", "warning": "!", "error": "✗", "skipped": "–"}
_CLASSES: dict[Status, str] = {"passed": "pass", "note": "pass", "warning": "warning", "error": "error",
                               "skipped": "skipped"}  # fmt: skip


def make_figures(report: Report) -> "tuple[Sequence[Figure], str]":
    """Draw the figures of a report; without matplotlib, none, and why."""
    if report.context is None:
        return [], ""
    try:
        from titin.check import figures

        return figures.make(report.context), ""
    except ImportError as error:
        return [], f"{error.name or error} is not installed"
    except TitinError as error:
        return [], str(error.args[0])


def make_page(report: Report, figures: "Sequence[Figure]" = (), reason: str = "") -> str:
    """Return the report as one self-contained page.

    Parameters
    ----------
    figures
        Shown below the checks.
    reason
        Why there are none.
    """
    facts = report.facts
    title = f"Validation of {Path(report.dataset).name}"
    verdict = "no errors" if report.passed else f"{report.count('error'):,} errors"
    against = f" against {report.source.name}" if report.source else ""
    subtitle = f"{verdict}, level {report.level}{against}; {report.timestamp}, {report.seconds:.1f} s"
    tiles = html.tiles([
        (f"{facts['n_cells']:,}", "cells"), (f"{facts['n_genes']:,}", "genes"), (f"{facts['nnz']:,}", "values"),
        (f"{report.count('error'):,}", "errors"), (f"{report.count('warning'):,}", "warnings"),
        (f"{report.count('note'):,}", "notes"),
    ])  # fmt: skip
    parts = [tiles, _finding_section(report), "<h2>Checks</h2>", _check_table(report)]
    if figures:
        drawn = [html.figure(f.title, f.png, f.alt) for f in figures]
        parts += ["<h2>Figures</h2>", html.figures(drawn)]
    elif reason:
        parts.append(f'<p class="soft">No figures: {html.escape(reason)}.</p>')
    return html.page(title, "\n".join(parts), subtitle=subtitle)


def _finding_section(report: Report) -> str:
    rows = []
    for severity in SEVERITIES:
        for result, finding in report.findings(severity):
            rows.append([f'<span class="{severity}">{severity}</span>', _describe(result.check.name, finding)])
    if not rows:
        return '<p class="pass">Nothing was found.</p>'
    return "<h2>Findings</h2>\n" + html.table(["", "what was found"], rows)


def _describe(name: str, finding: Finding) -> str:
    where = f": {finding.where}" if finding.where else ""
    parts = [html.escape(finding.message), f"<code>{html.escape(name + where)}</code>"]
    if finding.hint:
        parts.append(f'<span class="soft">{html.escape(finding.hint)}</span>')
    return "<br>".join(parts)


def _check_table(report: Report) -> str:
    rows = [
        [
            f'<span class="{_CLASSES[r.status]}">{MARKS[r.status]} {r.status}</span>',
            f"{html.escape(r.check.title)}<br><code>{html.escape(r.check.name)}</code>",
            html.escape(_read(r)),
            f"{r.seconds:.2f}",
        ]
        for r in report.results
    ]
    return html.table(["", "what holds", "what was read", "seconds"], rows, numbers=[3])


def _read(result: Result) -> str:
    return result.outcome.skipped if result.outcome.skipped is not None else result.outcome.read
