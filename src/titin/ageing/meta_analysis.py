"""One estimate from several protocols: inverse-variance weights, and how far the protocols agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.differential_expression import DifferentialExpression
from titin.ageing.linear_models import Floats, adjust
from titin.errors import TitinError
from titin.results import Result

META = "meta"
COLUMNS = [
    "gene", "gene_id", "cell_type", "protocol", "n_protocols", "n_donors", "n_cells", "mean_log_cpm",
    "log2_fold_change", "ci_low", "ci_high", "standard_error", "t", "df", "p_value", "adj_p_value", "q", "q_p_value",
    "i2",
]  # fmt: skip
_FEWEST_GENES = 50  # to estimate a correlation from
_UNKNOWN, _HIGHEST = 0.5, 0.95  # correlations
_SPREAD = ("log2_fold_change", "standard_error", "df", "n_donors", "n_cells", "mean_log_cpm")
_NEEDED = ("gene", "gene_id", "cell_type", "protocol", "log2_fold_change", "standard_error", "df")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MetaAnalysis(Result):
    """Protocols of each gene and type combined.

    Attributes
    ----------
    table
        One row a gene and cell type that two protocols at least have tested: the columns of `DifferentialExpression`
        (``protocol`` is ``meta``; ``n_donors`` counts each donor once), ``n_protocols``, and of the heterogeneity
        Cochran's ``q``, its ``q_p_value``, and ``i2`` (share of the variation that is between protocols, 0 … 1).
    settings
        Those of the results combined, ``meta_analysis`` and ``adjustment``.
    shared_donors
        Donors that are in several protocols, by cell type.
    correlation
        Of the protocols, by cell type that shares donors.
    caveat
        What that means; empty where no donors are shared.
    """

    shared_donors: dict[str, list[str]] = field(default_factory=dict)
    correlation: dict[str, float] = field(default_factory=dict)
    caveat: str = ""


def meta_analysis(results: DifferentialExpression) -> MetaAnalysis:
    """Combine the protocols of each gene and cell type with fixed effects.

    The combined effect is the mean of the protocols' effects by inverse variance. Its variance being estimated, it is
    tested by Student's t with Satterthwaite's degrees of freedom, which is the normal test where they are many.

    Parameters
    ----------
    results
        From `differential_expression`, or read by ``DifferentialExpression.read``: a table alone does not say which
        donors its protocols share.

    Raises
    ------
    TitinError
        If ``results`` are a bare table, do not say which donors were tested, or no cell type was tested in two
        protocols.

    Notes
    -----
    Protocols that share donors are not independent. Where they do (``results.tests`` tells), their correlation is
    estimated by the medians of sums and differences of the genes' standardised effects, one for each cell type, and
    enters the combined variance and Q: conservative where most genes change with age.
    """
    table = _check(results)
    error = table["standard_error"].to_numpy(float)
    known = table[np.isfinite(error) & (error > 0)]
    several = known.groupby("cell_type", observed=True)["protocol"].nunique()
    known = known[known["cell_type"].isin(several.index[several > 1])]
    if known.empty:
        raise TitinError("no cell type was tested in two protocols: there is nothing to combine")
    donors = _donors(results.tests)
    shared = {name: sorted(d for d, n in found.items() if n > 1) for name, found in donors.items()}
    combined, correlation = _combine(known, shared)
    combined["n_donors"] = [len(donors[name]) for name in combined["cell_type"]]
    for column in ("cell_type", "protocol"):
        combined[column] = combined[column].astype("category")
    caveat = ""
    if correlation:
        most = max(len(shared[name]) for name in correlation)
        caveat = (
            f"up to {most} donors are in several protocols, whose estimates are therefore not independent: their "
            "correlation, estimated over the genes of each type, is allowed for"
        )
    return MetaAnalysis(
        combined[COLUMNS], correlation=correlation, shared_donors={name: shared[name] for name in correlation},
        caveat=caveat, settings={**results.settings, "meta_analysis": "inverse variance, fixed effects",
                                 "adjustment": "Benjamini-Hochberg over the genes of one type"},
    )  # fmt: skip


def _check(results: DifferentialExpression) -> pd.DataFrame:
    """The table of results that say which donors stand behind each row."""
    if not isinstance(results, DifferentialExpression):
        raise TitinError(
            "a table alone does not say which donors its protocols share",
            "give what differential_expression returns, or DifferentialExpression.read of what it wrote",
        )
    missing = [name for name in _NEEDED if name not in results.table]
    if missing:
        raise TitinError(f"the table has no column {missing[0]!r}", "give what differential_expression returns")
    told = {(str(test["cell_type"]), str(test["protocol"])) for test in results.tests}
    for cell_type, protocol in results.table[["cell_type", "protocol"]].drop_duplicates().itertuples(index=False):
        if (str(cell_type), str(protocol)) not in told:
            raise TitinError(f"the results do not say which donors were tested for {cell_type} in {protocol}",
                             "give what differential_expression returns, its tests with it")  # fmt: skip
    return results.table


def _combine(known: pd.DataFrame, shared: Mapping[str, Sequence[str]]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Combine type by type; also the correlation that was allowed for in each type that shares donors."""
    parts, correlations = [], {}
    for name, rows in known.groupby("cell_type", observed=True, sort=True):
        rows = rows.assign(protocol=rows["protocol"].astype(str))
        copy = rows.groupby(["gene_id", "protocol"]).cumcount()  # ids need not be distinct
        wide = rows.assign(copy=copy).set_index(["gene_id", "gene", "copy", "protocol"])
        values = {c: wide[c].unstack("protocol") for c in _SPREAD}  # noqa: PD010
        effect, error = values["log2_fold_change"].to_numpy(), values["standard_error"].to_numpy()
        correlation = np.eye(effect.shape[1])
        if shared.get(str(name)):
            correlation = _correlate(effect / error)
            correlations[str(name)] = float(correlation[~np.eye(len(correlation), dtype=bool)].max())
        part = _combine_genes(effect, error, values["df"].to_numpy(), correlation)
        table = values["df"].index.to_frame(index=False).assign(cell_type=str(name), **part)
        weight = error**-2
        level = np.nansum(weight * values["mean_log_cpm"].to_numpy(), axis=1) / np.nansum(weight, axis=1)
        table = table.assign(mean_log_cpm=level, n_donors=values["n_donors"].sum(axis=1).to_numpy(int),
                             n_cells=values["n_cells"].sum(axis=1).to_numpy(int))  # fmt: skip
        table = table[table["n_protocols"] > 1]
        parts.append(table.assign(adj_p_value=adjust(table["p_value"].to_numpy())))
    return pd.concat(parts, ignore_index=True), correlations


def _combine_genes(effect: Floats, error: Floats, df: Floats, correlation: Floats) -> dict[str, Any]:
    """Combine genes × protocols (NaN where not tested), protocols being correlated."""
    from scipy import stats

    there = np.isfinite(effect)
    weight = np.where(there, np.where(there, error, 1) ** -2.0, 0)
    root, total = np.sqrt(weight), weight.sum(axis=1)
    b = np.where(there, effect, 0)
    mean = (weight * b).sum(axis=1) / total
    sd = np.sqrt(((root @ correlation) * root).sum(axis=1)) / total
    share = weight / total[:, None]
    with np.errstate(divide="ignore"):
        freedom = 1 / (share**2 / np.where(there, df, np.inf)).sum(axis=1)
    q = np.zeros(len(b))
    for pattern in np.unique(there, axis=0):
        own = (there == pattern).all(axis=1)
        inverse = np.linalg.inv(correlation[np.ix_(pattern, pattern)])
        scaled, ones = (root * b)[own][:, pattern], root[own][:, pattern]
        across = ((scaled @ inverse) * ones).sum(axis=1)
        q[own] = ((scaled @ inverse) * scaled).sum(axis=1) - across**2 / ((ones @ inverse) * ones).sum(axis=1)
    q, n = np.maximum(q, 0), there.sum(axis=1)
    half = stats.t.ppf(0.975, freedom) * sd
    t = mean / sd
    return {
        "protocol": META, "n_protocols": n, "log2_fold_change": mean, "standard_error": sd, "ci_low": mean - half,
        "ci_high": mean + half, "t": t, "df": freedom, "p_value": 2 * stats.t.sf(np.abs(t), freedom), "q": q,
        "q_p_value": stats.chi2.sf(q, np.maximum(n - 1, 1)),
        "i2": np.where(q > 0, np.maximum(q - (n - 1), 0) / np.where(q > 0, q, 1), 0.0),
    }  # fmt: skip


def _correlate(z: Floats) -> Floats:
    """Correlation of the genes' statistics between protocols, by medians: few genes that do change do not raise it.

    Where two protocols have too few genes in common, the correlation is taken to be the largest that others have, or
    one half.
    """
    n = z.shape[1]
    found = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(i):
            both = z[np.isfinite(z[:, i]) & np.isfinite(z[:, j])][:, [i, j]]
            if len(both) < _FEWEST_GENES:
                continue
            both = both / np.median(np.abs(both), axis=0)
            plus, minus = (np.median(np.abs(both[:, 0] + sign * both[:, 1])) ** 2 for sign in (1, -1))
            found[i, j] = found[j, i] = np.clip((plus - minus) / (plus + minus), 0, _HIGHEST)
    unknown = float(np.nanmax(found)) if np.isfinite(found).any() else _UNKNOWN
    found[np.isnan(found)] = unknown
    np.fill_diagonal(found, 1.0)
    return found


def _donors(tests: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How many protocols each donor is in, by cell type, of those that were tested."""
    found: dict[str, dict[str, int]] = {}
    for test in tests:
        own = found.setdefault(test["cell_type"], {})
        for donor in test["donors"]:
            own[donor] = own.get(donor, 0) + 1
    return found
