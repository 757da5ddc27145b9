"""Whether the columns that tell ages agree: a range beside a number, two numbers, the donor table beside the atlas."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.store import slices
from titin.study.age_grammar import Age
from titin.study.age_units import UNITS, UNKNOWN, YEARS, unit_of_column, without_unit
from titin.study.ages import read_distinct
from titin.study.candidates import bare
from titin.study.entries import read_entries
from titin.study.identity import longest_follow_up
from titin.study.tallies import Coded, code, count_pairs
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
    coded
        What stands there.
    low, high
        float64 years by its code, the ends of what it says, NaN where it says nothing.
    """

    column: str
    coded: Coded
    low: NDArray[np.float64]
    high: NDArray[np.float64]


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
    donors = code(read_entries(obs[donor], "donor")) if donor in obs else None
    pairs = list(combinations(told, 2))
    if layout.AGE_YEARS in derived:
        table = _of_table(derived[layout.AGE_YEARS], float(origins.get(layout.AGE_YEARS, {}).get("within") or 0))
        pairs += [([_over_visits(own, donors) for own in variants], [table]) for variants in told]
    rounding = 1 / 12 if life_span < _SHORT_LIVED else 1.0
    found = [_least(one, other, donors, rounding) for one, other in pairs if one and other]
    return [contradiction for contradiction in found if contradiction is not None]


def columns_of_ages(columns: Iterable[Any], role: Any) -> list[Any]:
    """Those that may tell the age of a cell: the one with the role, and those of such a name."""
    return [c for c in columns if c == role or _AGE.fullmatch(without_unit(c)) or bare(c) == "developmentstage"]


def _variants(column: pd.Series, unit: str | None, life_span: float, *, is_role: bool) -> list[AgeStatement]:
    """What a column says, in the unit that it states or in each that it may be in; nothing where it is no ages."""
    stated = unit or unit_of_column(column.name)
    if stated == UNKNOWN:
        return []
    coded = code(column)
    entries = coded.distinct
    numbers = pd.to_numeric(pd.Series(entries, dtype=object), errors="coerce").to_numpy(np.float64)
    bare_numbers = bool(len(entries)) and bool(np.isfinite(numbers).all())
    if not is_role and bare_numbers and (_GROUPED.fullmatch(bare(column.name)) or _are_codes(numbers)):
        return []
    units = [stated] if stated else [YEARS] if is_role or not bare_numbers else list(UNITS)
    found = []
    for each in units:
        known = read_distinct(entries, unit=each, life_span=life_span)
        if any(age.years is not None for age in known.values()):
            found.append(_statement(column, coded, known))
    return found


def _are_codes(numbers: NDArray[np.float64]) -> bool:
    """Whether numbers count from 0 or 1, or are scaled: no ages in any unit."""
    counts = np.sort(numbers)[0] in (0, 1) and len(numbers) > 1 and bool((np.diff(np.sort(numbers)) == 1).all())
    return counts or bool(((numbers < 0) & (numbers % 1 != 0)).any())


def _statement(column: pd.Series, coded: Coded, known: Mapping[Any, Age]) -> AgeStatement:
    low, high = np.full((2, len(coded.names)), np.nan)
    for number, entry in zip(coded.used, coded.distinct, strict=True):
        age = known[entry]
        low[number], high[number] = (np.nan if end is None else end for end in (age.low, age.high))
    return AgeStatement(str(column.name), coded, low, high)


def _of_table(years: pd.Series, within: float) -> AgeStatement:
    coded = code(years)
    values = np.array(coded.names, np.float64)
    coded = Coded(coded.codes, [f"{age:.6g}" for age in coded.names])
    return AgeStatement(layout.AGE_YEARS, coded, values - within, values + within)


def _over_visits(said: AgeStatement, donor: Coded | None) -> AgeStatement:
    """The ages of a donor from the first visit to the last, for each of its cells, if one person's lie so far apart."""
    if donor is None or not donor.n_known:
        return said
    of, entry, _ = count_pairs(donor, said.coded)
    low, high = said.low[entry], said.high[entry]
    ends = pd.DataFrame({"low": low, "high": high}).groupby(of)["low"].agg(["min", "max"])
    oldest = said.high[said.coded.used]
    first, last = ends["min"].reindex(of).to_numpy(), pd.Series(high).groupby(of).max().reindex(of).to_numpy()
    visits = ends["max"].reindex(of).to_numpy() - first <= longest_follow_up(oldest)
    pairs = _pair_up(donor, said.coded, of, entry)
    nothing = np.full(len(said.coded.names), np.nan)  # is what a table of donors says of cells of no donor
    low = np.concatenate([np.where(visits, first, low), nothing])
    return AgeStatement(said.column, pairs, low, np.concatenate([np.where(visits, last, high), nothing]))


def _pair_up(donor: Coded, entry: Coded, of: NDArray[np.intp], entries: NDArray[np.intp]) -> Coded:
    """Donor and entry of each cell as one; of cells without a donor the entry, behind them."""
    width = max(len(entry.names), 1)
    keys = of * width + entries
    codes = np.empty(len(donor.codes), np.int32)
    for own in slices(len(codes)):
        a, b = donor.codes[own].astype(np.int64), entry.codes[own].astype(np.int64)
        place = np.searchsorted(keys, a * width + b)
        codes[own] = np.where(b < 0, -1, np.where(a < 0, len(keys) + b, place))
    return Coded(codes, [entry.names[number] for number in entries] + entry.names)


def _least(
    one: Sequence[AgeStatement], other: Sequence[AgeStatement], donor: Coded | None, rounding: float
) -> Contradiction | None:
    """The contradiction of two columns in those of their units in which they contradict each other least."""
    compared = [_compare(a, b, donor, rounding) for a in one for b in other]
    known = [found for found in compared if found is not None]
    return min(known, key=lambda found: found.cells) if len(known) == len(compared) else None


def _compare(one: AgeStatement, other: AgeStatement, donor: Coded | None, rounding: float) -> Contradiction | None:
    of_one, of_other, n = count_pairs(one.coded, other.coded)
    apart = np.maximum(other.low[of_other] - one.high[of_one], one.low[of_one] - other.high[of_other])
    wrong = apart > rounding * (1 + 1e-9)
    if not wrong.any():
        return None
    donors = _by_donor(one.coded, other.coded, donor, of_one[wrong], of_other[wrong])
    return Contradiction(one.column, other.column, donors, int(n[wrong].sum()))


def _by_donor(
    one: Coded, other: Coded, donor: Coded | None, of_one: NDArray[np.intp], of_other: NDArray[np.intp]
) -> dict[str, tuple[str, str]]:
    """What the two say of each donor, by the first of its cells that have one of these pairs of entries."""
    width = len(other.names)
    wrong = of_one * width + of_other
    found: dict[str, tuple[str, str]] = {}
    for own in slices(len(one.codes)):
        a, b = one.codes[own].astype(np.int64), other.codes[own].astype(np.int64)
        places = np.flatnonzero((a >= 0) & (b >= 0) & np.isin(a * width + b, wrong))
        names = np.full(len(a), -1) if donor is None else donor.codes[own]
        for number, first in zip(*np.unique(names[places], return_index=True), strict=True):
            name = "" if donor is None or number < 0 else str(donor.names[number])
            place = places[first]
            found.setdefault(name, (str(one.names[a[place]]), str(other.names[b[place]])))
    return dict(sorted(found.items()))
