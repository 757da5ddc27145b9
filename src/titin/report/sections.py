"""What a report is made of: sections of sentences, tables and figures, each figure with its numbers as a file."""

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin import html
from titin.errors import TitinError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN_ROWS = 20
_FILE_ROWS = 200_000  # of a CSV beside the report


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
        bare = pd.DataFrame(table).head(_FILE_ROWS)
        bare.attrs = {}
        text = [c for c in bare if not pd.api.types.is_numeric_dtype(bare[c].dtype)]
        safe = bare.assign(**{str(c): bare[c].map(_no_formula) for c in text})
        safe.to_csv(self.folder / file, index=False, float_format="%.6g")
        self.written.append(file)
        return f"{self.folder.name}/{file}"


@dataclass
class Section:
    """One part of the report.

    Attributes
    ----------
    name
        Anchor, and what the names of its files begin with.
    title
        Heading.
    files
        Where its tables go.
    body
        HTML, in order.
    facts
        Numbers for ``metrics.json``.
    """

    name: str
    title: str
    files: Files
    body: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    _figures: list[str] = field(default_factory=list)

    def say(self, text: str, *, kind: str = "") -> None:
        """Add a paragraph of plain text."""
        self.flush()
        look = f' class="{kind}"' if kind else ""
        self.body.append(f"<p{look}>{html.escape(text)}</p>")

    def list(self, items: Iterable[str], *, title: str = "", folded: bool = False) -> None:
        """Add a list of plain text; nothing where it is empty."""
        shown = "".join(f"<li>{html.escape(item)}</li>" for item in items)
        if not shown:
            return
        self.flush()
        inside = f'<ul class="findings">{shown}</ul>'
        head = html.escape(title)
        self.body.append(f"<details><summary>{head}</summary>{inside}</details>" if folded else
                         (f"<p>{head}</p>{inside}" if title else inside))  # fmt: skip

    def heading(self, text: str) -> None:
        """Add a heading below the section's."""
        self.flush()
        self.body.append(f"<h3>{html.escape(text)}</h3>")

    def figure(self, name: str, axes: "Axes", title: str, table: pd.DataFrame | None = None) -> None:
        """Add a figure; with the table it was drawn from, its numbers lie beside the report.

        Figures that follow each other stand side by side where there is room.
        """
        from titin.plot import alt_text, to_png

        png = to_png(axes)
        self.picture(title, png, alt_text(axes), None if table is None else
                     self.files.write_table(f"{self.name}_{name}", table))  # fmt: skip

    def picture(self, title: str, png: bytes, alt: str, numbers: str | None = None) -> None:
        """Add a picture that is there already, and the address of its numbers."""
        width, height = (int.from_bytes(png[i : i + 4]) for i in (16, 20))
        data = base64.b64encode(png).decode("ascii")
        link = f' <a href="{html.escape(numbers)}">CSV</a>' if numbers else ""
        scale = 1.6  # pixels of the picture for one of the page
        self._figures.append(
            f'<figure style="--natural:{width / scale:.0f}px"><div class="plot">'
            f'<img src="data:image/png;base64,{data}" width="{width / scale:.0f}" height="{height / scale:.0f}" '
            f'alt="{html.escape(alt)}"></div>'
            f"<figcaption>{html.escape(title)}{link}</figcaption></figure>"
        )

    def table(
        self, name: str, table: pd.DataFrame, title: str, *, rows: int = _SHOWN_ROWS, folded: bool = True,
        columns: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Add the first rows of a table; all of it lies beside the report."""
        self.flush()
        link = self.files.write_table(f"{self.name}_{name}", table)
        shown = table[list(columns)] if columns else table
        head = f"{html.escape(title)} ({len(table):,} rows{'' if len(table) <= rows else f', the first {rows} here'})"
        inside = f'{_table(shown.head(rows))}<p class="soft"><a href="{html.escape(link)}">CSV</a></p>'
        self.body.append(
            f"<details><summary>{head}</summary>{inside}</details>" if folded else f"<p>{head}</p>{inside}"
        )

    def flush(self) -> None:
        """End a row of figures."""
        if self._figures:
            self.body.append(f'<div class="plots">{"".join(self._figures)}</div>')
            self._figures.clear()

    def render(self) -> str:
        """The section as HTML."""
        self.flush()
        return f'<section id="{self.name}"><h2>{html.escape(self.title)}</h2>{"".join(self.body)}</section>'


def attempt(section: Section, part: Callable[[], None]) -> bool:
    """Run a part of a section; where the dataset lacks what it needs, say so in a sentence, and return False."""
    try:
        part()
    except TitinError as reason:
        section.say(f"Not here: {reason.args[0]}.", kind="soft")
        section.facts.setdefault("missing", []).append(str(reason.args[0]))
        return False
    return True


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
