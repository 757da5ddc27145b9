"""Everything in a dataset compared with the source that it was built from."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.check.comparison import Difference, frame_difference
from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.kernels import digest_rows
from titin.check.passes import value_words
from titin.check.registry import check
from titin.check.source_rows import SourceNames
from titin.check.trees import tree_difference
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.store import slices
from titin.errors import TitinError
from titin.parallel import ordered_map, read_ahead
from titin.source import Matrix, Source
from titin.text import count

check_each = partial(check, needs=["source"], each=True)


def source_digests(dataset: CheckedDataset, matrix: Matrix) -> tuple[NDArray[np.uint64], int]:
    """Digest of each cell (uint64, cells × 2, source order) over (source column, value), and how many values there are.

    Raises
    ------
    SourceError
        If the source cannot be read.
    """
    n_cells, n_genes = matrix.shape
    digests, n_values = dataset.shelf.empty(2 * n_cells, np.uint64)[0].reshape(n_cells, 2), 0
    columns = np.arange(n_genes)

    def digest(block: Block) -> tuple[Block, NDArray[np.uint64]]:
        own = np.empty((block.n_cells, 2), np.uint64)
        digest_rows(block.indptr, block.indices, value_words(block.data), columns, own)
        return block, own

    dataset.progress.start("read the source", n_cells, "cells")
    with tempfile.TemporaryDirectory(prefix="titin-") as scratch:
        blocks = matrix.blocks(_block_bytes(dataset, matrix), Path(scratch))
        for block, own in ordered_map(digest, read_ahead(blocks), dataset.threads):
            digests[block.start : block.start + block.n_cells] = own
            n_values += int(np.count_nonzero(block.data))
            dataset.progress.advance(block.n_cells)
    dataset.progress.finish()
    return digests, n_values


def _block_bytes(dataset: CheckedDataset, matrix: Matrix) -> int:
    return dataset.resources.scan_values * (matrix.dtype.itemsize + 4)


def cell_difference(dataset: CheckedDataset, matrix: Matrix, position: int, source_row: int) -> str:
    """Say how a cell differs from its row of the source; both are read again."""
    theirs = np.zeros(matrix.shape[1])
    with tempfile.TemporaryDirectory(prefix="titin-") as scratch:
        for block in matrix.blocks(_block_bytes(dataset, matrix), Path(scratch)):
            row = source_row - block.start
            if 0 <= row < block.n_cells:
                own = slice(block.indptr[row], block.indptr[row + 1])
                theirs[block.indices[own]] = block.data[own]
                break
    ours = dataset.atlas.X[[position], :].toarray()[0].astype(np.float64)
    differ = np.flatnonzero(ours != theirs)
    if not len(differ):
        return "their digests differ, their values do not: a value is listed twice"
    gene = dataset.var.index[differ[0]]
    return f"{len(differ):,} genes differ; {gene} is {ours[differ[0]]!r} here and {theirs[differ[0]]!r} in the source"


_AGAIN = "validate with the file it was built from, or build the dataset again"


def source_of(dataset: CheckedDataset) -> Source:
    """Return the source of what is looked at."""
    if dataset.source is None:
        raise TitinError("the source that was given has no such matrix", _AGAIN)
    return dataset.source


def source_positions(dataset: CheckedDataset) -> NDArray[np.int64]:
    """Position in the dataset of each source row; rows that are no permutation keep what fits."""
    rows = dataset.source_rows
    order = np.zeros(len(rows), np.int64)
    for own in slices(len(rows)):
        places, numbers = rows.of(own.start, own.stop - own.start)
        order[numbers] = own.start + places
    return order


@check("source.sha256", "The source is the file that the dataset was built from.", needs=["source"])
def checksum(dataset: CheckedDataset) -> Outcome:
    """Checksum of the whole source."""
    source = source_of(dataset)
    listed = str(dataset.manifest.source.get("sha256"))
    own = dataset.source_sha256
    if own == listed:
        return Outcome(read=f"{source.path.name}, sha256 {own[:16]}…")
    said = f"the source's sha256 is {own[:16]}…, {layout.MANIFEST} says {listed[:16]}…"
    return Outcome([Finding(said, source.path.name, _AGAIN)], source.path.name)


@check_each("source.order", "Every cell and gene of the source is in the dataset once, under its name.")
def order(dataset: CheckedDataset) -> Outcome:
    """``source_row`` and ``source_column``, and the names at them."""
    return Outcome([*_cell_order(dataset), *_gene_order(dataset)],
                   f"{len(dataset.source_rows):,} cells, {len(dataset.genes):,} genes")  # fmt: skip


def _cell_order(dataset: CheckedDataset) -> Iterator[Finding]:
    rows, n_cells, file = dataset.source_rows, len(source_of(dataset).obs), dataset.layout.expression
    if len(rows) != n_cells:
        yield _other_number(len(rows), "cells", n_cells, file)
        return
    if rows.first_wrong is not None:
        at = rows.first_wrong
        yield _not_once(layout.SOURCE_ROW, "cells", int(rows.numbers[at]), at, file)
        return
    n, first = 0, None
    for start, wrong, ours, theirs in dataset.source_names.differing(dataset.atlas.store, file, layout.CELL_ID):
        at = int(wrong[0])
        n, first = n + len(wrong), first or (start + at, ours[at].as_py(), theirs[at].as_py())
    if first is not None:
        yield _other_names(n, "cells", *first, file)


def _gene_order(dataset: CheckedDataset) -> Iterator[Finding]:
    names, file = source_of(dataset).var.index, dataset.layout.feature_metadata
    columns = dataset.genes[layout.SOURCE_COLUMN].to_numpy()
    if len(columns) != len(names):
        yield _other_number(len(columns), "genes", len(names), file)
        return
    if not np.array_equal(np.sort(columns), np.arange(len(columns))):
        row = _first_repeated(columns)
        yield _not_once(layout.SOURCE_COLUMN, "genes", int(columns[row]), row, file)
        return
    own = dataset.genes[dataset.manifest.var["columns"][0]["column"]].to_numpy().astype(object)
    theirs = names.astype(str).to_numpy(object)[columns]
    wrong = np.flatnonzero(own != theirs)
    if len(wrong):
        row = int(wrong[0])
        yield _other_names(len(wrong), "genes", row, own[row], theirs[row], file)


def _other_number(n: int, unit: str, n_theirs: int, file: str) -> Finding:
    return Finding(f"{n:,} {unit}, the source has {n_theirs:,}", file, _AGAIN)


def _not_once(column: str, unit: str, number: int, row: int, file: str) -> Finding:
    said = f"{column} does not name each of the source's {unit} once: {number:,} at row {row:,}"
    return Finding(said, f"{file}, column {column}, row {row:,}", _AGAIN)


def _other_names(n: int, unit: str, row: int, ours: Any, theirs: Any, file: str) -> Finding:
    said = f"{n:,} {unit} have another name; the first is {ours!r}, not {theirs!r}"
    return Finding(said, f"{file}, row {row:,}", _AGAIN)


def _first_repeated(numbers: NDArray[np.int64]) -> int:
    _, first = np.unique(numbers, return_index=True)
    again = np.ones(len(numbers), bool)
    again[first] = False
    again |= (numbers < 0) | (numbers >= len(numbers))
    return int(np.flatnonzero(again)[0])


@check_each("source.matrix", "Every value of the matrix is the source's, bit for bit.", level="full")
def matrix(dataset: CheckedDataset) -> Outcome:
    """128-bit digests of every (gene, value), cell by cell, of both; on a difference that cell again."""
    source = source_of(dataset)
    X, rows = source.X, dataset.source_rows.numbers
    if X.shape != (dataset.manifest.n_cells, dataset.manifest.n_genes):
        said = f"the source has {X.shape[0]:,} cells × {X.shape[1]:,} genes"
        return Outcome([Finding(said, source.path.name, _AGAIN)])
    if len(rows) != len(dataset.expression.cell_digests) or rows.min() < 0 or rows.max() >= len(rows):
        return Outcome([Finding("source_row names no rows of the source", dataset.layout.expression, _AGAIN)])
    theirs, n_values = source_digests(dataset, X)
    ours = dataset.expression.cell_digests
    wrong = np.concatenate([own.start + np.flatnonzero((theirs[rows[own]] != ours[own]).any(axis=1))
                            for own in slices(len(rows))])  # fmt: skip
    read = f"{len(rows):,} cells, {n_values:,} values"
    if not len(wrong):
        return Outcome(read=read)
    position = int(wrong[0])
    said = f"{len(wrong):,} cells differ from {source.path.name}; of {dataset.cell_name(position)}, "
    said += cell_difference(dataset, X, position, int(rows[position]))
    return Outcome([Finding(said, f"{dataset.layout.expression}, row {position:,}", _AGAIN)], read)


@check("source.obs", "obs is the source's, with its dtypes, categories and order.", needs=["source"])
def obs(dataset: CheckedDataset) -> Outcome:
    """Every column of obs but those that were relabelled since."""
    theirs, file = source_of(dataset).obs, dataset.layout.sample_metadata
    dataset.obs.columns  # noqa: B018 - refuses a table that lacks a column or has a name twice
    changes = dataset.manifest.obs.get("relabelled", [])
    relabelled = {name for change in changes for name in (*change["columns"], *change["dropped"])}
    records = [record for record in dataset.manifest.obs["columns"][1:] if record["name"] not in relabelled]
    chosen = [place for place, name in enumerate(theirs.columns) if name not in relabelled]
    problem = dataset.beside_source.table_difference(file, records, theirs, chosen, lambda: dataset.source_names)
    found = [Finding(problem.message, f"{file}{problem.where}", _AGAIN)] if problem else []
    read = f"{len(theirs):,} cells, {len(chosen):,} columns"
    return Outcome(found, f"{read}; {count(len(relabelled), 'column')} relabelled since" if relabelled else read)


@check_each("source.var", "var is the source's, with its dtypes, categories and order.")
def var(dataset: CheckedDataset) -> Outcome:
    """Every column of var, and of the genes of raw."""
    if dataset.layout.detection != dataset.layout.feature_metadata:
        return Outcome(skipped="the genes are those of X")
    return _compare_frames(dataset.var, source_of(dataset).var, dataset.layout.feature_metadata, "genes")


def _compare_frames(ours: pd.DataFrame, theirs: pd.DataFrame, file: str, unit: str) -> Outcome:
    problem = frame_difference(ours, theirs)
    found = [Finding(problem.message, f"{file}{problem.where}", _AGAIN)] if problem else []
    return Outcome(found, f"{len(theirs):,} {unit}, {theirs.shape[1]:,} columns")


@check("source.obsm", "Every embedding is the source's, bit for bit.", needs=["source"])
def obsm(dataset: CheckedDataset) -> Outcome:
    """Every value of every embedding that the dataset keeps, and that it keeps all it can."""
    source, left_out = source_of(dataset), dataset.manifest.left_out
    found = []
    n_values = 0
    for key in source.obsm:
        if key not in dataset.manifest.obsm:
            if f"obsm/{key}" not in left_out and f"obsm/{key}" not in dataset.manifest.arrays:
                said = f"the source has obsm[{key!r}]; the dataset has not, and does not say why"
                found.append(Finding(said, layout.MANIFEST, _AGAIN))
            continue
        theirs = source.obsm[key]
        n_values += theirs.size
        if problem := _embedding_difference(dataset, key, theirs):
            found.append(Finding(problem.message, f"{dataset.manifest.obsm[key]['file']}{problem.where}", _AGAIN))
    for key, entry in dataset.manifest.obsm.items():
        if key not in source.obsm and "computed" not in entry:
            found.append(Finding(f"the source has no obsm[{key!r}]", entry["file"], _AGAIN))
    return Outcome(found, f"{len(source.obsm):,} embeddings, {n_values:,} values")


def _embedding_difference(dataset: CheckedDataset, key: str, theirs: Any) -> Difference | None:
    entry = dataset.manifest.obsm[key]
    ours = pd.DataFrame if entry["frame"] else np.ndarray
    if pd.DataFrame in (ours, type(theirs)) and type(theirs) is not ours:
        return Difference(f"it is a {ours.__name__}, the source's a {type(theirs).__name__}", "")
    if not entry["frame"]:
        return dataset.beside_source.array_difference(key, np.asarray(theirs))
    return dataset.beside_source.table_difference(
        entry["file"], entry["columns"][1:], theirs, range(theirs.shape[1]),
        lambda: SourceNames(theirs.index, dataset.source_rows),
    )  # fmt: skip


@check("source.uns", "uns is the source's, with its types.", needs=["source"])
def uns(dataset: CheckedDataset) -> Outcome:
    """Everything in uns but what the manifest names as left out."""
    theirs = source_of(dataset).uns
    ours = dict(dataset.atlas.uns)
    lost = {path.removeprefix("uns/") for path in dataset.manifest.left_out if path.startswith("uns/")}
    for entry in dataset.manifest.obsm.values():
        method = entry.get("computed", {}).get("method")
        if method and (method not in theirs or method in lost):
            ours.pop(method, None)  # what a computed projection has added
    differ = tree_difference(ours, theirs, lost)
    found = [Finding(differ[1], f"{dataset.layout.unstructured_metadata}, {differ[0]}", _AGAIN)] if differ else []
    return Outcome(found, f"{len(theirs):,} keys")
