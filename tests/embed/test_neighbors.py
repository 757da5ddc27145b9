"""Neighbours are the nearest, the share of them that was found is measured, and weights are scanpy's."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from titin.embed import neighbors
from titin.embed import neighbors as public
from titin.errors import TitinError


@pytest.fixture(scope="module")
def cells():
    """3,000 cells in 12 clusters, 20 dimensions; the last 20 lie on one spot."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(12, 20))[rng.integers(0, 12, 3000)] * 4 + rng.normal(size=(3000, 20))).astype(np.float32)
    X[-20:] = X[-1]
    return X


@pytest.fixture
def search(monkeypatch):
    """The index, also for as few cells as a test has."""
    import sys

    monkeypatch.setattr(sys.modules["titin.embed.neighbors"], "EXACT_CELLS", 0)
    return public


def distances_of(X: np.ndarray, metric: str) -> np.ndarray:
    from scipy.spatial.distance import cdist

    names = {"euclidean": "euclidean", "cosine": "cosine", "manhattan": "cityblock"}
    return cdist(X.astype(np.float64), X.astype(np.float64), names[metric])


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_all_pairs_are_compared_where_there_are_few(cells, metric):
    found = neighbors(cells, 10, metric=metric)
    assert (found.indices.dtype, found.distances.dtype) == (np.int32, np.float32)
    assert (found.recall, found.recall_cells, found.params["index"]) == (1.0, 3000, "exact")
    assert found.indices[:, 0].tolist() == list(range(3000))
    assert not found.distances[:, 0].any()
    true = distances_of(cells, metric)
    np.testing.assert_allclose(found.distances, np.sort(true, axis=1)[:, :10], atol=3e-3)
    np.testing.assert_allclose(found.distances, np.take_along_axis(true, found.indices, axis=1), atol=3e-3)


@pytest.mark.slow  # the index compiles for a minute
def test_the_index_finds_nearly_all_and_knows_how_many(cells, search):
    found = search(cells, 10, random_state=3)
    true = distances_of(cells, "euclidean")
    assert found.params["index"].startswith("pynndescent")
    assert (found.recall_cells, found.params["recall"]) == (1000, found.recall)
    assert found.indices[:, 0].tolist() == list(range(3000))
    assert all(len(set(row)) == 10 for row in found.indices.tolist())
    np.testing.assert_allclose(found.distances, np.take_along_axis(true, found.indices, axis=1), atol=3e-3)
    farthest = np.sort(true, axis=1)[:, 9:10]
    recall = (found.distances[:, 1:] <= farthest * (1 + 1e-5) + 1e-5).mean()
    assert recall > 0.98
    assert found.recall == pytest.approx(recall, abs=0.01)


def test_a_bad_index_is_told_apart_by_its_recall(cells, search, monkeypatch):
    import pynndescent

    class Careless:
        def __init__(self, X, n_neighbors, **_):
            order = np.argsort(distances_of(X, "euclidean"), axis=1)[:, : 2 * n_neighbors - 1 : 2]
            self.neighbor_graph = order, np.take_along_axis(distances_of(X, "euclidean"), order, axis=1)

    monkeypatch.setattr(pynndescent, "NNDescent", Careless)
    assert 0.3 < search(cells, 11).recall < 0.6  # of ten true neighbours, every second one


@pytest.mark.slow  # the index compiles for a minute
def test_the_same_seed_gives_the_same_neighbours(cells, search):
    one, again = (search(cells, 8, random_state=1, threads=2) for _ in range(2))
    np.testing.assert_array_equal(one.indices, again.indices)
    np.testing.assert_array_equal(one.distances, again.distances)
    assert one.recall == again.recall


def test_weights_and_convention_are_scanpys(cells):
    import anndata as ad
    import scanpy as sc

    data = ad.AnnData(np.zeros((1500, 1), np.float32), obsm={"X_pca": cells[:1500]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.neighbors(data, n_neighbors=15, use_rep="X_pca")
    found = neighbors(cells[:1500], 15)
    ours, theirs = found.connectivities(), data.obsp["connectivities"]
    assert sparse.isspmatrix_csr(ours)
    assert abs(ours - theirs).max() < 1e-3
    assert abs(ours - ours.T).max() == 0
    near = data.obsp["distances"]
    assert set(np.diff(near.indptr)) == {found.n_neighbors - 1}  # without the cell itself
    np.testing.assert_allclose(np.sort(near.data.reshape(1500, 14)), found.distances[:, 1:], atol=1e-2)


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 9), st.data())
def test_any_cells_have_their_neighbours(n, dimensions, seed, data):
    X = np.random.default_rng(seed).integers(0, 3, (n, dimensions)).astype(float)  # many on the same spot
    k = data.draw(st.integers(2, n))
    found = neighbors(X, k, threads=1)
    assert found.indices[:, 0].tolist() == list(range(n))
    assert all(len(set(row)) == k for row in found.indices.tolist())
    np.testing.assert_allclose(found.distances, np.sort(distances_of(X, "euclidean"), axis=1)[:, :k], atol=1e-6)


@pytest.mark.parametrize(
    ("X", "options", "complaint"),
    [
        (np.zeros((30, 2)), {"n_neighbors": 31}, "30 cells have not 31 neighbours"),
        (np.zeros((30, 2)), {"n_neighbors": 1}, "have not 1 neighbours"),
        (np.zeros((1, 2)), {"n_neighbors": 2}, "1 cells have not 2"),
        (np.zeros((0, 2)), {}, "need a matrix of numbers"),
        (np.zeros(30), {}, "need a matrix of numbers"),
        (np.array([["a"]]), {}, "need a matrix of numbers"),
        (np.array([[0.0], [np.nan], [np.inf], [1.0]]), {"n_neighbors": 2}, "2 cells .* first at position 1"),
        (np.zeros((30, 2)), {"metric": "wine"}, "no metric 'wine'"),
    ],
)
def test_wrong_use_is_told(X, options, complaint):
    with pytest.raises(TitinError, match=complaint) as caught:
        neighbors(X, **options)
    assert caught.value.hint
