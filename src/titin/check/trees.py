"""Nested documents (uns) compared: where they first differ, in words."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.check.comparison import differing, frame_difference
from titin.dataset.tables import values_of
from titin.dataset.unstructured import pointer


def tree_difference(ours: Any, theirs: Any, left_out: Collection[str] = (), at: str = "") -> tuple[str, str] | None:
    """Place and nature of the first difference between two nested documents; None if there is none.

    Types, dtypes, shapes and values are compared, and the sign of zero; NaN equals NaN.

    Parameters
    ----------
    left_out
        Places that may be missing in ours: JSON pointers without the first slash.
    """
    if isinstance(theirs, Mapping):
        if not isinstance(ours, Mapping):
            return at, f"it is a {type(ours).__name__}, not a mapping"
        return _mapping_difference(ours, theirs, left_out, at)
    if isinstance(theirs, pd.DataFrame) and isinstance(ours, pd.DataFrame):
        found = frame_difference(ours, theirs)
        return (f"{at}{found.where}", found.message) if found else None
    said = _difference(ours, theirs)
    return (at, said) if said else None


def _mapping_difference(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], left_out: Collection[str], at: str
) -> tuple[str, str] | None:
    for key in theirs:
        place = pointer(f"/{at}" if at else "", str(key))[1:]
        if place in left_out:
            continue
        if key not in ours:
            return place, "it is missing"
        if found := tree_difference(ours[key], theirs[key], left_out, place):
            return found
    extra = [pointer(f"/{at}" if at else "", str(key))[1:] for key in ours if key not in theirs]
    return (extra[0], "the source has not got it") if extra else None


def _difference(ours: Any, theirs: Any) -> str | None:
    """Say how two values differ; None if they do not."""
    if ours is theirs:
        return None
    if type(ours) is not type(theirs):
        return f"it is {_short(ours)} ({type(ours).__name__}), not {_short(theirs)} ({type(theirs).__name__})"
    if isinstance(theirs, Mapping | pd.DataFrame):  # inside a list or an array
        found = tree_difference(ours, theirs)
        return f"{found[0]}: {found[1]}".lstrip(": ") if found else None
    mine, parts = _parts(ours), _parts(theirs)
    if parts is not None and mine is not None:
        return _difference_of_parts(mine, parts)
    if isinstance(theirs, np.ndarray | np.generic):
        return _difference_of_arrays(np.asarray(ours), np.asarray(theirs))
    same = repr(ours) == repr(theirs) if isinstance(theirs, float | complex) else bool(ours == theirs)
    return None if same else f"it is {_short(ours)}, not {_short(theirs)}"


def _difference_of_parts(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    for name, part in theirs.items():
        said = _difference(ours[name], part) if name in ours else "it is missing"
        if said:
            return f"{name}: {said}"
    return next((f"{name}: the source has not got it" for name in ours if name not in theirs), None)


def _parts(value: Any) -> dict[str, Any] | None:
    """Take apart a value that consists of others, by their names; None for one that does not."""
    if isinstance(value, list | tuple):
        return {"length": len(value)} | {f"[{i}]": item for i, item in enumerate(value)}
    if hasattr(value, "indptr"):
        return {name: getattr(value, name) for name in ("shape", "data", "indices", "indptr")}
    if isinstance(value, pd.Series):
        return {"index": value.index, "name": value.name, "values": values_of(value)}
    if isinstance(value, pd.Index):
        return {"name": value.name, "values": values_of(value)}
    if isinstance(value, pd.Categorical):
        return {"ordered": value.ordered, "categories": value.categories, "codes": np.asarray(value.codes)}
    if isinstance(value, pd.api.extensions.ExtensionArray):
        missing = np.asarray(value.isna())
        return {"dtype": value.dtype, "missing": missing, "values": np.asarray(value[~missing])}
    if isinstance(value, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(value)
        return {"data": np.asarray(value.data), "mask": mask, "fill_value": value.fill_value}
    if isinstance(value, np.ndarray | np.void) and value.dtype.names:
        fields = {f"field {name}": np.asarray(value[name]) for name in value.dtype.names}
        return {"dtype": value.dtype, "shape": value.shape, **fields}
    return None


def _difference_of_arrays(ours: NDArray[Any], theirs: NDArray[Any]) -> str | None:
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"it is {ours.dtype} {ours.shape}, not {theirs.dtype} {theirs.shape}"
    if theirs.dtype == object:
        wrong = np.array([_difference(a, b) is not None for a, b in zip(ours.flat, theirs.flat, strict=True)], bool)
        differ = wrong.reshape(theirs.shape)
    else:
        differ = differing(ours, theirs)
    if not differ.any():
        return None
    if not theirs.ndim:
        return f"it is {_short(ours[()])}, not {_short(theirs[()])}"
    first = tuple(int(i) for i in np.argwhere(differ)[0])
    said = f"{int(differ.sum()):,} of {differ.size:,} values differ; the first, at {', '.join(map(str, first))}, is "
    return said + f"{_short(ours[first])}, not {_short(theirs[first])}"


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
