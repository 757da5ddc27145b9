"""Leiden clusters as scanpy's, numbered by size, the same for the same seed."""

import random
import sys
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from preservation import real_scores, scanpy_of
from titin.embed.leiden import RESOLUTIONS, leiden
from titin.embed.neighbors import neighbors
from titin.errors import TitinError


@pytest.fixture(scope="module")
def graph():
    return sparse.csr_matrix(scanpy_of(real_scores(), "neighbors"))


def scanpys(graph, resolution, seed):
    import scanpy as sc

    atlas = anndata.AnnData(np.zeros((graph.shape[0], 1), np.float32), obsp={"connectivities": graph})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.tl.leiden(
            atlas, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed, obsp="connectivities"
        )
    return atlas.obs["leiden"]


@pytest.mark.parametrize("resolution", [0.25, 1.0, 2.0])
def test_agrees_with_scanpys_as_much_as_scanpys_with_itself_under_another_seed(resolution, graph):
    theirs = [scanpys(graph, resolution, seed) for seed in range(4)]
    ours = leiden(graph, [resolution]).iloc[:, 0]
    themselves = [adjusted_rand_score(a, b) for i, a in enumerate(theirs) for b in theirs[:i]]
    assert max(adjusted_rand_score(ours, labels) for labels in theirs) >= min(themselves)


def test_one_column_a_resolution_and_categories_by_falling_size(graph):
    labels = leiden(graph)
    assert list(labels) == [f"leiden_{r:g}" for r in RESOLUTIONS]
    assert len(labels) == 700
    for name in labels:
        sizes = labels[name].value_counts(sort=False)
        assert list(sizes.index) == [str(i) for i in range(len(sizes))]
        assert sizes.is_monotonic_decreasing
        assert sizes.min() > 0
    assert labels["leiden_2"].nunique() > labels["leiden_0.25"].nunique()


def test_the_same_seed_gives_the_same_labels_and_leaves_other_random_numbers_alone(graph):
    random.seed(5)
    expected = random.random()
    random.seed(5)
    one = leiden(graph, [1.0], random_state=3)
    assert random.random() == expected
    pd.testing.assert_frame_equal(one, leiden(graph, [1.0], random_state=3))
    pd.testing.assert_frame_equal(one, leiden(graph, [0.5, 1.0], random_state=3)[["leiden_1"]])


def test_of_neighbours():
    apart = np.repeat(np.eye(3, dtype=np.float32) * 90, 40, axis=0)
    near = neighbors(apart + np.random.default_rng(0).normal(size=apart.shape).astype(np.float32), 15)
    labels = leiden(near, [0.25])["leiden_0.25"]
    assert adjusted_rand_score(labels, np.repeat(np.arange(3), 40)) == 1
    assert list(labels.cat.categories) == ["0", "1", "2"]
    assert labels[0] == "0"  # the first among equals


@pytest.mark.parametrize(
    ("graph", "resolutions", "message"),
    [(sparse.csr_matrix((3, 4)), [1], "no graph of cells"), (sparse.csr_matrix((3, 3)), [-1], "-1 is below 0")],
)
def test_wrong_use(graph, resolutions, message):
    with pytest.raises(TitinError, match=message):
        leiden(graph, resolutions)


def test_without_igraph_one_line_says_what_to_install(monkeypatch, graph):
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(TitinError, match="Leiden needs the package igraph, which is not installed") as error:
        leiden(graph)
    assert error.value.hint == "pip install 'titin[leiden]'"
