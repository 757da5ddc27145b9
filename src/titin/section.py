"""A section of a report as data: sentences, lists, tables and figures, in order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from titin.errors import TitinError, reason_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_ROWS = 20


@dataclass(frozen=True)
class Paragraph:
    """Plain text; of the ``kind`` ``soft`` where it matters less."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Heading:
    """A heading below the section's."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of plain text, perhaps folded below its title."""

    items: list[str]
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing, and the table it was drawn from."""

    name: str
    axes: "Axes"
    title: str
    table: pd.DataFrame | None = None


@dataclass(frozen=True)
class Picture:
    """A PNG that is there already."""

    title: str
    png: bytes
    alt: str


@dataclass(frozen=True)
class Table:
    """A table of which the first ``rows`` of some ``columns`` (all where None) are shown."""

    name: str
    table: pd.DataFrame
    title: str
    rows: int = SHOWN_ROWS
    folded: bool = True
    columns: list[str] | None = None


@dataclass(frozen=True)
class LinkedNumbers:
    """A table that is not shown but can be had; ``{link}`` in the text stands for where."""

    name: str
    table: pd.DataFrame
    text: str


Block = Paragraph | Heading | Bullets | Figure | Picture | Table | LinkedNumbers


@dataclass
class Section:
    """One part of a report.

    Attributes
    ----------
    name
        Anchor, and what the names of its files begin with.
    title
        Heading.
    blocks
        In order.
    facts
        LinkedNumbers by name, JSON-safe.
    """

    name: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def say(self, text: str, *, kind: str = "") -> None:
        """Add a paragraph of plain text."""
        self.blocks.append(Paragraph(text, kind))

    def list(self, items: Iterable[str], *, title: str = "", folded: bool = False) -> None:
        """Add a list of plain text; nothing where it is empty."""
        shown = [*items]
        if shown:
            self.blocks.append(Bullets(shown, title, folded))

    def heading(self, text: str) -> None:
        """Add a heading below the section's."""
        self.blocks.append(Heading(text))

    def figure(self, name: str, axes: "Axes", title: str, table: pd.DataFrame | None = None) -> None:
        """Add a figure, and the table it was drawn from; figures that follow each other stand side by side."""
        self.blocks.append(Figure(name, axes, title, table))

    def picture(self, title: str, png: bytes, alt: str) -> None:
        """Add a picture that is there already."""
        self.blocks.append(Picture(title, png, alt))

    def table(
        self, name: str, table: pd.DataFrame, title: str, *, rows: int = SHOWN_ROWS, folded: bool = True,
        columns: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        """Add the first rows of a table; all of it lies beside the report."""
        self.blocks.append(Table(name, table, title, rows, folded, None if columns is None else [*columns]))

    def numbers(self, name: str, table: pd.DataFrame, text: str) -> None:
        """Add a sentence that says where a table can be had: ``{link}`` in it becomes the link."""
        self.blocks.append(LinkedNumbers(name, table, text))

    def attempt(self, part: Callable[[], None]) -> bool:
        """Run what makes a part of this section; where the dataset lacks what it needs, say so, and return False."""
        try:
            part()
        except TitinError as reason:
            self.say(f"Not here: {reason_of(reason)}.", kind="soft")
            self.facts.setdefault("missing", []).append(reason_of(reason))
            return False
        return True
