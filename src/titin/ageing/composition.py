"""Composition: the cells of each type in every sample, and tests of their fractions for a change, over donors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.analysis import (
    ALPHA,
    CONTRAST,
    DROP_CONFOUNDED,
    FORMULA,
    LEVEL,
    MALES_ONLY,
    MIN_DONORS,
    Analysis,
    Findings,
    Inputs,
    hits,
    main_result,
    method_option,
)
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
from titin.ageing.design import INTERCEPT, NotTestableError
from titin.ageing.glmm import fit_poisson_mixed_model
from titin.ageing.linear_models import Floats, adjust, fit_linear_models, moderate
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.plot import composition_by_age
from titin.results import Result
from titin.section import Section
from titin.study.ages import age_cut, donor_ages, young_or_old
from titin.study.design import AGE, choose_level, need
from titin.study.groups import group_cells


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CellCounts(Result):
    """Cells by sample and type.

    Attributes
    ----------
    table
        int64, samples × types; also called ``counts``.
    samples
        One row a sample (what has the same donor, sample, protocol, chemistry, sex and age): these columns, as far as
        they are known, and ``n_cells``, all types together.
    level
        Name of the level of labels.
    """

    samples: pd.DataFrame
    level: str = "cell_type"

    def __post_init__(self) -> None:
        super().__post_init__()
        values = self.counts.to_numpy()
        if len(self.samples) != len(values):
            raise TitinError(f"{len(self.samples)} samples, but counts of {len(values)}", "give one row for each")
        if values.dtype.kind not in "iu" or (values < 0).any():
            raise TitinError("counts of cells must be whole numbers, zero or more", "give counts, not fractions")

    @property
    def counts(self) -> pd.DataFrame:
        """int64, samples × types."""
        return self.table

    def select(self, rows: NDArray[Any]) -> "CellCounts":
        """Keep some samples, by mask or positions."""
        positions = np.arange(len(self.samples))[np.asarray(rows)]
        return replace(
            self,
            samples=self.samples.iloc[positions].reset_index(drop=True),
            table=self.counts.iloc[positions].reset_index(drop=True),
        )


def cell_counts(atlas: Atlas, cell_type_level: int | str | None = None, *, extra: Sequence[str] = ()) -> CellCounts:
    """Count the cells of each type in each sample; unlabelled cells are left out.

    Parameters
    ----------
    atlas
        The dataset; no expression is read.
    cell_type_level
        Name of the level, or its place; the coarsest where not given.
    extra
        Further columns of obs to tell samples apart by.

    Raises
    ------
    TitinError
        If the dataset has no cell types, not that level, or no such column.
    """
    cells = group_cells(atlas, extra=extra)
    level = choose_level(cells.levels, cell_type_level)
    table = cells.table[cells.table[level].notna()].reset_index(drop=True)
    keys = [name for name in table if name not in (*cells.levels, layout.N_CELLS)]
    if not keys:
        samples, codes = pd.DataFrame(index=pd.RangeIndex(1)), np.zeros(len(table), np.int64)
    else:
        grouped = table.groupby(keys, sort=True, dropna=False)
        codes = grouped.ngroup().to_numpy().astype(np.int64)
        first = np.unique(codes, return_index=True)[1]
        samples = table.iloc[first][keys].reset_index(drop=True)
    names, types = pd.factorize(table[level], sort=True)
    counts = np.zeros((len(samples), len(types)), np.int64)
    np.add.at(counts, (codes, names), table[layout.N_CELLS].to_numpy())
    samples[layout.N_CELLS] = counts.sum(axis=1)
    return CellCounts(pd.DataFrame(counts, columns=types), samples=samples, level=level)


def transform(fractions: Floats, method: str, total: Floats | None = None) -> Floats:
    """Make the variance of fractions nearly the same for rare and for common types.

    Parameters
    ----------
    fractions
        Units × types, 0 … 1.
    method
        ``asin``: arcsine of the square root; ``logit``: log(p / (1 - p)), half a cell added to every type.
    total
        Cells of each unit; needed for ``logit``.
    """
    if method == "asin":
        angles: Floats = np.arcsin(np.sqrt(fractions))
        return angles
    counts = fractions * np.asarray(total)[:, None] + 0.5
    shares = counts / counts.sum(axis=1, keepdims=True)
    logits: Floats = np.log(shares / (1 - shares))
    return logits


COLUMNS = ["cell_type", "protocol", "n_young", "n_old", "fraction_young", "fraction_old", "u", "p_value", "adj_p_value"]
MIN_SAMPLE_CELLS = 1000


def mann_whitney(
    cells: CellCounts, *, min_sample_cells: int = MIN_SAMPLE_CELLS, cut: float | None = None
) -> "Composition":
    """Compare the fractions of every type between young and old by the Mann–Whitney test, in each protocol.

    The recipe of the muscle atlas: samples of more than ``min_sample_cells`` cells; the fraction of a type in each;
    its mean over the samples of a donor, protocol and chemistry; a two-sided test of these means.

    Parameters
    ----------
    cells
        From `cell_counts`.
    min_sample_cells
        Samples of no more cells are left out.
    cut
        Years from which a donor is old; in the middle of the widest gap between donors' ages where not given.

    Returns
    -------
    Composition
        One row a type and protocol: ``cell_type``, ``protocol``, ``n_young``, ``n_old``, mean ``fraction_young`` and
        ``fraction_old``, ``u`` (of the young), ``p_value``, ``adj_p_value`` (Benjamini–Hochberg over the types of a
        protocol).

    Raises
    ------
    TitinError
        If donors or ages are missing, or do not part young from old.
    """
    need([str(name) for name in cells.samples], "donor", "donors are what is compared")
    need([str(name) for name in cells.samples], AGE, "the comparison is of ages")
    if cut is None:
        cut = age_cut(donor_ages(cells.samples[AGE], cells.samples["donor"]))
    if cut is None:
        raise TitinError("these ages do not part young from old: there are too few donors, or all of one age",
                         "give the age from which a donor is old")  # fmt: skip
    large = cells.select((cells.samples[layout.N_CELLS] > min_sample_cells).to_numpy())
    parts, skipped = [], []
    for protocol, rows in protocols(cells.samples):
        inside = np.flatnonzero(large.samples.get("protocol", pd.Series(protocol, large.samples.index)) == protocol)
        part = _compare(large.select(inside), cut)
        if isinstance(part, str):
            skipped.append({"cell_type": None, "protocol": protocol, "reason": part})
        elif len(rows):
            parts.append(part.assign(protocol=protocol))
    table = pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    done_with = {"method": _METHODS["mann_whitney"], "age_cut": cut, "min_sample_cells": min_sample_cells,
                 "cell_type_level": cells.level,
                 "adjustment": "Benjamini-Hochberg over the types of one protocol"}  # fmt: skip
    return Composition(table, settings=done_with, skipped=skipped, caveat=CAVEAT)


def rank_test(young: Floats, old: Floats) -> tuple[float, float]:
    """Return U of the young and the two-sided p: exact without ties for at most eight on a side, else asymptotic.

    The asymptotic p is corrected for ties and continuity. Where all values are equal it is 1.
    """
    from scipy.stats import mannwhitneyu

    if np.ptp(np.concatenate([young, old])) == 0:
        return len(young) * len(old) / 2, 1.0
    found = mannwhitneyu(young, old, alternative="two-sided", method="auto")
    return float(found.statistic), float(found.pvalue)


def _compare(cells: CellCounts, cut: float) -> pd.DataFrame | str:
    """Test every type in one protocol; the reason where that cannot be done."""
    samples = cells.samples
    known = samples[["donor", AGE]].notna().all(axis=1)
    cells, samples = cells.select(known.to_numpy()), samples[known].reset_index(drop=True)
    fractions = cells.counts.div(samples[layout.N_CELLS], axis=0)
    keys = [samples["donor"], *([samples["chemistry"]] if "chemistry" in samples else [])]
    grouped = fractions.groupby([key.fillna("").to_numpy() for key in keys])
    means = grouped.mean()
    ages = samples[AGE].groupby([key.fillna("").to_numpy() for key in keys]).median()
    old = young_or_old(ages, cut) == "old"
    if not old.any() or old.all():
        return f"{int((~old).sum())} young and {int(old.sum())} old donors with samples large enough"
    rows: list[dict[str, Any]] = []
    for name in means:
        a, b = means[name].to_numpy()[~old], means[name].to_numpy()[old]
        if not (a.any() or b.any()):
            continue
        u, p = rank_test(a, b)
        rows.append({"cell_type": str(name), "n_young": len(a), "n_old": len(b), "fraction_young": a.mean(),
                     "fraction_old": b.mean(), "u": u, "p_value": p})  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(adj_p_value=adjust(table["p_value"].to_numpy(float)))


CompositionMethod = Literal["asin", "logit", "poisson", "mann_whitney"]
METHODS: tuple[CompositionMethod, ...] = ("asin", "logit", "poisson", "mann_whitney")
_TYPES_SHOWN = 12

CAVEAT = (
    "fractions add up to one: when one type grows all others shrink, so a change says nothing of absolute numbers, and "
    "of how many cells of each type a preparation loses"
)
MIN_TYPE_CELLS = 20
LINEAR_COLUMNS = [
    "cell_type", "protocol", "n_donors", "n_cells", "mean_fraction", "fold_change", "effect", "ci_low", "ci_high", "t",
    "df", "p_value", "adj_p_value",
]  # fmt: skip
POISSON_COLUMNS = [
    "cell_type", "protocol", "n_donors", "n_cells", "mean_fraction", "fold_change", "ci_low", "ci_high", "effect", "sd",
    "ltsr",
]  # fmt: skip
_METHODS = {
    "asin": "linear model of the arcsine of the root of donors' fractions; t moderated across types (propeller)",
    "logit": "linear model of the logit of donors' fractions; t moderated across types (propeller)",
    "poisson": "Poisson mixed model of samples' counts with random slopes by type, Laplace's approximation",
    "mann_whitney": "Mann-Whitney test of donors' fractions",
}


@dataclass(frozen=True, eq=False, repr=False)
class Composition(Comparisons):
    """Fractions of types tested in every protocol; see `composition` for the columns that each method gives."""


def composition(
    data: CellCounts | Atlas,
    *,
    method: CompositionMethod = "asin",
    cell_type_level: int | str | None = None,
    contrast: Contrast = AGE,
    formula: str | None = None,
    where: Mapping[str, Any] | None = None,
    min_type_cells: int = MIN_TYPE_CELLS,
    min_donors: int = 3,
    min_sample_cells: int = MIN_SAMPLE_CELLS,
    drop_confounded: bool = False,
) -> Composition:
    """Test every cell type in every protocol for a change of its fraction with age, or another contrast, over donors.

    Parameters
    ----------
    data
        Counts of cells, or a dataset to count them in.
    method
        ``asin`` or ``logit``: donors' fractions transformed, a linear model, its t moderated across types (propeller);
        ``poisson``: a mixed model of samples' counts, see `titin.ageing.glmm`; ``mann_whitney``: as published for the
        muscle atlas, young against old, see `mann_whitney` (contrast and formula do not apply).
    cell_type_level, contrast, formula, where, min_donors, drop_confounded
        As for `differential_expression`.
    min_type_cells
        Types with fewer cells in a protocol are not tested there; they count in the totals.
    min_sample_cells
        For ``mann_whitney``: samples of no more cells are left out.

    Returns
    -------
    Composition
        One row a type and protocol, in all methods ``cell_type``, ``protocol``, ``p_value`` and ``adj_p_value``
        (Benjamini–Hochberg over the types of a protocol), but for ``poisson``, which has ``ltsr``, the posterior
        probability that the effect has the sign that it seems to have.

        ``asin``, ``logit``: ``n_donors``, ``n_cells`` of the type, ``mean_fraction`` over donors, ``effect`` (of the
        transformed fraction, a decade where age is the contrast) with its 95 % interval, ``t``, ``df``, and
        ``fold_change``: of the fitted fraction at the donors' mean, for one unit of the contrast (a decade).

        ``poisson``: ``effect``, the departure of the type's log slope from that of the average type, its posterior
        ``sd``, and ``fold_change`` = exp(effect) with its interval (for one unit of the contrast).

    Raises
    ------
    TitinError
        If the dataset lacks donors, types, ages, or a column of the formula.

    Notes
    -----
    Phipson et al., Bioinformatics 38, 4720 (2022), for propeller (prior variance without its option ``robust``).
    """
    if method not in _METHODS:
        raise TitinError(f"there is no method {method!r}", f"methods: {', '.join(_METHODS)}")
    if isinstance(data, Atlas):
        data = cell_counts(data, cell_type_level, extra=extra_columns(contrast, formula, where))
    cells = _select(data, where or {})
    if method == "mann_whitney":
        return mann_whitney(cells, min_sample_cells=min_sample_cells)
    question = ask(cells.samples, contrast, formula, min_donors=min_donors, drop_confounded=drop_confounded)
    parts: list[pd.DataFrame] = []
    tests: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for protocol, rows in protocols(cells.samples):
        types = _common_types(cells, rows, min_type_cells, protocol, skipped)
        try:
            compared = choose_units(cells.samples, rows, question)
            part, facts = (
                _poisson(cells, compared, types) if method == "poisson" else _linear(cells, compared, types, method)
            )
        except NotTestableError as reason:
            skipped.append({"cell_type": None, "protocol": protocol, "reason": str(reason.args[0])})
            continue
        parts.append(part.assign(protocol=protocol))
        tests.append({"protocol": protocol, "donors": compared.donors, "columns": compared.design.columns,
                      "residual_df": compared.design.residual_df, **facts,
                      "notes": [*compared.notes, *facts.get("notes", [])]})  # fmt: skip
    columns = POISSON_COLUMNS if method == "poisson" else LINEAR_COLUMNS
    table = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    done_with = {
        "method": _METHODS[method], **settings(question), "cell_type_level": cells.level,
        "min_type_cells": min_type_cells,
        "adjustment": "none: ltsr is a posterior probability" if method == "poisson"
                      else "Benjamini-Hochberg over the types of one protocol",
    }  # fmt: skip
    return Composition(table, settings=done_with, tests=tests, skipped=skipped, caveat=CAVEAT)


def _select(data: CellCounts, where: Mapping[str, Any]) -> CellCounts:
    for name, value in where.items():
        if name not in data.samples:
            raise TitinError(f"the samples have no column {name!r}", f"they have {', '.join(map(str, data.samples))}")
        data = data.select(data.samples[name].isin([value] if np.isscalar(value) else list(value)).to_numpy())
    return data


def _common_types(
    cells: CellCounts, rows: NDArray[np.int64], least: int, protocol: str, skipped: list[dict[str, Any]]
) -> list[str]:
    """Types to test in a protocol; the others are told of in ``skipped``."""
    totals = cells.counts.iloc[rows].sum()
    for name, n in totals[totals < least].items():
        skipped.append(
            {"cell_type": str(name), "protocol": protocol, "reason": f"{n or 'no'} cells, fewer than {least}"}
        )
    return [str(name) for name in totals.index[totals >= least]]


def _linear(
    cells: CellCounts, compared: ComparedUnits, types: list[str], method: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    from scipy import stats

    counts = _sum_rows(cells.counts.iloc[compared.rows].to_numpy(float), compared)
    total = counts.sum(axis=1)
    if (total == 0).any():
        raise NotTestableError("a donor has no cells")
    chosen = cells.counts.columns.get_indexer(pd.Index(types))
    if len(chosen) < 2:
        raise NotTestableError(f"{len(chosen) or 'no'} types with cells enough: there is nothing to compare")
    fractions = counts / total[:, None]
    fit = fit_linear_models(
        transform(fractions, method, total).T[chosen], compared.design.matrix, compared.design.contrast
    )
    found = moderate(fit)
    half = stats.t.ppf(0.975, found.df) * found.standard_error
    table = pd.DataFrame({
        "cell_type": [str(t) for t in types], "n_donors": len(compared.donors),
        "n_cells": counts.sum(axis=0)[chosen].astype(np.int64), "mean_fraction": fractions.mean(axis=0)[chosen],
        "fold_change": _fold_change(fit.mean, fit.effect, method), "effect": fit.effect, "ci_low": fit.effect - half,
        "ci_high": fit.effect + half, "t": found.t, "df": found.df, "p_value": found.p_value,
        "adj_p_value": adjust(found.p_value),
    })  # fmt: skip
    return table, {"prior_df": None if np.isinf(found.prior_df[0]) else round(float(found.prior_df[0]), 3)}


def _fold_change(mean: Floats, effect: Floats, method: str) -> Floats:
    """Ratio of the fractions half a unit above and half a unit below the donors' mean."""

    def fraction(value: Floats) -> Floats:
        if method == "asin":
            return np.sin(np.clip(value, 0, np.pi / 2)) ** 2
        return 1 / (1 + np.exp(-value))

    with np.errstate(divide="ignore", invalid="ignore"):
        return fraction(mean + effect / 2) / fraction(mean - effect / 2)


def _poisson(cells: CellCounts, compared: ComparedUnits, types: list[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    from scipy import stats

    counts = cells.counts[types].iloc[compared.rows].to_numpy()
    kept = counts.sum(axis=1) > 0
    counts, rows, unit = counts[kept], compared.rows[kept], compared.unit[kept]
    if counts.shape[1] < 3:
        raise NotTestableError(f"{counts.shape[1] or 'no'} types with cells enough, fewer than 3")
    if len(np.unique(unit)) < len(compared.units):
        raise NotTestableError("a donor has no cells of the types tested")
    matrix = compared.design.matrix[unit]
    centre = matrix.mean(axis=0) if INTERCEPT in compared.design.columns else 0.0
    scale = matrix.std(axis=0)
    varying = scale > 0
    scaled = np.where(varying, (matrix - centre) / np.where(varying, scale, 1), matrix)  # as random slopes want it
    found = fit_poisson_mixed_model(
        counts, scaled, compared.design.columns, cells.samples["donor"].iloc[rows].to_numpy()
    )  # fmt: skip
    weights = np.where(varying, compared.design.contrast / np.where(varying, scale, 1), 0)
    effect = found.slopes @ weights
    sd = np.sqrt((found.slope_sd**2) @ weights**2)
    fractions = _sum_rows(cells.counts.iloc[rows].to_numpy(float), compared, kept)
    fractions = fractions / fractions.sum(axis=1, keepdims=True)
    table = pd.DataFrame({
        "cell_type": [str(t) for t in types], "n_donors": len(compared.donors), "n_cells": counts.sum(axis=0),
        "mean_fraction": fractions.mean(axis=0)[cells.counts.columns.get_indexer(pd.Index(types))],
        "fold_change": np.exp(effect), "ci_low": np.exp(effect - 1.96 * sd), "ci_high": np.exp(effect + 1.96 * sd),
        "effect": effect, "sd": sd, "ltsr": stats.norm.cdf(np.abs(effect) / sd),
    })  # fmt: skip
    facts = {"sd": {k: round(v, 4) for k, v in found.sd.items()}, "n_samples": len(rows), "notes": found.notes,
             "log_likelihood": found.log_likelihood, "converged": found.converged}  # fmt: skip
    return table, facts


def _sum_rows(counts: Floats, compared: ComparedUnits, kept: NDArray[np.bool_] | None = None) -> Floats:
    """Sum samples of a unit: units × types."""
    unit = compared.unit if kept is None else compared.unit[kept]
    total = np.zeros((len(compared.units), counts.shape[1]))
    np.add.at(total, unit, counts)
    return total


def _counts(inputs: Inputs, level: int | str | None = None, extra: Sequence[str] = ()) -> CellCounts:
    """Cells by sample and type, counted once."""
    return inputs.once(("cells", level, *extra), lambda: cell_counts(inputs.atlas, level, extra=extra))


def _run(
    inputs: Inputs, *, cell_type_level: int | str | None = None, males_only: bool = False,
    parts: Sequence[CompositionMethod] = (), **options: Any,
) -> Findings:  # fmt: skip
    where = inputs.males() if males_only else None
    extra = extra_columns(options.get("contrast", AGE), options.get("formula"), where)
    cells = _counts(inputs, cell_type_level, extra)
    return Findings({method: composition(cells, method=method, where=where, **options) for method in parts or METHODS})


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:
    """Add fractions of types along age, and their tests."""
    cells, tests = _counts(inputs), main_result(findings, Composition).table
    section.say(f"One dot a donor. Note: {CAVEAT}.")
    keys = [c for c in ("donor", "protocol") if c in cells.samples]
    about = [c for c in ("age", "sex") if c in cells.samples]
    counts = cells.counts.groupby([cells.samples[k] for k in keys]).sum()
    first = cells.samples.groupby(keys)[about].first() if about else pd.DataFrame(index=counts.index)
    shares = counts.div(counts.sum(axis=1), axis=0)
    long = shares.join(first).reset_index().melt([*keys, *about], var_name="cell_type", value_name="fraction")
    for protocol in sorted(long["protocol"].unique()) if "protocol" in long else ["all"]:
        own = long[long["protocol"] == protocol] if "protocol" in long else long
        common = own.groupby("cell_type")["fraction"].mean()
        kept = common[common > 0].sort_values(ascending=False).index[:_TYPES_SHOWN].tolist()
        axes = composition_by_age(own, color="sex" if "sex" in own else None, types=kept)
        n = own["donor"].nunique()
        title = f"Fractions of the most frequent types in {protocol}, n = {n} donors"
        section.figure(f"by_age_{protocol}", axes, title, own)
    clear = tests[tests["adj_p_value"] < ALPHA]
    section.facts |= {"tested": len(tests), "hits": hits(tests)}
    said = ", ".join(f"{r.cell_type} in {r.protocol}" for r in clear.itertuples()) or "none"
    section.say(f"{len(clear)} of {len(tests)} types change beyond chance (adjusted p < {ALPHA}): {said}.")
    columns = ["cell_type", "protocol", "n_donors", "mean_fraction", "fold_change", "p_value", "adj_p_value"]
    section.table("tests", tests.sort_values("p_value"), "Tests of the fractions", rows=15, columns=columns)


COMPOSITION = Analysis(
    name="composition",
    title="Composition with age",
    summary="Which cell types change with age.",
    help="""Test every cell type of DATASET for a change of its fraction with age, in every protocol, over donors.

    \b
    titin age composition dataset
    titin age composition dataset --method poisson --cell-type-level 1

    Fractions add up to one: when one type grows, all others shrink. --method can be given several times.
    """,
    needs=("donor", "age", "cell_type"),
    result=Composition,
    run=_run,
    show=_show,
    parts=METHODS,
    refuses_empty=True,
    in_report=lambda _: {"parts": ("asin",)},
    options=(
        LEVEL, CONTRAST, FORMULA, MIN_DONORS, DROP_CONFOUNDED, MALES_ONLY,
        method_option(*METHODS, default=None, keyword="parts"),
        click.Option(["--min-sample-cells"], type=click.IntRange(0), default=MIN_SAMPLE_CELLS, show_default=True,
                     help="For mann_whitney: smaller samples are left out."),
    ),
)  # fmt: skip
