"""Pseudobulk and gene statistics are the sums over cells that they say."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import titin
from small_builds import build_each_kind
from titin.ageing import Pseudobulk, gene_statistics, pseudobulk, write_pseudobulk
from titin.ageing.pseudobulk import _narrow
from titin.demo import write_demo_atlas
from titin.errors import TitinError

LEVEL = "annotation_level0"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo without a pseudobulk of its own."""
    folder = tmp_path_factory.mktemp("pseudobulk")
    write_demo_atlas(folder / "demo.h5ad", n_cells=800, n_genes=200)
    titin.build(folder / "demo.h5ad", folder / "demo", preset="muscle")
    return titin.open(folder / "demo")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """A small dataset of each kind, with a cell without counts and one without a donor, and its dense values."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.4, (600, 50))
    counts[:, 0] = rng.integers(1, 90_000, 600)
    counts[7] = 0
    obs = pd.DataFrame({
        "donor": [f"d{i % 4}" for i in range(600)], "cell_type": np.where(rng.random(600) < 0.3, "A", "B"),
        "batch_number": rng.integers(1, 3, 600),
    }, index=[f"c{i}" for i in range(600)])  # fmt: skip
    obs.loc["c3", "donor"] = None
    return build_each_kind(folder, counts, obs, rng)


def dense(atlas, *, counts=True):
    matrix = (atlas.counts if counts else atlas.X)[:, :].toarray()
    return pd.DataFrame(matrix, atlas.obs_names, atlas.var_names)


def test_aggregates_are_sums_over_cells(demo):
    by = [LEVEL, "donor", "protocol"]
    found = pseudobulk(demo, threads=2).aggregate(by)
    obs = demo.obs.rename(columns={"DonorID": "donor", "batch": "protocol"})
    keys = [obs[name].astype(str).to_numpy() for name in by]
    counts = dense(demo)
    expected, cells = counts.groupby(keys).sum(), (counts > 0).groupby(keys).sum()
    names = demo.var.set_index("SYMBOL").loc[found.genes["gene"]].index
    assert list(expected.index) == list(found.groups[by].itertuples(index=False, name=None))
    np.testing.assert_array_equal(found.counts.toarray(), expected[names].to_numpy())
    np.testing.assert_array_equal(found.detected.toarray(), cells[names].to_numpy())
    np.testing.assert_array_equal(found.groups["n_cells"], counts.groupby(keys).size().to_numpy())
    assert {"sex", "age"} <= set(found.groups)  # the same throughout a donor
    assert "sample" not in found.groups


@pytest.mark.parametrize("threads", [1, 3])
def test_the_file_says_what_was_computed(demo, tmp_path, threads):
    import shutil

    folder = shutil.copytree(demo.folder, tmp_path / "demo")
    computed = pseudobulk(demo)
    atlas = write_pseudobulk(titin.open(folder), threads=threads)
    name = atlas.layout.pseudobulk
    entry = atlas.manifest.files[name]
    assert entry["rows"] == len(computed)
    assert set(computed.groups) | {"genes", "counts", "cells"} == set(pd.read_parquet(folder / name).columns)
    read = pseudobulk(titin.open(folder))
    pd.testing.assert_frame_equal(read.groups, computed.groups)
    assert (read.counts != computed.counts).nnz == 0
    assert (read.detected != computed.detected).nnz == 0
    again = write_pseudobulk(titin.open(folder))
    assert again.manifest.files[name] == entry
    lists = pd.read_parquet(folder / name)
    assert all((np.diff(genes.astype(int)) > 0).all() for genes in lists["genes"])


def test_selection_is_by_value_or_mask(demo):
    found = pseudobulk(demo)
    some = found.select(protocol="nuclei", annotation_level0=["MuSC", "FB"])
    mask = ((found.groups["protocol"] == "nuclei") & found.groups[LEVEL].isin(["MuSC", "FB"])).to_numpy()
    assert len(some) == mask.sum() > 0
    assert (some.counts != found.select(mask).counts).nnz == 0
    with pytest.raises(TitinError, match="no column 'colour'"):
        found.select(colour="red")


def test_cells_without_a_donor_or_counts(kinds):
    atlas, _, counts = kinds["counts"]
    found = pseudobulk(atlas)
    assert found.counts.sum() == counts.sum()
    assert found.groups["n_cells"].sum() == 600
    assert found.groups["donor"].isna().sum() == 1
    by_donor = found.aggregate(["donor"])
    assert by_donor.groups["n_cells"].sum() == 599
    assert found.counts.max() > np.iinfo(np.uint16).max


def test_extra_columns_split_groups(kinds):
    atlas, _, _ = kinds["log1p"]
    found = pseudobulk(atlas, extra=["batch_number"])
    assert set(found.groups["batch_number"]) == {1.0, 2.0}
    whole, parts = (p.aggregate(["donor", "cell_type"]) for p in (pseudobulk(atlas), found))
    assert (whole.counts != parts.counts).nnz == 0
    with pytest.raises(TitinError, match="obs has no column 'nothing'"):
        pseudobulk(atlas, extra=["nothing"])


def test_no_counts_and_no_donors_are_said_in_one_sentence(kinds, tmp_path):
    with pytest.raises(TitinError, match="this dataset has no counts"):
        pseudobulk(kinds["real"][0])
    ad.AnnData(sparse.csr_matrix(np.eye(20, dtype=np.float32))).write_h5ad(tmp_path / "x.h5ad")
    titin.build(tmp_path / "x.h5ad", tmp_path / "x", method="x")
    with pytest.raises(TitinError, match="this dataset has no donors"):
        pseudobulk(titin.open(tmp_path / "x"))


@pytest.mark.parametrize("kind", ["counts", "log1p", "real"])
def test_gene_statistics_are_those_of_the_values(kinds, kind):
    atlas, X, counts = kinds[kind]
    if kind == "counts":
        X = np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1) * 1e4)
    labels = atlas.obs["cell_type"].astype(str).to_numpy()
    found = gene_statistics(atlas, "cell_type").table.set_index(["cell_type", "gene"])
    for label in ("A", "B"):
        own = pd.DataFrame(X[labels == label], columns=atlas.var_names).astype(float)
        part = found.loc[label].loc[atlas.var_names]
        assert set(part["n_cells"]) == {len(own)}
        np.testing.assert_array_equal(part["detected"], (own > 0).sum())
        np.testing.assert_allclose(part["mean"], own.mean(), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(part["variance"], own.var(), rtol=1e-5, atol=1e-6)


def test_anndata_holds_the_same(demo):
    found = pseudobulk(demo).aggregate(["donor"])
    adata = found.to_anndata()
    assert adata.shape == found.counts.shape
    assert (found.counts != adata.X).nnz == 0
    assert isinstance(found, Pseudobulk)


def test_a_file_of_other_groups_is_not_taken(tmp_path, monkeypatch):
    obs = pd.DataFrame({"donor": [f"d{i % 4}" for i in range(80)], "cell_type": ["A", "B"] * 40},
                       index=[f"c{i}" for i in range(80)])  # fmt: skip
    ad.AnnData(np.ones((80, 5), np.float32), obs=obs).write_h5ad(tmp_path / "s.h5ad")
    titin.build(tmp_path / "s.h5ad", tmp_path / "dataset")
    atlas = write_pseudobulk(titin.open(tmp_path / "dataset"))
    assert set(pseudobulk(atlas).groups["donor"]) == {"d0", "d1", "d2", "d3"}
    monkeypatch.setattr(
        "titin.study.entries.missing_words", lambda values, role: [v for v in values if v == "d3" and role == "donor"]
    )
    found = pseudobulk(titin.open(tmp_path / "dataset"))  # what d3 means has changed since the file was written
    assert set(found.groups["donor"].dropna()) == {"d0", "d1", "d2"}
    assert found.counts.sum() == 400


@pytest.mark.parametrize(("ends", "kind"), [
    ((0, 0), np.uint8), ((0, 255), np.uint8), ((0, 256), np.uint16), ((3, 70_000), np.uint32), ((0, 2**40), np.uint64),
    ((-1, 200), np.int16), ((-1, 2**31), np.int64), ((), np.uint8),
])  # fmt: skip
def test_what_travels_takes_few_bytes_and_is_the_same(ends, kind):
    values = np.array(ends, np.int64)
    found = _narrow(values)
    assert found.dtype == kind
    assert found.astype(np.int64).tolist() == list(ends)
    assert np.concatenate([found, found], dtype=np.int64).tolist() == [*ends, *ends]
