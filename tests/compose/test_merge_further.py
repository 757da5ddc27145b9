"""Raw and modalities that all studies have are joined as X is; what is left out is said."""

from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import write_elem
from scipy import sparse
from small_studies import build_study, exported, make_study

import titin
from titin.errors import DatasetError

SIZES = {"one": 40, "two": 30, "three": 20}
RAW = {"one": range(40), "two": range(39, 9, -1), "three": range(5, 45)}
PROTEINS = {"one": ["CD3", "CD4", "CD8"], "two": ["CD8", "IgG", "CD3"], "three": ["CD3", "CD8"]}


def study(name: str) -> ad.AnnData:
    """Counts; raw has more genes than X, in another order."""
    n, rng = SIZES[name], np.random.default_rng(len(name))
    whole = make_study("counts", [f"G{i}" for i in RAW[name]][5:25], n, seed=n, prefix=name)
    values = sparse.csr_matrix(rng.poisson(0.7, (n, len(RAW[name]))).astype(np.float32))
    values.data *= np.float32(0.5)
    var = pd.DataFrame({"gene_ids": [f"ENSG{i:011d}" for i in RAW[name]], "kept": [i % 2 == 0 for i in RAW[name]]},
                       [f"G{i}" for i in RAW[name]])  # fmt: skip
    whole.raw = ad.AnnData(values, whole.obs, var)
    return whole


def proteins(name: str, cells: pd.Index) -> ad.AnnData:
    """Counts of antibodies, of which each study has others."""
    X = np.random.default_rng(len(cells)).poisson(4, (len(cells), len(PROTEINS[name]))).astype(np.float32)
    return ad.AnnData(sparse.csr_matrix(X), pd.DataFrame(index=cells), pd.DataFrame(index=PROTEINS[name]))


def write_h5mu(path: Path, modalities: dict[str, ad.AnnData]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "MuData"
        file.create_group("mod")
        for name, modality in modalities.items():
            write_elem(file, f"mod/{name}", modality)
        write_elem(file, "obs", pd.DataFrame(index=modalities["rna"].obs_names))
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, ad.AnnData], Path]:
    folder = tmp_path_factory.mktemp("with_raw")
    studies = {name: study(name) for name in SIZES}
    for name, source in studies.items():
        build_study(source, folder, name, with_raw=True, project=[])
    return studies, folder


@pytest.fixture(scope="module")
def joined(built: tuple[dict[str, ad.AnnData], Path]) -> Path:
    """All of them, by the genes of any; the first two were put together before."""
    _, folder = built
    titin.merge([folder / "one", folder / "two"], folder / "both", join="outer")
    return titin.merge([folder / "both", folder / "three"], folder / "all", join="outer").path


def assert_raw_of(merged: Path, studies: dict[str, ad.AnnData], folder: Path, join: str) -> None:
    wanted = ad.concat({name: source.raw.to_adata() for name, source in studies.items()}, join=join, fill_value=0)
    found = exported(merged, folder).raw.to_adata()
    assert set(found.var_names) == set(wanted.var_names)
    assert found.X.dtype == wanted.X.dtype
    expected = sparse.csr_matrix(wanted[found.obs_names, found.var_names].X)
    np.testing.assert_array_equal(found.X.toarray(), expected.toarray())
    assert (found.var["kept"] == [int(gene[1:]) % 2 == 0 for gene in found.var_names]).all()


def test_raw_is_that_of_anndata_bit_for_bit(built, joined, tmp_path):
    studies, folder = built
    assert_raw_of(joined, studies, tmp_path, "outer")
    assert titin.validate(joined).passed
    atlas = titin.open(joined)
    assert "raw" not in atlas.manifest.left_out
    np.testing.assert_array_equal(atlas.raw["G20"].to_numpy(), atlas.raw.X[:, "G20"].toarray().ravel())
    two = {name: studies[name] for name in ("two", "three")}
    assert_raw_of(titin.merge([folder / name for name in two], tmp_path / "inner").path, two, tmp_path, "inner")


def test_it_is_known_which_study_measured_what_of_raw(joined):
    raw = titin.open(joined).raw
    for name, own in RAW.items():
        assert set(raw.measured.index[raw.measured[name]]) == {f"G{i}" for i in own}
    common = set(RAW["one"]) & set(RAW["two"]) & set(RAW["three"])
    shown = raw.comparable()
    assert set(shown.var_names) == {f"G{i}" for i in common}
    np.testing.assert_array_equal(shown["G20"].to_numpy(), raw["G20"].to_numpy())
    assert raw.measured_in("G2").sum() == SIZES["one"]
    assert any(note.startswith("raw: 45 genes: 30 are in all studies") for note in raw.manifest.notes)


def test_each_study_has_its_raw_back(built, joined, tmp_path):
    studies, _ = built
    for name, source in studies.items():
        titin.subset(joined, tmp_path / name, where=f"study={name}")
        found, wanted = exported(tmp_path / name, tmp_path).raw.to_adata(), source.raw.to_adata()
        assert set(found.var_names) == set(wanted.var_names)
        found = found[wanted.obs_names, wanted.var_names]
        np.testing.assert_array_equal(found.X.toarray(), wanted.X.toarray())
        pd.testing.assert_frame_equal(found.var, wanted.var)
        assert titin.open(tmp_path / name).raw.measured.to_numpy().all()
    titin.subset(joined, tmp_path / "two of them", where="study=one,two")
    left = titin.open(tmp_path / "two of them").raw
    assert set(left.var_names) == {f"G{i}" for i in (*RAW["one"], *RAW["two"])}
    assert list(left.measured) == ["one", "two"]


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_modalities_are_joined_by_their_features(tmp_path, join):
    own = {}
    for name in ("one", "two"):
        rna = study(name)
        own[name] = proteins(name, rna.obs_names)
        write_h5mu(tmp_path / f"{name}.h5mu", {"rna": rna, "prot": own[name]})
        titin.build(tmp_path / f"{name}.h5mu", tmp_path / name, modalities=["prot"], project=[])
    report = titin.merge([tmp_path / "one", tmp_path / "two"], tmp_path / "both", join=join)
    prot = titin.open(report.path).modalities["prot"]
    wanted = ad.concat(own, join=join, fill_value=0)
    assert set(prot.var_names) == set(wanted.var_names)
    found = prot.X[list(wanted.obs_names), list(wanted.var_names)].toarray()
    np.testing.assert_array_equal(found, sparse.csr_matrix(wanted.X).toarray())
    assert titin.validate(report.path).passed
    assert any(note.startswith("mod/prot: ") and "features" in note for note in report.manifest.notes)
    titin.export(report.path, "h5mu", tmp_path / "back.h5mu")
    titin.subset(report.path, tmp_path / "two again", where="study=two")
    again = titin.open(tmp_path / "two again").modalities["prot"]
    kept = [one for one in PROTEINS["two"] if join == "outer" or one in PROTEINS["one"]]
    assert set(again.var_names) == set(kept)
    cells = list(own["two"].obs_names)
    np.testing.assert_array_equal(again.X[cells, kept].toarray(), own["two"][:, kept].X.toarray())


def test_what_is_left_out_is_said_with_the_reason(built, tmp_path):
    _, folder = built
    without, odd, other = (study("three") for _ in range(3))
    del without.raw
    build_study(without, tmp_path, "without", project=[])
    odd.raw = ad.AnnData(odd.raw.X, odd.obs, pd.DataFrame(index=[f"P{i}" for i in range(odd.raw.shape[1])]))
    build_study(odd, tmp_path, "odd", with_raw=True, project=[])
    other.raw = ad.AnnData(sparse.csr_matrix(other.raw.X * 2), other.obs, other.raw.var)
    build_study(other, tmp_path, "other", with_raw=True, project=[])
    reasons = {
        "without": "of one alone", "other": "of different kinds: one real, other counts",
        "odd": "one and odd have no gene in common: one has G0, G1, G2, odd has P0, P1, P2",
    }  # fmt: skip
    for name, said in reasons.items():
        report = titin.merge([folder / "one", tmp_path / name], tmp_path / f"{name}_and_one")
        assert report.manifest.left_out["raw"] == said
        assert titin.open(report.path).raw is None


def test_a_manifest_that_says_nonsense_of_further_matrices_is_refused(joined, tmp_path):
    text, path = (joined / "titin.json").read_text(), tmp_path / "titin.json"
    cases = {
        "a place of a further matrix": ('"raw": {\n', '"../raw": {\n'),
        "text": ('"measured": "measured_one"', '"measured": 3'),
    }
    for said, (one, other) in cases.items():
        start = text.index('"studies": {')
        place = text.index(one, text.index('"parts"', start))
        path.write_text(text[:place] + other + text[place + len(one) :])
        with pytest.raises(DatasetError, match=said):
            titin.open(tmp_path)
