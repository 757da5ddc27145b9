"""Every value of the matrix, in the three files that hold it."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.row_groups import read_scales
from titin.check.dataset import CheckedDataset, numbers_of
from titin.check.findings import Finding, Outcome, Problems
from titin.check.passes import PanelReader, gene_difference
from titin.check.registry import check
from titin.cluster import spread
from titin.dataset import layout
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store, slices
from titin.dataset.transforms import MAX_ULP
from titin.errors import DatasetError

_RESTORE = "restore the file from where it was published, or build the dataset again"
check_each = partial(check, level="full", each=True)
_TINY = 1e-300
_CLOSE = 1e-9  # relative: sums of another order of the same float64 numbers


def _findings(problems: Problems, sorts: Mapping[str, str]) -> list[Finding]:
    """One finding for each sort that was met; the text is given how many there are and what the first is."""
    return [
        Finding(text.format(n=problems[sort].n, first=problems[sort].first), problems[sort].where, _RESTORE)
        for sort, text in sorts.items()
        if sort in problems
    ]


def _read(dataset: CheckedDataset) -> str:
    return f"{dataset.manifest.n_cells:,} cells, {int(dataset.totals.n_genes.sum()):,} values"


@check_each("matrix.tokens", "The genes of every cell exist and ascend.")
def tokens(dataset: CheckedDataset) -> Outcome:
    """Every token of ``expression``."""
    sorts = {
        "lengths": "{n:,} cells have lists of different lengths; the first has {first}",
        "order": "{n:,} cells name their genes in no ascending order; in the first {first}",
        "token": "{n:,} cells name genes that do not exist; the first {first}",
    }
    return Outcome(_findings(dataset.expression.problems, sorts), _read(dataset))


@check_each("matrix.values", "Every stored value is a count of at least 1, or a finite number that is not 0.")
def values(dataset: CheckedDataset) -> Outcome:
    """Every count or value of ``expression``, and how many there are."""
    sorts = {
        "zero": "{n:,} cells store zeros; the first {first}",
        "value": "{n:,} values are not finite, or negative; the first is {first}",
    }
    found = _findings(dataset.expression.problems, sorts)
    n = int(dataset.totals.n_genes.sum())
    if n != dataset.manifest.nnz:
        said = f"{n:,} values are stored, {layout.MANIFEST} says {dataset.manifest.nnz:,}"
        found.append(Finding(said, dataset.layout.expression, _RESTORE))
    return Outcome(found, _read(dataset), dataset.totals.facts)


@check_each("matrix.levels", "Every exact value is what its count gives, to a few units in the last place.")
def levels(dataset: CheckedDataset) -> Outcome:
    """Every level of a matrix whose counts were recovered."""
    if not dataset.manifest.value_kind.has_levels:
        return Outcome(skipped=f"the matrix is of kind {dataset.manifest.kind}")
    sorts = {
        "level number": "{n:,} cells have another number of levels than of distinct counts; the first has {first}",
        "level order": "{n:,} cells have levels that do not ascend; the first has {first}",
        "level value": "{n:,} cells have levels that are not finite and positive; the first has {first}",
        "level distance": f"{{n:,}} cells have levels further than {MAX_ULP:g} units in the last place (float32) from "
        f"{dataset.manifest.value_kind.formula}; the first is off by {{first}}",
    }
    found = _findings(dataset.expression.problems, sorts)
    worst = round(dataset.expression.worst_ulp, 3)
    known = dataset.manifest.recovery.get("worst_ulp")
    if not found and known is not None and worst > known + 0.001:
        said = f"the greatest distance is {worst} units in the last place, {layout.MANIFEST} says {known}"
        found.append(Finding(said, dataset.layout.expression, _RESTORE))
    if wrong := _total_problem(dataset):
        found.append(Finding(wrong, layout.MANIFEST, _RESTORE))
    return Outcome(found, _read(dataset), {"worst_ulp": worst})


def _total_problem(dataset: CheckedDataset) -> str | None:
    """Say why the column that recovery names is not the total that cells are divided by, as the explorer takes it."""
    recovery = dataset.manifest.recovery
    name, share = recovery.get("target_column"), recovery.get("target_sum")
    if not name:
        return None
    stated = dataset.obs[name] if share and name in dataset.obs else pd.Series(dtype=object)
    if not pd.api.types.is_numeric_dtype(stated.dtype):
        return f"recovery.target_column is {name!r}, no column of totals"
    total, scales, full = numbers_of(stated), read_scales(dataset.atlas.store), dataset.totals.n_genes > 0
    n, first = 0, 0
    for rows in slices(len(full)):
        own = np.flatnonzero(full[rows])
        close = np.isclose(total[rows][own].astype(float), share * scales[rows][own].astype(float), 1e-6, 0)
        if not close.all():
            n, first = n + int((~close).sum()), first if n else rows.start + int(own[~close][0])
    if not n:
        return None
    said = f"recovery.target_column is {name!r}, which is not the total of {n:,} cells"
    return f"{said}, the first {dataset.cell_name(first)}"


@check_each("matrix.by_gene", "The cells of every gene exist and ascend, and their counts are at least 1.")
def by_gene(dataset: CheckedDataset) -> Outcome:
    """Every cell and count of ``expression_by_gene``, and its ``n_cells``."""
    sorts = {
        "lengths": "{n:,} genes have lists of different lengths; the first has {first}",
        "order": "{n:,} genes have {first}",
        "cell": "{n:,} genes name {first}",
        "zero": "{n:,} genes have {first}",
        "value": "{n:,} values are not finite; the first is {first}",
    }
    own = dataset.by_gene
    found = _findings(own.problems, sorts)
    stated = dataset.atlas.store.column(dataset.layout.expression_by_gene, layout.N_CELLS).to_numpy()
    wrong = np.flatnonzero(stated != own.lengths)
    if len(wrong):
        row = int(wrong[0])
        said = f"{len(wrong):,} genes list another number of cells than n_cells says; the first {own.lengths[row]:,}, "
        where = f"{dataset.layout.expression_by_gene}, column {layout.N_CELLS}, row {row:,}"
        found.append(Finding(said + f"not {stated[row]:,}", where, _RESTORE))
    return Outcome(found, f"{len(own.lengths):,} genes, {own.n_values:,} values")


@check_each("matrix.pages", "The page index of expression_by_gene is that of its pages.")
def pages(dataset: CheckedDataset) -> Outcome:
    """Every page of its tokens, cells and counts, by which single genes are found."""
    store = dataset.atlas.store
    groups = store.row_groups(dataset.layout.expression_by_gene)
    columns = [layout.CELLS, dataset.manifest.value_kind.entries]
    try:
        cluster = dataset.resources.cluster
        n_pages = sum(spread(_check_pages, (store, columns), groups, dataset.threads, cluster))
    except DatasetError as error:
        return Outcome([Finding(str(error.args[0]), dataset.layout.expression_by_gene, _RESTORE)])
    return Outcome([], f"{n_pages:,} pages of {len(groups):,} row groups", {"pages": n_pages})


def _check_pages(store: Store, columns: list[str], group: RowGroup) -> int:
    return store.check_page_index(group, columns)


@check_each("matrix.transpose", "expression_by_gene is exactly the transpose of expression.")
def transpose(dataset: CheckedDataset) -> Outcome:
    """128-bit digests of every (cell, gene, count), gene by gene, from both files; on a difference that gene again."""
    ours, theirs = dataset.expression.gene_digests, dataset.by_gene.digests
    found = []
    if len(ours) != len(theirs):
        said = f"{len(theirs):,} genes for the {len(ours):,} of {dataset.layout.expression}"
        found.append(Finding(said, dataset.layout.expression_by_gene, _RESTORE))
    n = min(len(ours), len(theirs))
    wrong = np.flatnonzero((ours[:n] != theirs[:n]).any(axis=1))
    if len(wrong):
        token = int(wrong[0])
        name = dataset.genes[layout.GENE].iloc[token]
        said = f"{len(wrong):,} genes differ from {dataset.layout.expression}; of {name}, "
        where = f"{dataset.layout.expression_by_gene}, gene {name} (row {token:,})"
        found.append(
            Finding(said + gene_difference(dataset.atlas.store, token, threads=dataset.threads), where, _RESTORE)
        )
    read = f"{len(theirs):,} genes, {dataset.by_gene.n_values:,} values twice"
    return Outcome(found, read, {"digest": _hexadecimal(ours)})


def _hexadecimal(digests: NDArray[np.uint64]) -> str:
    """128 bits for all genes together."""
    with np.errstate(over="ignore"):
        weights = np.arange(1, len(digests) + 1, dtype=np.uint64) * np.uint64(2) - np.uint64(1)
        return "".join(f"{int((digests[:, k] * weights).sum(dtype=np.uint64)):016x}" for k in (0, 1))


@check("matrix.panel", "The panel holds the values of expression, every one, and nothing is missing.", level="full")
def panel(dataset: CheckedDataset) -> Outcome:
    """Every value of ``expression_panel``, zeros included."""
    reader = PanelReader(dataset.atlas.store, dataset.genes)
    found = _findings(dataset.expression.problems, {"panel": "{n:,} values differ; the first is {first}"})
    listed = dataset.manifest.panel.get("genes", {})
    strange = [name for name in reader.names if name not in listed] + [g for g in listed if g not in reader.names]
    if strange:
        said = f"{len(strange):,} genes are in the panel or in {layout.MANIFEST} only; the first is {strange[0]}"
        found.append(Finding(said, f"{dataset.layout.expression_panel}, column {strange[0]}", _RESTORE))
    if reader.n_rows != dataset.manifest.n_cells:
        said = f"{reader.n_rows:,} rows for {dataset.manifest.n_cells:,} cells"
        found.append(Finding(said, dataset.layout.expression_panel, _RESTORE))
    return Outcome(found, f"{reader.n_rows:,} cells, {len(reader.names):,} genes")


@check_each("matrix.statistics", "n_cells, n_counts, mean and variance of every gene are those of its values.")
def statistics(dataset: CheckedDataset) -> Outcome:
    """``feature_metadata`` against sums over every value."""
    if dataset.layout.detection != dataset.layout.feature_metadata:
        return Outcome(skipped="the genes' table is of X")
    genes, totals, n = dataset.genes, dataset.totals, dataset.manifest.n_cells
    columns = genes[layout.SOURCE_COLUMN].to_numpy()
    mean = totals.gene_sums / n
    variance = np.maximum(totals.gene_squares - n * mean * mean, 0.0) / max(n - 1, 1)
    # what cancels in the variance is as large as the squares are
    slack = _CLOSE * (totals.gene_squares / max(n - 1, 1))
    expected: dict[str, tuple[NDArray, NDArray | float]] = {
        layout.N_CELLS: (totals.gene_n_cells, 0.0),
        layout.MEAN: (mean, _CLOSE * np.abs(mean) + _TINY),
        layout.VARIANCE: (variance, slack + _TINY),
    }
    if dataset.manifest.value_kind.has_counts:
        expected[layout.N_COUNTS] = (totals.gene_n_counts, 0.0)
    elif not np.isfinite(totals.gene_sums).all():
        return Outcome(skipped="some values are not finite")
    if dataset.manifest.settings.get("allow_negative"):  # sums of both signs cancel too
        expected[layout.MEAN] = (mean, _CLOSE * np.sqrt(totals.gene_squares / n) + _TINY)
    found = list(_statistic_differences(dataset, columns, expected))
    return Outcome(found, f"{len(genes):,} genes, {len(expected):,} statistics")


def _statistic_differences(
    dataset: CheckedDataset, columns: NDArray[np.int64], expected: Mapping[str, tuple[NDArray, NDArray | float]]
) -> Iterator[Finding]:
    for name, (values, slack) in expected.items():
        stated = dataset.genes[name].to_numpy()
        own = values[columns]
        allowed = slack[columns] if isinstance(slack, np.ndarray) else slack
        wrong = np.flatnonzero(~(np.abs(stated - own) <= allowed))
        if len(wrong):
            row = int(wrong[0])
            gene = dataset.genes[layout.GENE].iloc[row]
            said = f"{len(wrong):,} genes have another {name} than their values give; {gene} has {stated[row]}, not "
            where = f"{dataset.layout.feature_metadata}, column {name}, gene {gene} (row {row:,})"
            yield Finding(said + str(own[row]), where, _RESTORE)
