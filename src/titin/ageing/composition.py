"""Composition: tests of the fractions of cell types for a change with age, over donors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.analysis import Analysis, Findings, Inputs, hits, main_result
from titin.ageing.cell_counts import CellCounts, cell_counts
from titin.ageing.comparison import (
    ComparedUnits,
    Comparisons,
    Contrast,
    ask,
    choose_units,
    extra_columns,
    left_out,
    protocols,
    settings,
    take_part,
)
from titin.ageing.design import INTERCEPT, NotTestableError
from titin.ageing.fractions import FractionModel, fit_fractions
from titin.ageing.glmm import fit_poisson_mixed_model
from titin.ageing.linear_models import Floats, adjust, moderate
from titin.ageing.verdict import Row, say_changes, say_unit
from titin.analysis_options import (
    CONTRAST,
    DROP_CONFOUNDED,
    FORMULA,
    LEVEL,
    MALES_ONLY,
    MIN_DONORS,
    method_option,
)
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.plot import composition_by_age
from titin.section import Section
from titin.study.ages import age_cut, donor_ages, young_or_old
from titin.study.conditions import Where
from titin.study.design import AGE, need
from titin.study.gaps import Complete
from titin.text import count


def _take_part(
    cells: CellCounts, contrast: Contrast, formula: str | None, more: Sequence[str] = ()
) -> tuple[CellCounts, Complete]:
    """Leave out samples that lack what is compared or needed beyond, and the types of which no cell is left."""
    found = take_part(cells.samples, contrast, formula, more)
    lacking = {**({cells.level: cells.unlabelled} if cells.unlabelled else {}), **found.cells_left_out}
    if not found.rows.all():
        cells = cells.select(found.rows)
        cells = replace(cells, table=cells.table.loc[:, cells.table.sum() > 0])
    return cells, replace(found, cells_left_out=lacking)


COLUMNS = ["cell_type", "protocol", "n_young", "n_old", "fraction_young", "fraction_old", "u", "p_value", "adj_p_value"]
MIN_SAMPLE_CELLS = 1000


def mann_whitney(
    cells: CellCounts, *, min_sample_cells: int = MIN_SAMPLE_CELLS, cut: float | None = None, min_donors: int = 3
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
    min_donors
        Fewest donors on either side, with samples large enough; nothing is tested of fewer.

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
    cells, complete = _take_part(cells, AGE, None, ["sample"])
    if cut is None:
        cut = age_cut(donor_ages(cells.samples[AGE], cells.samples["donor"]))
    if cut is None:
        raise TitinError("these ages do not part young from old: there are too few donors, or all of one age",
                         "give the age from which a donor is old")  # fmt: skip
    large = cells.select((cells.samples[layout.N_CELLS] > min_sample_cells).to_numpy())
    parts, skipped = [], []
    for protocol, rows in protocols(cells.samples):
        inside = np.flatnonzero(large.samples.get("protocol", pd.Series(protocol, large.samples.index)) == protocol)
        part = _compare(large.select(inside), cut, min_donors)
        if isinstance(part, str):
            skipped.append({"cell_type": None, "protocol": protocol, "reason": part})
        elif len(rows):
            parts.append(part.assign(protocol=protocol))
    table = pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)
    done_with = {"method": _METHODS["mann_whitney"], "contrast": "young_old", "age_cut": cut,
                 "min_sample_cells": min_sample_cells, "cell_type_level": cells.level,
                 "adjustment": "Benjamini-Hochberg over the types of one protocol"}  # fmt: skip
    return Composition(table, settings=done_with, skipped=skipped, caveat=CAVEAT, **left_out(complete))


def rank_test(young: Floats, old: Floats) -> tuple[float, float]:
    """Return U of the young and the two-sided p: exact without ties for at most eight on a side, else asymptotic.

    The asymptotic p is corrected for ties and continuity. Where all values are equal it is 1.
    """
    from scipy.stats import mannwhitneyu

    if np.ptp(np.concatenate([young, old])) == 0:
        return len(young) * len(old) / 2, 1.0
    found = mannwhitneyu(young, old, alternative="two-sided", method="auto")
    return float(found.statistic), float(found.pvalue)


def _compare(cells: CellCounts, cut: float, min_donors: int) -> pd.DataFrame | str:
    """Test every type in one protocol; the reason where that cannot be done."""
    samples = cells.samples
    fractions = cells.counts.div(samples[layout.N_CELLS], axis=0)
    names = [samples["donor"].to_numpy(), *([samples["chemistry"].to_numpy()] if "chemistry" in samples else [])]
    means = fractions.groupby(names).mean()
    old = young_or_old(samples[AGE].groupby(names).median(), cut) == "old"
    donors = means.index.get_level_values(0)
    n_young, n_old = donors[~old].nunique(), donors[old].nunique()
    if min(n_young, n_old) < min_donors:
        few = f"{n_young} young and {n_old} old donors with samples large enough"
        return few if min(n_young, n_old) == 0 else f"{few}, fewer than {min_donors} on a side"
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


CompositionMethod = Literal["asin", "logit", "quasi", "poisson", "mann_whitney"]
METHODS: tuple[CompositionMethod, ...] = ("asin", "logit", "quasi", "poisson", "mann_whitney")
_TYPES_SHOWN = 12

CAVEAT = (
    "fractions add up to one: when one type grows all others shrink, so a change says nothing of absolute numbers, and "
    "of how many cells of each type a preparation loses"
)
LTSR_CAVEAT = (
    "LTSR is no test: of 13 donors and 15 types of which nothing changes, some type had one above 0.95 in a fifth "
    "to a third of simulated runs (benchmarks/calibration/few_cells.py)"
)
MIN_TYPE_CELLS = 20
MIN_DONOR_CELLS = 10
LINEAR_COLUMNS = [
    "cell_type", "protocol", "n_donors", "n_cells", "mean_fraction", "fold_change", "fold_change_low",
    "fold_change_high", "effect", "ci_low", "ci_high", "t", "df", "p_value", "adj_p_value",
]  # fmt: skip
POISSON_COLUMNS = [
    "cell_type", "protocol", "n_donors", "n_cells", "mean_fraction", "fold_change", "ci_low", "ci_high", "effect", "sd",
    "ltsr",
]  # fmt: skip
_METHODS = {
    "asin": "linear model of the arcsine of the root of donors' fractions, weighed by their precision; t moderated "
            "across types (propeller)",
    "logit": "linear model of the logit of donors' fractions, weighed by their precision; t moderated across types "
             "(propeller)",
    "quasi": "logistic model of donors' counts with the variance of the beta-binomial distribution times a factor a "
             "type, which is moderated across types; t with its degrees of freedom",
    "poisson": "Poisson mixed model of samples' counts with random slopes by type, Laplace's approximation",
    "mann_whitney": "Mann-Whitney test of donors' fractions",
}  # fmt: skip


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
    where: Mapping[str, Any] | Sequence[str] | None = None,
    min_type_cells: int = MIN_TYPE_CELLS,
    min_donor_cells: int = MIN_DONOR_CELLS,
    min_donors: int = 3,
    min_sample_cells: int = MIN_SAMPLE_CELLS,
    drop_confounded: bool = False,
    weigh: bool = True,
) -> Composition:
    """Test every cell type in every protocol for a change of its fraction with age, or another contrast, over donors.

    Parameters
    ----------
    data
        Counts of cells, or a dataset to count them in.
    method
        ``asin`` or ``logit``: donors' fractions transformed, a linear model, its t moderated across types (propeller);
        ``quasi``: a logistic model of donors' counts with the beta-binomial variance, its t moderated likewise; see
        `titin.ageing.fractions` for these three. ``poisson``: a mixed model of samples' counts, see
        `titin.ageing.glmm`; ``mann_whitney``: as published for the
        muscle atlas, young against old, see `mann_whitney` (contrast and formula do not apply).
    cell_type_level, contrast, formula, where, min_donors, drop_confounded
        As for `differential_expression`.
    min_type_cells
        Types with fewer cells in a protocol are not tested there; they count in the totals.
    min_donor_cells
        Donors of fewer cells in a protocol, all types together, take no part there; not for ``mann_whitney``.
    min_sample_cells
        For ``mann_whitney``: samples of no more cells are left out.
    weigh
        Whether ``asin`` and ``logit`` give less weight to donors of few cells; without it they are propeller's tests,
        which see changes where there are none when one donor has few cells.

    Returns
    -------
    Composition
        One row a type and protocol, in all methods ``cell_type``, ``protocol``, ``p_value`` and ``adj_p_value``
        (Benjamini–Hochberg over the types of a protocol), but for ``poisson``, which has ``ltsr``, the posterior
        probability that the effect has the sign that it seems to have. That is no test: see `LTSR_CAVEAT`.

        ``asin``, ``logit``, ``quasi``: ``n_donors``, ``n_cells`` of the type, ``mean_fraction`` over donors, ``effect``
        (of the transformed fraction, for ``quasi`` of the log odds, a decade where age is the contrast) with its 95 %
        interval, ``t``, ``df``, and ``fold_change``: of the fitted fraction at the donors' mean, for one unit of the
        contrast (a decade), with ``fold_change_low`` and ``fold_change_high``, those of the interval's ends.

        ``poisson``: ``effect``, the departure of the type's log slope from that of the average type, its posterior
        ``sd``, and ``fold_change`` = exp(effect) with its interval (for one unit of the contrast).

    Raises
    ------
    TitinError
        If the dataset lacks donors, types, ages, or a column of the formula.

    Notes
    -----
    Phipson et al., Bioinformatics 38, 4720 (2022), for propeller (prior variance without its option ``robust``; its
    tests exactly with ``weigh=False``).
    """
    if method not in _METHODS:
        raise TitinError(f"there is no method {method!r}", f"methods: {', '.join(_METHODS)}")
    if isinstance(data, Atlas):
        data = cell_counts(data, cell_type_level, extra=extra_columns(contrast, formula, Where.of(where).columns))
    if method == "mann_whitney":
        return mann_whitney(_chosen(data, where), min_sample_cells=min_sample_cells, min_donors=min_donors)
    cells, complete = _take_part(data, contrast, formula, ["sample"] if method == "poisson" else [])
    cells = _chosen(cells, where)
    question = ask(cells.samples, contrast, formula, min_donors=min_donors, drop_confounded=drop_confounded,
                   complete=complete)  # fmt: skip
    parts: list[pd.DataFrame] = []
    tests: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for protocol, rows in protocols(cells.samples, question):
        types = _common_types(cells, rows, min_type_cells, protocol, skipped)
        try:
            compared = choose_units(cells.samples, rows, question, min_cells=min_donor_cells)
            part, facts = (
                _poisson(cells, compared, types) if method == "poisson"
                else _linear(cells, compared, types, method, weigh)
            )  # fmt: skip
        except NotTestableError as reason:
            n_cells = int(cells.samples[layout.N_CELLS].iloc[rows].sum())
            skipped.append({"cell_type": None, "protocol": protocol, "reason": str(reason.args[0]),
                            layout.N_CELLS: n_cells})  # fmt: skip
            continue
        parts.append(part.assign(protocol=protocol))
        tests.append({"protocol": protocol, **compared.facts, "residual_df": compared.design.residual_df, **facts,
                      "notes": [*compared.notes, *facts.get("notes", [])]})  # fmt: skip
    columns = POISSON_COLUMNS if method == "poisson" else LINEAR_COLUMNS
    table = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    done_with = {
        "method": _METHODS[method], **settings(question), "cell_type_level": cells.level,
        "min_type_cells": min_type_cells, "min_donor_cells": min_donor_cells,
        **({"weigh": weigh} if method in ("asin", "logit") else {}),
        "adjustment": "none: ltsr is a posterior probability" if method == "poisson"
                      else "Benjamini-Hochberg over the types of one protocol",
    }  # fmt: skip
    return Composition(table, settings=done_with, tests=tests, skipped=skipped,
                       caveat=f"{CAVEAT}. {LTSR_CAVEAT}" if method == "poisson" else CAVEAT,
                       **left_out(complete))  # fmt: skip


def _chosen(cells: CellCounts, where: Mapping[str, Any] | Sequence[str] | None) -> CellCounts:
    return cells.select(Where.of(where).holds(cells.samples)) if where else cells


def _common_types(
    cells: CellCounts, rows: NDArray[np.int64], least: int, protocol: str, skipped: list[dict[str, Any]]
) -> list[str]:
    """Types to test in a protocol; the others are told of in ``skipped``."""
    totals = cells.counts.iloc[rows].sum()
    for name, n in totals[totals < least].items():
        reason = f"{n or 'no'} cells, fewer than {least}"
        skipped.append({"cell_type": str(name), "protocol": protocol, "reason": reason, layout.N_CELLS: int(n)})
    return [str(name) for name in totals.index[totals >= least]]


def _linear(
    cells: CellCounts, compared: ComparedUnits, types: list[str], method: FractionModel, weigh: bool
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
    fit, excess = fit_fractions(
        counts, chosen, compared.design.matrix, compared.design.contrast, method, weigh=weigh
    )  # fmt: skip
    found = moderate(fit)
    half = stats.t.ppf(0.975, found.df) * found.standard_error
    folds = {f"fold_change{end}": _fold_change(fit.mean, fit.effect + move, method)
             for end, move in (("", 0.0), ("_low", -half), ("_high", half))}  # fmt: skip
    table = pd.DataFrame({
        "cell_type": [str(t) for t in types], "n_donors": len(compared.donors),
        "n_cells": counts.sum(axis=0)[chosen].astype(np.int64), "mean_fraction": fractions.mean(axis=0)[chosen],
        **folds, "effect": fit.effect, "ci_low": fit.effect - half,
        "ci_high": fit.effect + half, "t": found.t, "df": found.df, "p_value": found.p_value,
        "adj_p_value": adjust(found.p_value),
    })  # fmt: skip
    prior_df = None if np.isinf(found.prior_df[0]) else round(float(found.prior_df[0]), 3)
    return table, {"prior_df": prior_df, "variance_between_donors": excess}


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
    inputs: Inputs, *, cell_type_level: int | str | None = None,
    parts: Sequence[CompositionMethod] = (), **options: Any,
) -> Findings:  # fmt: skip
    extra = extra_columns(options.get("contrast", AGE), options.get("formula"), None)
    cells = _counts(inputs, inputs.level(cell_type_level), extra)
    return Findings({method: composition(cells, method=method, **options) for method in parts or METHODS})


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:
    """Add fractions of types along age, and their tests."""
    found = main_result(findings, Composition)
    cells, tests = _take_part(_counts(inputs, found.settings["cell_type_level"]), AGE, None)[0], found.table
    section.say(f"One dot a donor. Note: {CAVEAT}.")
    keys = [c for c in ("donor", "protocol") if c in cells.samples]
    about = [c for c in ("age", "sex") if c in cells.samples]
    counts = cells.counts.groupby([cells.samples[k] for k in keys]).sum()
    first = cells.samples.groupby(keys)[about].first() if about else pd.DataFrame(index=counts.index)
    shares = counts.div(counts.sum(axis=1), axis=0)
    shares = shares.assign(n_cells=counts.sum(axis=1))
    long = shares.join(first).reset_index().melt([*keys, *about, "n_cells"], var_name="cell_type",
                                                 value_name="fraction")  # fmt: skip
    for protocol in sorted(long["protocol"].unique()) if "protocol" in long else ["all"]:
        own = long[long["protocol"] == protocol] if "protocol" in long else long
        common = own.groupby("cell_type")["fraction"].mean()
        kept = common[common > 0].sort_values(ascending=False).index[:_TYPES_SHOWN].tolist()
        axes = composition_by_age(own, color="sex" if "sex" in own else None, n_cells="n_cells", types=kept)
        n = own["donor"].nunique()
        vif = found.vif(protocol=protocol)
        title = f"Fractions of the most frequent types in {protocol}, n = {n} donors{f', {vif}' if vif else ''}"
        section.figure(f"by_age_{protocol}", axes, title, own)
    section.facts |= {"tested": len(tests), "types": tests["cell_type"].nunique(), "hits": hits(tests)}
    columns = ["cell_type", "protocol", "n_donors", "mean_fraction", "fold_change", "fold_change_low",
               "fold_change_high", "adj_p_value"]  # fmt: skip
    section.table("tests", tests.sort_values("p_value"), "Tests of the fractions", rows=15, columns=columns)


def say_composition(found: Composition) -> str:
    """Which types change their fraction, in a sentence without its full stop."""
    if "ltsr" in found.table:
        types = count(found.table["cell_type"].nunique(), "cell type")
        return f"{types} modelled; LTSR, the probability that a change has the sign it seems to have, is no test"

    def say_amount(row: Row) -> str:
        if "fold_change" not in row:
            return f"{row['fraction_young']:.2%} of young donors' cells, {row['fraction_old']:.2%} of old donors'"
        return (f"×{row['fold_change']:.2g}{say_unit(found.settings)}, {row['fold_change_low']:.2g} to "
                f"{row['fold_change_high']:.2g}")  # fmt: skip

    return say_changes(found.table, found.settings, noun="cell type", label="cell_type", how="in fraction",
                       amount=say_amount)  # fmt: skip


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
    headline=True,
    narrowed_by=("cell_type",),
    verdict=lambda found: say_composition(main_result(found, Composition)),
    parts=METHODS,
    refuses_empty=True,
    in_report=lambda _: {"parts": ("asin",)},
    options=(
        LEVEL, CONTRAST, FORMULA, MIN_DONORS, DROP_CONFOUNDED, MALES_ONLY,
        method_option(*METHODS, default=None, keyword="parts"),
        click.Option(["--min-donor-cells"], type=click.IntRange(1), default=MIN_DONOR_CELLS, show_default=True,
                     help="Of a donor in a protocol, for it to take part; not for mann_whitney."),
        click.Option(["--min-sample-cells"], type=click.IntRange(0), default=MIN_SAMPLE_CELLS, show_default=True,
                     help="For mann_whitney: smaller samples are left out."),
    ),
)  # fmt: skip
