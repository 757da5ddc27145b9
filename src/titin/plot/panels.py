"""Small multiples of a map: one panel a category, its cells in colour over all others in grey."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from titin.errors import TitinError
from titin.plot.colour_spaces import rgb
from titin.plot.columns import require
from titin.plot.embedding import diameter, fit_canvas, paint
from titin.plot.palettes import CATEGORIES
from titin.plot.style import SMALL, finish, ink_of, new_axes
from titin.plot.words import make_literal, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY = "#dcdfe3"
_INCHES = 1.45  # of a panel
_LETTERS = 20  # of its title


def embedding_panels(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str,
    order: Sequence[object] | None = None,
    columns: int = 6,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] | None = None,
    palette: str | None = None,
    title: str | None = None,
    save: Path | str | None = None,
) -> "Axes":
    """Draw a small map for each category of a column, such as donor: its cells in colour, all others in grey.

    Seventeen donors on one map have colours that nobody tells apart, and hide each other; beside each other it is seen
    which cells each of them gave.

    Parameters
    ----------
    table
        One row a cell.
    x, y
        Columns of coordinates; cells without are left out.
    by
        A column of categories.
    order
        The categories, from left to right and down; by name where not given.
    columns
        Panels beside each other.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`. ``palette`` is the one colour. On ``ax`` the panels are insets.

    Returns
    -------
    matplotlib.axes.Axes
        Empty itself; its ``child_axes`` are the panels, each with one image, and titled with its name and cells.

    Raises
    ------
    TitinError
        If there is no such column, or no cell has coordinates and a category.
    """
    xy = np.column_stack([require(table, name).to_numpy(np.float64, na_value=np.nan) for name in (x, y)])
    groups = require(table, by).astype(object)
    kept = np.isfinite(xy).all(axis=1)
    xy, groups = xy[kept], groups[kept]
    names = list(order) if order is not None else sorted(groups.dropna().unique(), key=str)
    if not len(xy) or not names:
        raise TitinError(f"no cell has {x}, {y} and {by}", "there is nothing to draw")
    across, rows = min(columns, len(names)), -(-len(names) // columns)
    axes = ax if ax is not None else new_axes(figsize or (_INCHES * across, (_INCHES + 0.25) * rows))
    axes.set_axis_off()
    canvas = fit_canvas(xy, _INCHES)
    size = min(diameter(len(xy)), 2.4)
    for i, name in enumerate(names):
        mine = (groups == name).to_numpy(bool)
        colors = np.rint(rgb([_GREY, palette or CATEGORIES[0]]) * 255).astype(np.uint8)[mine.astype(int)]
        place = ((i % columns + 0.03) / across, 1 - (i // columns + 0.97) / rows, 0.94 / across, 0.8 / rows)
        panel = axes.inset_axes(place)
        panel.imshow(paint(xy, colors, canvas, size, beneath=~mine), extent=canvas.extent, origin="lower",
                     interpolation="antialiased", aspect="equal")  # fmt: skip
        panel.set_axis_off()
        made = panel.set_title("-", fontsize=SMALL, color=ink_of(axes), loc="left", pad=2)
        make_literal(made, f"{shorten(name, _LETTERS)}, n = {int(mine.sum()):,}")
    sizes = ", ".join(f"{name} {int((groups == name).sum()):,}" for name in names)
    alt = f"Maps of {len(xy):,} cells by {x} and {y}, a panel a {by}: {sizes}."
    return finish(axes, title=title, alt=alt, save=save)
