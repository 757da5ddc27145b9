"""From a formula to a design over donors: what is compared, what is adjusted for, and what cannot be told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.linear_models import Floats
from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import young_or_old
from titin.study.design import AGE

OLD = "old"  # a donor at or above the age cut
NUISANCE = ("sex", "chemistry")
INTERCEPT = "Intercept"


class NotTestableError(TitinError):
    """A comparison that these donors do not allow; the message is the reason."""


@dataclass(frozen=True)
class Design:
    """A design over units (donors, or what of a donor is compared).

    Attributes
    ----------
    matrix
        float64, units × columns, of full column rank.
    columns
        Their names.
    contrast
        float64, a weight a column.
    notes
        What was left out of the formula, and why.
    """

    matrix: Floats
    columns: list[str]
    contrast: Floats
    notes: list[str] = field(default_factory=list)

    @property
    def residual_df(self) -> int:
        """Units less columns."""
        return int(self.matrix.shape[0] - self.matrix.shape[1])


def default_formula(contrast: str, known: Sequence[str]) -> str:
    """Return ``~ sex + chemistry +`` the contrast, with those that the dataset has."""
    variable = {"young_old": OLD}.get(contrast, contrast)
    return "~ " + " + ".join([*(name for name in NUISANCE if name in known and name != variable), variable])


def formula_variables(formula: str) -> list[str]:
    """Columns that a formula needs.

    Raises
    ------
    TitinError
        If it is no formula.
    """
    from formulaic import Formula  # type: ignore[import-untyped]
    from formulaic.errors import FormulaicError  # type: ignore[import-untyped]

    try:
        return sorted(map(str, Formula(formula).required_variables))
    except (FormulaicError, SyntaxError, AttributeError) as error:
        raise TitinError(f"{formula!r} is no formula: {error}", 'write it like "~ sex + chemistry + age"') from error


def add_variables(groups: pd.DataFrame, cut: float | None) -> pd.DataFrame:
    """Add what formulas may name: ``age`` in decades instead of years, and ``old`` (0 or 1)."""
    if AGE not in groups:
        return groups
    years = groups[AGE]
    found = groups.assign(**{AGE: years / 10})
    if cut is not None:
        found[OLD] = pd.Series(young_or_old(years, cut), years.index).map({"young": 0.0, "old": 1.0}).astype(float)
    return found


def make_design(
    rows: pd.DataFrame,
    unit: NDArray[np.int64],
    formula: str,
    contrast: str | Mapping[str, float],
    *,
    drop_confounded: bool = False,
) -> Design:
    """Make the design of units from rows that are parts of them (a donor's samples).

    A unit's row is the mean of its parts' rows by cells: a donor with two chemistries stands between them.

    Parameters
    ----------
    rows
        One row a part: the variables of the formula, none of them missing, and ``n_cells``.
    unit
        Unit of each row, 0 … units - 1.
    formula
        As for formulaic, such as ``~ sex + chemistry + age``.
    contrast
        A column of the design, a variable with one column, or a weight for each of some columns.
    drop_confounded
        Leave out a nuisance term that cannot be told from the contrast, and say so, instead of refusing.

    Raises
    ------
    NotTestableError
        If the contrast is constant, confounded, or leaves no donors for the variance.
    TitinError
        If there is no such column.
    """
    terms = _terms(rows, formula)
    names = [name for columns in terms.values() for name in columns]
    weights = rows[layout.N_CELLS].to_numpy(float)
    total = np.bincount(unit, weights)
    parts = np.column_stack([columns[name] for columns in terms.values() for name in columns])
    matrix = np.column_stack([np.bincount(unit, weights * parts[:, i]) / total for i in range(parts.shape[1])])
    term_of = {name: term for term, columns in terms.items() for name in columns}
    wanted = _contrast(contrast, names, term_of, rows)
    constant = [name for name in formula_variables(formula) if rows[name].nunique() < 2]
    notes = [f"{name} is the same in all donors" for name in constant]
    varying = [i for i, name in enumerate(names) if name == INTERCEPT or np.ptp(matrix[:, i]) > 1e-12]
    if any(wanted.get(name) and i not in varying for i, name in enumerate(names)):
        raise NotTestableError(f"{_say(contrast)} is the same in all donors")
    names, matrix = [names[i] for i in varying], matrix[:, varying]
    kept, more = _drop_dependent(matrix, names, term_of, wanted, contrast, drop_confounded)
    names, matrix = [names[i] for i in kept], matrix[:, kept]
    return Design(matrix, names, np.array([wanted.get(name, 0.0) for name in names]), notes + more)


def _terms(rows: pd.DataFrame, formula: str) -> dict[str, dict[str, Floats]]:
    """Columns of the design of single rows, by term."""
    from formulaic import model_matrix
    from formulaic.errors import FormulaicError

    text = {str(c): rows[c].astype(object) for c in rows if not pd.api.types.is_numeric_dtype(rows[c].dtype)}
    try:
        found = model_matrix(formula, rows.assign(**text), context=None)
    except (FormulaicError, ValueError, NameError, KeyError) as error:
        raise TitinError(f"the formula {formula!r} does not fit the donors: {error}", "name columns of obs") from error
    columns = {str(name): found[name].to_numpy(float) for name in found.columns}
    structure = found.model_spec.structure
    return {str(s.term) if str(s.term) != "1" else INTERCEPT: {str(c): columns[str(c)] for c in s.columns}
            for s in structure}  # fmt: skip


def _contrast(
    contrast: str | Mapping[str, float], names: Sequence[str], term_of: Mapping[str, str], rows: pd.DataFrame
) -> dict[str, float]:
    if not isinstance(contrast, str):
        unknown = [name for name in contrast if name not in names]
        if unknown:
            raise TitinError(f"the design has no column {unknown[0]!r}", f"it has {', '.join(names)}")
        return dict(contrast)
    if contrast in names:
        return {contrast: 1.0}
    own = [name for name in names if term_of[name] == contrast]
    if len(own) == 1:
        return {own[0]: 1.0}
    if contrast in rows and rows[contrast].nunique() < 2:
        raise NotTestableError(f"{contrast} is the same in all donors")
    hint = f"its columns are {', '.join(own)}: name one" if own else f"the design has {', '.join(names)}"
    raise TitinError(f"{contrast!r} names no single column of the design", hint)


def _drop_dependent(
    matrix: Floats,
    names: Sequence[str],
    term_of: Mapping[str, str],
    wanted: Mapping[str, float],
    contrast: str | Mapping[str, float],
    drop_confounded: bool,
) -> tuple[list[int], list[str]]:
    """Columns to keep so that the rest is of full rank; those of the contrast are never given up."""
    target = [i for i, name in enumerate(names) if wanted.get(name)]
    others = [i for i in range(len(names)) if i not in target]
    kept: list[int] = []
    notes: list[str] = []
    for i in others:  # a nuisance column that others make up changes nothing
        if _rank(matrix[:, [*kept, i]]) > len(kept):
            kept.append(i)
        else:
            notes.append(f"{term_of[names[i]]} is made up of the terms before it")
    if _rank(matrix[:, [*kept, *target]]) == len(kept) + len(target):
        return sorted([*kept, *target]), notes
    terms = list(dict.fromkeys(term_of[names[i]] for i in kept if names[i] != INTERCEPT))
    guilty = _confounders(matrix, names, term_of, kept, target, terms)
    if not drop_confounded or not guilty:
        raise NotTestableError(f"{_say(contrast)} is confounded with {' and '.join(guilty) or 'the other terms'}")
    notes.append(f"{' and '.join(guilty)} left out: confounded with {_say(contrast)}")
    kept = [i for i in kept if term_of[names[i]] not in guilty]
    return sorted([*kept, *target]), notes


def _confounders(
    matrix: Floats, names: Sequence[str], term_of: Mapping[str, str], kept: Sequence[int], target: Sequence[int],
    terms: Sequence[str],
) -> list[str]:  # fmt: skip
    """Terms without which the contrast could be told apart: one that alone does it, else all."""
    for term in terms:
        rest = [i for i in kept if term_of[names[i]] != term]
        if _rank(matrix[:, [*rest, *target]]) == len(rest) + len(target):
            return [term]
    bare = [i for i in kept if names[i] == INTERCEPT]
    return list(terms) if _rank(matrix[:, [*bare, *target]]) == len(bare) + len(target) else []


def _rank(matrix: Floats) -> int:
    norms = np.linalg.norm(matrix, axis=0)
    return int(np.linalg.matrix_rank(matrix / np.where(norms > 0, norms, 1), tol=1e-9))


def _say(contrast: str | Mapping[str, float]) -> str:
    return contrast if isinstance(contrast, str) else " and ".join(contrast)
