"""Whether the cells of one donor can be those of one person: one sex, and ages as near as samples of one study are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset.store import slices
from titin.study.candidates import bare
from titin.study.tallies import Coded, code, count_combinations, count_pairs, is_known
from titin.text import count, say_some

_LONG_LIVED = 6.0  # years; a study with an older donor is not of mice
_FOLLOWED_UP = {True: 10.0, False: 0.25}  # years that samples of one donor may lie apart, of the long-lived and of mice
_NAMED = 3  # most donors in a sentence
# columns by which donors of one name in several studies are told apart, the best first
_PARTS = (
    "studyid", "study", "datasetid", "dataset", "datasetname", "cohortid", "cohort", "projectid", "project",
    "collectionid", "collection", "seriesid", "series", "gse", "geoseries", "accession", "publication", "paper", "doi",
    "title", "sourceid", "source", "center", "centre", "site", "lab", "institute", "experimentid", "experiment",
    "batch",
)  # fmt: skip

_STUDIES = {part for part in _PARTS if re.match("study|dataset|cohort|project|collection|series", part)}
_GENERIC = re.compile(r"\D{0,8}\d{1,3}(?:\.0)?")  # D1, donor12, 3


@dataclass(frozen=True)
class Clashes:
    """Donors that have several entries where a person has one.

    Attributes
    ----------
    sexes
        Cells by sex of each donor with two.
    ages
        Youngest and oldest age in years of each donor whose ages lie further apart than samples of one person do.
    visits
        Likewise of each donor with several ages that do not.
    """

    sexes: Mapping[str, Mapping[str, int]]
    ages: Mapping[str, tuple[float, float]]
    visits: Mapping[str, tuple[float, float]]

    @property
    def donors(self) -> list[str]:
        """Donors that cannot be one person."""
        return sorted({*self.sexes, *self.ages})


def find_clashes(donor: pd.Series, sex: pd.Series | None = None, ages: pd.Series | None = None) -> Clashes:
    """Find the donors whose cells are those of several people.

    Parameters
    ----------
    donor, sex
        Of each cell, as `titin.study.design.Study.values` has them.
    ages
        Years, float64.
    """
    coded = code(donor, sort=True)
    text = [str(name) for name in coded.names]
    sexes = {} if sex is None else {text[number]: counts for number, counts in _sexes(coded, sex) if len(counts) > 1}
    spans: dict[str, tuple[float, float]] = {}
    longest = 0.0
    if ages is not None and is_known(ages):
        years = ages.to_numpy(np.float64)
        longest = longest_follow_up(years)
        low, high = _spans(coded, years)
        spans = {text[number]: (float(low[number]), float(high[number])) for number in np.flatnonzero(low < high)}
    apart = {name: span for name, span in spans.items() if span[1] - span[0] > longest}
    return Clashes(sexes, apart, {name: span for name, span in spans.items() if name not in apart})


def _sexes(donor: Coded, sex: pd.Series) -> Iterator[tuple[int, dict[str, int]]]:
    """Cells by sex (text) of each donor, of those that have both."""
    of_sex = code(sex)
    donors, sexes, n = count_pairs(donor, of_sex)
    for number in np.unique(donors):
        own = donors == number
        words = np.array([str(of_sex.names[one]) for one in sexes[own]])  # those of several entries may be one
        yield int(number), {str(word): int(n[own][words == word].sum()) for word in np.unique(words)}


def _spans(donor: Coded, years: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Youngest and oldest age of each donor; infinity and minus infinity of those without one."""
    low, high = np.full(len(donor.names), np.inf), np.full(len(donor.names), -np.inf)
    for own in slices(len(years)):
        known = (donor.codes[own] >= 0) & ~np.isnan(years[own])
        np.minimum.at(low, donor.codes[own][known], years[own][known])
        np.maximum.at(high, donor.codes[own][known], years[own][known])
    return low, high


def longest_follow_up(years: NDArray[np.float64]) -> float:
    """Years that samples of one donor may lie apart, in a study of donors of these ages; NaN of all is none known."""
    return _FOLLOWED_UP[bool(np.nanmax(years, initial=0.0) > _LONG_LIVED)]


def find_parts(columns: Sequence[object]) -> list[object]:
    """Columns that may say which study, dataset or cohort a cell is of, the likeliest first."""
    ranked = [(_PARTS.index(bare(column)), str(column), column) for column in columns if bare(column) in _PARTS]
    return [column for *_, column in sorted(ranked, key=lambda found: found[:2])]


def warn_of_clashes(donor: pd.Series, sex: pd.Series | None, ages: pd.Series | None, obs: pd.DataFrame) -> list[str]:
    """Say which donors cannot be one person each, and which column tells the people of one name apart.

    Parameters
    ----------
    donor, sex, ages
        As for `find_clashes`.
    obs
        Of the same cells, with the columns of `find_parts`.

    Returns
    -------
    list of str
        Sentences without a full stop; none where every donor can be one person.
    """
    said = describe_clashes(find_clashes(donor, sex, ages))
    if said:
        return [f"{'; '.join(said)}: donors of one name are counted as one. {_remedy(donor, sex, ages, obs)}"]
    return [] if ages is not None else _shared_names(donor, obs)


def _remedy(donor: pd.Series, sex: pd.Series | None, ages: pd.Series | None, obs: pd.DataFrame) -> str:
    n_donors = len(code(donor).distinct)
    for part in find_parts(list(obs.columns)):
        told = {"sex": sex, "age": ages}
        known = count_combinations(
            {"donor": donor, "part": obs[part], **{k: v for k, v in told.items() if v is not None}}
        )
        known = known[known["donor"].notna()]
        both = known["part"].astype(str) + ":" + known["donor"].astype(str)
        if both.nunique() > n_donors and not find_clashes(both, known.get("sex"), known.get("age")).donors:
            return (f"{str(part)!r} tells them apart: make a column of both in the source "
                    f"(obs[{str(part)!r}] + ':' + obs[{str(donor.name)!r}]), and name it with --donor")  # fmt: skip
    return "Correct the source, or name a column with --donor that has one person a name"


def _shared_names(donor: pd.Series, obs: pd.DataFrame) -> list[str]:
    """Where no age can tell: names such as D1 that donors of several studies have."""
    for part in find_parts(list(obs.columns)):
        if bare(part) not in _STUDIES:
            continue
        of_donor = code(donor)
        donors, _, _ = count_pairs(of_donor, code(obs[part]))
        names = sorted(str(of_donor.names[number]) for number in np.flatnonzero(np.bincount(donors) > 1))
        if names and all(_GENERIC.fullmatch(name) for name in names):
            are = "donor is" if len(names) == 1 else "donors are"
            return [f"{len(names)} {are} in several values of {str(part)!r} ({say_some(names, _NAMED)}) and counted as "
                    "one person each: if these are people of one name, make a column of both in the source, and name "
                    "it with --donor"]  # fmt: skip
    return []


def describe_clashes(clashes: Clashes) -> list[str]:
    """Say who cannot be one person, and who was sampled at several ages; a sentence each."""
    said = []
    if clashes.sexes:
        each = [f"{name} ({_counts(counts)})" for name, counts in clashes.sexes.items()]
        said.append(f"{count(len(each), 'donor')} of two sexes: {say_some(each, _NAMED)}")
    if clashes.ages:
        each = [f"{name} ({_years(span)})" for name, span in clashes.ages.items()]
        said.append(f"{count(len(each), 'donor')} of ages too far apart for one: {say_some(each, _NAMED)}")
    return said


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} cells {name}" for name, n in counts.items())


def _years(span: tuple[float, float]) -> str:
    return f"{span[0]:.4g} to {span[1]:.4g} years"
