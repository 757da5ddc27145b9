"""Whether the columns that tell ages agree: a range beside a number, two numbers, the donor table beside the atlas."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset import layout
from titin.study.age_grammar import Age
from titin.study.age_units import UNITS, UNKNOWN, YEARS, unit_of_column, without_unit
from titin.study.ages import read_distinct
from titin.study.candidates import bare
from titin.study.entries import read_entries
from titin.study.identity import longest_follow_up
from titin.text import say_some

# names of columns that tell the age of the cells, and not that at a diagnosis, a baseline visit or an onset
_PERSON = "(?:donor|patient|individual|subject|participant|person|mouse|animal|sample|specimen)?"
_AGE = re.compile(_PERSON + r"age(?:s|groups?|bins?|ranges?)?(?:old)?")
_GROUPED = re.compile(r".*(?:group|bin|range)s?")  # numbers in these may be codes
_SHORT_LIVED = 10.0  # years; ages of animals that live less are told in months
_NAMED = 5  # most donors in a sentence


@dataclass(frozen=True, eq=False)
class AgeStatement:
    """What one column says of the age of every cell.

    Attributes
    ----------
    column
        Its name.
    low, high
        float64 years a cell, the ends of what it says, NaN where it says nothing.
    entry
        What stands there, a cell.
    """

    column: str
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    entry: NDArray[np.object_]


@dataclass(frozen=True)
class Contradiction:
    """Two columns of which no age can be that of both.

    Attributes
    ----------
    first, second
        Their names.
    donors
        What the two say of each donor they contradict each other on; of the cells together, under ``""``, where
        there are no donors.
    cells
        How many cells there are of these.
    """

    first: str
    second: str
    donors: Mapping[str, tuple[str, str]]
    cells: int

    def __str__(self) -> str:
        """Say it in one sentence, with the donors."""
        each = [f"{name or 'the cells'} ({one} and {other})" for name, (one, other) in self.donors.items()]
        return (f"{self.first!r} and {self.second!r} contradict each other on {self.cells:,} cells: "
                f"{say_some(each, _NAMED)}")  # fmt: skip


def find_contradictions(
    obs: pd.DataFrame,
    roles: Mapping[str, Any],
    derived: pd.DataFrame,
    *,
    origins: Mapping[str, Mapping[str, Any]],
    life_span: float,
) -> list[Contradiction]:
    """Compare all that is said of the cells' ages, two columns at a time.

    Two ages of one cell agree where a year lies between them at most (a month, of animals that live less than ten
    years), as rounding, completed years and the ends of ranges allow. Of the donor table, an age may be that of any of
    a donor's visits. A column of numbers that states no unit disagrees only if it does so in every unit. Beside the
    column with the role, numbers in a column of groups, and those that count from 0 or 1 without a gap, may be codes
    and say nothing; nor do columns with negative fractions, which are no years.

    Parameters
    ----------
    obs
        One row a cell.
    roles
        Column of each role, as ``atlas.roles``.
    derived
        Ages that titin has put beside obs, as for `titin.study.design.Study`.
    origins
        What each of these was made from, as ``manifest.derived``.
    life_span
        Years beyond which nothing is an age.
    """
    role = roles.get("age")
    unit = origins.get(layout.AGE_NUMERIC, {}).get("unit")
    named = columns_of_ages(obs.columns, role)
    told = [
        _variants(obs[name], unit if name == role else None, life_span, is_role=name == role)
        for name in dict.fromkeys(named)
        if isinstance(obs[name], pd.Series)
    ]
    donor = roles.get("donor")
    names = _text(read_entries(obs[donor], "donor")) if donor in obs else np.full(len(obs), "", object)
    pairs = list(combinations(told, 2))
    if layout.AGE_YEARS in derived:
        table = _of_table(derived[layout.AGE_YEARS], float(origins.get(layout.AGE_YEARS, {}).get("within") or 0))
        pairs += [([_over_visits(own, names) for own in variants], [table]) for variants in told]
    rounding = 1 / 12 if life_span < _SHORT_LIVED else 1.0
    found = [_least(one, other, names, rounding) for one, other in pairs if one and other]
    return [contradiction for contradiction in found if contradiction is not None]


def columns_of_ages(columns: Iterable[Any], role: Any) -> list[Any]:
    """Those that may tell the age of a cell: the one with the role, and those of such a name."""
    return [c for c in columns if c == role or _AGE.fullmatch(without_unit(c)) or bare(c) == "developmentstage"]


def _variants(column: pd.Series, unit: str | None, life_span: float, *, is_role: bool) -> list[AgeStatement]:
    """What a column says, in the unit that it states or in each that it may be in; nothing where it is no ages."""
    stated = unit or unit_of_column(column.name)
    if stated == UNKNOWN:
        return []
    codes, distinct = pd.factorize(column)
    entries = [entry.item() if isinstance(entry, np.generic) else entry for entry in distinct]
    numbers = pd.to_numeric(pd.Series(entries, dtype=object), errors="coerce").to_numpy(np.float64)
    bare_numbers = bool(len(entries)) and bool(np.isfinite(numbers).all())
    if not is_role and bare_numbers and (_GROUPED.fullmatch(bare(column.name)) or _are_codes(numbers)):
        return []
    units = [stated] if stated else [YEARS] if is_role or not bare_numbers else list(UNITS)
    found = []
    for each in units:
        known = read_distinct(entries, unit=each, life_span=life_span)
        if any(age.years is not None for age in known.values()):
            found.append(_statement(column, codes, entries, known))
    return found


def _are_codes(numbers: NDArray[np.float64]) -> bool:
    """Whether numbers count from 0 or 1, or are scaled: no ages in any unit."""
    counts = np.sort(numbers)[0] in (0, 1) and len(numbers) > 1 and bool((np.diff(np.sort(numbers)) == 1).all())
    return counts or bool(((numbers < 0) & (numbers % 1 != 0)).any())


def _statement(
    column: pd.Series, codes: NDArray[np.intp], entries: Sequence[Any], known: Mapping[Any, Age]
) -> AgeStatement:
    ages = [known[entry] for entry in entries]
    low = np.array([*(np.nan if age.low is None else age.low for age in ages), np.nan])
    high = np.array([*(np.nan if age.high is None else age.high for age in ages), np.nan])
    text = np.array([*map(str, entries), None], object)
    return AgeStatement(str(column.name), low[codes], high[codes], text[codes])


def _of_table(years: pd.Series, within: float) -> AgeStatement:
    values = years.to_numpy(np.float64)
    codes, distinct = pd.factorize(years)
    text = np.array([*(f"{age:.6g}" for age in distinct), None], object)
    return AgeStatement(layout.AGE_YEARS, values - within, values + within, text[codes])


def _over_visits(said: AgeStatement, donor: NDArray[np.object_]) -> AgeStatement:
    """The ages of a donor from the first visit to the last, for each of its cells, if one person's lie so far apart."""
    if not any(donor):
        return said
    by_donor = pd.DataFrame({"low": said.low, "high": said.high}).groupby(donor)
    first, last = (by_donor["low"].transform("min").to_numpy(), by_donor["high"].transform("max").to_numpy())
    visits = by_donor["low"].transform("max").to_numpy() - first <= longest_follow_up(said.high)
    return AgeStatement(
        said.column, np.where(visits, first, said.low), np.where(visits, last, said.high), said.entry
    )  # fmt: skip


def _least(
    one: Sequence[AgeStatement], other: Sequence[AgeStatement], donor: NDArray[np.object_], rounding: float
) -> Contradiction | None:
    """The contradiction of two columns in those of their units in which they contradict each other least."""
    compared = [_compare(a, b, donor, rounding) for a in one for b in other]
    known = [found for found in compared if found is not None]
    return min(known, key=lambda found: found.cells) if len(known) == len(compared) else None


def _compare(
    one: AgeStatement, other: AgeStatement, donor: NDArray[np.object_], rounding: float
) -> Contradiction | None:
    apart = np.maximum(other.low - one.high, one.low - other.high)
    wrong = np.flatnonzero(apart > rounding * (1 + 1e-9))
    if not len(wrong):
        return None
    return Contradiction(one.column, other.column, dict(_by_donor(one, other, donor, wrong)), len(wrong))


def _by_donor(
    one: AgeStatement, other: AgeStatement, donor: NDArray[np.object_], wrong: NDArray[np.intp]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """What the two say of each donor, by the first of its cells."""
    names, first = np.unique(np.array([name or "" for name in donor[wrong]], str), return_index=True)
    for name, place in zip(names, wrong[first], strict=True):
        yield str(name), (str(one.entry[place]), str(other.entry[place]))


def _text(column: pd.Series) -> NDArray[np.object_]:
    text: NDArray[np.object_] = column.astype("string").astype(object).where(column.notna(), "").to_numpy()
    return text
