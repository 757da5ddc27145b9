"""How cells on a map are coloured, by one colour, numbers or categories, and the legend or bar that explains it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.plot.colour_spaces import rgb
from titin.plot.labels import densest, separateness, write_labels
from titin.plot.palettes import CATEGORIES, MISSING, SEQUENTIAL, Palette, resolve_palette
from titin.plot.style import SMALL, figure_of, ink_of, style_legend
from titin.plot.words import name_color_bar, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEY_ENTRIES = 12  # up to here a legend is read at a glance
LEGEND_ENTRIES = 20  # up to here it is bearable, where categories have no place of their own to be named at
MOST_ENTRIES = 60  # that a legend has
_SEPARATE = 0.4  # separateness from which a category has a place of its own
_SAID = 8  # categories that the text for those who cannot see a figure counts


def is_number(values: pd.Series) -> bool:
    """Whether a column is drawn as numbers; true and false are categories."""
    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


class Plain:
    """One colour for all.

    Attributes
    ----------
    rows
        Red, green, blue of each cell (uint8), here and in the other classes.
    known
        Cells that have a value; the others are grey.
    said
        What the alternative text says of them.
    """

    def __init__(self, n: int, palette: Palette | None) -> None:
        self.rows = np.tile(_bytes([palette if isinstance(palette, str) else CATEGORIES[0]]), (n, 1))
        self.known, self.said = np.ones(n, bool), ""

    def explain(self, axes: "Axes") -> None:
        """There is nothing to explain."""


class NumberColors:
    """A colour map over numbers."""

    def __init__(self, values: pd.Series, palette: Palette | None) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        numbers = values.to_numpy(np.float64, na_value=np.nan)
        self.known = np.isfinite(numbers)
        low, high = (0.0, 1.0) if not self.known.any() else (float(f(numbers[self.known])) for f in (np.min, np.max))
        self.name, self.map = str(values.name), palette if isinstance(palette, str) else SEQUENTIAL
        self.norm = Normalize(low, high if high > low else low + 1)
        shades = colormaps[self.map](self.norm(np.where(self.known, numbers, low)))[:, :3]
        self.rows = np.rint(shades * 255).astype(np.uint8)
        self.rows[~self.known] = _bytes([MISSING])
        absent = int((~self.known).sum())
        self.said = f"from {low:g} to {high:g}" + (f", {absent:,} cells without a value in grey" if absent else "")

    def explain(self, axes: "Axes") -> None:
        """Draw the colour bar."""
        from matplotlib.cm import ScalarMappable

        color_bar(axes, ScalarMappable(self.norm, self.map), self.name)


class Categories:
    """A colour for each category."""

    def __init__(
        self, values: pd.Series, palette: Palette | None, xy: NDArray[np.float64], labels: bool | None
    ) -> None:
        categorical = values.astype("category").cat.remove_unused_categories()
        categories = categorical.cat.categories.tolist()
        chosen = resolve_palette(categories, palette, ordered=bool(categorical.cat.ordered))
        self.codes: NDArray[np.int64] = np.asarray(categorical.cat.codes, np.int64)
        self.known = self.codes >= 0
        self.rows = _bytes([*chosen.values(), MISSING])[self.codes]
        self.name, self.names, self.colors = str(values.name), [shorten(c) for c in categories], list(chosen.values())
        self.counts = np.bincount(self.codes[self.known], minlength=len(categories))
        self.absent, self.xy, self.labels = int((~self.known).sum()), xy, labels
        self.by_size: list[int] = np.argsort(-self.counts, kind="stable").tolist()

    @property
    def said(self) -> str:
        """The largest categories, with their cells."""
        most = ", ".join(f"{self.names[i]} {self.counts[i]:,}" for i in self.by_size[:_SAID])
        more = f" and {len(self.names) - _SAID} more" if len(self.names) > _SAID else ""
        return f"{len(self.names)} categories, {most}{more}" + (
            f"; {self.absent:,} without one in grey" if self.absent else ""
        )

    def explain(self, axes: "Axes") -> None:
        """Write a legend of all with their cells, the largest where there are too many, and names on the map."""
        labelled = [f"{name}  {n:,}" for name, n in zip(self.names, self.counts.tolist(), strict=True)]
        room = min(MOST_ENTRIES, _room_of_legend(axes, labelled))
        named = sorted(self.by_size[: room if len(labelled) <= room else room - 1])
        entries = [(labelled[i], self.colors[i]) for i in named]
        if len(named) < len(labelled):
            rest = [i for i in self.by_size if i not in named]
            entries.append((f"and {len(rest)} more  {int(self.counts[rest].sum()):,}", "none"))
        if self.absent:
            entries.append((f"not known  {self.absent:,}", MISSING))
        if entries:
            _legend(axes, entries, f"{self.name}, n")
        if self._on_map():
            anchors = densest(self.xy, self.codes, len(self.names))[self.by_size]
            names = [self.names[i] for i in self.by_size]
            write_labels(axes, names, anchors, (self.xy, self.codes, self.by_size))

    def _on_map(self) -> bool:
        n = len(self.names)
        if self.labels is not None:
            return self.labels
        return n > LEGEND_ENTRIES or (n > KEY_ENTRIES and separateness(self.xy, self.codes, n) >= _SEPARATE)


def _room_of_legend(axes: "Axes", labels: Sequence[str]) -> int:
    """Entries of a legend that has half the width of the figure, and at least one column of as many as stand in it."""
    figure = figure_of(axes)
    rows = max(1, int(axes.get_window_extent().height / figure.dpi * 72 / (1.4 * SMALL)) - 2)
    column = 0.6 * SMALL / 72 * max(map(len, labels), default=1) + 0.35
    return rows * max(1, int(0.5 * figure.get_figwidth() / column))


def color_bar(axes: "Axes", mappable: Any, title: str) -> None:
    """Draw a colour bar to the right."""
    bar = figure_of(axes).colorbar(mappable, ax=axes, shrink=0.6, aspect=18, pad=0.02)
    ink = ink_of(axes)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=ink, labelsize=SMALL, length=2)
    name_color_bar(bar, title, fontsize=SMALL, color=ink)


def _legend(axes: "Axes", entries: list[tuple[str, str]], title: str) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linestyle="", marker="o", markersize=5, color=c, label=name) for name, c in entries]
    style_legend(axes, handles, title=title)


def _bytes(colors: Sequence[str]) -> NDArray[np.uint8]:
    return np.rint(rgb(colors) * 255).astype(np.uint8)
