"""Ages of the cells at build: read from the column with that role, and from a table of donors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from titin.builder.options import Options
from titin.dataset import layout
from titin.errors import TitinError
from titin.source.names import without_names
from titin.study.age_conflicts import find_contradictions
from titin.study.donor_tables import DonorTable, read_donor_table
from titin.study.entries import read_entries
from titin.study.roles import RoleChoice, columns_of
from titin.study.species import Species, find_species
from titin.study.unread_ages import read_age_column
from titin.study.vocabulary import sex_of


@dataclass(frozen=True)
class CellMetadata:
    """What is known of the cells before their ages are read.

    Attributes
    ----------
    obs
        As the source has it.
    choices
        The column of each role, and why; see `titin.study.roles.choose_roles`.
    uns
        Unstructured metadata of the source, which may name the species.
    genes
        Symbol and id of every gene (``gene``, ``gene_ids``), by which the species may be told.
    options
        Of the build.
    donors
        The table of donors, read, where it is not to be read from the file that the options name.
    ages
        Ages, and what else is known of the donors, where they were read before; see `titin.source.Source`.
    """

    obs: pd.DataFrame
    choices: Mapping[str, RoleChoice]
    uns: Mapping[str, Any]
    genes: pa.Table
    options: Options
    donors: DonorTable | None = None
    ages: Mapping[str, tuple[pd.Series, dict[str, Any]]] | None = None

    @property
    def roles(self) -> dict[str, Any]:
        """Column of each role; of ``cell_type`` a list."""
        return columns_of(self.choices)

    @property
    def unnamed(self) -> "CellMetadata":
        """The same of cells that have numbers for names."""
        ages = {name: (column.reset_index(drop=True), origin) for name, (column, origin) in (self.ages or {}).items()}
        return replace(self, obs=without_names(self.obs), ages=None if self.ages is None else ages)

    def species(self) -> Species:
        """Which animals the cells are of."""
        names, ids = (self.genes.column(name).to_pandas() for name in (layout.GENE, layout.GENE_IDS))
        return find_species(self.obs, self.uns, names, ids, self.options.preset.card.organism)

    def donor_table(self, species: Species) -> DonorTable | None:
        """The table of donors; None where there is none."""
        if self.donors is not None or self.options.donors is None:
            return self.donors
        return read_donor_table(self.options.donors, species=species)


@dataclass(frozen=True)
class CellAges:
    """Ages of the cells, in the order of the source.

    Attributes
    ----------
    columns
        Years by the name under which they are stored, float64: ``age_numeric`` and, with a table of donors,
        ``age_years``; and what else the table says of the donors, float64 or text.
    derived
        What each was made from; see `titin.dataset.manifest.Manifest.derived`.
    notes
        What a user should know about them.
    """

    columns: dict[str, pd.Series]
    derived: dict[str, dict[str, Any]]
    notes: list[str]


def read_cell_ages(cells: CellMetadata) -> CellAges:
    """Read the ages that a build knows of.

    Raises
    ------
    TitinError
        If a unit of ages or a table of donors is given and there is nothing that it is for, or if two columns, or a
        column and the table, tell ages of a donor that cannot both be true.
    """
    species = cells.species()
    found = CellAges({}, {}, [])
    if cells.ages is None:
        _from_column(cells, species, found)
    for name, (column, origin) in (cells.ages or {}).items():
        found.columns[name], found.derived[name] = column, dict(origin)
    if (table := cells.donor_table(species)) is not None:
        _from_donors(cells, table, found)
    for origin in found.derived.values():
        origin.setdefault("species", list(species.names))
    _refuse_contradictions(cells, species, found)
    return found


def _refuse_contradictions(cells: CellMetadata, species: Species, found: CellAges) -> None:
    derived = pd.DataFrame(found.columns, index=cells.obs.index, copy=False)
    wrong = find_contradictions(cells.obs, cells.roles, derived, origins=found.derived, life_span=species.life_span)
    if wrong:
        said = "; ".join(map(str, wrong))
        table = " or the donor table (are its donors those of this atlas?)" if layout.AGE_YEARS in derived else ""
        raise TitinError(
            f"ages contradict each other: {said}",
            f"correct the source{table}, or leave a column that is no age out with --no-obs COLUMN",
        )


def _from_column(cells: CellMetadata, species: Species, found: CellAges) -> None:
    obs, column, unit = cells.obs, cells.roles["age"], cells.options.age_unit
    expected = cells.options.preset.build.roles.get("age")
    if column is None:
        if unit is not None:
            raise TitinError("--age-unit is given, but obs has no age column", "name it with --age COLUMN")
        if expected in obs.columns:
            found.notes.append(f"{expected!r} holds no age that can be read: ages are not known")
        return
    ages = read_age_column(obs[column], unit=unit, species=species)
    found.columns[layout.AGE_NUMERIC] = ages.years
    found.derived[layout.AGE_NUMERIC] = {"from": "obs", "column": column, "unit": ages.unit}
    found.notes.extend(note for note in (str(ages), ages.question) if note)


def _from_donors(cells: CellMetadata, table: DonorTable, found: CellAges) -> None:
    column = cells.roles["donor"]
    if column is None:
        raise TitinError("--donors gives ages by donor, but obs has no donor column", "name it with --donor COLUMN")
    known = table.ages
    donors = donor_names(read_entries(cells.obs[column], "donor"))
    named = set(known.index) | set(table.columns.index)
    missing = sorted(set(donors.dropna().unique()) - set(known.index))
    if not named & set(donors.dropna().unique()):
        raise TitinError(
            f"--donors: {table.path} names none of the donors in {column!r} ({', '.join(missing[:3])} …)",
            "check the donor names, or name the donor column with --donor COLUMN",
        )
    found.notes.extend(table.notes)
    _about_donors(cells, table, donors, found)
    if known.empty:
        return
    if missing:
        found.notes.append(f"the donor table has no age for {', '.join(missing)}")
    found.columns[layout.AGE_YEARS] = donors.map(known).astype(np.float64)
    found.derived[layout.AGE_YEARS] = {"from": "donors", "file": table.path.name, "within": table.within}


def _about_donors(cells: CellMetadata, table: DonorTable, donors: pd.Series, found: CellAges) -> None:
    """Add what else a table says of the donors, under its own names; what obs says already has to be the same."""
    for column in table.columns:
        name, values = str(column), donors.map(table.columns[column])
        if name in cells.obs or name in layout.CELL_COLUMNS:
            _refuse_other_values(cells, name, donors, values)
            continue
        number = pd.api.types.is_float_dtype(table.columns[column].dtype)
        found.columns[name] = values.astype(np.float64) if number else values.astype(object).where(values.notna(), None)
        found.derived[name] = {"from": "donors", "file": table.path.name, "column": name,
                               "type": "number" if number else "text"}  # fmt: skip


def _refuse_other_values(cells: CellMetadata, name: str, donors: pd.Series, values: pd.Series) -> None:
    if name not in cells.obs:
        return
    own = cells.obs[name]
    one, other = (pd.to_numeric(v, errors="coerce") for v in (own.astype(object), values))
    text = own.astype("string").str.strip() != values.astype("string").str.strip()
    differ = own.notna() & values.notna() & text.fillna(False) & ~(one == other)
    if name == cells.roles["sex"]:
        differ &= own.map(sex_of).astype(object) != values.map(sex_of).astype(object)
    if name != cells.roles["age"] and differ.any():
        at = differ.to_numpy().argmax()
        raise TitinError(
            f"the donor table and obs contradict each other in {name!r}: of donor {donors.iloc[at]} they say "
            f"{values.iloc[at]!r} and {own.iloc[at]!r} ({donors[differ].nunique()} donors in all)",
            "correct one of them (are its donors those of this atlas?), or leave the column out of the table",
        )


def donor_names(column: pd.Series) -> pd.Series:
    """Donors as text, as a table of donors has them: 1.0 as 1; missing ones stay missing."""

    def name(value: Any) -> str:
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    known = {value: name(value) for value in column.dropna().unique()}
    return column.astype(object).map(known)
