"""What changes with age in the network of one type and protocol: its edges, and the strength of its regulators."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.design import NotTestableError
from titin.ageing.linear_models import adjust
from titin.network.donor_contrast import DonorComparison, compare_donors
from titin.network.donor_networks import DonorNetworks
from titin.network.metacells import Metacells
from titin.network.prior_network import SOURCE, TARGET, WEIGHT
from titin.network.question import NetworkQuestion
from titin.network.ridge import Fit
from titin.network.strata import Stratum

_INFERRED_TARGETS = 30
_CLEAR = 0.05  # adjusted p


def add_changes(
    fit: Fit | DonorNetworks, metacells: Metacells, stratum: Stratum, edges: pd.DataFrame,
    at: tuple[NDArray[np.int64], NDArray[np.int64]], regulators: list[str], question: NetworkQuestion,
    cut: float | None,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:  # fmt: skip
    """Add to edges what changes; the same of regulators, their strength by donor, and what is to be told."""
    table, strengths = _strengths(fit, metacells, edges, at, regulators, question)
    where = [stratum.donors.index(name) for name in metacells.donors]
    ages = [stratum.ages[i] for i in where]
    aged = np.flatnonzero(np.isfinite(ages))
    table = table.assign(n_donors=len(metacells.donors), n_cells=metacells.n_cells, n_metacells=len(metacells.values))
    by_donor = pd.DataFrame({
        "regulator": np.repeat(table["regulator"].to_numpy(object), len(where)),
        "donor": np.tile(np.array(metacells.donors, object), len(table)), "strength": strengths.ravel(),
        "age": np.tile(np.array(ages), len(table)),
    })  # fmt: skip
    try:
        compared = compare_donors(
            [ages[i] for i in aged], cut, question.contrast, strata=[stratum.strata[where[i]] for i in aged],
            min_donors=question.min_donors, permutations=question.permutations, seed=question.seed,
        )  # fmt: skip
    except NotTestableError as reason:
        nothing = dict.fromkeys(("difference", "ci_low", "ci_high", "p_value", "adj_p_value"), np.nan)
        for column, value in nothing.items():
            edges[column] = value
        return table.assign(**nothing), by_donor, {"not_compared": str(reason.args[0]), "notes": []}
    of_edges = fit.of_donors(*at, metacells.starts)[:, aged]
    _add_change(edges, compared, of_edges, np.zeros(len(edges)))
    _add_change(table, compared, strengths[:, aged], (table["targets"] == "known").to_numpy())
    return table, by_donor, {"not_compared": "", "least_p": compared.least_p, "notes": _notes(compared, len(table))}


def _notes(compared: DonorComparison, n: int) -> list[str]:
    arrangements = compared.contrasts.shape[1]
    if compared.least_p <= _CLEAR or not compared.exact:
        return []
    return [f"its donors allow {arrangements:,} arrangements of ages: of {n:,} regulators one alone cannot pass an "
            f"adjusted p of {_CLEAR}"]  # fmt: skip


def _add_change(
    table: pd.DataFrame, compared: DonorComparison, weights: NDArray[np.float64], kind: NDArray[Any]
) -> None:
    """Add what changes; p by the arrangements of all rows of a kind, as kinds differ in how they spread."""
    table["difference"], table["ci_low"], table["ci_high"] = compared.change(weights)
    p, adjusted = np.full((2, len(table)), np.nan)
    for one in np.unique(kind):
        rows = kind == one
        p[rows] = compared.pooled_p_value(weights[rows])
        adjusted[rows] = adjust(p[rows])
    table["p_value"], table["adj_p_value"] = p, adjusted


def _strengths(
    fit: Fit | DonorNetworks, metacells: Metacells, edges: pd.DataFrame,
    at: tuple[NDArray[np.int64], NDArray[np.int64]], regulators: list[str], question: NetworkQuestion,
) -> tuple[pd.DataFrame, NDArray[np.float64]]:  # fmt: skip
    """Mean signed weight of each regulator on its targets: table, and regulators × donors."""
    t, g, sign, whence = _targets(metacells, edges, at, regulators, question)
    n = np.bincount(t, minlength=len(regulators))
    kept = np.flatnonzero(n >= question.min_targets)
    of_edges = fit.of_donors(t, g, metacells.starts) * sign[:, None]
    sums = np.zeros((len(regulators), len(metacells.starts)))
    mean = np.bincount(t, fit.weights[t, g] * sign, len(regulators))
    np.add.at(sums, t, of_edges)
    table = pd.DataFrame({
        "regulator": [regulators[i] for i in kept], "n_targets": n[kept],
        "targets": [whence.get(int(i), "inferred") for i in kept], "strength": mean[kept] / n[kept],
    })  # fmt: skip
    return table, sums[kept] / n[kept, None]


def _targets(
    metacells: Metacells, edges: pd.DataFrame, at: tuple[NDArray[np.int64], NDArray[np.int64]],
    regulators: list[str], question: NetworkQuestion,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], dict[int, str]]:  # fmt: skip
    """Targets of each regulator and their signs: those known, else the strongest of those inferred, blind to ages."""
    row = {name: i for i, name in enumerate(regulators)}
    column = {name: i for i, name in enumerate(metacells.genes)}
    parts, whence = [], {}
    if question.network is not None:
        known = question.network.edges
        own = known[known[SOURCE].isin(row) & known[TARGET].isin(column) & (known[SOURCE] != known[TARGET])]
        n = own[SOURCE].map(own[SOURCE].value_counts())
        own = own[n >= question.min_targets]
        parts.append((own[SOURCE].map(row).to_numpy(), own[TARGET].map(column).to_numpy(), np.sign(own[WEIGHT])))
        whence = {row[name]: "known" for name in own[SOURCE].unique()}
    first = edges.groupby("regulator").cumcount().to_numpy() < _INFERRED_TARGETS
    inferred = first & ~np.isin(at[0], list(whence))
    parts.append((at[0][inferred], at[1][inferred], edges["sign"].to_numpy()[inferred]))
    t, g, sign = (np.concatenate([np.asarray(part[k], float) for part in parts]) for k in range(3))
    return t.astype(np.int64), g.astype(np.int64), sign, whence
