"""How much of each gene's variance goes with type, protocol, chemistry, age, sex and donor: a mixed model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.analysis import Analysis, Findings, Inputs, main_result
from titin.ageing.comparison import OverDonors, left_out
from titin.ageing.linear_models import Floats
from titin.ageing.normalization import log_counts, normalization_factors
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk
from titin.analysis_options import LEVEL
from titin.analysis_options import MIN_CELLS as MIN_CELLS_OPTION
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.plot import variance_parts
from titin.progress import Progress
from titin.section import Section
from titin.study.design import AGE, ROLES, choose_level, need
from titin.study.gaps import find_complete, say_left_out

MIN_CELLS = 10
MIN_LOG_CPM = 5.0
FIXED = ("cell type", "protocol", "chemistry", "sex", "age", "cell type × age")
RANDOM = ("donor", "sample", "cell type × donor")
TERMS = (*FIXED, *RANDOM)
METHOD = (
    "mixed model of log2 counts per million of donors' types, by moments (Henderson's third method): each sum of "
    "squares, in the order of the terms, less what donors, samples and noise alone would give it; not cut off at zero"
)
_MIN_RESIDUAL_DF = 2


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class VariancePartition(OverDonors):
    """Parts of the genes' variance.

    Attributes
    ----------
    table
        One row a gene: ``gene``, ``gene_id``, ``mean_log_cpm``, a share a term, ``residual``. The shares of a gene add
        up to one; where a term does nothing, its share is around zero, and of a half of the genes below it.
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

    Cell type, protocol, chemistry, sex, age, and a slope with age for each type are fixed; what donors differ by beyond
    their sex and age, what samples (a donor's protocol and chemistry) differ by beyond donors, and what the types of a
    donor differ by beyond both, are random. Fixed terms enter one after the other, and what two of them share goes to
    the earlier one. Of a fixed term's sum of squares that is taken off which the random terms are expected to give it:
    what age alone explains is compared with what any other order of the donors would.

    Nothing is cut off at zero: of a gene a share is an estimate with an error of its own, and to cut off the negative
    ones would make something out of nothing in the mean over genes.

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

    Notes
    -----
    Henderson, Biometrics 9, 226 (1953), method 3; Searle, Casella & McCulloch, Variance Components (1992), ch. 5.
    """
    found = data if isinstance(data, Pseudobulk) else pseudobulk(data, threads=threads, progress=progress)
    level = choose_level(found.levels, cell_type_level)
    need([str(name) for name in found.groups], "donor", "variance is parted over donors")
    known = [name for name in found.groups if found.groups[name].notna().any()]
    needed = [name for name in ("donor", level, *ROLES, AGE) if name in known and name != "sample"]
    complete = find_complete(found.groups, needed)
    found = found.select(complete.rows)
    keys = [name for name in (level, "donor", "protocol", "chemistry") if name in needed]
    units = found.aggregate(keys)
    units = units.select((units.groups[layout.N_CELLS] >= min_cells).to_numpy())
    n_donors = units.groups["donor"].nunique()
    if n_donors < 3 or len(units) < 12:
        few = f"{len(units)} types of {n_donors} donors have {min_cells} cells or more"
        why = "".join(f" ({said})" for said in say_left_out(complete.cells_left_out, complete.donors_left_out))
        raise TitinError(f"{few}{why}: too few to part variance", "see --min-cells")
    values, kept = _log_values(units, min_log_cpm)
    fixed, absent = _fixed_terms(units.groups, level)
    random = _random_terms(units.groups, level)
    shares, df = _shares(values, fixed, random, absent)
    table = pd.DataFrame({
        "gene": units.genes["gene"].to_numpy()[kept], "gene_id": units.genes["gene_id"].to_numpy()[kept],
        "mean_log_cpm": values.mean(axis=1), **shares,
    })  # fmt: skip
    mean = {term: float(table[term].mean()) for term in df}
    order = sorted(mean, key=lambda term: -mean[term])
    said = " > ".join(f"{term} {round(mean[term], 3) + 0.0:.1%}" for term in order)
    return VariancePartition(
        table, terms=df, n_units=len(units), n_donors=int(n_donors), left_out=absent, order=order,
        summary=f"{said}; residual {table['residual'].mean():.1%}",
        settings={"method": METHOD, "cell_type_level": level, "min_cells": min_cells, "min_log_cpm": min_log_cpm},
        **left_out(complete),
    )  # fmt: skip


def _log_values(units: Pseudobulk, least: float) -> tuple[Floats, NDArray[np.int64]]:
    counts = units.counts.astype(np.float64).toarray()
    library = counts.sum(axis=1) * normalization_factors(counts)
    values = log_counts(counts, library)
    kept = np.flatnonzero(values.mean(axis=1) >= least)
    if not len(kept):
        raise TitinError("no gene is expressed enough to part its variance", "lower min_log_cpm")
    return values[kept], kept


def _fixed_terms(groups: pd.DataFrame, level: str) -> tuple[dict[str, Floats], dict[str, str]]:
    """Columns of each fixed term; and terms that cannot be told, with the reason."""
    columns = {"cell type": level, "protocol": "protocol", "chemistry": "chemistry", "sex": "sex"}
    ages = groups[AGE] if AGE in groups and groups[AGE].notna().any() else None
    terms: dict[str, Floats] = {}
    absent: dict[str, str] = {}
    for term in FIXED:
        if term in columns:
            name = columns[term]
            if name not in groups or groups[name].nunique() < 2:
                unknown = name not in groups or groups[name].isna().all()
                absent[term] = "not known" if unknown else "one value only"
                continue
            terms[term] = _indicators(groups[name])
        elif ages is None:
            absent[term] = "ages are not known"
        elif ages.nunique() < 2:
            absent[term] = "one value only"
        elif term != "age" and groups[level].nunique() < 2:
            absent[term] = "one cell type only"
        else:
            years = ages.to_numpy(np.float64)[:, None]
            terms[term] = years if term == "age" else _indicators(groups[level]) * (years - years.mean())
    return terms, absent


def _random_terms(groups: pd.DataFrame, level: str) -> dict[str, Floats]:
    """Indicators of donors, of their samples, and of their types."""
    sample = ["donor", *(name for name in ("protocol", "chemistry") if name in groups)]
    keys = {"donor": ["donor"], "sample": sample, "cell type × donor": ["donor", level]}
    return {term: _indicators(groups.groupby(names, dropna=False).ngroup()) for term, names in keys.items()}


def _indicators(labels: pd.Series) -> Floats:
    return pd.get_dummies(labels).to_numpy(np.float64)


def _shares(
    values: Floats, fixed: dict[str, Floats], random: dict[str, Floats], absent: dict[str, str]
) -> tuple[dict[str, Floats], dict[str, int]]:
    """Shares of the terms and of the residual; terms that leave nothing to tell them from are put among ``absent``."""
    n = values.shape[1]
    known = np.full((n, 1), 1 / np.sqrt(n))
    bases: dict[str, Floats] = {}
    for term, columns in {**fixed, **random}.items():
        basis = _beyond(columns, known)
        free = n - known.shape[1] - basis.shape[1]
        if term in random and (basis.shape[1] == 0 or free < _MIN_RESIDUAL_DF):
            absent[term] = "no more of them than of the terms before" if basis.shape[1] == 0 else "one unit of each"
            continue
        bases[term] = basis
        known = np.column_stack([known, basis])
    residual_df = n - known.shape[1]
    if residual_df < _MIN_RESIDUAL_DF:
        raise TitinError(f"{n} types of donors are too few for {known.shape[1]} columns", "lower min_cells")
    centred = values - values.mean(axis=1, keepdims=True)
    total = (centred**2).sum(axis=1)
    sums = {term: ((centred @ basis) ** 2).sum(axis=1) for term, basis in bases.items()}
    # a component of variance of 1 adds this much to a term's expected sum of squares
    adds = {r: {t: float(((basis.T @ random[r]) ** 2).sum()) for t, basis in bases.items()}
            for r in random if r in bases}  # fmt: skip
    df = {term: basis.shape[1] for term, basis in bases.items()}
    components = {"residual": np.maximum(total - sum(sums.values(), np.zeros(len(total))), 0) / residual_df}
    adds["residual"] = {**df, "residual": residual_df}
    for term in [t for t in reversed(bases) if t in random]:  # a later one takes no part in the earlier ones' columns
        components[term] = (sums[term] - _expected(term, components, adds)) / adds[term][term]
    safe = np.where(total > 0, total, 1)
    shares = {term: (sums[term] - _expected(term, components, adds) if term in fixed
                     else components[term] * sum(adds[term].values())) / safe for term in bases}  # fmt: skip
    return {**shares, "residual": components["residual"] * (n - 1) / safe}, df


def _expected(term: str, components: dict[str, Floats], adds: dict[str, dict[str, float]]) -> Floats:
    """Sum of squares that the components known so far give to a term."""
    parts = [component * adds[name][term] for name, component in components.items()]
    return np.sum(parts, axis=0)  # type: ignore[no-any-return]


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
    section.say(f"{METHOD.capitalize()}.")
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
    narrowed_by=("gene",),
    verdict=lambda found: main_result(found, VariancePartition).summary,
    options=(LEVEL, MIN_CELLS_OPTION),
    reads_all=True,
)
