"""How much of what each group holds: stacked bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.errors import TitinError
from titin.plot.embedding import require
from titin.plot.palettes import Palette, resolve_palette
from titin.plot.style import SMALL, finish, ink_of, new_axes, style_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    axes.set_xticks(at, [str(name) for name in amounts.index], rotation=90 if len(at) > 6 else 0)
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
