"""Figures of a benchmark: predicted against actual, confusion by lineage, reliability, learning curve, leak gap."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from titin.errors import TitinError
from titin.plot.columns import require
from titin.plot.palettes import CATEGORIES, Palette, resolve_palette
from titin.plot.style import SMALL, finish, ink_of, new_axes, style_legend
from titin.plot.words import name_color_bar, name_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def predicted_against_actual(
    table: pd.DataFrame, *, color: str | None = None, ax: "Axes | None" = None,
    figsize: tuple[float, float] = (4.6, 4.2), palette: Palette | None = None, title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":  # fmt: skip
    """Draw what was predicted of each held-out donor against what is true, and the line of equality.

    Parameters
    ----------
    table
        One row a donor: ``true``, ``predicted``, and ``low`` and ``high``, the ends of its interval.
    color
        Column of categories, such as sex, that colour the donors.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`.

    Raises
    ------
    TitinError
        If there is no such column or no donor.
    """
    columns = ["true", "predicted", "low", "high"]
    data = pd.DataFrame({name: require(table, name) for name in columns}).astype(float).dropna()
    if data.empty:
        raise TitinError("no donor has both values", "there is nothing to draw")
    axes = ax if ax is not None else new_axes(figsize)
    groups = pd.Series("", index=data.index) if color is None else require(table, color).loc[data.index].astype(str)
    shades = {"": CATEGORIES[0]} if color is None else resolve_palette(sorted(groups.unique()), palette)
    handles = []
    for name, shade in shades.items():
        mine = data[groups == name]
        spread = np.abs(np.vstack([mine["predicted"] - mine["low"], mine["high"] - mine["predicted"]]))
        handles.append(axes.errorbar(mine["true"], mine["predicted"], spread, fmt="o", color=shade, markersize=5.5,
                                     elinewidth=1, label=str(name)))  # fmt: skip
    ends = [float(data[columns].min().min()), float(data[columns].max().max())]
    axes.plot(ends, ends, color=ink_of(axes), linewidth=1, linestyle="--", zorder=1)
    if color is not None:
        style_legend(axes, handles, title=color)
    error = float((data["predicted"] - data["true"]).abs().mean())
    axes.set_xlabel(f"actual   (n = {len(data)} donors)")
    axes.set_ylabel("predicted, donor held out")
    alt = f"Predicted against actual for {len(data)} held-out donors; mean absolute error {error:.3g}."
    return finish(axes, title=title, alt=alt, save=save)


def confusion_matrix(
    table: pd.DataFrame, *, lineage: Mapping[str, str] | None = None, ax: "Axes | None" = None,
    figsize: tuple[float, float] = (7.5, 6.8), palette: str = "Blues", title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":  # fmt: skip
    """Draw which classes are taken for which, as shares of the true class; classes of a lineage stand together.

    Parameters
    ----------
    table
        Counts, true classes (index) × predicted classes (columns), the same names on both.
    lineage
        Of each class; lines part the lineages.
    ax, figsize, palette, title, save
        As for all figures; ``palette`` names a colour map.
    """
    if table.empty or not table.to_numpy().sum():
        raise TitinError("the confusion matrix is empty", "there is nothing to draw")
    of = {str(name): (lineage or {}).get(str(name), "") for name in table.index}
    order = sorted(table.index, key=lambda name: (of[str(name)], str(name)))
    counts = table.reindex(index=order, columns=order, fill_value=0).to_numpy(float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes = ax if ax is not None else new_axes(figsize)
    image = axes.imshow(shares, cmap=palette, vmin=0, vmax=1, aspect="equal")
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.035, pad=0.02)
    bar.ax.tick_params(colors=ink_of(axes), labelsize=SMALL)
    name_color_bar(bar, "share of the true class", color=ink_of(axes), fontsize=SMALL)
    names = [str(name) for name in order]
    name_ticks(axes.xaxis, range(len(names)), names, rotation=90)
    name_ticks(axes.yaxis, range(len(names)), names)
    for i in range(1, len(names)):
        if of[names[i]] != of[names[i - 1]]:
            axes.axhline(i - 0.5, color=ink_of(axes), linewidth=0.8)
            axes.axvline(i - 0.5, color=ink_of(axes), linewidth=0.8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    right = float(np.trace(counts) / counts.sum())
    alt = f"Confusion of {len(names)} classes, {int(counts.sum()):,} units; {right:.1%} on the diagonal."
    return finish(axes, title=title, alt=alt, save=save)


def reliability(
    table: pd.DataFrame, *, ax: "Axes | None" = None, figsize: tuple[float, float] = (4.2, 4.0),
    palette: Palette | None = None, title: str | None = None, save: Path | str | None = None,
) -> "Axes":  # fmt: skip
    """Draw how often a model is right against how sure it is, by model; the dashed line is a calibrated one.

    Parameters
    ----------
    table
        One row a model and bin: ``model``, ``confidence``, ``accuracy``, ``n``.
    """
    for name in ("model", "confidence", "accuracy", "n"):
        require(table, name)
    if table.empty:
        raise TitinError("there is no bin", "there is nothing to draw")
    axes = ax if ax is not None else new_axes(figsize)
    shades = resolve_palette(list(dict.fromkeys(table["model"])), palette)
    handles = []
    for name, shade in shades.items():
        mine = table[table["model"] == name].sort_values("confidence")
        handles += axes.plot(mine["confidence"], mine["accuracy"], marker="o", markersize=4.5, color=shade,
                             label=str(name))  # fmt: skip
    axes.plot([0, 1], [0, 1], color=ink_of(axes), linewidth=1, linestyle="--", zorder=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("share given to the predicted class")
    axes.set_ylabel("how often it is right")
    style_legend(axes, handles, title="model")
    return finish(axes, title=title, alt=f"Reliability of {len(shades)} models in {len(table)} bins.", save=save)


def learning_curve(
    table: pd.DataFrame, *, metric: str = "score", ax: "Axes | None" = None,
    figsize: tuple[float, float] = (4.8, 3.8), palette: Palette | None = None, title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":  # fmt: skip
    """Draw a score over the number of donors trained on, by model, with its interval over held-out donors.

    Parameters
    ----------
    table
        One row a model and number of donors: ``model``, ``donors``, ``value``, ``low``, ``high``.
    metric
        What the values are.
    """
    for name in ("model", "donors", "value", "low", "high"):
        require(table, name)
    if table.empty:
        raise TitinError("there is no score", "there is nothing to draw")
    axes = ax if ax is not None else new_axes(figsize)
    shades = resolve_palette(list(dict.fromkeys(table["model"])), palette)
    handles = []
    for name, shade in shades.items():
        mine = table[table["model"] == name].sort_values("donors")
        handles += axes.plot(mine["donors"], mine["value"], marker="o", markersize=4.5, color=shade, label=str(name))
        axes.fill_between(mine["donors"], mine["low"].astype(float), mine["high"].astype(float), color=shade,
                          alpha=0.15, linewidth=0)  # fmt: skip
    axes.set_xlabel("donors trained on")
    axes.set_ylabel(metric)
    style_legend(axes, handles, title="model")
    alt = f"{metric} of {len(shades)} models over {table['donors'].min()} to {table['donors'].max()} training donors."
    return finish(axes, title=title, alt=alt, save=save)


def leak_gap(
    table: pd.DataFrame, *, metric: str = "score", ax: "Axes | None" = None,
    figsize: tuple[float, float] = (5.2, 3.6), palette: Palette | None = None, title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":  # fmt: skip
    """Draw for each model its score with donors held out and what a random split of cells would have claimed.

    Parameters
    ----------
    table
        One row a model: ``model``, ``held_out``, ``leaky``.
    metric
        What the scores are.
    """
    for name in ("model", "held_out", "leaky"):
        require(table, name)
    if table.empty:
        raise TitinError("no model has both scores", "there is nothing to draw")
    axes = ax if ax is not None else new_axes(figsize)
    shades = resolve_palette(["donors held out", "random split (leaky)"], palette)
    at = np.arange(len(table))
    axes.hlines(at, table["held_out"], table["leaky"], color=ink_of(axes), linewidth=1.2, zorder=1)
    handles = [
        axes.plot(table[side], at, linestyle="", marker="o", markersize=6, color=shades[name], label=name)[0]
        for side, name in (("held_out", "donors held out"), ("leaky", "random split (leaky)"))
    ]
    name_ticks(axes.yaxis, at, table["model"])
    axes.invert_yaxis()
    axes.set_xlabel(metric)
    style_legend(axes, handles)
    worst = float((table["leaky"] - table["held_out"]).abs().max())
    return finish(axes, title=title, alt=f"{metric} of {len(table)} models; largest gap {worst:.3g}.", save=save)
