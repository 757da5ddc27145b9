"""From a formula to a design over donors: what is compared, what is adjusted for, and what cannot be told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.formulas import find_term, formula_variables, read_formula
from titin.ageing.kernels import Floats
from titin.ageing.variance_inflation import overlapping_terms, say_overlap
from titin.dataset import layout
from titin.errors import TitinError
from titin.study.ages import young_or_old
from titin.study.design import AGE

OLD = "old"  # a donor at or above the age cut
NUISANCE = ("sex", "study", "chemistry")
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
    contrasts
        float64, columns × number: the contrast, as a weight a column; several where it is a term of several columns,
        of which is asked whether any is not 0 (an F test).
    notes
        What was left out of the formula, and why; and what overlaps with the contrast.
    vif
        Variance inflation of the contrast, from 1 on; see `titin.ageing.variance_inflation`.
    """

    matrix: Floats
    columns: list[str]
    contrasts: Floats
    notes: list[str] = field(default_factory=list)
    vif: float = 1.0

    @property
    def contrast(self) -> Floats:
        """The one contrast, a weight a column.

        Raises
        ------
        TitinError
            If there are several.
        """
        if self.contrasts.shape[1] != 1:
            raise TitinError("this method tests one column of the design, and the contrast is a term of several",
                             f"name one of its columns: {', '.join(self.tested)}")  # fmt: skip
        return self.contrasts[:, 0]

    @property
    def tested(self) -> list[str]:
        """Columns that the contrast is of."""
        return [name for name, weights in zip(self.columns, self.contrasts, strict=True) if weights.any()]

    @property
    def residual_df(self) -> int:
        """Units less columns."""
        return int(self.matrix.shape[0] - self.matrix.shape[1])


def default_formula(contrast: str, known: Sequence[str]) -> str:
    """Return ``~ sex + study + chemistry +`` the contrast, with those that the dataset has.

    Raises
    ------
    TitinError
        If the contrast is no term of a formula.
    """
    variable = {"young_old": OLD}.get(contrast, contrast)
    own = formula_variables(f"~ {variable}")
    return "~ " + " + ".join([*(name for name in NUISANCE if name in known and name not in own), variable])


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
        A column of the design, a term of the formula, or a weight for each of some columns. A term of several columns,
        such as ``bs(age, df=3)`` or a variable with three values, is tested as a whole.
    drop_confounded
        Leave out a nuisance term that cannot be told from the contrast, and say so, instead of refusing.

    Raises
    ------
    NotTestableError
        If the contrast is constant, confounded, or leaves no donors for the variance.
    TitinError
        If there is no such column.
    """
    terms = _terms(rows, unit, formula)
    names = [name for columns in terms.values() for name in columns]
    weights = rows[layout.N_CELLS].to_numpy(float)
    total = np.bincount(unit, weights)
    parts = np.column_stack([columns[name] for columns in terms.values() for name in columns])
    matrix = np.column_stack([np.bincount(unit, weights * parts[:, i]) / total for i in range(parts.shape[1])])
    term_of = {name: term for term, columns in terms.items() for name in columns}
    wanted = _contrasts(contrast, names, term_of, formula, rows)
    constant = [name for name in formula_variables(formula) if rows[name].nunique() < 2]
    notes = [f"{name} is the same in all donors" for name in constant]
    varying = [i for i, name in enumerate(names) if name == INTERCEPT or np.ptp(matrix[:, i]) > 1e-12]
    if not isinstance(contrast, str) and wanted[[i for i in range(len(names)) if i not in varying]].any():
        raise NotTestableError(f"{_say(contrast)} is the same in all donors")
    names, matrix, wanted = [names[i] for i in varying], matrix[:, varying], wanted[varying]
    if not wanted.any():
        raise NotTestableError(f"{_say(contrast)} is the same in all donors")
    kept, more = _drop_dependent(matrix, names, term_of, wanted, contrast, drop_confounded)
    names, matrix, wanted = [names[i] for i in kept], matrix[:, kept], wanted[kept]
    wanted = wanted[:, wanted.any(axis=0)]
    vif, overlap = overlapping_terms(matrix, wanted, [term_of[name] for name in names])
    if overlap:
        more.append(say_overlap(_say(contrast), overlap, vif))
    return Design(matrix, names, wanted, notes + more, vif)


def _terms(rows: pd.DataFrame, unit: NDArray[np.int64], formula: str) -> dict[str, dict[str, Floats]]:
    """Columns of the design of single rows, by term; knots and centres are those of the units."""
    from formulaic import model_matrix  # type: ignore[import-untyped]
    from formulaic.errors import FormulaicError  # type: ignore[import-untyped]

    read_formula(formula)
    known = rows.assign(**{
        str(c): pd.Categorical(rows[c].astype(str), sorted(rows[c].astype(str).unique()))
        for c in rows if not pd.api.types.is_numeric_dtype(rows[c].dtype)
    })  # fmt: skip
    for name in (str(c) for c in rows if pd.api.types.is_float_dtype(rows[c].dtype)):
        known[name] = known.groupby(unit)[name].transform("mean")
    try:
        fitted = model_matrix(formula, known.iloc[np.unique(unit, return_index=True)[1]], context=None)
        found = fitted.model_spec.get_model_matrix(known, context=None)
    except (FormulaicError, ValueError, NameError, KeyError) as error:
        raise NotTestableError(f"the formula {formula!r} does not fit these donors: {error}") from error
    columns = {str(name): found[name].to_numpy(float) for name in found.columns}
    structure = found.model_spec.structure
    return {str(s.term) if str(s.term) != "1" else INTERCEPT: {str(c): columns[str(c)] for c in s.columns}
            for s in structure}  # fmt: skip


def _contrasts(
    contrast: str | Mapping[str, float], names: Sequence[str], term_of: Mapping[str, str], formula: str,
    rows: pd.DataFrame,
) -> Floats:  # fmt: skip
    """Weights of the columns, columns × contrasts."""
    if not isinstance(contrast, str):
        unknown = [name for name in contrast if name not in names]
        if unknown:
            raise TitinError(f"the design has no column {unknown[0]!r}", f"it has {', '.join(names)}")
        return np.array([[contrast.get(name, 0.0)] for name in names])
    term = find_term(contrast, list(dict.fromkeys(term_of.values())), formula)
    own = [contrast] if contrast in names else [name for name in names if term_of[name] == term]
    if own:
        return np.array([[float(name == tested) for tested in own] for name in names])
    if contrast in rows and rows[contrast].nunique() < 2:
        raise NotTestableError(f"{contrast} is the same in all donors")
    terms = ", ".join(dict.fromkeys(term_of.values()))
    raise TitinError(
        f"{contrast!r} names no term and no column of the design",
        f"its terms are {terms}; its columns {', '.join(names)}",
    )


def _drop_dependent(
    matrix: Floats,
    names: Sequence[str],
    term_of: Mapping[str, str],
    wanted: Floats,
    contrast: str | Mapping[str, float],
    drop_confounded: bool,
) -> tuple[list[int], list[str]]:
    """Columns to keep so that the rest is of full rank; those of the contrast are never given up.

    Of a term of several columns, those that the others make up are: the test of the term is the same without them.
    """
    target = [i for i in range(len(names)) if wanted[i].any()]
    others = [i for i in range(len(names)) if i not in target]
    kept: list[int] = []
    notes: list[str] = []
    for i in others:  # a nuisance column that others make up changes nothing
        if _rank(matrix[:, [*kept, i]]) > len(kept):
            kept.append(i)
        else:
            notes.append(f"{term_of[names[i]]} is made up of the terms before it")
    told = _independent(matrix, kept, target)
    if len(told) == len(target) or (told and wanted.shape[1] > 1):
        if len(told) < len(target):
            notes.append(f"of {_say(contrast)}, {len(told)} of {len(target)} columns can be told from the other terms")
        return sorted([*kept, *told]), notes
    terms = list(dict.fromkeys(term_of[names[i]] for i in kept if names[i] != INTERCEPT))
    guilty = _confounders(matrix, names, term_of, kept, target, terms)
    if not drop_confounded or not guilty:
        raise NotTestableError(f"{_say(contrast)} is confounded with {' and '.join(guilty) or 'the other terms'}")
    notes.append(f"{' and '.join(guilty)} left out: confounded with {_say(contrast)}")
    kept = [i for i in kept if term_of[names[i]] not in guilty]
    return sorted([*kept, *_independent(matrix, kept, target)]), notes


def _independent(matrix: Floats, kept: Sequence[int], target: Sequence[int]) -> list[int]:
    """Columns of the target that neither those kept nor those after them make up: first levels are references."""
    told: list[int] = []
    for i in reversed(target):
        if _rank(matrix[:, [*kept, *told, i]]) > len(kept) + len(told):
            told.append(i)
    return told


def _confounders(
    matrix: Floats, names: Sequence[str], term_of: Mapping[str, str], kept: Sequence[int], target: Sequence[int],
    terms: Sequence[str],
) -> list[str]:  # fmt: skip
    """Terms without which the contrast could be told apart: one that alone does it, else all."""
    for term in terms:
        rest = [i for i in kept if term_of[names[i]] != term]
        if len(_independent(matrix, rest, target)) == len(target):
            return [term]
    bare = [i for i in kept if names[i] == INTERCEPT]
    return list(terms) if len(_independent(matrix, bare, target)) == len(target) else []


def _rank(matrix: Floats) -> int:
    norms = np.linalg.norm(matrix, axis=0)
    return int(np.linalg.matrix_rank(matrix / np.where(norms > 0, norms, 1), tol=1e-9))


def _say(contrast: str | Mapping[str, float]) -> str:
    return contrast if isinstance(contrast, str) else " and ".join(contrast)
