"""`titin embed`, and the options of `titin build` about projections."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import Run
from titin.atlas import open_atlas
from titin.builder import build
from titin.check import validate
from titin.dataset.manifest import Manifest
from titin.demo import write_demo_atlas
from titin.embed import leiden, neighbors
from titin.features import highly_variable


@pytest.fixture(scope="session")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It comes with X_scVI and X_umap."""
    return write_demo_atlas(tmp_path_factory.mktemp("atlas") / "atlas.h5ad", n_cells=200, n_genes=150)


@pytest.fixture
def dataset(atlas: Path, tmp_path: Path) -> Path:
    return build(atlas, tmp_path / "dataset", project=()).path


def keys(folder: Path) -> list[str]:
    return list(Manifest.read(folder).obsm)


def test_embed_computes_what_is_named(dataset: Path, titin: Run) -> None:
    code, out, said = titin("embed", dataset, "pca", "--n-comps", "7", "--seed", "3")
    assert code == 0, said
    assert keys(dataset) == ["X_scVI", "X_umap", "X_pca"]
    assert out.splitlines()[0].split() == ["projection", "file", "dimensions", "time"]
    assert out.splitlines()[1].split()[:3] == ["X_pca", "atlas_10x_projection_X_pca.parquet", "7"]
    assert "peak memory" in out
    assert "PCA" in said
    entry = Manifest.read(dataset).obsm["X_pca"]["computed"]
    assert (entry["parameters"]["n_comps"], entry["seed"]) == (7, 3)
    _, out, _ = titin("info", dataset)
    assert "projections  X_scVI (30), X_umap (2), X_pca (7, computed)" in out


def test_embed_as_json_and_quiet(dataset: Path, titin: Run) -> None:
    code, out, said = titin("embed", dataset, "--json", "-q", "--threads", "1")
    assert (code, said) == (0, "")
    document = json.loads(out)
    assert document["schema_version"] == 1
    assert list(document["projections"]) == ["X_pca", "X_tsne"]  # the source has a umap
    assert document["projections"]["X_tsne"]["dimensions"] == 2
    assert document["projections"]["X_tsne"]["parameters"]["on"] == "X_pca"
    assert set(document["seconds"]) == {"pca", "tsne", "total"}
    assert document["notes"] == []
    code, out, _ = titin("embed", dataset)
    assert code == 0
    assert "has the projections already" in out


@pytest.mark.parametrize("genes", ["all", "hvg"])
def test_genes_and_a_projection_to_stand_on(genes: str, dataset: Path, titin: Run) -> None:
    assert titin("embed", dataset, "pca", "--which-genes", genes)[0] == 0
    computed = Manifest.read(dataset).obsm["X_pca"]["computed"]["parameters"]
    assert computed["genes"] == genes
    code, _, said = titin("embed", dataset, "tsne", "--on", "X_scVI", "--perplexity", "8", "--threads", "1")
    assert code == 0, said
    computed = Manifest.read(dataset).obsm["X_tsne"]["computed"]["parameters"]
    assert (computed["on"], computed["perplexity"]) == ("X_scVI", 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nmf"], "there is no projection 'nmf' to compute"),
        (["umap"], "the dataset has umap already"),
        (["tsne", "--min-dist", "0.1"], "parameters are given for umap, which is not named"),
        (["pca", "--n-comps", "1000"], "1000"),
        (["pca", "--threads", "0"], "0 threads"),
    ],
)
def test_wrong_use_in_two_lines(arguments: list[str], message: str, dataset: Path, titin: Run) -> None:
    before = {p.name: p.read_bytes() for p in dataset.iterdir()}
    code, out, said = titin("embed", dataset, "-q", *arguments)
    assert (code, out) == (2, "")
    assert message in said.splitlines()[0]
    assert len(said.splitlines()) == 2
    assert {p.name: p.read_bytes() for p in dataset.iterdir()} == before


def test_no_dataset(titin: Run, tmp_path: Path) -> None:
    code, _, said = titin("embed", tmp_path / "nothing")
    assert code == 2
    assert "is not a titin dataset" in said


@pytest.mark.parametrize(
    ("arguments", "environment", "settings", "expected"),
    [
        (["--project", "pca"], {}, "", ["X_scVI", "X_umap", "X_pca"]),
        (["--project", "none"], {}, "", ["X_scVI", "X_umap"]),
        (["--no-project"], {"TITIN_PROJECT": "pca"}, "", ["X_scVI", "X_umap"]),
        ([], {"TITIN_PROJECT": "pca"}, "", ["X_scVI", "X_umap", "X_pca"]),
        ([], {"TITIN_PROJECT": "none"}, '[build]\nproject = "pca"', ["X_scVI", "X_umap"]),
        ([], {}, '[build]\nproject = "pca"', ["X_scVI", "X_umap", "X_pca"]),
    ],
)
def test_build_projects_as_told(
    arguments: list[str], environment: dict[str, str], settings: str, expected: list[str], atlas: Path, titin: Run,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "titin.toml").write_text(settings, "utf-8")
    code, _, said = titin("build", atlas, "-o", "out", *arguments)
    assert code == 0, said
    assert keys(tmp_path / "out") == expected


def test_a_dry_run_says_what_would_be_computed(atlas: Path, titin: Run) -> None:
    _, out, _ = titin("build", atlas, "-o", "out", "--dry-run", "--project", "pca,umap,tsne")
    assert "projections to compute: X_pca, X_tsne" in out  # the source has a umap
    _, out, _ = titin("build", atlas, "-o", "out", "--dry-run", "--no-project")
    assert "projections to compute: none" in out


def test_clusters_are_a_column_of_numbers(dataset: Path, titin: Run) -> None:
    code, out, said = titin("embed", dataset, "leiden", "--resolution", "0.5", "--n-neighbors", "10", "--json", "-q")
    assert code == 0, said
    assert list(json.loads(out)["projections"]) == ["X_pca", "leiden"]
    computed = Manifest.read(dataset).obsm["leiden"]["computed"]
    assert computed["parameters"] == {"on": "X_pca", "n_neighbors": 10, "resolution": 0.5}
    atlas = open_atlas(dataset)
    labels = atlas.obsm["leiden"][:, 0].astype(int)
    near = neighbors(atlas.obsm["X_pca"], 10, random_state=0)
    expected = leiden(near, [0.5], random_state=0).iloc[:, 0].astype(int).to_numpy()
    assert labels.tolist() == expected.tolist()
    assert computed["n_clusters"] == expected.max() + 1
    assert not list(validate(dataset, checks=["integrity"]).findings("error"))
    code, _, said = titin("embed", dataset, "leiden")
    assert code == 2
    assert "has leiden already" in said


@pytest.mark.parametrize("flavor", ["seurat", "seurat_v3"])
def test_components_of_the_genes_that_vary_most(dataset: Path, titin: Run, flavor: str) -> None:
    chosen = ["--which-genes", "hvg", "--flavor", flavor, "--n-top-genes", "40", "--n-comps", "5"]
    code, _, said = titin("embed", dataset, "pca", *chosen)
    assert code == 0, said
    used = Manifest.read(dataset).obsm["X_pca"]["computed"]["parameters"]
    assert (used["flavor"], used["n_top_genes"], used["n_genes"]) == (flavor, 40, 40)
    atlas = open_atlas(dataset)
    genes = highly_variable(atlas, 40, flavor=flavor)["highly_variable"].to_numpy()
    assert (np.asarray(atlas.varm["PCs"]).any(axis=1) == genes).all()


def test_batches_are_mixed_by_harmony(dataset: Path, titin: Run) -> None:
    pytest.importorskip("harmonypy", reason="the extra harmony is not installed")
    code, _, said = titin("embed", dataset, "harmony", "--batch-key", "batch", "--seed", "4")
    assert code == 0, said
    computed = Manifest.read(dataset).obsm["X_harmony"]["computed"]
    assert computed["parameters"] == {"on": "X_pca", "batch_key": "batch", "theta": 2.0}
    assert computed["batches"] == 2
    atlas = open_atlas(dataset)
    batch = atlas.cell_columns("batch")["batch"].astype(str).to_numpy()

    def apart(scores: Any) -> float:
        """How far the middles of the batches lie apart."""
        return float(np.linalg.norm(scores[batch == "cells"].mean(axis=0) - scores[batch == "nuclei"].mean(axis=0)))

    assert apart(np.asarray(atlas.obsm["X_harmony"])) < 0.7 * apart(np.asarray(atlas.obsm["X_pca"]))
    code, _, said = titin("embed", dataset, "harmony", "--batch-key", "colour", "--force")
    assert code == 2
    assert "no column 'colour'" in said


def test_without_harmony_it_says_what_to_install(dataset: Path, titin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    code, _, said = titin("embed", dataset, "harmony")
    assert code == 2
    assert "needs the package harmonypy, which is not installed" in said
