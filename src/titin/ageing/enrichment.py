"""Which gene sets the results of a comparison favour: by overlap with the genes found, and by the whole ranking."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from titin.ageing.differential_expression import DifferentialExpression
from titin.ageing.linear_models import Floats, adjust
from titin.errors import TitinError
from titin.features import GeneSet, programme_sets
from titin.results import Result

INTER_GENE_CORRELATION = 0.01  # limma's choice for its preranked test
MIN_GENES = 5
_DIRECTIONS = ("up", "down")


@dataclass(frozen=True, eq=False, repr=False)
class Enrichment(Result):
    """Sets that a comparison favours, by type and protocol; see the function for the columns."""


def over_representation(
    results: DifferentialExpression | pd.DataFrame,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    alpha: float = 0.05,
    min_genes: int = MIN_GENES,
) -> Enrichment:
    """Ask whether the genes that rise, or fall, are in a set more often than the genes that were tested.

    Parameters
    ----------
    results
        From `differential_expression`, or a table with its columns.
    sets
        Of symbols, by name; the bundled programmes where not given.
    alpha
        Genes with an adjusted p below this are the ones found.
    min_genes
        Sets with fewer genes among those tested are left out.

    Returns
    -------
    Enrichment
        One row a type, protocol, direction and set: ``cell_type``, ``protocol``, ``direction`` (``up``, ``down``),
        ``set``, ``n_set`` (its genes among those tested), ``n_found``, ``n_overlap``, ``odds_ratio`` (half a gene added
        to each field), ``p_value`` (hypergeometric, one-sided), ``adj_p_value`` (over the sets of one type, protocol
        and direction), ``genes``. Where no gene was found, nothing is asked.

    Raises
    ------
    TitinError
        If ``results`` are not such.

    Notes
    -----
    The background is the genes tested in that type and protocol, not all genes: a set of muscle genes is otherwise
    found in every list of muscle genes.
    """
    from scipy.stats import hypergeom

    rows: list[dict[str, Any]] = []
    for where, part in _comparisons(results, ("adj_p_value", "log2_fold_change")):
        tested = {name: part["gene"].isin(own).to_numpy() for name, own in _symbols(sets).items()}
        tested = {name: inside for name, inside in tested.items() if inside.sum() >= min_genes}
        for direction, sign in zip(_DIRECTIONS, (1, -1), strict=True):
            found = ((part["adj_p_value"] < alpha) & (sign * part["log2_fold_change"] > 0)).to_numpy()
            for name, inside in tested.items() if found.any() else ():
                both, n_set, n_found, n = (
                    int(x) for x in ((inside & found).sum(), inside.sum(), found.sum(), len(part))
                )
                odds = (both + 0.5) * (n - n_set - n_found + both + 0.5) / (n_set - both + 0.5) / (n_found - both + 0.5)
                rows.append({
                    **where, "direction": direction, "set": name, "n_set": n_set, "n_found": n_found,
                    "n_overlap": both, "odds_ratio": odds, "p_value": float(hypergeom.sf(both - 1, n, n_set, n_found)),
                    "genes": " ".join(part["gene"].to_numpy()[inside & found]),
                })  # fmt: skip
    columns = ["cell_type", "protocol", "direction", "set", "n_set", "n_found", "n_overlap", "odds_ratio", "p_value",
               "adj_p_value", "genes"]  # fmt: skip
    table = _adjusted(pd.DataFrame(rows), ["cell_type", "protocol", "direction"], columns)
    return Enrichment(table, settings={
        "method": "hypergeometric test", "background": "genes tested in the type and protocol", "alpha": alpha,
        "min_genes": min_genes,
    })  # fmt: skip


def ranked_enrichment(
    results: DifferentialExpression | pd.DataFrame,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    statistic: str = "t",
    correlation: float = INTER_GENE_CORRELATION,
    min_genes: int = MIN_GENES,
) -> Enrichment:
    """Ask whether the statistics of a set's genes differ from those of all others (a competitive test).

    Parameters
    ----------
    results
        From `differential_expression`, or a table with its columns.
    sets
        Of symbols, by name; the bundled programmes where not given.
    statistic
        Column to rank by.
    correlation
        Of genes of one set with each other, beyond what others have; it widens the test (CAMERA, preranked). With 0
        this is Student's t test, and decoupler's ``ulm``.
    min_genes
        Sets with fewer genes among those tested are left out.

    Returns
    -------
    Enrichment
        One row a type, protocol and set: ``cell_type``, ``protocol``, ``set``, ``n_set``, ``mean`` of the statistic
        over the set's genes less that of the others, ``t``, ``p_value``, ``adj_p_value`` (over the sets of one type
        and protocol).

    Raises
    ------
    TitinError
        If ``results`` are not such.

    Notes
    -----
    Wu & Smyth, Nucleic Acids Res. 40, e133 (2012).
    """
    rows: list[dict[str, Any]] = []
    for where, part in _comparisons(results, (statistic,)):
        known = part[np.isfinite(part[statistic].to_numpy(float))]
        values = known[statistic].to_numpy(float)
        for name, own in _symbols(sets).items():
            inside = known["gene"].isin(own).to_numpy()
            if min_genes <= inside.sum() < len(values) - 1:
                rows.append({**where, "set": name, **_competitive(values, inside, correlation)})
    columns = ["cell_type", "protocol", "set", "n_set", "mean", "t", "p_value", "adj_p_value"]
    table = _adjusted(pd.DataFrame(rows), ["cell_type", "protocol"], columns)
    return Enrichment(table, settings={
        "method": "competitive t test of the ranking (CAMERA, preranked)", "statistic": statistic,
        "correlation": correlation, "min_genes": min_genes,
    })  # fmt: skip


def _competitive(values: Floats, inside: Any, correlation: float) -> dict[str, Any]:
    from scipy import stats

    n, m = len(values), int(inside.sum())
    others = n - m
    difference = values[inside].mean() - values[~inside].mean()
    shift = n / others * (values[inside].mean() - values.mean())
    pooled = ((n - 1) * values.var(ddof=1) - shift**2 * m * others / n) / (n - 2)
    inflation = 1 + (m - 1) * correlation
    t = shift / np.sqrt(max(pooled, 1e-300) * (inflation / m + 1 / others))
    return {"n_set": m, "mean": float(difference), "t": float(t), "p_value": float(2 * stats.t.sf(abs(t), n - 2))}


def _comparisons(
    results: DifferentialExpression | pd.DataFrame, needed: Sequence[str]
) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """One type and protocol at a time; of several genes with one symbol, the most expressed."""
    table = results.table if isinstance(results, DifferentialExpression) else results
    for name in ("gene", "cell_type", "protocol", *needed):
        if name not in table:
            raise TitinError(f"the table has no column {name!r}", "give what differential_expression returns")
    order = table.sort_values("mean_log_cpm", ascending=False) if "mean_log_cpm" in table else table
    once = order.drop_duplicates(["cell_type", "protocol", "gene"])
    for (cell_type, protocol), part in once.groupby(["cell_type", "protocol"], observed=True):
        yield {"cell_type": str(cell_type), "protocol": str(protocol)}, part


def _symbols(sets: Mapping[str, GeneSet | Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    chosen: Mapping[str, GeneSet | Sequence[str]] = programme_sets() if sets is None else sets
    return {name: own.genes if isinstance(own, GeneSet) else tuple(own) for name, own in chosen.items()}


def _adjusted(table: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    if table.empty:
        return pd.DataFrame(columns=columns)
    table["adj_p_value"] = np.nan
    for rows in table.groupby(by).groups.values():
        table.loc[rows, "adj_p_value"] = adjust(table.loc[rows, "p_value"].to_numpy(float))
    return table[columns].sort_values([*by, "p_value"], ignore_index=True, kind="stable")
