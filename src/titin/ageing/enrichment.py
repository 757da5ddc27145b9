"""Which gene sets the results of a comparison favour: by overlap with the genes found, and by the whole ranking."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.comparison import Comparisons, with_contrast
from titin.ageing.differential_expression import LINEAR, METHODS
from titin.ageing.expression_comparisons import ExpressionComparisons
from titin.ageing.gene_set_tests import PRESET_CORRELATION, GeneEffects, camera, competitive_t, fry, gene_effects
from titin.ageing.kernels import Floats
from titin.ageing.linear_models import adjust, one_thread
from titin.errors import TitinError
from titin.features import GeneSet, programme_sets
from titin.results import Result

MIN_GENES = 5
_DIRECTIONS = ("up", "down")


@dataclass(frozen=True, eq=False, repr=False)
class Enrichment(Result):
    """Sets that a comparison favours, by type and protocol; see the function for the columns."""

    def __post_init__(self) -> None:
        """Name the contrast in the table, as comparisons do."""
        super().__post_init__()
        object.__setattr__(self, "table", with_contrast(self.table, self.settings))


def over_representation(
    results: Comparisons | pd.DataFrame,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    alpha: float = 0.05,
    min_genes: int = MIN_GENES,
) -> Enrichment:
    """Ask whether the genes that rise, or fall, are in a set more often than the genes that were tested.

    Parameters
    ----------
    results
        From `differential_expression` or `joint_model`, or a table with their columns.
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
        **_question(results), "method": "hypergeometric test", "background": "genes tested in the type and protocol",
        "alpha": alpha, "min_genes": min_genes,
    })  # fmt: skip


def gene_set_tests(
    found: ExpressionComparisons,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    method: str = "voom",
    correlation: float = PRESET_CORRELATION,
    min_genes: int = MIN_GENES,
) -> Enrichment:
    """Test gene sets on the donors' expression itself, where the correlation of their genes can be seen.

    Parameters
    ----------
    found
        From `titin.ageing.expression_comparisons`.
    sets
        Of symbols, by name; the bundled programmes where not given.
    method
        Of the linear models: ``voom``, ``limma`` or ``trend``.
    correlation
        Of genes of one set, as the test with a preset one takes it, which stands beside the one with the estimated.
    min_genes
        Sets with fewer genes among those tested are left out.

    Returns
    -------
    Enrichment
        One row a type, protocol and set: ``cell_type``, ``protocol``, ``set``, ``n_set``, ``mean`` (z of the set's
        genes less that of the others), ``t``, ``p_value``, ``adj_p_value`` (over the sets of one type and protocol),
        which ask whether the set changes more, or otherwise, than the other genes (camera), by the ``correlation`` of
        its genes as estimated; ``preset_p_value``, the same with the preset one, which finds too many sets where genes
        go together more than that; and ``fry_p_value``, which asks whether the set's genes rise or fall together at
        all (fry), with its ``adj_…``.

    Raises
    ------
    TitinError
        If there is no such method, or the contrast is a term of several columns.

    Notes
    -----
    See `titin.ageing.gene_set_tests`.
    """
    if method not in LINEAR:
        raise TitinError(f"the method {method} has no test of gene sets", f"take {' or '.join(LINEAR)}")
    symbols, linear = _symbols(sets), LINEAR[method]
    rows: list[dict[str, Any]] = []
    for comparison in found.comparisons:
        design, logs = comparison.compared.design, linear.log_counts(comparison)
        genes = found.genes["gene"].to_numpy()[comparison.genes]
        kept = _main_genes(genes, logs.values.mean(axis=1))
        weights = None if logs.weights is None else logs.weights[kept]
        with one_thread():
            effects = gene_effects(logs.values[kept], design.matrix, design.contrast, weights,
                                   trend=linear.prior == "trend")  # fmt: skip
        where = {"cell_type": comparison.cell_type, "protocol": comparison.protocol}
        for name, own in symbols.items():
            inside = np.isin(genes[kept], list(own))
            if min_genes <= inside.sum() < len(inside) - 1:
                rows.append({**where, "set": name, **_test_set(effects, inside, correlation)})
    columns = ["cell_type", "protocol", "set", "n_set", "mean", "t", "p_value", "adj_p_value", "correlation"]
    rotation = ("fry_p_value",)
    table = _adjusted(pd.DataFrame(rows), ["cell_type", "protocol"], [*columns, "preset_p_value", *rotation])
    for name in rotation if len(table) else ():
        table[f"adj_{name}"] = table.groupby(["cell_type", "protocol"])[name].transform(lambda p: adjust(p.to_numpy()))
    return Enrichment(table, settings={
        **found.settings, "expression": METHODS[method], "min_genes": min_genes, "preset_correlation": correlation,
        "method": "competitive test with the correlation of a set's genes estimated (camera), and rotation test (fry)",
    })  # fmt: skip


def _test_set(effects: GeneEffects, inside: NDArray[np.bool_], correlation: float) -> dict[str, Any]:
    preset, estimated = camera(effects, inside, correlation=correlation), camera(effects, inside, correlation=None)
    directional, _ = fry(effects, inside)  # the mixed one finds sets where nothing changes: see docs/ageing.md
    return {
        "n_set": int(inside.sum()), "mean": estimated.difference, "t": estimated.t, "p_value": estimated.p_value,
        "correlation": estimated.correlation, "preset_p_value": preset.p_value,
        "fry_p_value": directional.p_value,
    }  # fmt: skip


def _main_genes(genes: NDArray[np.object_], mean: Floats) -> NDArray[np.int64]:
    """Of several genes with one symbol, the most expressed; positions in their order."""
    order = np.argsort(-mean, kind="stable")
    first = np.unique(genes[order].astype(str), return_index=True)[1]
    return np.sort(order[first])


def ranked_enrichment(
    results: Comparisons | pd.DataFrame,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    statistic: str = "t",
    correlation: float = PRESET_CORRELATION,
    min_genes: int = MIN_GENES,
) -> Enrichment:
    """Ask whether the statistics of a set's genes differ from those of all others (a competitive test).

    Parameters
    ----------
    results
        From `differential_expression` or `joint_model`, or a table with their columns.
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
    Wu & Smyth, Nucleic Acids Res. 40, e133 (2012). A ranking does not show how genes go together, so that sets whose
    genes do more than ``correlation`` are found too often: where the donors are known, `gene_set_tests` sees it.
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
        **_question(results), "method": "competitive t test of the ranking (CAMERA, preranked)", "statistic": statistic,
        "correlation": correlation, "min_genes": min_genes,
    })  # fmt: skip


def _competitive(values: Floats, inside: Any, correlation: float) -> dict[str, Any]:
    from scipy import stats

    m = int(inside.sum())
    difference, t = competitive_t(values, inside, 1 + (m - 1) * correlation)
    return {"n_set": m, "mean": difference, "t": t, "p_value": float(2 * stats.t.sf(abs(t), len(values) - 2))}


def _question(results: Comparisons | pd.DataFrame) -> dict[str, Any]:
    """Which contrast the genes were tested for, where that is known."""
    known = results.settings if isinstance(results, Comparisons) else {}
    return {name: known[name] for name in ("contrast", "unit", "formula") if name in known}


def _comparisons(
    results: Comparisons | pd.DataFrame, needed: Sequence[str]
) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """One type and protocol at a time; of several genes with one symbol, the most expressed."""
    table = results.table if isinstance(results, Comparisons) else results
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
