"""Checks of ages: that they are what the column says, and that somebody can be that old."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.dataset import layout
from titin.dataset.store import slices
from titin.study.age_conflicts import Contradiction, columns_of_ages, find_contradictions
from titin.study.combinations import Combinations
from titin.study.species import Species, find_species
from titin.study.unread_ages import read_age_column


def _place(dataset: CheckedDataset, column: object) -> str:
    return f"{dataset.layout.sample_metadata}, column {column}"


def _species(dataset: CheckedDataset) -> Species:
    """As the build found them; found again of a dataset that does not say."""
    for origin in dataset.manifest.derived.values():
        if "species" in origin:
            return Species(tuple(origin["species"]))
    genes = dataset.genes
    obs: Any = dataset.obs  # of which no more than its columns is asked
    return find_species(obs, dataset.atlas.uns, genes[layout.GENE], genes[layout.GENE_IDS])


@check("metadata.ages", "Ages can be read as years, and age_numeric is what they say.", needs=["age"])
def ages(dataset: CheckedDataset) -> Outcome:
    """Every distinct entry of the age column, and ``age_numeric`` of every cell."""
    column = dataset.column("age")
    origin = dataset.manifest.derived.get(layout.AGE_NUMERIC, {})
    read = read_age_column(column, unit=origin.get("unit"), species=_species(dataset))
    place = _place(dataset, column.name)
    found = []
    if said := str(read):
        found.append(Finding(said, place, "they have no age_numeric", "note"))
    if read.question:
        found.append(Finding(read.question, place, "build the dataset again with --age-unit", "warning"))
    if origin:
        n, at = _other_ages(dataset, read.years.to_numpy())
        if n:
            stated, gives = dataset.derived[layout.AGE_NUMERIC].iloc[at], read.years.iloc[at]
            said = f"{n:,} cells have another age; the first {stated}, {column.iloc[at]!r} gives {gives}"
            found.append(Finding(said, f"{_place(dataset, layout.AGE_NUMERIC)}, row {at:,}", "build the dataset again"))
    n_unread = int(read.years.isna().sum())
    summary = f"{len(column):,} cells, {column.nunique():,} different ages, in {read.unit} where they do not say"
    return Outcome(found, summary, {"cells_without_age": n_unread, "unit": read.unit})


def _other_ages(dataset: CheckedDataset, years: NDArray[np.float64]) -> tuple[int, int]:
    """How many cells have another ``age_numeric`` than these years, and the first of them."""
    n, first = 0, -1
    for rows in slices(len(years)):
        stated, own = dataset.derived[layout.AGE_NUMERIC].iloc[rows].to_numpy(np.float64), years[rows]
        wrong = np.flatnonzero(~((stated == own) | (np.isnan(stated) & np.isnan(own))))
        if len(wrong):
            n, first = n + len(wrong), first if n else rows.start + int(wrong[0])
    return n, first


@check("metadata.age_columns", "No two columns tell ages of a donor that cannot both be true.", needs=["age"])
def age_columns(dataset: CheckedDataset) -> Outcome:
    """Every column that tells ages, ranges or numbers, and the donor table's ages, two at a time."""
    wrong = _contradictions(dataset)
    hint = "correct the source or the donor table, and build the dataset again"
    found = [Finding(str(one), f"{dataset.layout.sample_metadata}, columns {one.first} and {one.second}", hint)
             for one in wrong]  # fmt: skip
    facts = {f"{one.first} and {one.second}": sorted(one.donors) for one in wrong}
    return Outcome(found, f"{len(dataset.obs):,} cells", {"donors": facts})


def _contradictions(dataset: CheckedDataset) -> list[Contradiction]:
    """Found in cells that differ in what they say; counted over all of them only where there are any."""
    own = [record["name"] for record in dataset.manifest.obs["columns"][1:]]
    told = dict.fromkeys([*columns_of_ages(own, dataset.roles.get("age")), dataset.roles.get("donor")])
    columns = {name: dataset.obs[name] for name in told if name in own}
    derived = dataset.derived
    one_each = [column for column in columns.values() if isinstance(column, pd.Series)]
    alike = Combinations.of([*one_each, *(derived[name] for name in derived)], len(derived))
    for rows in (alike.rows, slice(None)):
        obs = pd.concat([column.iloc[rows] for column in columns.values()], axis=1)
        found = find_contradictions(
            obs, dataset.roles, derived.iloc[rows], origins=dataset.manifest.derived,
            life_span=_species(dataset).life_span,
        )  # fmt: skip
        if not found:
            break
    return found


@check("metadata.life_span", "Nobody is younger than at birth or older than the species becomes.")
def life_spans(dataset: CheckedDataset) -> Outcome:
    """``age_numeric`` and ``age_years`` of every cell, against the longest life that is known of the species."""
    derived = [name for name in dataset.manifest.derived if name in layout.AGES]
    if not derived:
        return Outcome(skipped="no ages are known")
    species = _species(dataset)
    found = [finding for name in derived for finding in _out_of_range(dataset, name, dataset.years(name), species)]
    who = str(species) if species.names else "species not known"
    return Outcome(found, f"{', '.join(derived)} from 0 to {species.life_span:g} years ({who})")


def _out_of_range(
    dataset: CheckedDataset, name: str, years: NDArray[np.float64], species: Species
) -> Iterator[Finding]:
    wrong = np.flatnonzero((years < 0) | (years > species.life_span))
    if len(wrong):
        limit = (
            f"{species} lives {species.life_span:g} at most" if species.names else f"nobody lives {species.life_span:g}"
        )
        said = f"{len(wrong):,} cells have an age that nobody reaches; the first {years[wrong[0]]:g} years, and {limit}"
        where = f"{_place(dataset, name)}, row {wrong[0]:,}"
        yield Finding(said, where, "are these days or months? Build the dataset again with --age-unit")
