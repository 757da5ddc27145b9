"""The prior of variances is that of the law they were drawn from; outliers are told from it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from titin.ageing.empirical_bayes import (
    estimate_prior,
    inverse_trigamma,
    natural_spline,
    spline_knots,
    winsorized_moments,
)

N = 20_000


def draw(rng, df, prior_df, scale=0.3):
    df = np.broadcast_to(df, N).astype(float)
    return scale * (rng.chisquare(df) / df) / (rng.chisquare(prior_df, N) / prior_df), df


def test_prior_of_scaled_f_variances_is_recovered():
    variance, df = draw(np.random.default_rng(2), 8, 12.0)
    for robust in (False, True):
        prior = estimate_prior(variance, df, robust=robust)
        assert np.median(prior.df) == pytest.approx(12, rel=0.08)
        assert prior.variance[0] == pytest.approx(0.3, rel=0.03)


def test_degrees_of_freedom_may_differ_between_genes():
    rng = np.random.default_rng(3)
    variance, df = draw(rng, rng.choice([3, 5, 9], N), 12.0)
    df[:50], variance[:50] = 0, np.nan  # of these nothing is known
    for robust in (False, True):
        prior = estimate_prior(variance, df, robust=robust)
        assert np.median(prior.df) == pytest.approx(12, rel=0.1)
        np.testing.assert_allclose(prior.variance, 0.3, rtol=0.03)


def test_variances_that_are_all_the_same_have_an_infinite_prior():
    variance = np.full(500, 0.3)
    assert np.isinf(estimate_prior(variance, np.full(500, 8.0)).df).all()
    assert np.isinf(estimate_prior(variance, np.full(500, 8.0), robust=True).df).all()


def test_a_trend_is_followed():
    rng = np.random.default_rng(4)
    mean = rng.uniform(0, 1, N)
    variance, df = draw(rng, 8, 12.0, scale=np.exp(-2 * mean))
    for robust in (False, True):
        prior = estimate_prior(variance, df, mean, robust=robust)
        np.testing.assert_allclose(np.log(prior.variance), -2 * mean, atol=0.12)
        assert np.median(prior.df) == pytest.approx(12, rel=0.1)


def test_outliers_do_not_weaken_a_robust_prior_and_are_not_drawn_towards_it():
    variance, df = draw(np.random.default_rng(5), 8, 30.0)
    variance[:200] *= 40
    plain, robust = estimate_prior(variance, df), estimate_prior(variance, df, robust=True)
    assert plain.df[0] < 16
    assert np.median(robust.df) == pytest.approx(30, rel=0.15)
    assert np.median(robust.df[:200]) < 3
    assert (robust.df[200:] > 15).mean() > 0.98


def test_winsorized_moments_are_those_of_draws():
    for prior_df in (4.0, np.inf):
        log = np.log(stats.f.rvs(6, min(prior_df, 1e9), size=400_000, random_state=0))
        drawn_in = np.clip(log, *np.quantile(log, [0.05, 0.9]))
        np.testing.assert_allclose(winsorized_moments(6.0, prior_df), [drawn_in.mean(), drawn_in.var()], atol=4e-3)


@given(st.floats(1e-6, 1e6))
def test_inverse_trigamma_inverts(value):
    assert special.polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-6)


def test_natural_splines_are_straight_beyond_their_last_inner_knots():
    x = np.linspace(0, 1, 101)
    basis = natural_spline(x, spline_knots(x, 4))
    assert np.linalg.matrix_rank(basis) == 4
    assert np.abs(np.diff(basis, 2, axis=0)[0]).max() < 1e-3  # no curvature at the ends
    assert np.abs(np.diff(basis, 2, axis=0)[-1]).max() < 1e-3
