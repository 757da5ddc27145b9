"""The mixed model is what quadrature and statsmodels say it is, and finds planted slopes."""

import numpy as np
import pytest
from scipy import special
from scipy.optimize import minimize

from titin.ageing.glmm import Laplace, _terms, fit_poisson_mixed_model
from titin.errors import TitinError

COLUMNS = ["Intercept", "age"]


def draw(seed, n_donors=12, n_samples=20, n_types=12, slopes=(-0.6, 0.5, 0.4, -0.4), noise=0.15):
    """Samples × types, the design, and the donor of each sample."""
    rng = np.random.default_rng(seed)
    donor = np.concatenate([np.arange(n_donors), rng.integers(0, n_donors, n_samples - n_donors)])
    age = rng.normal(size=n_donors)
    age = ((age - age.mean()) / age.std())[donor]
    slope = np.zeros(n_types)
    slope[: len(slopes)] = slopes
    log = rng.normal(size=n_types) + age[:, None] * slope
    log = log + rng.normal(0, noise, (n_donors, n_types))[donor] + rng.normal(0, noise, (n_samples, n_types))
    mean = np.exp(log)
    counts = rng.poisson(3000 * mean / mean.sum(axis=1, keepdims=True))
    return counts, np.column_stack([np.ones(n_samples), age]), donor


def test_planted_slopes_are_found_and_no_others():
    wrong, found_planted = 0, 0
    for seed in range(6):
        counts, design, donor = draw(seed)
        model = fit_poisson_mixed_model(counts, design, COLUMNS, donor)
        assert model.converged
        effect, sd = model.slopes[:, 1], model.slope_sd[:, 1]
        ltsr = special.ndtr(np.abs(effect) / sd)
        found_planted += (ltsr[:4] > 0.95).sum()
        assert (np.sign(effect[:4])[ltsr[:4] > 0.95] == np.array([-1, 1, 1, -1])[ltsr[:4] > 0.95]).all()
        wrong += (ltsr[4:] > 0.99).sum()
        assert np.abs(effect[:4] - [-0.6, 0.5, 0.4, -0.4]).max() < 0.3
    assert found_planted >= 22  # of 24
    assert wrong <= 2  # of 48


def test_gradient_is_that_of_the_approximation():
    counts, design, donor = draw(0, n_types=5)
    model = Laplace(counts.astype(float), design, _terms(counts.shape, design, COLUMNS, donor)[0])
    log_sd = np.array([-0.1, -0.7, -2.0, -1.5, -1.6, -1.8])
    gradient = model.log_likelihood(model.find_mode(log_sd), log_sd)[1]
    for k in range(len(log_sd)):
        step = np.eye(len(log_sd))[k] * 1e-5
        up, down = (model.log_likelihood(model.find_mode(x), x)[0] for x in (log_sd + step, log_sd - step))
        assert gradient[k] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-4)


def test_mode_and_spread_are_those_of_statsmodels():
    """At given standard deviations, the gradient of statsmodels' posterior vanishes at the mode."""
    sm = pytest.importorskip("statsmodels.genmod.bayes_mixed_glm")
    counts, design, donor = draw(1, n_types=4)
    sd = {"Intercept": 0.9, "age": 0.4, "sample": 0.2, "donor": 0.1, "donor:type": 0.15, "residual": 0.1}
    found = fit_poisson_mixed_model(counts, design, COLUMNS, donor, sd=sd)
    terms = _terms(counts.shape, design, COLUMNS, donor)[0]
    model = Laplace(counts.astype(float), design, terms)
    mode = model.find_mode(np.log(list(sd.values())))
    n = counts.size
    vc = np.hstack([*(term.toarray() for term in terms.values()), np.eye(n)])
    ident = np.repeat(np.arange(len(sd)), [*(term.shape[1] for term in terms.values()), n])
    # statsmodels has no offset: a fixed effect of one takes its place
    offset = np.repeat(np.log(counts.sum(axis=1)), counts.shape[1])
    fixed = np.column_stack([np.repeat(design, counts.shape[1], axis=0), offset])
    golden = sm.PoissonBayesMixedGLM(counts.ravel().astype(float), fixed, vc, ident, vcp_p=1e6, fe_p=1e6)
    at = np.concatenate([mode.effects[:2], [1.0], np.log(list(sd.values())), mode.effects[2:], mode.residual])
    gradient = golden.logposterior_grad(at)
    effects = np.r_[0:2, 3 + len(sd) : len(at)]
    assert np.abs(gradient[effects]).max() < 1e-4 * counts.sum() ** 0.5
    np.testing.assert_allclose(found.fixed, mode.effects[:2])
    full = np.block([[np.zeros((2, vc.shape[1]))], [np.diag(1 / np.array(list(sd.values()))[ident] ** 2)]])
    precision = np.hstack([np.zeros((len(full), 2)), full])
    X = np.hstack([fixed[:, :2], vc])
    covariance = np.linalg.inv(X.T @ (mode.mean[:, None] * X) + precision)
    spread = np.sqrt(np.diag(covariance))[2 : 2 + 2 * counts.shape[1]].reshape(2, -1).T
    np.testing.assert_allclose(found.slope_sd, spread, rtol=1e-6)


def test_variance_of_a_random_intercept_is_that_of_quadrature():
    """One random intercept a group: the likelihood is a product of integrals in one dimension."""
    from scipy import sparse

    rng = np.random.default_rng(3)
    n_groups, n_each = 25, 6
    group = np.repeat(np.arange(n_groups), n_each)
    y = rng.poisson(np.exp(2 + rng.normal(0, 0.5, n_groups)[group])).astype(float)
    nodes = np.linspace(-6, 6, 1501)
    weights = np.exp(-(nodes**2) / 2)

    def loss(parameters):
        mean = np.exp(parameters[0] + np.exp(parameters[1]) * nodes)
        log = y[:, None] * np.log(mean) - mean - special.gammaln(y + 1)[:, None]
        return -special.logsumexp(
            log.reshape(n_groups, n_each, -1).sum(axis=1), axis=1, b=weights / weights.sum()
        ).sum()

    exact = minimize(loss, [2.0, -1.0])
    term = sparse.csr_matrix((np.ones(len(y)), (np.arange(len(y)), group)))
    model = Laplace(y[:, None], np.ones((len(y), 1)), {"group": term})
    model._offset[:] = 0  # this model is of plain counts
    residual = -6.0  # as good as none

    def approximate(log_sd):
        both = np.array([log_sd[0], residual])
        return -model.log_likelihood(model.find_mode(both), both)[0]

    found = minimize(approximate, [-1.0])
    assert np.exp(found.x[0]) == pytest.approx(np.exp(exact.x[1]), rel=0.02)
    assert -found.fun == pytest.approx(-exact.fun, abs=0.2)
    assert model.find_mode(np.array([found.x[0], residual])).effects[0] == pytest.approx(exact.x[0], abs=0.02)


def test_one_sample_a_donor_needs_no_terms_of_donors():
    counts, design, donor = draw(2, n_donors=10, n_samples=10)
    model = fit_poisson_mixed_model(counts, design, COLUMNS, donor)
    assert list(model.sd) == ["Intercept", "age", "sample", "residual"]
    assert model.notes == ["every donor has one sample: the terms of donors are those of samples"]


def test_prior_keeps_deviations_off_zero():
    counts, design, donor = draw(4, slopes=(), noise=0.0)
    free = fit_poisson_mixed_model(counts, design, COLUMNS, donor, prior=False)
    kept = fit_poisson_mixed_model(counts, design, COLUMNS, donor)
    assert kept.sd["age"] > free.sd["age"]
    assert kept.log_likelihood <= free.log_likelihood + 1e-6


def test_empty_samples_are_refused():
    counts, design, donor = draw(0)
    counts[3] = 0
    with pytest.raises(TitinError, match="a sample or a type without cells"):
        fit_poisson_mixed_model(counts, design, COLUMNS, donor)
