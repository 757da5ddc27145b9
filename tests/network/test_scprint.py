"""Networks of donors by a backend that takes cells; scPRINT where it is installed, and in words where it is not."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import CHANGED, ROLES, edges, genes, planted_atlas
from scipy import sparse

import titin
from titin.cli import main
from titin.errors import TitinError
from titin.network import NetworkQuestion, PriorNetwork, backends, infer_networks, scprint
from titin.network.scprint import PYTHON, ScprintBackend

KNOWN = PriorNetwork(edges(), "planted")
QUESTION = NetworkQuestion(network=KNOWN, n_edges=32, n_bootstraps=5)
needs_scprint = pytest.mark.skipif(
    PYTHON not in os.environ, reason=f"scPRINT has to be in an environment of its own: {PYTHON} names its Python"
)


class OfCells:
    """The size of the correlation within each donor's cells."""

    most_genes, most_cells = 96, 80

    def infer_donors(
        self, counts: sparse.csr_matrix, depth: np.ndarray, donor: np.ndarray, genes: list[str], gene_ids: list[str],
        regulators: list[str],
    ) -> np.ndarray:  # fmt: skip
        assert np.bincount(donor).tolist() == [80] * 12
        assert (depth >= np.asarray(counts.sum(axis=1)).ravel()).all()
        place = [genes.index(name) for name in regulators]
        logs = np.log1p(counts.toarray() / depth[:, None] * 1e4)
        own = [np.corrcoef(logs[donor == d].T)[place] for d in range(12)]
        return np.abs(np.nan_to_num(own))


class OfNone(OfCells):
    def infer_donors(self, *arguments: Any) -> np.ndarray:
        return np.zeros((12, 3))


@pytest.fixture
def atlas(planted: Path) -> titin.Atlas:
    return titin.open(planted / "dataset")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(name, f"{__name__}:{name}", backends.GROUP) for name in ("OfCells", "OfNone")]
    monkeypatch.setattr(backends, "entry_points", lambda group: entries)


@pytest.mark.usefixtures("registered")
def test_a_backend_of_cells_gives_each_donor_its_network(atlas: titin.Atlas) -> None:
    found = infer_networks(atlas, replace(QUESTION, backend="OfCells"))
    of_t = found.table[found.table["cell_type"] == "T cell"]
    assert (of_t["prior"] != 0).mean() > 0.9
    assert (of_t["sign"] == of_t["prior"])[of_t["prior"] != 0].all()  # of the correlation within donors
    assert of_t["stability"].mean() > 0.8
    row, own = (table[(table["cell_type"] == "T cell") & (table["regulator"] == CHANGED)]
                for table in (found.regulators, found.donors))  # fmt: skip
    row = row.iloc[0]
    means = own.groupby(own["age"] > 45)["strength"].mean()
    assert row["difference"] == pytest.approx(means[True] - means[False])
    assert row["strength"] == pytest.approx(own["strength"].mean(), rel=1e-5)
    assert row["difference"] < -0.1
    assert row["p_value"] == found.regulators["p_value"].min() < 0.01


@pytest.mark.usefixtures("registered")
def test_weights_of_another_shape_are_refused(atlas: titin.Atlas) -> None:
    with pytest.raises(TitinError, match=r"the backend OfNone gave \(12, 3\) weights, not \(12, 4, 96\)"):
        infer_networks(atlas, replace(QUESTION, backend="OfNone"))


def fake_python(path: Path, does: str) -> str:
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "weights.ckpt"
    path.write_bytes(b"none")
    return path


def test_what_scprint_needs_is_said(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    with pytest.raises(TitinError, match="the backend scprint needs weights"):
        ScprintBackend()
    with pytest.raises(TitinError, match=r"there is no checkpoint .*nowhere"):
        ScprintBackend(checkpoint.with_name("nowhere"))
    with pytest.raises(TitinError, match="in an environment of its own, as it needs numpy below 2"):
        ScprintBackend(checkpoint)
    monkeypatch.setenv(PYTHON, "/nowhere/python")
    with pytest.raises(TitinError, match="names /nowhere/python, which is no program"):
        ScprintBackend(checkpoint)


@pytest.mark.parametrize(("does", "said"), [
    ("echo 'no such module' >&2; exit 3", "scPRINT ended without an answer: no such module"),
    ("kill -9 $$", "the system ended scPRINT, which it does where memory runs out"),
    ("read line; echo '{\"error\": \"scPRINT has not enough memory\", \"hint\": \"more\"}'", "not enough memory\nmore"),
])  # fmt: skip
def test_a_process_that_fails_is_told_of(
    does: str, said: str, atlas: titin.Atlas, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PYTHON, fake_python(checkpoint.with_name("python"), does))
    with pytest.raises(TitinError) as told:
        infer_networks(atlas, replace(QUESTION, backend="scprint", checkpoint=checkpoint))
    assert said in str(told.value)


@pytest.mark.skipif("scprint" in sys.modules, reason="scPRINT is here")
def test_a_python_without_scprint_is_named(
    planted: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PYTHON, sys.executable)
    with pytest.raises(SystemExit) as done:
        main(["network", str(planted / "dataset"), "--regulators", "TF0,TF1", "--backend", "scprint", "--checkpoint",
              str(checkpoint), "-o", str(checkpoint.with_name("out")), "-q"])  # fmt: skip
    assert done.value.code == 2
    assert "scPRINT cannot be loaded by " in capsys.readouterr().err


def test_other_backends_take_no_checkpoint(planted: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["network", str(planted / "dataset"), "--regulators", "TF0", "--checkpoint", str(checkpoint), "-q"])
    assert done.value.code == 2
    assert "the backend ridge takes no checkpoint" in capsys.readouterr().err


@needs_scprint
@pytest.mark.slow
def test_scprint_gives_the_attention_of_its_own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = planted_atlas(cells=50)
    study.var["gene_ids"] = [f"ENSG{i:011d}" for i in range(study.n_vars)]
    study.write_h5ad(tmp_path / "study.h5ad")
    titin.build(tmp_path / "study.h5ad", tmp_path / "study", roles=ROLES, project=())
    ids = study.var["gene_ids"].tolist()
    (tmp_path / "genes.json").write_text(json.dumps([*ids[:60], "ENSG99999999999"]))
    own = study[(study.obs["donor"] == "D00") & (study.obs["cell_type"] == "T cell")]
    np.save(tmp_path / "counts.npy", own.X.toarray()[:, :60])
    script = Path(__file__).with_name("make_scprint_checkpoint.py")
    subprocess.run([os.environ[PYTHON], str(script), str(tmp_path)], check=True, capture_output=True)
    atlas = titin.open(tmp_path / "study")
    backend = ScprintBackend(tmp_path / "tiny.ckpt")
    counts, donor = sparse.csr_matrix(own.X.toarray()), np.zeros(own.n_obs, np.int64)
    depth = own.X.toarray()[:, :60].sum(axis=1)  # as in the expected
    order = np.random.default_rng(0).permutation(study.n_vars)  # in any order of genes
    names = [genes()[i] for i in order]
    try:
        found = backend.infer_donors(
            counts[:, order], depth, donor, names, [f"{ids[i]}.7" for i in order], KNOWN.sources
        )
    finally:
        backend.close()
    expected = np.load(tmp_path / "expected.npy")
    column = {name: i for i, name in enumerate(names)}
    for t, name in enumerate(KNOWN.sources):
        assert found[0, t, [column[gene] for gene in genes()[:60]]] == pytest.approx(
            expected[:, genes().index(name)], rel=1e-3
        )
        assert (found[0, t, [column[gene] for gene in genes()[60:]]] == 0).all()  # the model does not know them
    (tmp_path / "edges.csv").write_text(edges().to_csv(index=False))
    question = replace(QUESTION, backend="scprint", checkpoint=tmp_path / "tiny.ckpt", reference=KNOWN)
    networks = infer_networks(atlas, question)
    assert set(networks.table["cell_type"]) == {"B cell", "T cell"}
    assert len(networks.table) == 64
    assert networks.evaluation["weights"].tolist() == ["scprint", "correlation"] * 2
    assert networks.regulators["p_value"].between(0, 1).all()
    assert networks.settings["checkpoint"] == "tiny.ckpt"
    monkeypatch.setattr(scprint, "available_memory", lambda: 10**5)
    with pytest.raises(TitinError, match="scPRINT has not enough memory: 60 genes take"):
        infer_networks(atlas, question)
    (tmp_path / "weights.ckpt").write_bytes(b"none")
    with pytest.raises(TitinError, match=r"weights\.ckpt is no checkpoint of scPRINT"):
        infer_networks(atlas, replace(question, checkpoint=tmp_path / "weights.ckpt"))
