"""The one reader of the matrix: all who read it take any writer's files, and refuse files that do not go together."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

import titin
from titin.atlas.passes import BlockReader
from titin.atlas.row_groups import dataset_blocks, gene_blocks
from titin.atlas.source_blocks import source_blocks
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.store import Store
from titin.errors import DatasetError
from titin.exporter import export
from titin.load.tokens import gene_medians
from titin.resources import Resources

N_CELLS, N_GENES = 60, 30
Change = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="module", params=["log1p", "counts", "real"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset of each kind."""
    folder = tmp_path_factory.mktemp(request.param)
    rng = np.random.default_rng(3)
    X = rng.poisson(rng.uniform(0.2, 3, N_GENES), (N_CELLS, N_GENES)).astype(np.float32)
    X[:, 0] += 1  # no cell is empty
    if request.param == "log1p":
        X = np.log1p(X / X.sum(axis=1, keepdims=True) * 1e4)
    if request.param == "real":
        X *= rng.uniform(0.5, 2, X.shape).astype(np.float32)
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(N_CELLS)])
    var = pd.DataFrame(index=[f"G{i}" for i in range(N_GENES)])
    ad.AnnData(sparse.csr_matrix(X), obs, var).write_h5ad(folder / "atlas.h5ad")
    return titin.build(folder / "atlas.h5ad", folder / "dataset").path


def dense(atlas: titin.Atlas, blocks: Iterable[Block], genes: Any) -> np.ndarray:
    found = np.zeros(atlas.shape)
    for block in blocks:
        rows = np.repeat(np.arange(block.n_cells), np.diff(block.indptr)) + block.start
        found[rows, genes[block.indices]] = block.data
    return found


def by_source(atlas: titin.Atlas, folder: Path) -> np.ndarray:
    rows = atlas.store.column(atlas.layout.expression, layout.SOURCE_ROW).to_numpy()
    return dense(atlas, source_blocks(atlas.store, folder, Resources(2)), np.arange(N_GENES))[rows]


def exported(atlas: titin.Atlas, folder: Path) -> np.ndarray:
    found = ad.read_h5ad(export(atlas.folder, "h5ad", folder / "back.h5ad", force=True))
    return found[atlas.obs_names].X.toarray()


def passed(atlas: titin.Atlas, _: Path) -> np.ndarray:
    reader = BlockReader(atlas)
    return dense(atlas, reader.map(lambda block: block, 2), reader.genes)


# each gives cells × genes, in the order of the atlas
BY_CELL: dict[str, Callable[[titin.Atlas, Path], np.ndarray]] = {
    "X": lambda atlas, _: atlas.X[:].toarray(),
    "cells of X": lambda atlas, _: atlas.X[list(range(N_CELLS))].toarray(),
    "iter_blocks": lambda atlas, _: np.concatenate([block.X.toarray() for block in atlas.iter_blocks()]),
    "expression": lambda atlas, _: atlas.expression.to_numpy(),
    "dataset_blocks": lambda atlas, _: dense(atlas, dataset_blocks(atlas.store), atlas.source_columns),
    "source_blocks": by_source,
    "export": exported,
    "passes": passed,
    "Loader": lambda atlas, _: np.concatenate([X.toarray() for X, _ in titin.Loader(atlas, 16, shuffle=False)]),
}
BY_GENE: dict[str, Callable[[titin.Atlas, Path], Any]] = {
    "one gene": lambda atlas, _: np.column_stack([atlas[gene] for gene in atlas.var_names]),
    "gene_blocks": lambda atlas, _: np.concatenate([block.stored for block in gene_blocks(atlas.store)]),
    "medians": lambda atlas, _: None if atlas.kind == "real" else gene_medians(atlas).to_numpy(),
}


def rewrite(whole: Path, folder: Path, name: str, change: Change, **options: Any) -> titin.Atlas:
    """A copy of a dataset in which a file is changed, or written by another writer, and the manifest knows its size."""
    copy = Path(shutil.copytree(whole, folder / "copy"))
    manifest = json.loads((copy / layout.MANIFEST).read_text("utf-8"))
    (file,) = [file for file in manifest["files"] if file.endswith(f"{name}.parquet")]
    pq.write_table(change(pq.read_table(copy / file)), copy / file, **options)
    manifest["files"][file]["bytes"] = (copy / file).stat().st_size
    (copy / layout.MANIFEST).write_text(json.dumps(manifest), "utf-8")
    return titin.open(copy)


def edit(column: str, change: Callable[[list[list[Any]]], None]) -> Change:
    def of(table: pa.Table) -> pa.Table:
        i = table.schema.get_field_index(column)
        lists = table.column(i).to_pylist()
        change(lists)
        return table.set_column(i, table.schema.field(i), pa.array(lists, table.schema.field(i).type))

    return of


def drop_last(lists: list[list[Any]]) -> None:
    lists[3].pop()


def name_another(lists: list[list[Any]]) -> None:
    lists[3][-1] = 60_000


WRITERS: dict[str, dict[str, Any]] = {
    "snappy": {"compression": "snappy"},
    "dictionaries": {"use_dictionary": True},
    "pages of version 2": {"data_page_version": "2.0"},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_files_of_any_writer_give_the_same_values(whole, tmp_path, writer):
    ours = titin.open(whole)
    for name, readers in (("expression", BY_CELL), ("expression_by_gene", BY_GENE)):
        theirs = rewrite(whole, tmp_path / name, name, lambda table: table, **WRITERS[writer])
        for reader in readers.values():
            np.testing.assert_array_equal(reader(theirs, tmp_path), reader(ours, tmp_path))


def test_all_who_read_cells_give_the_same_values(whole, tmp_path):
    atlas = titin.open(whole)
    for name in BY_CELL:
        if atlas.kind == "counts" and name in ("passes", "Loader"):
            continue  # give logarithms
        np.testing.assert_array_equal(BY_CELL[name](atlas, tmp_path), atlas.X[:].toarray(), err_msg=name)


@pytest.mark.parametrize("name", BY_CELL)
def test_cells_that_do_not_go_together_are_refused(whole, tmp_path, name):
    kind = titin.open(whole).kind
    stored = layout.VALUES if kind == "real" else layout.COUNTS
    damages = {
        "differ in length": edit(stored, drop_last),
        "names gene 60,000 of 30": edit(layout.GENES, name_another),
        f"no (list )?column {stored}": lambda table: table.drop_columns([stored]),
    }
    if kind == "log1p":
        damages["level"] = edit(layout.LEVELS, drop_last)
    (file,) = whole.glob("*expression.parquet")
    for said, change in damages.items():
        own = layout.parquet_options(change(pq.read_table(file)).schema)
        for writer, options in (("own", own), ("another", WRITERS["snappy"])):
            damaged = rewrite(whole, tmp_path / f"{said[:7]} {writer}", "expression", change, **options)
            with pytest.raises(DatasetError, match=said):
                BY_CELL[name](damaged, tmp_path)


@pytest.mark.parametrize("name", BY_GENE)
def test_genes_that_do_not_go_together_are_refused(whole, tmp_path, name):
    kind = titin.open(whole).kind
    stored = layout.VALUES if kind == "real" else layout.COUNTS
    if name == "medians" and kind == "real":
        return
    damages = {
        "differ in length": edit(stored, drop_last),
        "names cell 60,000 of 60": edit(layout.CELLS, name_another),
        f"no (list )?column {stored}": lambda table: table.drop_columns([stored]),
    }
    for said, change in damages.items():
        damaged = rewrite(whole, tmp_path / said[:7], "expression_by_gene", change)
        with pytest.raises(DatasetError, match=said):
            BY_GENE[name](damaged, tmp_path)


def test_files_of_our_own_are_read_from_their_pages(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(Store, "_read_arrow_lists", lambda *_: pytest.fail("pyarrow read lists"))
    for reader in (BY_CELL | BY_GENE).values():
        reader(titin.open(whole), tmp_path)
