"""The protocols of a study in one model: a common effect, its difference between protocols, donors as random."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.comparison import ACROSS, Comparisons, adjust_across, left_out
from titin.ageing.design import Design
from titin.ageing.expression_comparisons import ExpressionComparison, ExpressionComparisons, expression_comparisons
from titin.ageing.kernels import Floats
from titin.ageing.linear_models import adjust, fit_linear_models, one_thread
from titin.ageing.mixed_models import (
    CORRELATIONS,
    MixedFit,
    MixedTest,
    duplicate_correlation,
    fit_mixed_models,
    moderate_mixed,
)
from titin.ageing.pseudobulk import Pseudobulk
from titin.atlas import Atlas
from titin.errors import TitinError

JOINT = "joint"
COLUMNS = [
    "gene", "gene_id", "cell_type", "protocol", "n_protocols", "n_donors", "n_cells", "mean_log_cpm",
    "log2_fold_change", "ci_low", "ci_high", "standard_error", "t", "df", "p_value", "adj_p_value", ACROSS,
    "correlation", "interaction_f", "interaction_p_value", "interaction_adj_p_value",
]  # fmt: skip
_FEWEST_GENES = 10  # from which common variances and correlations can be learnt
_CORRELATION = {
    "gene-wise": "of a gene's own, by a distribution that the genes suggest",
    "consensus": "one for all genes of a type (consensus)",
}


@dataclass(frozen=True, eq=False, repr=False)
class JointModel(Comparisons):
    """Genes tested in the protocols of each type together.

    Attributes
    ----------
    table
        One row a gene and cell type that two protocols at least could test: the columns of `DifferentialExpression`
        (``protocol`` is ``joint``; ``n_donors`` counts each donor once), ``n_protocols``; ``correlation`` of a donor's
        values in different protocols (NaN where no donor is in two); and of the difference of the effect between
        protocols ``interaction_f``, ``interaction_p_value``, ``interaction_adj_p_value``.
    settings
        Those of `DifferentialExpression`, and ``model``, ``correlation``.
    tests, skipped
        One entry a type: also ``protocols``, ``shared_donors``, ``n_units``, ``n_cells``, ``n_genes``, ``prior_df``,
        and ``correlations``: the share of genes at each correlation, where it is gene-wise.
    """


def joint_model(
    data: Pseudobulk | Atlas | ExpressionComparisons,
    *,
    correlation: Literal["gene-wise", "consensus"] = "gene-wise",
    **options: Any,
) -> JointModel:
    """Test every gene of every type for a change that its protocols have in common, and for a difference of it.

    Each protocol keeps its own intercept and nuisance terms; the contrast is one coefficient for all, and its
    interaction with the protocol is tested beside. Log counts are not weighed by the count (limma-trend): see the
    notes. The values of a donor in different protocols are correlated, as by a random effect of the donor. Where
    protocols share no donors, there is nothing to correlate, and the same model is one of independent units, with a
    residual scale for each protocol.

    Parameters
    ----------
    data
        A pseudobulk, or a dataset to take it from; or what `expression_comparisons` makes of them.
    correlation
        ``gene-wise``: each gene has one of its own, which is integrated over (`moderate_mixed`). ``consensus``: one for
        all genes of a type, taken as known, as by limma's duplicateCorrelation; too many are found where it differs
        between genes.
    options
        Further keywords of `expression_comparisons`, where ``data`` is not yet such: ``contrast``, ``formula`` ….

    Raises
    ------
    TitinError
        If no cell type can be tested in two protocols.

    Notes
    -----
    Weights, by count or by protocol, also scale what donors differ by, which is the same in both protocols. Where a
    donor's values are highly correlated, little is needed to do harm: divided by unequal scales, what is left of the
    contrast and of the donor in the difference of two values is taken for knowledge of the contrast that is as precise
    as that difference, and p-values are too small. So all units weigh alike. The difference of the contrast between
    protocols is one within donors, of errors alone, which have the scale of the protocol.

    In R the nearest are limma's ``lmFit(block=donor, correlation=…)``, and dream (Hoffman & Roussos, Bioinformatics
    37, 192 (2021)), which estimates a variance component a gene, and takes it for known but for the degrees of freedom.

    Examples
    --------
    >>> found = joint_model(titin.open("dataset"), contrast="age")  # doctest: +SKIP
    >>> found.table.query("interaction_adj_p_value < 0.05")  # protocols differ  # doctest: +SKIP
    """
    if correlation not in _CORRELATION:
        raise TitinError(f"there is no correlation {correlation!r}", f"there are: {', '.join(_CORRELATION)}")
    found = data if isinstance(data, ExpressionComparisons) else expression_comparisons(data, **options)
    by_type: dict[str, list[ExpressionComparison]] = {}
    for comparison in found.comparisons:
        by_type.setdefault(comparison.cell_type, []).append(comparison)
    if all(len(own) < 2 for own in by_type.values()):
        raise TitinError("no cell type was tested in two protocols: there is nothing to combine")
    parts, tests, skipped = [], [], list(found.skipped)
    for name in sorted(by_type):
        where_is = {"cell_type": name, "protocol": JOINT}
        patterns = _patterns(by_type[name], len(found.genes))
        if sum(len(genes) for _, genes in patterns) < _FEWEST_GENES:
            one = len(by_type[name]) < 2
            reason = "tested in one protocol only" if one else "too few genes with counts enough in two protocols"
            skipped.append({**where_is, "reason": reason})
            continue
        with one_thread():
            table, facts = _test_type(patterns, correlation)
        genes = found.genes.iloc[np.concatenate([genes for _, genes in patterns])]
        parts.append(table.assign(gene=genes["gene"].to_numpy(), gene_id=genes["gene_id"].to_numpy(), **where_is))
        tests.append({**where_is, **facts})
    joint = adjust_across(pd.concat(parts, ignore_index=True))[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    for column in ("cell_type", "protocol"):
        joint[column] = joint[column].astype("category")
    done_with = {
        "method": "linear mixed model of log2 counts per million; t moderated across genes of like expression",
        **found.settings, "normalisation": "trimmed mean of M values (TMM)",
        "model": "protocols together, the contrast in common, other terms apart; donors random",
        "correlation": _CORRELATION[correlation],
        "weights": "one for each protocol and type, by its residual variances; for the contrast itself none where "
                   "protocols share donors",
        "adjustment": "Benjamini-Hochberg over the genes of one type (adj_p_value)",
        "adjustment_across_types": f"Benjamini-Hochberg over those of all types ({ACROSS})",
    }  # fmt: skip
    return JointModel(joint, settings=done_with, tests=tests, skipped=skipped, caveat=_caveat(tests),
                      **left_out(found.complete))  # fmt: skip


Pattern = tuple[list[ExpressionComparison], NDArray[np.int64]]


def _patterns(comparisons: Sequence[ExpressionComparison], n_genes: int) -> list[Pattern]:
    """Sets of two protocols or more, and the genes that can be tested in just these."""
    there = np.zeros((n_genes, len(comparisons)), bool)
    for i, comparison in enumerate(comparisons):
        there[comparison.genes, i] = True
    code = there @ (1 << np.arange(len(comparisons)))
    found = []
    for number in np.unique(code[there.sum(axis=1) > 1]):
        own = [comparison for i, comparison in enumerate(comparisons) if number >> i & 1]
        found.append((own, np.flatnonzero(code == number)))
    return found


def _test_type(patterns: Sequence[Pattern], correlation: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Table of the genes, pattern after pattern, without their names; and what is to be said of the test."""
    from scipy import stats

    shared = _shared_donors(patterns)
    scaled, alike = (
        MixedFit.concatenate([_fit(own, genes, correlation, scaled=scaled) for own, genes in patterns])
        for scaled in (True, not shared)
    )
    differ, test = (moderate_mixed(fit, prior="trend") for fit in (scaled, alike))
    half = stats.t.ppf(0.975, test.df) * test.standard_error
    sizes = [len(genes) for _, genes in patterns]
    donors = [{donor for comparison in own for donor in comparison.compared.donors} for own, _ in patterns]
    n_cells = [sum(comparison.n_cells for comparison in own) for own, _ in patterns]
    table = pd.DataFrame({
        "n_protocols": np.repeat([len(own) for own, _ in patterns], sizes),
        "n_donors": np.repeat([len(own) for own in donors], sizes), "n_cells": np.repeat(n_cells, sizes),
        "mean_log_cpm": alike.mean, "log2_fold_change": test.effect, "ci_low": test.effect - half,
        "ci_high": test.effect + half, "standard_error": test.standard_error, "t": test.t, "df": test.df,
        "p_value": test.p_value, "adj_p_value": adjust(test.p_value),
        "correlation": test.correlation if shared else np.nan, "interaction_f": differ.f,
        "interaction_p_value": differ.f_p_value, "interaction_adj_p_value": adjust(differ.f_p_value),
    })  # fmt: skip
    return table, _facts(patterns, alike, test, shared)


def _facts(patterns: Sequence[Pattern], fit: MixedFit, test: MixedTest, shared: list[str]) -> dict[str, Any]:
    comparisons = {own.protocol: own for comparisons, _ in patterns for own in comparisons}
    units = pd.concat([own.compared.units for own in comparisons.values()])
    middle = float(np.median(test.prior_df))
    columns = [
        name if weight else f"{name} in {own.protocol}"
        for own in comparisons.values()
        for name, weight in zip(own.compared.design.columns, own.compared.design.contrast, strict=True)
    ]
    facts: dict[str, Any] = {
        "protocols": sorted(comparisons), "donors": sorted(map(str, units["donor"].unique())), "shared_donors": shared,
        "n_units": len(units), "n_cells": sum(own.n_cells for own in comparisons.values()), "n_genes": len(fit.mean),
        "columns": list(dict.fromkeys(columns)), "tested": next(iter(comparisons.values())).compared.design.tested,
        "vif": round(_vif([own.compared.design for own in comparisons.values()]), 3),
        "residual_df": float(np.median(fit.df)), "prior_df": None if np.isinf(middle) else round(middle, 3),
        "notes": [f"{note} ({own.protocol})" for own in comparisons.values() for note in own.compared.notes],
    }  # fmt: skip
    if shared:
        facts["correlation"] = round(float(np.median(test.correlation)), 3)
    if len(test.shares) > 1:
        shares = zip(fit.correlations, test.shares, strict=True)
        facts["correlations"] = {f"{value:g}": round(float(share), 4) for value, share in shares}
    return facts


def _fit(
    comparisons: Sequence[ExpressionComparison], genes: NDArray[np.int64], correlation: str, *, scaled: bool
) -> MixedFit:
    """Fit the genes that these protocols have; ``scaled``: each divided by its residual scale.

    The contrast is one of donors, who differ as much in one protocol as in the other. Its difference between protocols
    is one within donors: of errors alone, which have the scale of the protocol.
    """
    values = [own.log_values()[np.searchsorted(own.genes, genes)] for own in comparisons]
    y = np.concatenate(values, axis=1)
    block = np.concatenate([own.compared.units["donor"].astype(str) for own in comparisons])
    precision = [_precision(own, part) if scaled else 1.0 for own, part in zip(comparisons, values, strict=True)]
    weights = np.broadcast_to(np.repeat(precision, [part.shape[1] for part in values]), y.shape)
    design, added = joint_design([own.compared.design for own in comparisons])
    grid = CORRELATIONS
    if correlation == "consensus":
        consensus = duplicate_correlation(y, design, block, weights=weights)[0]
        grid = np.array([np.clip(consensus, 0, CORRELATIONS[-1])])
    return fit_mixed_models(y, design, block, weights=weights, added=added, correlations=grid)


def _precision(comparison: ExpressionComparison, values: Floats) -> float:
    """Weight of all units of a protocol: the inverse of its geometric mean residual variance over the genes."""
    design = comparison.compared.design
    variance = fit_linear_models(values, design.matrix, design.contrast).variance
    return float(np.exp(-np.log(variance[variance > 0]).mean()))


def joint_design(designs: Sequence[Design]) -> tuple[Floats, Floats]:
    """Put the designs of several protocols into one.

    Returns
    -------
    design, added
        float64, units × columns: the terms of each protocol that are not the contrast, and the contrast as one column
        at the end; and the contrast in each protocol but the first.
    """
    from scipy.linalg import block_diag, null_space

    others, contrasts = [], []
    for own in designs:
        # in the basis (what the contrast does not see, the contrast) the last coefficient is the contrast itself
        others.append(own.matrix @ null_space(own.contrast[None]))
        contrasts.append((own.matrix @ own.contrast / (own.contrast @ own.contrast))[:, None])
    return np.column_stack([block_diag(*others), np.concatenate(contrasts)]), block_diag(*contrasts)[:, 1:]


def _vif(designs: Sequence[Design]) -> float:
    """Variance of the contrast, over that in a design of nothing but the protocols and the contrast."""
    from scipy.linalg import block_diag

    design = joint_design(designs)[0]
    bare = block_diag(*(np.ones((len(own.matrix), 1)) for own in designs))
    left = [((design[:, -1] - other @ np.linalg.lstsq(other, design[:, -1], rcond=None)[0]) ** 2).sum()
            for other in (bare, design[:, :-1])]  # fmt: skip
    return float(max(left[0] / left[1], 1.0))


def _shared_donors(patterns: Sequence[Pattern]) -> list[str]:
    """Donors with several units, of whichever protocols."""
    comparisons = {own.protocol: own for comparisons, _ in patterns for own in comparisons}
    found = pd.concat([own.compared.units["donor"] for own in comparisons.values()]).astype(str)
    return sorted(found[found.duplicated()].unique())


def _caveat(tests: Sequence[dict[str, Any]]) -> str:
    most = max((len(test["shared_donors"]) for test in tests), default=0)
    if not most:
        return ""
    return (
        f"up to {most} donors are in several protocols, which are therefore not independent: a donor's values of a "
        "gene are taken to be correlated, by as much as the genes of the type suggest"
    )
