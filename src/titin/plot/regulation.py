"""Figures of regulators: their activity by type and age, and a small network of them and their targets."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.plot.columns import require
from titin.plot.matrix import add_color_bar, hatch
from titin.plot.palettes import DIVERGING, Palette
from titin.plot.style import SMALL, finish, ink_of, new_axes, style_legend
from titin.plot.words import name_ticks, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DONORS_A_BIN, _MOST_BINS = 3, 6
_LANES = (0.0, -0.25, 0.25)  # heights of dots within a row, for those of one age
_MOST_EDGES = 200
_MOST_REGULATORS = 60
_SWEEPS = 12
_LONG = 3.8  # inches from regulators to targets
_THIN, _THICK = 0.6, 3.0  # points, of the weakest and the strongest edge
_ACTIVATES, _REPRESSES = "activates", "represses"
_COLORS = {_ACTIVATES: "#d55e00", _REPRESSES: "#0072b2"}
_LINES: dict[str, Any] = {_ACTIVATES: "-", _REPRESSES: (0, (3, 1.6))}
_ENDS = {_ACTIVATES: ">", _REPRESSES: "|"}


def activity_by_age(
    table: pd.DataFrame,
    *,
    row: str = "cell_type",
    age: str = "age",
    value: str = "mean",
    order: Sequence[object] | None = None,
    label: str = "activity",
    limit: float | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] | None = None,
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw values by row and age as colours: the mean of donors of like age as the ground, each donor as a dot on it.

    The age axis is in years, cut into bins of about three donors or more each, at most six, which all rows share. A dot
    has the colour of its donor's own value, so that what a mean rests on is seen; dots of one age stand one above the
    other, which carries no meaning.

    Parameters
    ----------
    table
        One row a donor and row of the figure; those without age or value are left out.
    row, age, value
        Columns: what a row of the figure is, years, and a number of which 0 is the middle.
    order
        The rows from top to bottom; by appearance where not given.
    label
        Of the colours.
    limit
        Largest distance from 0 that is told apart; that of the 98th percentile where not given.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`. The palette is the name of a colour map.

    Returns
    -------
    matplotlib.axes.Axes
        One mesh, its array the means (rows × bins, masked where there is no donor), and one collection of dots.

    Raises
    ------
    TitinError
        If there is no such column, or no donor has both numbers.
    """
    for name in (row, age, value):
        require(table, name)
    data = table.replace([np.inf, -np.inf], np.nan).dropna(subset=[row, age, value])
    rows = [*order] if order is not None else [*dict.fromkeys(data[row])]
    place = pd.Index(rows).get_indexer(pd.Index(data[row]))
    data, place = data[place >= 0], place[place >= 0]
    if data.empty:
        raise TitinError(f"no row has {row}, {age} and {value}", "there is nothing to draw")
    years, values = data[age].to_numpy(float), data[value].to_numpy(float)
    edges = _bins_of(np.unique(years), years[place == np.bincount(place).argmax()])
    which = np.clip(np.searchsorted(edges, years, side="right") - 1, 0, len(edges) - 2)
    sums, n = (np.zeros((len(rows), len(edges) - 1)) for _ in range(2))
    np.add.at(sums, (place, which), values)
    np.add.at(n, (place, which), 1)
    means = np.ma.masked_where(n == 0, sums / np.maximum(n, 1))
    longest = max(len(shorten(name)) for name in rows) + 8
    axes = (
        ax if ax is not None else new_axes(figsize or (4.9 + 0.065 * longest, min(14.0, 1.3 + 0.3 * max(3, len(rows)))))
    )
    far = limit or float(np.quantile(np.abs(values), 0.98)) or 1.0
    look: dict[str, Any] = {"cmap": palette if isinstance(palette, str) else DIVERGING, "vmin": -far, "vmax": far}
    if (n == 0).any():
        hatch(axes, "no donor")
    mesh = axes.pcolormesh(edges, np.arange(len(rows) + 1) - 0.5, means, linewidth=0, **look)
    up = place + _lanes(years, place, 0.025 * float(np.ptp(edges)))
    axes.scatter(years, up, s=19, c=values, linewidths=0.7, edgecolors="#1a1a1a", zorder=3, **look)
    for between in range(1, len(rows)):  # the ground that parts the rows is that of the page
        axes.axhline(between - 0.5, color=ink_of(axes), linewidth=0.4, zorder=2)
    sizes = np.bincount(place, minlength=len(rows))
    named = [f"{shorten(name)}  (n = {k})" for name, k in zip(rows, sizes, strict=True)]
    name_ticks(axes.yaxis, range(len(rows)), named)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("age (years); ground: mean of donors of like age, dot: a donor")
    add_color_bar(axes, mesh, label)
    alt = (f"Heat map of {label} in {len(rows)} rows by age, {years.min():.0f} to {years.max():.0f} years in "
           f"{len(edges) - 1} bins, and {len(data)} dots of donors; values from {values.min():.3g} to "
           f"{values.max():.3g}.")  # fmt: skip
    return finish(axes, title=title, alt=alt, save=save)


def _bins_of(known: NDArray[np.float64], donors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of bins, half way between ages that occur: of a row's donors, about as many lie in each."""
    wanted = int(np.clip(len(donors) // _DONORS_A_BIN, 1, min(_MOST_BINS, len(known))))
    first = np.searchsorted(known, np.quantile(donors, np.arange(1, wanted) / wanted))
    first = np.unique(np.clip(first, 1, len(known) - 1)) if wanted > 1 else np.zeros(0, np.int64)
    pad = max(1.0, 0.03 * float(np.ptp(known)))
    return np.concatenate([[known[0] - pad], (known[first - 1] + known[first]) / 2, [known[-1] + pad]])


def _lanes(years: NDArray[np.float64], place: NDArray[np.int64], gap: float) -> NDArray[np.float64]:
    """How far each dot stands from the middle of its row: not at all but where another is near."""
    found = np.zeros(len(years))
    for row in np.unique(place):
        last = [-np.inf] * len(_LANES)
        own = np.flatnonzero(place == row)
        for i in own[np.argsort(years[own], kind="stable")]:
            free = [lane for lane in range(len(_LANES)) if years[i] - last[lane] >= gap]
            lane = free[0] if free else int(np.argmin(last))
            found[i], last[lane] = _LANES[lane], years[i]
    return found


def regulator_network(
    table: pd.DataFrame,
    *,
    regulator: str = "regulator",
    target: str = "target",
    weight: str = "weight",
    label: str = "weight",
    ax: "Axes | None" = None,
    figsize: tuple[float, float] | None = None,
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw a small network: regulators at the left, targets at the right, a line an edge.

    What activates is a solid line that ends in an arrow, what represses a dashed one that ends in a bar, each in a
    colour of its own; the width of a line is the size of its weight. Targets and regulators stand so that few lines
    cross, which the same edges always give in the same way. A gene that is a regulator and a target has a place on both
    sides.

    Parameters
    ----------
    table
        One row an edge, 200 at most; those without weight, or with one of 0, are left out.
    regulator, target, weight
        Columns: names, and a number whose sign is that of the regulation.
    label
        What weights are, for the legend.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`. Of the palette, colours of ``activates`` and ``represses``.

    Returns
    -------
    matplotlib.axes.Axes
        One patch an edge, its label ``regulator → target``, in the order of the table.

    Raises
    ------
    TitinError
        If there is no such column, no edge, or there are too many to be told apart.
    """
    for name in (regulator, target, weight):
        require(table, name)
    data = table.replace([np.inf, -np.inf], np.nan).dropna(subset=[regulator, target, weight])
    data = data[data[weight] != 0].drop_duplicates([regulator, target])
    if data.empty:
        raise TitinError("no edge has a weight", "there is nothing to draw")
    if len(data) > _MOST_EDGES or data[regulator].nunique() > _MOST_REGULATORS:
        many = f"{len(data):,} edges of {data[regulator].nunique():,} regulators"
        raise TitinError(f"{many} are too many to be told apart",
                         f"give {_MOST_EDGES} edges of {_MOST_REGULATORS} regulators at most")  # fmt: skip
    left, sources = pd.factorize(data[regulator].astype(str), sort=True)
    right, targets = pd.factorize(data[target].astype(str), sort=True)
    at_left, at_right = _heights(left, right)
    beside = [0.1 + 0.068 * max(len(shorten(name)) for name in own) for own in (sources, targets)]
    size = (min(16.0, _LONG + 1.2 + sum(beside)), min(14.0, 0.7 + 0.19 * max(8, len(targets))))
    axes = ax if ax is not None else new_axes(figsize or size)
    sizes = np.abs(data[weight].to_numpy(float))
    widths = _THIN + (_THICK - _THIN) * sizes / sizes.max()
    kinds = np.where(data[weight] > 0, _ACTIVATES, _REPRESSES)
    colors = _COLORS | (palette if isinstance(palette, dict) else {})
    start, end = _ports(left, right, at_left, at_right, 0.5), _ports(right, left, at_right, at_left, 0.3)
    names = [f"{a} → {b}" for a, b in zip(data[regulator], data[target], strict=True)]
    for i, (kind, name) in enumerate(zip(kinds.tolist(), names, strict=True)):
        _draw_edge(axes, float(start[i]), float(end[i]), kind, str(colors[kind]), float(widths[i]), name)
    for place, own, side in ((at_left, sources, "right"), (at_right, targets, "left")):
        x, away = (0.0, -4) if side == "right" else (1.0, 4)
        for height, name in zip(place, own, strict=True):
            axes.annotate(shorten(name), (x, height), xytext=(away, 0), textcoords="offset points", ha=side,
                          va="center", fontsize=SMALL, color=ink_of(axes), annotation_clip=False,
                          fontweight="bold" if side == "right" else "normal")  # fmt: skip
    axes.set_ylim(max(at_left.max(), at_right.max()) + 0.7, min(at_left.min(), at_right.min()) - 0.7)
    axes.set_xlim(-0.02 - beside[0] / _LONG, 1.03 + beside[1] / _LONG)
    axes.set_axis_off()
    _explain(axes, sorted(set(kinds.tolist())), colors, sizes, label)
    n = int((kinds == _ACTIVATES).sum())
    alt = (f"Network of {len(sources)} regulators and {len(targets)} targets: {n} edges that activate, {len(data) - n} "
           f"that repress; {label} up to {sizes.max():.3g}.")  # fmt: skip
    return finish(axes, title=title, alt=alt, save=save)


def _draw_edge(
    axes: "Axes", start: float, end: float, kind: str, color: str, width: float, name: str
) -> None:  # fmt: skip
    """One edge: a curve that leaves and arrives level, and what its end looks like."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    stop = 0.985
    curve = Curve([(0.0, start), (0.45, start), (0.55, end), (stop, end)], [Curve.MOVETO, *[Curve.CURVE4] * 3])
    axes.add_patch(PathPatch(curve, facecolor="none", edgecolor=color, linewidth=width, linestyle=_LINES[kind],
                             capstyle="butt", alpha=0.85, label=name, zorder=2))  # fmt: skip
    bar = kind == _REPRESSES
    mark: dict[str, Any] = {"markersize": (5.5 if bar else 3.5) + width, "markeredgewidth": 1.8 if bar else 0.0}
    axes.plot([stop], [end], linestyle="", marker=_ENDS[kind], color=color, zorder=3, **mark)


def _explain(
    axes: "Axes", kinds: Sequence[str], colors: dict[Any, Any], sizes: NDArray[np.float64], label: str
) -> None:  # fmt: skip
    """The legend: what lines and their ends mean, and what their width does."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colors[kind], linestyle=_LINES[kind], linewidth=1.8, marker=_ENDS[kind],
                      markersize=5.5, markeredgewidth=1.6 if kind == _REPRESSES else 0.0, label=kind)
               for kind in kinds]  # fmt: skip
    for size in dict.fromkeys([float(sizes.max()), float(sizes.min())]):
        width = _THIN + (_THICK - _THIN) * size / sizes.max()
        handles.append(Line2D([], [], color=ink_of(axes), linewidth=width, label=f"{label} {size:.2g}"))
    style_legend(axes, handles)


def _heights(left: NDArray[np.int64], right: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights of regulators and targets, such that few edges cross: each side in turn by the mean of the other's.

    Of the sweeps the one with the fewest crossings is kept; ties are by name. Regulators then stand at the middle of
    their targets, as near as their own distance of at least one row allows.
    """
    n_left, n_right = int(left.max()) + 1, int(right.max()) + 1
    order_left, order_right = np.arange(n_left, dtype=float), np.arange(n_right, dtype=float)
    best, fewest = (order_left, order_right), np.inf
    for _ in range(_SWEEPS):
        order_right = _ranks(_mean_of(right, order_left[left], n_right))
        order_left = _ranks(_mean_of(left, order_right[right], n_left))
        crossings = _crossings(order_left[left], order_right[right])
        if crossings < fewest:
            best, fewest = (order_left, order_right), crossings
    middle = _mean_of(left, best[1][right], n_left)
    return _apart(middle, best[0]), best[1]


def _mean_of(own: NDArray[np.int64], other: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(own, other, n) / np.bincount(own, minlength=n))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.empty(len(values))
    found[np.argsort(np.round(values, 9), kind="stable")] = np.arange(len(values))
    return found


def _crossings(a: NDArray[np.float64], b: NDArray[np.float64]) -> int:
    """Pairs of edges that cross, by the ranks of their ends."""
    return int(((a[:, None] < a) & (b[:, None] > b)).sum())


def _apart(middle: NDArray[np.float64], order: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights in a given order, near to those wanted, one row apart at least: least squares, by pooled neighbours."""
    first = np.argsort(order)
    wanted = middle[first] - np.arange(len(first))  # one row apart is then: none lower than the one before
    blocks: list[list[float]] = []
    for value in wanted.tolist():
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    level = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    found = np.empty(len(first))
    found[first] = level + np.arange(len(first))
    return found


def _ports(
    own: NDArray[np.int64], other: NDArray[np.int64], at: NDArray[np.float64], at_other: NDArray[np.float64],
    most: float,
) -> NDArray[np.float64]:  # fmt: skip
    """Where each edge touches a gene: side by side, in the order of their other ends, so that none covers another."""
    found = at[own].astype(float)
    for gene in np.unique(own):
        mine = np.flatnonzero(own == gene)
        mine = mine[np.argsort(at_other[other[mine]], kind="stable")]
        step = min(0.2, 2 * most / max(1, len(mine) - 1))
        found[mine] += (np.arange(len(mine)) - (len(mine) - 1) / 2) * step
    return found
