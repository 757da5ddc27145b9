"""Tables of donors and their exact ages, beside an atlas that has ranges or none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.errors import TitinError
from titin.study.ages import parse_ages, read_distinct
from titin.study.candidates import find_candidates
from titin.study.species import Species
from titin.study.table_files import read_table_file
from titin.study.unread_ages import AgeColumn, read_age_column
from titin.study.vocabulary import missing_words

_MOST_BYTES = 64 << 20
_READABLE = 0.5  # share of donors whose age must be readable for a column to be the ages


@dataclass(frozen=True)
class DonorTable:
    """A table of donors, read.

    Attributes
    ----------
    ages
        Years by donor (text), float64; those that are known.
    notes
        What a user should know about the others.
    columns
        What else the table says of each donor (index as of ``ages``): float64 where all entries are numbers, else text
        with None.
    within
        Years by which an age may differ from the one given: half of the widest range, 0 where all are exact.
    path
        The file.
    """

    ages: pd.Series
    notes: list[str] = field(default_factory=list)
    within: float = 0.0
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    path: Path = Path()


def read_donor_table(path: Path, *, species: Species | None = None) -> DonorTable:
    """Read a CSV, TSV or Parquet table of donors: exact ages, and whatever else it says of them.

    Ages may be written in any way that `titin.study.age_grammar` reads. The unit of numbers is the one that the name of
    the column states (``age_months``), else years; what is beyond the life span of the species is no age.

    Raises
    ------
    TitinError
        If the table cannot be read, has no donor column, or none beside it, or gives a donor two ages.
    """
    table = read_table_file(path, "--donors", "a donor and an age column", most=_MOST_BYTES)
    donor = next((c for c in find_candidates(table.columns, "donor") if table[c].notna().any()), None)
    age = next((c for c in find_candidates(table.columns, "age") if _has_ages(table[c])), None)
    others = [c for c in table.columns if c not in (donor, age) and not str(c).startswith("Unnamed:")]
    if donor is None or (age is None and not (others and table[others].notna().any(axis=None))):
        missing = "donor" if donor is None else "age"
        columns = ", ".join(map(str, table.columns))
        raise TitinError(
            f"--donors: {path} has no {missing} column (it has {columns})", f"name one of them {missing!r}"
        )
    about, left_out = _about_donors(table, donor, others)
    if age is None:
        return DonorTable(pd.Series(dtype=float), [*left_out, f"{path.name} has no ages"], 0.0, about, path)
    read = read_age_column(table[age], species=species, rows="donor")
    notes = _notes(path, read)
    if read.years.isna().all() and not about.empty and read.unread["entry"].isna().all():
        return DonorTable(pd.Series(dtype=float), [*left_out, f"{path.name} has no ages"], 0.0, about, path)
    if read.years.isna().all():
        raise TitinError(f"--donors: {notes[0]}", notes[-1] if len(notes) > 1 else "write ages as 45, 3 months or P28")
    pairs = pd.DataFrame({"donor": table[donor].astype(str), "age": read.years}).dropna().drop_duplicates()
    twice = pairs["donor"][pairs["donor"].duplicated()]
    if len(twice):
        ages = pairs.loc[pairs["donor"] == twice.iloc[0], "age"].tolist()
        raise TitinError(f"--donors: {path} gives donor {twice.iloc[0]!r} the ages {ages}", "keep one age a donor")
    within = _half_of_the_widest(table[age], read)
    return DonorTable(pairs.set_index("donor")["age"], notes + left_out, within, about, path)


def _about_donors(table: pd.DataFrame, donor: Any, columns: Sequence[Any]) -> tuple[pd.DataFrame, list[str]]:
    """What a table says of each donor; and what it says of less than a donor, such as of its samples."""
    known = table[table[donor].notna()]
    names = known[donor].astype(str)
    found: dict[str, pd.Series] = {}
    differ = []
    for column in columns:
        entries = known[column].where(~known[column].isin(missing_words(known[column].dropna().unique(), "donor")))
        by_donor = entries.groupby(names)
        if (by_donor.nunique() > 1).any():
            differ.append(str(column))
        elif entries.notna().any():
            found[str(column)] = _typed(by_donor.first())
    note = f"of the donor table, {', '.join(differ)} {'is' if len(differ) == 1 else 'are'} left out: not one a donor"
    return pd.DataFrame(found), [note] if differ else []


def _typed(entries: pd.Series) -> pd.Series:
    """Numbers where all entries are; else text."""
    numbers = pd.to_numeric(entries, errors="coerce")
    if numbers.notna().sum() == entries.notna().sum() and not pd.api.types.is_bool_dtype(entries.dtype):
        return numbers.astype(np.float64)
    return entries.astype("string").astype(object).where(entries.notna(), None)


def _half_of_the_widest(column: pd.Series, read: AgeColumn) -> float:
    known = read_distinct(column.dropna().unique(), unit=read.unit, life_span=read.species.life_span)
    return max(age.high - age.low for age in known.values() if age.low is not None and age.high is not None) / 2


def _has_ages(column: pd.Series) -> bool:
    return bool(parse_ages(column, life_span=math.inf).notna().mean() >= _READABLE)


def _notes(path: Path, read: AgeColumn) -> list[str]:
    """Entries that are no ages; not those of donors without an entry, whom the build names."""
    said = str(read) if read.unread["entry"].notna().any() else ""
    asked = f"{read.question}, or by the name of the column, such as age_months" if read.question else ""
    return [f"{path.name}: {note}" for note in (said, asked) if note]
