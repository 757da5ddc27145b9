"""Composition: stacked bars, ridges of cells by donor, and fractions by age."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.errors import TitinError
from titin.plot.columns import require
from titin.plot.dots import trend
from titin.plot.palettes import CATEGORIES, Palette, resolve_palette
from titin.plot.style import SMALL, apply_theme, finish, ink_of, new_axes, style_legend
from titin.plot.words import name_ticks, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW = 0.1  # of the median donor's cells, below which a donor's fractions are marked
_FEW_CELLS = "few cells"


def stacked_bars(
    table: pd.DataFrame,
    *,
    group: str,
    part: str,
    value: str | None = None,
    share: bool = False,
    order: Sequence[object] | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (7.0, 4.2),
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw a bar for each group, of its parts one above the other, with the group's total over it.

    Parameters
    ----------
    table
        One row a cell; or, with ``value``, one row an amount.
    group, part
        Columns of categories, such as donor and cell type. Rows without either are not counted.
    value
        Column of amounts; rows count 1 where not given.
    share
        Draw shares of the group's total, 0 … 100 %, in place of amounts.
    order
        The groups from left to right, such as donors by age; their own order if not given.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        One container of bars a part, labelled with its name, the largest part lowest.

    Raises
    ------
    TitinError
        If there is no such column, or nothing to count.
    """
    amounts = _count(table, group, part, value, order)
    totals = amounts.sum(axis=1)
    heights = amounts.div(totals.where(totals > 0, 1), axis=0) * 100 if share else amounts
    colors = resolve_palette(list(amounts.columns), palette)
    axes = ax if ax is not None else new_axes(figsize)
    at, floor = np.arange(len(amounts)), np.zeros(len(amounts))
    by_size = amounts.sum().sort_values(ascending=False, kind="stable").index
    for name in by_size:
        tall = heights[name].to_numpy(float)
        axes.bar(at, tall, 0.8, floor, color=colors[name], label=str(name), linewidth=0)
        floor += tall
    for place, top, total in zip(at.tolist(), floor.tolist(), totals, strict=True):
        axes.text(
            place, top, f" {total:,.0f}", rotation=90, ha="center", va="bottom", fontsize=SMALL, color=ink_of(axes)
        )
    axes.set_ylim(0, float(floor.max()) * 1.2)
    if share:
        axes.set_yticks(range(0, 101, 20))
    name_ticks(axes.xaxis, at, amounts.index, rotation=90 if len(at) > 6 else 0)
    axes.set_xlabel(group)
    axes.set_ylabel((f"% of {value}" if value else "% of cells") if share else (value or "cells"))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _key(axes, part)
    alt = (f"Stacked bars of {len(amounts)} groups ({group}) by {part}: " + ", ".join(
        f"{name} {total:,.0f}" for name, total in totals.items())) + "."  # fmt: skip
    return finish(axes, title=title, alt=alt, save=save)


def _count(
    table: pd.DataFrame, group: str, part: str, value: str | None, order: Sequence[object] | None
) -> pd.DataFrame:
    amounts = pd.Series(1, index=table.index) if value is None else require(table, value)
    rows = pd.DataFrame({"group": require(table, group), "part": require(table, part), "amount": amounts})
    counted: pd.DataFrame = rows.pivot_table("amount", "group", "part", aggfunc="sum", fill_value=0, observed=True)
    counted = counted if order is None else counted.reindex(list(order), fill_value=0)
    if counted.empty or not counted.to_numpy().sum() > 0:
        raise TitinError(f"no row has both {group} and {part}", "there is nothing to draw")
    return counted


def _key(axes: "Axes", part: str) -> None:
    """Name the parts, the largest first."""
    from matplotlib.patches import Patch

    bars: Any = axes.containers
    handles = [Patch(color=bar.patches[0].get_facecolor(), label=bar.get_label()) for bar in bars]
    style_legend(axes, handles, title=part)


def ridge(
    table: pd.DataFrame,
    *,
    group: str,
    value: str,
    color: str | None = None,
    order: Sequence[object] | None = None,
    xlabel: str | None = None,
    overlap: float = 1.6,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] | None = None,
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw the distribution of a number in each group as a ridge, the median as a dot, n beside it.

    Parameters
    ----------
    table
        One row a cell.
    group, value
        Columns, such as donor and score; rows without either are left out.
    color
        Column of categories, the same throughout a group.
    order
        The groups from top to bottom.
    xlabel
        In place of the name of ``value``.
    overlap
        Height of the highest ridge in rows.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        One filled area a group, from top to bottom, and one line of markers, the medians.

    Raises
    ------
    TitinError
        If there is no such column, or no value.
    """
    needed = [group, value, *([color] if color else [])]
    for name in needed:
        require(table, name)
    data = table.dropna(subset=[group, value])
    if data.empty:
        raise TitinError(f"no row has {group} and {value}", "there is nothing to draw")
    names: list[Any] = list(order) if order is not None else sorted(data[group].unique(), key=str)
    names = [name for name in names if (data[group] == name).any()]
    axes = ax if ax is not None else new_axes(figsize or (5.4, min(12.0, 1.4 + 0.24 * len(names))))
    values = data[value].to_numpy(float)
    low, high = (float(q) for q in np.quantile(values, [0.001, 0.999]))
    span = (high - low) or 1.0
    along = np.linspace(low - 0.03 * span, high + 0.03 * span, 240)
    shades = _shades(data, group, color, names, palette)
    heights = [_density(values[(data[group] == name).to_numpy()], along, span) for name in names]
    highest = max(float(h.max()) for h in heights)
    medians = []
    for i, (named, height) in enumerate(zip(names, heights, strict=True)):
        axes.fill_between(along, i, i - overlap * height / highest, color=shades[named], alpha=0.75, linewidth=0.6,
                          edgecolor=ink_of(axes), zorder=2 + i / len(names))  # fmt: skip
        medians.append(float(np.median(values[(data[group] == named).to_numpy()])))
    axes.plot(medians, range(len(names)), linestyle="", marker="o", markersize=4, color=ink_of(axes),
              markeredgecolor="#ffffff", markeredgewidth=0.5, zorder=5)  # fmt: skip
    sizes = data[group].value_counts().to_dict()
    name_ticks(axes.yaxis, range(len(names)), [f"{shorten(name)}  n = {sizes[name]:,}" for name in names])
    axes.set_ylim(len(names) - 0.5, -overlap - 0.1)
    axes.set_xlabel(xlabel or value.replace("_", " "))
    axes.set_ylabel(group)
    if color:
        _donor_key(axes, data, color, shades, group)
    said = ", ".join(f"{name} {median:.3g}" for name, median in zip(names, medians, strict=True))
    return finish(axes, title=title, alt=f"Distributions of {value} in {len(names)} groups ({group}); medians {said}.",
                  save=save)  # fmt: skip


def _density(own: "np.ndarray", along: "np.ndarray", span: float) -> "np.ndarray":
    """Gaussian smoothing of a histogram, by Silverman's width."""
    spread = min(float(own.std()), float(np.subtract(*np.quantile(own, [0.75, 0.25]))) / 1.34 or np.inf) or span / 50
    width = max(0.9 * spread * len(own) ** -0.2, span / 80)
    counts, edges = np.histogram(own, bins=240, range=(float(along[0]), float(along[-1])))
    centres = (edges[1:] + edges[:-1]) / 2
    kernel = np.exp(-0.5 * ((along[:, None] - centres[None]) / width) ** 2)
    density: np.ndarray = kernel @ counts / (len(own) * width * np.sqrt(2 * np.pi))
    return density


def _shades(
    data: pd.DataFrame, group: str, color: str | None, names: list[object], palette: Palette | None
) -> dict[object, str]:
    if color is None:
        return dict.fromkeys(names, palette if isinstance(palette, str) else CATEGORIES[0])
    kind: Any = data.drop_duplicates(group).set_index(group, drop=False)[color]
    colors = resolve_palette(sorted(kind.dropna().unique(), key=str), palette)
    return {name: colors.get(kind[name], "#b3b3b3") for name in names}


def _donor_key(axes: "Axes", data: pd.DataFrame, color: str, shades: dict[object, str], group: str) -> None:
    from matplotlib.patches import Patch

    kind: Any = data.drop_duplicates(group).set_index(group, drop=False)[color]
    by_kind = {str(kind[name]): shade for name, shade in shades.items()}
    style_legend(axes, [Patch(color=by_kind[name], label=name) for name in sorted(by_kind)], title=color)
    axes.tick_params(axis="y", labelsize=SMALL)


def composition_by_age(
    table: pd.DataFrame,
    *,
    cell_type: str = "cell_type",
    fraction: str = "fraction",
    age: str = "age",
    color: str | None = None,
    n_cells: str | None = None,
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
    n_cells
        Column of the cells of each donor, all types together. Donors of fewer than a tenth of the median are hollow,
        and steer neither line nor axis; see `titin.plot.trend`.
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
    for name in (cell_type, fraction, age, *([color] if color else []), *([n_cells] if n_cells else [])):
        require(table, name)
    data = table.dropna(subset=[cell_type, fraction, age])
    least = _FEW * float(data[n_cells].median()) if n_cells and len(data) else 0.0
    data = data.assign(**{_FEW_CELLS: data[n_cells] < least if n_cells else False})
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
        panel.set_title(shorten(name), fontsize=SMALL, color=ink_of(axes), loc="left", pad=3)
        panel.set_xlabel(
            f"{age}  (n = {int((data[cell_type] == name).sum())})"
            if row == rows - 1 or i + columns >= len(chosen)
            else ""
        )
        panel.set_ylabel("% of cells" if column == 0 else "")
    _explain(axes, color, colors, least if data[_FEW_CELLS].any() else 0.0)
    alt = f"Fractions of {len(chosen)} cell types along age, one dot a donor: {', '.join(map(str, chosen))}."
    return finish(axes, title=title, alt=alt, save=save)


def _explain(axes: "Axes", color: str | None, colors: Palette | None, least: float) -> None:
    """Name the colours of donors, and what is hollow."""
    from matplotlib.lines import Line2D

    named = colors.items() if color and isinstance(colors, dict) else ()
    handles = [Line2D([], [], linestyle="", marker="o", color=c, label=str(k)) for k, c in named]
    if least:
        handles.append(Line2D([], [], linestyle="", marker="o", markerfacecolor="none", color=ink_of(axes),
                              label=f"fewer than {least:,.0f} cells"))  # fmt: skip
    if handles:
        style_legend(axes, handles, title=color)


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
    trend(shown, x=age, y="% of cells", color=color, few=_FEW_CELLS, ax=panel, palette=colors)
    if panel.get_legend() is not None:
        panel.get_legend().remove()  # type: ignore[union-attr]
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in panel.lines])
    highest = float(np.nanmax(drawn)) or 1.0
    panel.set_ylim(-0.04 * highest, 1.1 * highest)
