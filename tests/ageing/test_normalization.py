"""Filter, factors and weights agree with edgeR's and voom's, as other packages have them or as they are defined."""

import json
from pathlib import Path

import golden
import numpy as np
import statsmodels.api as sm
from make_results_normalization import synthetic

from titin.ageing.kernels import lowess
from titin.ageing.linear_models import fit_linear_models
from titin.ageing.normalization import (
    filter_genes,
    log_counts,
    normalization_factors,
    weigh_log_counts,
)

GOLDEN = json.loads((Path(__file__).parent / "results_normalization.json").read_text())


def test_factors_are_those_of_tmm():
    counts, _ = synthetic()
    np.testing.assert_allclose(normalization_factors(counts.astype(float)), GOLDEN["tmm"], rtol=1e-10)


def test_factors_undo_what_a_few_large_genes_do():
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.lognormal(4, 1, 2000), (4, 2000)).astype(float)
    counts[2, :20] += counts[2].sum() / 20  # half of the library is in twenty genes
    factors = normalization_factors(counts)
    scaled = counts.sum(axis=1) * factors
    np.testing.assert_allclose(scaled / scaled.mean(), 1, atol=0.03)
    np.testing.assert_allclose(np.log(factors).sum(), 0, atol=1e-12)


def test_filter_is_that_of_edger_for_two_groups():
    counts, design = synthetic()
    kept = filter_genes(counts.astype(float), design[:, :2], min_count=20)
    assert np.flatnonzero(kept).tolist() == GOLDEN["kept"]
    assert 0 < kept.sum() < len(kept)


def test_smoother_is_that_of_statsmodels():
    counts, _ = synthetic()
    library = counts.sum(axis=1).astype(float)
    x = np.sort(log_counts(counts.astype(float), library).mean(axis=1))
    found_x, found = lowess(x, np.sin(x), 0.5)
    np.testing.assert_allclose(found_x, x)
    np.testing.assert_allclose(found, GOLDEN["lowess"], atol=2e-4)  # it counts distant points a little differently


def test_smoother_withstands_outliers():
    x = np.linspace(0, 10, 200)
    y = 2 * x + np.random.default_rng(0).normal(0, 0.1, 200)
    smoothed = lowess(x, y, 0.5)[1]
    y[[50, 120]] = 500
    np.testing.assert_allclose(lowess(x, y, 0.5)[1], smoothed, atol=0.02)
    np.testing.assert_allclose(smoothed, 2 * x, atol=0.1)


def test_weights_are_the_trend_of_the_variance_at_each_fitted_count():
    counts, design = synthetic()
    counts = counts.astype(float)
    library = counts.sum(axis=1)
    found = weigh_log_counts(counts, library, design)
    y = np.log2((counts + 0.5) / (library[:, None] + 1) * 1e6).T
    np.testing.assert_allclose(found.values, y)
    fitted = y @ design @ np.linalg.inv(design.T @ design) @ design.T
    sigma = np.sqrt(((y - fitted) ** 2).sum(axis=1) / (len(design) - 3))
    size = y.mean(axis=1) + np.log2(library + 1).mean() - np.log2(1e6)
    trend = sm.nonparametric.lowess(np.sqrt(sigma), size, frac=0.5, it=3, delta=0.01 * np.ptp(size))
    expected = np.interp(fitted + np.log2(library + 1) - np.log2(1e6), *trend.T) ** -4
    np.testing.assert_allclose(found.weights, expected, rtol=2e-2)
    assert np.median(np.abs(found.weights / expected - 1)) < 1e-3


def test_weights_make_up_for_small_libraries():
    rng = np.random.default_rng(5)
    mean = np.full((8, 400), 200.0)
    mean[:4] /= 40
    design = np.column_stack([np.ones(8), np.tile([0.0, 1.0], 4)])
    counts = rng.poisson(mean).astype(float)
    weights = weigh_log_counts(counts, counts.sum(axis=1), design).weights
    assert weights[:, 4:].mean() > 5 * weights[:, :4].mean()
    fit = fit_linear_models(np.ones((1, 8)), design, np.array([0.0, 1.0]), weights[:1])
    assert fit.variance[0] < 1e-20


def test_weights_are_those_of_voom():
    counts, design = golden.of_cells()
    library = golden.table("array_weights")["library"].to_numpy()
    counts = counts.to_numpy(float).T
    np.testing.assert_allclose(counts.sum(axis=1) * normalization_factors(counts), library, rtol=1e-9)
    found = weigh_log_counts(counts, library, design)
    np.testing.assert_allclose(found.values, golden.matrix("voom", "value"), rtol=1e-6)
    np.testing.assert_allclose(found.weights, golden.matrix("voom", "weight"), rtol=1e-6)
