"""Differential expression: every gene of every type and protocol tested for a contrast, over donors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.comparison import ACROSS, ComparedUnits, Comparisons, Contrast, adjust_across, left_out
from titin.ageing.expression_comparisons import (
    MIN_CELLS,
    ExpressionComparison,
    ExpressionComparisons,
    expression_comparisons,
)
from titin.ageing.f_tests import f_test_of_term
from titin.ageing.kernels import Floats
from titin.ageing.linear_models import PriorShape, adjust, fit_linear_models, moderate, one_thread
from titin.ageing.normalization import MIN_COUNT, LogCounts
from titin.ageing.pseudobulk import Pseudobulk
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.extras import check_installed
from titin.progress import Progress
from titin.study.design import AGE

ExpressionMethod = Literal["voom", "limma", "trend", "deseq2"]

COLUMNS = [
    "gene", "gene_id", "cell_type", "protocol", "n_donors", "n_cells", "mean_log_cpm", "log2_fold_change", "ci_low",
    "ci_high", "standard_error", "t", "df", "p_value", "adj_p_value",
    ACROSS,
]  # fmt: skip
_OF_TERM = "moderated F of all columns of the term; their coefficients are of its basis, and there is no one effect"
METHODS = {
    "voom": "linear model of log2 counts per million with voom weights; t moderated across genes with a trend in their "
    "means; zeros that the design fits exactly count for no variance",
    "limma": "linear model of log2 counts per million with voom weights; t moderated across genes, one prior for all",
    "trend": "linear model of log2 counts per million; t moderated across genes with a trend in their means",
    "deseq2": "negative binomial model of counts (pydeseq2), Wald test",
}


@dataclass(frozen=True)
class LinearMethod:
    """How a linear model of log counts is fitted and moderated, protocols apart or together.

    Attributes
    ----------
    weighted
        Whether observations have voom's weights.
    prior
        Of the variance, as for `moderate`.
    drop_zeros
        Whether zeros that the design fits exactly tell nothing of the variance.
    """

    weighted: bool
    prior: PriorShape
    drop_zeros: bool = False

    def log_counts(self, comparison: ExpressionComparison) -> LogCounts:
        """Log counts of a comparison, with weights where the method has them."""
        if not self.weighted:
            return LogCounts(comparison.log_values())
        return comparison.log_counts_without_zeros if self.drop_zeros else comparison.log_counts


LINEAR = {"voom": LinearMethod(True, "trend", drop_zeros=True), "limma": LinearMethod(True, "common"),
          "trend": LinearMethod(False, "trend")}  # fmt: skip


@dataclass(frozen=True)
class GeneTests:
    """What a method says of the genes of one type and protocol: arrays, one value a gene."""

    mean: Floats  # log2 counts per million
    effect: Floats
    low: Floats
    high: Floats
    standard_error: Floats
    statistic: Floats
    df: Floats
    p_value: Floats
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class DifferentialExpression(Comparisons):
    """Genes tested in every type and protocol.

    Attributes
    ----------
    table
        One row a gene, type and protocol: ``gene``, ``gene_id``, ``cell_type``, ``protocol``, ``n_donors``,
        ``n_cells``, ``mean_log_cpm``, ``log2_fold_change`` with its 95 % interval (``ci_low``, ``ci_high``) and
        ``standard_error``, ``t`` (of deseq2, Wald's z), ``df``, ``p_value``, ``adj_p_value`` (within a
        type and protocol) and ``adj_p_value_across_types`` (over all of them). Where the contrast is a term of several
        columns there is no one effect: instead of it ``f`` with ``df_numerator``, and a column ``coefficient of …`` for
        each column of the term, which is of the term's basis and has no unit.
    settings
        ``method``, ``formula``, ``contrast``, ``unit``, ``age_cut``, ``cell_type_level``, ``filter``,
        ``normalisation``, ``adjustment`` and thresholds.
    tests, skipped
        As of `Comparisons`; of each test also ``n_units``, ``n_cells``, ``n_genes``, ``residual_df``, ``prior_df``.
    """


def differential_expression(
    data: Pseudobulk | Atlas,
    *,
    cell_type_level: int | str | None = None,
    contrast: Contrast = AGE,
    formula: str | None = None,
    method: ExpressionMethod = "voom",
    where: Mapping[str, Any] | Sequence[str] | None = None,
    min_cells: int = MIN_CELLS,
    min_donors: int = 3,
    min_count: float = MIN_COUNT,
    drop_confounded: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> DifferentialExpression:
    """Test every gene in every type and protocol for a change with age, or another contrast, over donors.

    1. The counts of a donor's cells of one type in one protocol are summed, all samples together; donors with fewer
       than ``min_cells`` such cells are left out.
    2. The formula becomes a design over donors. Where donors are too few, or the contrast cannot be told from a
       nuisance term, the type is not tested in that protocol, and the reason is kept.
    3. Genes with counts enough are kept, libraries normalised (TMM), a linear model fitted to log2 counts per million,
       and its t statistic moderated. p-values are adjusted within a type and protocol (Benjamini–Hochberg).

    Parameters
    ----------
    data
        A pseudobulk, or a dataset to take it from.
    cell_type_level
        Name of the level, or its place; the coarsest where not given. ``all`` for all cells as one type, as they are
        where the dataset has no types.
    contrast
        ``age`` (log2 fold change a decade), ``young_old`` (old against young), a variable, term or column of the
        design, or a weight for each of some columns. A term of several columns, such as ``bs(age, df=3)`` or a
        variable with three values, is tested as a whole (moderated F).
    formula
        As for formulaic; ``~ sex + study + chemistry +`` the contrast, as far as the dataset has them, where not given.
        ``age`` in it is in decades, ``old`` is 1 for donors beyond the widest gap in age. Any column of obs will do
        where ``data`` is a dataset.
    method
        ``voom`` (weights by the count, a trend in the prior variance, no evidence from zeros that the design fits
        exactly); ``limma`` (weights, one prior for all genes, zeros as they are: limma's default); ``trend`` (no
        weights, a trend in the prior variance); ``deseq2`` (needs pydeseq2).
    where
        Only groups with these values, such as ``{"sex": "M"}``, or of which conditions hold, such as
        ``["sex=M", "age=20..40"]``; see `titin.study.conditions`.
    min_cells
        Of a donor, for it to take part.
    min_donors
        On either side of the comparison.
    min_count
        Of a gene, in a library of median size, in as many donors as the smallest group has.
    drop_confounded
        Leave out a nuisance term that cannot be told from the contrast, and say so, instead of not testing the type.
    threads, progress
        For the pseudobulk.

    Raises
    ------
    TitinError
        If the dataset lacks counts, donors, types, ages, or a column of the formula.

    Notes
    -----
    Squair et al., Nat. Commun. 12, 5692 (2021), on why donors, not cells, are counted; Law et al., Genome Biol. 15,
    R29 (2014), for voom; Smyth (2004) for the moderated t.

    Examples
    --------
    >>> found = differential_expression(titin.open("dataset"), contrast="age")  # doctest: +SKIP
    >>> found.table.query("adj_p_value < 0.05").sort_values("p_value")  # doctest: +SKIP
    >>> found.write("age.parquet")  # read again by DifferentialExpression.read  # doctest: +SKIP
    """
    found = expression_comparisons(
        data, cell_type_level=cell_type_level, contrast=contrast, formula=formula, where=where, min_cells=min_cells,
        min_donors=min_donors, min_count=min_count, drop_confounded=drop_confounded, threads=threads, progress=progress,
    )  # fmt: skip
    return compare_apart(found, method)


def compare_apart(found: ExpressionComparisons, method: ExpressionMethod) -> DifferentialExpression:
    """Test every type and protocol by itself; see `differential_expression`.

    Raises
    ------
    TitinError
        If there is no such method, or it needs a package that is not installed.
    """
    if method not in METHODS:
        raise TitinError(f"there is no method {method!r}", f"methods: {', '.join(METHODS)}")
    of_term = any(comparison.compared.design.contrasts.shape[1] > 1 for comparison in found.comparisons)
    if of_term and method not in LINEAR:
        raise TitinError(f"the method {method} has no test of a term of several columns", f"take {' or '.join(LINEAR)}")
    parts, tests = [], []
    for comparison in found.comparisons:
        with one_thread():
            if of_term:
                part, facts = _test_term(comparison, LINEAR[method])
            else:
                part, facts = _test_contrast(comparison, method)
        parts.append(_about(comparison, found.genes).assign(**part, adj_p_value=adjust(part["p_value"])))
        tests.append(_facts(comparison) | facts)
    table = adjust_across(pd.concat(parts, ignore_index=True)) if parts else pd.DataFrame(columns=COLUMNS)
    if not of_term:
        table = table[COLUMNS]
    for column in ("cell_type", "protocol"):
        table[column] = table[column].astype("category")
    done_with = {
        "method": METHODS[method], **found.settings, **({"test": _OF_TERM} if of_term else {}),
        "normalisation": "median of ratios (DESeq2)" if method == "deseq2" else "trimmed mean of M values (TMM)",
        "adjustment": "Benjamini-Hochberg over the genes of one type and protocol (adj_p_value)",
        "adjustment_across_types": f"Benjamini-Hochberg over those of all types and protocols ({ACROSS})",
    }  # fmt: skip
    return DifferentialExpression(table, settings=done_with, tests=tests, skipped=found.skipped,
                                  **left_out(found.complete))  # fmt: skip


def _about(comparison: ExpressionComparison, genes: pd.DataFrame) -> pd.DataFrame:
    """The genes of a comparison, and what it is of."""
    own = genes.iloc[comparison.genes]
    return pd.DataFrame({
        "gene": own["gene"].to_numpy(), "gene_id": own["gene_id"].to_numpy(), "cell_type": comparison.cell_type,
        "protocol": comparison.protocol, "n_donors": len(comparison.compared.donors), "n_cells": comparison.n_cells,
    })  # fmt: skip


def _facts(comparison: ExpressionComparison) -> dict[str, Any]:
    compared = comparison.compared
    return {
        "cell_type": comparison.cell_type, "protocol": comparison.protocol, **compared.facts,
        "n_units": len(compared.units), "n_cells": comparison.n_cells, "n_genes": len(comparison.genes),
        "residual_df": compared.design.residual_df,
    }  # fmt: skip


def _test_contrast(
    comparison: ExpressionComparison, method: ExpressionMethod
) -> tuple[dict[str, Floats], dict[str, Any]]:  # fmt: skip
    """Columns of the table, and facts, of one contrast."""
    tested = _fit_deseq2(comparison) if method == "deseq2" else _test_linear(comparison, LINEAR[method])
    columns = {
        "mean_log_cpm": tested.mean, "log2_fold_change": tested.effect, "ci_low": tested.low, "ci_high": tested.high,
        "standard_error": tested.standard_error, "t": tested.statistic, "df": tested.df, "p_value": tested.p_value,
    }  # fmt: skip
    return columns, tested.facts


def _test_term(comparison: ExpressionComparison, method: LinearMethod) -> tuple[dict[str, Any], dict[str, Any]]:
    """Likewise of a term of several columns."""
    logs, design = method.log_counts(comparison), comparison.compared.design
    found = f_test_of_term(logs.values, design.matrix, design.contrasts, logs.weights, prior=method.prior)
    columns = {
        "mean_log_cpm": found.mean, "f": found.f, "df_numerator": found.df_numerator, "df": found.df,
        "p_value": found.p_value,
        **{f"coefficient of {name}": found.coefficients[:, i] for i, name in enumerate(design.tested)},
    }  # fmt: skip
    return columns, {"prior_df": _middle(found.prior_df)}


def _middle(prior_df: Floats) -> float | None:
    middle = float(np.median(prior_df))
    return None if np.isinf(middle) else round(middle, 3)


def _test_linear(comparison: ExpressionComparison, method: LinearMethod) -> GeneTests:
    from scipy import stats

    logs, design = method.log_counts(comparison), comparison.compared.design
    fit = fit_linear_models(logs.values, design.matrix, design.contrast, logs.weights, logs.silent)
    found = moderate(fit, prior=method.prior)
    half = stats.t.ppf(0.975, found.df) * found.standard_error
    return GeneTests(fit.mean, fit.effect, fit.effect - half, fit.effect + half, found.standard_error, found.t,
                     found.df, found.p_value, {"prior_df": _middle(found.prior_df)})  # fmt: skip


def _fit_deseq2(comparison: ExpressionComparison) -> GeneTests:
    return fit_deseq2(comparison.counts, comparison.compared, comparison.log_values().mean(axis=1))


def fit_deseq2(counts: NDArray[np.int64], compared: ComparedUnits, mean: Floats) -> GeneTests:
    """Fit DESeq2's model by `pydeseq2` and test the contrast (Wald), Cook's filter off, nothing shrunk.

    Parameters
    ----------
    counts
        Units × genes.
    compared
        Its design is taken as it is.
    mean
        float64 a gene: mean log2 counts per million, which is passed on.

    Raises
    ------
    TitinError
        If pydeseq2 is not installed.
    """
    import contextlib
    import io
    import warnings

    check_installed("pydeseq2", "the method deseq2")
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    names = [f"unit{i}" for i in range(len(counts))]
    design = pd.DataFrame(compared.design.matrix, names, compared.design.columns)
    table = pd.DataFrame(counts, names, [f"gene{i}" for i in range(counts.shape[1])])
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of the libraries that it uses
        data = DeseqDataSet(
            counts=table, metadata=compared.units.set_axis(names), design=design, quiet=True, refit_cooks=False
        )
        data.deseq2()
        result = DeseqStats(
            data, contrast=compared.design.contrast, cooks_filter=False, independent_filter=False, quiet=True
        )
        result.summary()
    found = result.results_df
    effect, error = found["log2FoldChange"].to_numpy(float), found["lfcSE"].to_numpy(float)
    half = 1.959963984540054 * error
    z, df = found["stat"].to_numpy(float), np.full(len(found), np.inf)
    return GeneTests(mean, effect, effect - half, effect + half, error, z, df, found["pvalue"].to_numpy(float), {})
