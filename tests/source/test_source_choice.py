"""What is X, what witnesses its counts, and what is named as left out."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from source_files import assert_identical, random_counts, rebuilt, small_atlas, write

from titin.errors import SourceError
from titin.source import open_source

WITNESS = "witness for count recovery; not stored"
CONTAINERS = ["h5ad", "zarr2", "zarr3"]


def log_normalised(counts: np.ndarray) -> sp.csr_matrix:
    return sp.csr_matrix(np.log1p(counts * 0.37).astype("float32"))


def atlas_with_raw(raw_genes: list[str], raw_X: object) -> anndata.AnnData:
    atlas = small_atlas(log_normalised(random_counts()))
    raw = anndata.AnnData(raw_X, obs=atlas.obs, var=pd.DataFrame({"n": range(len(raw_genes))}, index=raw_genes))
    atlas.raw = raw
    return atlas


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_counts_layer_is_the_witness(tmp_path, scratch, container, convert):
    counts = random_counts()
    atlas = small_atlas(log_normalised(counts), layers={"counts": convert(counts), "scaled": counts - 0.5})
    with open_source(write(atlas, tmp_path / "a", container)) as source:
        assert source.X.name == "X"
        assert source.counts.name == "layers/counts"
        assert_identical(rebuilt(source.counts, 300, scratch), sp.csr_matrix(counts))
        assert source.left_out["layers/counts"] == WITNESS
        assert "layers/scaled" in source.left_out


@pytest.mark.parametrize("spoil", [0.5, -1, np.nan, np.inf])
def test_a_counts_layer_without_counts_is_no_witness(tmp_path, spoil):
    counts = random_counts()
    counts[0, 0] = spoil
    atlas = small_atlas(layers={"counts": sp.csr_matrix(counts)})
    with open_source(write(atlas, tmp_path / "a", "h5ad")) as source:
        assert source.counts is None
        assert source.left_out["layers/counts"] == "holds other values than counts; not stored"


def test_the_most_usual_name_comes_first_and_the_next_is_tried(tmp_path):
    counts = sp.csr_matrix(random_counts(dtype="int32"))
    layers = {"umi": counts, "Raw_Counts": counts, "counts": log_normalised(random_counts())}
    with open_source(write(small_atlas(layers=layers), tmp_path / "a", "h5ad")) as source:
        assert source.counts.name == "layers/Raw_Counts"
        assert source.left_out["layers/counts"].startswith("holds other values")
        assert source.left_out["layers/umi"].startswith("kept by --layers")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_raw_with_more_genes_in_another_order_is_the_witness(tmp_path, scratch, container, convert):
    rng = np.random.default_rng(1)
    genes = [*(f"ENSG{i}" for i in range(23)), *(f"extra{i}" for i in range(10))]
    order = rng.permutation(len(genes))
    full = np.hstack([random_counts(), random_counts(40, 10, seed=2)])
    atlas = atlas_with_raw([genes[i] for i in order], convert(full[:, order]))
    with open_source(write(atlas, tmp_path / "a", container)) as source:
        assert source.counts.name == "raw/X"
        assert source.counts.shape == source.X.shape
        for max_bytes in (1, 500, 10**9):
            found = rebuilt(source.counts, max_bytes, scratch)
            np.testing.assert_array_equal(found.toarray(), random_counts())
        assert source.left_out["raw"] == f"{WITNESS}; 10 of its genes are not in X"


@pytest.mark.parametrize("place", ["layers/counts", "raw/X"])
def test_a_damaged_witness_does_not_stop_x(tmp_path, place):
    counts = sp.csr_matrix(random_counts())
    atlas = atlas_with_raw([f"ENSG{i}" for i in range(23)], counts)
    if place != "raw/X":
        atlas.layers["counts"] = counts
        del atlas.raw
    path = write(atlas, tmp_path / "a", "h5ad")
    with h5py.File(path, "r+") as file:
        del file[place]["indptr"]
    with open_source(path) as source:
        assert source.counts is None
        assert source.left_out[place.removesuffix("/X")].startswith("cannot be read (")


def test_raw_that_lacks_genes_of_x_is_no_witness(tmp_path):
    atlas = atlas_with_raw([f"ENSG{i}" for i in range(1, 24)], sp.csr_matrix(random_counts()))
    with open_source(write(atlas, tmp_path / "a", "h5ad")) as source:
        assert source.counts is None
        assert source.left_out["raw"] == "lacks 1 genes of X; not stored"


def test_raw_index_outside_its_genes(tmp_path, scratch):
    genes = [*(f"ENSG{i}" for i in range(23)), "extra"]
    path = write(atlas_with_raw(genes, sp.csr_matrix(random_counts(40, 24))), tmp_path / "a", "h5ad")
    with h5py.File(path, "r+") as file:
        file["raw/X/indices"][3] = 24
    with open_source(path) as source, pytest.raises(SourceError, match="raw/X is damaged"):
        list(source.counts.blocks(10**6, scratch))


@pytest.mark.parametrize("container", CONTAINERS)
def test_layer_and_raw_choose_x(tmp_path, scratch, container):
    raw_X = random_counts(40, 30, seed=3)
    atlas = atlas_with_raw([f"g{i}" for i in range(30)], sp.csr_matrix(raw_X))
    atlas.layers["spliced"] = sp.csc_matrix(random_counts(seed=4))
    path = write(atlas, tmp_path / "a", container)
    with open_source(path, layer="spliced") as source:
        assert source.X.name == "layers/spliced"
        assert_identical(rebuilt(source.X, 300, scratch), sp.csr_matrix(random_counts(seed=4)))
        assert source.counts is None
        assert set(source.left_out) == {"X", "raw"}
        assert list(source.var.index) == list(atlas.var_names)
    with open_source(path, raw=True) as source:
        assert source.X.name == "raw/X"
        assert_identical(rebuilt(source.X, 300, scratch), sp.csr_matrix(raw_X))
        pd.testing.assert_frame_equal(source.var, atlas.raw.var)
        assert list(source.obs.index) == list(atlas.obs_names)
        assert set(source.left_out) == {"X", "var", "layers/spliced"}


@pytest.mark.parametrize("container", CONTAINERS)
def test_everything_left_out_is_named(tmp_path, container):
    atlas = small_atlas()
    atlas.obsp["distances"] = sp.eye_array(40, format="csr")
    atlas.varp["correlation"] = np.eye(23)
    atlas.varm["PCs"] = np.ones((23, 2))
    atlas.layers["spliced"] = random_counts()
    atlas.raw = atlas.copy()
    path = write(atlas, tmp_path / "a", container)
    if container == "h5ad":
        with h5py.File(path, "r+") as file:
            file["extra/thing"] = 1
            file["obs/stray"] = np.zeros(40)
            file["uns/odd"] = 1
            file["uns/odd"].attrs["encoding-type"] = "of the future"
            file["uns/a/b/text"].attrs["encoding-type"] = "of the future"
            file["obsm/odd"] = np.zeros((40, 2))
            file["obsm/odd"].attrs["encoding-type"] = "of the future"
            file["obsm/short"] = np.zeros((39, 2))
    with open_source(path) as source:
        expected = {"obsp/distances", "varp/correlation", "varm/PCs", "layers/spliced", "raw", "raw/varm/PCs"}
        if container == "h5ad":
            expected |= {"extra", "obs/stray", "uns/odd", "uns/a/b/text", "obsm/odd", "obsm/short"}
            assert source.uns["a"]["b"] == {"c": 1}
            assert "of the future" in source.left_out["uns/odd"]
            assert source.left_out["obsm/odd"] == "unknown encoding 'of the future'"
            assert source.left_out["obsm/short"] == "has 39 rows for 40 cells"
        assert set(source.left_out) == expected
        assert set(source.obsm) == {"X_umap", "frame"}


def test_obsm_is_read_on_access_only(tmp_path):
    path = write(small_atlas(), tmp_path / "a", "h5ad")
    with open_source(path) as source:
        obsm = source.obsm
        assert "X_umap" in obsm
        assert len(obsm) == 2
    with pytest.raises(SourceError, match="obsm/X_umap cannot be read"):
        obsm["X_umap"]
