"""Tables computed from the dataset and kept in it: pseudobulk and gene-set scores."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.registry import check
from titin.dataset import layout
from titin.dataset.arrow import list_arrays

_AGAIN = "compute it again: titin age de --save-pseudobulk"


@check("derived.pseudobulk", "The pseudobulk's sums are those of the cells that it is made of.", level="full")
def pseudobulk(dataset: CheckedDataset) -> Outcome:
    """Tokens, counts and detection of every group; their sums by gene against ``feature_metadata``."""
    name, manifest, store = dataset.layout.pseudobulk, dataset.manifest, dataset.atlas.store
    if not any(file.startswith(name.removesuffix(".parquet")) for file in manifest.files):
        return Outcome(skipped="the dataset has no pseudobulk")
    table = store.table(name)
    indptr, tokens = list_arrays(table.column(layout.GENES))
    found = list(_lengths(table, indptr, name))
    if found:
        return Outcome(found)
    if len(tokens) and int(tokens.max()) >= manifest.n_genes:
        return Outcome([Finding(f"it names gene {int(tokens.max()):,} of {manifest.n_genes:,}", name, _AGAIN)])
    n_cells = int(table.column(layout.N_CELLS).to_numpy().sum())
    if n_cells > manifest.n_cells:
        said = f"its groups hold {n_cells:,} cells, the dataset {manifest.n_cells:,}"
        found.append(Finding(said, f"{name}, column {layout.N_CELLS}", _AGAIN))
    genes = store.table(dataset.layout.feature_metadata)
    names = genes.column(layout.GENE).to_pylist()
    for own, total in ((layout.COUNTS, layout.N_COUNTS), (layout.CELLS, layout.N_CELLS)):
        values = list_arrays(table.column(own))[1]
        sums = np.zeros(manifest.n_genes)
        np.add.at(sums, tokens, values)
        wrong = _wrong(sums, genes.column(total).to_numpy(), whole=n_cells == manifest.n_cells)
        if len(wrong):
            at = int(wrong[0])
            known = int(genes.column(total)[at].as_py())
            said = (f"{len(wrong):,} of {manifest.n_genes:,} genes have other sums of {own} than {total} says; the "
                    f"first is {names[at]}: {int(sums[at]):,}, not {known:,}")  # fmt: skip
            found.append(Finding(said, f"{name}, column {own}, gene {names[at]}", _AGAIN))
    return Outcome(found, f"{table.num_rows:,} groups of {n_cells:,} cells, {len(tokens):,} sums")


def _lengths(table: pa.Table, indptr: NDArray[np.int64], name: str) -> list[Finding]:
    """Lists of one group are of one length, and its tokens ascend."""
    for column in (layout.COUNTS, layout.CELLS):
        differ = np.flatnonzero(list_arrays(table.column(column))[0] != indptr)
        if len(differ):
            where = f"{name}, column {column}, row {int(differ[0]) - 1:,}"
            return [Finding(f"a list of {column} is not as long as that of {layout.GENES}", where, _AGAIN)]
    tokens = list_arrays(table.column(layout.GENES))[1].astype(np.int64)
    steps = np.diff(tokens)
    inside = np.ones(len(steps), bool)
    edges = indptr[1:-1]
    inside[edges[(edges > 0) & (edges < len(tokens))] - 1] = False
    bad = np.flatnonzero((steps <= 0) & inside)
    if not len(bad):
        return []
    row = int(np.searchsorted(indptr, bad[0], side="right")) - 1
    return [Finding("its tokens do not ascend", f"{name}, column {layout.GENES}, row {row:,}", _AGAIN)]


def _wrong(sums: NDArray[np.float64], totals: NDArray[np.int64], *, whole: bool) -> NDArray[np.int64]:
    """Genes whose sum is not the total; where groups leave cells out, those whose sum is more."""
    return np.flatnonzero(sums != totals) if whole else np.flatnonzero(sums > totals)


@check("derived.gene_set_scores", "Every gene-set score is a number.", level="full")
def gene_set_scores(dataset: CheckedDataset) -> Outcome:
    """Every score of every cell."""
    name = dataset.layout.gene_set_scores
    if name not in dataset.manifest.files:
        return Outcome(skipped="the dataset has no gene-set scores")
    table = dataset.atlas.store.table(name)
    found = []
    for column in table.column_names[1:]:
        bad = np.flatnonzero(~np.isfinite(table.column(column).to_numpy()))
        if len(bad):
            where = f"{name}, column {column}, row {bad[0]:,}"
            found.append(Finding(f"{len(bad):,} scores are not finite", where, "compute the scores again"))
    return Outcome(found, f"{table.num_columns - 1:,} sets of {table.num_rows:,} cells")
