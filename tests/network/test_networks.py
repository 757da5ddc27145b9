"""Networks find planted edges and the regulator whose strength changes; runs go on where they were interrupted."""

import importlib.util
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted import CHANGED, ROLES, edges, genes, planted_atlas

import titin
from titin.errors import TitinError
from titin.network import NetworkQuestion, Networks, PriorNetwork, backends, infer_networks, network_weights
from titin.network.backends import find_backend

KNOWN = PriorNetwork(edges(), "planted")
REGULATORS = (*KNOWN.sources, *(f"X{i}" for i in range(8)))
QUESTION = NetworkQuestion(network=KNOWN, regulators=REGULATORS, reference=KNOWN, n_edges=32, n_bootstraps=5)


@pytest.fixture(scope="module")
def atlas(planted: Path) -> titin.Atlas:
    return titin.open(planted / "dataset")


@pytest.fixture(scope="module")
def found(atlas: titin.Atlas) -> Networks:
    return infer_networks(atlas, QUESTION)


def test_planted_edges_are_the_strongest_and_hold_over_donors(found: Networks) -> None:
    planted = found.table["prior"] != 0
    assert len(found.table) == 64
    assert planted.mean() > 0.95
    assert (found.table["sign"] == found.table["prior"])[planted].all()
    assert found.table["stability"][planted].mean() > 0.9
    assert (found.evaluation["aupr_ratio"] > 3).all()
    assert found.evaluation["weights"].tolist() == ["ridge", "correlation"] * 2


def test_the_regulator_whose_strength_changes_in_one_type_is_found_there(found: Networks) -> None:
    table = found.regulators.set_index(["regulator", "cell_type"]).loc[KNOWN.sources]
    assert table.loc[(CHANGED, "T cell"), "adj_p_value"] < 0.05
    assert table.loc[(CHANGED, "T cell"), "difference"] < -0.2
    assert (table.drop((CHANGED, "T cell"))["adj_p_value"] > 0.05).all()
    assert (table["targets"] == "known").all()
    assert (table["strength"] > 0.3).all()


def test_strengths_of_donors_give_the_difference(found: Networks) -> None:
    own = found.donors.query("cell_type == 'T cell' and regulator == @CHANGED")
    means = own.groupby(own["age"] > 45)["strength"].mean()
    row = found.regulators.query("cell_type == 'T cell' and regulator == @CHANGED").iloc[0]
    assert row["difference"] == pytest.approx(means[True] - means[False])
    assert len(own) == row["n_donors"] == 12


def test_edges_say_what_changes_too(found: Networks) -> None:
    own = found.table.query("cell_type == 'T cell' and prior != 0")
    of_changed = own["regulator"] == CHANGED
    weakened = own["difference"] * own["sign"]
    assert weakened[of_changed].max() < weakened[~of_changed].median()
    assert (own["p_value"] >= 2 / 924 / 32 - 1e-12).all()
    assert own["p_value"].min() < 2 / 924  # of one arrangement of many edges


def test_a_result_is_read_back_whole(found: Networks, tmp_path: Path) -> None:
    found.write(tmp_path / "network.parquet")
    again = Networks.read(tmp_path / "network.parquet")
    for name, table in found.tables().items():
        pd.testing.assert_frame_equal(again.tables()[name], table)
    assert again.document() == found.document()


def test_what_is_finished_of_a_type_is_not_done_again(
    atlas: titin.Atlas, found: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    true = network_weights.read_counts

    def stop(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return true(*arguments)

    monkeypatch.setattr(network_weights, "read_counts", stop)
    with pytest.raises(KeyboardInterrupt):
        infer_networks(atlas, QUESTION, parts=tmp_path)
    again = infer_networks(atlas, QUESTION, parts=tmp_path)
    assert len(calls) == 3
    pd.testing.assert_frame_equal(again.table, found.table)
    pd.testing.assert_frame_equal(again.regulators, found.regulators)
    infer_networks(atlas, NetworkQuestion(network=KNOWN, n_bootstraps=0, n_edges=3), parts=tmp_path)
    assert len(calls) == 5


def test_threads_change_nothing(atlas: titin.Atlas, found: Networks) -> None:
    pd.testing.assert_frame_equal(infer_networks(atlas, QUESTION, threads=3).table, found.table)


@pytest.mark.parametrize(("question", "said"), [
    (NetworkQuestion(), "nothing that says which genes regulate"),
    (NetworkQuestion(regulators=("SPI1", "PAX5")), "none of the 2 regulators is a gene of this dataset"),
    (NetworkQuestion(network=KNOWN, backend="oracle"), "there is no backend 'oracle'"),
])  # fmt: skip
def test_what_cannot_be_asked_is_said(atlas: titin.Atlas, question: NetworkQuestion, said: str) -> None:
    with pytest.raises(TitinError, match=said):
        infer_networks(atlas, question)


def built(folder: Path, **columns: Any) -> titin.Atlas:
    study = planted_atlas(donors=6, cells=60)
    study.obs = study.obs.assign(**columns)
    study.write_h5ad(folder / "study.h5ad")
    roles = ROLES | ({"protocol": "protocol"} if "protocol" in study.obs else {})
    titin.build(folder / "study.h5ad", folder / "study", roles=roles, project=())
    return titin.open(folder / "study")


def test_a_type_in_one_protocol_is_told_of_there(tmp_path: Path) -> None:
    protocol = np.where(np.arange(720) % 2 == 0, "cells", "nuclei")  # B cells in the one, T cells in the other
    found = infer_networks(built(tmp_path, protocol=protocol), QUESTION)
    where = [(test["cell_type"], test["protocol"]) for test in found.tests]
    assert where == [("B cell", "cells"), ("T cell", "nuclei")]
    assert found.tests[0]["not_compared"] == ""
    assert "20 arrangements of ages" in found.tests[0]["notes"][0]


def test_few_donors_are_told_with_their_type(tmp_path: Path) -> None:
    kind = np.where(np.arange(720) < 60, "rare", "T cell")
    found = infer_networks(built(tmp_path, cell_type=kind), QUESTION)
    assert [(entry["cell_type"], entry["reason"]) for entry in found.skipped] == [
        ("rare", "1 donor with 40 cells or more, fewer than 6")
    ]


class Halves:
    """A backend of the test's own: half of the correlation."""

    shape = staticmethod(lambda expression, regulators: (len(regulators), expression.shape[1]))

    def infer(self, expression: np.ndarray, genes: list[str], regulators: list[str]) -> np.ndarray:
        place = [genes.index(name) for name in regulators]
        return (expression[:, place].T @ expression / len(expression) / 2)[:, : self.shape(expression, regulators)[1]]


class Wrong(Halves):
    shape = staticmethod(lambda expression, regulators: (0, 3))


class Broken:
    def __init__(self) -> None:
        raise OSError("no weights at /there")


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(name, f"{__name__}:{name}", backends.GROUP) for name in ("Halves", "Wrong", "Broken", "Gone")]
    monkeypatch.setattr(backends, "entry_points", lambda group: entries if group == backends.GROUP else [])


@pytest.mark.usefixtures("registered")
def test_a_backend_of_another_package_gives_the_same_table(atlas: titin.Atlas) -> None:
    other = infer_networks(atlas, NetworkQuestion(network=KNOWN, backend="Halves", n_edges=32, n_bootstraps=3))
    plain = infer_networks(atlas, NetworkQuestion(network=KNOWN, backend="correlation", n_edges=32, n_bootstraps=3))
    np.testing.assert_allclose(2 * other.table["weight"], plain.table["weight"], atol=1e-5)
    np.testing.assert_allclose(other.table["correlation"], plain.table["weight"], atol=1e-5)
    assert other.regulators["p_value"].tolist() == plain.regulators["p_value"].tolist()


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(("name", "said"), [
    ("Broken", "the backend Broken cannot be loaded: no weights at /there"),
    ("Gone", "the backend Gone cannot be loaded: "),
    ("Wrong", r"the backend Wrong gave \(4, 3\) weights, not \(4, 96\)"),
    ("none of these", "backends here: ridge, correlation, lightgbm, scprint, Broken, Gone, Halves, Wrong"),
])  # fmt: skip
def test_what_is_wrong_with_a_backend_is_said(atlas: titin.Atlas, name: str, said: str) -> None:
    with pytest.raises(TitinError) as told:
        infer_networks(atlas, NetworkQuestion(network=KNOWN, backend=name))
    assert told.match(said)


def test_lightgbm_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "lightgbm" else there(name, *a))
    with pytest.raises(TitinError, match=r"titin\[boosting\]"):
        find_backend("lightgbm")


def planted_values() -> tuple[np.ndarray, list[str]]:
    """Values of cells, standardised: regulators, their targets, and eight genes of none."""
    study = planted_atlas(donors=4, cells=60)
    values = np.log1p(study.X.toarray())
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)[:, :44], genes()[:44]


def test_lightgbm_gives_the_gain_of_its_own_trees_with_the_sign_of_the_correlation() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    values, names = planted_values()
    weights = find_backend("lightgbm").infer(values, names, KNOWN.sources)
    assert weights.shape == (4, 44)
    planted = np.abs(weights[:, 4:36])
    assert (planted.argmax(axis=0) == np.repeat(np.arange(4), 8)).mean() > 0.9
    repressed = np.arange(8) == 7
    own = np.array([weights[t, 4 + 8 * t : 12 + 8 * t] for t in range(4)])
    assert (np.sign(own) == np.where(repressed, -1, 1)).all()
    np.testing.assert_allclose(np.abs(weights).sum(axis=0), 1, atol=1e-5)  # shares of the gain
    trees = {
        "n_estimators": 50,
        "learning_rate": 0.1,
        "num_leaves": 8,
        "min_child_samples": 10,
        "seed": 0,
        "feature_fraction": 0.3,
        "objective": "regression",
        "verbose": -1,
        "num_threads": 1,
        "deterministic": True,
    }
    data = lightgbm.Dataset(values[:, :4].copy(), values[:, 4].copy(), params={"verbose": -1})
    gain = lightgbm.train({k: v for k, v in trees.items() if k != "n_estimators"}, data, 50).feature_importance("gain")
    np.testing.assert_allclose(np.abs(weights[:, 4]), gain / gain.sum(), atol=1e-5)


def test_lightgbm_finds_planted_edges_of_donors_as_the_plain_backend_does(atlas: titin.Atlas) -> None:
    pytest.importorskip("lightgbm")
    question = replace(QUESTION, backend="lightgbm", n_bootstraps=0, most_cells=60)
    found = infer_networks(atlas, question)
    planted = found.table["prior"] != 0
    assert len(found.table) == 64
    assert planted.mean() > 0.9
    assert (found.table["sign"] == found.table["prior"])[planted].all()
    assert found.evaluation["weights"].tolist() == ["lightgbm", "correlation"] * 2
    assert (found.evaluation["aupr_ratio"] > 3).all()
    plain = infer_networks(atlas, replace(question, backend="correlation"))
    assert found.regulators["p_value"].tolist() == plain.regulators["p_value"].tolist()  # of the correlation


def test_an_edge_that_turns_its_sign_is_not_stable() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 6)).astype("f4")
    rows, columns = np.divmod(np.arange(12), 6)
    turned = weights * np.where(np.arange(6) < 2, -1, 1).astype("f4")
    found = network_weights.edge_stability(
        lambda _: turned, 2, rows, columns, np.sign(weights).ravel(), NetworkQuestion()
    )
    np.testing.assert_array_equal(found, np.where(columns < 2, 0, 1))
