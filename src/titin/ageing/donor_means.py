"""What every cell has a number for, averaged over each donor's cells of a type, and tested over donors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.comparison import ComparedUnits, Comparisons, Contrast, ask, choose_units, protocols, settings
from titin.ageing.design import NotTestableError
from titin.ageing.linear_models import Floats, adjust, fit_linear_models
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.study.design import AGE, choose_level
from titin.study.groups import group_cells

ALL_CELLS = "all cells"
MIN_CELLS = 10
COLUMNS = [
    "feature", "cell_type", "protocol", "n_donors", "n_cells", "mean", "effect", "ci_low", "ci_high", "t", "df",
    "p_value", "adj_p_value", "detectable",
]  # fmt: skip
_POWER = 0.8


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
        Name of the level of labels; None where all cells are of one type.
    """

    groups: pd.DataFrame
    means: pd.DataFrame
    level: str | None = None

    def by_donor(self) -> pd.DataFrame:
        """One row a donor, protocol, type and feature: ``feature``, ``mean`` over the donor's cells, ``n_cells``."""
        keys = [name for name in ("donor", "protocol", "cell_type") if name in self.groups]
        about = [name for name in (AGE, "sex") if name in self.groups]
        grouped = self.groups.groupby(keys, sort=True, dropna=True)
        codes = grouped.ngroup().to_numpy()
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


def donor_means(atlas: Atlas, values: pd.DataFrame, *, cell_type_level: int | str | None = None) -> DonorMeans:
    """Average numbers of cells over all that tells donors and types apart.

    Parameters
    ----------
    atlas
        The dataset.
    values
        Cells × features, numbers or booleans; index cell_id. Cells that are missing, and cells without a label, are
        left out.
    cell_type_level
        Name of the level, or its place; the coarsest where not given. Without labels, all cells are of one type.

    Raises
    ------
    TitinError
        If there is no such level.
    """
    cells = group_cells(atlas)
    level = choose_level(cells.levels, cell_type_level) if cells.levels or cell_type_level is not None else None
    names = cells.table[level] if level is not None else pd.Series(ALL_CELLS, cells.table.index)
    places = atlas.obs_names.get_indexer(values.index)
    if (places < 0).any():
        raise TitinError(f"cell {values.index[np.flatnonzero(places < 0)[0]]!r} is not in the dataset", "score it anew")
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
) -> Comparisons:
    """Test every feature in every type and protocol for a change with age, or another contrast, over donors.

    Ordinary least squares of donors' means: features are few and of different scales, so that nothing is borrowed
    between them.

    Parameters
    ----------
    data
        From `donor_means`.
    contrast, formula, min_cells, min_donors, drop_confounded
        As for `differential_expression`.
    families
        Kind of each feature; p-values are adjusted within a type, protocol and kind. One kind where not given.

    Returns
    -------
    Comparisons
        One row a feature, type and protocol: ``feature``, ``cell_type``, ``protocol``, ``n_donors``, ``n_cells``,
        ``mean`` over donors, ``effect`` (a decade, where age is the contrast) with its 95 % interval, ``t``, ``df``,
        ``p_value``, ``adj_p_value``, and ``detectable``: the effect that a two-sided test at 5 % finds in four of five
        such studies.

    Raises
    ------
    TitinError
        If the dataset lacks donors, ages, or a column of the formula.
    """
    question = ask(data.groups, contrast, formula, min_donors=min_donors, drop_confounded=drop_confounded)
    parts, tests, skipped = [], [], []
    labels = data.groups["cell_type"]
    for protocol, rows in protocols(data.groups):
        for name in sorted(labels.iloc[rows].unique()):
            own = {"cell_type": str(name), "protocol": protocol}
            try:
                compared = choose_units(
                    data.groups, rows[(labels.iloc[rows] == name).to_numpy()], question, min_cells=min_cells
                )
            except NotTestableError as reason:
                skipped.append({**own, "reason": str(reason.args[0])})
                continue
            parts.append(_test(data, compared, families or {}).assign(**own))
            tests.append(
                {**own, "donors": compared.donors, "columns": compared.design.columns, "notes": compared.notes}
            )
    table = pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    done_with = {
        **settings(question), "method": "ordinary least squares of donors' means", "cell_type_level": data.level,
        "min_cells": min_cells,
        "adjustment": "Benjamini-Hochberg over the features of one type and protocol",
    }  # fmt: skip
    return Comparisons(table, settings=done_with, tests=tests, skipped=skipped)


def unit_means(data: DonorMeans, compared: ComparedUnits, features: Sequence[Any] | None = None) -> Floats:
    """Means over the cells of each unit of an compared, features × units."""
    weights = data.groups[layout.N_CELLS].to_numpy(float)[compared.rows]
    values = data.means[list(features) if features is not None else list(data.means)].to_numpy()[compared.rows]
    sums = np.zeros((len(compared.units), values.shape[1]))
    np.add.at(sums, compared.unit, values * weights[:, None])
    return (sums / np.bincount(compared.unit, weights)[:, None]).T


def _test(data: DonorMeans, compared: ComparedUnits, families: Mapping[str, str]) -> pd.DataFrame:
    from scipy import stats

    y = unit_means(data, compared)
    fit = fit_linear_models(y, compared.design.matrix, compared.design.contrast)
    error = fit.unscaled * np.sqrt(fit.variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 1e-9 * np.maximum(np.abs(fit.mean), 1e-12), fit.effect / error, np.nan)
    p = 2 * stats.t.sf(np.abs(t), fit.df)
    half = stats.t.ppf(0.975, fit.df) * error
    kinds = np.array([families.get(str(name), "") for name in data.means])
    adjusted = np.full(len(p), np.nan)
    for kind in np.unique(kinds):
        adjusted[kinds == kind] = adjust(p[kinds == kind])
    return pd.DataFrame({
        "feature": [str(name) for name in data.means], "n_donors": len(compared.donors),
        "n_cells": int(compared.units[layout.N_CELLS].sum()), "mean": fit.mean, "effect": fit.effect,
        "ci_low": fit.effect - half, "ci_high": fit.effect + half, "t": t, "df": fit.df, "p_value": p,
        "adj_p_value": adjusted, "detectable": error * detectable_factor(fit.df),
    })  # fmt: skip


def detectable_factor(df: float) -> float:
    """Standard errors that an effect must have for a two-sided test at 5 % to find it in four of five studies."""
    from scipy import stats

    return float(stats.t.ppf(0.975, df) + stats.t.ppf(_POWER, df))


def detection(counts: NDArray[Any]) -> NDArray[np.float64]:
    """1 where a gene was detected in a cell, else 0."""
    return (np.asarray(counts) > 0).astype(np.float64)
