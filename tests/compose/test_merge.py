"""Several studies as one dataset: what is common equals anndata's own concatenation, and each study is got back."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from small_studies import KINDS, assert_same, build_study, exported, make_study

import titin
from titin.dataset.manifest import Manifest
from titin.errors import TitinError
from titin.study import Study

GENES = [f"G{i}" for i in range(60)]
OTHER = [f"G{i}" for i in range(75, 20, -1)]
ROLES = {"cell_type": ["kind"], "donor": "donor", "age": "age"}


def two_studies(kind: str) -> dict[str, ad.AnnData]:
    one, other = make_study(kind, GENES, prefix="a"), make_study(kind, OTHER, 90, seed=1, prefix="b")
    other.obs["score"] = other.obs["score"].astype(np.float64)
    other.obs["kind"] = pd.Categorical(other.obs["kind"].astype(str).replace("c", "d"))
    other.obs["depth"] = np.arange(90, dtype=np.int32)
    other.obs["note"] = [f"note {i}" for i in range(90)]
    for own in (one, other):  # names that the format uses itself
        own.obs["cell_id"] = [f"own {i}" for i in range(own.n_obs)]
        own.var["gene"] = [f"own {gene}" for gene in own.var_names]
    other.obs["flag"] = other.obs["flag"].astype(str)
    return {"one": one, "other": other}


@pytest.fixture(scope="module", params=KINDS)
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """One study as a dataset and one as a file, the genes of any."""
    folder, studies = tmp_path_factory.mktemp(f"merged_{request.param}"), two_studies(request.param)
    for name, source in studies.items():
        build_study(source, folder, name, roles=ROLES)
    titin.merge([folder / "one", folder / "other.h5ad"], folder / "both", join="outer")
    return studies, folder


def test_what_is_common_is_that_of_anndata_bit_for_bit(merged):
    studies, folder = merged
    found = exported(folder / "both", folder)
    wanted = ad.concat(studies, join="outer", fill_value=0)
    assert found.obs_names.tolist() == wanted.obs_names.tolist()
    assert set(found.var_names) == set(wanted.var_names)
    one, other = (sparse.csr_matrix(X).toarray() for X in (found.X, wanted[:, found.var_names].X))
    assert found.X.dtype == wanted.X.dtype
    assert one.tobytes() == other.tobytes()
    inner = titin.merge([folder / "one", folder / "other"], folder / "inner")
    within = ad.concat(studies, join="inner")
    atlas = titin.open(inner.path)
    assert atlas.var_names.tolist() == within.var_names.tolist()
    np.testing.assert_array_equal(atlas.X[list(within.obs_names), :].toarray(), sparse.csr_matrix(within.X).toarray())


def test_each_study_is_got_back_bit_for_bit(merged, tmp_path):
    studies, folder = merged
    for name, source in studies.items():
        titin.subset(folder / "both", tmp_path / name, where=f"study={name}")
        found = exported(tmp_path / name, tmp_path)
        assert_same(found[:, source.var_names].copy(), source, uns=False)
        assert found.uns["how"] == source.uns["how"]
        assert Manifest.read(tmp_path / name).studies == {}
        roles = Manifest.read(tmp_path / name).roles
        assert (roles["donor"], roles["age"], roles["study"]) == ("donor", "age", None)
        assert roles["cell_type"] == (["kind"] if name == "one" else [])  # a file says what is a type by its name


def test_what_was_not_measured_is_known(merged):
    studies, folder = merged
    atlas = titin.open(folder / "both")
    for name, source in studies.items():
        assert set(atlas.measured.index[atlas.measured[name]]) == set(source.var_names)
    assert titin.open(folder / "one").measured.to_numpy().all()
    notes = " ".join(atlas.manifest.notes)
    assert "20 genes of one are not in all studies" in notes.replace("21", "20")
    assert "obs column 'flag' of other is kept as 'flag_other': that of one holds flag, this text" in notes
    assert "obs column 'depth' is of other alone" in notes
    assert atlas.obs["depth"].isna().sum() == 150


def test_donors_of_one_name_are_two_people_and_the_study_is_a_role(merged):
    _, folder = merged
    atlas = titin.open(folder / "both")
    assert atlas.roles["study"] == "study"
    study = Study.of(atlas)
    assert set(study.values("donor")) == {"D1-one", "D2-one", "D1-other", "D2-other"}
    assert set(study.values("study")) == {"one", "other"}
    assert atlas.ages.notna().all()
    if atlas.manifest.value_kind.has_counts:
        for name in ("one", "other"):
            part = titin.open(folder / name)
            cells, genes = list(part.obs_names), list(part.var_names)
            np.testing.assert_array_equal(atlas.counts[cells, genes].toarray(), part.counts[cells, genes].toarray())


def test_a_merge_is_valid_and_says_what_it_is_made_of(merged):
    studies, folder = merged
    assert titin.validate(folder / "both").passed
    manifest = Manifest.read(folder / "both")
    assert [origin["name"] for origin in manifest.source["made_of"]] == ["one", "other.h5ad"]
    assert list(manifest.studies) == list(studies)


def test_barcodes_that_studies_share_get_the_name_of_the_study(tmp_path):
    studies = {name: make_study("log1p", GENES, seed=seed) for seed, name in enumerate(("one", "other"))}
    paths = [build_study(source, tmp_path, name, roles=ROLES) for name, source in studies.items()]
    titin.merge(paths, tmp_path / "both", studies=["Lund", "Kiel"])
    atlas = titin.open(tmp_path / "both")
    assert set(atlas.obs_names) == {f"c{i}-{name}" for name in ("Lund", "Kiel") for i in range(150)}
    titin.subset(tmp_path / "both", tmp_path / "Kiel", where="study=Kiel")
    assert_same(exported(tmp_path / "Kiel", tmp_path), studies["other"], uns=False)


def test_genes_are_matched_by_id_without_version_and_then_by_symbol(tmp_path):
    one, other = make_study("counts", GENES, prefix="a"), make_study("counts", GENES, prefix="b", seed=1)
    other.var["gene_ids"] = other.var["gene_ids"] + ".7"
    other.var_names = [*(f"new{g}" for g in GENES[:10]), *GENES[10:]]
    other.var.loc["G59", "gene_ids"] = "G59"  # no stable id
    paths = [build_study(source, tmp_path, name, roles=ROLES) for name, source in (("one", one), ("other", other))]
    report = titin.merge(paths, tmp_path / "both")
    atlas = titin.open(report.path)
    assert atlas.var_names.tolist() == GENES
    assert (atlas.X[list(other.obs_names), :].toarray() == other.X.toarray()).all()
    assert any("matched by symbol" in note and "G59" in note for note in report.manifest.notes)
    titin.subset(report.path, tmp_path / "again", where="study=other")
    assert_same(exported(tmp_path / "again", tmp_path), other, uns=False)


def test_columns_of_one_role_are_one_column(tmp_path):
    one, other = make_study("counts", GENES, prefix="a"), make_study("counts", GENES, prefix="b", seed=1)
    other.obs = other.obs.rename(columns={"donor": "patient", "kind": "label"})
    other.obs["patient"] = "P" + other.obs["patient"].astype(str)
    paths = [
        build_study(one, tmp_path, "one", roles=ROLES),
        build_study(other, tmp_path, "other", roles={"cell_type": ["label"], "donor": "patient", "age": "age"}),
    ]
    report = titin.merge(paths, tmp_path / "both")
    atlas = titin.open(report.path)
    assert atlas.roles["donor"] == "donor"
    assert atlas.roles["cell_type"] == ["kind"]
    assert set(atlas.obs["donor"]) == {"D1", "D2", "PD1", "PD2"}
    assert any("'patient' of other is in 'donor'" in note for note in report.manifest.notes)
    titin.subset(report.path, tmp_path / "again", where="study=other")
    assert_same(exported(tmp_path / "again", tmp_path), other, uns=False)


def test_what_cannot_be_merged_is_said_and_nothing_written(tmp_path):
    one = build_study(make_study("counts", GENES), tmp_path, "one", roles=ROLES)
    logs = build_study(make_study("log1p", GENES, seed=2, prefix="l"), tmp_path, "logs", roles=ROLES)
    mouse = make_study("counts", [f"G{i}" for i in range(500, 560)])
    build_study(mouse, tmp_path, "mouse", roles=ROLES)
    before = sorted(path.name for path in tmp_path.iterdir())
    cases = {
        "have no gene in common": ([one, tmp_path / "mouse"], {}),
        "2 studies are called": ([one, one], {}),
        "one and the same": ([one, one], {"studies": ["a", "b"]}),
        "two datasets or files at least": ([one], {}),
        "1 name for 2 studies: one, logs": ([one, logs], {"studies": ["a"]}),
        "of different kinds: one counts, logs log1p": ([one, logs], {}),
        "nowhere does not exist": ([one, tmp_path / "nowhere"], {}),
    }
    for said, (sources, options) in cases.items():
        with pytest.raises(TitinError) as told:
            titin.merge(sources, tmp_path / "out", **options)
        assert said in str(told.value.args[0])
        assert told.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    report = titin.merge([one, logs], tmp_path / "out", counts=True)
    assert report.manifest.kind == "counts"
    with pytest.raises(TitinError, match="2 studies are called 'one'"):
        titin.merge([report.path, one], tmp_path / "more")


@pytest.mark.parametrize(("kind", "join"), [("log1p", "outer"), ("counts", "inner")])
def test_a_merge_of_a_merge_is_that_of_all_studies(kind, join, tmp_path):
    genes = {"one": GENES, "two": OTHER, "three": GENES[10:50]}
    paths = [
        build_study(make_study(kind, own, 40 + 20 * n, seed=n, prefix=f"c{n % 2}"), tmp_path, name, project=())
        for n, (name, own) in enumerate(genes.items())
    ]
    at_once = titin.merge(paths, tmp_path / "at_once", join=join)
    both = titin.merge(paths[:2], tmp_path / "both", join=join)
    again = titin.merge([both.path, paths[2]], tmp_path / "again", join=join)
    assert list(again.manifest.studies) == ["one", "two", "three"]
    found = titin.diff(at_once.path, again.path)
    found.settings.pop("card.license", None)
    assert not found, found
    whole, twice = titin.open(at_once.path), titin.open(again.path)
    pd.testing.assert_frame_equal(whole.measured.sort_index(), twice.measured.sort_index())
    for name, path in zip(genes, paths, strict=True):
        titin.subset(again.path, tmp_path / f"{name}-back", where=f"study={name}")
        difference = titin.diff(path, tmp_path / f"{name}-back")
        assert not difference.values["cells"]
        assert (difference.obs, difference.obs_only) == ({}, {})
        assert not difference.cells.only_a
    renamed = titin.merge([both.path, paths[2]], tmp_path / "renamed", studies=["a", "b", "c"], join=join, counts=True)
    assert (list(renamed.manifest.studies), renamed.manifest.kind) == (["a", "b", "c"], "counts")
