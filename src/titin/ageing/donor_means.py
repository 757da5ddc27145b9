"""What every cell has a number for, averaged over each donor's cells of a type, and tested over donors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.comparison import (
    ACROSS,
    ComparedUnits,
    Comparisons,
    Contrast,
    adjust_across,
    ask,
    choose_units,
    left_out,
    protocols,
    settings,
    take_part,
)
from titin.ageing.design import NotTestableError
from titin.ageing.f_tests import f_test_of_term
from titin.ageing.linear_models import Floats, PriorShape, adjust, fit_linear_models, moderate
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.study.design import AGE, choose_level, labels_of, level_columns
from titin.study.gaps import Complete
from titin.study.groups import cell_keys, group_cells

MIN_CELLS = 10
COLUMNS = [
    "feature", "cell_type", "protocol", "n_donors", "n_cells", "mean", "effect", "ci_low", "ci_high", "t", "df",
    "p_value", "adj_p_value", ACROSS, "detectable",
]  # fmt: skip
_POWER = 0.8
_METHODS = {
    False: "ordinary least squares of donors' means",
    True: "linear model of donors' means; t moderated across the features of a type and protocol",
}


@dataclass(frozen=True)
class DonorMeans:
    """Means over groups of cells.

    Attributes
    ----------
    groups
        One row a group: ``donor``, ``sample``, ``protocol``, ``chemistry``, ``sex``, ``age``, as far as the dataset has
        them, ``cell_type`` and ``n_cells``.
    means
        float64, groups × features.
    level
        Name of the level of labels.
    """

    groups: pd.DataFrame
    means: pd.DataFrame
    level: str | None = None

    def select(self, rows: NDArray[Any]) -> "DonorMeans":
        """Keep some groups, by mask or positions."""
        places = np.arange(len(self.groups))[rows]
        return DonorMeans(
            self.groups.iloc[places].reset_index(drop=True), self.means.iloc[places].reset_index(drop=True), self.level
        )

    def by_donor(self) -> pd.DataFrame:
        """One row a donor, protocol, type and feature: ``feature``, ``mean`` over the donor's cells, ``n_cells``."""
        keys = [name for name in ("donor", "protocol", "cell_type") if name in self.groups]
        about = [name for name in (AGE, "sex") if name in self.groups]
        grouped = self.groups.groupby(keys, sort=True, dropna=True)
        codes = grouped.ngroup().fillna(-1).to_numpy().astype(np.int64)  # groups that lack a key are of none
        kept = codes >= 0
        cells = np.bincount(codes[kept], self.groups[layout.N_CELLS].to_numpy(float)[kept])
        table = grouped[about].first() if about else pd.DataFrame(index=grouped.size().index)
        table = table.reset_index().assign(n_cells=cells.astype(np.int64))
        weights = self.groups[layout.N_CELLS].to_numpy(float)[kept]
        parts = [
            table.assign(
                feature=str(name), mean=np.bincount(codes[kept], weights * self.means[name].to_numpy()[kept]) / cells
            )
            for name in self.means
        ]
        return pd.concat(parts, ignore_index=True)


def cells_that_take_part(
    atlas: Atlas, *, contrast: Contrast = AGE, formula: str | None = None,
    cell_type_levels: Sequence[int | str | None] = (None,), among: NDArray[np.bool_] | None = None,
) -> Complete:  # fmt: skip
    """Find the cells that have all that a comparison of donors' means needs, in the dataset's order.

    Parameters
    ----------
    atlas
        The dataset.
    contrast, formula
        As for `compare_donor_means`.
    cell_type_levels
        Levels of which a label is needed, by name or place; the coarsest for None, if there is any.
    among
        bool, one a cell of the dataset: the others are not asked, and not counted as left out.

    Raises
    ------
    TitinError
        If there is no such level, or no cell has all of it.
    """
    known = list(level_columns(atlas.roles))
    levels = [choose_level(known, level, whole=True) for level in cell_type_levels]
    keys = cell_keys(atlas)
    if among is None:
        return take_part(keys, contrast, formula, levels)
    found = take_part(keys[among], contrast, formula, levels)
    rows = among.copy()
    rows[among] = found.rows
    return replace(found, rows=rows)


def donor_means(
    atlas: Atlas, values: pd.DataFrame, *, cell_type_level: int | str | None = None, complete: Complete | None = None
) -> DonorMeans:
    """Average numbers of cells over all that tells donors and types apart.

    Parameters
    ----------
    atlas
        The dataset.
    values
        Cells × features, numbers or booleans; index cell_id. Cells that are missing, and cells without a label, are
        left out.
    cell_type_level
        Name of the level, or its place; the coarsest where not given. ``all``, and without labels, all cells are of one
        type.
    complete
        From `cells_that_take_part`: the other cells are left out.

    Raises
    ------
    TitinError
        If there is no such level.
    """
    cells = group_cells(atlas)
    level = choose_level(cells.levels, cell_type_level, whole=True)
    names = labels_of(cells.table, level)
    places = atlas.obs_names.get_indexer(values.index)
    if (places < 0).any():
        raise TitinError(f"cell {values.index[np.flatnonzero(places < 0)[0]]!r} is not in the dataset", "score it anew")
    if complete is not None:
        values, places = values[complete.rows[places]], places[complete.rows[places]]
    codes = cells.codes[places]
    counts = np.bincount(codes, minlength=len(cells.table))
    matrix = values.to_numpy(np.float64)
    which = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), (len(counts), len(codes)))
    sums = np.asarray(which @ matrix)
    groups = cells.table.drop(columns=cells.levels).assign(cell_type=names, **{layout.N_CELLS: counts})
    kept = (counts > 0) & names.notna().to_numpy()
    means = pd.DataFrame(sums[kept] / counts[kept, None], columns=values.columns)
    return DonorMeans(groups[kept].reset_index(drop=True), means, level)


def compare_donor_means(
    data: DonorMeans,
    *,
    contrast: Contrast = AGE,
    formula: str | None = None,
    min_cells: int = MIN_CELLS,
    min_donors: int = 3,
    drop_confounded: bool = False,
    families: Mapping[str, str] | None = None,
    moderated: bool = False,
) -> Comparisons:
    """Test every feature in every type and protocol for a change with age, or another contrast, over donors.

    Ordinary least squares of donors' means: features are mostly few and of different scales, so that nothing is
    borrowed between them unless that is asked for.

    Parameters
    ----------
    data
        From `donor_means`.
    contrast, formula, min_cells, min_donors, drop_confounded
        As for `differential_expression`.
    families
        Kind of each feature; p-values are adjusted within a type, protocol and kind. One kind where not given.
    moderated
        Whether the variance of a feature is drawn towards what the others of the type and protocol suggest
        (`titin.ageing.linear_models.moderate`): for many features of one scale.

    Returns
    -------
    Comparisons
        One row a feature, type and protocol: ``feature``, ``cell_type``, ``protocol``, ``n_donors``, ``n_cells``,
        ``mean`` over donors, ``effect`` (a decade, where age is the contrast) with its 95 % interval, ``t``, ``df``,
        ``p_value``, ``adj_p_value`` (within a type, protocol and kind), ``adj_p_value_across_types`` (within a kind,
        over all types and protocols), and ``detectable``: the effect that a two-sided test at 5 % finds in four of five
        such studies. Where the contrast is a term of several columns, ``f``, ``df_numerator`` and the coefficients are
        in place of an effect.

    Raises
    ------
    TitinError
        If the dataset lacks donors, ages, or a column of the formula.
    """
    complete = take_part(data.groups, contrast, formula)
    data = data.select(complete.rows)
    question = ask(data.groups, contrast, formula, min_donors=min_donors, drop_confounded=drop_confounded,
                   complete=complete)  # fmt: skip
    parts, tests, skipped = [], [], []
    labels = data.groups["cell_type"]
    for protocol, rows in protocols(data.groups, question):
        for name in sorted(labels.iloc[rows].unique()):
            own = {"cell_type": str(name), "protocol": protocol}
            mine = rows[(labels.iloc[rows] == name).to_numpy()]
            try:
                compared = choose_units(data.groups, mine, question, min_cells=min_cells)
            except NotTestableError as reason:
                n_cells = int(data.groups[layout.N_CELLS].iloc[mine].sum())
                skipped.append({**own, "reason": str(reason.args[0]), layout.N_CELLS: n_cells})
                continue
            parts.append(_test(data, compared, families or {}, moderated).assign(**own))
            tests.append({**own, **compared.facts})
    table = adjust_across(pd.concat(parts, ignore_index=True), families) if parts else pd.DataFrame(columns=COLUMNS)
    table = table[[*(c for c in COLUMNS if c in table), *(c for c in table if c not in COLUMNS)]]
    done_with = {
        **settings(question), "method": _METHODS[moderated], "cell_type_level": data.level,
        "min_cells": min_cells,
        "adjustment": "Benjamini-Hochberg over the features of one type and protocol (adj_p_value)",
        "adjustment_across_types": f"Benjamini-Hochberg over those of all types and protocols ({ACROSS})",
    }  # fmt: skip
    return Comparisons(table, settings=done_with, tests=tests, skipped=skipped, **left_out(complete))


def unit_means(data: DonorMeans, compared: ComparedUnits, features: Sequence[Any] | None = None) -> Floats:
    """Means over the cells of each unit of an compared, features × units."""
    weights = data.groups[layout.N_CELLS].to_numpy(float)[compared.rows]
    values = data.means[list(features) if features is not None else list(data.means)].to_numpy()[compared.rows]
    sums = np.zeros((len(compared.units), values.shape[1]))
    np.add.at(sums, compared.unit, values * weights[:, None])
    return (sums / np.bincount(compared.unit, weights)[:, None]).T


def _test(
    data: DonorMeans, compared: ComparedUnits, families: Mapping[str, str], moderated: bool
) -> pd.DataFrame:  # fmt: skip
    y = unit_means(data, compared)
    names = np.array([str(name) for name in data.means], object)
    known = np.isfinite(y).all(axis=1)  # a set of which a type expresses nothing has no score there
    y, names = y[known], names[known]
    one = compared.design.contrasts.shape[1] == 1
    columns = _test_contrast(y, compared, moderated) if one else _test_term(y, compared, moderated)
    kinds = np.array([families.get(name, "") for name in names])
    adjusted = np.full(len(y), np.nan)
    for kind in np.unique(kinds):
        adjusted[kinds == kind] = adjust(columns["p_value"][kinds == kind])
    return pd.DataFrame({
        "feature": names, "n_donors": len(compared.donors),
        "n_cells": int(compared.units[layout.N_CELLS].sum()), **columns, "adj_p_value": adjusted,
    })  # fmt: skip


def _test_contrast(y: Floats, compared: ComparedUnits, moderated: bool) -> dict[str, Floats]:
    from scipy import stats

    fit = fit_linear_models(y, compared.design.matrix, compared.design.contrast)
    error, df = fit.unscaled * np.sqrt(fit.variance), fit.df
    if moderated:
        found = moderate(fit)
        error, df = found.standard_error, found.df
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 1e-9 * np.maximum(np.abs(fit.mean), 1e-12), fit.effect / error, np.nan)
    half = stats.t.ppf(0.975, df) * error
    return {
        "mean": fit.mean, "effect": fit.effect, "ci_low": fit.effect - half, "ci_high": fit.effect + half, "t": t,
        "df": df, "p_value": 2 * stats.t.sf(np.abs(t), df), "detectable": error * detectable_factor(df),
    }  # fmt: skip


def _test_term(y: Floats, compared: ComparedUnits, moderated: bool) -> dict[str, Any]:
    """F of a term of several columns, which has no one effect."""
    prior: PriorShape | None = "common" if moderated else None
    found = f_test_of_term(y, compared.design.matrix, compared.design.contrasts, prior=prior)
    named = {f"coefficient of {n}": found.coefficients[:, i] for i, n in enumerate(compared.design.tested)}
    return {"mean": found.mean, "f": found.f, "df_numerator": found.df_numerator, "df": found.df,
            "p_value": found.p_value, **named}  # fmt: skip


def detectable_factor(df: float | Floats) -> Floats:
    """Standard errors that an effect must have for a two-sided test at 5 % to find it in four of five studies."""
    from scipy import stats

    return np.asarray(stats.t.ppf(0.975, df) + stats.t.ppf(_POWER, df))


def detection(counts: NDArray[Any]) -> NDArray[np.float64]:
    """1 where a gene was detected in a cell, else 0."""
    return (np.asarray(counts) > 0).astype(np.float64)
