"""Points painted into a picture: as quick for ten million as for ten thousand, and never a path apiece."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PIXELS_AN_INCH = 200
OVERSAMPLING = 2  # each way; what makes the discs' edges smooth
_AREA = 130_000.0  # of all points together, square points, so that a cloud keeps its weight whatever its number


@dataclass(frozen=True)
class Canvas:
    """Where a picture lies in the data.

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
