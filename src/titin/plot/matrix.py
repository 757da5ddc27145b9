"""Tables of groups by genes: as dots of detection and mean, and as a heat map."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.plot.columns import require
from titin.plot.palettes import DIVERGING, SEQUENTIAL, Palette
from titin.plot.style import SMALL, finish, ink_of, new_axes
from titin.plot.words import make_legend, name_color_bar, name_ticks, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST = 140.0  # points² of a dot of full detection
_LEAST = 3.0  # and of one that is not zero


def dot_plot(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    color: str = "mean",
    size: str = "fraction",
    x_order: Sequence[object] | None = None,
    y_order: Sequence[object] | None = None,
    color_label: str | None = None,
    size_label: str | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] | None = None,
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw a dot for each pair of categories, its area by one number, its colour by another.

    Parameters
    ----------
    table
        One row a pair, such as gene and cell type.
    x, y
        Columns of categories.
    color, size
        Columns of numbers; ``size`` is a fraction, 0 … 1.
    x_order, y_order
        The categories from left to right and from top to bottom; by appearance where not given.
    color_label, size_label
        In place of the columns' names.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`. The palette is the name of a colour map.

    Returns
    -------
    matplotlib.axes.Axes
        One collection of all dots, its array the colours' numbers.

    Raises
    ------
    TitinError
        If there is no such column, or no pair.
    """
    data = (
        table.dropna(subset=[x, y, color, size])
        if all(require(table, c) is not None for c in (x, y, color, size))
        else table
    )
    if data.empty:
        raise TitinError(f"no row has {x}, {y}, {color} and {size}", "there is nothing to draw")
    across = list(x_order) if x_order is not None else list(dict.fromkeys(data[x]))
    down = list(y_order) if y_order is not None else list(dict.fromkeys(data[y]))
    width = figsize or _size(across, down)
    axes = ax if ax is not None else new_axes(width)
    column, row = pd.Index(across).get_indexer(pd.Index(data[x])), pd.Index(down).get_indexer(pd.Index(data[y]))
    shown = (column >= 0) & (row >= 0)
    share = np.clip(data[size].to_numpy(float), 0, 1)
    drawn = axes.scatter(
        column[shown], row[shown], s=_area(share[shown]), c=data[color].to_numpy(float)[shown],
        cmap=palette if isinstance(palette, str) else SEQUENTIAL, linewidths=0.3, edgecolors=ink_of(axes),
    )  # fmt: skip
    nothing = shown & (share == 0)
    axes.plot(column[nothing], row[nothing], linestyle="", marker="x", markersize=2.5, markeredgewidth=0.6,
              color=ink_of(axes), alpha=0.7)  # fmt: skip
    _grid_labels(axes, across, down, x, y)
    add_color_bar(axes, drawn, color_label or color)
    handles: list[Any] = [
        axes.scatter([], [], s=_area(np.array([f])), color=ink_of(axes), linewidths=0, label=f"{f:.0%}")
        for f in (0.1, 0.25, 0.5, 1)
    ]
    handles += axes.plot([], [], linestyle="", marker="x", markersize=2.5, markeredgewidth=0.6, color=ink_of(axes),
                         label="none")  # fmt: skip
    legend = make_legend(
        axes, handles, size_label or size, loc="lower left", bbox_to_anchor=(1.01, 0.0), frameon=False,
        fontsize=SMALL, title_fontsize=SMALL, labelcolor=ink_of(axes), borderaxespad=0.0, alignment="left",
    )  # fmt: skip
    legend.get_title().set_color(ink_of(axes))
    alt = f"Dot plot of {len(down)} {y} by {len(across)} {x}: colour {color_label or color}, area {size_label or size}."
    return finish(axes, title=title, alt=alt, save=save)


def _area(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points² of the dots of some shares: none of 0, and of what is more enough to be seen."""
    return np.where(share > 0, np.maximum(_LARGEST * share, _LEAST), 0.0)


def heat_map(
    table: pd.DataFrame,
    *,
    label: str = "value",
    centre: float | None = None,
    limit: float | None = None,
    marks: pd.DataFrame | None = None,
    missing: str = "no value",
    x_label: str | None = None,
    y_label: str | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] | None = None,
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw a table of numbers as colours.

    Parameters
    ----------
    table
        Rows × columns, named; where a value is missing the ground is hatched, which no number looks like.
    label
        Of the colours.
    centre
        Number that has the middle colour; the colours then diverge from it.
    limit
        Largest distance from ``centre`` that is told apart; that of the 98th percentile where not given.
    marks
        Booleans of the same shape: a dot is drawn where true.
    missing
        What a missing value means, for the legend.
    x_label, y_label
        Of the axes; the names of columns and index where not given.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`. The palette is the name of a colour map.

    Returns
    -------
    matplotlib.axes.Axes
        One image, its array the numbers.

    Raises
    ------
    TitinError
        If there is no number.
    """
    values = table.to_numpy(float)
    if not values.size or not np.isfinite(values).any():
        raise TitinError("the table holds no number", "there is nothing to draw")
    size = figsize or _size(list(table.columns), list(table.index))
    axes = ax if ax is not None else new_axes(size)
    look: dict[str, Any] = {"cmap": palette if isinstance(palette, str) else SEQUENTIAL}
    if centre is not None:
        far = limit or float(np.nanquantile(np.abs(values - centre), 0.98)) or 1.0
        look = {"cmap": palette if isinstance(palette, str) else DIVERGING, "vmin": centre - far, "vmax": centre + far}
    drawn = axes.imshow(np.ma.masked_invalid(values), aspect="auto", interpolation="nearest", **look)
    if not np.isfinite(values).all():
        hatch(axes, missing)
    _grid_labels(
        axes, list(table.columns), list(table.index), x_label or table.columns.name, y_label or table.index.name
    )
    if marks is not None:
        down, across = np.nonzero(marks.to_numpy(bool))
        axes.plot(across, down, linestyle="", marker="o", markersize=4.5, color="#1a1a1a", markeredgecolor="#ffffff",
                  markeredgewidth=0.8)  # fmt: skip
    add_color_bar(axes, drawn, label)
    said = f"from {np.nanmin(values):.3g} to {np.nanmax(values):.3g}"
    return finish(axes, title=title, alt=f"Heat map of {label}, {len(table)} rows × {table.shape[1]} columns, {said}.",
                  save=save)  # fmt: skip


def hatch(axes: "Axes", missing: str) -> None:
    """Hatch the ground of an Axes, which is seen where an image has no value, and say what it means."""
    from matplotlib.patches import Patch

    look: dict[str, Any] = {"facecolor": "none", "edgecolor": "#b3b3b3", "hatch": "/////", "linewidth": 0.0}
    axes.patch.set(**look)
    make_legend(axes, [Patch(**look, label=missing)], None, loc="upper left", bbox_to_anchor=(1.0, 0.55),
                frameon=False, fontsize=SMALL, labelcolor=ink_of(axes), borderaxespad=0.3,
                handlelength=1.2)  # fmt: skip


def _size(across: list[Any], down: list[Any]) -> tuple[float, float]:
    """Room for every row, every column and their names, inches."""
    beside = 0.068 * max(len(shorten(name)) for name in down)
    below = 0.068 * max(len(shorten(name)) for name in across)
    return min(16.0, 1.9 + beside + 0.24 * max(4, len(across))), min(16.0, 0.9 + below + 0.2 * max(8, len(down)))


def _grid_labels(axes: "Axes", across: list[Any], down: list[Any], x: object, y: object) -> None:
    name_ticks(axes.xaxis, range(len(across)), across, rotation=90)
    name_ticks(axes.yaxis, range(len(down)), down)
    axes.set_xlim(-0.7, len(across) - 0.3)
    axes.set_ylim(len(down) - 0.3, -0.7)
    axes.set_xlabel("" if x is None else str(x).replace("_", " "))
    axes.set_ylabel("" if y is None else str(y).replace("_", " "))


def add_color_bar(axes: "Axes", drawn: Any, label: str) -> None:
    """Set a bar of colours at the upper right of an Axes, with what they are beside it."""
    inset = axes.inset_axes((1.015, 0.6, 0.035, 0.4))
    inset.set_label("color bar")
    bar = axes.get_figure(root=True).colorbar(drawn, cax=inset)  # type: ignore[union-attr]
    name_color_bar(bar, label.replace("_", " "), color=ink_of(axes), fontsize=SMALL)
    bar.ax.tick_params(colors=ink_of(axes), labelsize=SMALL, width=0.6, length=2)
    bar.outline.set_visible(False)
