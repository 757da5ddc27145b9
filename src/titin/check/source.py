"""Everything in a dataset compared with the source that it was built from."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.tables import read_embedding
from titin.check.comparison import differing, frame_difference
from titin.check.dataset import CheckedDataset
from titin.check.findings import Finding, Outcome
from titin.check.kernels import digest_rows
from titin.check.passes import value_words
from titin.check.registry import check
from titin.check.trees import tree_difference
from titin.dataset import layout
from titin.dataset.block import Block
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
    digests, n_values = np.zeros((n_cells, 2), np.uint64), 0
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


def _rows(dataset: CheckedDataset) -> NDArray[np.int64]:
    """Source row of each cell."""
    rows: NDArray[np.int64] = dataset.atlas.store.column(dataset.layout.expression, layout.SOURCE_ROW).to_numpy()
    return rows


def source_positions(dataset: CheckedDataset) -> NDArray[np.int64]:
    """Position in the dataset of each source row; rows that are no permutation keep what fits."""
    rows = _rows(dataset)
    order = np.zeros(len(rows), np.int64)
    fits = (rows >= 0) & (rows < len(rows))
    order[rows[fits]] = np.flatnonzero(fits)
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
    source = source_of(dataset)
    found = []
    rows, columns = _rows(dataset), dataset.genes[layout.SOURCE_COLUMN].to_numpy()
    record = dataset.manifest.var["columns"][0]["column"]
    cell_ids = dataset.atlas.store.column(dataset.layout.expression, layout.CELL_ID)
    parts = (
        (rows, source.obs.index, cell_ids.to_numpy(), dataset.layout.expression, layout.SOURCE_ROW, "cells"),
        (columns, source.var.index, dataset.genes[record].to_numpy(), dataset.layout.feature_metadata,
         layout.SOURCE_COLUMN, "genes"),
    )  # fmt: skip
    for numbers, names, own, file, column, unit in parts:
        if len(numbers) != len(names):
            found.append(Finding(f"{len(numbers):,} {unit}, the source has {len(names):,}", file, _AGAIN))
            continue
        if not np.array_equal(np.sort(numbers), np.arange(len(numbers))):
            row = _first_repeated(numbers)
            said = f"{column} does not name each of the source's {unit} once: {numbers[row]:,} at row {row:,}"
            found.append(Finding(said, f"{file}, column {column}, row {row:,}", _AGAIN))
            continue
        theirs = names.astype(str).to_numpy(object)[numbers]
        wrong = np.flatnonzero(own.astype(object) != theirs)
        if len(wrong):
            said = f"{len(wrong):,} {unit} have another name; the first is {own[wrong[0]]!r}, not {theirs[wrong[0]]!r}"
            found.append(Finding(said, f"{file}, row {wrong[0]:,}", _AGAIN))
    return Outcome(found, f"{len(rows):,} cells, {len(columns):,} genes")


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
    X, rows = source.X, _rows(dataset)
    if X.shape != (dataset.manifest.n_cells, dataset.manifest.n_genes):
        said = f"the source has {X.shape[0]:,} cells × {X.shape[1]:,} genes"
        return Outcome([Finding(said, source.path.name, _AGAIN)])
    if len(rows) != len(dataset.expression.cell_digests) or rows.min() < 0 or rows.max() >= len(rows):
        return Outcome([Finding("source_row names no rows of the source", dataset.layout.expression, _AGAIN)])
    theirs, n_values = source_digests(dataset, X)
    wrong = np.flatnonzero((theirs[rows] != dataset.expression.cell_digests).any(axis=1))
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
    theirs = source_of(dataset).obs
    own = [record["name"] for record in dataset.manifest.obs["columns"][1:]]
    ours = dataset.atlas.cell_columns().iloc[:, : len(own)].iloc[source_positions(dataset)]
    relabelled = [name for change in dataset.manifest.obs.get("relabelled", [])
                  for name in (*change["columns"], *change["dropped"])]  # fmt: skip
    if not relabelled:
        return _compare_frames(ours, theirs, dataset.layout.sample_metadata, "cells")
    ours, theirs = (frame.loc[:, ~frame.columns.isin(relabelled)] for frame in (ours, theirs))
    found = _compare_frames(ours, theirs, dataset.layout.sample_metadata, "cells")
    return replace(found, read=f"{found.read}; {count(len(set(relabelled)), 'column')} relabelled since")


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
    order = source_positions(dataset)
    n_values = 0
    for key in source.obsm:
        if key not in dataset.manifest.obsm:
            if f"obsm/{key}" not in left_out and f"obsm/{key}" not in dataset.manifest.arrays:
                said = f"the source has obsm[{key!r}]; the dataset has not, and does not say why"
                found.append(Finding(said, layout.MANIFEST, _AGAIN))
            continue
        file = dataset.manifest.obsm[key]["file"]
        theirs = source.obsm[key]
        ours = read_embedding(dataset.atlas.store, key, dataset.atlas.obs_names[order], order)
        n_values += theirs.size
        found += [Finding(said, f"{file}{where}", _AGAIN) for said, where in _array_difference(ours, theirs)]
    for key, entry in dataset.manifest.obsm.items():
        if key not in source.obsm and "computed" not in entry:
            found.append(Finding(f"the source has no obsm[{key!r}]", entry["file"], _AGAIN))
    return Outcome(found, f"{len(source.obsm):,} embeddings, {n_values:,} values")


def _array_difference(ours: Any, theirs: Any) -> Iterator[tuple[str, str]]:
    if isinstance(theirs, pd.DataFrame) or isinstance(ours, pd.DataFrame):
        if type(ours) is not type(theirs):
            yield f"it is a {type(ours).__name__}, the source's a {type(theirs).__name__}", ""
        elif problem := frame_difference(ours, theirs):
            yield problem.message, problem.where
        return
    theirs = np.asarray(theirs)
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        yield f"it is {ours.dtype} {ours.shape}, the source's {theirs.dtype} {theirs.shape}", ""
        return
    differ = differing(ours, theirs)
    if differ.any():
        row, column = (int(i) for i in np.argwhere(differ)[0])
        said = f"{int(differ.sum()):,} values differ; the first is {ours[row, column]}, not {theirs[row, column]}"
        yield said, f", dimension {column + 1}, source row {row:,}"


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
