"""Linear models and moderated tests agree with limma's, as inmoose has them, and with what can be derived."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_results_limma import synthetic
from scipy import special, stats

from titin.ageing.linear_models import (
    adjust,
    estimate_prior,
    fit_linear_models,
    inverse_trigamma,
    local_prior,
    moderate,
    natural_spline,
)

GOLDEN = json.loads((Path(__file__).parent / "results_limma.json").read_text())
AGE = np.array([0.0, 0.0, 1.0])


def log_counts():
    counts, design = synthetic()
    return np.log2((counts + 0.5) / (counts.sum(axis=1)[:, None] + 1) * 1e6).T, design


@pytest.mark.parametrize(("name", "weighted", "prior"), [
    ("unweighted", False, "common"), ("trend", False, "trend"), ("weighted", True, "common"),
])  # fmt: skip
def test_moderated_test_is_that_of_limma(name, weighted, prior):
    y, design = log_counts()
    weights = np.random.default_rng(3).uniform(0.3, 3, y.shape) if weighted else None
    fit = fit_linear_models(y, design, AGE, weights)
    found = moderate(fit, prior=prior)
    golden = GOLDEN[name]
    np.testing.assert_allclose(fit.effect, golden["effect"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.sqrt(fit.variance), golden["sigma"], rtol=1e-9)
    np.testing.assert_allclose(found.prior_df, golden["prior_df"], rtol=1e-6)
    np.testing.assert_allclose(found.prior_variance, golden["prior_variance"], rtol=1e-6)
    np.testing.assert_allclose(found.t, golden["t"], rtol=1e-6)
    np.testing.assert_allclose(found.p_value, golden["p_value"], rtol=1e-5)


def test_without_a_prior_it_is_the_t_test():
    rng = np.random.default_rng(0)
    y, design = rng.normal(size=(2, 9)), np.column_stack([np.ones(9), np.repeat([0.0, 1.0], [4, 5])])
    found = moderate(fit_linear_models(y, design, np.array([0.0, 1.0])))  # two genes tell nothing of each other
    plain = stats.ttest_ind(y[:, 4:], y[:, :4], axis=1)
    assert (found.prior_df == 0).all()
    np.testing.assert_allclose(found.t, plain.statistic)
    np.testing.assert_allclose(found.p_value, plain.pvalue)


def test_a_contrast_of_columns_is_the_difference_of_their_coefficients():
    rng = np.random.default_rng(1)
    y, weights = rng.normal(size=(30, 12)), rng.uniform(0.5, 2, (30, 12))
    kind = np.arange(12) % 3
    groups = np.eye(3)[kind]
    by_group = fit_linear_models(y, groups, np.array([-1.0, 1.0, 0.0]), weights)
    treatment = np.column_stack([np.ones(12), kind == 1, kind == 2]).astype(float)
    against_first = fit_linear_models(y, treatment, np.array([0.0, 1.0, 0.0]), weights)
    np.testing.assert_allclose(by_group.effect, against_first.effect)
    np.testing.assert_allclose(by_group.unscaled, against_first.unscaled)


def test_prior_of_scaled_f_variances_is_recovered():
    rng = np.random.default_rng(2)
    df, prior_df, scale = 8, 12.0, 0.3
    variance = scale * (rng.chisquare(df, 20_000) / df) / (rng.chisquare(prior_df, 20_000) / prior_df)
    prior_variance, found_df = estimate_prior(variance, df)
    assert found_df == pytest.approx(prior_df, rel=0.08)
    assert prior_variance[0] == pytest.approx(scale, rel=0.03)
    assert np.isinf(estimate_prior(scale * rng.chisquare(df, 500) / df * 0 + scale, df)[1])


def test_a_local_prior_follows_the_mean():
    rng = np.random.default_rng(4)
    n, df = 6000, 8
    mean = rng.permutation(np.linspace(0, 1, n))
    prior_df, scale = np.where(mean < 0.5, 200.0, 6.0), np.exp(-mean)
    variance = scale * rng.chisquare(df, n) / df / (rng.chisquare(prior_df) / prior_df)
    found, found_df = local_prior(variance, df, mean)
    assert np.median(found_df[mean < 0.4]) > 60
    assert np.median(found_df[mean > 0.6]) == pytest.approx(6, rel=0.2)
    np.testing.assert_allclose(found[mean < 0.4], scale[mean < 0.4], rtol=0.12)
    _, one_df = estimate_prior(variance, df)
    assert 6 < one_df < 60  # too few for the first half, too many for the second
    few, few_df = local_prior(variance[:20], df, mean[:20])
    np.testing.assert_array_equal(few, estimate_prior(variance[:20], df)[0])
    assert len(set(few_df)) == 1
    assert np.isfinite(local_prior(variance[:50], df, np.zeros(50))[0]).all()


def test_the_local_prior_keeps_rare_hypervariable_genes_from_being_found():
    rng = np.random.default_rng(5)
    found = {"common": 0, "local": 0}
    design = np.column_stack([np.ones(12), np.linspace(0, 1, 12)])
    for _ in range(60):
        spread = np.concatenate([np.full(1900, 0.3), 0.3 * np.sqrt(4 / rng.chisquare(4, 100))])  # the last 5 %
        y = rng.normal(size=(2000, 12)) * spread[:, None] + np.arange(2000)[:, None]
        fit = fit_linear_models(y, design, np.array([0.0, 1.0]))
        for prior in found:
            found[prior] += (adjust(moderate(fit, prior=prior).p_value) < 0.05).any()
    assert found["local"] <= 8
    assert found["common"] > 2 * found["local"]


@given(st.floats(1e-6, 1e6))
def test_inverse_trigamma_inverts(value):
    assert special.polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-6)


def test_natural_splines_are_straight_beyond_their_last_inner_knots():
    x = np.linspace(0, 1, 101)
    basis = natural_spline(x, 4)
    assert np.linalg.matrix_rank(basis) == 4
    assert np.abs(np.diff(basis, 2, axis=0)[0]).max() < 1e-3  # no curvature at the ends
    assert np.abs(np.diff(basis, 2, axis=0)[-1]).max() < 1e-3


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_adjustment_is_that_of_scipy(values):
    p = np.array(values)
    np.testing.assert_allclose(adjust(p), stats.false_discovery_control(p), atol=1e-12)


def test_missing_p_values_do_not_count():
    np.testing.assert_allclose(adjust(np.array([0.01, np.nan, 0.02])), [0.02, np.nan, 0.02])
