"""Entries of columns as numbers, counted in ranges of rows, so that little memory is taken however many there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset import store
from titin.dataset.store import slices

CELLS = "\0cells"  # of `count_combinations`: no column of a file has such a name
_SIGN = np.uint64(1 << 63)
_FEW = 1 << 16  # possible pairs that are counted in an array of all


@dataclass(frozen=True, eq=False)
class Coded:
    """A column as numbers.

    Attributes
    ----------
    codes
        Signed integers, one a row: number of its entry among ``names``, -1 where missing.
    names
        Categories, used or not; or the different entries, in order where they have one.
    """

    codes: NDArray[np.integer[Any]]
    names: list[Any]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each of the names."""
        counts = np.zeros(len(self.names) + 1, np.int64)
        for own in slices(len(self.codes)):
            counts += np.bincount(self.codes[own].astype(np.intp) + 1, minlength=len(counts))
        return counts[1:]

    @property
    def n_known(self) -> int:
        """Rows with an entry."""
        return int(self.counts.sum())

    @cached_property
    def used(self) -> NDArray[np.intp]:
        """Numbers of the names that rows have."""
        return np.flatnonzero(self.counts)

    @cached_property
    def distinct(self) -> list[Any]:
        """The names that rows have."""
        return [self.names[number] for number in self.used]


def code(column: pd.Series, *, sort: bool = False) -> Coded:
    """Number the entries of a column of any dtype.

    Parameters
    ----------
    column
        One entry a row.
    sort
        Whether names that are no categories come in their order.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return Coded(column.cat.codes.to_numpy(), column.cat.categories.astype(object).tolist())
    codes, names = pd.factorize(column, sort=sort)
    return Coded(codes.astype(np.min_scalar_type(-max(len(names), 1))), list(pd.Index(names).astype(object)))


def count_missing(column: pd.Series) -> int:
    """Rows without an entry."""
    return sum(int(column.iloc[own].isna().sum()) for own in slices(len(column)))


def is_known(column: pd.Series) -> bool:
    """Whether any row has an entry."""
    return any(column.iloc[own].notna().any() for own in slices(len(column)))


def span(values: NDArray[Any]) -> tuple[float, float, int]:
    """Least and largest of numbers, and how many there are; NaN left out."""
    n, low, high = 0, np.inf, -np.inf
    for own in slices(len(values)):
        part = values[own].astype(np.float64)
        n += int((~np.isnan(part)).sum())
        low, high = np.fmin.reduce(part, initial=low), np.fmax.reduce(part, initial=high)
    return float(low), float(high), n


def summarise(values: NDArray[Any]) -> tuple[float, float, float] | None:
    """Least, largest and median of numbers, NaN left out; None where there is none. Of millions no copy is made."""
    low, high, n = span(values)
    return (low, high, (_ranked(values, (n - 1) // 2) + _ranked(values, n // 2)) / 2) if n else None


def _ranked(values: NDArray[Any], rank: int) -> float:
    """The number that so many are smaller than, counted by 16 of its 64 bits after another."""
    known = np.uint64(0)
    for shift in (48, 32, 16, 0):
        counts = np.zeros(1 << 16, np.int64)
        for own in slices(len(values)):
            part = values[own].astype(np.float64)
            keys = _in_order(part[~np.isnan(part)])
            if shift < 48:
                keys = keys[keys >> np.uint64(shift + 16) == known]
            counts += np.bincount((keys >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.intp), minlength=1 << 16)
        ends = counts.cumsum()
        digit = int(np.searchsorted(ends, rank, side="right"))
        rank -= int(ends[digit] - counts[digit])
        known = known << np.uint64(16) | np.uint64(digit)
    positive = known >> np.uint64(63) == 1
    return float(np.array([known ^ _SIGN if positive else ~known], np.uint64).view(np.float64)[0])


def _in_order(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Bits of numbers that are in order as the numbers are; -0 is 0."""
    bits = (values + 0.0).view(np.uint64)
    return np.where(bits >> np.uint64(63) == 1, ~bits, bits | _SIGN)


def spread_out(values: NDArray[Any], codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """The value of each row by its code; ``values`` has one more at the end, for those that are missing."""
    found = np.empty(len(codes), values.dtype)
    for own in slices(len(codes)):
        found[own] = values[codes[own]]
    return found


def count_pairs(one: Coded, other: Coded) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """Which entries of two columns rows have together, and how many rows; of rows that have both, in order."""
    width = max(len(other.names), 1)
    size = len(one.names) * width
    if size > _FEW:
        found = count_combinations({"one": pd.Series(one.codes), "other": pd.Series(other.codes)})
        found = found[(found["one"] >= 0) & (found["other"] >= 0)]
        return found["one"].to_numpy(np.intp), found["other"].to_numpy(np.intp), found[CELLS].to_numpy(np.int64)
    counts = np.zeros(size, np.int64)
    for own in slices(len(one.codes)):
        a, b = one.codes[own].astype(np.int64), other.codes[own]
        counts += np.bincount((a * width + b)[(a >= 0) & (b >= 0)], minlength=size)
    keys = np.flatnonzero(counts)
    return keys // width, keys % width, counts[keys]


def count_combinations(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Distinct combinations of what rows have in several columns, also where something is missing.

    Parameters
    ----------
    columns
        Series or arrays of pandas by name, all of the same rows.

    Returns
    -------
    DataFrame
        One row a combination, sorted, with these columns, and how many rows have it (`CELLS`, int64).
    """
    parts, waiting = list[pd.DataFrame](), 0
    for own in slices(len(next(iter(columns.values()), ()))):
        parts.append(
            _counted(pd.DataFrame({n: _some(column, own) for n, column in columns.items()}).assign(**{CELLS: 1}))
        )
        waiting += len(parts[-1])
        if waiting >= max(len(parts[0]), store.RANGE):  # so that each row is counted again a few times at most
            parts, waiting = [_counted(pd.concat(parts, ignore_index=True))], 0
    if not parts:
        return pd.DataFrame({**columns, CELLS: np.empty(0, np.int64)})
    return parts[0] if len(parts) == 1 else _counted(pd.concat(parts, ignore_index=True))


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in table if name != CELLS]
    return table.groupby(names, observed=True, sort=True, dropna=False)[CELLS].sum().reset_index()


def _some(column: Any, own: slice) -> Any:
    return column.iloc[own].array if isinstance(column, pd.Series) else column[own]
