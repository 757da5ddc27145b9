"""Which donors are compared, in which protocol, by which design: the same for expression and for composition."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.design import (
    OLD,
    Design,
    NotTestableError,
    add_variables,
    default_formula,
    make_design,
)
from titin.ageing.formulas import formula_variables, named_variables
from titin.ageing.linear_models import adjust
from titin.dataset import layout
from titin.errors import TitinError
from titin.results import Result
from titin.study.ages import age_cut, donor_ages, young_or_old
from titin.study.design import AGE, ROLES, need
from titin.study.gaps import CHOSEN, Complete, find_complete, say_left_out

ACROSS = "adj_p_value_across_types"
ALL = "all"  # name of the protocol where the dataset has none
MIN_DONORS = 3
_MIN_RESIDUAL_DF = 2

Contrast = str | Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class OverDonors(Result):
    """A result over donors, and who took no part in it.

    Attributes
    ----------
    cells_left_out
        Cells that lack what the analysis needs, by what they lack; a cell counts once, under the first that it lacks.
    donors_left_out
        Donors of whom no cell was left.
    """

    cells_left_out: dict[str, int] = field(default_factory=dict)
    donors_left_out: list[str] = field(default_factory=list)

    @property
    def left_out_sentences(self) -> list[str]:
        """Who took no part, in words; empty where all cells did."""
        return say_left_out(self.cells_left_out, self.donors_left_out)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Comparisons(OverDonors):
    """Tests of one contrast, over donors, in every type and protocol.

    Attributes
    ----------
    table
        One row a test; ``contrast`` names what its effect is of, and per what.
    tests
        One entry a type and protocol tested: ``cell_type``, ``protocol``, ``donors``, ``columns`` of the design,
        those ``tested``, ``vif``, the variance inflation of the contrast (see `titin.ageing.variance_inflation`),
        ``notes`` on what was left out of the design and what overlaps with the contrast, and what the method has to
        say.
    skipped
        The others, with the ``reason``, and ``n_cells`` where the cells are known.
    caveat
        What the numbers do not say.
    """

    tests: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    caveat: str = ""

    def __post_init__(self) -> None:
        """Name the contrast in the table, which is often read without what stands beside it."""
        super().__post_init__()
        object.__setattr__(self, "table", with_contrast(self.table, self.settings))

    def vif(self, **where: Any) -> str:
        """How far the contrast overlaps with the other terms in the tests of a type or protocol; see `say_vif`."""
        return say_vif(self.settings, [t for t in self.tests if all(t.get(k) == v for k, v in where.items())])


def name_contrast(settings: Mapping[str, Any]) -> str:
    """What effects are of, and per what.

    Examples
    --------
    >>> name_contrast({"contrast": "age", "unit": "decade"}), name_contrast({"contrast": "young_old", "unit": ""})
    ('age (a decade)', 'young_old')
    """
    return f"{settings['contrast']} (a {settings['unit']})" if settings.get("unit") else str(settings["contrast"])


def with_contrast(table: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Add a column ``contrast`` to a table of tests, after where they were made; nothing where there is none."""
    if not settings.get("contrast") or "contrast" in table:
        return table
    more = table.copy(deep=False)
    place = list(more).index("protocol") + 1 if "protocol" in more else 0
    named = pd.Series(name_contrast(settings), more.index, dtype="category")
    more.insert(place, "contrast", named)
    return more


def say_vif(settings: Mapping[str, Any], tests: Sequence[Mapping[str, Any]]) -> str:
    """The span of the variance inflation over tests; empty where none has one.

    Examples
    --------
    >>> say_vif({"contrast": "age"}, [{"vif": 4.11}, {"vif": 1.0}])
    'VIF of age 1.0 to 4.1'
    """
    known = sorted({round(float(test["vif"]), 1) for test in tests if test.get("vif")})
    if not known:
        return ""
    span = f"{known[0]:.1f}" if len(known) == 1 else f"{known[0]:.1f} to {known[-1]:.1f}"
    return f"VIF of {settings.get('contrast', 'the contrast')} {span}"


@dataclass(frozen=True)
class DonorContrast:
    """What is asked of all types and protocols alike.

    Attributes
    ----------
    formula
        As for formulaic; ``age`` in decades, ``old`` is 1 from the age cut on.
    contrast
        Column, variable, or weights of columns.
    unit
        The effect is per this: ``decade``, or empty.
    cut
        Years between young and old; None where ages are not asked for.
    min_donors
        Fewest donors on either side.
    drop_confounded
        As for `make_design`.
    """

    formula: str
    contrast: Contrast
    unit: str
    cut: float | None
    min_donors: int = MIN_DONORS
    drop_confounded: bool = False

    @property
    def name(self) -> str:
        """The contrast in words."""
        if not isinstance(self.contrast, str):
            return " ".join(f"{w:+g} {name}" for name, w in self.contrast.items())
        return {AGE: "age", OLD: "young_old"}.get(self.contrast, self.contrast)

    @property
    def variables(self) -> list[str]:
        """Columns that the formula names."""
        return formula_variables(self.formula)


@dataclass(frozen=True)
class ComparedUnits:
    """The units of one comparison.

    Attributes
    ----------
    rows
        Positions of the rows that take part.
    unit
        Unit of each of them.
    units
        One row a unit: ``donor``, variables, ``n_cells``.
    design
        Over units.
    notes
        What was left out, and why.
    """

    rows: NDArray[np.int64]
    unit: NDArray[np.int64]
    units: pd.DataFrame
    design: Design
    notes: list[str]

    @property
    def donors(self) -> list[str]:
        """Donors that take part."""
        return sorted(map(str, self.units["donor"].unique()))

    @property
    def facts(self) -> dict[str, Any]:
        """What is to be said of every comparison: as in the entries of `Comparisons.tests`."""
        return {"donors": self.donors, "columns": self.design.columns, "tested": self.design.tested,
                "vif": round(self.design.vif, 3), "notes": self.notes}  # fmt: skip


def extra_columns(contrast: Contrast, formula: str | None, where: Collection[str] | None) -> list[str]:
    """Columns of obs that a question names beyond the roles; ``where`` are those of conditions."""
    own = contrast if isinstance(contrast, str) and contrast != "young_old" else ""
    named = formula_variables(formula or f"~ {own}") if formula or own else []
    known = (*ROLES, AGE, OLD, "young_old")
    return [name for name in dict.fromkeys([*named, *(where or {})]) if name not in known]


def find_asked(
    groups: pd.DataFrame, contrast: Contrast, formula: str | None, more: Sequence[str] = ()
) -> tuple[str, Complete]:
    """Settle the formula, and which groups, or cells, have all that a comparison by it needs.

    Parameters
    ----------
    groups
        One row a group of cells, or a cell, with what is known of it.
    contrast, formula
        As for `ask`. Of what no group has a value for, nothing is needed.
    more
        Further columns that are needed, such as the level of cell types.

    Raises
    ------
    TitinError
        If weights of columns are given without a formula, or it is none.
    """
    if formula is None and not isinstance(contrast, str):
        raise TitinError("weights of columns need a formula", 'give one, such as formula="~ sex + treatment"')
    among = groups[groups[CHOSEN].notna()] if CHOSEN in groups else groups
    known = [str(name) for name in among if among[name].notna().any()]
    formula = formula or default_formula(str(contrast), known)
    variables = [AGE if name == OLD else name for name in formula_variables(formula)]
    return formula, find_complete(groups, [n for n in ("donor", "protocol", *more, *variables) if n in known])


def take_part(keys: pd.DataFrame, contrast: Contrast, formula: str | None, more: Sequence[str] = ()) -> Complete:
    """Find the cells, or groups of cells, that have all that a comparison needs; see `find_asked`.

    Raises
    ------
    TitinError
        If none has.
    """
    complete = find_asked(keys, contrast, formula, more)[1]
    if not complete.rows.any() and complete.cells_left_out:
        raise TitinError(f"no cell has all that is compared: {say_left_out(complete.cells_left_out)[0]}",
                         "name columns that have values in the same cells, or give another --formula")  # fmt: skip
    return complete


def ask(
    groups: pd.DataFrame,
    contrast: Contrast,
    formula: str | None,
    *,
    min_donors: int = MIN_DONORS,
    drop_confounded: bool = False,
    complete: Complete | None = None,
) -> DonorContrast:
    """Settle what is asked, of a dataset whose groups of cells these are.

    Parameters
    ----------
    groups
        One row a group of cells that takes part: ``donor``, variables, ``n_cells``.
    contrast, formula, min_donors, drop_confounded
        As for `titin.ageing.differential_expression`.
    complete
        From `find_asked`: what was left out before, for the message where too few donors are left.

    Raises
    ------
    TitinError
        If the dataset has no donors, one donor, no ages where ages are asked for, or no such column.
    """
    known = [str(name) for name in groups]
    need(known, "donor", "donors are what is compared")
    formula, own = find_asked(groups, contrast, formula)
    groups = groups[own.rows]
    n_donors = groups["donor"].nunique()
    if n_donors < 2:
        told = own if complete is None else complete
        why = "".join(f" ({said})" for said in say_left_out(told.cells_left_out, told.donors_left_out))
        raise TitinError(
            f"this dataset has {n_donors or 'no named'} donor{'s' if n_donors == 0 else ''}{why}: donors are what is "
            f"compared, and a comparison needs {min_donors} of them on either side",
            "nothing can be said of ageing from the cells of one person",
        )
    variables = formula_variables(formula)
    if contrast in (AGE, "young_old") or {AGE, OLD} & set(variables):
        need(known, AGE, "the comparison is of ages")
    missing = [name for name in variables if name not in known and name != OLD]
    if missing:
        raise TitinError(f"the formula {formula!r} names {missing[0]!r}, which the dataset does not have",
                         f"it has {', '.join(map(str, known))}")  # fmt: skip
    cut = None
    if AGE in groups:
        ages = donor_ages(groups[AGE], groups["donor"])
        if contrast in (AGE, "young_old") and ages.empty:
            raise TitinError("no donor's age can be read: the comparison is of ages", "give years, or ranges as 15-20")
        cut = age_cut(ages)
    if contrast == "young_old" and cut is None:
        raise TitinError("these ages do not part young from old: there are too few donors, or all of one age",
                         "ask for the contrast age, or give a formula")  # fmt: skip
    return DonorContrast(
        formula, OLD if contrast == "young_old" else contrast, "decade" if contrast == AGE else "", cut, min_donors,
        drop_confounded,
    )  # fmt: skip


def protocols(
    groups: pd.DataFrame, question: DonorContrast | None = None
) -> Iterator[tuple[str, NDArray[np.int64]]]:  # fmt: skip
    """Yield each protocol and the positions of its groups; ``all`` where the dataset has none.

    A question whose formula has the protocol in it is one of all protocols together.
    """
    together = question is not None and "protocol" in question.variables
    if together or "protocol" not in groups or groups["protocol"].isna().all():
        yield ALL, np.arange(len(groups))
        return
    names = groups["protocol"]
    for name in sorted(names.dropna().unique()):
        yield str(name), np.flatnonzero(names == name)


def choose_units(
    groups: pd.DataFrame, rows: NDArray[np.int64], question: DonorContrast, *, min_cells: int = 1
) -> ComparedUnits:
    """Sum up which donors take part in one comparison.

    Parameters
    ----------
    groups
        One row a group of cells: ``donor``, variables, ``n_cells``.
    rows
        Positions of those of one type and protocol.
    question
        What is asked.
    min_cells
        Units of fewer cells are left out.

    Raises
    ------
    NotTestableError
        With the reason why nothing can be said.
    """
    table = add_variables(groups.iloc[rows], question.cut)
    variables = question.variables
    complete = table[["donor", *variables]].notna().all(axis=1).to_numpy()
    notes = _say_missing(table, variables, complete)
    rows, table = rows[complete], table[complete]
    keys = ["donor", *(name for name in _contrast_variables(question, table) if name != "donor")]
    grouped = table.groupby(_repeated(table, keys), sort=True)
    unit = grouped.ngroup().to_numpy().astype(np.int64)
    cells = np.bincount(unit, table[layout.N_CELLS].to_numpy(float)) if len(unit) else np.zeros(0)
    small = cells < min_cells
    if small.any():
        notes.append(f"{_number(int(small.sum()), 'donor')} with fewer than {min_cells} cells left out")
        kept = ~small[unit]
        rows, table, unit = rows[kept], table[kept], np.unique(unit[kept], return_inverse=True)[1].astype(np.int64)
    _check_donors(table, question)
    design = make_design(
        table[[*variables, layout.N_CELLS]].reset_index(drop=True), unit, question.formula, question.contrast,
        drop_confounded=question.drop_confounded,
    )  # fmt: skip
    if design.residual_df < _MIN_RESIDUAL_DF:
        raise NotTestableError(
            f"{len(design.matrix)} donors are too few for a design of {len(design.columns)} columns "
            f"({', '.join(design.columns)})"
        )
    first = np.unique(unit, return_index=True)[1]
    units = table.iloc[first][["donor", *(name for name in variables if name != "donor")]].reset_index(drop=True)
    units[layout.N_CELLS] = np.bincount(unit, table[layout.N_CELLS].to_numpy(float)).astype(np.int64)
    repeated = int(units["donor"].duplicated().sum())
    if repeated and "donor" not in variables:
        notes.append(f"{_number(repeated, 'donor')} compared with themselves count twice: add donor to the formula")
    return ComparedUnits(rows, unit, units, design, notes + design.notes)


def left_out(complete: Complete) -> dict[str, Any]:
    """Who takes no part, as the fields of `OverDonors`."""
    return {"cells_left_out": complete.cells_left_out, "donors_left_out": complete.donors_left_out}


def settings(question: DonorContrast) -> dict[str, Any]:
    """What was asked, for people and JSON."""
    return {"formula": question.formula, "contrast": question.name, "unit": question.unit, "age_cut": question.cut,
            "min_donors": question.min_donors, "drop_confounded": question.drop_confounded}  # fmt: skip


def adjust_across(table: pd.DataFrame, families: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Add `ACROSS`: p adjusted (Benjamini–Hochberg) over the features of all types and protocols together.

    ``adj_p_value``, which is within one type and protocol, answers which of its features change; this one answers which
    of all findings of a result hold, when types are looked through for any.

    Parameters
    ----------
    table
        With ``p_value``; of all types and protocols.
    families
        Kind of each ``feature``, each adjusted by itself; one kind where not given.
    """
    kinds = table["feature"].map(families).fillna("") if families else pd.Series("", table.index)
    adjusted = table["p_value"].astype(float).groupby(kinds).transform(lambda p: adjust(p.to_numpy()))
    return table.assign(**{ACROSS: adjusted})


def _contrast_variables(question: DonorContrast, table: pd.DataFrame) -> list[str]:
    """Variables of the table that the contrast is about."""
    names = [question.contrast] if isinstance(question.contrast, str) else list(question.contrast)
    found = {v for name in names for v in named_variables(name, question.variables)}
    return [v for v in question.variables if v in found and v in table]


def _repeated(table: pd.DataFrame, keys: list[str]) -> list[str]:
    """The donor, and those variables of the contrast that differ within a donor."""
    differ = [k for k in keys[1:] if table.groupby("donor")[k].nunique().gt(1).any()]
    return ["donor", *differ]


def _check_donors(table: pd.DataFrame, question: DonorContrast) -> None:
    """Refuse a comparison with too few donors on a side, or in all."""
    least = question.min_donors
    donors = table["donor"].nunique()
    if donors < 2 * least and not (question.contrast not in (AGE, OLD) and donors >= least):
        raise NotTestableError(f"{_number(donors, 'donor')} with enough cells, fewer than {2 * least}")
    for name in _contrast_variables(question, table):
        if name == AGE and question.cut is not None:
            side = pd.Series(young_or_old(table[AGE] * 10, question.cut), table.index)
            expected = ["young", "old"]
        elif name == OLD:
            side, expected = table[OLD].map({0.0: "young", 1.0: "old"}), ["young", "old"]
        elif not pd.api.types.is_numeric_dtype(table[name].dtype):
            side, expected = table[name], sorted(table[name].unique())
        else:
            continue
        sizes = table["donor"].groupby(side.to_numpy()).nunique()
        for label in expected:
            if sizes.get(label, 0) < least:
                few = _number(int(sizes.get(label, 0)), f"{label} donor")
                raise NotTestableError(f"{few} with enough cells, fewer than {least}")


def _say_missing(table: pd.DataFrame, variables: Sequence[str], complete: NDArray[np.bool_]) -> list[str]:
    if complete.all():
        return []
    lacking = [name for name in ("donor", *variables) if table[name].isna().any()]
    donors = table["donor"][~complete].nunique()
    return [f"{_number(donors, 'donor')} without {' or '.join(lacking)} left out"]


def _number(n: int, noun: str) -> str:
    return f"{n or 'no'} {noun}{'' if n == 1 else 's'}"
