"""Effects of many genes at once: against their p-values, and against their means."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.plot.columns import known_rows
from titin.plot.palettes import Palette
from titin.plot.style import SMALL, finish, ink_of, new_axes, style_legend
from titin.plot.words import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY, _UP, _DOWN = "#9a9a9a", "#d55e00", "#0072b2"
_RASTER = 5_000  # dots from which a cloud is a picture within the figure


def volcano(
    table: pd.DataFrame,
    *,
    effect: str = "log2_fold_change",
    p_value: str = "p_value",
    adj_p_value: str = "adj_p_value",
    label: str | None = "gene",
    alpha: float = 0.05,
    n_labels: int = 10,
    highlight: Sequence[str] = (),
    xlabel: str | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (6.0, 4.2),
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw effects against the negative logarithm of their p-values; those below ``alpha`` in colour.

    Parameters
    ----------
    table
        One row a gene.
    effect, p_value, adj_p_value, label
        Columns; rows without effect or p are left out.
    alpha
        Adjusted p below which a gene is in colour; a line is drawn at the largest p of these.
    n_labels
        Genes to name, the clearest first.
    highlight
        Genes to name in any case.
    xlabel
        In place of the column's name.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`. Of the palette, colours of ``up``, ``down`` and ``not significant``.

    Returns
    -------
    matplotlib.axes.Axes
        One collection of dots for each of not significant, down and up, labelled so.

    Raises
    ------
    TitinError
        If there is no such column, or no row has both numbers.
    """
    data = known_rows(_finite(table), [effect, p_value], [adj_p_value, *([label] if label else [])])
    p = data[p_value].to_numpy(float)
    height = -np.log10(np.maximum(p, max(float(p[p > 0].min(initial=1.0)) / 10, 1e-300)))
    axes = ax if ax is not None else new_axes(figsize)
    kinds = _kinds(data, effect, adj_p_value, alpha)
    x = data[effect].to_numpy(float)
    _clouds(axes, x, height, kinds, palette, alpha)
    found = kinds != 0
    if found.any():
        axes.axhline(float(height[found].min()), color=ink_of(axes), linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.axvline(0, color=ink_of(axes), linewidth=0.5, zorder=1)
    axes.set_ylim(0, max(float(height.max()) * 1.12, 1.0))
    axes.margins(x=0.12)
    if label:
        _name(axes, x, height, data[label].astype(str).to_numpy(), np.argsort(p, kind="stable")[:n_labels], highlight)
    axes.set_xlabel(xlabel or effect.replace("_", " "))
    axes.set_ylabel("−log10 p")
    said = f"{int((kinds > 0).sum())} genes up and {int((kinds < 0).sum())} down at adjusted p < {alpha:g}"
    return finish(axes, title=title, alt=f"Volcano plot of {len(data):,} genes: {said}.", save=save)


def ma_plot(
    table: pd.DataFrame,
    *,
    mean: str = "mean_log_cpm",
    effect: str = "log2_fold_change",
    adj_p_value: str = "adj_p_value",
    label: str | None = "gene",
    alpha: float = 0.05,
    n_labels: int = 8,
    ylabel: str | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (6.0, 4.2),
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw effects against mean expression; those below ``alpha`` in colour.

    Parameters
    ----------
    table
        One row a gene.
    mean, effect, adj_p_value, label, alpha, n_labels, ylabel
        As for `volcano`.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        As of `volcano`.

    Raises
    ------
    TitinError
        If there is no such column, or no row has both numbers.
    """
    data = known_rows(_finite(table), [mean, effect], [adj_p_value, *([label] if label else [])])
    axes = ax if ax is not None else new_axes(figsize)
    kinds = _kinds(data, effect, adj_p_value, alpha)
    x, y = data[mean].to_numpy(float), data[effect].to_numpy(float)
    _clouds(axes, x, y, kinds, palette, alpha)
    axes.axhline(0, color=ink_of(axes), linewidth=0.8, zorder=1)
    axes.margins(0.08)
    if label:
        order = np.argsort(data[adj_p_value].to_numpy(float), kind="stable")[:n_labels]
        _name(axes, x, y, data[label].astype(str).to_numpy(), order[kinds[order] != 0], ())
    axes.set_xlabel(mean.replace("_", " "))
    axes.set_ylabel(ylabel or effect.replace("_", " "))
    said = f"{int((kinds > 0).sum())} up and {int((kinds < 0).sum())} down at adjusted p < {alpha:g}"
    return finish(axes, title=title, alt=f"MA plot of {len(data):,} genes: {said}.", save=save)


def _finite(table: pd.DataFrame) -> pd.DataFrame:
    return table.replace([np.inf, -np.inf], np.nan)


def _kinds(data: pd.DataFrame, effect: str, adj_p_value: str, alpha: float) -> NDArray[np.int64]:
    """1 for up, -1 for down, 0 for not significant."""
    clear = (data[adj_p_value] < alpha).to_numpy()
    return np.where(clear, np.sign(data[effect].to_numpy(float)), 0).astype(np.int64)


def _clouds(
    axes: "Axes", x: NDArray[np.float64], y: NDArray[np.float64], kinds: NDArray[np.int64], palette: Palette | None,
    alpha: float,
) -> None:  # fmt: skip
    chosen: Any = palette if isinstance(palette, dict) else {}
    looks = (("not significant", 0, _GREY, 7, 0.5), ("down", -1, _DOWN, 14, 0.9), ("up", 1, _UP, 14, 0.9))
    handles = []
    for name, kind, color, size, opacity in looks:
        mine = kinds == kind
        drawn = axes.scatter(x[mine], y[mine], s=size, c=chosen.get(name, color), alpha=opacity, linewidths=0,
                             label=f"{name} ({int(mine.sum()):,})", rasterized=int(mine.sum()) > _RASTER,
                             zorder=2 + abs(kind))  # fmt: skip
        handles.append(drawn)
    style_legend(axes, handles[::-1], title=f"adjusted p < {alpha:g}")


def _name(
    axes: "Axes", x: NDArray[np.float64], y: NDArray[np.float64], names: NDArray[Any], chosen: NDArray[np.int64],
    highlight: Sequence[str],
) -> None:  # fmt: skip
    """Write names beside dots, moved up or down until none covers another and no two lines cross."""
    wanted = [*chosen.tolist(), *np.flatnonzero(np.isin(names, list(highlight))).tolist()]
    shown = {i: shorten(names[i]) for i in wanted}
    span = float(np.ptp(axes.get_ylim())) or 1.0
    height = axes.get_window_extent().height
    step = 1.25 * SMALL / 72 * axes.get_figure(root=True).dpi / max(height, 1.0) * span  # type: ignore[union-attr]
    middle = float(np.mean(axes.get_xlim()))
    _make_room(axes, x, shown, middle)
    taken: dict[str, list[tuple[float, float]]] = {"left": [], "right": []}
    for i in dict.fromkeys(wanted):
        side = "left" if x[i] < middle else "right"
        at = float(y[i])
        free = [at + k * step for k in (0, 1, -1, 2, -2)]
        low, high = axes.get_ylim()
        # names of a side stand in the order of their dots, so that no line to one crosses another's
        place = next(
            (
                f
                for f in free
                if low + step / 2 < f < high - step / 2
                and all(abs(f - t) >= step and (f - t) * (at - dot) >= 0 for dot, t in taken[side])
            ),
            None,
        )
        if place is None:
            continue
        taken[side].append((at, place))
        axes.annotate(
            shown[i], (x[i], y[i]), xytext=(-7 if side == "left" else 7, (place - at) / span * height * 72
                / axes.get_figure(root=True).dpi), textcoords="offset points",  # type: ignore[union-attr]
            ha="right" if side == "left" else "left", va="center", fontsize=SMALL, color=ink_of(axes),
            arrowprops={"arrowstyle": "-", "color": ink_of(axes), "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
            annotation_clip=False, zorder=6,
        )  # fmt: skip


def _make_room(axes: "Axes", x: NDArray[np.float64], names: dict[int, str], middle: float) -> None:
    """Widen an Axes until the names fit in on both sides."""
    figure: Any = axes.get_figure(root=True)
    width = 0.8 * axes.get_window_extent().width / figure.dpi * 72  # a legend will take some of it
    shares = {i: min(0.4, (0.62 * SMALL * len(name) + 12) / width) for i, name in names.items()}
    for _ in range(20):
        low, high = axes.get_xlim()
        left = [float(x[i]) - share * (high - low) for i, share in shares.items() if x[i] < middle]
        right = [float(x[i]) + share * (high - low) for i, share in shares.items() if x[i] >= middle]
        axes.set_xlim(min([low, *left]), max([high, *right]))
