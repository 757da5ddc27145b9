"""Ages in years, however they are written, and who of a study is young and who is old."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.dataset.store import slices
from titin.study.age_grammar import Age, read_age
from titin.study.age_units import PER_YEAR, YEARS, unit_of_column
from titin.study.life_span import ANY_SPECIES
from titin.study.tallies import CELLS, code, count_combinations, spread_out

_WITH_SEX = re.compile(r"[0-9.]+\s*[fF]")
_MONTHS_OR_MALE = re.compile(r"[0-9.]+\s*[mM]")


def parse_age(entry: object, *, unit: str = YEARS, life_span: float = ANY_SPECIES) -> float:
    """Age in years; the middle of a range; NaN for what names no single age or closed range.

    What is not understood whole is unknown: see `titin.study.age_grammar`, whose `read_age` says why.

    Parameters
    ----------
    entry
        Text or a number.
    unit
        Of a number without one: ``years``, ``months``, ``weeks`` or ``days``.
    life_span
        Years beyond which nothing is an age; see `titin.study.life_span.life_span`.

    Examples
    --------
    >>> parse_age("15-20"), parse_age("45-year-old stage"), parse_age("sixth decade stage"), parse_age("3m")
    (17.5, 45.0, 55.0, 0.25)
    >>> parse_age("adult"), parse_age("80 year-old and over stage"), parse_age("3,5 years")
    (nan, nan, 3.5)
    >>> parse_age(18, unit="months")
    1.5
    """
    years = read_age(entry, unit=unit, life_span=life_span).years
    return float("nan") if years is None else years


def parse_ages(column: pd.Series, *, unit: str | None = None, life_span: float = ANY_SPECIES) -> pd.Series:
    """Parse a column of ages, each distinct entry once; float64 years, NaN where unknown.

    Parameters
    ----------
    column
        Of any dtype.
    unit
        Of numbers without one; where not given, the one that the column's name states (``age_months``), else years.
    life_span
        Years beyond which nothing is an age.
    """
    unit = unit or unit_of_column(column.name) or YEARS
    if is_number(column.dtype):
        years, numbers = np.empty(len(column)), pd.to_numeric(column)
        for own in slices(len(column)):
            part = numbers.iloc[own].to_numpy(np.float64, na_value=np.nan) / PER_YEAR[unit]
            inside = (part >= 0) & (part <= life_span)  # -1 is a common word for unknown
            years[own] = np.where(inside, part, np.nan)
        return pd.Series(years, index=column.index, name=column.name, copy=False)
    coded = code(column)
    known = read_distinct(coded.distinct, unit=unit, life_span=life_span)
    years = np.full(len(coded.names) + 1, np.nan)
    years[coded.used] = [_years(known[entry]) for entry in coded.distinct]
    return pd.Series(spread_out(years, coded.codes), index=column.index, name=column.name)


def read_distinct(entries: Iterable[Any], *, unit: str, life_span: float = ANY_SPECIES) -> dict[Any, Age]:
    """Read the distinct entries of one column, as what one means may show in another: beside ``32F``, 45M is a man."""
    known = {entry: read_age(entry, unit=unit, life_span=life_span) for entry in entries}
    texts = [entry for entry in known if isinstance(entry, str)]
    if any(_WITH_SEX.fullmatch(text.strip()) for text in texts):
        known |= {text: Age(why="age and sex") for text in texts if _MONTHS_OR_MALE.fullmatch(text.strip())}
    return known


def is_number(dtype: Any) -> bool:
    """Whether values of a dtype are numbers, so that they may be ages."""
    numeric = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
    return bool(numeric and not pd.api.types.is_bool_dtype(dtype))


def _years(age: Age) -> float:
    return np.nan if age.years is None else age.years


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
    coded, years = code(donor), ages.to_numpy(np.float64, na_value=np.nan)
    counted = count_combinations({"donor": pd.Series(coded.codes), "age": pd.Series(years)})
    counted = counted[(counted["donor"] >= 0) & counted["age"].notna()]
    found = {str(coded.names[int(str(number))]): _median(own["age"], own[CELLS])
             for number, own in counted.groupby("donor")}  # fmt: skip
    return pd.Series(found, dtype=np.float64).sort_index()


def _median(values: pd.Series, times: pd.Series) -> float:
    """Of values in order, each of them so many times."""
    ends = times.cumsum().to_numpy()
    low, high = np.searchsorted(ends, [(ends[-1] - 1) // 2, ends[-1] // 2], side="right")
    return float((values.iloc[low] + values.iloc[high]) / 2)


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
