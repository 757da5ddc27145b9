"""`titin embed`, and the options of `titin build` about projections."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from titin.builder import build
from titin.cli import main
from titin.dataset.manifest import Manifest
from titin.demo import write_demo_atlas

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def titin(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command line in an empty folder, with no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TITIN_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code: Any = 0
        try:
            main([str(a) for a in arguments])
        except SystemExit as done:
            code = done.code or 0
        return code, *capfd.readouterr()

    return run


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
    assert "projections: X_scVI (30), X_umap (2), X_pca (7, computed)" in out


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
