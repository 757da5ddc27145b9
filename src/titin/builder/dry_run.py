"""A dry run: the files of a build, their sizes and the columns found, from a real build of the first cells."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.builder import metadata
from titin.builder.by_gene import write_genes
from titin.builder.cell_table import make_cell_table, write_cell_table
from titin.builder.further_matrices import write_further_matrix
from titin.builder.job import BuildJob
from titin.builder.kept_arrays import write_arrays
from titin.builder.matrix import write_cells
from titin.builder.notes import describe_recovery, left_out, value_notes
from titin.builder.opening import open_chosen
from titin.builder.options import Options, choose_prefix
from titin.builder.pipeline import choose_panel_genes, missing_projections
from titin.builder.scan import scan
from titin.builder.workspace import check_target
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.swap import scratch
from titin.progress import Progress
from titin.resources import Resources
from titin.shelf import Shelf
from titin.source import Matrix, Source
from titin.study.columns import describe_columns
from titin.study.roles import RoleChoice, columns_of

_SAMPLE_VALUES = 4_000_000
_CELL_ID_BYTES = 6  # compressed, as barcodes are
_SPILLED_BYTES = 4.2  # a stored value in each of the two intermediate files
_TABLE_BYTES = 270  # a cell in what is mapped while a build runs; measured, of the muscle atlas


class _Head(Matrix):
    """The first cells of a matrix."""

    def __init__(self, matrix: Matrix, n_cells: int) -> None:
        self._matrix = matrix
        self.name, self.dtype, self.storage = matrix.name, matrix.dtype, matrix.storage
        self.shape = (n_cells, matrix.shape[1])
        self.nnz = None if matrix.nnz is None else matrix.nnz * n_cells // matrix.shape[0]

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield blocks until the head is complete."""
        blocks = self._matrix.blocks(max_bytes, scratch)
        try:
            for block in blocks:
                n = min(block.n_cells, self.shape[0] - block.start)
                yield block.part(0, n)
                if block.start + n >= self.shape[0]:
                    return
        finally:
            blocks.close()  # type: ignore[attr-defined]


def plan_build(
    source_path: Path, target: Path | None, options: Options, resources: Resources, *, force: bool = False
) -> dict[str, Any]:
    """Say what `titin.build` would do with the same arguments; writes nothing that stays.

    Returns
    -------
    dict
        JSON-safe. Sizes, and seconds without those of projections, are estimates, extrapolated from the first
        ``sampled_cells`` cells, which are encoded and written for real in a temporary folder.
    """
    if target is not None:
        check_target(target, force=force)
    source, choices = open_chosen(source_path, options, resources.memory, Shelf(Path(tempfile.gettempdir())))
    roles = columns_of(choices)
    try:
        _, _, prefix = choose_prefix(source, roles, options)
        target = target or Path(prefix)
        check_target(target, force=force)
        n_cells, n_genes = source.X.shape
        nnz = n_cells * n_genes if source.X.nnz is None else source.X.nnz
        head = max(1, min(n_cells, n_cells * _SAMPLE_VALUES // max(1, nnz)))
        methods = missing_projections(options, source.obsm)
        sampled = _sample(source, head, options, resources, choices, prefix)
        columns = describe_columns(source.obs, choices)
        source.check_unchanged()
    finally:
        source.close()
    files = {name: int(size * n_cells / head) if _grows(name) else size for name, size in sampled["files"].items()}
    names = layout.Layout(prefix)
    for method in methods:
        width = min(method.dimensions, n_cells, n_genes)
        files[names.projection(method.key)] = n_cells * (width * 4 + _CELL_ID_BYTES)
    stored = int(sampled["nnz"] * n_cells / head) if source.X.nnz is None else source.X.nnz
    return {
        "schema_version": 1, "source": str(source_path), "target": str(target), "prefix": prefix,
        "matrix": {"name": source.X.name, "storage": source.X.storage, "dtype": str(source.X.dtype)},
        "n_cells": n_cells, "n_genes": n_genes, "nnz": stored, "nnz_estimated": source.X.nnz is None,
        "kind": sampled["kind"], "target_sum": sampled["recovery"]["target_sum"], "recovery": sampled["recovery"],
        "sampled_cells": head,
        "roles": roles, "roles_found": {role: choice.document() for role, choice in choices.items()},
        "obs_columns": columns, "ages": sampled["ages"], "projections": [method.key for method in methods],
        "files": files, "bytes": sum(files.values()),
        "scratch_bytes": int(stored * _SPILLED_BYTES * 2 + n_cells * (_TABLE_BYTES + sampled["widest"])),
        "free_bytes": _free(target),
        "memory_bytes": resources.needed(n_cells), "seconds": round(sampled["seconds"] * n_cells / head, 1),
        "left_out": sampled["left_out"], "notes": sampled["notes"],
    }  # fmt: skip


def _sample(
    source: Source, n_cells: int, options: Options, resources: Resources, choices: dict[str, RoleChoice], prefix: str
) -> dict[str, Any]:
    """Build the first cells in a temporary folder and measure the files."""
    with scratch(Path(tempfile.gettempdir()) / "plan") as folder:
        out, work = folder / "out", folder / "work"
        out.mkdir()
        work.mkdir()
        rows = slice(0, n_cells)
        first = replace(
            source, X=_Head(source.X, n_cells), obs=source.obs.iloc[rows], obsm=_first_rows(source.obsm, n_cells),
            counts=None if source.counts is None else _Head(source.counts, n_cells), left_out=dict(source.left_out),
            parts={place: replace(part, X=_Head(part.X, n_cells), obs=source.obs.iloc[rows])
                   for place, part in source.parts.items()},
        )  # fmt: skip
        job = BuildJob(
            first, options, resources.beside(n_cells), Progress(), layout.Layout(prefix), columns_of(choices), out,
            work, choices,
        )  # fmt: skip
        cells = make_cell_table(job.cells, job.source_rows)
        began = time.perf_counter()
        scanned, spill = scan(job)
        panel = choose_panel_genes(job, scanned)
        tokens = scanned.tokens[panel.table["position"].to_numpy()].astype(np.int64)
        _, by_gene = write_cells(job, scanned, spill, cells.label_table, tokens)
        write_genes(job, scanned, by_gene)
        write_cell_table(out, job.layout, cells)
        metadata.write_gene_table(job, scanned)
        lost: dict[str, str] = {}
        metadata.write_projections(job, lost)
        metadata.write_documents(job, scanned, cells.described, lost)
        seconds = time.perf_counter() - began
        spill.close()
        by_gene.close()
        for place in first.parts:
            write_further_matrix(job, place, scanned.totals[:, 0], cells.label_table)
        write_arrays(replace(job, source=source), scanned.source_columns, lost)  # whole: rows point at each other
        files = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    return {
        "files": files, "kind": scanned.kind, "recovery": describe_recovery(scanned, source.counts),
        "nnz": scanned.nnz, "seconds": seconds, "ages": [name for name in cells.derived if name in layout.AGES],
        "widest": _widest(first.obsm, n_cells), "left_out": {**left_out(scanned, source), **lost},
        "notes": source.notes + value_notes(scanned, source.counts) + cells.notes,
    }  # fmt: skip


def _first_rows(obsm: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Copies, so that the whole arrays are not kept in memory."""
    whole = ((key, obsm[key]) for key in obsm)
    return {key: (value.iloc[:n] if isinstance(value, pd.DataFrame) else value[:n]).copy() for key, value in whole}


def _widest(obsm: Mapping[str, Any], n_cells: int) -> float:
    """Bytes a cell that the largest embedding takes on the disk: as it was read, and while it is put in order."""
    sizes = [value.nbytes / n_cells for value in obsm.values() if isinstance(value, np.ndarray)]
    return 2 * max(sizes, default=0)


def _grows(name: str) -> bool:
    """Whether a file's size follows the number of cells."""
    return name.endswith(".parquet") and not name.endswith("_feature_metadata.parquet") and "_array_" not in name


def _free(target: Path) -> int:
    folder = target.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
