"""Principal components agree with scanpy's on real data, and with numpy's on any data."""

import json
import os
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import titin
from small_builds import build_and_open
from titin.atlas import MemoryLimitError, UnknownNameError
from titin.embed import pca
from titin.embed.krylov import leading_eigenpairs
from titin.errors import TitinError


def scanpy_pca(source: ad.AnnData, n_comps: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, loadings and variances, by ARPACK."""
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.pca(source, n_comps=n_comps, svd_solver="arpack", zero_center=True)
    return source.obsm["X_pca"], source.varm["PCs"], source.uns["pca"]["variance"]


def cosine(one: np.ndarray, other: np.ndarray, n: int = 20) -> float:
    """Cosine of the largest angle between the subspaces of the first columns."""
    one, other = (np.linalg.qr(part[:, :n].astype(np.float64))[0] for part in (one, other))
    return float(np.linalg.svd(one.T @ other)[1].min())


def dense_pca(X: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    centred = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    U, s, Vt = np.linalg.svd(centred, full_matrices=False)
    return U[:, :n] * s[:n], Vt[:n].T, s[:n] ** 2 / (len(X) - 1)


@pytest.fixture(scope="module")
def pbmc68k(tmp_path_factory):
    """scanpy's bundled cells of pbmc68k: log-normalised values of 765 genes."""
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = sc.datasets.pbmc68k_reduced().raw.to_adata()
    source = ad.AnnData(sparse.csr_matrix(raw.X), pd.DataFrame(index=raw.obs_names), pd.DataFrame(index=raw.var_names))
    atlas = build_and_open(tmp_path_factory.mktemp("pbmc68k"), source)
    return atlas, source[atlas.obs_names].copy()


@pytest.fixture(scope="module")
def pbmc4k(tmp_path_factory, shared):
    """Counts of 2,170 cells × 33,694 genes, and their log-normalised values by scanpy."""
    import scanpy as sc

    path = shared / "data" / "h5ad" / "pbmc4k_soupx_2170x33694.h5ad"
    if not path.exists():
        pytest.skip(f"needs {path.name}")
    stored = ad.read_h5ad(path)
    source = ad.AnnData(
        sparse.csr_matrix(stored.X), pd.DataFrame(index=stored.obs_names), pd.DataFrame(index=stored.var_names)
    )
    atlas = build_and_open(tmp_path_factory.mktemp("pbmc4k"), source)
    normal = source[atlas.obs_names].copy()
    normal.X = normal.X.astype(np.float32)
    sc.pp.normalize_total(normal, target_sum=1e4)
    sc.pp.log1p(normal)
    return atlas, normal


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """400 counts with structure, an all-zero gene, a constant one, and an empty cell; and what PCA sees of them."""
    rng = np.random.default_rng(0)
    programmes = rng.gamma(1, 1, (400, 6)) @ rng.gamma(0.4, 1, (6, 90))
    counts = rng.poisson(programmes)
    counts[:, 3] = 0
    counts[5] = 0
    atlas = build_and_open(tmp_path_factory.mktemp("small"), ad.AnnData(sparse.csr_matrix(counts.astype(np.float32))))
    ordered = counts[atlas.obs_names.astype(int)]
    return atlas, np.log1p(ordered / np.maximum(ordered.sum(axis=1, keepdims=True), 1) * 1e4)


def test_few_genes_agree_with_scanpy(pbmc68k):
    atlas, source = pbmc68k
    ours = pca(atlas)
    scores, loadings, variance = scanpy_pca(source)
    assert (ours.params["svd_solver"], ours.params["converged"]) == ("covariance_eigh", True)
    assert cosine(ours.loadings, loadings) > 0.9999
    assert cosine(ours.scores, scores) > 0.9999
    np.testing.assert_allclose(ours.variance, variance, rtol=1e-3)
    np.testing.assert_allclose(ours.variance_ratio, source.uns["pca"]["variance_ratio"], rtol=1e-3)


@pytest.mark.slow
def test_all_genes_agree_with_scanpy(pbmc4k):
    atlas, source = pbmc4k
    ours = pca(atlas)
    scores, loadings, variance = scanpy_pca(source)
    assert (ours.params["svd_solver"], ours.params["converged"]) == ("randomized", True)
    assert ours.loadings.shape == (33_694, 50)
    assert cosine(ours.loadings, loadings) > 0.9999
    assert cosine(ours.scores, scores) > 0.9999
    np.testing.assert_allclose(ours.variance, variance, rtol=1e-3)
    np.testing.assert_allclose(ours.variance_ratio, source.uns["pca"]["variance_ratio"], rtol=1e-3)
    np.testing.assert_allclose(ours.scores.var(axis=0, ddof=1, dtype=np.float64), ours.variance, rtol=1e-5)


def test_the_real_muscle_atlas_has_the_variances_that_its_card_states(tmp_path):
    """The figures of the atlas as published, computed there by scanpy on all 29,400 genes."""
    path = os.environ.get("TITIN_MUSCLE_H5AD")
    if not path:
        pytest.skip("needs the published atlas: TITIN_MUSCLE_H5AD=FILE")
    titin.build(Path(path), tmp_path / "muscle", preset="muscle")
    ours = pca(titin.open(tmp_path / "muscle"))
    assert ours.total_variance == pytest.approx(3266.74, abs=0.05)
    np.testing.assert_allclose(ours.variance[:3], [500.156, 95.814, 56.147], rtol=1e-3)


@pytest.mark.parametrize("solver", ["covariance_eigh", "randomized"])
def test_both_solvers_give_what_a_dense_decomposition_gives(small, solver):
    atlas, X = small
    ours = pca(atlas, 12, svd_solver=solver)
    scores, loadings, variance = dense_pca(X, 12)
    signs = np.sign(loadings[np.abs(loadings).argmax(axis=0), range(12)])
    np.testing.assert_allclose(ours.variance, variance, rtol=1e-4)
    np.testing.assert_allclose(ours.loadings, loadings * signs, atol=2e-3)
    np.testing.assert_allclose(ours.scores, scores * signs, atol=2e-2)
    assert ours.total_variance == pytest.approx(X.var(axis=0, ddof=1).sum(), rel=1e-6)
    np.testing.assert_allclose(ours.variance_ratio, ours.variance / ours.total_variance)
    assert (ours.loadings[np.abs(ours.loadings).argmax(axis=0), range(12)] > 0).all()
    assert ours.scores.dtype == ours.loadings.dtype == np.float32
    assert json.loads(json.dumps(ours.params)) == ours.params


@pytest.mark.parametrize("solver", ["covariance_eigh", "randomized"])
def test_the_number_of_threads_changes_no_bit(small, solver):
    one, three = (pca(small[0], 10, svd_solver=solver, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one.scores, three.scores)
    np.testing.assert_array_equal(one.loadings, three.loadings)
    np.testing.assert_array_equal(one.variance, three.variance)


@pytest.mark.parametrize("solver", ["covariance_eigh", "randomized"])
def test_without_centring_components_are_singular_vectors(small, solver):
    atlas, X = small
    ours = pca(atlas, 8, zero_center=False, svd_solver=solver)
    _, _, Vt = np.linalg.svd(X, full_matrices=False)
    assert cosine(ours.loadings, Vt[:8].T, 8) > 0.9999
    np.testing.assert_allclose(ours.variance, (X @ Vt[:8].T).var(axis=0, ddof=1), rtol=1e-3)
    assert not ours.mean.any()


def test_genes_left_out_have_no_loading(small):
    atlas, X = small
    mask = np.arange(90) % 3 == 0
    ours = pca(atlas, 5, genes=mask)
    assert not ours.loadings[~mask].any()
    _, loadings, variance = dense_pca(X[:, mask], 5)
    np.testing.assert_allclose(ours.variance, variance, rtol=1e-4)
    assert cosine(ours.loadings[mask], loadings, 5) > 0.9999
    by_name = pca(atlas, 5, genes=list(atlas.var_names[mask][::-1]))
    np.testing.assert_array_equal(by_name.loadings, ours.loadings)


@pytest.mark.parametrize("solver", ["covariance_eigh", "randomized"])
def test_fitted_on_some_cells_it_projects_the_others(small, solver):
    atlas, X = small
    train = np.arange(400) % 4 > 0
    ours = pca(atlas, 5, cells=train, svd_solver=solver)
    fitted, _, variance = dense_pca(X[train], 5)
    assert ours.cells.tolist() == np.flatnonzero(train).tolist()
    np.testing.assert_allclose(ours.variance, variance, rtol=1e-4)
    assert cosine(ours.scores, fitted, 5) > 0.9999
    np.testing.assert_allclose(ours.transform(atlas, train), ours.scores, atol=1e-4)
    expected = (X[~train] - X[train].mean(axis=0)) @ ours.loadings.astype(np.float64)
    np.testing.assert_allclose(ours.transform(atlas, ~train), expected, atol=1e-3)
    assert ours.transform(atlas).shape == (400, 5)


def test_only_the_genes_it_was_fitted_on_can_be_projected(small, pbmc68k):
    with pytest.raises(TitinError, match="has not the genes"):
        pca(small[0], 3).transform(pbmc68k[0])


def test_the_covariance_is_the_same_from_dense_and_from_sparse_blocks(small, monkeypatch):
    from titin.embed import passes as _passes

    found = []
    for speed in (0, 10_000):
        monkeypatch.setattr(_passes, "_DENSE_SPEED", speed)
        found.append(pca(small[0], 10, svd_solver="covariance_eigh"))
    np.testing.assert_allclose(found[0].variance, found[1].variance, rtol=1e-5)
    assert cosine(found[0].loadings, found[1].loadings, 10) > 0.99999


def test_real_values_are_taken_as_they_are(tmp_path):
    values = np.random.default_rng(1).uniform(0.1, 3, (60, 12)).astype(np.float32)
    atlas = build_and_open(tmp_path, ad.AnnData(sparse.csr_matrix(values)))
    assert atlas.kind == "real"
    np.testing.assert_allclose(pca(atlas, 4).variance, dense_pca(values, 4)[2], rtol=1e-5)


@pytest.mark.parametrize("solver", ["covariance_eigh", "randomized"])
@pytest.mark.parametrize(("n_cells", "n_genes"), [(30, 500), (2, 5), (300, 1), (40, 40)])
def test_as_many_components_as_there_can_be(tmp_path, solver, n_cells, n_genes):
    counts = np.random.default_rng(2).poisson(3, (n_cells, n_genes)) + 1.0
    ours = pca(build_and_open(tmp_path, ad.AnnData(sparse.csr_matrix(counts))), svd_solver=solver)
    n = min(50, n_cells - 1, n_genes)
    assert ours.scores.shape == (n_cells, n)
    X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    np.testing.assert_allclose(ours.variance, dense_pca(X, n)[2], rtol=1e-3, atol=1e-5 * ours.total_variance + 1e-9)


@pytest.mark.parametrize("solver", ["covariance_eigh", "randomized"])
@pytest.mark.parametrize("value", [0.0, 2.0])
def test_constant_genes_have_components_without_variance(tmp_path, solver, value):
    values = np.full((20, 6), value, np.float32)
    values[:, 0] += 0.5  # so that the values are no counts
    ours = pca(build_and_open(tmp_path, ad.AnnData(sparse.csr_matrix(values))), 3, svd_solver=solver)
    np.testing.assert_allclose(ours.scores, 0, atol=1e-5)
    np.testing.assert_allclose(ours.variance, 0, atol=1e-5)
    np.testing.assert_allclose((ours.loadings.astype(np.float64) ** 2).sum(axis=0), 1, rtol=1e-5)
    assert np.isfinite(ours.variance_ratio).all()


@pytest.mark.parametrize("solver", ["covariance_eigh", "randomized"])
@pytest.mark.parametrize(("n_cells", "value"), [(7, 0.1), (40, 1 / 3), (1000, 2.7), (1000, 1e4 + 0.1)])
def test_rounding_is_no_variance(tmp_path, solver, value, n_cells):
    values = np.full((n_cells, 6), value, np.float32)
    dataset = build_and_open(tmp_path, ad.AnnData(sparse.csr_matrix(values)))
    assert pca(dataset, 3, svd_solver=solver).total_variance == 0
    values[::2] *= 1.05
    (tmp_path / "other").mkdir()
    assert pca(build_and_open(tmp_path / "other", ad.AnnData(sparse.csr_matrix(values))), 3).total_variance > 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"n_comps": 91}, "have not 91 components"),
        ({"n_comps": 0}, "have not 0 components"),
        ({"genes": np.zeros(90, bool)}, "no gene is chosen"),
        ({"genes": []}, "no gene is chosen"),
        ({"cells": np.zeros(400, bool)}, "components of 0 cells"),
        ({"cells": [7]}, "components of 1 cell"),
        ({"svd_solver": "arpack"}, "no svd_solver 'arpack'"),
    ],
)
def test_wrong_use_is_told(small, options, complaint):
    with pytest.raises(TitinError, match=complaint) as caught:
        pca(small[0], **options)
    assert caught.value.hint


def test_names_that_are_not_there_and_too_little_memory_are_told(small, pbmc4k):
    with pytest.raises(UnknownNameError):
        pca(small[0], genes=["no such gene"])
    with pytest.raises(MemoryLimitError, match="PCA of 33,694 genes"):
        pca(pbmc4k[0], svd_solver="covariance_eigh")


@settings(max_examples=40)
@given(
    size=st.integers(1, 90), rank=st.integers(0, 90), n=st.integers(1, 12), decay=st.floats(0.5, 1),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_leading_eigenpairs_of_any_spectrum(size, rank, n, decay, seed):
    rng = np.random.default_rng(seed)
    n = min(n, size)
    Q, _ = np.linalg.qr(rng.standard_normal((size, size)))
    spectrum = np.where(np.arange(size) < rank, decay ** np.arange(size), 0.0)
    matrix = (Q * spectrum) @ Q.T
    found = leading_eigenpairs(lambda V: matrix @ V, size, n, block=16, rng=rng)
    assert found.converged
    np.testing.assert_allclose(found.values, spectrum[:n], rtol=2e-3, atol=2e-5)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(n), atol=1e-5)


def test_a_basis_that_became_large_is_compressed_and_goes_on():
    rng = np.random.default_rng(0)
    size = 400
    spectrum = 1 / (1 + 0.02 * np.arange(size))
    found = leading_eigenpairs(lambda V: spectrum[:, None] * V, size, 4, block=4, rng=rng, max_products=60)
    assert found.n_products > 12
    assert found.converged
    np.testing.assert_allclose(found.values, spectrum[:4], rtol=1e-3)


def test_what_does_not_converge_says_so():
    spectrum = np.linspace(1, 0.99, 500)
    found = leading_eigenpairs(
        lambda V: spectrum[:, None] * V, 500, 4, block=4, rng=np.random.default_rng(0), max_products=3
    )
    assert (found.n_products, found.converged) == (3, False)
