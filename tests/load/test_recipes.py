"""The recipes of docs/loading.md give what the atlas gives; those that need other packages run where they are."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import titin
from titin.load import Loader

PAGE = (Path(__file__).parents[2] / "docs" / "loading.md").read_text("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which the demo has been made, smaller than `titin demo` makes it."""
    from titin.demo import make_demo
    from titin.progress import Progress

    folder = tmp_path_factory.mktemp("recipes")
    make_demo(folder / "demo", n_cells=1500, n_genes=300, seed=0, force=False, progress=Progress())
    return folder


@pytest.fixture
def atlas(folder, tmp_path, monkeypatch) -> titin.Atlas:
    """The demo, beside which the recipes write what they write."""
    (tmp_path / "demo").symlink_to(folder / "demo")
    monkeypatch.chdir(tmp_path)
    return titin.open("demo/skeletal_muscle_10x")


def blocks(heading: str, language: str = "python") -> list[str]:
    """Blocks of a section of the page."""
    section = re.split(r"^#+ ", PAGE, flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(f"{heading}\n"))
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(*headings: str, **names: Any) -> dict[str, Any]:
    """Run the Python blocks of sections in one namespace, which is returned."""
    for heading in headings:
        for block in blocks(heading):
            exec(compile(block, heading, "exec"), names)
    return names


def as_atlas(atlas: titin.Atlas, tokens_first: sparse.csr_matrix) -> np.ndarray:
    """A matrix with tokens for columns, with genes in the source's order."""
    dense = np.empty(tokens_first.shape, tokens_first.dtype)
    dense[:, atlas.source_columns] = tokens_first.toarray()
    return dense


def test_every_excuse_names_a_package_that_is_tried_here():
    needed = re.findall(r"<!-- not run: (.*?) -->", PAGE)
    # several processes: test_distributed.py
    assert set(needed) == {"needs sklearn", "needs torch", "needs tensorflow", "needs several processes"}


def test_scikit_learn(atlas):
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    names = run("scikit-learn", atlas=atlas)
    assert np.concatenate(names["hits"]).mean() > 0.5
    assert len(names["predicted"]) == atlas.n_obs
    assert len(names["scores"]["test_score"]) == 1


def test_pytorch(atlas):
    pytest.importorskip("torch", reason="needs `pip install titin[torch]`")
    names = run("PyTorch")
    majority = atlas.obs["annotation_level0"].value_counts(normalize=True).max()
    assert names["accuracy"] > majority + 0.1


def test_tensorflow(atlas):
    pytest.importorskip("tensorflow", reason="needs tensorflow")
    names = run("TensorFlow")
    assert names["X"].shape == (128, 5)
    assert set(np.unique(names["X"].numpy())) <= set(np.unique(atlas.X[:, names["loader"].genes].toarray()))


def test_batches_resume_where_they_stopped(atlas):
    names = run("Minibatches", "Samplers", "Going on where one stopped")
    assert isinstance(names["X"], sparse.csr_matrix)


def test_several_datasets(tmp_path, monkeypatch):
    from titin.demo import make_demo
    from titin.progress import Progress

    monkeypatch.chdir(tmp_path)
    sizes = {"Lund": (800, 400), "Kiel": (500, 300)}
    for seed, (name, (n_cells, n_genes)) in enumerate(sizes.items(), 1):
        make_demo(tmp_path / name.lower(), n_cells=n_cells, n_genes=n_genes, seed=seed, force=False,
                  progress=Progress())  # fmt: skip
        assert f"-o {name.lower()} --n-cells {n_cells} --n-genes {n_genes} --seed {seed} " in PAGE
    names = run("Several datasets")
    genes = {name: set(titin.open(folder).var_names) for name, folder in names["datasets"].items()}
    assert set(names["joint"].genes) == genes["Lund"] & genes["Kiel"]
    assert set(names["wider"].genes) == genes["Lund"] | genes["Kiel"] == set(names["wider"].measured.index)
    assert names["mask"].shape == names["X"].shape
    assert names["studies"].obs["study"].value_counts().to_dict() == {name: n for name, (n, _) in sizes.items()}
    assert not set(names["studies"].obs_names[names["train"]]) & set(names["studies"].obs_names[names["test"]])


def test_cells_without_titin(atlas):
    names = run("Without titin", atlas=atlas)
    assert as_atlas(atlas, names["lognorm"]).tobytes() == atlas.X[:, :].toarray().tobytes()
    assert (as_atlas(atlas, names["counts"]) == atlas.counts[:, :].toarray()).all()


def test_hugging_face_datasets(atlas, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="needs `pip install titin[datasets]`")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    names = run("Without titin", "Hugging Face datasets", atlas=atlas)
    expected = atlas.counts[:, :].toarray()
    for source in (names["stored"], names["streamed"]):
        batches = [names["collate"](batch) for batch in source.with_format("numpy").iter(batch_size=256)]
        assert len(batches) == 6
        assert (as_atlas(atlas, sparse.vstack([X for X, _ in batches])) == expected).all()
        labels = np.concatenate([labels for _, labels in batches])
        assert labels.tolist() == atlas.obs["annotation_level0"].astype(str).tolist()


@pytest.mark.parametrize(("package", "heading"), [("polars", "polars"), ("duckdb", "DuckDB")])
def test_sums_of_a_gene(atlas, package, heading):
    pytest.importorskip(package, reason=f"needs `pip install titin[{package}]`")
    names = run("Without titin", heading, atlas=atlas)
    found = names["sums"].to_pandas() if package == "polars" else names["totals"]
    expected = atlas.counts_of("MYH7").groupby(atlas.obs["annotation_level0"], observed=True).sum()
    found = found.set_index("annotation_level0")["counts"].reindex(expected.index.astype(str)).fillna(0)
    assert found.astype(int).tolist() == expected.tolist()


def test_foundation_models(atlas):
    names = run("Foundation models", atlas=atlas)
    assert names["genes"].shape == names["bins"].shape
    assert names["genes"].max() < atlas.n_vars + 2
    assert next(iter(names["inputs"])).tokens.min() >= 2


def test_r(atlas):
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("needs R")
    loaded = subprocess.run(
        [program, "-e", "library(arrow); library(Matrix)"], capture_output=True, text=True, check=False
    )
    if loaded.returncode:
        pytest.skip("needs R's arrow and Matrix")
    (script,) = blocks("R", "r")
    done = subprocess.run(
        [program, "-e", script + 'cat(sum(counts), sum(counts[, "MYH7"]))'], capture_output=True, text=True, check=True
    )
    assert [float(n) for n in done.stdout.split()] == [atlas.counts[:, :].sum(), atlas.counts_of("MYH7").sum()]


def test_splits_cut_loaders(atlas):
    from titin.load.splits import LeaveOneDonorOut

    for _, test in list(LeaveOneDonorOut.from_atlas(atlas).split())[:3]:
        names = np.concatenate([obs.index for _, obs in Loader(atlas, cells=test, genes=["MYH7"])])
        assert sorted(atlas.obs_names.get_indexer(names)) == test.tolist()
