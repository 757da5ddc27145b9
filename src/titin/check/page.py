"""Pictures for the report: each map of the cells by age, type, sex, donor, protocol and density; cells by donor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from titin import html
from titin.check.findings import SEVERITIES, Finding
from titin.check.report import MARKS, Result, Status, ValidationReport
from titin.dataset.layout import projection_columns
from titin.errors import TitinError
from titin.plot import alt_text, density, embedding, stacked_bars, to_png
from titin.plot.palettes import AGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from titin.check.dataset import CheckedDataset


_SIZE = (5.2, 4.2)
_LABELLED = (5.2, 5.2)  # names need room, a legend does not


@dataclass(frozen=True)
class Figure:
    """A picture with its words.

    Attributes
    ----------
    name
        Unique among the figures; fit for a file name.
    title
        What it shows, in a few words.
    png
        The picture: transparent, with ink that reads on light and dark pages.
    alt
        What it shows in a sentence with numbers, for those who cannot see it.
    """

    name: str
    title: str
    png: bytes
    alt: str


def make(context: "CheckedDataset") -> list[Figure]:
    """Draw what the dataset has: what it lacks, a role or a projection, has no figure.

    Parameters
    ----------
    context
        The dataset under validation.

    Returns
    -------
    list of Figure
        Of each projection its first two dimensions by age, coarsest cell type, sex, donor, protocol, and its density;
        then the cells of each donor by type.
    """
    return list(_figures(context))


def _figures(context: "CheckedDataset") -> Iterator[Figure]:
    columns = _columns(context)
    for key in context.manifest.obsm:
        table, x, y = _coordinates(context, key, columns)
        if table is None:
            continue
        stem = key.removeprefix("X_")
        for role, column in columns.items():
            palette = AGE if role == "age" else None
            title = f"{stem} by {role.replace('_', ' ')}"
            size = _LABELLED if role == "cell_type" else _SIZE
            axes = embedding(table, x=x, y=y, color=str(column.name), palette=palette, title=title, figsize=size)
            yield _figure(f"{stem}_{role}", title, axes)
        title = f"{stem}, density of cells"
        yield _figure(f"{stem}_density", title, density(table, x=x, y=y, title=title, figsize=_SIZE))
    if "donor" in columns and "cell_type" in columns:
        title = "Cells of each donor, by type"
        yield _figure("cells_by_donor", title, _bars(context, columns, title))


def _figure(name: str, title: str, axes: "Axes") -> Figure:
    return Figure(name, title, to_png(axes), alt_text(axes))


def _columns(context: "CheckedDataset") -> dict[str, pd.Series]:
    """Columns to colour by, by role; ages as numbers, exact ones if there are any; types at the coarsest level."""
    columns: dict[str, pd.Series] = {}
    for role in ("age", "cell_type", "sex", "donor", "protocol"):
        if context.missing(role) is not None:
            continue
        column = context.study.values(role)
        if role == "age":
            column = column if context.study.ages is None else context.study.ages.rename("age (years)")
        if role != "age" and column.dtype.name != "category":
            column = column.astype("string")
        columns[role] = column
    return columns


def _coordinates(
    context: "CheckedDataset", key: str, columns: dict[str, pd.Series]
) -> tuple[pd.DataFrame | None, str, str]:
    """Table of the first two dimensions beside the columns; None if there are not two."""
    matrix = np.asarray(context.atlas.obsm[key])
    if matrix.ndim != 2 or matrix.shape[1] < 2:
        return None, "", ""
    x, y = projection_columns(key, 2)
    table = pd.DataFrame({column.name: column.array for column in columns.values()})
    return table.assign(**{x: matrix[:, 0], y: matrix[:, 1]}), x, y


def _bars(context: "CheckedDataset", columns: dict[str, pd.Series], title: str) -> "Axes":
    """Donors by age where it is known, else by name."""
    donor = columns["donor"].astype("string")
    table = pd.DataFrame({"donor": donor.array, "type": columns["cell_type"].astype("string").array})
    names = context.study.donors_by_age
    axes = stacked_bars(
        table, group="donor", part="type", order=names, title=title, figsize=(max(6.0, 3.6 + 0.26 * len(names)), 4.2)
    )
    axes.set_xlabel("donor" if context.study.donor_ages is None else "donor, by age")
    return axes


_CLASSES: dict[Status, str] = {"passed": "pass", "note": "pass", "warning": "warning", "error": "error",
                               "skipped": "skipped"}  # fmt: skip


def make_figures(report: ValidationReport) -> "tuple[Sequence[Figure], str]":
    """Draw the figures of a report; without matplotlib, none, and why."""
    if report.context is None:
        return [], ""
    try:
        from titin.check import page as figures

        return figures.make(report.context), ""
    except ImportError as error:
        return [], f"{error.name or error} is not installed"
    except TitinError as error:
        return [], str(error.args[0])


def make_page(report: ValidationReport, figures: "Sequence[Figure]" = (), reason: str = "") -> str:
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


def _finding_section(report: ValidationReport) -> str:
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


def _check_table(report: ValidationReport) -> str:
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
