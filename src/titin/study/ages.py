"""Ages in years from numbers, bins and CELLxGENE development stages."""

import re

import numpy as np
import pandas as pd

_ORDINALS = {
    "first": 0, "second": 10, "third": 20, "fourth": 30, "fifth": 40, "sixth": 50, "seventh": 60, "eighth": 70,
    "ninth": 80, "tenth": 90, "eleventh": 100,
}  # fmt: skip
_NUMBER = r"(\d+(?:\.\d+)?)"
_UNIT = r"\s*-?\s*(y|yr|yrs|year|years|m|mo|month|months|w|wk|week|weeks|d|day|days)?"
_PER_YEAR = {"y": 1.0, "m": 12.0, "w": 365.25 / 7, "d": 365.25}
_BIN = re.compile(rf"\s*[\[(]?\s*{_NUMBER}\s*(?:-|–|to|,|_)\s*{_NUMBER}\s*[\])]?{_UNIT}(?:[- ]old)?(?:\s.*)?", re.I)
_ONE = re.compile(rf"\s*{_NUMBER}{_UNIT}(?:[- ]old)?(?:\s+(?:human\s+|mouse\s+)?stage)?\s*", re.I)
_DECADE = re.compile(r"(\w+) decade(?: human)? stage", re.I)


def parse_age(text: object) -> float:
    """Age in years; the middle of a bin; NaN for what names no single age or closed range.

    Examples
    --------
    >>> parse_age("15-20"), parse_age("45-year-old stage"), parse_age("sixth decade stage"), parse_age("3m")
    (17.5, 45.0, 55.0, 0.25)
    >>> parse_age("adult"), parse_age("80 year-old and over stage")
    (nan, nan)
    """
    if isinstance(text, int | float | np.number) and not isinstance(text, bool):
        return float(text) if text >= 0 else float("nan")
    if not isinstance(text, str) or re.search(r"over|fertilization|embryonic|gestation|\+|<|>", text, re.I):
        return float("nan")
    if found := _BIN.fullmatch(text):
        low, high = float(found[1]), float(found[2])
        return (low + high) / 2 / _per_year(found[3]) if low <= high else float("nan")
    if found := _ONE.fullmatch(text):
        return float(found[1]) / _per_year(found[2])
    if (found := _DECADE.fullmatch(text.strip())) and found[1].lower() in _ORDINALS:
        return _ORDINALS[found[1].lower()] + 5.0
    return float("nan")


def _per_year(unit: str | None) -> float:
    return _PER_YEAR[(unit or "y")[0].lower()]


def parse_ages(column: pd.Series) -> pd.Series:
    """Parse a column of ages, each distinct entry once; float64 years, NaN where unknown."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        years = np.array([parse_age(c) for c in column.cat.categories] + [np.nan])
        return pd.Series(years[column.cat.codes.to_numpy()], index=column.index)
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return pd.Series(np.nan, index=column.index)
    if pd.api.types.is_numeric_dtype(column.dtype):
        years = pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
        return pd.Series(np.where(years >= 0, years, np.nan), index=column.index)  # -1 is a common word for unknown
    known = {value: parse_age(value) for value in column.dropna().unique()}
    return column.map(known).astype(np.float64)
