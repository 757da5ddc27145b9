"""Figures of ageing: effects with intervals, fibre types by donor, pseudotime, and parts of the variance."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.plot.columns import require
from titin.plot.palettes import Palette, resolve_palette
from titin.plot.style import SMALL, finish, ink_of, new_axes, style_legend
from titin.plot.words import name_ticks, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST_REACH = 4.0  # of an effect and its interval, in medians of all, before an axis is cut
_FEWEST_SEEN = 5  # cells in which a marker is seen where it is highest, for it to be drawn


def forest(
    table: pd.DataFrame,
    *,
    label: str,
    effect: str = "effect",
    low: str = "ci_low",
    high: str = "ci_high",
    n: str | None = "n_donors",
    adj_p_value: str | None = "adj_p_value",
    alpha: float = 0.05,
    xlabel: str | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] | None = None,
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw effects with their intervals below each other; those below ``alpha`` are filled.

    The axis is as long as most intervals ask for: what lies far beyond has an arrow at its end, and its number.

    Parameters
    ----------
    table
        One row an effect, from top to bottom.
    label, effect, low, high, n, adj_p_value
        Columns.
    alpha
        Adjusted p below which a dot is filled.
    xlabel
        In place of the name of ``effect``.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        One line of markers, the effects; then one line an interval.

    Raises
    ------
    TitinError
        If there is no such column, or no effect.
    """
    for name in [label, effect, low, high, *([n] if n else [])]:
        require(table, name)
    data = table.dropna(subset=[effect])
    if data.empty:
        raise TitinError(f"no row has {effect}", "there is nothing to draw")
    longest = max(len(shorten(name)) for name in data[label]) + (9 if n else 0)
    axes = ax if ax is not None else new_axes(figsize or (3.4 + 0.065 * longest, min(14.0, 1.2 + 0.22 * len(data))))
    color = palette if isinstance(palette, str) else "#0072b2"
    at = np.arange(len(data))
    values = data[effect].to_numpy(float)
    axes.plot(
        values, at, linestyle="", marker="o", markersize=5.5, markerfacecolor="none", markeredgecolor=color, zorder=3
    )
    clear = (data[adj_p_value] < alpha).to_numpy() if adj_p_value and adj_p_value in data else np.zeros(len(data), bool)
    for place, (a, b) in enumerate(zip(data[low], data[high], strict=True)):
        axes.plot([a, b], [place, place], color=color, linewidth=1.3, zorder=2)
    axes.plot(values[clear], at[clear], linestyle="", marker="o", markersize=5.5, color=color, zorder=4)
    _keep_scale(axes, values, data[[low, high]].to_numpy(float), color)
    axes.axvline(0, color=ink_of(axes), linewidth=0.8, zorder=1)
    sizes = [f"  (n = {k})" for k in data[n]] if n else [""] * len(data)
    name_ticks(axes.yaxis, at, [f"{shorten(name)}{k}" for name, k in zip(data[label], sizes, strict=True)])
    axes.set_ylim(len(data) - 0.4, -0.6)
    axes.set_xlabel(f"{xlabel or effect.replace('_', ' ')}, 95 % interval")
    said = f"{int(clear.sum())} of {len(data)} at adjusted p < {alpha:g}"
    return finish(axes, title=title, alt=f"Effects with 95 % intervals: {said}.", save=save)


def _keep_scale(
    axes: "Axes", values: NDArray[np.float64], ends: NDArray[np.float64], color: str
) -> None:  # fmt: skip
    """Cut an axis of effects where a few of them would squash all others, and mark what is beyond it."""
    reach = np.nanmax(np.abs(np.column_stack([ends, values])), axis=1)
    most = _LONGEST_REACH * float(np.median(reach))
    if reach.max() <= most or most == 0:
        return
    left, right = max(float(np.nanmin(ends)), -most), min(float(np.nanmax(ends)), most)
    edge = 0.04 * (right - left)
    axes.set_xlim(left - edge, right + edge)
    for place, (value, (low, high)) in enumerate(zip(values, ends, strict=True)):
        for end, limit, marker in ((low, left, "<"), (high, right, ">")):
            if (end < limit) if marker == "<" else (end > limit):
                axes.plot([limit], [place], linestyle="", marker=marker, markersize=6, color=color, clip_on=False)
        if not left <= value <= right:
            below = bool(value < left)
            axes.annotate(f"{value:+.2g}", (left if below else right, place), xytext=(8 if below else -8, 0),
                          textcoords="offset points", ha="left" if below else "right", va="center", fontsize=SMALL,
                          color=ink_of(axes))  # fmt: skip


def fibre_types(
    table: pd.DataFrame,
    *,
    age: str = "age",
    parts: Sequence[str] = ("type_1", "hybrid", "type_2"),
    donor: str = "donor",
    n: str = "n_typed",
    least: int = 0,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (6.8, 4.0),
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw the shares of fibre types of each donor, donors by age, with n over each.

    Parameters
    ----------
    table
        One row a donor, as `titin.ageing.fibres` gives them for one protocol.
    age, parts, donor, n
        Columns: years (may be missing), shares (0 … 1), names, and fibres typed.
    least
        Fibres below which a donor's bars are pale: its shares are mostly chance.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        One container of bars a part, labelled with its name, from the bottom up.

    Raises
    ------
    TitinError
        If there is no such column, or no donor has shares.
    """
    for name in [*parts, donor, n]:
        require(table, name)
    data = table.dropna(subset=list(parts))
    if data.empty:
        raise TitinError("no donor has fibres that were typed", "there is nothing to draw")
    data = data.sort_values([age, donor] if age in data else [donor], kind="stable")
    colors = resolve_palette(list(parts), palette or {"type_1": "#a6212c", "hybrid": "#cc79a7", "type_2": "#d3c864"})
    axes = ax if ax is not None else new_axes(figsize)
    at, floor = np.arange(len(data)), np.zeros(len(data))
    pale = (data[n] < least).to_numpy(bool)
    for name in parts:
        height = data[name].to_numpy(float) * 100
        bars = axes.bar(at, height, 0.8, floor, color=colors[name], label=name.replace("_", " "), linewidth=0)
        for bar in np.array(bars.patches, object)[pale]:
            bar.set_alpha(0.35)
        floor += height
    for place, count in zip(at.tolist(), data[n], strict=True):
        axes.text(
            place, 101, f" {int(count):,}", rotation=90, ha="center", va="bottom", fontsize=SMALL, color=ink_of(axes)
        )
    known = data[age].to_numpy(float) if age in data else np.full(len(data), np.nan)
    names = zip(data[donor], known, strict=True)
    years = [f"{shorten(name)}\n{years:.0f}" if np.isfinite(years) else str(name) for name, years in names]
    name_ticks(axes.xaxis, at, years, rotation=90 if len(at) > 8 else 0)
    axes.set_ylim(0, 122)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlabel("donor and age" if age in data else "donor")
    axes.set_ylabel("% of typed fibres")
    from matplotlib.patches import Patch

    handles = [Patch(color=colors[name], label=name.replace("_", " ")) for name in reversed(parts)]
    handles += [Patch(color=ink_of(axes), alpha=0.25, label=f"pale: fewer than {least} typed")] if pale.any() else []
    style_legend(axes, handles)
    means = ", ".join(f"{name} {data[name].mean():.0%}" for name in parts)
    return finish(axes, title=title, alt=f"Fibre types of {len(data)} donors by age; means {means}.", save=save)


def pseudotime(
    table: pd.DataFrame,
    *,
    time: str = "pseudotime",
    markers: Sequence[str],
    bins: int = 24,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (5.8, 3.8),
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw markers along the pseudotime, each as a share of its highest mean.

    A marker that hardly any cell has, fewer than 5 where it is highest, is named in the legend and not drawn: a share
    of next to nothing would look like much.

    Parameters
    ----------
    table
        One row a cell.
    time, markers
        Columns of numbers; cells without a time are left out.
    bins
        Of as many cells each.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        One line a marker, labelled with its name; means of bins, over the largest.

    Raises
    ------
    TitinError
        If there is no such column, or there are fewer cells than bins.
    """
    for name in [time, *markers]:
        require(table, name)
    data = table.dropna(subset=[time]).sort_values(time, kind="stable")
    if len(data) < bins:
        raise TitinError(f"{len(data)} cells are too few for {bins} bins", "give fewer bins")
    which = np.arange(len(data)) * bins // len(data)
    middle = data[time].groupby(which).mean().to_numpy()
    colors = resolve_palette(list(markers), palette)
    axes = ax if ax is not None else new_axes(figsize)
    drawn = []
    for name in markers:
        mean = data[name].groupby(which).mean().to_numpy(float)
        highest, seen = mean.max(), int((data[name] > 0).groupby(which).sum().max())
        if seen < _FEWEST_SEEN:
            axes.plot([], [], linestyle="", label=f"{name} (in too few cells)")
            continue
        drawn.append(name)
        axes.plot(middle, mean / highest, color=colors[name], linewidth=2, marker="o", markersize=3,
                  label=f"{name} (highest {highest:.2g})")  # fmt: skip
    axes.set_xlabel(f"{time}   (n = {len(data):,} cells in {bins} bins of equal size)")
    axes.set_ylabel("mean, share of the highest")
    axes.set_ylim(0, 1.05)
    style_legend(axes, list(axes.get_lines()))
    said = ", ".join(
        f"{name} highest at {middle[int(np.argmax(data[name].groupby(which).mean().to_numpy()))]:.2f}" for name in drawn
    )
    return finish(axes, title=title, alt=f"Markers along the pseudotime: {said or 'none in cells enough'}.", save=save)


def variance_parts(
    table: pd.DataFrame,
    *,
    terms: Sequence[str],
    ax: "Axes | None" = None,
    figsize: tuple[float, float] | None = None,
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw the share of each gene's variance that goes with each term: box of the quartiles, mean as a diamond.

    Parameters
    ----------
    table
        One row a gene.
    terms
        Columns of shares, up to 1, from top to bottom; unbiased ones may be below 0.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        One patch a term, from its lower to its upper quartile; one line of markers, the means; whiskers from the 5th to
        the 95th percentile.

    Raises
    ------
    TitinError
        If there is no such column, or no gene.
    """
    for name in terms:
        require(table, name)
    if table.empty or not len(terms):
        raise TitinError("there is no gene, or no term", "there is nothing to draw")
    colors = resolve_palette(list(terms), palette)
    axes = ax if ax is not None else new_axes(figsize or (6.0, 1.2 + 0.34 * len(terms)))
    means = []
    for i, name in enumerate(terms):
        values = table[name].to_numpy(float) * 100
        low, first, middle, third, high = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        axes.barh(i, third - first, 0.55, first, color=colors[name], linewidth=0, label=name)
        axes.plot([low, first], [i, i], [third, high], [i, i], color=ink_of(axes), linewidth=0.9)
        axes.plot([middle, middle], [i - 0.27, i + 0.27], color=ink_of(axes), linewidth=1.4)
        means.append(round(float(values.mean()), 1) + 0.0)  # no -0.0
    axes.axvline(0, color=ink_of(axes), linewidth=0.6)
    axes.plot(means, range(len(terms)), linestyle="", marker="D", markersize=5, color=ink_of(axes),
              markeredgecolor="#ffffff", markeredgewidth=0.6, zorder=5, label="mean")  # fmt: skip
    for i, mean in enumerate(means):
        axes.annotate(f"{mean:.1f} %", (1.0, i), xycoords=("axes fraction", "data"), xytext=(4, 0),
                      textcoords="offset points", va="center", fontsize=SMALL, color=ink_of(axes))  # fmt: skip
    name_ticks(axes.yaxis, range(len(terms)), terms)
    axes.set_ylim(len(terms) - 0.5, -0.5)
    axes.set_xlabel(f"% of the variance of a gene   (n = {len(table):,} genes; diamond and number: mean)")
    said = ", ".join(f"{name} {mean:.1f} %" for name, mean in zip(terms, means, strict=True))
    return finish(axes, title=title, alt=f"Share of the genes' variance by term, mean: {said}.", save=save)
