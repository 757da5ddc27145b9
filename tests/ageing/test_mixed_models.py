"""Mixed models of genes: the arithmetic of the formulas, limma's where it has the same model, and calibration."""

import numpy as np
import pytest
from golden import matrix, table, units
from numpy.testing import assert_allclose
from scipy import stats

from titin.ageing.linear_models import adjust, fit_linear_models, moderate
from titin.ageing.mixed_models import (
    CORRELATIONS,
    MixedFit,
    duplicate_correlation,
    fit_mixed_models,
    moderate_mixed,
)

DONORS = np.array([*range(12), *range(4, 17)])  # twelve and thirteen, eight in both


def draw(seed, n_genes=300, correlation=0.5, effect=0.0):
    """Values, design (constants of two protocols, age of donors), and age in the second protocol."""
    rng = np.random.default_rng(seed)
    second = np.arange(25) >= 12
    age = rng.permutation(np.linspace(2, 7, 17))[DONORS]
    design = np.column_stack([~second, second, age]).astype(float)
    own = rng.normal(0, 1, (n_genes, 17))[:, DONORS]
    rho = np.broadcast_to(correlation, n_genes)[:, None]
    noise = np.sqrt(rho) * own + np.sqrt(1 - rho) * rng.normal(0, 1, own.shape)
    sd = np.sqrt(10 / rng.chisquare(10, n_genes))[:, None]
    return 8 + effect * age + sd * noise, design, (age * second)[:, None]


def by_hand(y, design, weights, correlation):
    """Generalised least squares of one gene with the covariance written out."""
    same = (DONORS[:, None] == DONORS) * correlation
    np.fill_diagonal(same, 1)
    covariance = same / np.sqrt(np.outer(weights, weights))
    inverse = np.linalg.inv(covariance)
    information = design.T @ inverse @ design
    coefficients = np.linalg.solve(information, design.T @ inverse @ y)
    left = y - design @ coefficients
    determinant = np.linalg.slogdet(covariance * np.sqrt(np.outer(weights, weights)))[1]
    return coefficients, np.linalg.inv(information), left @ inverse @ left, determinant


def test_every_correlation_is_generalised_least_squares():
    y, design, added = draw(0, n_genes=4)
    weights = np.random.default_rng(1).uniform(0.2, 4, y.shape)
    fit = fit_mixed_models(y, design, DONORS, weights=weights, added=added)
    more = np.column_stack([design, added])
    for gene in range(4):
        for k, correlation in enumerate(CORRELATIONS):
            coefficients, covariance, rss, _ = by_hand(y[gene], design, weights[gene], correlation)
            assert_allclose(fit.effect[gene, k], coefficients[-1], rtol=1e-9)
            assert_allclose(fit.unscaled[gene, k], np.sqrt(covariance[-1, -1]), rtol=1e-9)
            assert_allclose(fit.rss[gene, k], rss, rtol=1e-9)
            assert_allclose(fit.rss_more[gene, k], by_hand(y[gene], more, weights[gene], correlation)[2], rtol=1e-9)
    assert (fit.df == 22).all()
    assert (fit.added == 1).all()


@pytest.mark.parametrize(
    ("columns", "rss", "log"), [(3, "rss", "log_determinant"), (4, "rss_more", "log_determinant_more")]
)
def test_the_likelihood_is_the_restricted_one(columns, rss, log):
    """Up to a constant: that of the residuals' part of the units' space, in which the design has no part."""
    y, design, added = draw(1, n_genes=1)
    full = np.column_stack([design, added])
    fit = fit_mixed_models(y, design, DONORS, added=added)
    free = np.linalg.svd(full[:, :columns].T)[2][columns:]
    same = DONORS[:, None] == DONORS
    expected = []
    for correlation in CORRELATIONS:
        covariance = np.where(np.eye(25, dtype=bool), 1, same * correlation) * 0.7
        expected.append(stats.multivariate_normal(cov=free @ covariance @ free.T).logpdf(free @ y[0]))
    found = -0.5 * (getattr(fit, log)[0] + getattr(fit, rss)[0] / 0.7)
    assert_allclose(found - found[0], np.array(expected) - expected[0], atol=1e-9)


def test_donors_of_one_unit_are_a_linear_model():
    y, design, _ = draw(2)
    fit = fit_mixed_models(y, design, np.arange(25))
    assert fit.correlations.tolist() == [0]
    plain = moderate(fit_linear_models(y, design, np.array([0, 0, 1.0])), prior="trend")
    test = moderate_mixed(fit, prior="trend")
    assert_allclose(test.t, plain.t, rtol=1e-9)
    assert_allclose(test.df, plain.df, rtol=1e-9)
    assert_allclose(test.p_value, plain.p_value, rtol=1e-8)
    assert np.isnan(test.f).all()


@pytest.mark.parametrize("method", ["plain", "voom"])
def test_one_correlation_is_limmas(method):
    """The consensus of duplicateCorrelation, which stops its iterations early; and lmFit with it, to rounding."""
    expected, converged, correlations = (
        found[found["method"] == method]
        for found in map(table, ("duplicate_correlation", "converged_correlations", "duplicate_correlations"))
    )
    limmas = correlations["consensus"].iloc[0]
    own = units()
    design = np.column_stack([np.ones(len(own)), own["male"], own["nuclei"], own["age"]])
    y = matrix("duplicate_correlation_voom", "value")
    weights = matrix("duplicate_correlation_voom", "weight") if method == "voom" else None
    donor = own["donor"].to_numpy()
    consensus, found = duplicate_correlation(y, design, donor, weights=weights)
    assert_allclose(found, converged["correlation"], atol=1e-6)
    assert consensus == pytest.approx(converged["consensus"].iloc[0], abs=1e-6)
    assert consensus == pytest.approx(limmas, rel=1e-4)
    fit = fit_mixed_models(y, design, donor, weights=weights, correlations=np.array([limmas]))
    assert_allclose(fit.effect[:, 0], expected["effect"], rtol=1e-6)
    assert_allclose(fit.unscaled[:, 0], expected["unscaled"], rtol=1e-6)
    assert_allclose(np.sqrt(fit.rss[:, 0] / fit.df), expected["sigma"], rtol=1e-6)
    for prior, suffix in (("common", ""), ("trend", "_trend")):
        test = moderate_mixed(fit, prior=prior)
        assert_allclose(test.t, expected[f"t{suffix}"], rtol=1e-6)
        assert_allclose(test.p_value, expected[f"p_value{suffix}"], rtol=1e-6)


def test_blocks_of_one_unit_have_no_correlation():
    y, design, _ = draw(3, n_genes=5)
    consensus, found = duplicate_correlation(y, design, np.arange(25))
    assert (consensus, found.tolist()) == (0.0, [0.0] * 5)


def test_blocks_of_three_in_any_order_are_the_same():
    y, design, added = draw(4, n_genes=20)
    block = np.repeat(np.arange(9), 3)[:25]
    order = np.random.default_rng(0).permutation(25)
    one = moderate_mixed(fit_mixed_models(y, design, block, added=added))
    other = moderate_mixed(fit_mixed_models(y[:, order], design[order], block[order], added=added[order]))
    assert_allclose(one.p_value, other.p_value, rtol=1e-8)
    assert_allclose(one.f_p_value, other.f_p_value, rtol=1e-8)


@pytest.mark.parametrize("correlation", [0.0, 0.5, None], ids=["none", "one for all", "0 or 0.9"])
def test_p_values_of_nothing_are_uniform_whatever_the_correlations(correlation):
    """None of 24,000 genes changes: 0.05 and 0.001 of them within three standard errors, few runs with a discovery."""
    p, f_p, hits = [], [], 0
    for seed in range(12):
        rho = np.where(np.arange(2000) % 2, 0.9, 0.0) if correlation is None else correlation
        y, design, added = draw(seed, 2000, rho)
        test = moderate_mixed(fit_mixed_models(y, design, DONORS, added=added), prior="common")
        p.append(test.p_value)
        f_p.append(test.f_p_value)
        hits += (adjust(test.p_value) < 0.05).any()
    for found in (np.concatenate(p), np.concatenate(f_p)):
        assert (found < 0.05).mean() == pytest.approx(0.05, abs=0.005)
        assert (found < 0.001).mean() == pytest.approx(0.001, abs=0.0007)
    assert hits <= 2


def test_taking_one_correlation_for_all_finds_too_much_where_it_differs():
    """What the mixture is for: of the genes whose own correlation is high, too many seem to change."""
    shares = {"mixture": [], "one": []}
    for seed in range(12):
        y, design, _ = draw(seed, 2000, np.where(np.arange(2000) % 2, 0.9, 0.0))
        one = np.array([duplicate_correlation(y, design, DONORS)[0]])
        for name, grid in (("mixture", CORRELATIONS), ("one", one)):
            test = moderate_mixed(fit_mixed_models(y, design, DONORS, correlations=grid), prior="common")
            shares[name].append((test.p_value[1::2] < 0.001).mean())
    assert np.mean(shares["one"]) > 0.0018
    assert np.mean(shares["mixture"]) < 0.0017


def test_the_distribution_of_correlations_is_that_of_the_genes():
    y, design, _ = draw(5, 4000, np.where(np.arange(4000) % 2, 0.9, 0.0))
    test = moderate_mixed(fit_mixed_models(y, design, DONORS), prior="common")
    assert test.shares.sum() == pytest.approx(1)
    assert test.shares[CORRELATIONS < 0.25].sum() == pytest.approx(0.5, abs=0.07)
    assert test.shares[CORRELATIONS > 0.75].sum() == pytest.approx(0.5, abs=0.07)
    assert test.correlation[1::2].mean() > test.correlation[::2].mean() + 0.3


def test_genes_of_several_fits_are_moderated_together():
    y, design, added = draw(6)
    whole = fit_mixed_models(y, design, DONORS, added=added)
    parts = [fit_mixed_models(part, design, DONORS, added=added) for part in (y[:100], y[100:])]
    one, other = moderate_mixed(whole), moderate_mixed(MixedFit.concatenate(parts))
    assert_allclose(one.p_value, other.p_value, rtol=1e-9)
