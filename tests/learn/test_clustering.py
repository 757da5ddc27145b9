"""Clusters and mixing on points whose structure is known; genes of several folds."""

import numpy as np
import pandas as pd
import pytest

from titin.learn import design_table
from titin.learn.ageing_genes import consensus, overlap, stability
from titin.learn.clustering import best_f1, ilisi, score_projection, transfer_labels


def points(n=400, apart=8.0, donor_apart=0.0):
    rng = np.random.default_rng(0)
    kind, donor = rng.integers(0, 4, n), rng.integers(0, 3, n)
    X = rng.normal(0, 0.5, (n, 2)) + apart * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])[kind]
    X[:, 0] += donor_apart * donor
    obs = pd.DataFrame({"donor": [f"d{d}" for d in donor], "type": [f"t{k}" for k in kind]})
    return X, design_table(obs, {"donor": "donor", "cell_type": ["type"]})


def values(table):
    return table.set_index(["method", "metric"])["value"]


def test_types_far_apart_and_donors_mixed():
    found = values(score_projection(*points()))
    assert found["kmeans", "ari"] == found["kmeans", "nmi"] == found["kmeans", "best_f1"] == 1
    assert found["projection", "label_transfer_macro_f1"] == 1
    assert found["projection", "donor_ilisi"] > 0.7
    assert found["projection", "silhouette"] > 0.8


def test_donors_apart_are_not_mixed():
    found = values(score_projection(*points(donor_apart=100)))
    assert found["projection", "donor_ilisi"] == 0
    assert found["kmeans", "ari"] < 0.6


def test_leiden_beside_k_means():
    pytest.importorskip("igraph")
    found = values(score_projection(*points()))
    assert found["leiden_0.5", "ari"] > 0.4
    assert found["leiden_2", "n_clusters"] >= found["leiden_0.5", "n_clusters"]


def test_best_f1_and_ilisi_by_hand():
    assert best_f1(np.array(["a", "a", "b"]), np.array([0, 0, 0])) == pytest.approx((0.8 + 0.5) / 2)
    assert ilisi(np.array([[0, 1], [0, 1]]), np.array([0, 1])) == 1
    assert ilisi(np.array([[0, 0], [1, 1]]), np.array([0, 1])) == 0


def test_labels_come_from_other_donors():
    neighbours = np.array([[1, 2], [0, 2], [0, 1]])
    donors, types = np.array([0, 0, 1]), np.array(["a", "a", "b"], object)
    assert transfer_labels(neighbours, donors, types).tolist() == ["b", "b", "a"]


def test_genes_of_folds():
    genes = pd.DataFrame({"fold": [0, 0, 1, 1], "class": "", "gene": ["x", "y", "x", "z"], "weight": [2.0, -1, 4, 1]})
    assert consensus(genes)[["gene", "weight", "folds"]].to_numpy().tolist() == [
        ["x", 3.0, 1.0], ["y", -0.5, 0.5], ["z", 0.5, 0.5]]  # fmt: skip
    assert stability(genes) == pytest.approx(1 / 3)


def test_overlap_is_judged_against_genes_of_like_detection(demo):
    names = demo.var_names.astype(str).tolist()
    whole = overlap(demo, names[:40], names[:40])
    assert whole["found"] == 40
    assert whole["p"] < 0.01
    none = overlap(demo, names[:40], names[40:80])
    assert none["found"] == 0
    assert none["p"] == 1
