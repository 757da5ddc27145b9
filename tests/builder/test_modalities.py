"""Other modalities of the same cells: apart from the genes, bit for bit, and back."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.io import write_elem

import titin
from titin.check import diff, validate
from titin.cli import main
from titin.errors import TitinError
from titin.exporter import export

N_CELLS = 60
CELLS = [f"cell{i}" for i in range(N_CELLS)]


def genes() -> ad.AnnData:
    rng = np.random.default_rng(1)
    X = sp.csr_matrix(rng.poisson(0.8, (N_CELLS, 20)).astype(np.float32))
    obs = pd.DataFrame({"cell_type": np.array(["T", "B"])[np.arange(N_CELLS) % 2]}, CELLS)
    return ad.AnnData(X, obs, pd.DataFrame({"place": np.arange(20)}, [f"G{i}" for i in range(20)]),
                      layers={"spliced": X.copy()})  # fmt: skip


def proteins() -> ad.AnnData:
    """One of the antibodies is called as a gene is."""
    X = np.random.default_rng(2).poisson(9, (N_CELLS, 5)).astype(np.float32)
    obs = pd.DataFrame({"total": X.sum(axis=1)}, CELLS)
    return ad.AnnData(sp.csc_matrix(X), obs, pd.DataFrame({"clone": list("abcde")}, ["G1", "CD3", "CD4", "CD8", "IgG"]))


def write_h5mu(path: Path, modalities: dict[str, ad.AnnData], obs: pd.DataFrame | None = None) -> Path:
    """A file laid out as MuData writes it."""
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "MuData"
        file.create_group("mod")
        for name, modality in modalities.items():
            write_elem(file, f"mod/{name}", modality)
        write_elem(file, "obs", pd.DataFrame(index=CELLS) if obs is None else obs)
        write_elem(file, "obsm", {"X_wnn": np.zeros((N_CELLS, 2)), "rna": np.ones(N_CELLS, bool)})
    return path


def write_tenx(path: Path, whole: ad.AnnData, types: list[str]) -> Path:
    """A feature matrix as CellRanger writes it: counts of all types of features in one matrix."""
    X = sp.csr_matrix(whole.X)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(whole.obs_names, "S")
        group["shape"] = np.array(whole.shape[::-1])
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(X, name).astype(np.int32)
        features = group.create_group("features")
        features["name"], features["id"] = np.array(whole.var_names, "S"), np.array(whole.var["id"], "S")
        features["feature_type"] = np.array(types, "S")
    return path


@pytest.fixture(scope="module")
def source(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    common = pd.DataFrame({"donor": [f"D{i % 3}" for i in range(N_CELLS)], "rna:cell_type": "a copy"}, CELLS)

    def fill(folder: Path) -> None:
        write_h5mu(folder / "a.h5mu", {"prot": proteins(), "rna": genes()}, common.iloc[::-1])

    return made_once("modalities-source", fill) / "a.h5mu"


@pytest.fixture(scope="module")
def dataset(source: Path, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    def fill(folder: Path) -> None:
        titin.build(source, folder / "d", modalities="prot", layers="spliced", project=())

    return made_once("modalities-dataset", fill) / "d"


def test_antibodies_are_beside_the_genes_and_none_of_them(dataset):
    atlas = titin.open(dataset)
    order = atlas.obs_names
    assert atlas.shape == (N_CELLS, 20)
    assert list(atlas.modalities) == ["prot"]
    prot = atlas.modalities["prot"]
    np.testing.assert_array_equal(prot.X[:].toarray(), proteins()[order].X.toarray(), strict=True)
    np.testing.assert_array_equal(prot["CD4"], proteins()[order, "CD4"].X.toarray().ravel())
    np.testing.assert_array_equal(atlas["G1"], genes()[order, "G1"].X.toarray().ravel())
    np.testing.assert_array_equal(prot["G1"], proteins()[order, "G1"].X.toarray().ravel())
    assert "CD3" not in atlas
    assert list(prot.var["clone"]) == list("abcde")
    assert atlas.query("cell_type == T").modalities["prot"].shape == (N_CELLS // 2, 5)
    np.testing.assert_array_equal(atlas.layers["spliced"][:].toarray(), genes()[order].X.toarray())


def test_columns_for_all_modalities_are_obs_and_copies_are_not(dataset):
    atlas = titin.open(dataset)
    assert list(atlas.obs.columns) == ["cell_type", "donor"]
    assert list(atlas.obs.loc[CELLS[:4], "donor"]) == ["D0", "D1", "D2", "D0"]
    assert atlas.roles["donor"] == "donor"
    assert atlas.manifest.left_out == {
        "mod/prot/obs/total": "of one modality alone; not kept",
        "obsm/X_wnn of all": "of all modalities together; not kept",
    }


def test_it_passes_against_its_source(source, dataset):
    report = validate(dataset, source=source, threads=2)
    assert [f.message for _, f in report.findings("error")] == []
    assert f"mod/prot: {N_CELLS} cells" in report["source.matrix"].outcome.read


def test_back_to_mudata_and_again(source, dataset, tmp_path):
    path = export(dataset, "h5mu", tmp_path / "b.h5mu")
    titin.build(path, tmp_path / "again", modalities="all", layers="spliced", project=())
    found = diff(dataset, tmp_path / "again")
    assert not found.layers
    assert not found.values["cells"]
    assert (found.obs, found.obs_only, found.var, found.var_only) == ({}, {}, {}, {})
    md = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of changes to come in mudata
        whole = md.read(path)
    assert list(whole.mod) == ["rna", "prot"]
    assert (whole["prot"].X != proteins().X).nnz == 0
    assert list(whole["rna"].layers) == ["spliced"]


def test_an_h5ad_says_what_it_has_no_place_for(dataset, tmp_path, capsys):
    main(["export", str(dataset), "--to", "h5ad", "-o", str(tmp_path / "a.h5ad")])
    assert "no place for prot" in capsys.readouterr().err
    assert ad.read_h5ad(tmp_path / "a.h5ad").shape == (N_CELLS, 20)


def test_a_subset_keeps_its_cells_of_each_modality(dataset, tmp_path):
    titin.subset(dataset, tmp_path / "s", where="donor=D1", genes=["G1", "G5"])
    part = titin.open(tmp_path / "s")
    assert part.shape == (20, 2)
    np.testing.assert_array_equal(part.modalities["prot"].X[:].toarray(), proteins()[part.obs_names].X.toarray())


def test_types_of_features_of_10x_are_modalities(tmp_path):
    antibodies = proteins()
    antibodies.var_names = [f"{name}_TotalSeq" for name in antibodies.var_names]
    whole = ad.concat([genes(), antibodies], axis=1)
    whole.var["id"] = [f"ENSG{i:011d}" for i in range(20)] + [f"AB{i}" for i in range(5)]
    whole.X = sp.csr_matrix(whole.X)
    types = ["Gene Expression"] * 20 + ["Antibody Capture"] * 4 + ["CRISPR Guide Capture"]
    path = write_tenx(tmp_path / "a.h5", whole, types)
    left = titin.build(path, tmp_path / "none", project=()).manifest.left_out
    assert left["CRISPR Guide Capture"].endswith("--modalities 'CRISPR Guide Capture' keeps them apart")
    titin.build(path, tmp_path / "d", modalities="all", project=())
    atlas = titin.open(tmp_path / "d")
    assert {name: one.shape for name, one in atlas.modalities.items()} == {
        "prot": (N_CELLS, 4), "CRISPR Guide Capture": (N_CELLS, 1)
    }  # fmt: skip
    mine = whole[atlas.obs_names].X.toarray()
    np.testing.assert_array_equal(atlas.X[:].toarray(), mine[:, :20])
    np.testing.assert_array_equal(atlas.modalities["prot"].X[:].toarray(), mine[:, 20:24])
    assert validate(tmp_path / "d", source=path, threads=2).passed


@pytest.mark.parametrize(("change", "options", "said"), [
    (lambda mods: mods.update(prot=mods["prot"][::-1].copy()), {"modalities": "prot"}, "in another order"),
    (lambda mods: mods.update(prot=mods["prot"][:50].copy()), {"modalities": "all"}, "mod/prot has other cells"),
    (lambda mods: None, {"modalities": "atac"}, "--modalities names 'atac'"),
    (lambda mods: mods.update(transcripts=mods.pop("rna")), {}, "none of which is called rna"),
    (lambda mods: mods["rna"].X.data.__setitem__(0, np.nan), {}, "X at cell 'cell0', gene 'G0': the value is NaN"),
])  # fmt: skip
def test_what_cannot_be_read_is_said(tmp_path, change: Callable[[dict[str, Any]], None], options, said):
    modalities = {"prot": proteins(), "rna": genes()}
    change(modalities)
    path = write_h5mu(tmp_path / "a.h5mu", modalities)
    with pytest.raises(TitinError, match=said):
        titin.build(path, tmp_path / "d", project=(), **options)
    assert not (tmp_path / "d").exists()


def test_a_modality_of_other_cells_is_left_out_unless_asked_for(tmp_path):
    path = write_h5mu(tmp_path / "a.h5mu", {"prot": proteins()[:50].copy(), "rna": genes()})
    report = titin.build(path, tmp_path / "d", project=())
    assert report.manifest.left_out["mod/prot"] == "--modalities prot keeps it"


def test_antibodies_among_the_genes_of_an_h5ad_are_said(tmp_path):
    antibodies = proteins()
    antibodies.var_names = [f"{name}_TotalSeq" for name in antibodies.var_names]
    whole = ad.concat([genes(), antibodies], axis=1)
    whole.X = sp.csr_matrix(whole.X)
    whole.var["feature_types"] = ["Gene Expression"] * 20 + ["Antibody Capture"] * 5
    whole.write_h5ad(tmp_path / "a.h5ad")
    notes = titin.build(tmp_path / "a.h5ad", tmp_path / "d", project=()).manifest.notes
    assert any("not all of X are genes: 5 Antibody Capture are among them" in note for note in notes)
