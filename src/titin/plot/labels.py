"""Names on a plot, each beside its points, none over another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from titin.plot.style import SMALL, figure_of, text_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

_GRID = 48


def densest(xy: NDArray[np.float64], codes: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Point of each category nearest to the middle of its densest part.

    Parameters
    ----------
    xy
        Positions, shape ``(cells, 2)``.
    codes
        Category of each, 0 … n-1; others belong to none.
    n
        Number of categories.

    Returns
    -------
    ndarray
        Shape ``(n, 2)``; NaN for a category without points. It is always one of the category's own points, also where
        the category lies in several clouds, between which a mean would fall into the void.
    """
    place = _bins(xy)
    result = np.full((n, 2), np.nan)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n + 1))
    for code in range(n):
        mine = order[bounds[code] : bounds[code + 1]]
        if not len(mine):
            continue
        count = np.bincount(place[mine], minlength=_GRID * _GRID).reshape(_GRID, _GRID)
        padded = np.pad(count, 1)
        near = np.sum([padded[i : i + _GRID, j : j + _GRID] for i in range(3) for j in range(3)], axis=0)
        row, column = np.unravel_index(int(np.argmax(near)), near.shape)
        close = (abs(place[mine] // _GRID - row) <= 1) & (abs(place[mine] % _GRID - column) <= 1)
        core = xy[mine[close]]
        result[code] = core[np.argmin(((core - np.median(core, axis=0)) ** 2).sum(axis=1))]
    return result


def separateness(xy: NDArray[np.float64], codes: NDArray[np.int64], n: int) -> float:
    """Measure how separate categories lie: 0 where they are mixed as by chance, 1 where they never meet.

    The share of a point's surroundings (a 48th of the plot each way) that is of its category, beyond that of chance.
    """
    known = (codes >= 0) & (codes < n)
    pairs = np.bincount(_bins(xy)[known] * n + codes[known], minlength=_GRID * _GRID * n).reshape(-1, n).astype(float)
    if not known.any():
        return 0.0
    here = (pairs**2 / np.maximum(pairs.sum(axis=1, keepdims=True), 1)).sum() / pairs.sum()
    chance = ((pairs.sum(axis=0) / pairs.sum()) ** 2).sum()
    return float((here - chance) / (1 - chance)) if chance < 1 else 0.0


def _bins(xy: NDArray[np.float64]) -> NDArray[np.int64]:
    low, side = xy.min(axis=0), float(np.ptp(xy, axis=0).max()) or 1.0
    cell = np.minimum(((xy - low) / side * _GRID).astype(np.int64), _GRID - 1)
    return np.asarray(cell[:, 1] * _GRID + cell[:, 0], np.int64)


def write_labels(
    axes: "Axes", names: Sequence[str], anchors: NDArray[np.float64], *, size: float = SMALL
) -> list["Annotation"]:
    """Write names near their anchors, the first where it wants to be, each next one where there is room.

    Parameters
    ----------
    axes
        Its limits are final.
    names
        Most important first.
    anchors
        Data coordinates, shape ``(n, 2)``.
    size
        Of the type, points.

    Returns
    -------
    list of Annotation
        Of the names for which there was room inside the axes; their boxes do not touch. A name away from its anchor
        has a line to it.
    """
    from matplotlib.patheffects import withStroke

    figure = figure_of(axes)
    figure.draw_without_rendering()  # the layout has to be known
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    color, halo = text_colors(axes)
    frame = np.asarray(axes.get_window_extent(renderer).extents)
    points = axes.transData.transform(anchors)
    unit = figure.dpi / 72
    written: list[Annotation] = []
    taken = np.empty((0, 4))
    for name, anchor, point in zip(names, anchors, points, strict=True):
        note = axes.annotate(
            name, anchor, (0, 0), textcoords="offset points", ha="center", va="center", fontsize=size, color=color,
            zorder=6, path_effects=[withStroke(linewidth=2.2, foreground=halo, alpha=0.9)], annotation_clip=False,
        )  # fmt: skip
        box = note.get_window_extent(renderer)
        offset = _room(point, np.array([box.width, box.height]) + 2 * unit, taken, frame)
        if offset is None:
            note.remove()
            continue
        half = np.array([box.width, box.height]) / 2 + unit
        taken = np.vstack([taken, np.concatenate([point + offset - half, point + offset + half])])
        note.set_position(tuple(offset / unit))
        if np.hypot(*np.maximum(abs(offset) - half, 0)) > 3 * unit:
            # a line of its own, not the annotation's arrow, which would count as part of the text's box
            ends = axes.transData.inverted().transform(np.vstack([point, point + offset]))
            axes.plot(*ends.T, color=color, linewidth=0.7, alpha=0.8, zorder=5, scalex=False, scaley=False,
                      path_effects=[withStroke(linewidth=1.8, foreground=halo, alpha=0.8)])  # fmt: skip
        written.append(note)
    return written


def _room(
    point: NDArray[np.float64], size: NDArray[np.float64], taken: NDArray[np.float64], frame: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Smallest move of a box from a point to where it is inside the frame and free; None if there is none."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.column_stack([np.cos(angles) * 1.3, np.sin(angles)])
    radii = size[1] * np.arange(0, 14, 0.5)
    offsets = np.vstack([np.zeros((1, 2)), (radii[1:, None, None] * ring).reshape(-1, 2)])
    low, high = point + offsets - size / 2, point + offsets + size / 2
    free = ((low >= frame[:2]) & (high <= frame[2:])).all(axis=1)
    for box in taken:
        free &= ~((low < box[2:]) & (high > box[:2])).all(axis=1)
    found = np.flatnonzero(free)
    return offsets[found[0]] if len(found) else None
