"""A built dataset holds every value of its source, in files as the format has them."""

import json
from itertools import pairwise
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from titin.builder import build
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile as PlainFile
from titin.dataset.manifest import describe_file
from titin.dataset.tables import decode_table
from titin.dataset.unstructured import decode_uns
from titin.demo import write_demo_atlas
from titin.errors import SourceError, TitinError
from titin.resources import Resources

PER_CELL = ("expression", "expression_panel", "sample_metadata")


# reading by hand, from the words of the format alone


def parquet(report, name):
    """A table of the dataset, its shards joined."""
    files = sorted(report.path.glob(f"{report.manifest.prefix}_{name}.parquet"))
    files += sorted(report.path.glob(f"{report.manifest.prefix}_{name}-?????-of-?????.parquet"))
    return pd.concat([pq.read_table(f).to_pandas(ignore_metadata=True) for f in files], ignore_index=True)


def cell_values(cell):
    """Values of one row of ``expression``: the i-th level is that of the i-th smallest distinct count."""
    if "values" in cell:
        return cell["values"]
    if "levels" not in cell:
        return cell["counts"]
    rank = {count: i for i, count in enumerate(sorted(set(cell["counts"].tolist())))}
    assert len(rank) == len(cell["levels"])
    return np.array([cell["levels"][rank[count]] for count in cell["counts"].tolist()], cell["levels"].dtype)


def matrix(report, of="values"):
    """The dense matrix in the source's order of cells and genes, decoded cell by cell."""
    expression, genes = parquet(report, "expression"), parquet(report, "feature_metadata")
    assert genes["token"].tolist() == list(range(len(genes)))
    source_column = genes["source_column"].to_numpy()
    decoded = [cell_values(cell) if of == "values" else cell["counts"] for _, cell in expression.iterrows()]
    dense = np.zeros((len(expression), len(genes)), decoded[0].dtype)
    for row, tokens, values in zip(expression["source_row"], expression["genes"], decoded, strict=True):
        assert (np.diff(tokens.astype(int)) > 0).all()
        dense[row, source_column[tokens]] = values
    return dense


def by_gene_matrix(report):
    """The dense matrix of counts or values of ``expression_by_gene``, in the dataset's order, genes by token."""
    table = parquet(report, "expression_by_gene")
    assert table["token"].tolist() == list(range(len(table)))
    column = "values" if "values" in table else "counts"
    dense = np.zeros((report.manifest.n_cells, len(table)), table[column][0].dtype)
    for token, (cells, elements) in enumerate(zip(table["cells"], table[column], strict=True)):
        assert (np.diff(cells.astype(int)) > 0).all()
        dense[cells, token] = elements
    assert table["n_cells"].tolist() == (dense != 0).sum(axis=0).tolist()
    return dense


def checksums(report, without=()):
    return {name: entry["sha256"] for name, entry in report.manifest.files.items() if name not in without}


def assert_holds(report, adata):
    """Every value of X is in ``expression`` bit for bit, and again in ``expression_by_gene``."""
    X = adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)
    found = matrix(report)
    assert found.tobytes() == X.astype(found.dtype).tobytes()
    assert (X.astype(found.dtype) == X).all()
    expression, genes = parquet(report, "expression"), parquet(report, "feature_metadata")
    element = matrix(report, "counts") if "counts" in expression else found
    ordered = element[expression["source_row"]][:, genes["source_column"]]
    assert by_gene_matrix(report).tobytes() == ordered.tobytes()
    assert report.manifest.nnz == np.count_nonzero(X)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo atlas and its dataset."""
    folder = tmp_path_factory.mktemp("demo")
    path = write_demo_atlas(folder / "demo.h5ad", n_cells=400, n_genes=600)
    return anndata.read_h5ad(path), build(path, folder / "dataset", preset="muscle", threads=2)


# the whole of it


def test_the_demo_atlas(demo):
    adata, report = demo
    assert_holds(report, adata)
    manifest = report.manifest
    assert (manifest.prefix, manifest.kind) == ("skeletal_muscle_10x", "log1p")
    assert (manifest.n_cells, manifest.n_genes) == (400, 600)
    assert manifest.recovery["target_sum"] == 1e4
    assert manifest.recovery["worst_ulp"] <= 2
    assert matrix(report, "counts").sum(axis=1).tolist() == adata.obs["n_counts"].tolist()
    assert report.seconds["total"] >= sum(report.seconds[s] for s in ("scan", "cells", "genes"))
    assert report.peak_bytes > 0
    assert not report.resumed


def test_every_file_is_described_and_nothing_else_is_there(demo):
    _, report = demo
    prefix = report.manifest.prefix
    expected = {f"{prefix}_{name}.parquet" for name in (*PER_CELL, "expression_by_gene", "feature_metadata",
                "projection_X_umap", "projection_X_scVI")} | {f"{prefix}_unstructured_metadata.json",
                "detailed_structure.json", "README.md"}  # fmt: skip
    assert {p.name for p in report.path.iterdir()} == expected | {"titin.json"}
    assert set(report.manifest.files) == expected
    for name, entry in report.manifest.files.items():
        assert entry == describe_file(report.path / name)
    assert [p for p in report.path.parent.iterdir() if p.name.startswith(".")] == []


def test_counts_follow_from_scale(demo):
    adata, report = demo
    expression = parquet(report, "expression")
    assert expression["scale"].dtype == np.float32
    totals = adata.obs["n_counts"].to_numpy()[expression["source_row"]]
    np.testing.assert_allclose(expression["scale"], totals / 1e4, rtol=1e-6)
    for _, cell in expression.head(50).iterrows():
        values = cell_values(cell)
        near = np.log1p(cell["counts"] / np.float64(cell["scale"]))
        assert (np.abs(near - values) <= 2 * np.spacing(values)).all()


def test_the_panel_is_a_wide_view(demo):
    adata, report = demo
    panel, expression = parquet(report, "expression_panel"), parquet(report, "expression")
    labels = ["cell_id", *report.manifest.obs["labels"]]
    assert panel.columns[: len(labels)].tolist() == labels
    genes = panel.columns[len(labels) :].tolist()
    assert genes == list(report.manifest.panel["genes"])
    assert 1 <= len(genes) <= 512
    assert set(panel[genes].dtypes) == {np.dtype("float32")}
    expected = adata[:, genes].X.toarray()[expression["source_row"]]
    assert panel[genes].to_numpy().tobytes() == expected.tobytes()


def test_labels_stand_beside_the_expression(demo):
    adata, report = demo
    expression = parquet(report, "expression")
    labels = report.manifest.obs["labels"]
    assert {"DonorID", "Age_group", "annotation_level2", "batch", "age_numeric"} <= set(labels)
    assert expression.columns.tolist() == ["cell_id", *labels, "source_row", "scale", "genes", "counts", "levels"]
    ordered = adata.obs.iloc[expression["source_row"]]
    for label in set(labels) - {"age_numeric"}:
        assert expression[label].astype(str).tolist() == ordered[label].astype(str).tolist()
    low = ordered["Age_group"].astype(str).str.split("-").str[0].astype(float)
    assert expression["age_numeric"].tolist() == (low + 2.5).tolist()


def test_every_file_of_cells_has_the_same_cells_in_the_same_order(demo):
    adata, report = demo
    expression = parquet(report, "expression")
    ids = adata.obs_names[expression["source_row"]].tolist()
    for name in (*PER_CELL, "projection_X_umap", "projection_X_scVI"):
        table = parquet(report, name)
        assert table.columns[0] == "cell_id"
        assert table["cell_id"].tolist() == ids
    assert parquet(report, "sample_metadata")["cell_id"].is_unique


def test_pandas_finds_the_index_and_no_other_reader_sees_one(demo):
    _, report = demo
    for path in report.path.glob("*.parquet"):
        frame = pd.read_parquet(path)
        index = "gene" if "by_gene" in path.name or "feature" in path.name else "cell_id"
        assert frame.index.name == index
        assert not frame.columns.str.startswith("__").any()
        some = pd.read_parquet(path, columns=[frame.columns[0]])
        assert some.index.equals(frame.index)


def test_feature_metadata(demo):
    adata, report = demo
    genes = parquet(report, "feature_metadata")
    X, counts = adata.X.toarray().astype(np.float64), matrix(report, "counts")
    detected = np.count_nonzero(X, axis=0)
    order = sorted(range(X.shape[1]), key=lambda j: (-detected[j], j))
    assert genes["source_column"].tolist() == order
    assert genes["gene"].tolist() == adata.var_names[order].tolist()
    assert genes["gene_ids"].tolist() == adata.var["ENSEMBL"].iloc[order].tolist()
    assert genes["n_cells"].tolist() == detected[order].tolist()
    assert genes["n_counts"].tolist() == counts.sum(axis=0)[order].tolist()
    np.testing.assert_allclose(genes["mean"], X.mean(axis=0)[order], rtol=1e-12)
    np.testing.assert_allclose(genes["variance"], X.var(axis=0, ddof=1)[order], rtol=1e-9)
    assert {"ENSEMBL", "SYMBOL"} <= set(genes.columns)


def test_tables_come_back(demo):
    adata, report = demo
    manifest = report.manifest
    stored = pq.read_table(report.path / manifest.layout.sample_metadata)
    back = decode_table(stored, manifest.obs["columns"])
    order = parquet(report, "expression")["source_row"]
    pd.testing.assert_frame_equal(back, adata.obs.iloc[order])
    stored = pq.read_table(report.path / manifest.layout.feature_metadata)
    pd.testing.assert_frame_equal(decode_table(stored, manifest.var["columns"]).loc[adata.var_names], adata.var)
    for key, columns in (("X_umap", ["UMAP1", "UMAP2"]), ("X_scVI", [f"SCVI{i}" for i in range(1, 31)])):
        table = parquet(report, f"projection_{key}")
        assert table.columns.tolist() == ["cell_id", *columns]
        assert table[columns].to_numpy().tobytes() == adata.obsm[key][order].tobytes()


def test_unstructured_metadata_comes_back(demo):
    adata, report = demo
    document = json.loads((report.path / report.manifest.layout.unstructured_metadata).read_text("utf-8"))
    back = decode_uns(document)
    assert set(back) == set(adata.uns)
    assert back["neighbors"] == adata.uns["neighbors"]
    assert back["truth"]["age_log_fold_change"] == adata.uns["truth"]["age_log_fold_change"]
    assert back["Sex_colors"].tolist() == adata.uns["Sex_colors"].tolist()


def test_the_structure_file(demo):
    adata, report = demo
    structure = json.loads((report.path / "detailed_structure.json").read_text("utf-8"))
    assert structure["shape"] == [400, 600]
    assert structure["nonzeros"] == adata.X.nnz
    assert structure["sparsity"] == pytest.approx(100 * (1 - adata.X.nnz / 240_000))
    assert structure["obs_columns"] == adata.obs.columns.tolist()
    assert structure["obsm_keys"] == ["X_scVI", "X_umap"]
    assert structure["category_counts"]["Sex"] == adata.obs["Sex"].value_counts().to_dict()
    types = adata.obs["annotation_level0"].value_counts().to_dict()
    assert structure["annotation_mapping"]["annotation_level0"] == types


# encodings


def column_chunks(report, name):
    """The first row group's column chunks, by column."""
    group = pq.ParquetFile(report.path / f"{report.manifest.prefix}_{name}.parquet").metadata.row_group(0)
    return {(c := group.column(i)).path_in_schema.split(".")[0]: c for i in range(group.num_columns)}


@pytest.mark.parametrize(("name", "lists"), [
    ("expression", {"genes": "DELTA_BINARY_PACKED", "counts": "BYTE_STREAM_SPLIT", "levels": "BYTE_STREAM_SPLIT"}),
    ("expression_by_gene", {"cells": "DELTA_BINARY_PACKED", "counts": "BYTE_STREAM_SPLIT"}),
])  # fmt: skip
def test_encodings_of_lists(demo, name, lists):
    chunks = column_chunks(demo[1], name)
    for column, encoding in lists.items():
        assert encoding in chunks[column].encodings
        assert not chunks[column].has_dictionary_page


@pytest.mark.parametrize("name", [*PER_CELL, "expression_by_gene", "feature_metadata", "projection_X_umap"])
def test_every_file_is_zstd_with_page_index_and_chunking(demo, name):
    _, report = demo
    chunks = column_chunks(report, name).values()
    assert {c.compression for c in chunks} == {"ZSTD"}
    assert all(c.has_column_index and c.has_offset_index for c in chunks)
    metadata = pq.read_metadata(report.path / f"{report.manifest.prefix}_{name}.parquet").metadata
    assert metadata.items() >= layout.file_metadata().items()


def test_types(demo):
    _, report = demo
    prefix = report.path / report.manifest.prefix
    schema = pq.read_schema(f"{prefix}_expression.parquet")
    types = {f.name: str(f.type) for f in schema}
    assert types["source_row"] == "int64"
    assert types["scale"] == "float"
    assert types["genes"] == types["counts"] == "list<element: uint16 not null>"
    assert types["levels"] == "list<element: float not null>"
    assert types["DonorID"].startswith("dictionary<values=string")
    by_gene = {f.name: str(f.type) for f in pq.read_schema(f"{prefix}_expression_by_gene.parquet")}
    assert by_gene == {
        "gene": "string", "gene_id": "string", "token": "int32", "n_cells": "int64",
        "cells": "list<element: uint32 not null>", "counts": "list<element: uint16 not null>",
    }  # fmt: skip


def test_row_groups_of_cells(counts, build_atlas):
    adata = anndata.AnnData(sp.csr_matrix(np.tile(counts, (25, 1)).astype("f4")))
    report = build_atlas(adata)
    metadata = pq.read_metadata(report.path / report.manifest.layout.expression)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [1024, 1024, 952]
    assert_holds(report, adata)


def test_row_groups_of_genes_are_bounded_by_non_zeros(counts, build_atlas, atlas, monkeypatch):
    monkeypatch.setattr(layout, "ROW_GROUP_NONZEROS", 200)
    report = build_atlas(atlas)
    assert_holds(report, atlas)
    metadata = pq.read_metadata(report.path / report.manifest.layout.expression_by_gene)
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    n_cells = parquet(report, "feature_metadata")["n_cells"].to_numpy()
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for a, b in pairwise(starts):
        assert b - a == 1 or n_cells[a:b].sum() <= 200
        if b < len(n_cells):
            assert n_cells[a : b + 1].sum() > 200


def test_row_groups_of_the_panel(many, build_atlas, monkeypatch):
    monkeypatch.setattr(layout, "PANEL_ROW_GROUP_CELLS", 700)
    monkeypatch.setattr(Resources, "bucket_values", 1)  # buckets of 1,024 cells, which end elsewhere
    report = build_atlas(many)
    metadata = pq.read_metadata(report.path / report.manifest.layout.expression_panel)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [700, 700, 700, 700, 200]
    panel = parquet(report, "expression_panel").set_index("cell_id").loc[many.obs_names]
    genes = list(report.manifest.panel["genes"])
    assert panel[genes].to_numpy().tobytes() == many[:, genes].X.toarray().tobytes()
    assert panel["donor_id"].astype(str).tolist() == many.obs["donor_id"].astype(str).tolist()


# the same bytes


@pytest.fixture
def many(counts, atlas):
    """3,000 cells: several row groups, and several buckets where these are small."""
    obs = pd.concat([atlas.obs] * 25).set_axis([f"cell-{i}" for i in range(3000)])
    return anndata.AnnData(sp.vstack([atlas.X] * 25).tocsr(), obs, atlas.var, uns=atlas.uns)


@pytest.mark.parametrize("kind", ["log1p", "real"])
def test_bytes_do_not_depend_on_threads_memory_or_blocks(many, build_atlas, monkeypatch, kind):
    if kind == "real":
        for cell in (3, 5, 2900):
            many.X.data[many.X.indptr[cell] : many.X.indptr[cell + 1]] **= np.float32(1.1)
    first = build_atlas(many, threads=1, memory="512MiB")
    assert first.manifest.kind == kind
    assert_holds(first, many)
    expected = {p.name: p.read_bytes() for p in first.path.iterdir()}
    for threads, memory in ((1, "512MiB"), (2, "2GiB"), (4, "1GiB")):
        report = build_atlas(many, f"{threads}-{memory}", threads=threads, memory=memory)
        assert {p.name: p.read_bytes() for p in report.path.iterdir()} == expected
    for threads, block, bucket in ((4, 5000, 1), (3, 700, 60_000)):
        monkeypatch.setattr(Resources, "scan_values", block)
        monkeypatch.setattr(Resources, "bucket_values", bucket)
        report = build_atlas(many, f"{threads}-{block}", threads=threads)
        assert {p.name: p.read_bytes() for p in report.path.iterdir()} == expected


MATRIX_FILES = ("expression", "expression_by_gene", "expression_panel", "sample_metadata", "feature_metadata")


@pytest.mark.parametrize("storage", [sp.csc_matrix, lambda X: X.toarray()], ids=["csc", "dense"])
def test_bytes_do_not_depend_on_the_storage_of_x(many, build_atlas, monkeypatch, storage):
    report = build_atlas(many)
    many.X = storage(many.X)
    monkeypatch.setattr(Resources, "scan_values", 5000)
    other = build_atlas(many, "other", "other", tissue="atlas")
    assert other.manifest.source["storage"] in ("csc", "dense")
    without = ("README.md",)
    assert checksums(other, without) == checksums(report, without)


def test_the_seed_decides_the_order(atlas, build_atlas):
    reports = [build_atlas(atlas, str(seed), seed=seed) for seed in (0, 1)]
    orders = [parquet(report, "expression")["source_row"].tolist() for report in reports]
    assert orders[0] != orders[1]
    for order in orders:
        assert order != sorted(order)
        assert sorted(order) == list(range(120))


def test_without_a_shuffle_the_order_is_that_of_the_source(atlas, build_atlas):
    report = build_atlas(atlas, shuffle=False)
    for name in PER_CELL:
        assert parquet(report, name)["cell_id"].tolist() == atlas.obs_names.tolist()
    assert parquet(report, "expression")["source_row"].tolist() == list(range(120))
    assert_holds(report, atlas)


# kinds of matrices


def test_the_small_atlas(atlas, counts, build_atlas):
    report = build_atlas(atlas)
    assert_holds(report, atlas)
    factors = np.maximum(np.gcd.reduce(counts, axis=1, keepdims=True), 1)
    assert matrix(report, "counts").tolist() == (counts // factors).tolist()
    assert report.manifest.notes == [
        "1 cells express no gene", "1 genes are expressed in no cell",
        "40 cells have no age that can be read from 'development_stage': missing: 'unknown' (40 cells)",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u2"])
def test_counts(atlas, counts, build_atlas, dtype):
    atlas.X = sp.csr_matrix(counts.astype(dtype))
    report = build_atlas(atlas)
    assert report.manifest.kind == "counts"
    assert report.manifest.source["dtype"] == np.dtype(dtype).name
    assert_holds(report, atlas)
    expression = parquet(report, "expression")
    assert not {"scale", "levels", "values"} & set(expression.columns)
    panel = parquet(report, "expression_panel").iloc[:, 1 + len(report.manifest.obs["labels"]) :]
    total = np.maximum(counts.sum(axis=1), 1)[:, None]
    expected = np.log1p(counts / total * 1e4)[expression["source_row"]][:, atlas.var_names.get_indexer(panel.columns)]
    np.testing.assert_allclose(panel, expected, rtol=1e-6)


@pytest.mark.parametrize(("largest", "dtype"), [(65_535, "uint16"), (65_536, "uint32"), (2**32 - 1, "uint32")])
def test_counts_past_65535_are_wide_in_both_files(atlas, counts, build_atlas, largest, dtype):
    wide = counts.astype("f8")
    wide[3, 4] = largest
    atlas.X = sp.csr_matrix(wide)
    report = build_atlas(atlas)
    assert_holds(report, atlas)
    assert matrix(report).dtype == by_gene_matrix(report).dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_fpkm_is_kept_as_it_is(atlas, build_atlas, dtype):
    rng = np.random.default_rng(0)
    atlas.X = sp.csr_matrix((rng.lognormal(0, 1, atlas.shape) * (rng.random(atlas.shape) < 0.4)).astype(dtype))
    report = build_atlas(atlas)
    assert report.manifest.kind == "real"
    assert_holds(report, atlas)
    expression = parquet(report, "expression")
    assert not {"scale", "levels", "counts"} & set(expression.columns)
    assert expression["values"][0].dtype == np.dtype(dtype)
    assert "n_counts" not in parquet(report, "feature_metadata")
    tried = ["counts", "log1p", "log1p of base 2", "log1p of base 10", "normalized"]
    assert list(report.manifest.recovery["refused"]) == tried
    assert report.manifest.recovery["refused"]["log1p"][0] == atlas.obs_names[0]
    assert "no integer counts lie behind the values" in report.manifest.notes[0]


def test_one_cell_that_is_no_counts_makes_the_matrix_real(atlas, build_atlas):
    row = slice(atlas.X.indptr[90], atlas.X.indptr[91])
    atlas.X.data[row] **= np.float32(1.1)
    report = build_atlas(atlas)
    assert report.manifest.kind == "real"
    assert report.manifest.recovery["refused"]["log1p"] == ["AAC-90"]
    assert_holds(report, atlas)


def test_log_normalised_float64(atlas, counts, build_atlas):
    atlas.X = sp.csr_matrix(np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1500))
    report = build_atlas(atlas)
    assert (report.manifest.kind, report.manifest.recovery["target_sum"]) == ("log1p", 1500)
    assert parquet(report, "expression")["levels"][0].dtype == np.float64
    assert_holds(report, atlas)


def test_a_target_for_each_cell_is_no_target(atlas, counts, build_atlas):
    target = np.random.default_rng(0).uniform(900, 1100, (120, 1))
    atlas.X = sp.csr_matrix(np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * target).astype("f4"))
    report = build_atlas(atlas)
    assert (report.manifest.kind, report.manifest.recovery["target_sum"]) == ("log1p", None)
    assert_holds(report, atlas)


def test_negative_values_only_where_allowed(atlas, build_atlas):
    atlas.X = np.random.default_rng(0).normal(size=atlas.shape).astype("f4")
    at = np.argwhere(atlas.X < 0)[0]
    with pytest.raises(SourceError, match=f"X at cell 'AAC-{at[0]}', gene 'GENE{at[1]}': negative value") as error:
        build_atlas(atlas, "refused")
    assert "--allow-negative" in error.value.hint
    assert_holds(build_atlas(atlas, allow_negative=True), atlas)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "the value is NaN"), (np.inf, "the value is infinite")])
def test_invalid_values_name_cell_and_gene_and_leave_nothing(atlas, build_atlas, tmp_path, value, message):
    atlas.X[77, 30] = value
    with pytest.raises(SourceError, match=f"X at cell 'AAC-77', gene 'GENE30': {message}"):
        build_atlas(atlas)
    assert not (tmp_path / "dataset").exists()


def test_nothing_expressed_at_all(atlas, build_atlas):
    atlas.X = sp.csr_matrix(atlas.shape, dtype="f4")
    report = build_atlas(atlas)
    assert (report.manifest.kind, report.manifest.nnz) == ("counts", 0)
    assert_holds(report, atlas)
    assert parquet(report, "feature_metadata")["source_column"].tolist() == list(range(50))


def test_one_cell_and_one_gene(build_atlas):
    adata = anndata.AnnData(sp.csr_matrix(np.array([[3.0]], "f4")))
    report = build_atlas(adata)
    assert_holds(report, adata)
    assert parquet(report, "feature_metadata")[["mean", "variance"]].to_numpy().tolist() == [[3.0, 0.0]]


def test_more_genes_than_16_bits_number(build_atlas):
    rng = np.random.default_rng(0)
    counts = sp.random(30, 66_000, density=0.01, random_state=rng, format="csr", dtype="f4")
    counts.data[:] = 1 + rng.poisson(1, counts.nnz)
    report = build_atlas(anndata.AnnData(counts))
    prefix = f"{report.path / report.manifest.prefix}"
    assert str(pq.read_schema(f"{prefix}_expression.parquet").field("genes").type) == "list<element: uint32 not null>"
    assert max(genes.max(initial=0) for genes in parquet(report, "expression")["genes"]) > 0
    found = sp.csr_matrix(matrix(report))
    assert (found != counts).nnz == 0
    assert by_gene_matrix(report).sum() == counts.sum()


def test_explicit_zeros_and_unsorted_genes_are_put_right_and_reported(atlas, build_atlas):
    expected = atlas.X.toarray()
    X = atlas.X.copy()
    X.data[:3] = 0
    expected[0, X.indices[:3]] = 0
    row = slice(X.indptr[5], X.indptr[6])
    X.indices[row], X.data[row] = X.indices[row][::-1].copy(), X.data[row][::-1].copy()
    atlas.X = X
    report = build_atlas(atlas)
    assert matrix(report).tobytes() == expected.tobytes()
    assert "3 explicitly stored zeros were dropped" in report.manifest.notes
    assert "1 cells had their genes in no ascending order; they were sorted" in report.manifest.notes


# which matrix


def test_a_layer_or_raw_may_be_x(atlas, counts, build_atlas):
    atlas.layers["counts"] = sp.csr_matrix(counts.astype("f4"))
    atlas.raw = atlas
    raw = atlas[:, :40].copy()
    raw.raw = atlas.raw.to_adata()
    report = build_atlas(raw, layer="counts")
    assert report.manifest.source["matrix"] == "layers/counts"
    assert matrix(report).tolist() == counts[:, :40].tolist()
    report = build_atlas(raw, "raw", raw=True)
    assert report.manifest.source["matrix"] == "raw/X"
    assert report.manifest.n_genes == 50
    assert matrix(report).tobytes() == atlas.X.toarray().tobytes()


def test_a_counts_layer_is_the_witness(atlas, counts, build_atlas, monkeypatch):
    doubled = counts * 2  # a common factor that the values alone cannot tell
    atlas.layers["counts"] = sp.csr_matrix(doubled.astype("f4"))
    monkeypatch.setattr(Resources, "scan_values", 500)
    report = build_atlas(atlas)
    assert report.manifest.recovery["witness"] == "layers/counts"
    assert matrix(report, "counts").tolist() == doubled.tolist()
    assert_holds(report, atlas)


# names


TAKEN = ["cell_id", "CELL_ID", "source_row", "scale", "genes", "source_genes", "counts", "levels", "age_numeric"]


def test_columns_of_obs_that_the_format_has_itself(atlas, build_atlas):
    for i, name in enumerate(TAKEN):
        atlas.obs[name] = np.arange(120) + i
    roles = {"cell_type": ["genes", "cell_id"], "donor": "scale", "age": "development_stage"}
    report = build_atlas(atlas, roles=roles)
    table = parquet(report, "sample_metadata")
    assert table["cell_id"].tolist() == parquet(report, "expression")["cell_id"].tolist()
    assert table.columns.str.lower().is_unique
    assert set(table["age_numeric"].dropna()) == {45.0, 55.0}
    stored = pq.read_table(report.path / report.manifest.layout.sample_metadata)
    back = decode_table(stored, report.manifest.obs["columns"])
    pd.testing.assert_frame_equal(back.loc[atlas.obs_names], atlas.obs)
    labels = report.manifest.obs["labels"]
    expression = parquet(report, "expression")
    assert expression.columns.str.lower().is_unique
    assert expression[labels[0]].tolist() == expression["source_row"].add(TAKEN.index("genes")).tolist()
    assert_holds(report, atlas)


def test_an_own_numeric_age_is_kept(atlas, build_atlas):
    atlas.obs = atlas.obs.drop(columns="development_stage").assign(age_numeric=np.arange(120) / 2)
    report = build_atlas(atlas)
    assert report.manifest.roles["age"] == "age_numeric"
    expression = parquet(report, "expression")
    assert expression["age_numeric"].tolist() == (expression["source_row"] / 2).tolist()


@pytest.mark.parametrize("equal", [True, False])
def test_var_with_its_own_counts_of_cells(atlas, counts, build_atlas, equal):
    atlas.var["n_cells"] = (counts > 0).sum(axis=0) + (0 if equal else 1)
    atlas.var["token"] = np.arange(50)
    report = build_atlas(atlas)
    genes = parquet(report, "feature_metadata")
    assert genes["n_cells"].tolist() == (counts > 0).sum(axis=0)[genes["source_column"]].tolist()
    assert genes["token"].tolist() == list(range(50))
    assert ("source_n_cells" in genes) is not equal
    stored = pq.read_table(report.path / report.manifest.layout.feature_metadata)
    back = decode_table(stored, report.manifest.var["columns"])
    pd.testing.assert_frame_equal(back.loc[atlas.var_names], atlas.var)


def test_genes_named_by_id_show_their_symbols(atlas, build_atlas):
    atlas.var = pd.DataFrame({"feature_name": [f"GENE{i}" for i in range(50)]}, index=atlas.var["gene_ids"].to_numpy())
    atlas.var.iloc[3, 0] = ""
    report = build_atlas(atlas)
    genes = parquet(report, "feature_metadata").set_index("source_column").sort_index()
    assert genes["gene_ids"].tolist() == atlas.var_names.tolist()
    assert genes["gene"].tolist() == [s or i for s, i in zip(atlas.var["feature_name"], atlas.var_names, strict=True)]
    by_gene = parquet(report, "expression_by_gene").set_index("gene")
    assert by_gene.loc["GENE7", "gene_id"] == "ENSG00000000007"


def test_repeated_symbols_have_one_column_each_in_the_panel(atlas, build_atlas):
    symbols = ["PAX7", "pax7", "Sex", *["TWIN"] * 47]
    atlas.var = pd.DataFrame({"SYMBOL": symbols}, index=atlas.var["gene_ids"].to_numpy())
    report = build_atlas(atlas)
    panel = parquet(report, "expression_panel")
    assert panel.columns.str.lower().is_unique
    order = parquet(report, "expression")["source_row"]
    for name, position in (("PAX7", 0), ("pax7", 1), ("Sex", 2)):
        column = next(c for c in panel.columns[1 + len(report.manifest.obs["labels"]) :] if c.startswith(name))
        assert panel[column].tolist() == atlas.X[:, position].toarray()[order, 0].tolist()


def test_embeddings_whose_names_make_one_file_name(atlas, build_atlas):
    atlas.obsm = {"X umap": np.zeros((120, 2)), "X_umap": np.ones((120, 2)), "X+umap": np.full((120, 2), 2.0)}
    report = build_atlas(atlas)
    for key, value in (("X umap", 0), ("X_umap", 1), ("X+umap", 2)):
        entry = report.manifest.obsm[key]
        stored = pq.read_table(report.path / entry["file"]).column(entry["columns"][1]["column"])
        assert set(stored.to_pylist()) == {value}


def test_embeddings_of_other_kinds(atlas, build_atlas):
    atlas.obsm["frame"] = pd.DataFrame({"cell_id": range(120), "y": 0.5}, index=atlas.obs_names)
    atlas.obsm["sparse"] = sp.csr_matrix(np.eye(120))
    atlas.obsm["cube"] = np.zeros((120, 2, 2))
    report = build_atlas(atlas)
    frame = parquet(report, "projection_frame")
    order = parquet(report, "expression")["source_row"]
    assert frame.iloc[:, 1].tolist() == order.tolist()
    assert {"obsm/sparse", "obsm/cube"} <= set(report.manifest.left_out)


# ages of donors


def test_exact_ages_from_a_donor_table(atlas, build_atlas, tmp_path):
    atlas.obs = atlas.obs.drop(columns="development_stage")
    (tmp_path / "donors.csv").write_text("donor,age\nD0,31\nD1,72.5\nD2,50\nD9,1\n")
    report = build_atlas(atlas, donors=tmp_path / "donors.csv")
    expression = parquet(report, "expression")
    known = expression["donor_id"].astype(str).map({"D0": 31, "D1": 72.5, "D2": 50})
    np.testing.assert_array_equal(expression["age_years"], known)
    assert known.isna().sum() == 30
    assert "the donor table has no age for D3" in report.manifest.notes


@pytest.mark.parametrize(("table", "drop", "message"), [
    ("donor,age\nX1,31\n", [], r"names none of the donors in 'donor_id' \(D0, D1, D2 …\)"),
    ("donor,age\nD0,31\n", ["donor_id"], "obs has no donor column"),
])  # fmt: skip
def test_donor_tables_that_fit_nobody(atlas, build_atlas, tmp_path, table, drop, message):
    (tmp_path / "donors.csv").write_text(table)
    atlas.obs = atlas.obs.drop(columns=drop)
    with pytest.raises(TitinError, match=message):
        build_atlas(atlas, donors=tmp_path / "donors.csv")
    assert not (tmp_path / "dataset").exists()


# shards


def test_large_files_are_written_as_shards(many, build_atlas, monkeypatch):
    whole = build_atlas(many)
    monkeypatch.setattr(PlainFile.__init__, "__kwdefaults__", {"page_bytes": None, "shard_bytes": 1})
    sharded = build_atlas(many, "sharded")
    prefix = sharded.manifest.prefix
    assert sharded.manifest.shards(sharded.manifest.layout.expression) == [
        f"{prefix}_expression-{i:05d}-of-00003.parquet" for i in range(3)
    ]
    for name in ("expression", "expression_panel", "expression_by_gene", "sample_metadata", "feature_metadata"):
        pd.testing.assert_frame_equal(parquet(sharded, name), parquet(whole, name))
    assert_holds(sharded, many)
    card = (sharded.path / "README.md").read_text("utf-8")
    assert f"    - {prefix}_expression-00002-of-00003.parquet" in card


# options


def test_a_preset_for_another_atlas_says_so(atlas, build_atlas, tmp_path):
    with pytest.raises(TitinError, match="obs has no column 'annotation_level0'"):
        build_atlas(atlas, preset="muscle")
    assert [p.name for p in tmp_path.iterdir()] == ["atlas.h5ad"]


def test_the_folder_is_named_after_the_dataset_where_none_is_given(atlas, build_atlas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    anndata.io.write_h5ad("liver.h5ad", atlas, convert_strings_to_categoricals=False)
    assert build("liver.h5ad", threads=1).path == Path("liver_scrna")
    assert (tmp_path / "liver_scrna" / "titin.json").is_file()
