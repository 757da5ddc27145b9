"""Ages in years from numbers, bins and CELLxGENE development stages; exact ages from a donor table."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from titin.errors import TitinError

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


def read_donor_ages(path: Path) -> pd.Series:
    """Exact ages in years by donor from a CSV, TSV or Parquet table with a donor and an age column.

    Raises
    ------
    TitinError
        If the table cannot be read, lacks a column, or gives a donor two ages.
    """
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if path.suffix in (".tsv", ".txt") else ",", dtype=str)
    except FileNotFoundError:
        raise TitinError(f"--donors: {path} does not exist", "give a table with a donor and an age column") from None
    except (OSError, ValueError) as error:
        raise TitinError(f"--donors: {path} cannot be read as a table: {error}", "give CSV, TSV or Parquet") from error
    from titin.build.roles import find_column  # the one list of names that columns go by

    donor, age = find_column(table, "donor"), find_column(table, "age")
    if donor is None or age is None:
        missing = "donor" if donor is None else "age"
        columns = ", ".join(map(str, table.columns))
        raise TitinError(
            f"--donors: {path} has no {missing} column (it has {columns})", f"name one of them {missing!r}"
        )
    pairs = pd.DataFrame({"donor": table[donor].astype(str), "age": parse_ages(table[age])}).dropna().drop_duplicates()
    twice = pairs["donor"][pairs["donor"].duplicated()]
    if len(twice):
        ages = pairs.loc[pairs["donor"] == twice.iloc[0], "age"].tolist()
        raise TitinError(f"--donors: {path} gives donor {twice.iloc[0]!r} the ages {ages}", "keep one age a donor")
    return pairs.set_index("donor")["age"]
