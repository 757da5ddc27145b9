"""What all cells together tell of recovered counts: whether to believe them, and what the cells were divided by."""

import math
from collections.abc import Hashable, Iterator
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset.codec import Encoded
from titin.dataset.kernels import sum_rows
from titin.shelf import Shelf

_SAME = 1e-5  # relative spread up to which all cells count as normalised to the same total
_EXACT = 5e-7  # what float32 loses in a scale and a total
_PROVEN = math.log(1e-6)  # a matrix that passes by chance more often than this is of kind real
_WHOLE = 1e-6  # relative distance from a whole number that the float32 of a scale allows
_FINEST = 10_000  # fractions of a count, or of a rounded number, are taken to be no smaller than one part in so many
_INFORMATIVE = 4  # distinct values of a cell from which its scale tells the unit, not a multiple of it
_MANY = 100  # values of a cell that would have a count of 1 or 2 among them
_CELLS_AT_A_TIME = 65_536


class Evidence:
    """Gathers a few numbers of each cell whose counts were recovered.

    They lie in arrays of all cells from the start: small arrays of every block, kept between the large ones that come
    and go, would hold on to much more memory than they take.

    Parameters
    ----------
    n_cells
        Of the source.
    shelf
        Where the arrays lie; in memory where not given.
    """

    def __init__(self, n_cells: int, shelf: Shelf | None = None) -> None:
        self.chance = 0.0  # logarithm of the chance that all cells so far pass by accident
        self.n_witnessed = 0  # cells whose counts are those of the witness
        self._n_cells = self._n_many = self._n_least = 0  # so far; of many values; of these with a count of 1 or 2
        self._sums, self._scale, self._unknown, self._informative = (shelf or Shelf()).empty(
            n_cells, np.float64, np.float32, np.bool_, np.bool_
        )

    def add(self, block: Encoded) -> None:
        """Take the cells of a block."""
        self.chance += block.chance
        self.n_witnessed += int(block.witnessed.sum())
        lengths = np.diff(block.indptr)
        unknown = (lengths > 0) & ~block.witnessed
        own = slice(self._n_cells, self._n_cells + len(lengths))
        self._sums[own], self._scale[own] = cell_sums(block), block.scale
        self._unknown[own] = unknown
        self._informative[own] = unknown & (np.diff(block.level_indptr) >= _INFORMATIVE)
        self._n_cells = own.stop
        many = unknown & (lengths >= _MANY)
        if many.any():
            full = lengths > 0
            least = np.minimum.reduceat(block.counts, block.indptr[:-1][full])
            self._n_many += int(many.sum())
            self._n_least += int((least[many[full]] <= 2).sum())

    def doubt(self) -> tuple[str, bool] | None:
        """Why the counts are not believed, and whether that holds for every rule by which values are made of counts."""
        if self.chance > _PROVEN:
            return "they have too few distinct values to prove counts", True
        unknown, informative = self._unknown[: self._n_cells], self._informative[: self._n_cells]
        if not unknown.any():
            return None
        unit = common_unit(self._scale[: self._n_cells][informative if informative.any() else unknown])
        if unit is not None:
            return f"they hold multiples of 1/{unit}, as rounded numbers and fractions of counts are", False
        if self._n_many and self._n_least / self._n_many < 0.5:
            return "most have no count of 1 or 2, so that these would be multiples of an unknown unit", False
        return None

    def target(self, obs: pd.DataFrame) -> tuple[str, float] | None:
        """The total of a cell that is the same multiple of its scale in all cells, and that multiple.

        The total is ``counts``, their sum, or a column of numbers, ``obs/NAME``.
        """
        sums, scale = self._sums[: self._n_cells], self._scale[: self._n_cells]
        full = sums > 0
        for name, total in chain([("counts", sums)], ((f"obs/{name}", total) for name, total in _totals(obs, full))):
            middle = _common_ratio(total, scale, full)
            if middle is not None:
                return name, float(f"{middle:.6g}")
        return None

    def column(self, obs: pd.DataFrame, target_sum: float) -> Hashable:
        """The column of numbers that is ``target_sum`` times the scale in all cells, to the last digits, or None."""
        return total_column(obs, self._scale[: self._n_cells], self._sums[: self._n_cells] > 0, target_sum)


def _ranges(n_cells: int) -> Iterator[slice]:
    """All cells in ranges, so that what is computed of them needs little memory at a time."""
    return (slice(start, start + _CELLS_AT_A_TIME) for start in range(0, n_cells, _CELLS_AT_A_TIME))


def _common_ratio(total: NDArray[np.float64], scale: NDArray[np.float32], full: NDArray[np.bool_]) -> float | None:
    """The median of total / scale of the cells that are ``full``, if it is positive and all are close to it."""
    ratio, n = np.empty(int(full.sum())), 0
    low, high = np.inf, -np.inf
    for own in _ranges(len(full)):
        found = total[own][full[own]] / scale[own][full[own]]
        ratio[n : n + len(found)] = found
        n += len(found)
        low, high = np.minimum(low, found.min(initial=np.inf)), np.maximum(high, found.max(initial=-np.inf))
        if not (low > 0 and high < np.inf and high <= low * (1 + 3 * _SAME)):  # then they are close to no number
            return None
    middle = float(np.median(ratio, overwrite_input=True)) if n else 0.0
    close = middle > 0 and max(high / middle - 1, 1 - low / middle) < _SAME
    return middle if close else None


def total_column(obs: pd.DataFrame, scale: NDArray[np.float32], full: NDArray[np.bool_], target_sum: float) -> Hashable:
    """The column of numbers that is ``target_sum`` times the scale in all cells that are ``full``, or None."""

    def fits(total: NDArray[np.float64], own: slice) -> bool:
        wanted = target_sum * scale[own][full[own]].astype(np.float64)
        return np.allclose(total[own][full[own]], wanted, _EXACT, 0)

    ranges = list(_ranges(len(full)))
    return next((name for name, total in _totals(obs, full) if all(fits(total, own) for own in ranges)), None)


def _totals(obs: pd.DataFrame, full: NDArray[np.bool_]) -> Iterator[tuple[Hashable, NDArray[np.float64]]]:
    """Columns of numbers that may be totals of cells: of those that are ``full``, not all have the same."""
    if not full.any():
        return
    first, ranges = int(full.argmax()), list(_ranges(len(full)))
    for name in obs.columns:
        column = obs[name]
        if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
            total = column.to_numpy(np.float64, na_value=np.nan)
            if any((total[own][full[own]] != total[first]).any() for own in ranges):
                yield name, total


def cell_sums(block: Encoded) -> NDArray[np.float64]:
    """Sum of the counts of each cell."""
    sums = np.empty(len(block.indptr) - 1)
    sum_rows(block.indptr, block.counts, sums)
    return sums


def common_unit(scale: NDArray[np.float32]) -> int | None:
    """The whole number n, at least 2, if the values of all cells are multiples of 1/n; else None.

    What cells were divided by differs from cell to cell, and is no whole number. Where one 1/n serves them all,
    numbers were rounded to it (0.01), or counts shared out (1/2, 1/3).

    Parameters
    ----------
    scale
        float32, of each cell: its values are multiples of 1/scale, or of a multiple of that.

    Examples
    --------
    >>> common_unit(np.array([100, 100, 50, 100 / 3], np.float32))
    100
    >>> common_unit(np.array([0.31, 0.52, 0.44], np.float32))
    """
    n_whole = sum(int(_is_whole(scale[own].astype(np.float64)).sum()) for own in _ranges(len(scale)))
    if 2 * n_whole < len(scale):
        return None
    scales = np.unique(scale.astype(np.float64))
    whole = _is_whole(scales)
    unit = 1
    for n in np.rint(scales[whole]).astype(np.int64).tolist():
        unit = math.lcm(unit, max(n, 1))
        if unit > _FINEST:
            return None
    multiples = unit / scales
    fits = np.abs(multiples - np.rint(multiples)) <= 2 * _WHOLE * multiples
    return unit if unit > 1 and bool(fits.all()) else None


def _is_whole(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which are whole, as far as float32 tells."""
    return np.asarray(np.abs(numbers - np.rint(numbers)) <= _WHOLE * numbers)
