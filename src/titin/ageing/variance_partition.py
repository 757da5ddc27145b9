"""How much of each gene's variance goes with type, protocol, chemistry, age, sex and donor: sums of squares in turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.analysis import LEVEL, Analysis, Findings, Inputs, main_result
from titin.ageing.analysis import MIN_CELLS as MIN_CELLS_OPTION
from titin.ageing.linear_models import Floats
from titin.ageing.normalization import log_counts, normalization_factors
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.plot import variance_parts
from titin.progress import Progress
from titin.results import Result
from titin.section import Section
from titin.study.design import AGE, choose_level

MIN_CELLS = 10
MIN_LOG_CPM = 5.0
TERMS = ("cell type", "protocol", "chemistry", "sex", "age", "donor", "cell type × age")
METHOD = (
    "sequential sums of squares of log2 counts per million of donors' types, in the order of the terms, each less what "
    "as many random columns would take (epsilon squared)"
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class VariancePartition(Result):
    """Parts of the genes' variance.

    Attributes
    ----------
    table
        One row a gene: ``gene``, ``gene_id``, ``mean_log_cpm``, a share (0 … 1) a term, ``residual``.
    terms
        Their degrees of freedom.
    n_units, n_donors
        Types of donors, and donors, that the variance is over.
    left_out
        Terms that could not be told, with the reason.
    order
        Terms by falling mean share.
    summary
        The same in words.
    """

    terms: dict[str, int]
    n_units: int
    n_donors: int
    left_out: dict[str, str]
    order: list[str]
    summary: str


def variance_partition(
    data: Pseudobulk | Atlas,
    *,
    cell_type_level: int | str | None = None,
    min_cells: int = MIN_CELLS,
    min_log_cpm: float = MIN_LOG_CPM,
    threads: int | None = None,
    progress: Progress | None = None,
) -> VariancePartition:
    """Part the variance of every gene, over the types of donors.

    The terms enter one after the other: cell type, protocol, chemistry, sex, age, donor (what donors differ by beyond
    their sex and age), and a slope with age for each type. What two terms share goes to the earlier one. A term's share
    is its sum of squares less its degrees of freedom times the residual variance, over the total; negative shares are
    set to 0, so that the shares of a gene need not add up to one.

    Parameters
    ----------
    data
        A pseudobulk, or a dataset to take it from.
    cell_type_level
        Name of the level, or its place; the coarsest where not given.
    min_cells
        Groups of fewer cells are left out.
    min_log_cpm
        Genes with a lower mean of log2 counts per million are left out.
    threads, progress
        For the pseudobulk.

    Raises
    ------
    TitinError
        If the dataset lacks counts, donors or types, or there are too few of them.
    """
    found = data if isinstance(data, Pseudobulk) else pseudobulk(data, threads=threads, progress=progress)
    level = choose_level(found.levels, cell_type_level)
    if "donor" not in found.groups:
        raise TitinError("there are no donors: variance is parted over donors", "take the pseudobulk of all donors")
    keys = [k for k in (level, "donor", "protocol", "chemistry") if k in found.groups and found.groups[k].notna().any()]
    units = found.aggregate(keys)
    units = units.select((units.groups[layout.N_CELLS] >= min_cells).to_numpy())
    n_donors = units.groups["donor"].nunique()
    if n_donors < 3 or len(units) < 12:
        few = f"{len(units)} types of {n_donors} donors have {min_cells} cells or more"
        raise TitinError(f"{few}: too few to part variance", "lower min_cells")
    values, kept = _log_values(units, min_log_cpm)
    blocks, left_out = _blocks(units.groups, level)
    shares, df = _shares(values, blocks)
    table = pd.DataFrame({
        "gene": units.genes["gene"].to_numpy()[kept], "gene_id": units.genes["gene_id"].to_numpy()[kept],
        "mean_log_cpm": values.mean(axis=1), **shares,
    })  # fmt: skip
    mean = {term: float(table[term].mean()) for term in df}
    order = sorted(mean, key=lambda term: -mean[term])
    said = " > ".join(f"{term} {mean[term]:.1%}" for term in order)
    return VariancePartition(
        table, terms=df, n_units=len(units), n_donors=int(n_donors), left_out=left_out, order=order,
        summary=f"{said}; residual {table['residual'].mean():.1%}",
        settings={"method": METHOD, "cell_type_level": level, "min_cells": min_cells, "min_log_cpm": min_log_cpm},
    )  # fmt: skip


def _log_values(units: Pseudobulk, least: float) -> tuple[Floats, NDArray[np.int64]]:
    counts = units.counts.toarray().astype(np.float64)
    common = counts.sum(axis=0) > 0
    library = counts.sum(axis=1) * normalization_factors(counts[:, common])
    values = log_counts(counts, library)
    kept = np.flatnonzero(values.mean(axis=1) >= least)
    if not len(kept):
        raise TitinError("no gene is expressed enough to part its variance", "lower min_log_cpm")
    return values[kept], kept


def _blocks(groups: pd.DataFrame, level: str) -> tuple[dict[str, Floats], dict[str, str]]:
    """Columns of each term; and terms that cannot be told, with the reason."""
    columns = {"cell type": level, "protocol": "protocol", "chemistry": "chemistry", "sex": "sex", "donor": "donor"}
    ages = groups[AGE] if AGE in groups and groups[AGE].notna().any() else None
    blocks: dict[str, Floats] = {}
    left_out: dict[str, str] = {}
    for term in TERMS:
        if term in columns:
            name = columns[term]
            if name not in groups or groups[name].nunique(dropna=False) < 2:
                left_out[term] = "not known" if name not in groups else "one value only"
                continue
            blocks[term] = pd.get_dummies(groups[name].fillna("unknown")).to_numpy(np.float64)
        elif ages is None:
            left_out[term] = "ages are not known"
        else:
            years = ages.fillna(ages.mean()).to_numpy(np.float64)[:, None]
            blocks[term] = years if term == "age" else pd.get_dummies(groups[level]).to_numpy(np.float64) * (
                years - years.mean()
            )  # fmt: skip
    return blocks, left_out


def _shares(values: Floats, blocks: dict[str, Floats]) -> tuple[dict[str, Floats], dict[str, int]]:
    n = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    total = (centred**2).sum(axis=1)
    known = np.full((n, 1), 1 / np.sqrt(n))
    sums: dict[str, Floats] = {}
    df: dict[str, int] = {}
    for term, columns in blocks.items():
        basis = _beyond(columns, known)
        df[term] = basis.shape[1]
        sums[term] = ((centred @ basis) ** 2).sum(axis=1)
        known = np.column_stack([known, basis])
    residual_df = n - known.shape[1]
    if residual_df < 2:
        raise TitinError(f"{n} types of donors are too few for {known.shape[1]} columns", "lower min_cells")
    residual: Any = np.maximum(total - sum(sums.values()), 0)
    noise = residual / residual_df
    safe = np.where(total > 0, total, 1)
    shares = {term: np.maximum(own - df[term] * noise, 0) / safe for term, own in sums.items()}
    return {**shares, "residual": noise * (n - 1) / safe}, df


def _beyond(columns: Floats, known: Floats) -> Floats:
    """Orthonormal basis of what columns span beyond what is known."""
    rest = columns - columns.mean(axis=0)
    rest = rest / np.maximum(np.linalg.norm(rest, axis=0), 1e-300)
    for _ in range(2):
        rest = rest - known @ (known.T @ rest)
    left, singular, _ = np.linalg.svd(rest, full_matrices=False)
    basis: Floats = left[:, singular > 1e-8]
    return basis


def summarise(parts: VariancePartition, terms: Sequence[str] = (*TERMS, "residual")) -> pd.DataFrame:
    """One row a term: ``mean``, ``median`` and upper quartile (``upper``) of its share over the genes, falling."""
    table = parts.table
    known = [term for term in terms if term in table]
    rows = [{"term": t, "mean": table[t].mean(), "median": table[t].median(), "upper": table[t].quantile(0.75)}
            for t in known]  # fmt: skip
    return pd.DataFrame(rows).sort_values("mean", ascending=False, ignore_index=True)


def _run(inputs: Inputs, **options: Any) -> Findings:
    return Findings({"": variance_partition(inputs.pseudobulk(), **options)})


def _show(section: Section, findings: Findings, inputs: Inputs) -> None:  # noqa: ARG001
    """Add the parts of the genes' variance."""
    found = main_result(findings, VariancePartition)
    table, terms = found.table, summarise(found)["term"].tolist()
    axes = variance_parts(table, terms=[*(t for t in terms if t != "residual"), "residual"])
    title = f"Variance of {len(table):,} genes over {found.n_units} types of donors"
    section.figure("shares", axes, title, table.drop(columns=["gene_id"]))
    section.say(f"{found.summary}. {METHOD.capitalize()}.")
    section.list([f"{term}: {reason}" for term, reason in found.left_out.items()], title="Left out", folded=True)
    section.facts |= {"order": found.order, "mean": {t: float(np.mean(table[t])) for t in terms}}


VARIANCE = Analysis(
    name="variance",
    title="Where the variance lies",
    summary="How much of each gene's variance goes with type, protocol, chemistry, sex, age and donor.",
    help="""Part the variance of every gene of DATASET between type, protocol, chemistry, sex, age and donor.""",
    needs=("donor", "cell_type", "counts"),
    result=VariancePartition,
    run=_run,
    show=_show,
    statements=lambda found: [main_result(found, VariancePartition).summary],
    options=(LEVEL, MIN_CELLS_OPTION),
)
