"""Differential expression: every gene of every type and protocol tested for a contrast, over donors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.comparison import (
    ComparedUnits,
    Comparisons,
    Contrast,
    ask,
    choose_units,
    extra_columns,
    protocols,
    settings,
)
from titin.ageing.design import NotTestableError
from titin.ageing.linear_models import Floats, Prior, adjust, fit_linear_models, moderate, one_thread
from titin.ageing.normalization import (
    MIN_COUNT,
    MIN_TOTAL_COUNT,
    filter_genes,
    log_counts,
    normalization_factors,
    weigh_log_counts,
)
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.progress import Progress
from titin.study.design import AGE, choose_level

ExpressionMethod = Literal["voom", "limma", "trend", "deseq2"]

COLUMNS = [
    "gene", "gene_id", "cell_type", "protocol", "n_donors", "n_cells", "mean_log_cpm", "log2_fold_change", "ci_low",
    "ci_high", "standard_error", "t", "df", "p_value", "adj_p_value",
]  # fmt: skip
MIN_CELLS = 10
_FEWEST_GENES = 10  # from which a common variance can be learnt
_METHODS = {
    "voom": "linear model of log2 counts per million with voom weights; t moderated across genes of like expression",
    "limma": "linear model of log2 counts per million with voom weights; t moderated across genes, one prior for all",
    "trend": "linear model of log2 counts per million; t moderated across genes with a trend in their means",
    "deseq2": "negative binomial model of counts (pydeseq2), Wald test",
}


@dataclass(frozen=True)
class GeneTests:
    """What a method says of the genes of one type and protocol: arrays, one value a gene."""

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
        ``standard_error``, ``t`` (of deseq2, Wald's z), ``df``, ``p_value``, ``adj_p_value``.
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
    where: Mapping[str, Any] | None = None,
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
        Name of the level, or its place; the coarsest where not given.
    contrast
        ``age`` (log2 fold change a decade), ``young_old`` (old against young), a variable or column of the design, or
        a weight for each of some columns.
    formula
        As for formulaic; ``~ sex + chemistry +`` the contrast, as far as the dataset has them, where not given.
        ``age`` in it is in decades, ``old`` is 1 for donors beyond the widest gap in age. Any column of obs will do
        where ``data`` is a dataset.
    method
        ``voom``; ``limma`` (the same with one prior for all genes, as limma has it by default); ``trend`` (no weights,
        a trend in the prior variance); ``deseq2`` (needs pydeseq2).
    where
        Only groups with these values, such as ``{"sex": "M"}``.
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
    if method not in _METHODS:
        raise TitinError(f"there is no method {method!r}", f"methods: {', '.join(_METHODS)}")
    found = data
    if isinstance(found, Atlas):
        extra = extra_columns(contrast, formula, where)
        found = pseudobulk(found, extra=extra, threads=threads, progress=progress)
    if where:
        found = found.select(**dict(where))
    level = choose_level(found.levels, cell_type_level)
    question = ask(found.groups, contrast, formula, min_donors=min_donors, drop_confounded=drop_confounded)
    test = _tests()[method]
    labels = found.groups[level]
    parts, tests, skipped = [], [], []
    for protocol, rows in protocols(found.groups):
        for name in sorted(labels.iloc[rows].dropna().unique()):
            where_is = {"cell_type": str(name), "protocol": protocol}
            try:
                compared = choose_units(found.groups, rows[labels.iloc[rows] == name], question, min_cells=min_cells)
                with one_thread():
                    part, facts = _compare(found, compared, min_count, test)
            except NotTestableError as reason:
                skipped.append({**where_is, "reason": str(reason.args[0])})
                continue
            parts.append(part.assign(**where_is))
            tests.append({**where_is, **facts})
    table = pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    for column in ("cell_type", "protocol"):
        table[column] = table[column].astype("category")
    done_with = {
        "method": _METHODS[method], **settings(question), "where": dict(where or {}),
        "cell_type_level": level, "min_cells": min_cells,
        "filter": f"at least {min_count:g} counts in a library of median size in as many donors as the smallest group "
                  f"of the design has, and {MIN_TOTAL_COUNT} counts in all",
        "normalisation": "median of ratios (DESeq2)" if method == "deseq2" else "trimmed mean of M values (TMM)",
        "adjustment": "Benjamini-Hochberg over the genes of one type and protocol",
    }  # fmt: skip
    return DifferentialExpression(table, settings=done_with, tests=tests, skipped=skipped)


def _compare(
    found: Pseudobulk,
    compared: ComparedUnits,
    min_count: float,
    test: Callable[[NDArray[np.int64], ComparedUnits], GeneTests],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    n_units = len(compared.units)
    which = sparse.csr_matrix((np.ones(len(compared.rows), np.int64), (compared.unit, np.arange(len(compared.rows)))),
                              shape=(n_units, len(compared.rows)))  # fmt: skip
    counts = (which @ found.counts[compared.rows]).toarray()
    if (counts.sum(axis=1) == 0).any():
        raise NotTestableError("a donor has no counts at all")
    kept = np.flatnonzero(filter_genes(counts.astype(float), compared.design.matrix, min_count=min_count))
    if len(kept) < _FEWEST_GENES:
        raise NotTestableError(f"{len(kept) or 'no'} genes with counts enough, fewer than {_FEWEST_GENES}")
    counts = np.ascontiguousarray(counts[:, kept])
    tested = test(counts, compared)
    library = counts.sum(axis=1) * normalization_factors(counts.astype(float))
    table = pd.DataFrame({
        "gene": found.genes["gene"].to_numpy()[kept], "gene_id": found.genes["gene_id"].to_numpy()[kept],
        "n_donors": len(compared.donors), "n_cells": int(compared.units[layout.N_CELLS].sum()),
        "mean_log_cpm": log_counts(counts.astype(float), library).mean(axis=1), "log2_fold_change": tested.effect,
        "ci_low": tested.low, "ci_high": tested.high, "standard_error": tested.standard_error, "t": tested.statistic,
        "df": tested.df, "p_value": tested.p_value, "adj_p_value": adjust(tested.p_value),
    })  # fmt: skip
    facts = {"donors": compared.donors, "n_units": n_units, "n_cells": int(compared.units[layout.N_CELLS].sum()),
             "n_genes": len(kept), "columns": compared.design.columns, "residual_df": compared.design.residual_df,
             "notes": compared.notes, **tested.facts}  # fmt: skip
    return table, facts


def _tests() -> dict[str, Callable[[NDArray[np.int64], ComparedUnits], GeneTests]]:
    return {
        "voom": lambda counts, compared: _test_linear(counts, compared, weighted=True, prior="local"),
        "limma": lambda counts, compared: _test_linear(counts, compared, weighted=True, prior="common"),
        "trend": lambda counts, compared: _test_linear(counts, compared, weighted=False, prior="trend"),
        "deseq2": fit_deseq2,
    }


def _test_linear(counts: NDArray[np.int64], compared: ComparedUnits, *, weighted: bool, prior: Prior) -> GeneTests:
    from scipy import stats

    plain, design = counts.astype(float), compared.design
    library = plain.sum(axis=1) * normalization_factors(plain)
    if weighted:
        logs = weigh_log_counts(plain, library, design.matrix)
        fit = fit_linear_models(logs.values, design.matrix, design.contrast, logs.weights)
    else:
        fit = fit_linear_models(log_counts(plain, library), design.matrix, design.contrast)
    found = moderate(fit, prior=prior)
    half = stats.t.ppf(0.975, found.df) * found.standard_error
    middle = float(np.median(found.prior_df))
    prior_df = None if np.isinf(middle) else round(middle, 3)
    return GeneTests(fit.effect, fit.effect - half, fit.effect + half, found.standard_error, found.t, found.df,
                  found.p_value, {"prior_df": prior_df})  # fmt: skip


def fit_deseq2(counts: NDArray[np.int64], compared: ComparedUnits) -> GeneTests:
    """Fit DESeq2's model by `pydeseq2` and test the contrast (Wald), Cook's filter off, nothing shrunk.

    Parameters
    ----------
    counts
        Units × genes.
    compared
        Its design is taken as it is.

    Raises
    ------
    TitinError
        If pydeseq2 is not installed.
    """
    import contextlib
    import io
    import warnings

    try:
        from pydeseq2.dds import DeseqDataSet
        from pydeseq2.ds import DeseqStats
    except ImportError:
        raise TitinError("the method deseq2 needs pydeseq2", 'pip install "titin[deseq2]"') from None
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
    return GeneTests(effect, effect - half, effect + half, error, z, df, found["pvalue"].to_numpy(float), {})
