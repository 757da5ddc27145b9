"""Points painted into a picture: as quick for ten million as for ten thousand, and never a path apiece."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.plot.colouring import Categories, NumberColors, Plain, color_bar, is_number
from titin.plot.columns import require
from titin.plot.palettes import SEQUENTIAL, Palette
from titin.plot.style import figure_of, finish, new_axes, set_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PIXELS_AN_INCH = 200
OVERSAMPLING = 2  # in both directions, for smooth edges of the discs
_AREA = 130_000.0  # square points, of all dots together: a cloud is as dark with many cells as with few


@dataclass(frozen=True)
class Canvas:
    """The part of the data that a picture covers.

    Attributes
    ----------
    left, bottom
        Data coordinates of the corner.
    step
        Width and height of a pixel in data units.
    width, height
        Pixels.
    """

    left: float
    bottom: float
    step: float
    width: int
    height: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top, as ``imshow`` wants them."""
        right, top = self.left + self.width * self.step, self.bottom + self.height * self.step
        return self.left, right, self.bottom, top


def fit_canvas(xy: NDArray[np.float64], inches: float, margin: float = 0.03) -> Canvas:
    """Lay a canvas over points, with a margin as a share of the longer side, which is so many inches."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    long = float((high - low).max()) or 1.0
    low, high = low - margin * long, high + margin * long
    step = long * (1 + 2 * margin) / round(float(np.clip(inches * PIXELS_AN_INCH, 200, 2000)))
    width, height = (max(1, int(np.ceil(side / step - 1e-9))) for side in (high - low).tolist())
    return Canvas(float(low[0]), float(low[1]), step, width, height)


def diameter(n: int) -> float:
    """Diameter of each of n points, in points (1/72 inch)."""
    return float(np.clip(2 * np.sqrt(_AREA / max(n, 1) / np.pi), 0.7, 5.5))


def paint(
    xy: NDArray[np.float64], colors: NDArray[np.uint8], canvas: Canvas, size: float, *, beneath: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Paint discs in the order given, later ones over earlier ones.

    Parameters
    ----------
    xy
        Finite positions, shape ``(n, 2)``.
    colors
        Red, green, blue of each, shape ``(n, 3)``.
    canvas
        What to paint on.
    size
        Diameter in points.
    beneath
        Those to paint before all others, shape ``(n,)``.

    Returns
    -------
    ndarray
        RGBA, uint8, shape ``(height, width, 4)``, the lowest row first.
    """
    shape = canvas.height * OVERSAMPLING, canvas.width * OVERSAMPLING
    radius = size / 72 * PIXELS_AN_INCH * OVERSAMPLING / 2
    if beneath.any():
        first = np.argsort(~beneath, kind="stable")
        xy, colors = xy[first], colors[first]
    top = _topmost(xy, canvas, radius, shape)
    picture = np.zeros((*shape, 4), np.uint8)
    covered = top > 0
    picture[covered, :3] = colors[top[covered] - 1]
    picture[covered, 3] = 255
    return _smooth(picture)


def _topmost(xy: NDArray[np.float64], canvas: Canvas, radius: float, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Number, from 1, of the last disc to cover each pixel; 0 where there is none."""
    height, width = shape
    fine = canvas.step / OVERSAMPLING
    column = np.clip(((xy[:, 0] - canvas.left) / fine).astype(np.int64), 0, width - 1)
    row = np.clip(((xy[:, 1] - canvas.bottom) / fine).astype(np.int64), 0, height - 1)
    centre = np.zeros(height * width, np.int32)
    centre[row * width + column] = np.arange(1, len(xy) + 1, dtype=np.int32)  # the last of equals stays
    place = np.flatnonzero(centre)
    place = place[np.argsort(centre[place])]
    rank, row, column = centre[place], place // width, place % width
    covered = np.zeros(height * width, np.int32)
    for down, right in _disc(radius):
        y, x = row + down, column + right
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        at = (y * width + x)[inside]
        covered[at] = np.maximum(covered[at], rank[inside])  # ranks ascend, so the last of equals is the highest
    return covered.reshape(shape)


def _disc(radius: float) -> NDArray[np.int64]:
    """Offsets of the pixels of a disc; at least one."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    offsets = np.column_stack([y.ravel(), x.ravel()])
    near: NDArray[np.bool_] = (offsets**2).sum(axis=1) <= max(radius - 0.5, 0.5) ** 2
    return np.asarray(offsets[near], np.int64)


def _smooth(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean of each square of pixels, colours weighted by their opacity."""
    height, width = picture.shape[0] // OVERSAMPLING, picture.shape[1] // OVERSAMPLING
    total = np.zeros((height, width, 4), np.uint16)
    for down in range(OVERSAMPLING):
        for right in range(OVERSAMPLING):
            total += picture[down::OVERSAMPLING, right::OVERSAMPLING]
    covered = np.maximum(total[..., 3] // 255, 1)
    return np.concatenate([total[..., :3] // covered[..., None], total[..., 3:] // OVERSAMPLING**2], axis=2).astype(
        np.uint8
    )


def embedding(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    color: str | None = None,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (5.2, 4.2),
    palette: Palette | None = None,
    title: str | None = None,
    save: Path | str | None = None,
    labels: bool | None = None,
    size: float | None = None,
    seed: int = 0,
) -> "Axes":
    """Draw cells at two coordinates, coloured by a column.

    Points are painted into a picture, in random order, so that no category hides another and ten million points take
    seconds; cells without a value or a category lie beneath in grey.

    Parameters
    ----------
    table
        One row a cell.
    x, y
        Columns of coordinates. Cells without are left out, and counted in the axis label.
    color
        A column. Numbers have a colour bar; anything else is taken for categories. None draws all in one colour.
    ax, figsize, palette, title, save
        As for all figures; see `titin.plot`. ``palette`` for numbers is the name of a colour map.
    labels
        Write the categories' names on the map, each on cells of its own where there is room, and else not; by default
        where there are more than 12 and each keeps to a place of its own, or more than 20. All categories are in the
        legend with their cells; of more than 60, the largest.
    size
        Diameter of the points, points (1/72 inch); by default from their number.
    seed
        Of the drawing order.

    Returns
    -------
    matplotlib.axes.Axes
        Its first image is the cloud, its texts are the names.

    Raises
    ------
    TitinError
        If there is no such column, or no cell has coordinates.
    """
    xy, kept = _coordinates(table, x, y)
    axes = ax if ax is not None else new_axes(figsize)
    order = np.random.default_rng(seed).permutation(len(xy))
    canvas = _frame(axes, xy)
    coloring: Plain | NumberColors | Categories
    if color is None:
        coloring = Plain(len(xy), palette)
    else:
        values = require(table, color)[kept]
        coloring = NumberColors(values, palette) if is_number(values) else Categories(values, palette, xy, labels)
    discs = diameter(len(xy)) if size is None else size
    _show(axes, paint(xy[order], coloring.rows[order], canvas, discs, beneath=~coloring.known[order]), canvas)
    _name_axes(axes, x, y, len(table), len(xy))
    if title:
        set_title(axes, title)  # before the names, which need to know what room is left
    coloring.explain(axes)
    alt = f"Map of {len(xy):,} cells by {x} and {y}" + (f", coloured by {color}: {coloring.said}" if color else "")
    return finish(axes, title=None, alt=f"{alt}.", save=save)


def density(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    ax: "Axes | None" = None,
    figsize: tuple[float, float] = (5.2, 4.2),
    palette: str | None = None,
    title: str | None = None,
    save: Path | str | None = None,
    bins: int = 160,
) -> "Axes":
    """Draw how many cells lie where, on a logarithmic scale.

    Parameters
    ----------
    table, x, y
        As for `embedding`.
    ax, figsize, palette, title, save
        As for all figures; ``palette`` is the name of a colour map.
    bins
        Squares along the longer side.

    Returns
    -------
    matplotlib.axes.Axes
        Its first image holds the numbers of cells, masked where there is none; they sum to the cells drawn.

    Raises
    ------
    TitinError
        If there is no such column, or no cell has coordinates.
    """
    from matplotlib.colors import LogNorm

    xy, _ = _coordinates(table, x, y)
    axes = ax if ax is not None else new_axes(figsize)
    frame = _frame(axes, xy)
    step = max(frame.width, frame.height) * frame.step / bins
    n = max(1, int(np.ceil(frame.width * frame.step / step))), max(1, int(np.ceil(frame.height * frame.step / step)))
    canvas = Canvas(frame.left, frame.bottom, step, *n)
    left, right, bottom, top = canvas.extent
    counts = np.histogram2d(xy[:, 1], xy[:, 0], bins=(n[1], n[0]), range=((bottom, top), (left, right)))[0]
    image = _show(axes, np.ma.masked_equal(counts, 0), canvas)
    image.set_norm(LogNorm(1, max(2.0, counts.max())))
    image.set_cmap(palette or SEQUENTIAL)
    color_bar(axes, image, "cells a square")
    _name_axes(axes, x, y, len(table), len(xy))
    alt = (
        f"Density of {len(xy):,} cells on the map of {x} and {y}: "
        f"at most {int(counts.max()):,} in one of {bins} squares along a side."
    )
    return finish(axes, title=title, alt=alt, save=save)


def _coordinates(table: pd.DataFrame, x: str, y: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    xy = np.column_stack([require(table, name).to_numpy(np.float64, na_value=np.nan) for name in (x, y)])
    kept = np.isfinite(xy).all(axis=1)
    if not kept.any():
        raise TitinError(f"no cell has coordinates in {x} and {y}")
    return xy[kept], kept


def _frame(axes: "Axes", xy: NDArray[np.float64]) -> Canvas:
    """Set the limits to hold all points, one unit as long up as across."""
    box = axes.get_window_extent()
    canvas = fit_canvas(xy, max(box.width, box.height) / figure_of(axes).dpi)
    left, right, bottom, top = canvas.extent
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="box", anchor="W")
    return canvas


def _show(axes: "Axes", picture: Any, canvas: Canvas) -> Any:
    smooth = "antialiased" if picture.ndim == 3 else "nearest"
    return axes.imshow(picture, extent=canvas.extent, origin="lower", interpolation=smooth, aspect="equal", zorder=2)


def _name_axes(axes: "Axes", x: str, y: str, n: int, drawn: int) -> None:
    left_out = "" if n == drawn else f", {n - drawn:,} without coordinates"
    axes.set_xlabel(f"{x}   (n = {drawn:,}{left_out})", loc="left")
    axes.set_ylabel(y, loc="bottom")
