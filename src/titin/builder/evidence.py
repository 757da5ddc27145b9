"""What all cells together tell of recovered counts: whether to believe them, and what the cells were divided by."""

import math
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset.codec import Encoded
from titin.dataset.kernels import sum_rows

_SAME = 1e-5  # relative spread up to which all cells count as normalised to the same total
_EXACT = 5e-7  # what float32 loses in a scale and a total
_PROVEN = math.log(1e-6)  # a matrix that passes by chance more often than this is of kind real
_WHOLE = 1e-6  # relative distance from a whole number that the float32 of a scale allows
_FINEST = 10_000  # fractions of a count, or of a rounded number, are taken to be no smaller than one part in so many
_INFORMATIVE = 4  # distinct values of a cell from which its scale tells the unit, not a multiple of it
_MANY = 100  # values of a cell that would have a count of 1 or 2 among them


class Evidence:
    """Gathers a few numbers of each cell whose counts were recovered."""

    def __init__(self) -> None:
        self.chance = 0.0  # logarithm of the chance that all cells so far pass by accident
        self._columns: dict[str, list[NDArray]] = {
            name: [] for name in ("sums", "scale", "n_levels", "n_values", "least", "witnessed")
        }

    def add(self, block: Encoded) -> None:
        """Take the cells of a block."""
        self.chance += block.chance
        lengths = np.diff(block.indptr)
        least = np.zeros(len(lengths), block.counts.dtype)
        full = lengths > 0
        if full.any():
            least[full] = np.minimum.reduceat(block.counts, block.indptr[:-1][full])
        found: tuple[NDArray, ...] = (
            cell_sums(block), block.scale, np.diff(block.level_indptr).astype(np.int32), lengths.astype(np.int32),
            least, block.witnessed,
        )  # fmt: skip
        for column, values in zip(self._columns.values(), found, strict=True):
            column.append(values)

    @property
    def n_witnessed(self) -> int:
        """Number of cells whose counts are those of the witness."""
        return int(sum(part.sum() for part in self._columns["witnessed"]))

    def doubt(self) -> tuple[str, bool] | None:
        """Why the counts are not believed, and whether that holds for every rule by which values are made of counts."""
        if self.chance > _PROVEN:
            return "they have too few distinct values to prove counts", True
        cells = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        unknown = (cells["n_values"] > 0) & ~cells["witnessed"]
        if not unknown.any():
            return None
        informative = unknown & (cells["n_levels"] >= _INFORMATIVE)
        unit = common_unit(cells["scale"][informative if informative.any() else unknown])
        if unit is not None:
            return f"they hold multiples of 1/{unit}, as rounded numbers and fractions of counts are", False
        many = unknown & (cells["n_values"] >= _MANY)
        if many.any() and (cells["least"][many] <= 2).mean() < 0.5:
            return "most have no count of 1 or 2, so that these would be multiples of an unknown unit", False
        return None

    def target(self, obs: pd.DataFrame) -> tuple[str, float] | None:
        """The total of a cell that is the same multiple of its scale in all cells, and that multiple.

        The total is ``counts``, their sum, or a column of numbers, ``obs/NAME``.
        """
        sums, scale = self._cells("sums"), self._cells("scale")
        full = sums > 0
        totals = {"counts": sums} | {f"obs/{name}": total for name, total in _totals(obs, full)}
        for name, total in totals.items():
            ratio = total[full] / scale[full]
            middle = float(np.median(ratio)) if len(ratio) else 0.0
            if middle > 0 and np.abs(ratio / middle - 1).max() < _SAME:
                return name, float(f"{middle:.6g}")
        return None

    def column(self, obs: pd.DataFrame, target_sum: float) -> Hashable:
        """The column of numbers that is ``target_sum`` times the scale in all cells, to the last digits, or None."""
        return total_column(obs, self._cells("scale"), self._cells("sums") > 0, target_sum)

    def _cells(self, name: str) -> NDArray[Any]:
        return np.concatenate(self._columns[name])


def total_column(obs: pd.DataFrame, scale: NDArray[np.float32], full: NDArray[np.bool_], target_sum: float) -> Hashable:
    """The column of numbers that is ``target_sum`` times the scale in all cells that are ``full``, or None."""
    wanted = target_sum * scale[full].astype(np.float64)
    return next((name for name, total in _totals(obs, full) if np.allclose(total[full], wanted, _EXACT, 0)), None)


def _totals(obs: pd.DataFrame, full: NDArray[np.bool_]) -> Iterator[tuple[Hashable, NDArray[np.float64]]]:
    """Columns of numbers that may be totals of cells: of those that are ``full``, not all have the same."""
    for name in obs.columns:
        column = obs[name]
        if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
            total = column.to_numpy(np.float64, na_value=np.nan)
            if (total[full] != total[full][:1]).any():
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
    scales = np.unique(scale.astype(np.float64))
    whole = np.abs(scales - np.rint(scales)) <= _WHOLE * scales
    of_cell = scale.astype(np.float64)
    if (np.abs(of_cell - np.rint(of_cell)) <= _WHOLE * of_cell).mean() < 0.5:
        return None
    unit = 1
    for n in np.rint(scales[whole]).astype(np.int64).tolist():
        unit = math.lcm(unit, max(n, 1))
        if unit > _FINEST:
            return None
    multiples = unit / scales
    fits = np.abs(multiples - np.rint(multiples)) <= 2 * _WHOLE * multiples
    return unit if unit > 1 and bool(fits.all()) else None
