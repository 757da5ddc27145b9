"""A column of ages as it was read: the years of each cell, and which entries gave none, and why."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from titin.study.age_reasons import BEYOND, NO_UNIT
from titin.study.age_units import PER_YEAR, UNITS, UNKNOWN, YEARS, unit_of_column
from titin.study.ages import is_number, parse_ages, read_distinct
from titin.study.species import Species
from titin.study.tallies import code
from titin.text import count, say_some

_NAMED = 3  # entries of a reason that are named
_IN_DOUBT = 0.05  # share of the numbers without a unit that may be beyond the life span, as slips are


@dataclass(frozen=True)
class AgeColumn:
    """A column of ages, read.

    Attributes
    ----------
    name
        Of the column.
    unit
        Of its numbers without one; ``unknown`` where they cannot be years and nothing says what they are.
    years
        Of each row, float64; NaN where unknown.
    unread
        One row an entry without an age: ``entry``, ``why``, ``n``; the commonest first. Where there is no entry, it is
        None, and why is ``missing``.
    species
        Whose ages they are.
    rows
        What a row is: a cell, or a donor.
    """

    name: object
    unit: str
    years: pd.Series
    unread: pd.DataFrame
    species: Species
    rows: str = "cell"

    def __str__(self) -> str:
        """Say which entries were not read, and how many rows have them; nothing where all were."""
        total = int(self.unread["n"].sum())
        by_why = self.unread.groupby("why", sort=False)
        groups = sorted(by_why, key=lambda group: (-group[1]["n"].sum(), group[0]))
        said = "; ".join(_group(str(why), own, self.rows) for why, own in groups)
        have = "have" if total != 1 else "has"
        counted = f"{count(total, self.rows)} {have} no age that can be read from {self.name!r}"
        return f"{counted}: {said}" if total else ""

    @property
    def question(self) -> str:
        """Ask for the unit where ages are beyond the life span; empty where nothing is to be asked."""
        beyond = self.unread.loc[self.unread["why"].isin([BEYOND, NO_UNIT]), "entry"]
        numbers = pd.to_numeric(beyond, errors="coerce").dropna()
        if len(numbers):
            top, who, limit = float(numbers.max()), str(self.species), self.species.life_span
            what = f"{self.name!r} has numbers up to {top:g}"
            known = f"{who} lives {limit:g} years at most" if self.species.names else f"nobody lives {limit:g} years"
        elif self.species.looks_like and self.unit == YEARS and self.years.max() > self.species.likely_life_span:
            top, limit = float(self.years.max()), self.species.likely_life_span
            what = f"ages in {self.name!r} reach {top:g} years"
            known = f"genes are written as those of {self.species.looks_like} are, which live {limit:g} years at most"
        else:
            return ""
        fitting = [unit for unit in UNITS[1:] if top / PER_YEAR[unit] <= limit and unit != self.unit]
        ask = f": are they {' or '.join(fitting)}? Say so with --age-unit" if fitting else ""
        return f"{what}, and {known}{ask}"


def _group(why: str, own: pd.DataFrame, rows: str) -> str:
    """The entries of one reason, and how many rows have them."""
    named = [repr(entry) for entry in own["entry"] if entry is not None]
    number = count(int(own["n"].sum()), rows)
    return f"{why}{': ' if named else ''}{say_some(named, _NAMED)} ({number})"


def read_age_column(
    column: pd.Series, *, unit: str | None = None, species: Species | None = None, rows: str = "cell"
) -> AgeColumn:
    """Read a column of ages.

    Parameters
    ----------
    column
        One entry a row, of any dtype.
    unit
        Of numbers without one. Where it is not given, it is the one that the column's name states, else years; or
        ``unknown``, and none of the numbers is an age, where more than a few would be beyond the life span: what
        is not years for some is not years for the others.
    species
        Whose ages they are, and so what no age can be; any where not given.
    rows
        What a row is, for messages.

    Returns
    -------
    AgeColumn
        The years, and what gave none.
    """
    stated = unit or unit_of_column(column.name)
    species = species or Species()
    unread, bare = _unread(column, stated or YEARS, species)
    beyond = unread["n"][(unread["why"] == BEYOND) & unread["entry"].map(_is_bare)].sum()
    if stated is None and beyond > _IN_DOUBT * (bare + beyond):
        stated = UNKNOWN
        unread, _ = _unread(column, stated, species)
    unit = stated or YEARS
    years = parse_ages(column, unit=unit, life_span=species.life_span)
    return AgeColumn(column.name, unit, years, unread, species, rows)


def _unread(column: pd.Series, unit: str, species: Species) -> tuple[pd.DataFrame, int]:
    """Entries that are no ages, and the number of rows with an age that is written without a unit."""
    bare = 0
    if is_number(column.dtype):  # quick, however many different ones there are
        read = parse_ages(column, unit=unit, life_span=species.life_span).notna()
        column, bare = column[~read], int(read.sum())
    coded = code(column)
    counts = coded.counts[coded.used].tolist()
    ages = read_distinct(coded.distinct, unit=unit, life_span=species.life_span)
    rows = [(entry, age.why, n) for (entry, age), n in zip(ages.items(), counts, strict=True) if age.why]
    if absent := len(column) - coded.n_known:
        rows.append((None, "missing", absent))
    rows.sort(key=lambda row: (-row[2], row[0] if isinstance(row[0], int | float) else np.inf, str(row[0])))
    bare += sum(n for (entry, age), n in zip(ages.items(), counts, strict=True) if age.why is None and _is_bare(entry))
    return pd.DataFrame(rows, columns=["entry", "why", "n"]), bare


def _is_bare(entry: object) -> bool:
    """Whether an entry is a number, or a text of nothing else."""
    return not isinstance(entry, str) or entry.replace(".", "", 1).strip().isdecimal()
