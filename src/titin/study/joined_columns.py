"""Columns of several tables as one column, its values those that they were."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype, union_categoricals


def family(column: pd.Series) -> str:
    """What kind of values a column has: ``number``, ``flag``, ``text``, or another type by its name.

    Labels are of the kind of their categories.
    """
    dtype: Any = column.cat.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    if is_bool_dtype(dtype):
        return "flag"
    if is_numeric_dtype(dtype):
        return "number" if dtype is column.dtype else "labelled number"
    return "text" if pd.api.types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype) else str(dtype)


def join_columns(parts: Sequence[pd.Series | int]) -> pd.Series:
    """Put columns of one `family` one after another; a number in the place of a column is so many missing entries.

    Whole numbers and flags become pandas' nullable ones where entries are missing, and text labels, as files have no
    missing text; labels have the categories of all,
    in the order in which they come, and are ordered where all have the same.
    """
    known = [part for part in parts if isinstance(part, pd.Series)]
    missing = len(known) < len(parts)
    if all(isinstance(one.dtype, pd.CategoricalDtype) for one in known):
        return _labels(parts, known)
    if any(isinstance(one.dtype, pd.CategoricalDtype) for one in known):
        text = [part.astype(object) if isinstance(part, pd.Series) else part for part in parts]
        return join_columns(text).astype("category")
    dtype = _common(known, missing)
    if missing and dtype == np.dtype(object):
        return _labels(parts, [part.astype("category") for part in known])
    filled = [part.astype(dtype) if isinstance(part, pd.Series) else _missing(part, dtype) for part in parts]
    return pd.concat([part.reset_index(drop=True) for part in filled], ignore_index=True)


def _labels(parts: Sequence[pd.Series | int], known: Sequence[pd.Series]) -> pd.Series:
    same = all(one.dtype == known[0].dtype and one.cat.ordered for one in known)
    joined = known[0].array if len(known) == 1 else union_categoricals(list(known), ignore_order=not same)
    codes = np.full(sum(part if isinstance(part, int) else len(part) for part in parts), -1, np.int64)
    at = taken = 0
    for part in parts:
        n = part if isinstance(part, int) else len(part)
        if not isinstance(part, int):
            codes[at : at + n] = joined.codes[taken : taken + n]
            taken += n
        at += n
    return pd.Series(pd.Categorical.from_codes(codes, dtype=joined.dtype))


def _common(known: Sequence[pd.Series], missing: bool) -> Any:
    """The type that holds the values of all."""
    dtypes = {one.dtype for one in known}
    extension = any(not isinstance(dtype, np.dtype) for dtype in dtypes)
    if all(is_bool_dtype(dtype) for dtype in dtypes):
        return "boolean" if extension or missing else np.dtype(bool)
    if not all(is_numeric_dtype(dtype) for dtype in dtypes):
        return next(iter(dtypes)) if len(dtypes) == 1 else np.dtype(object)
    plain = np.result_type(*(_plain(dtype) for dtype in dtypes))
    if not extension and not (missing and plain.kind in "iu"):
        return plain
    name = plain.name
    return pd.api.types.pandas_dtype(name.replace("u", "U", 1).replace("int", "Int").replace("float", "Float"))


def _plain(dtype: Any) -> np.dtype:
    return dtype if isinstance(dtype, np.dtype) else np.dtype(str(dtype).lower())


def _missing(n: int, dtype: Any) -> pd.Series:
    return pd.Series([None] * n, dtype=dtype)
