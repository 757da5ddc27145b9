"""Colours of the cells of a map, and what explains them: a bar, a legend, or names on the map."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.plot._labels import densest, separateness, write_labels
from titin.plot.colour import rgb
from titin.plot.palettes import CATEGORIES, MISSING, SEQUENTIAL, Palette, resolve_palette
from titin.plot.style import SMALL, figure_of, ink_of, style_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEY_ENTRIES = 12  # up to here a legend is read at a glance
LEGEND_ENTRIES = 20  # up to here it is bearable, where categories have no place of their own to be named at
_SEPARATE = 0.4  # from which they have
_SAID = 8  # categories that the alternative text counts


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


class Numbers:
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
        self.name, self.names, self.colors = str(values.name), [str(c) for c in categories], list(chosen.values())
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
        """Write names on the map, and a legend of those that have none."""
        written: set[str] = set()
        if self._on_map():
            anchors = densest(self.xy, self.codes, len(self.names))[self.by_size]
            written = {note.get_text() for note in write_labels(axes, [self.names[i] for i in self.by_size], anchors)}
        entries = [pair for pair in zip(self.names, self.colors, strict=True) if pair[0] not in written]
        entries = entries if len(self.names) <= LEGEND_ENTRIES else []
        if self.absent:
            entries.append(("not known", MISSING))
        if entries:
            _legend(axes, entries, self.name)

    def _on_map(self) -> bool:
        n = len(self.names)
        if self.labels is not None:
            return self.labels
        return n > LEGEND_ENTRIES or (n > KEY_ENTRIES and separateness(self.xy, self.codes, n) >= _SEPARATE)


def color_bar(axes: "Axes", mappable: Any, title: str) -> None:
    """Draw a colour bar to the right."""
    bar = figure_of(axes).colorbar(mappable, ax=axes, shrink=0.6, aspect=18, pad=0.02)
    ink = ink_of(axes)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=ink, labelsize=SMALL, length=2)
    bar.set_label(title, fontsize=SMALL, color=ink)


def _legend(axes: "Axes", entries: list[tuple[str, str]], title: str) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linestyle="", marker="o", markersize=5, color=c, label=name) for name, c in entries]
    style_legend(axes, handles, title=title)


def _bytes(colors: Sequence[str]) -> NDArray[np.uint8]:
    return np.rint(rgb(colors) * 255).astype(np.uint8)
