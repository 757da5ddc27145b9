"""Names on a plot, each beside its points, none over another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from titin.plot.style import SMALL, figure_of, text_colors
from titin.plot.words import make_all_literal, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

_GRID = 48
_FARTHEST = 2.0  # heights of a name that it may stand away from its anchor


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
    axes: "Axes", names: Sequence[str], anchors: NDArray[np.float64],
    cells: tuple[NDArray[np.float64], NDArray[np.int64], Sequence[int]] | None = None, *, size: float = SMALL,
) -> list["Annotation"]:  # fmt: skip
    """Write names at their anchors, or as near as there is room: on cells of their own, or on none.

    Parameters
    ----------
    axes
        Its limits are final.
    names
        Most important first.
    anchors
        Data coordinates, shape ``(n, 2)``.
    cells
        Positions of all cells (``(cells, 2)``), their category, and the category of each name: a name is written where
        it covers more cells of its own than of any other category, or none. Where not given, anywhere near.
    size
        Of the type, points.

    Returns
    -------
    list of Annotation
        Of the names for which there was room inside the axes, less than two lines away; their boxes do not touch.
    """
    from matplotlib.patheffects import withStroke

    figure = figure_of(axes)
    make_all_literal(axes)
    with quiet():
        figure.draw_without_rendering()  # the layout has to be known
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    color, halo = text_colors(axes)
    frame = np.asarray(axes.get_window_extent(renderer).extents)
    points = axes.transData.transform(anchors)
    unit = figure.dpi / 72
    ground = None if cells is None else _Ground(axes.transData.transform(cells[0]), cells[1])
    written: list[Annotation] = []
    taken = np.empty((0, 4))
    for i, (name, anchor, point) in enumerate(zip(names, anchors, points, strict=True)):
        note = axes.annotate(
            name, anchor, (0, 0), textcoords="offset points", ha="center", va="center", fontsize=size, color=color,
            zorder=6, path_effects=[withStroke(linewidth=2.2, foreground=halo, alpha=0.9)], annotation_clip=False,
            parse_math=False, usetex=False,
        )  # fmt: skip
        with quiet():
            box = note.get_window_extent(renderer)
        whole = np.array([box.width, box.height])
        places = _places(point, whole + 2 * unit, taken, frame)
        if ground is not None and cells is not None:
            places = [offset for offset in places if ground.belongs(point + offset, whole, cells[2][i])][:1]
        if not len(places):
            note.remove()
            continue
        half = whole / 2 + unit
        taken = np.vstack([taken, np.concatenate([point + places[0] - half, point + places[0] + half])])
        note.set_position(tuple(places[0] / unit))
        written.append(note)
    return written


class _Ground:
    """Cells in pixels, to be asked whose a place is."""

    def __init__(self, points: NDArray[np.float64], codes: NDArray[np.int64]) -> None:
        order = np.argsort(points[:, 1], kind="stable")
        self._points, self._codes = points[order], codes[order]

    def belongs(self, middle: NDArray[np.float64], size: NDArray[np.float64], code: int) -> bool:
        """Whether a box covers more cells of a category than of any other; also where it covers none."""
        low, high = middle - size / 2, middle + size / 2
        first, last = np.searchsorted(self._points[:, 1], [low[1], high[1]])
        across = self._points[first:last, 0]
        own = self._codes[first:last][(across >= low[0]) & (across <= high[0])]
        counts = np.bincount(own[own >= 0], minlength=code + 1)
        return bool(counts[code] == counts.max())


def _places(
    point: NDArray[np.float64], size: NDArray[np.float64], taken: NDArray[np.float64], frame: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Moves of a box from a point to where it is inside the frame and free, the smallest first."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.column_stack([np.cos(angles) * 1.3, np.sin(angles)])
    radii = size[1] * np.arange(0, _FARTHEST + 0.5, 0.5)
    offsets = np.vstack([np.zeros((1, 2)), (radii[1:, None, None] * ring).reshape(-1, 2)])
    low, high = point + offsets - size / 2, point + offsets + size / 2
    free = ((low >= frame[:2]) & (high <= frame[2:])).all(axis=1)
    for box in taken:
        free &= ~((low < box[2:]) & (high > box[:2])).all(axis=1)
    return list(offsets[free])
