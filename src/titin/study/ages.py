"""Ages in years, however they are written, and who of a study is young and who is old."""

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

_ORDINALS = {
    "first": 0, "second": 10, "third": 20, "fourth": 30, "fifth": 40, "sixth": 50, "seventh": 60, "eighth": 70,
    "ninth": 80, "tenth": 90, "eleventh": 100,
}  # fmt: skip
_NUMBER = r"(\d+(?:\.\d+)?)"
_COMMA = re.compile(r"(?<![\d,.])(\d+),(\d{1,2})(?![\d,.])")  # as decimals are written in much of Europe
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
    >>> parse_age("adult"), parse_age("80 year-old and over stage"), parse_age("3,5 years")
    (nan, nan, 3.5)
    """
    if isinstance(text, int | float | np.number) and not isinstance(text, bool):
        return float(text) if text >= 0 else float("nan")
    if not isinstance(text, str) or re.search(r"over|fertilization|embryonic|gestation|\+|<|>", text, re.I):
        return float("nan")
    if not set("[(") & set(text):  # within brackets a comma parts the ends of a range
        text = _COMMA.sub(r"\1.\2", text)
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


OLDER = "old"
YOUNGER = "young"
AGE_EDGES = (30.0, 45.0, 65.0)  # years; of the coarse bins


def donor_ages(ages: pd.Series, donor: pd.Series) -> pd.Series:
    """Age of each donor in years, the median over what is known of it; float64 by donor (text), sorted by name.

    Parameters
    ----------
    ages
        Years, of cells, samples or groups.
    donor
        Of each of them, in the same order.
    """
    codes, names = pd.factorize(donor)
    years = pd.Series(ages.to_numpy(np.float64, na_value=np.nan)[codes >= 0])
    found: pd.Series = years.groupby(codes[codes >= 0]).median().dropna()
    return found.set_axis([str(names[code]) for code in found.index]).sort_index()


def age_cut(ages: pd.Series) -> float | None:
    """Years from which a donor is old: the middle of the widest gap that leaves a quarter of the donors on either side.

    The one definition of young and old. A study chooses its donors around a gap, and no fixed age fits all of them; of
    equal gaps, it is the one nearest to the median.

    Parameters
    ----------
    ages
        From `donor_ages`: one a donor, none missing.

    Returns
    -------
    float or None
        None for fewer than four donors, or where all are of one age: these do not part young from old.

    Examples
    --------
    >>> age_cut(pd.Series([20, 25, 31, 60, 64, 70]))
    45.5
    """
    values = np.sort(ages.to_numpy(float))
    gaps = np.diff(values)
    least = max(1, int(np.ceil(len(values) / 4)))
    allowed = np.arange(least - 1, len(values) - least)
    if len(values) < 4 or not len(allowed) or not gaps[allowed].max() > 0:
        return None
    widest = allowed[np.isclose(gaps[allowed], gaps[allowed].max())]
    middles = values[widest] + gaps[widest] / 2
    return float(middles[np.argmin(abs(middles - np.median(values)))])


def young_or_old(ages: ArrayLike, cut: float) -> NDArray[np.object_]:
    """``young`` below the cut, ``old`` from it on, None where the age is not known."""
    years = np.asarray(ages, np.float64)
    found = np.where(years < cut, YOUNGER, OLDER).astype(object)
    found[np.isnan(years)] = None
    return found


def age_bin(ages: pd.Series) -> Any:
    """Name the coarse bin of each age: ``<30``, ``30-44``, ``45-64``, ``>=65``."""
    low, *rest = AGE_EDGES
    names = [f"<{low:g}", *(f"{a:g}-{b - 1:g}" for a, b in zip(AGE_EDGES, rest, strict=False)), f">={rest[-1]:g}"]
    return pd.cut(ages, [-np.inf, *AGE_EDGES, np.inf], right=False, labels=names).to_numpy()
