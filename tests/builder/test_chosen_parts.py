"""Columns of obs and embeddings chosen or left out: what is left out is named, and roles are not lost in silence."""

import json
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

import titin
from titin.check import validate
from titin.cli import main
from titin.errors import TitinError
from titin.exporter import export

N = 16


@pytest.fixture
def source(tmp_path: Path) -> Path:
    obs = pd.DataFrame(
        {
            "donor_id": [f"D{i % 4}" for i in range(N)], "sample_id": [f"S{i % 8}" for i in range(N)],
            "age": [20 + 15 * (i % 4) for i in range(N)], "n": np.arange(N), "a,b": "x", "pct/mt": 0.5,
        },
        index=[f"cell{i}" for i in range(N)],
    )  # fmt: skip
    obs["cell_type"] = pd.Categorical(["A", "B"] * (N // 2))
    X = np.random.default_rng(0).poisson(1.5, (N, 6)).astype(np.float32)
    X[:, 0] = 1
    obsm = {"X_umap": X[:, :2], "X_pca": X[:, :3], "wide": X[:, :4]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ad.AnnData(X, obs=obs, obsm=obsm).write_h5ad(tmp_path / "a.h5ad")
    return tmp_path / "a.h5ad"


CHOICES = {
    "some": ({"obs": ["donor_id", "cell_type"]}, ["donor_id", "cell_type"]),
    "with commas": ({"obs": ["cell_type, donor_id", "a,b"]}, ["donor_id", "a,b", "cell_type"]),
    "none of some": ({"no_obs": ["n,a,b"]}, None),
    "leave out": ({"no_obs": ["n", "a,b"]}, ["donor_id", "sample_id", "age", "pct/mt", "cell_type"]),
    "both": ({"obs": ["n", "age"], "no_obs": ["n"]}, ["age"]),
    "a slash": ({"obs": ["pct/mt"]}, ["pct/mt"]),
    "nothing": ({"obs": []}, []),
}


@pytest.mark.parametrize(("choice", "kept"), CHOICES.values(), ids=CHOICES)
def test_columns_that_are_kept_and_left_out(source, tmp_path, choice, kept):
    if kept is None:
        with pytest.raises(TitinError, match="--no-obs names 'a', which is not in obs"):
            titin.build(source, tmp_path / "d", project=(), **choice)
        return
    report = titin.build(source, tmp_path / "d", project=(), **choice)
    everything = ad.read_h5ad(source).obs
    export(tmp_path / "d", "h5ad", tmp_path / "b.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pd.testing.assert_frame_equal(ad.read_h5ad(tmp_path / "b.h5ad").obs, everything[kept], check_column_type=False)
    assert {k for k in report.manifest.left_out if k.startswith("obs/")} == {
        f"obs/{name}" for name in everything.columns if name not in kept
    }
    assert validate(tmp_path / "d", source=source, checks=["source"], threads=1).count("error") == 0


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        ({"obsm": ["X_umap"]}, {"X_umap"}),
        ({"no_obsm": ["X_umap,wide"]}, {"X_pca"}),
        ({"obsm": ["X_umap", "wide"], "no_obsm": ["wide"]}, {"X_umap"}),
        ({"obsm": []}, set()),
    ],
)
def test_embeddings_that_are_kept_and_left_out(source, tmp_path, choice, kept):
    report = titin.build(source, tmp_path / "d", project=(), **choice)
    assert set(titin.open(tmp_path / "d").obsm) == kept
    assert {k.removeprefix("obsm/") for k in report.manifest.left_out if k.startswith("obsm/")} == {
        "X_umap", "X_pca", "wide"
    } - kept  # fmt: skip


@pytest.mark.parametrize(
    ("option", "name", "near"),
    [("obs", "donor", "donor_id"), ("no_obs", "cell_tpye", "cell_type"), ("obsm", "umap", "X_umap"),
     ("no_obsm", "X_tsne", "X_")],
)  # fmt: skip
def test_names_that_are_not_there(source, tmp_path, option, name, near):
    with pytest.raises(TitinError, match=f"--{option.replace('_', '-')} names '{name}'") as error:
        titin.build(source, tmp_path / "d", **{option: [name]})
    assert near in error.value.hint


def test_a_role_that_is_left_out_is_said(source, tmp_path):
    report = titin.build(source, tmp_path / "d", project=(), no_obs=["donor_id", "n"])
    assert report.manifest.roles["donor"] is None
    said = [note for note in report.manifest.notes if "donor_id" in note]
    assert len(said) == 1
    assert "would be the donor" in said[0]
    assert not any("'n'" in note for note in report.manifest.notes)


@pytest.mark.parametrize("choice", [{"no_obs": ["sample_id"]}, {"obs": ["age"]}])
def test_a_role_that_was_given_cannot_be_left_out(source, tmp_path, choice):
    with pytest.raises(TitinError, match="'sample_id' is to be the donor, but is"):
        titin.build(source, tmp_path / "d", roles={"donor": "sample_id"}, **choice)


def test_a_column_that_cannot_be_read_can_be_left_out(source, tmp_path):
    with h5py.File(source, "r+") as file:
        del file["obs/n"]
        file["obs/n/odd"] = np.arange(3)
    with pytest.raises(TitinError, match="obs/n is a group of odd") as error:
        titin.build(source, tmp_path / "d", project=())
    assert "--no-obs 'n'" in error.value.hint
    report = titin.build(source, tmp_path / "d", project=(), no_obs=["n"])
    assert "obs/n" in report.manifest.left_out


def test_on_the_command_line(source, tmp_path, capsys):
    main(["build", str(source), "-o", str(tmp_path / "d"), "--no-project", "--no-obs", "n,age", "--no-obs", "a,b",
          "--obsm", "X_pca", "-q"])  # fmt: skip
    said = capsys.readouterr().out
    assert "left out: obs/age: left out as was asked for" in said
    assert "left out: obsm/X_umap: not among those that were chosen" in said
    assert "obs column 'age' would be the age" in said
    written = json.loads((tmp_path / "d" / "titin.json").read_text())
    assert written["settings"]["no_obs"] == ["n,age", "a,b"]
    card = (tmp_path / "d" / "README.md").read_text()
    assert "obs/n" in card
