"""Names that repeat or are missing: keyed by ids, made unique, or refused with both ways named."""

import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.utils import make_index_unique
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.ageing import senescence
from titin.atlas.selection import UnknownNameError
from titin.check import validate
from titin.errors import SourceError
from titin.exporter import export
from titin.source import open_source

N_CELLS = 24
SYMBOLS = ["MYH7", "MATR3", "CDKN1A", "MATR3", "CDKN1A", "MATR3", "XIST", "ACTB"]
IDS = [f"ENSG{i:011d}" for i in range(8)]
CHECKS = ["integrity", "metadata", "matrix", "source"]


def atlas(symbols: list[str] = SYMBOLS, barcodes: list[str] | None = None, **var: object) -> ad.AnnData:
    counts = np.random.default_rng(0).poisson(1.2, (N_CELLS, len(symbols))).astype(np.float32)
    counts[:, 0] = 3
    counts[:12, 1] = 0
    obs = pd.DataFrame({"donor": [f"D{i % 4}" for i in range(N_CELLS)], "age": [20 + 15 * (i % 4) for i in range(24)]})
    obs["cell_type"] = pd.Categorical(["A", "B"] * 12)
    obs.index = barcodes or [f"cell{i}" for i in range(N_CELLS)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(var, index=symbols))


def write(adata: ad.AnnData, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (adata.write_zarr if path.suffix == ".zarr" else adata.write_h5ad)(path)
    return path


def read(path: Path) -> ad.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)


ID_COLUMNS = {
    "by convention": {"gene_ids": IDS},
    "capitals": {"ENSEMBL": IDS},
    "labels": {"feature_id": pd.Categorical(IDS)},
    "a name of its own": {"Ensembl.Gene.ID": IDS, "n": np.arange(8)},
    "by look": {"other": [f"{i}.3" for i in IDS]},
    "fly": {"key": [f"FBgn{i:07d}" for i in range(8)]},
    "numbers": {"entrez_id": np.arange(100, 108)},
    "after one that repeats": {"gene_ids": ["x"] * 8, "ensembl_id": IDS},
    "after one with gaps": {"gene_ids": [None, *IDS[1:]], "ensembl_id": IDS},
}


@pytest.mark.parametrize("columns", ID_COLUMNS.values(), ids=ID_COLUMNS)
def test_a_column_of_unique_ids_becomes_the_key(tmp_path, columns):
    path = write(atlas(**columns), tmp_path / "a.h5ad")
    with open_source(path) as source:
        assert source.var.index.is_unique
        assert list(source.var["gene_symbols"]) == SYMBOLS
        assert source.own_names == {"column": "gene_symbols", "name": None}
        assert "keyed by" in source.notes[0]


@pytest.mark.parametrize(
    "columns", [{}, {"gene_ids": ["x"] * 8}, {"n": np.arange(8)}, {"length": [f"{i}" for i in range(8)]}], ids=str
)
def test_without_ids_repeated_genes_are_refused_with_both_ways_out(tmp_path, columns):
    path = write(atlas(**columns), tmp_path / "a.h5ad")
    with pytest.raises(SourceError, match=r"duplicate genes: 2 names occur more than once \(MATR3, CDKN1A\)") as error:
        titin.build(path, tmp_path / "d", project=())
    assert "--make-unique" in error.value.hint
    assert "gene_ids" in error.value.hint


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keyed")
    adata = atlas(gene_ids=IDS, gene_symbols=list("abcdefgh"))
    adata.var.index.name = "symbol"
    source = write(adata, folder / "a.h5ad")
    titin.build(source, folder / "d", project=())
    return folder


def test_a_dataset_keyed_by_ids(keyed):
    opened = titin.open(keyed / "d")
    assert list(opened.var_names) == IDS
    assert list(opened.var["gene_symbols1"]) == SYMBOLS
    table = pd.read_parquet(next((keyed / "d").glob("*_feature_metadata.parquet"))).sort_values("source_column")
    assert list(table["gene"]) == SYMBOLS
    with pytest.raises(UnknownNameError, match="3 genes have the symbol 'MATR3'") as error:
        opened["MATR3"]
    assert all(IDS[i] in error.value.hint for i in (1, 3, 5))
    own = read(keyed / "a.h5ad")
    expected = pd.Series(own.X[:, 3].toarray().ravel(), own.obs_names)
    pd.testing.assert_series_equal(
        opened[IDS[3]].reindex(own.obs_names), expected, check_names=False, check_dtype=False
    )


def test_sets_take_the_gene_of_a_symbol_that_most_cells_express(keyed):
    opened = titin.open(keyed / "d")
    expressed = {i: int((read(keyed / "a.h5ad").X[:, i] > 0).sum()) for i in (1, 3, 5)}
    assert opened.main_names(["MATR3", "MYH7", "none", IDS[1]]) == {
        "MATR3": IDS[max(expressed, key=expressed.get)], "MYH7": IDS[0], IDS[1]: IDS[1],
    }  # fmt: skip
    assert "CDKN1A" in set(senescence(opened, min_cells=1).detection["gene"])


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_the_export_has_the_names_of_the_source(keyed, tmp_path, suffix):
    export(keyed / "d", suffix[1:], tmp_path / f"b{suffix}")
    theirs, ours = read(keyed / "a.h5ad"), read(tmp_path / f"b{suffix}")
    pd.testing.assert_frame_equal(ours.var, theirs.var)
    pd.testing.assert_frame_equal(ours.obs, theirs.obs)
    assert (ours.X != theirs.X).nnz == 0


@pytest.mark.parametrize("to", ["mtx", "wide"])
def test_other_exports_of_repeated_symbols(keyed, tmp_path, to):
    export(keyed / "d", to, tmp_path / "out")


def test_a_dataset_keyed_by_ids_is_valid_against_its_source(keyed):
    report = validate(keyed / "d", source=keyed / "a.h5ad", level="full", checks=CHECKS, threads=1)
    assert report.count("error") == report.count("crashed") == 0


def test_raw_of_the_same_repeated_names_is_a_witness(tmp_path):
    adata = atlas(gene_ids=IDS)
    adata.raw = atlas(gene_ids=IDS)
    adata.X = adata.X.log1p()
    with open_source(write(adata, tmp_path / "a.h5ad")) as source:
        assert source.counts is not None
    with open_source(write(adata, tmp_path / "a.h5ad"), make_unique=True) as source:
        assert source.counts is not None


# made unique


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.sampled_from(["a", "b", "a-1", "a-2", "b-1", "c"]), min_size=1, max_size=12))
def test_names_are_made_unique_as_anndata_does(tmp_path_factory, names):
    counts = np.ones((len(names), len(names)), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = ad.AnnData(counts, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=names))
        expected = list(make_index_unique(pd.Index(names)))
    path = write(adata, tmp_path_factory.mktemp("u") / "a.h5ad")
    with open_source(path, make_unique=True) as source:
        assert list(source.obs.index) == list(source.var.index) == expected
        assert bool(source.notes) == (len(set(names)) < len(names))


def test_make_unique_through_build_export_and_validation(tmp_path):
    barcodes = ["twin", "twin", *(f"cell{i}" for i in range(22))]
    path = write(atlas(barcodes=barcodes), tmp_path / "a.h5ad")
    with pytest.raises(SourceError, match="duplicate barcodes") as error:
        titin.build(path, tmp_path / "d", project=())
    assert "--make-unique" in error.value.hint
    report = titin.build(path, tmp_path / "d", project=(), make_unique=True)
    assert report.manifest.settings["make_unique"] is True
    assert any("made unique" in note for note in report.manifest.notes)
    export(tmp_path / "d", "h5ad", tmp_path / "b.h5ad")
    own, back = read(path), read(tmp_path / "b.h5ad")
    own.obs_names_make_unique()
    own.var_names_make_unique()
    pd.testing.assert_frame_equal(back.obs, own.obs)
    pd.testing.assert_frame_equal(back.var, own.var)
    assert titin.open(tmp_path / "d")["MATR3-1"].sum() == own[:, "MATR3-1"].X.sum()
    checked = validate(tmp_path / "d", source=path, level="full", checks=CHECKS, threads=1)
    assert checked.count("error") == checked.count("crashed") == 0


def test_names_that_are_missing_are_made(tmp_path):
    path = write(atlas(), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        file["obs/_index"][[3, 7]] = ""
    with pytest.raises(SourceError, match="2 cells have no name") as error:
        open_source(path)
    assert "--make-unique" in error.value.hint
    with open_source(path, make_unique=True) as source:
        assert list(source.obs.index[[3, 7]]) == ["unnamed", "unnamed-1"]
        assert "2 cells have no name" in source.notes[0]


def test_10x_with_repeated_symbols_made_unique(tmp_path):
    path = tmp_path / "a.h5"
    matrix = sparse.csc_matrix(atlas().X.T)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = [f"cell{i}" for i in range(N_CELLS)]
        group["shape"] = matrix.shape
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(matrix, part)
        group["features/id"], group["features/name"] = IDS, SYMBOLS
    with open_source(path) as source:
        assert list(source.var.index) == IDS
        assert source.symbols == "gene_symbols"
    with open_source(path, make_unique=True) as source:
        assert list(source.var.index) == list(make_index_unique(pd.Index(SYMBOLS)))
        assert list(source.var["gene_ids"]) == IDS
