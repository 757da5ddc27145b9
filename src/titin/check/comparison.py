"""Columns, frames and trees compared: where they first differ, in words."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


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
    wrong = np.flatnonzero(ours.index.to_numpy() != theirs.index.to_numpy())
    if len(wrong):
        at = int(wrong[0])
        return Difference(f"{len(wrong):,} names differ; the first is {ours.index[at]!r}, not {theirs.index[at]!r}",
                          f", index, source row {at:,}")  # fmt: skip
    if list(ours.columns) != list(theirs.columns):
        only = (
            [c for c in ours.columns if c not in theirs.columns],
            [c for c in theirs.columns if c not in ours.columns],
        )
        said = f"the columns are not the source's: {only[0]} are here only, {only[1]} there only" if any(only) else (
            "the columns are in another order")  # fmt: skip
        return Difference(said, ", columns")
    for position, name in enumerate(ours.columns):
        found = _column_difference(ours.iloc[:, position], theirs.iloc[:, position])
        if found:
            return Difference(found.message, f", column {name}{found.where}")
    return None


def _column_difference(ours: pd.Series, theirs: pd.Series) -> Difference | None:
    if ours.dtype != theirs.dtype:
        if isinstance(ours.dtype, pd.CategoricalDtype) and isinstance(theirs.dtype, pd.CategoricalDtype):
            return Difference(_category_difference(ours.dtype, theirs.dtype), ", categories")
        return Difference(f"it is {ours.dtype}, not {theirs.dtype}", "")
    if isinstance(ours.dtype, pd.CategoricalDtype):
        if list(ours.cat.categories) != list(theirs.cat.categories):  # dtypes are equal in any order, if unordered
            return Difference("the categories are in another order", ", categories")
        differ = ours.cat.codes.to_numpy() != theirs.cat.codes.to_numpy()
    else:
        differ = _differ(ours, theirs)
    if not differ.any():
        return None
    at = int(np.flatnonzero(differ)[0])
    said = f"{int(differ.sum()):,} values differ; the first is {ours.iloc[at]!r}, not {theirs.iloc[at]!r}"
    return Difference(said, f", cell or gene {theirs.index[at]} (source row {at:,})")


def _differ(ours: pd.Series, theirs: pd.Series) -> NDArray[np.bool_]:
    missing, absent = ours.isna().to_numpy(), theirs.isna().to_numpy()
    both = ~missing & ~absent
    differ = missing != absent
    one, other = ours.to_numpy(), theirs.to_numpy()
    differ[both] = np.asarray(one[both] != other[both], bool)
    return np.asarray(differ, bool)


def _category_difference(ours: pd.CategoricalDtype, theirs: pd.CategoricalDtype) -> str:
    if ours.ordered != theirs.ordered:
        return f"ordered is {ours.ordered}, not {theirs.ordered}"
    here, there = set(ours.categories), set(theirs.categories)
    if here != there:
        return f"{len(here - there)} categories are here only, {len(there - here)} in the source only"
    return f"the categories are in another order, or {ours.categories.dtype}, not {theirs.categories.dtype}"


def tree_difference(ours: Any, theirs: Any, left_out: Collection[str] = (), at: str = "") -> tuple[str, str] | None:
    """Place and nature of the first difference between two nested documents; None if there is none.

    Parameters
    ----------
    left_out
        Places (``a/b``) that may be missing in ours.
    """
    if isinstance(theirs, Mapping):
        if not isinstance(ours, Mapping):
            return at, f"it is a {type(ours).__name__}, not a mapping"
        return _mapping_difference(ours, theirs, left_out, at)
    if isinstance(theirs, pd.DataFrame):
        if not isinstance(ours, pd.DataFrame):
            return at, f"it is a {type(ours).__name__}, not a DataFrame"
        found = frame_difference(ours, theirs)
        return (f"{at}{found.where}", found.message) if found else None
    if _equal(ours, theirs):
        return None
    return at, f"it is {_short(ours)}, not {_short(theirs)}"


def _mapping_difference(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], left_out: Collection[str], at: str
) -> tuple[str, str] | None:
    for key in theirs:
        place = f"{at}/{key}" if at else str(key)
        if place in left_out:
            continue
        if key not in ours:
            return place, "it is missing"
        if found := tree_difference(ours[key], theirs[key], left_out, place):
            return found
    extra = [key for key in ours if key not in theirs]
    return (f"{at}/{extra[0]}".lstrip("/"), "the source has not got it") if extra else None


def _equal(ours: Any, theirs: Any) -> bool:
    """Equal in value, dtype and shape; NaN equals NaN."""
    if hasattr(theirs, "toarray"):  # sparse
        return hasattr(ours, "toarray") and _equal(ours.toarray(), theirs.toarray())
    if isinstance(theirs, np.ndarray | pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        if type(ours) is not type(theirs) or getattr(ours, "dtype", None) != theirs.dtype:
            return False
        one, other = np.asarray(ours), np.asarray(theirs)
        if one.shape != other.shape:
            return False
        if one.dtype.names or one.dtype.kind not in "fc":
            return bool(
                pd.Series([*one.ravel().tolist()], dtype=object).equals(
                    pd.Series([*other.ravel().tolist()], dtype=object)
                )
            )
        return bool(np.array_equal(one, other, equal_nan=True))
    if isinstance(theirs, list | tuple):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    if type(ours) is not type(theirs):
        return False
    return bool(ours == theirs or (ours != ours and theirs != theirs))  # NaN is unlike itself


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
