"""Projections that a build computes, what it records of them, and what it does where it cannot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from _interrupt import Kill, Server, kill_cases

import titin
from titin.builder import add_embeddings, build, plan
from titin.builder import options as build_options
from titin.builder.embeddings import Embedded
from titin.demo import write_demo_atlas
from titin.embed.methods import METHODS, Method, choose_methods
from titin.errors import OutputError, TitinError

ALL = ("pca", "umap", "tsne")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> anndata.AnnData:
    """The demo without what titin computes; its uns has a tsne already."""
    path = write_demo_atlas(tmp_path_factory.mktemp("source") / "atlas.h5ad", n_cells=240, n_genes=150)
    atlas = anndata.read_h5ad(path)
    del atlas.obsm["X_umap"]
    return atlas


@pytest.fixture(scope="module")
def atlas(source: anndata.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("atlas") / "atlas.h5ad"
    anndata.io.write_h5ad(path, source)
    return path


@pytest.fixture(scope="module")
def built(atlas: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(atlas, tmp_path_factory.mktemp("built") / "dataset", project=ALL, threads=2).path


@pytest.fixture(scope="module")
def bare(atlas: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(atlas, tmp_path_factory.mktemp("bare") / "dataset", project=()).path


@pytest.fixture
def copy(bare: Path, tmp_path: Path) -> Path:
    """A dataset to change."""
    (tmp_path / "dataset").mkdir()
    for file in bare.iterdir():
        (tmp_path / "dataset" / file.name).write_bytes(file.read_bytes())
    return tmp_path / "dataset"


def tree(folder: Path) -> dict[str, Any]:
    """Every file, but for the seconds that projections took."""
    found: dict[str, Any] = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}
    manifest = json.loads(found["titin.json"])
    for entry in manifest["obsm"].values():
        entry.get("computed", {}).pop("seconds", None)
    return found | {"titin.json": manifest}


def hidden(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


# ---- a build


def test_what_is_missing_is_computed_and_what_the_source_has_is_kept(built: Path, source: anndata.AnnData) -> None:
    found = titin.open(built)
    assert list(found.obsm) == ["X_scVI", "X_pca", "X_umap", "X_tsne"]
    at = source.obs_names.get_indexer(found.obs_names)
    assert np.array_equal(found.obsm["X_scVI"], source.obsm["X_scVI"][at])
    assert {key: (v.shape, v.dtype.str) for key, v in found.obsm.items()} == {
        "X_scVI": ((240, 30), "<f4"), "X_pca": ((240, 50), "<f4"),
        "X_umap": ((240, 2), "<f4"), "X_tsne": ((240, 2), "<f4"),
    }  # fmt: skip
    assert "computed" not in found.manifest.obsm["X_scVI"]


def test_the_files_read_as_the_others_do(built: Path) -> None:
    obs = pd.read_parquet(built / "atlas_10x_sample_metadata.parquet")
    for key, stem, n in (("X_pca", "PCA", 50), ("X_umap", "UMAP", 2), ("X_tsne", "TSNE", 2)):
        table = pd.read_parquet(built / f"atlas_10x_projection_{key}.parquet")
        assert list(table.columns) == [f"{stem}{i + 1}" for i in range(n)]
        pd.testing.assert_index_equal(table.index, obs.index)
    loadings = pd.read_parquet(built / "atlas_10x_varm_PCs.parquet")
    assert list(loadings.columns) == [f"PC{i + 1}" for i in range(50)]
    genes = pd.read_parquet(built / "atlas_10x_feature_metadata.parquet")
    pd.testing.assert_index_equal(loadings.index, genes.index)


def test_scores_loadings_and_variance_belong_together(built: Path, source: anndata.AnnData) -> None:
    adata = titin.open(built).to_anndata()
    X = adata.X.toarray()
    np.testing.assert_allclose((X - X.mean(axis=0)) @ adata.varm["PCs"], adata.obsm["X_pca"], atol=1e-4)
    uns = adata.uns["pca"]
    np.testing.assert_allclose(adata.obsm["X_pca"].var(axis=0, ddof=1), uns["variance"], rtol=1e-3)
    total = X.var(axis=0, ddof=1, dtype=np.float64).sum()
    np.testing.assert_allclose(uns["variance"] / uns["variance_ratio"], total, rtol=1e-5)
    assert uns["params"]["n_comps"] == 50
    assert set(adata.uns) == {*source.uns, "pca"}


def test_export_and_selections_have_the_loadings_too(built: Path, tmp_path: Path) -> None:
    found = titin.open(built)
    whole = found.to_anndata()
    exported = anndata.read_h5ad(titin.export(built, "h5ad", tmp_path / "back.h5ad"))
    assert np.array_equal(exported.varm["PCs"], whole.varm["PCs"])
    assert np.array_equal(exported[whole.obs_names].obsm["X_tsne"], whole.obsm["X_tsne"])
    part = found.to_anndata(cells=slice(0, 5), genes=["MYH7", "PAX7"])
    at = whole.var_names.get_indexer(part.var_names)
    assert np.array_equal(part.varm["PCs"], whole.varm["PCs"][at])
    assert np.array_equal(found.varm["PCs"], whole.varm["PCs"])


def test_what_is_recorded(built: Path) -> None:
    manifest = titin.open(built).manifest
    computed = {key: entry["computed"] for key, entry in manifest.obsm.items() if key != "X_scVI"}
    assert computed["X_pca"]["parameters"] | {"n_comps": 50, "genes": "all"} == computed["X_pca"]["parameters"]
    assert computed["X_umap"]["parameters"] == {"on": "X_pca", "n_neighbors": 15, "min_dist": 0.5, "spread": 1.0}
    assert computed["X_tsne"]["parameters"]["perplexity"] == 30
    for key, entry in computed.items():
        assert f"X_{entry['method']}" == key
        assert entry["seed"] == 0
        assert entry["seconds"] >= 0
        assert entry["libraries"]["titin"] == titin.__version__
    assert computed["X_umap"]["libraries"].keys() >= {"umap-learn"}
    assert computed["X_tsne"]["libraries"].keys() >= {"openTSNE"}
    assert 0.9 < computed["X_umap"]["recall"] <= 1
    assert manifest.settings["project"] == list(ALL)
    assert manifest.notes == []
    written = {path.name for path in built.iterdir()} - {"titin.json"}
    assert set(manifest.files) == written
    assert all(entry["bytes"] == (built / name).stat().st_size for name, entry in manifest.files.items())
    assert all(name in (built / "README.md").read_text("utf-8") for name in written - {"README.md"})


def test_the_default_is_what_the_source_lacks_of_three(
    atlas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_options, "DEFAULT_PROJECTIONS", ALL)
    planned = plan(atlas, tmp_path / "dataset")
    assert planned["projections"] == ["X_pca", "X_umap", "X_tsne"]
    assert "atlas_10x_projection_X_tsne.parquet" in planned["files"]
    assert plan(atlas, tmp_path / "dataset", project=())["projections"] == []


def test_the_plan_knows_how_large_the_files_will_be(atlas: Path, built: Path, tmp_path: Path) -> None:
    planned = plan(atlas, tmp_path / "dataset", project=["pca"])["files"]["atlas_10x_projection_X_pca.parquet"]
    actual = (built / "atlas_10x_projection_X_pca.parquet").stat().st_size
    assert 240 * 50 * 4 <= planned <= actual  # which has a footer too


@pytest.mark.parametrize("key", ["X_UMAP", "UMAP", "x_umap", "umap"])
def test_a_source_may_name_its_own_as_it_likes(key: str) -> None:
    assert METHODS["umap"].is_among(["X_scVI", key])
    assert [m.name for m in choose_methods(["tsne"], ["PCA"])] == ["tsne"]


def test_one_that_stands_on_another_brings_it(atlas: Path, tmp_path: Path) -> None:
    assert [m.name for m in choose_methods(["umap"])] == ["pca", "umap"]
    assert [m.name for m in choose_methods(["umap"], ["X_pca"])] == ["umap"]
    assert [m.name for m in choose_methods(["umap"], [], {"umap": {"on": "X_ica"}})] == ["umap"]


@pytest.mark.parametrize("present", [[], ["X_pca"], ["X_scVI"], ["X_umap", "x_tsne"]])
@pytest.mark.parametrize("names", [["umap"], ["pca", "umap"], ["tsne", "umap"], list(METHODS)])
@pytest.mark.parametrize("on", [method.key for method in METHODS.values()])
def test_each_comes_after_what_it_stands_on(
    names: list[str], on: str, present: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Method, "check_installed", lambda _: None)  # of scVI, which may be lacking
    chosen = choose_methods(names, present, {"umap": {"on": on}})
    assert len({m.name for m in chosen}) == len(chosen)
    assert set(names) <= {m.name for m in chosen}
    for at, method in enumerate(chosen):
        below = on if method.name == "umap" else method.stands_on
        if below not in (None, method.key):
            assert below in [*present, *(m.key for m in chosen[:at])] or below.lower() in present


@pytest.mark.parametrize(
    ("name", "hint"), [("tnse", "did you mean tsne?"), ("X_umap", "did you mean umap?"), ("q", "methods: pca, ")]
)
def test_no_such_projection_is_said_before_anything_is_done(name: str, hint: str, atlas: Path, tmp_path: Path) -> None:
    with pytest.raises(TitinError, match=f"there is no projection '{name}' to compute") as error:
        build(atlas, tmp_path / "dataset", project=[name])
    assert error.value.hint is not None
    assert error.value.hint.startswith(hint)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_said_before_anything_is_done(
    atlas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openTSNE", None)
    with pytest.raises(TitinError, match="the projection tsne needs the package openTSNE, which is not installed"):
        build(atlas, tmp_path / "dataset", project=["tsne"])
    assert list(tmp_path.iterdir()) == []


def test_the_sources_own_uns_gives_way_and_that_is_said(source: anndata.AnnData, tmp_path: Path) -> None:
    adata = source.copy()
    adata.uns["pca"] = {"variance": np.array([1.0])}
    anndata.io.write_h5ad(tmp_path / "atlas.h5ad", adata)
    manifest = build(tmp_path / "atlas.h5ad", tmp_path / "dataset", project=["pca"]).manifest
    assert manifest.left_out["uns/pca"] == "replaced by that of the computed X_pca"
    assert len(titin.open(tmp_path / "dataset").uns["pca"]["variance"]) == 50


def test_a_key_whose_file_has_the_same_name_is_no_victim(source: anndata.AnnData, tmp_path: Path) -> None:
    adata = source.copy()
    adata.obsm["X-pca"] = adata.obsm["X_scVI"][:, :3].copy()
    adata.obsm["X pca"] = adata.obsm["X_scVI"][:, 3:5].copy()
    anndata.io.write_h5ad(tmp_path / "atlas.h5ad", adata)
    found = titin.open(build(tmp_path / "atlas.h5ad", tmp_path / "dataset", project=["pca"]).path)
    at = source.obs_names.get_indexer(found.obs_names)
    assert np.array_equal(found.obsm["X pca"], source.obsm["X_scVI"][at][:, 3:5])
    assert found.obsm["X_pca"].shape == (240, 50)


# ---- what cannot be computed


def written(counts: np.ndarray, path: Path, **more: Any) -> Path:
    n_cells, n_genes = counts.shape
    adata = anndata.AnnData(
        sp.csr_matrix(counts.astype(np.float32)), pd.DataFrame(index=[f"c{i}" for i in range(n_cells)]),
        pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]), **more,
    )  # fmt: skip
    anndata.io.write_h5ad(path, adata)
    return path


COUNTS = np.random.default_rng(0).poisson(2, (40, 60))
ODD = {
    "30 cells": (COUNTS[:30], {"X_pca": 29, "X_umap": 2, "X_tsne": 2}),
    "one gene": (np.random.default_rng(0).normal(5, 1, (40, 1)), {"X_pca": 1, "X_umap": 2, "X_tsne": 2}),
    "one gene of counts": (1 + np.arange(40)[:, None] % 9, {}),  # all of a cell's counts: log-normalised, constant
    "four cells": (COUNTS[:4], {"X_pca": 3}),
    "one cell": (COUNTS[:1], {}),
    "constant genes": (np.ones((40, 20), int), {}),
    "no counts": (np.zeros((40, 20), int), {}),
}


@pytest.mark.parametrize(("counts", "dimensions"), ODD.values(), ids=ODD)
def test_small_and_empty_datasets_get_what_they_can_and_a_note(
    counts: np.ndarray, dimensions: dict[str, int], tmp_path: Path
) -> None:
    report = build(written(counts, tmp_path / "a.h5ad"), tmp_path / "dataset", project=ALL)
    found = titin.open(report.path)
    assert {key: value.shape[1] for key, value in found.obsm.items()} == dimensions
    assert all(np.isfinite(value).all() for value in found.obsm.values())
    said = [note for note in report.manifest.notes if "was not computed" in note]
    assert [note.split()[0] for note in said] == [k for k in ("X_pca", "X_umap", "X_tsne") if k not in dimensions]
    assert all("\n" not in note and len(note) > len("X_pca was not computed: ") for note in said)


def test_a_source_whose_scores_have_gaps_gets_a_note(tmp_path: Path) -> None:
    path = written(COUNTS, tmp_path / "a.h5ad", obsm={"X_pca": np.full((40, 3), np.nan)})
    manifest = build(path, tmp_path / "dataset", project=["umap"]).manifest
    assert manifest.notes[-1] == "X_umap was not computed: the scores hold NaN or infinity"


# ---- a dataset that is there


def test_embedding_later_gives_the_same_bytes_as_building_with_them(copy: Path, built: Path) -> None:
    before = tree(copy)
    done = add_embeddings(copy, ["umap"], threads=1)
    assert isinstance(done, Embedded)
    assert done.keys == ["X_pca", "X_umap"]
    assert add_embeddings(copy).keys == ["X_tsne"]
    after, whole = tree(copy), tree(built)
    assert after["titin.json"].pop("settings") | {"project": list(ALL)} == whole["titin.json"].pop("settings")
    assert after == whole
    assert hidden(copy.parent) == []
    assert before["atlas_10x_expression.parquet"] == after["atlas_10x_expression.parquet"]
    assert add_embeddings(copy).keys == []


def test_what_is_there_is_computed_again_only_by_force(copy: Path) -> None:
    add_embeddings(copy, ["pca"])
    before = tree(copy)
    with pytest.raises(OutputError, match="the dataset has pca already") as error:
        add_embeddings(copy, ["pca"])
    assert error.value.hint is not None
    assert "--force" in error.value.hint
    assert tree(copy) == before
    done = add_embeddings(copy, ["pca"], force=True, pca={"n_comps": 5})
    assert titin.open(copy).obsm["X_pca"].shape == (240, 5)
    assert titin.open(copy).varm["PCs"].shape == (150, 5)
    assert done.manifest.obsm["X_pca"]["computed"]["parameters"]["n_comps"] == 5
    assert done.manifest.left_out == before["titin.json"]["left_out"]
    assert add_embeddings(copy, ["pca"], force=True).keys == ["X_pca"]
    assert tree(copy) == before


def test_what_stands_on_a_replaced_projection_is_named(copy: Path) -> None:
    add_embeddings(copy, ["tsne"], tsne={"n_iter": 10})
    done = add_embeddings(copy, ["pca"], force=True, pca={"n_comps": 4})
    assert done.notes == ["X_tsne stands on the former X_pca; `titin embed … tsne --force`"]


def test_on_another_projection(copy: Path) -> None:
    done = add_embeddings(copy, ["tsne"], tsne={"on": "X_scVI", "n_iter": 10, "perplexity": 5})
    assert done.keys == ["X_tsne"]
    assert done.manifest.obsm["X_tsne"]["computed"]["parameters"]["on"] == "X_scVI"
    with pytest.raises(TitinError, match="there is no projection X_ica to stand on") as error:
        add_embeddings(copy, ["umap"], umap={"on": "X_ica"})
    assert error.value.hint == "projections of this dataset: X_scVI, X_tsne"


def test_the_sources_own_may_be_replaced_and_that_is_said(atlas: Path, tmp_path: Path) -> None:
    path = written(COUNTS, tmp_path / "a.h5ad", obsm={"X_pca": np.eye(40, 3)}, uns={"pca": {"variance": np.ones(3)}})
    dataset = build(path, tmp_path / "dataset", project=["pca"]).path
    assert titin.open(dataset).obsm["X_pca"].shape == (40, 3)
    left_out = add_embeddings(dataset, ["pca"], force=True).manifest.left_out
    assert left_out["obsm/X_pca"] == "replaced by one that titin computed"
    assert left_out["uns/pca"] == "replaced by that of the computed X_pca"
    assert titin.open(dataset).obsm["X_pca"].shape == (40, 39)


def test_more_shards_than_before_and_fewer_again(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from titin.dataset import layout
    from titin.dataset.arrow import ParquetFile

    add_embeddings(copy, ["pca"])
    whole = titin.open(copy).obsm["X_pca"]
    with monkeypatch.context() as patch:
        patch.setattr(layout, "TABLE_ROW_GROUP_ROWS", 100)
        patch.setitem(ParquetFile.__init__.__kwdefaults__, "shard_bytes", 1_000)
        add_embeddings(copy, ["pca"], force=True)
    names = sorted(p.name for p in copy.glob("*projection_X_pca*"))
    assert names == [f"atlas_10x_projection_X_pca-0000{i}-of-00003.parquet" for i in range(3)]
    assert np.array_equal(titin.open(copy).obsm["X_pca"], whole)
    add_embeddings(copy, ["pca"], force=True)
    assert [p.name for p in copy.glob("*projection_X_pca*")] == ["atlas_10x_projection_X_pca.parquet"]


@pytest.mark.parametrize(
    ("methods", "parameters", "message"),
    [
        (["nmf"], {}, "there is no projection 'nmf'"),
        (["pca"], {"pca": {"components": 3}}, "pca has no parameter 'components'"),
        (["pca"], {"tsne": {"perplexity": 3}}, "parameters are given for tsne, which is not named"),
        (["pca"], {"pca": {"n_comps": 500}}, "500"),
        (["pca"], {"pca": {"genes": "some"}}, "pca knows no genes 'some'"),
        (["tsne"], {"tsne": {"perplexity": 0}}, "a perplexity of 0"),
    ],
)
def test_wrong_use_leaves_the_dataset_as_it_was(
    methods: list[str], parameters: dict[str, Any], message: str, copy: Path
) -> None:
    before = tree(copy)
    with pytest.raises(TitinError, match=message):
        add_embeddings(copy, methods, **parameters)
    assert tree(copy) == before
    assert hidden(copy.parent) == []


# ---- interrupted

RECORD, CLOSE = "titin.builder.workspace:Workspace.record", "titin.dataset.arrow:ParquetFile.close"
UNS, TSNE = "titin.builder.projections:write_json", "titin.embed.tsne:_Advance.__call__"
PCA_STEP, TSNE_STEP = 6, 7  # records of a build with pca and tsne
KILLS = {
    "provisional manifest": Kill("titin.dataset.manifest:Manifest.write", after=True),
    "scores": Kill(CLOSE, match="_projection_X_pca"),
    "scores moved": Kill("pathlib:Path.replace", match="_projection_X_pca", after=True),
    "loadings": Kill(CLOSE, match="_varm_PCs", after=True),
    "uns": Kill(UNS, after=True),
    "pca done": Kill(RECORD, call=PCA_STEP),
    "pca recorded": Kill(RECORD, call=PCA_STEP, after=True),
    "t-SNE at work": Kill(TSNE, call=3),
    "t-SNE moved": Kill("pathlib:Path.replace", match="_projection_X_tsne", after=True),
    "t-SNE recorded": Kill(RECORD, call=TSNE_STEP, after=True),
    "final manifest": Kill("titin.dataset.manifest:Manifest.write", call=3, after=True),
}
Run = Callable[..., int]


@pytest.fixture(scope="module")
def undisturbed(atlas: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert server.run(folder, "build", atlas, "-o", "dataset", "--project", "pca,tsne", "--threads", "1") == 0
    return tree(folder / "dataset")


@pytest.mark.parametrize("kill", kill_cases(KILLS, ["scores moved", "final manifest"]))
def test_a_build_killed_at_a_projection_leaves_nothing_and_goes_on(
    kill: Kill, atlas: Path, undisturbed: dict[str, Any], server: Server, tmp_path: Path
) -> None:
    command = ("build", atlas, "-o", "dataset", "--project", "pca,tsne", "--threads", "1")
    assert server.run(tmp_path, *command, kill=kill) == -9
    assert not (tmp_path / "dataset").exists()
    assert hidden(tmp_path) == [".dataset.titin-build"]
    assert server.run(tmp_path, *command, "--resume") == 0, (tmp_path / "stderr").read_text()
    assert tree(tmp_path / "dataset") == undisturbed
    assert hidden(tmp_path) == []


def test_a_finished_projection_is_not_computed_again(atlas: Path, server: Server, tmp_path: Path) -> None:
    command = ("build", atlas, "-o", "dataset", "--project", "pca,tsne", "--threads", "1")
    assert server.run(tmp_path, *command, kill=KILLS["pca recorded"]) == -9
    assert server.run(tmp_path, *command, "--resume") == 0
    said = (tmp_path / "stderr").read_text()
    assert "t-SNE:" in said
    assert "PCA:" not in said
    assert server.run(tmp_path, *command, "--resume") == 2  # it is there


WHILE_EMBEDDING = {
    "scores": Kill(CLOSE, match="_projection_X_pca"),
    "uns": Kill(UNS, after=True),
    "t-SNE at work": Kill(TSNE, call=3),
    "just before the swap": Kill("titin.dataset.replace:Draft.finish", after=True),
}


@pytest.mark.parametrize("kill", kill_cases(WHILE_EMBEDDING, ["uns", "just before the swap"]))
def test_an_embedding_that_is_killed_leaves_the_dataset_as_it_was(
    kill: Kill, copy: Path, undisturbed: dict[str, Any], server: Server
) -> None:
    before = tree(copy)
    command = ("embed", "dataset", "pca", "tsne", "--threads", "1")
    assert server.run(copy.parent, *command, kill=kill) == -9
    assert tree(copy) == before
    (left,) = hidden(copy.parent)
    assert left.startswith(".dataset.titin-")
    assert server.run(copy.parent, *command) == 0, (copy.parent / "stderr").read_text()
    after = tree(copy)
    after["titin.json"]["settings"]["project"] = ["pca", "tsne"]
    assert after == undisturbed
    assert hidden(copy.parent) == []


def test_a_change_of_the_projections_asked_for_is_no_resuming(atlas: Path, server: Server, tmp_path: Path) -> None:
    build_with = ("build", atlas, "-o", "dataset", "--project")
    assert server.run(tmp_path, *build_with, "pca", kill=KILLS["pca recorded"]) == -9
    assert server.run(tmp_path, *build_with, "pca,tsne", "--resume") == 2
    assert "settings" in (tmp_path / "stderr").read_text()
