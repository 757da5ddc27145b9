"""Fractions of cell types along age, one dot a donor, a panel a type."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from titin.errors import TitinError
from titin.plot.dots import trend
from titin.plot.embedding import require
from titin.plot.palettes import Palette, resolve_palette
from titin.plot.style import SMALL, apply_theme, finish, ink_of, new_axes, style_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def composition_by_age(
    table: pd.DataFrame,
    *,
    cell_type: str = "cell_type",
    fraction: str = "fraction",
    age: str = "age",
    color: str | None = None,
    types: Sequence[object] | None = None,
    columns: int = 4,
    palette: Palette | None = None,
    title: str | None = None,
    figsize: tuple[float, float] | None = None,
    ax: "Axes | None" = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw the fraction of each type along age, one dot a donor, a panel a type, with the line and its 95 % interval.

    Parameters
    ----------
    table
        One row a donor and type.
    cell_type, fraction, age
        Columns; rows without one of them are left out.
    color
        Column of categories that colour the dots, such as sex.
    types
        Types to draw, in this order; the most frequent 12 where not given.
    columns
        Panels beside each other.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`. On ``ax`` the panels are insets.

    Returns
    -------
    matplotlib.axes.Axes
        Empty itself; its ``child_axes`` are the panels, each as of `titin.plot.trend`.

    Raises
    ------
    TitinError
        If there is no such column, or nothing to draw.
    """
    for name in (cell_type, fraction, age, *([color] if color else [])):
        require(table, name)
    data = table.dropna(subset=[cell_type, fraction, age])
    if data.empty:
        raise TitinError(f"no row has {cell_type}, {fraction} and {age}", "there is nothing to draw")
    mean = data.groupby(cell_type, observed=True)[fraction].mean().sort_values(ascending=False)
    chosen = list(types) if types is not None else mean.index[:12].tolist()
    rows = -(-len(chosen) // columns)
    axes = ax if ax is not None else new_axes(figsize or (2.5 * min(columns, len(chosen)), 1.95 * rows + 0.3))
    axes.set_axis_off()
    colors = resolve_palette(sorted(data[color].dropna().unique(), key=str), palette) if color else palette
    across = min(columns, len(chosen))
    for i, name in enumerate(chosen):
        column, row = i % columns, i // columns
        panel = axes.inset_axes(((column + 0.22) / across, 1 - (row + 0.82) / rows, 0.72 / across, 0.62 / rows))
        _panel(panel, axes, data[data[cell_type] == name], age, fraction, color, colors)
        panel.set_title(str(name), fontsize=SMALL, color=ink_of(axes), loc="left", pad=3)
        panel.set_xlabel(
            f"{age}  (n = {int((data[cell_type] == name).sum())})"
            if row == rows - 1 or i + columns >= len(chosen)
            else ""
        )
        panel.set_ylabel("% of cells" if column == 0 else "")
    if color and isinstance(colors, dict):
        from matplotlib.lines import Line2D

        style_legend(axes, [Line2D([], [], linestyle="", marker="o", color=c, label=str(k)) for k, c in colors.items()],
                     title=color)  # fmt: skip
    alt = f"Fractions of {len(chosen)} cell types along age, one dot a donor: {', '.join(map(str, chosen))}."
    return finish(axes, title=title, alt=alt, save=save)


def _panel(
    panel: "Axes", parent: "Axes", own: pd.DataFrame, age: str, fraction: str, color: str | None,
    colors: Palette | None,
) -> None:  # fmt: skip
    panel.set_facecolor("none")
    apply_theme(panel)
    for text in (panel.xaxis.label, panel.yaxis.label):
        text.set_color(ink_of(parent))
        text.set_fontsize(SMALL)
    panel.tick_params(colors=ink_of(parent))
    for spine in panel.spines.values():
        spine.set_color(ink_of(parent))
    shown = own.assign(**{"% of cells": own[fraction] * 100})
    trend(shown, x=age, y="% of cells", color=color, ax=panel, palette=colors)
    if panel.get_legend() is not None:
        panel.get_legend().remove()  # type: ignore[union-attr]
    panel.set_ylim(-0.04 * float(shown["% of cells"].max() or 1), 1.1 * float(shown["% of cells"].max() or 1))
