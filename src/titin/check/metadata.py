"""Quality columns of obs beside what the matrix gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.check.dataset import CheckedDataset, numbers_of
from titin.check.findings import Finding, Outcome, Severity
from titin.check.registry import check
from titin.dataset import layout
from titin.dataset.store import slices
from titin.study.combinations import Combinations
from titin.study.roles import role_columns
from titin.text import say_first

# names that the columns go by, in lower case: upstream's, scanpy's, Seurat's
QUALITY: dict[str, frozenset[str]] = {
    "genes": frozenset({"n_genes", "n_genes_by_counts", "nfeature_rna", "ngene", "ngenes", "genes_detected"}),
    "counts": frozenset({"n_counts", "total_counts", "ncount_rna", "numi", "n_umi", "n_umis", "total_umis"}),
    "percent": frozenset({"percent_mito", "pct_counts_mt", "percent.mt", "percent_mt", "mt_frac", "percent.mito"}),
}
_NAMED = 5  # labels or symbols in a sentence
_SLACK = {"genes": 1e-6, "counts": 1e-5, "percent": 1e-4}  # relative: stored as float32, or summed in it


@dataclass(frozen=True)
class QualityComparison:
    """How a column compares.

    Attributes
    ----------
    share
        Of cells that are equal.
    message, hint, row, severity
        What to say where they are not all.
    """

    share: float
    message: str = ""
    hint: str = ""
    row: int | None = None
    severity: Severity | None = None


def compare_quality(stated: NDArray[Any], actual: NDArray[Any], name: str, measure: str) -> QualityComparison:
    """Compare a column with what the matrix gives.

    A column that differs in most cells was taken from other counts (before genes or cells were removed, say), which is
    noted; one that differs in a few is wrong for these.

    Parameters
    ----------
    stated, actual
        Numbers, one a cell; a share may be stated as 0 … 1 where ``actual`` has 0 … 100.
    name, measure
        Of the column, and a key of `QUALITY`.
    """
    known = np.isfinite(stated) & np.isfinite(actual)
    total = int(known.sum())
    if not total:
        return QualityComparison(0.0, f"no cell has a {name} to compare", severity="note")
    hundredth = measure == "percent" and _median(stated, known) * 10 < _median(actual, known)

    def read(rows: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return stated[rows].astype(np.float64) * (100 if hundredth else 1), actual[rows].astype(np.float64)

    differ = np.zeros(len(known), bool)
    for rows in slices(len(known)):
        said, gives = read(rows)
        differ[rows] = known[rows] & ~(np.abs(said - gives) <= _SLACK[measure] * np.maximum(np.abs(gives), 1.0))
    n = int(differ.sum())
    share = 1 - n / total
    if not n:
        return QualityComparison(1.0)
    row = int(np.argmax(differ))
    (own,), (its,) = read([row])
    first = f"the first has {own:g}, its values give {its:g}"
    if 2 * n > total:

        def parts() -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
            return (read(rows.start + np.flatnonzero(known[rows])) for rows in slices(len(known)))

        higher, correlation = sum(int((said > gives).sum()) for said, gives in parts()), _correlation(parts)
        alike = f"; correlation {correlation:.3f}" if np.isfinite(correlation) else ""
        told = f"{n:,} of {total:,} cells have another {name} than their values give ({higher:,} a higher one"
        told += f"{alike}): it was taken from other counts, as before genes were removed"
        return QualityComparison(share, told, "recompute it before using it beside these counts", None, "note")
    return QualityComparison(share, f"{n:,} of {total:,} cells have another {name} than their values give; {first}",
                   "recompute it in the source", row)  # fmt: skip


def _median(values: NDArray[Any], known: NDArray[np.bool_]) -> float:
    return float(np.median(values[known].astype(np.float64, copy=False), overwrite_input=True))


def _correlation(parts: Callable[[], Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]]) -> float:
    """Pearson's correlation of pairs that come in parts, twice; NaN where one side does not vary."""
    sums = np.sum([(len(one), one.sum(), other.sum()) for one, other in parts()], axis=0)
    means = sums[1:] / sums[0]
    products = np.zeros(3)
    for one, other in parts():
        a, b = one - means[0], other - means[1]
        products += a @ a, b @ b, a @ b
    if sums[0] < 2 or not products[0] * products[1] > 0:
        return float("nan")
    return float(products[2] / np.sqrt(products[0] * products[1]))


_NESTED = 0.05  # share of cells beyond which two columns of labels are no levels of one hierarchy


def _place(dataset: CheckedDataset, column: Any) -> str:
    return f"{dataset.layout.sample_metadata}, column {column}"


@check("metadata.roles", "Cell type, donor, age and sex are known, each from a column of obs.", severity="note")
def roles(dataset: CheckedDataset) -> Outcome:
    """Which roles have a column."""
    found = []
    for role in layout.ROLES:
        reason = dataset.missing(role)
        if reason and (role != "study" or dataset.roles.get(role)):  # most datasets are of one study
            hint = f"name it when building: --{role.replace('_', '-')} COLUMN"
            wrong = "obs has no column" in reason
            found.append(Finding(reason, layout.MANIFEST, hint, "error" if wrong else None))
    known = {role: column for role, column in dataset.roles.items() if column}
    return Outcome(found, f"{len(known)} of {len(layout.ROLES)} roles", {"roles": known})


@check("metadata.donors", "Every donor has one sex and one age.", needs=["donor"])
def donors(dataset: CheckedDataset) -> Outcome:
    """Sex (error) and age (warning: donors may be sampled twice) of every donor's cells."""
    study = dataset.study
    donor = study.values("donor")
    found = []
    severities: dict[str, Severity | None] = {"sex": None, "age": "warning"}
    for role, severity in severities.items():
        if dataset.missing(role):
            continue
        found += list(_several(dataset, donor, study.values(role), severity))
    for name, origin in dataset.manifest.derived.items():
        if origin.get("from") == "donors":
            told = dataset.derived[name].set_axis(donor.index)
            found += list(_several(dataset, donor, told, None))
    n = int(donor.nunique())
    return Outcome(found, f"{len(donor):,} cells of {n:,} donors", {"donors": n})


def _several(
    dataset: CheckedDataset, donor: pd.Series, column: pd.Series, severity: Severity | None
) -> Iterator[Finding]:
    """One finding for each donor with several entries in a column."""
    alike = Combinations.of([donor, column], len(donor))
    pairs = alike.table({"donor": donor, "value": column}).astype(object).assign(count=alike.n_cells).dropna()
    counts = pairs.groupby(["donor", "value"], sort=True)["count"].sum().reset_index()
    for name, own in counts.groupby("donor", sort=True):
        if len(own) > 1:
            said = ", ".join(f"{v!r} ({n:,} cells)" for v, n in zip(own["value"], own["count"], strict=True))
            hint = "correct the source; of several visits, keep one donor a person and build with --sample COLUMN"
            yield Finding(f"donor {name} has several entries: {said}", _place(dataset, column.name), hint, severity)


def _crossed(one: pd.Series, other: pd.Series) -> pd.DataFrame:
    """Cells by the texts of two columns, of which labels are made into text once each and not once a cell."""
    alike = Combinations.of([_labels(one), _labels(other)], len(one))
    rows, columns = (_texts(column.iloc[alike.rows]) for column in (one, other))
    table = pd.crosstab(rows, columns, alike.n_cells, aggfunc="sum")
    return table.fillna(0).astype(np.int64)


def _labels(column: pd.Series) -> pd.Series:
    """Labels as they are, of all else the texts: what is missing may be so in several ways."""
    return column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype(str)


def _texts(column: pd.Series) -> NDArray[np.object_]:
    plain = column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column
    return plain.astype(str).to_numpy(object)


@check("metadata.hierarchy", "Finer labels lie within one coarser label each.", severity="warning", needs=["cell_type"])
def hierarchy(dataset: CheckedDataset) -> Outcome:
    """For every two columns of labels, cells whose coarser label is not that of most cells with their finer one."""
    columns = dataset.roles["cell_type"]
    if len(columns) < 2:
        return Outcome(skipped="one column of labels only")
    found = []
    facts = {}
    for one, other in combinations(columns, 2):
        coarse, fine = sorted((one, other), key=lambda c: dataset.obs[c].nunique())
        table = _crossed(dataset.obs[fine], dataset.obs[coarse])
        inside = table.max(axis=1)
        outside = table.sum(axis=1) - inside
        n, total = int(outside.sum()), int(table.to_numpy().sum())
        facts[f"{coarse} / {fine}"] = n
        if not n:
            continue
        worst = str(outside.idxmax())
        parents = ", ".join(f"{name} ({k:,})" for name, k in sorted(table.loc[worst].items(), key=lambda i: -i[1]) if k)
        names = ", ".join(map(str, outside[outside > 0].index[:_NAMED]))
        said = f"{n:,} of {total:,} cells have another {coarse} than most cells with their {fine} ({names}); "
        said += f"{worst} is in {parents}"
        nested = n <= _NESTED * total
        hint = "labels of these cells contradict each other" if nested else "the columns are no levels of one hierarchy"
        found.append(Finding(said, _place(dataset, fine), hint, None if nested else "note"))
    return Outcome(found, f"{len(columns)} columns of labels of {len(dataset.obs):,} cells", {"outside": facts})


@check("metadata.categories", "Every category has cells, and more than one.", severity="note")
def categories(dataset: CheckedDataset) -> Outcome:
    """Categories of one cell, and unused ones, of every column of labels; names beyond a thousand are no labels."""
    found = []
    n = 0
    of_roles = role_columns(dataset.roles)
    for name in dataset.obs.columns:
        if not dataset.obs.is_category(name):
            continue
        column = dataset.obs[name]
        if not isinstance(column.dtype, pd.CategoricalDtype) or len(column.cat.categories) > 1000:
            continue
        n += 1
        counts = column.value_counts(sort=False)
        single, unused = counts[counts == 1].index, counts[counts == 0].index
        if len(single):
            said = f"{len(single):,} categories have one cell: {say_first(single, _NAMED)}"
            hint = "nothing can be learnt of them, or split"
            found.append(Finding(said, _place(dataset, name), hint, "warning" if name in of_roles else None))
        if len(unused):
            said = f"{len(unused):,} categories have no cell: {say_first(unused, _NAMED)}"
            found.append(Finding(said, _place(dataset, name), "remove_unused_categories() before building"))
    return Outcome(found, f"{n:,} columns of labels")


@check("metadata.missing", "No label is missing.", severity="warning")
def missing(dataset: CheckedDataset) -> Outcome:
    """Missing entries of every column; of columns without a role they are notes."""
    labels = set(dataset.manifest.obs.get("labels", [])) - set(dataset.manifest.derived)
    stored = {record["name"]: record["column"] for record in dataset.manifest.obs["columns"][1:]}
    found = []
    for name in stored:
        absent, first = 0, 0
        for column in dataset.obs.ranges(name):
            missing_here = column.index[column.isna()]
            if len(missing_here):
                absent, first = absent + len(missing_here), first if absent else int(missing_here[0])
        if absent:
            said = f"{absent:,} of {len(dataset.obs):,} cells have no {name}"
            where = f"{_place(dataset, name)}, row {first:,}"
            found.append(Finding(said, where, None, None if stored[name] in labels else "note"))
    return Outcome(found, f"{len(stored):,} columns of {len(dataset.obs):,} cells")


@check("metadata.quality", "Genes, counts and mitochondrial share of a cell are what obs says.", severity="warning",
       level="full")  # fmt: skip
def quality(dataset: CheckedDataset) -> Outcome:
    """``n_genes``, ``n_counts``, ``percent_mito`` and what else they go by, recomputed from the matrix."""
    found = []
    facts: dict[str, Any] = {}
    for measure, names in QUALITY.items():
        actual = _recomputed(dataset, measure)
        for name in dataset.obs.columns:
            if actual is None or str(name).lower() not in names:
                continue
            stated = dataset.obs[name]
            if not pd.api.types.is_numeric_dtype(stated.dtype):
                continue
            result = compare_quality(numbers_of(stated), actual, str(name), measure)
            facts[str(name)] = result.share
            if result.message:
                where = _place(dataset, name) + (f", row {result.row:,}" if result.row is not None else "")
                found.append(Finding(result.message, where, result.hint, result.severity))
    if not facts:
        return Outcome(skipped="obs has no column of genes, counts or mitochondrial share")
    return Outcome(found, f"{len(facts)} columns of {len(dataset.obs):,} cells", {"share_equal": facts})


def _recomputed(dataset: CheckedDataset, measure: str) -> NDArray[Any] | None:
    totals = dataset.totals
    if measure == "genes":
        return totals.n_genes
    if not dataset.manifest.value_kind.has_counts:
        return None
    if measure == "counts":
        return totals.n_counts
    return totals.percent_mito if totals.mitochondrial.any() else None  # genes may have been removed, or go by ids


@check("metadata.symbols", "Every gene has a symbol of its own.", severity="note")
def symbols(dataset: CheckedDataset) -> Outcome:
    """Repeated and empty symbols."""
    genes = dataset.genes
    column = genes[layout.GENE]
    found = []
    where = f"{dataset.layout.feature_metadata}, column {layout.GENE}"
    counts = column.value_counts()
    again = sorted(counts[counts > 1].index)
    if again:
        said = f"{len(again):,} symbols name several genes: {say_first(again, _NAMED)}"
        found.append(Finding(said, where, "ask for them by id"))
    empty = np.flatnonzero((column.isna() | (column == "")).to_numpy())
    if len(empty):
        said = f"{len(empty):,} genes have no symbol"
        found.append(Finding(said, f"{where}, row {int(empty[0]):,}", severity="warning"))
    facts = {"repeated": len(again), "mitochondrial": int(column.str.upper().str.startswith("MT-").sum())}
    return Outcome(found, f"{len(genes):,} genes", facts)
