"""One dot a donor: values by group, and values along a number."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.plot.columns import known_rows
from titin.plot.palettes import CATEGORIES, Palette, resolve_palette
from titin.plot.style import finish, ink_of, new_axes, style_legend
from titin.plot.words import name_ticks, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def dots(
    table: pd.DataFrame,
    *,
    group: str,
    value: str,
    color: str | None = None,
    order: Sequence[object] | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (4.8, 3.6),
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
    seed: int = 0,
) -> "Axes":
    """Draw the values of each group as dots, one a row, with the median as a line and n under the group's name.

    Parameters
    ----------
    table
        One row a donor (or whatever is the replicate).
    group, value
        Columns; rows without either are left out.
    color
        Column of categories that colour the dots.
    order
        The groups from left to right.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.
    seed
        Of the sideways scatter, which carries no meaning.

    Returns
    -------
    matplotlib.axes.Axes
        One line of markers a colour, then one line a median.

    Raises
    ------
    TitinError
        If there is no such column, or no value.
    """
    data = known_rows(table, [group, value], [color] if color else [])
    groups = (
        list(order)
        if order is not None
        else data[group].astype("category").cat.remove_unused_categories().cat.categories.tolist()
    )
    place = pd.Index(groups).get_indexer(pd.Index(data[group]))
    axes = ax if ax is not None else new_axes(figsize)
    across = place + np.random.default_rng(seed).uniform(-0.16, 0.16, len(data))
    shown = place >= 0
    _scatter(axes, across[shown], data.loc[shown], value, color, palette)
    sizes, medians = [], []
    for i in range(len(groups)):
        values = data.loc[place == i, value].to_numpy(float)
        sizes.append(len(values))
        if len(values):
            medians.append(float(np.median(values)))
            axes.plot([i - 0.3, i + 0.3], [medians[-1]] * 2, color=ink_of(axes), linewidth=1.6, zorder=4)
    named = [f"{shorten(name)}\nn = {n}" for name, n in zip(groups, sizes, strict=True)]
    name_ticks(axes.xaxis, range(len(groups)), named)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_xlabel(group)
    axes.set_ylabel(value)
    summary = ", ".join(f"{g} (n = {n})" for g, n in zip(groups, sizes, strict=True))
    said = ", ".join(f"{median:.3g}" for median in medians)
    return finish(axes, title=title, alt=f"Dots of {value} by {group}: {summary}; medians {said}.", save=save)


def trend(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    color: str | None = None,
    few: str | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (4.8, 3.6),
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw values along a number, one dot a row, with the least-squares line and its 95 % interval.

    Parameters
    ----------
    table
        One row a donor (or whatever is the replicate).
    x, y
        Columns of numbers, such as age; rows without either are left out.
    color
        Column of categories that colour the dots; the line is that of all.
    few
        Column of booleans: values that rest on few cells. They are drawn hollow, have no part in the line, and one that
        lies beyond the others by more than their range is a triangle at the edge.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        One line of markers a colour, then the fitted line; the interval is its one filled area. Neither is drawn for
        fewer than 3 rows, or a single value of x.

    Raises
    ------
    TitinError
        If there is no such column, or no row has both numbers.
    """
    data = known_rows(table, [x, y, *([few] if few else [])], [color] if color else [])
    axes = ax if ax is not None else new_axes(figsize)
    hollow = data[few].to_numpy(bool) if few and not data[few].all() else np.zeros(len(data), bool)
    solid = data[~hollow]
    _scatter(axes, solid[x].to_numpy(float), solid, y, color, palette)
    if hollow.any():
        _mark_few(axes, data[hollow], x, y, solid[y].to_numpy(float))
    across, up = solid[x].to_numpy(float), solid[y].to_numpy(float)
    said = ""
    if len(across) >= 3 and np.ptp(across) > 0:
        along = np.linspace(across.min(), across.max(), 80)
        line, half, slope = _fit(across, up, along)
        axes.plot(along, line, color=ink_of(axes), linewidth=1.4, zorder=2)
        axes.fill_between(along, line - half, line + half, color=ink_of(axes), alpha=0.18, linewidth=0, zorder=1)
        said = f", slope {slope:.3g} of {y} a unit of {x}"
    axes.set_xlabel(f"{x}   (n = {len(data)})")
    axes.set_ylabel(y)
    return finish(axes, title=title, alt=f"Dots of {y} along {x}, n = {len(data)}{said}.", save=save)


def _mark_few(axes: "Axes", few: pd.DataFrame, x: str, y: str, others: NDArray[np.float64]) -> None:
    """Draw hollow what rests on few cells, and at the edge what would stretch the axis."""
    low, high = float(others.min()), float(others.max())
    span = (high - low) or abs(high) or 1.0
    look: dict[str, Any] = {"linestyle": "", "markerfacecolor": "none", "markeredgecolor": ink_of(axes)}
    up, across = few[y].to_numpy(float), few[x].to_numpy(float)
    least, most = low - span, high + span
    inside = (up >= least) & (up <= most)
    axes.plot(across[inside], up[inside], marker="o", markersize=5, zorder=3, **look)
    for beyond, edge, marker in ((up > most, most, "^"), (up < least, least, "v")):
        if beyond.any():
            axes.plot(across[beyond], np.full(int(beyond.sum()), edge), marker=marker, markersize=6, zorder=3, **look)


def _scatter(
    axes: "Axes",
    across: NDArray[np.float64],
    data: pd.DataFrame,
    value: str,
    color: str | None,
    palette: Palette | None,
) -> None:
    """Draw one line of markers a category, and the legend of them."""
    from matplotlib.lines import Line2D

    up = data[value].to_numpy(float)
    look = {
        "linestyle": "",
        "marker": "o",
        "markersize": 5.5,
        "markeredgewidth": 0.5,
        "markeredgecolor": "#ffffff",
        "zorder": 3,
    }
    if color is None:
        axes.plot(across, up, color=palette if isinstance(palette, str) else CATEGORIES[0], **look)  # type: ignore[arg-type]
        return
    labels = data[color].astype("category").cat.remove_unused_categories()
    colors = resolve_palette(labels.cat.categories.tolist(), palette, ordered=bool(labels.cat.ordered))
    handles = []
    for name, shade in colors.items():
        mine = (labels == name).to_numpy()
        handles += axes.plot(across[mine], up[mine], color=shade, label=str(name), **look)  # type: ignore[arg-type]
    style_legend(
        axes,
        [Line2D([], [], linestyle="", marker="o", color=h.get_color(), label=h.get_label()) for h in handles],
        title=color,
    )


def _fit(
    x: NDArray[np.float64], y: NDArray[np.float64], along: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Least-squares line, half the width of the 95 % interval of its mean, and its slope."""
    from scipy.stats import t

    middle = x.mean()
    spread = ((x - middle) ** 2).sum()
    slope = float(((x - middle) * (y - y.mean())).sum() / spread)
    residual = y - y.mean() - slope * (x - middle)
    error = np.sqrt((residual**2).sum() / (len(x) - 2) * (1 / len(x) + (along - middle) ** 2 / spread))
    return y.mean() + slope * (along - middle), t.ppf(0.975, len(x) - 2) * error, slope
