"""Sections as HTML, and the folder of their numbers beside the report."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from titin import html
from titin.section import Figure, LinkedNumbers, Picture, Section, Table
from titin.spreadsheet import write_csv

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
        write_csv(table.head(_FILE_ROWS), self.folder / file)
        self.written.append(file)
        return html.link(f"{self.folder.name}/{file}")


def render(section: Section, files: Files) -> Markup:
    """Return a section as HTML; its tables go to files."""
    return html.render("section.html", name=section.name, title=section.title, blocks=list(_blocks(section, files)))


def _blocks(section: Section, files: Files) -> Iterator[tuple[str, Any]]:
    """Each block as its kind and what the template asks for; figures that follow each other are one block."""
    for drawn, together in groupby(section.blocks, lambda block: isinstance(block, Figure | Picture)):
        if drawn:
            yield "pictures", [_picture(section, block, files) for block in together]  # type: ignore[arg-type]
            continue
        for block in together:
            if isinstance(block, Table | LinkedNumbers):
                link = files.write_table(f"{section.name}_{block.name}", block.table)
                yield ("table", _table(block, link)) if isinstance(block, Table) else ("numbers", _numbers(block, link))
            else:
                yield type(block).__name__.lower(), block


def show_table(table: Table, files: Files) -> dict[str, Any]:
    """What a template asks for to show a table; all of it goes to a file."""
    return _table(table, files.write_table(table.name, table.table))


def _numbers(block: LinkedNumbers, link: str) -> dict[str, Any]:
    return {"texts": block.text.split("{link}"), "link": link}


def _table(block: Table, link: str) -> dict[str, Any]:
    n = len(block.table)
    table = (block.table[block.columns] if block.columns else block.table).head(block.rows)
    names = {"adj_p_value": "adjusted p", "p_value": "p", "ci_low": "low", "ci_high": "high",
             "over_all": "adjusted p over all"}  # fmt: skip
    return {
        "head": f"{block.title} ({n:,} rows{'' if n <= block.rows else f', the first {block.rows} here'})",
        "folded": block.folded,
        "link": link,
        "header": [names.get(str(c), str(c).replace("_", " ")) for c in table],
        "rows": [[show(value) for value in row] for row in table.itertuples(index=False)],
        "numbers": [i for i, c in enumerate(table) if pd.api.types.is_numeric_dtype(table[c].dtype)],
    }


def _picture(section: Section, block: Figure | Picture, files: Files) -> dict[str, Any]:
    from titin.plot import alt_text, to_png

    if isinstance(block, Figure):
        png, alt = to_png(block.axes), alt_text(block.axes)
        link = None if block.table is None else files.write_table(f"{section.name}_{block.name}", block.table)
    else:
        png, alt, link = block.png, block.alt, None
    width, height = (int.from_bytes(png[i : i + 4]) / _SCALE for i in (16, 20))
    return {"title": block.title, "source": html.data_url(png), "alt": alt, "link": link,
            "width": f"{width:.0f}", "height": f"{height:.0f}"}  # fmt: skip


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
