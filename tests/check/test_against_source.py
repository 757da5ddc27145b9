"""Sources of every storage and dtype, real ones among them, are found equal to what was built from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from good_datasets import small_atlas

from titin.builder import build
from titin.check import validate
from titin.check.comparison import frame_difference
from titin.check.trees import tree_difference

STORED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "csc": ("log1p", sp.csc_matrix),
    "dense": ("log1p", lambda X: X.toarray()),
    "float64": ("log1p", lambda X: _log1p_again(X)),
    "int64": ("counts", lambda X: X.astype(np.int64)),
    "large counts": ("counts", lambda X: (X * 70_000).astype(np.float32)),
    "real float64": ("real", lambda X: X.astype(np.float64) * 1.1),
    "unsorted": ("counts", lambda X: _reversed(X)),
}


def _log1p_again(X: sp.csr_matrix) -> sp.csr_matrix:
    """The same kind of matrix, computed in float64 from counts of its own."""
    counts = np.random.default_rng(1).poisson(1.5, X.shape).astype(np.float64)
    return sp.csr_matrix(np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4))


def _reversed(X: sp.csr_matrix) -> sp.csr_matrix:
    """Each row's entries the other way round, and a stored zero."""
    X = X.copy()
    for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[a:b], X.data[a:b] = X.indices[a:b][::-1].copy(), X.data[a:b][::-1].copy()
    X.has_sorted_indices = False
    X.data[0] = 0
    return X


@pytest.mark.parametrize("stored", STORED)
def test_a_source_of_any_storage_equals_its_dataset(stored: str, tmp_path: Path) -> None:
    kind, convert = STORED[stored]
    atlas = small_atlas(kind)
    atlas.X = convert(atlas.X)
    path = tmp_path / "atlas.h5ad"
    atlas.write_h5ad(path)
    report = build(path, tmp_path / "dataset", tissue="muscle", method="10x", threads=2)
    assert report.manifest.kind == kind
    found = validate(report.path, source=path, checks=["integrity", "matrix", "source"], threads=2)
    assert [(r.check.name, f.message) for r, f in found.findings()] == []


def test_the_layer_that_was_built_is_the_one_compared(tmp_path: Path) -> None:
    atlas = small_atlas("real")
    atlas.layers["counts"] = small_atlas("counts").X
    path = tmp_path / "atlas.h5ad"
    atlas.write_h5ad(path)
    report = build(path, tmp_path / "dataset", layer="counts", threads=1)
    assert report.manifest.kind == "counts"
    assert validate(report.path, source=path, checks=["source"]).count("error") == 0


def test_another_atlas_is_told_from_the_source(tmp_path: Path) -> None:
    one, other = small_atlas("counts"), small_atlas("counts")[:, ::-1][:200].copy()
    one.write_h5ad(tmp_path / "one.h5ad")
    other.write_h5ad(tmp_path / "other.h5ad")
    dataset = build(tmp_path / "one.h5ad", tmp_path / "dataset", threads=1).path
    report = validate(dataset, source=tmp_path / "other.h5ad", checks=["source"])
    failed = {r.check.name for r, _ in report.findings("error")}
    assert failed >= {"source.sha256", "source.order", "source.matrix", "source.obs", "source.var"}


REAL = (
    "celltypist_sample_559x32786", "glioblastoma_lemur_5000x300", "heart_pseudobulk_mofacell_66x29126",
    "human_liver_cellxgene_146x33452", "oligodendroglioma_infercnv", "pbmc_3tech_symphony_1200x1767",
)  # fmt: skip


@pytest.mark.parametrize("name", [*REAL[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in REAL[2:])])
def test_real_files_are_found_without_error(name: str, shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "h5ad" / f"{name}.h5ad"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    dataset = build(path, tmp_path / "dataset", threads=2).path
    subjects = ["integrity", "matrix", "source", "metadata"]
    report = validate(dataset, source=path, checks=subjects, threads=2)
    assert [(r.check.name, f.where, f.message) for r, f in report.findings("error")] == []
    assert report["source.matrix"].status == report["matrix.transpose"].status == "passed"


def frame() -> pd.DataFrame:
    labels = pd.Categorical(["x", "y", "x"], categories=["y", "x", "z"])
    return pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": labels, "c": ["p", None, "q"]}, index=["r", "s", "t"])


CHANGES: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    "a value": (lambda f: f.assign(a=[1.0, np.nan, 4.0]), r", column a, cell or gene t \(source row 2\): 1 values"),
    "a value lost": (lambda f: f.assign(c=["p", None, None]), r", column c, .* row 2\)"),
    "a dtype": (lambda f: f.assign(a=f["a"].astype("f4")), r", column a: it is float32, not float64"),
    "a label": (lambda f: f.assign(b=f["b"].where(f.index != "t", "y")), r", column b, .* row 2\): 1 values"),
    "an unused category": (lambda f: f.assign(b=f["b"].cat.remove_unused_categories()),
                           ", categories: 0 categories are here only, 1 in the source only"),
    "the order of categories": (lambda f: f.assign(b=f["b"].cat.reorder_categories(["x", "y", "z"])), "another order"),
    "an ordered category": (lambda f: f.assign(b=f["b"].cat.as_ordered()), "ordered is True, not False"),
    "the order of columns": (lambda f: f[["b", "a", "c"]], ", columns: the columns are in another order"),
    "a column": (lambda f: f.drop(columns="c"), r"\['c'\] there only"),
    "a name": (lambda f: f.rename(index={"s": "u"}), r", index, source row 1: 1 names differ; .* 'u', not 's'"),
    "the index's name": (lambda f: f.rename_axis("cell"), ", index: the index is 'cell'"),
    "a row": (lambda f: f.iloc[:2], ": 2 rows, the source has 3"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_frames_are_compared_in_everything(change: str) -> None:
    import re

    alter, message = CHANGES[change]
    found = frame_difference(alter(frame()), frame())
    assert found is not None
    assert re.search(message, f"{found.where}: {found.message}")
    assert frame_difference(frame(), frame()) is None


def test_documents_are_compared_in_everything() -> None:
    def tree() -> dict[str, Any]:
        return {"a": {"b": np.array([1.0, np.nan]), "c": [1, "x"]}, "d": 2, "e": frame(), "f": sp.eye(2).tocsr()}

    assert tree_difference(tree(), tree()) is None
    for path, value in (("a/b", np.array([1.0, 2.0])), ("a/c", [1, "y"]), ("d", 2.0), ("f", sp.eye(2).tocsr() * 2)):
        other = tree()
        at: Any = other
        *way, last = path.split("/")
        for key in way:
            at = at[key]
        at[last] = value
        assert tree_difference(other, tree())[0] == path
    missing = tree()
    del missing["a"]["b"]
    assert tree_difference(missing, tree()) == ("a/b", "it is missing")
    assert tree_difference(missing, tree(), {"a/b"}) is None
    assert tree_difference(tree() | {"g": 1}, tree()) == ("g", "the source has not got it")
