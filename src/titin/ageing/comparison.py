"""Which donors are compared, in which protocol, by which design: the same for expression and for composition."""

from collections.abc import Iterator, Mapping, Sequence
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
    formula_variables,
    make_design,
)
from titin.dataset import layout
from titin.errors import TitinError
from titin.results import Result
from titin.study.ages import age_cut, donor_ages, young_or_old
from titin.study.design import AGE, ROLES, need

ALL = "all"  # name of the protocol where the dataset has none
MIN_DONORS = 3
_MIN_RESIDUAL_DF = 2

Contrast = str | Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Comparisons(Result):
    """Tests of one contrast, over donors, in every type and protocol.

    Attributes
    ----------
    tests
        One entry a type and protocol tested: ``cell_type``, ``protocol``, ``donors``, ``columns`` of the design,
        ``notes`` on what was left out of it, and what the method has to say.
    skipped
        The others, with the ``reason``.
    caveat
        What the numbers do not say.
    """

    tests: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    caveat: str = ""


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


def extra_columns(contrast: Contrast, formula: str | None, where: Mapping[str, Any] | None) -> list[str]:
    """Columns of obs that a question names beyond the roles."""
    named = formula_variables(formula) if formula else [contrast] if isinstance(contrast, str) else []
    known = (*ROLES, AGE, OLD, "young_old")
    return [name for name in dict.fromkeys([*named, *(where or {})]) if name not in known]


def ask(
    groups: pd.DataFrame,
    contrast: Contrast,
    formula: str | None,
    *,
    min_donors: int = MIN_DONORS,
    drop_confounded: bool = False,
    known: Sequence[str] | None = None,
) -> DonorContrast:
    """Settle what is asked, of a dataset whose groups of cells these are.

    Raises
    ------
    TitinError
        If the dataset has no donors, one donor, no ages where ages are asked for, or no such column.
    """
    known = [str(name) for name in groups] if known is None else known
    need(known, "donor", "donors are what is compared")
    n_donors = groups["donor"].nunique()
    if n_donors < 2:
        raise TitinError(
            f"this dataset has {n_donors or 'no named'} donor{'s' if n_donors == 0 else ''}: donors are what is "
            f"compared, and a comparison needs {min_donors} of them on either side",
            "nothing can be said of ageing from the cells of one person",
        )
    if formula is None and not isinstance(contrast, str):
        raise TitinError("weights of columns need a formula", 'give one, such as formula="~ sex + treatment"')
    formula = formula or default_formula(str(contrast), known)
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


def protocols(groups: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each protocol and the positions of its groups; ``all`` where the dataset has none."""
    if "protocol" not in groups:
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


def settings(question: DonorContrast) -> dict[str, Any]:
    """What was asked, for people and JSON."""
    return {"formula": question.formula, "contrast": question.name, "unit": question.unit, "age_cut": question.cut,
            "min_donors": question.min_donors, "drop_confounded": question.drop_confounded}  # fmt: skip


def _contrast_variables(question: DonorContrast, table: pd.DataFrame) -> list[str]:
    """Variables of the table that the contrast is about."""
    if isinstance(question.contrast, str):
        names = [question.contrast]
    else:
        names = list(question.contrast)
    return [v for v in question.variables if v in table and any(v == n or n.startswith(f"{v}[") for n in names)]


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
