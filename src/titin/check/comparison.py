"""Columns and frames compared: where they first differ, in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from titin.dataset.store import Store


def column_difference(one: pa.ChunkedArray, other: pa.ChunkedArray) -> tuple[int, int]:
    """How many rows differ and the first of them; missing equals missing, labels equal their text.

    Returns
    -------
    n, row
        ``(0, -1)`` where none differs.

    Raises
    ------
    ValueError
        If the columns are not equally long.
    """
    if len(one) != len(other):
        raise ValueError(f"{len(one):,} and {len(other):,} rows")
    if one.type.equals(other.type) and one.equals(other):
        return 0, -1
    one, other = decoded(one), decoded(other)
    if one.equals(other):
        return 0, -1
    same = pc.fill_null(pc.equal(one, other), False)
    same = pc.or_(same, pc.and_(pc.is_null(one), pc.is_null(other)))
    if pa.types.is_floating(one.type) and pa.types.is_floating(other.type):
        both_nan = pc.and_(pc.is_nan(one), pc.is_nan(other))
        same = pc.or_(same, pc.fill_null(both_nan, False))
    differ = np.flatnonzero(~same.to_numpy())
    return (len(differ), int(differ[0])) if len(differ) else (0, -1)


def file_difference(store: Store, file: str, other: str, column: str) -> tuple[int, int, str]:
    """Compare a column of two tables, a range of rows after another; as `column_difference`.

    Returns
    -------
    n, row, said
        Where some differ, ``said`` is what the first has, and not has.
    """
    n, row, said, first = 0, -1, "", 0
    for one, two in zip(store.ranges(file, [column]), store.ranges(other, [column]), strict=True):
        ours, theirs = one.column(0), two.column(0)
        more, at = column_difference(ours, theirs)
        if more and not n:
            row, said = first + at, f"{value(ours, at)}, not {value(theirs, at)}"
        n, first = n + more, first + len(ours)
    return n, row, said


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the labels of a column of categories; any other as it is."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def value(column: pa.ChunkedArray, row: int) -> str:
    """One entry, for messages."""
    return repr(column[row].as_py())


@dataclass(frozen=True)
class Difference:
    """What differs first, and where (as the end of a place: ``, column x, row 3``)."""

    message: str
    where: str


def frame_difference(ours: pd.DataFrame, theirs: pd.DataFrame) -> Difference | None:
    """Say where a frame first differs from another: index, columns, dtypes, categories, values; None if nowhere.

    Missing values are equal, whatever marks them in a column of objects.
    """
    if len(ours) != len(theirs):
        return Difference(f"{len(ours):,} rows, the source has {len(theirs):,}", "")
    if ours.index.name != theirs.index.name or ours.index.dtype != theirs.index.dtype:
        said = (
            f"the index is {ours.index.name!r} ({ours.index.dtype}), not {theirs.index.name!r} ({theirs.index.dtype})"
        )
        return Difference(said, ", index")
    wrong = np.flatnonzero(_differ(ours.index.to_series(), theirs.index.to_series()))
    if len(wrong):
        at = int(wrong[0])
        return Difference(f"{len(wrong):,} names differ; the first is {ours.index[at]!r}, not {theirs.index[at]!r}",
                          f", index, source row {at:,}")  # fmt: skip
    if found := columns_difference(list(ours.columns), list(theirs.columns)):
        return found
    for position, name in enumerate(ours.columns):
        found = _column_difference(ours.iloc[:, position], theirs.iloc[:, position])
        if found:
            return Difference(found.message, f", column {name}{found.where}")
    return None


def columns_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> Difference | None:
    """Say how the names of columns differ from others; None if they do not."""
    if list(ours) == list(theirs):
        return None
    only = [c for c in ours if c not in theirs], [c for c in theirs if c not in ours]
    said = f"the columns are not the source's: {only[0]} are here only, {only[1]} there only" if any(only) else (
        "the columns are in another order")  # fmt: skip
    return Difference(said, ", columns")


def _column_difference(ours: pd.Series, theirs: pd.Series) -> Difference | None:
    if found := dtype_difference(ours, theirs):
        return found
    differ = values_differ(ours, theirs)
    if not differ.any():
        return None
    at = int(np.flatnonzero(differ)[0])
    said = f"{int(differ.sum()):,} values differ; the first is {ours.iloc[at]!r}, not {theirs.iloc[at]!r}"
    return Difference(said, f", cell or gene {theirs.index[at]} (source row {at:,})")


def dtype_difference(ours: pd.Series, theirs: pd.Series) -> Difference | None:
    """Say how the dtypes of two columns differ, or their categories; None if they do not."""
    if ours.dtype != theirs.dtype:
        if isinstance(ours.dtype, pd.CategoricalDtype) and isinstance(theirs.dtype, pd.CategoricalDtype):
            return Difference(_category_difference(ours.dtype, theirs.dtype), ", categories")
        return Difference(f"it is {ours.dtype}, not {theirs.dtype}", "")
    if isinstance(ours.dtype, pd.CategoricalDtype) and list(ours.cat.categories) != list(theirs.cat.categories):
        return Difference("the categories are in another order", ", categories")  # if unordered, dtypes are equal
    return None


def values_differ(ours: pd.Series, theirs: pd.Series) -> NDArray[np.bool_]:
    """Where two columns differ that have the same dtype and categories; missing equals missing."""
    if isinstance(ours.dtype, pd.CategoricalDtype):
        return np.asarray(ours.cat.codes.to_numpy() != theirs.cat.codes.to_numpy(), bool)
    return _differ(ours, theirs)


def _differ(ours: pd.Series, theirs: pd.Series) -> NDArray[np.bool_]:
    missing, absent = ours.isna().to_numpy(), theirs.isna().to_numpy()
    both = ~missing & ~absent
    differ = np.asarray(missing != absent, bool)
    differ[both] = differing(np.asarray(ours)[both], np.asarray(theirs)[both])
    return differ


def differing(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    """Where two arrays of one dtype and shape differ: in value, type (of objects) or sign of zero; NaN equals NaN."""
    if theirs.dtype.kind == "c":
        return differing(ours.real, theirs.real) | differing(ours.imag, theirs.imag)
    if theirs.dtype.kind in "mM":  # where not a time is unlike itself
        return np.asarray(ours.view(np.int64) != theirs.view(np.int64))
    differ = np.asarray(ours != theirs, bool)
    if theirs.dtype.kind == "f":
        known = ~(np.isnan(ours) & np.isnan(theirs))
        return np.asarray(known & (differ | (np.signbit(ours) != np.signbit(theirs))))
    if theirs.dtype == object:
        differ &= ~np.asarray((ours != ours) & (theirs != theirs), bool)
        types = (np.fromiter(map(type, values.flat), object, values.size) for values in (ours, theirs))
        differ |= np.not_equal(*types).reshape(theirs.shape)
    return differ


def _category_difference(ours: pd.CategoricalDtype, theirs: pd.CategoricalDtype) -> str:
    if ours.ordered != theirs.ordered:
        return f"ordered is {ours.ordered}, not {theirs.ordered}"
    here, there = set(ours.categories), set(theirs.categories)
    if here != there:
        return f"{len(here - there)} categories are here only, {len(there - here)} in the source only"
    return f"the categories are in another order, or {ours.categories.dtype}, not {theirs.categories.dtype}"
