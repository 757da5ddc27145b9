"""Sections as HTML, and the folder of their numbers beside the report."""

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin import html
from titin.section import Bullets, Figure, Heading, Numbers, Paragraph, Picture, Section, Table

_FILE_ROWS = 200_000  # of a CSV beside the report
_SCALE = 1.6  # pixels of a picture for one of the page


@dataclass
class Files:
    """The folder beside the report.

    Attributes
    ----------
    folder
        Where figures' numbers go.
    written
        Names, in order.
    """

    folder: Path
    written: list[str] = field(default_factory=list)

    def write_table(self, name: str, table: pd.DataFrame) -> str:
        """Write a CSV (the first 200,000 rows of a longer table); return its address from the report."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = f"{_plain(name)}.csv"
        bare = table.head(_FILE_ROWS)
        text = [c for c in bare if not pd.api.types.is_numeric_dtype(bare[c].dtype)]
        safe = bare.assign(**{str(c): bare[c].map(_no_formula) for c in text})
        safe.to_csv(self.folder / file, index=False, float_format="%.6g")
        self.written.append(file)
        return f"{self.folder.name}/{file}"


def render(section: Section, files: Files) -> str:
    """Return a section as HTML; its tables go to files."""
    parts: list[str] = []
    row: list[str] = []  # of figures that follow each other
    for block in section.blocks:
        if isinstance(block, Figure | Picture):
            row.append(_picture(section, block, files))
            continue
        parts += _side_by_side(row)
        row = []
        parts.append(_block(section, block, files))
    parts += _side_by_side(row)
    return f'<section id="{section.name}"><h2>{html.escape(section.title)}</h2>{"".join(parts)}</section>'


def _side_by_side(figures: list[str]) -> list[str]:
    return [f'<div class="plots">{"".join(figures)}</div>'] if figures else []


def _block(section: Section, block: Paragraph | Heading | Bullets | Table | Numbers, files: Files) -> str:
    if isinstance(block, Paragraph):
        look = f' class="{block.kind}"' if block.kind else ""
        return f"<p{look}>{html.escape(block.text)}</p>"
    if isinstance(block, Heading):
        return f"<h3>{html.escape(block.text)}</h3>"
    if isinstance(block, Bullets):
        items = "".join(f"<li>{html.escape(item)}</li>" for item in block.items)
        return _below(html.escape(block.title), f'<ul class="findings">{items}</ul>', folded=block.folded)
    link = html.escape(files.write_table(f"{section.name}_{block.name}", block.table))
    if isinstance(block, Numbers):
        text = html.escape(block.text).replace("{link}", f'<a href="{link}">CSV</a>')
        return f'<p class="soft">{text}</p>'
    n, first = len(block.table), f", the first {block.rows} here"
    head = f"{html.escape(block.title)} ({n:,} rows{'' if n <= block.rows else first})"
    shown = block.table[block.columns] if block.columns else block.table
    inside = f'{_table(shown.head(block.rows))}<p class="soft"><a href="{link}">CSV</a></p>'
    return _below(head, inside, folded=block.folded)


def _below(head: str, inside: str, *, folded: bool) -> str:
    if folded:
        return f"<details><summary>{head}</summary>{inside}</details>"
    return f"<p>{head}</p>{inside}" if head else inside


def _picture(section: Section, block: Figure | Picture, files: Files) -> str:
    from titin.plot import alt_text, to_png

    if isinstance(block, Figure):
        png, alt = to_png(block.axes), alt_text(block.axes)
        numbers = None if block.table is None else files.write_table(f"{section.name}_{block.name}", block.table)
    else:
        png, alt, numbers = block.png, block.alt, None
    width, height = (int.from_bytes(png[i : i + 4]) / _SCALE for i in (16, 20))
    data = base64.b64encode(png).decode("ascii")
    link = f' <a href="{html.escape(numbers)}">CSV</a>' if numbers else ""
    return (
        f'<figure style="--natural:{width:.0f}px"><div class="plot">'
        f'<img src="data:image/png;base64,{data}" width="{width:.0f}" height="{height:.0f}" '
        f'alt="{html.escape(alt)}"></div><figcaption>{html.escape(block.title)}{link}</figcaption></figure>'
    )


def _table(table: pd.DataFrame) -> str:
    numbers = [i for i, c in enumerate(table) if pd.api.types.is_numeric_dtype(table[c].dtype)]
    rows = [[html.escape(show(value)) for value in row] for row in table.itertuples(index=False)]
    names = {"adj_p_value": "adjusted p", "p_value": "p", "ci_low": "low", "ci_high": "high"}
    return html.table([names.get(str(c), str(c).replace("_", " ")) for c in table], rows, numbers=numbers)


def show(value: Any) -> str:
    """A value for people: few digits, and nothing for what is missing."""
    if value is None or value is pd.NA:
        return ""
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return ""
        number = float(value)
        if number and abs(number) < 1e-3:
            return f"{number:.1e}"
        return f"{number:,.3g}" if abs(number) < 1000 else f"{number:,.0f}"
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()


def _no_formula(value: Any) -> Any:
    """A spreadsheet takes text that begins like this for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" else value
