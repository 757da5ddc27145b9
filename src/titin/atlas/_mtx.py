"""A dataset as a 10x Genomics folder: matrix.mtx.gz (genes × cells), barcodes.tsv.gz, features.tsv.gz."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv

from titin.atlas.blocks import source_blocks
from titin.atlas.tables import read_obs_names, source_order
from titin.dataset import layout
from titin.parallel import ordered_map
from titin.source import Block

if TYPE_CHECKING:
    from titin.atlas.export import Job

_LEVEL = 4  # of gzip: its default of 9 takes ten times as long for a tenth less


def write_mtx(job: "Job", path: Path) -> None:
    """Write the folder; Seurat's Read10X, scanpy's read_10x_mtx and R's Matrix read it."""
    path.mkdir()
    manifest = job.manifest
    with gzip.open(path / "barcodes.tsv.gz", "wt", encoding="utf-8", compresslevel=_LEVEL) as file:
        file.writelines(f"{name}\n" for name in read_obs_names(job.store)[source_order(job.store)])
    genes = job.store.table(manifest.layout.feature_metadata)
    genes = genes.select([layout.GENE_IDS, layout.GENE, layout.SOURCE_COLUMN]).sort_by(layout.SOURCE_COLUMN)
    with gzip.open(path / "features.tsv.gz", "wt", encoding="utf-8", compresslevel=_LEVEL) as file:
        for gene_id, gene in zip(genes.column(0).to_pylist(), genes.column(1).to_pylist(), strict=True):
            file.write(f"{gene_id}\t{gene}\tGene Expression\n")
    _write_matrix(job, path / "matrix.mtx.gz")


def _write_matrix(job: "Job", path: Path) -> None:
    manifest = job.manifest
    field = "integer" if job.counts or manifest.kind == "counts" else "real"
    head = f"%%MatrixMarket matrix coordinate {field} general\n{manifest.n_genes} {manifest.n_cells} {manifest.nnz}\n"

    def work(block: Block) -> tuple[int, bytes]:
        return block.n_cells, gzip.compress(_lines(block, field), _LEVEL)

    job.progress.start("write matrix.mtx.gz", manifest.n_cells, "cells")
    blocks = source_blocks(job.store, job.scratch, job.resources, counts=job.counts)
    with path.open("wb") as file:
        # a gzip file may be several, one after another: each block is compressed by itself, in a thread
        file.write(gzip.compress(head.encode(), _LEVEL))
        for n_cells, part in ordered_map(work, blocks, job.resources.threads):
            file.write(part)
            job.progress.advance(n_cells)


def _lines(block: Block, field: str) -> pa.Buffer:
    """One line an entry: gene, cell (both from 1), value."""
    cells = np.repeat(np.arange(block.start + 1, block.start + block.n_cells + 1), np.diff(block.indptr))
    data = block.data if field == "real" else block.data.astype(np.int64)
    text = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none", batch_size=65_536)
    csv.write_csv(pa.table({"gene": block.indices + 1, "cell": cells, "value": data}), text, options)
    return text.getvalue()
