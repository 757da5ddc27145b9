"""Zeros that a design fits exactly are found, and tell nothing of the variance."""

import golden
import numpy as np

from titin.ageing.exact_zeros import exact_zeros
from titin.ageing.linear_models import fit_linear_models, moderate

SEX = np.repeat([0.0, 1.0], 4)
DESIGN = np.column_stack([np.ones(8), SEX, np.tile([2.0, 4, 5, 7], 2)])


def test_zeros_of_one_sex_are_exact_and_scattered_ones_are_not():
    counts = np.full((8, 5), 20.0)
    counts[SEX == 1, 0] = 0  # a gene that men lack
    counts[[0, 5], 1] = 0
    counts[:, 2] = 0
    counts[SEX == 1, 3] = 0
    counts[0, 3] = 0  # and a woman by chance
    found = exact_zeros(counts, DESIGN)
    assert found[0].tolist() == (SEX == 1).tolist()
    assert not found[[1, 4]].any()
    assert found[2].all()
    assert found[3].tolist() == (SEX == 1).tolist()


def test_zeros_of_the_only_two_donors_of_the_ends_of_age_are_exact():
    design = np.column_stack([np.ones(6), [2.0, 2, 3, 4, 5, 7]])
    counts = np.full((6, 1), 9.0)
    counts[1:, 0] = 0  # the line falls from what the first two share: one of them has counts
    assert exact_zeros(counts, design)[0].tolist() == [False, False, True, True, True, True]


def test_variance_and_degrees_of_freedom_are_those_of_the_other_sex_alone():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(3, 8))
    y[0, SEX == 1] = -4.0
    silent = np.zeros((3, 8), bool)
    silent[0, SEX == 1] = True
    silent[2] = True
    weights = rng.uniform(0.5, 2, (3, 8))
    contrast = np.array([0.0, 0.0, 1.0])
    plain = fit_linear_models(y, DESIGN, contrast, weights)
    found = fit_linear_models(y, DESIGN, contrast, weights, silent)
    women = fit_linear_models(y[:1, :4], DESIGN[:4][:, [0, 2]], np.array([0.0, 1.0]), weights[:1, :4])
    assert found.df.tolist() == [2, 5, 0]
    np.testing.assert_allclose(found.variance, [women.variance[0], plain.variance[1], 0])
    np.testing.assert_array_equal(found.effect, plain.effect)
    assert women.variance[0] > plain.variance[0] * 1.5  # which the zeros would have made small


def test_tests_are_those_of_voom_lm_fit_with_its_weights():
    counts, design = golden.of_cells()
    silent = exact_zeros(counts.to_numpy(float).T, design)
    y, weights = golden.matrix("voom", "value"), golden.matrix("voom", "zeros")
    fit = fit_linear_models(y, design, np.array([0.0, 0.0, 1.0]), weights, silent)
    golden_tests = golden.table("limma").set_index("method")
    for prior, name in (("common", "zeros"), ("trend", "zeros trend")):
        found, expected = moderate(fit, prior=prior), golden_tests.loc[name]
        assert (expected["df"] < 5).sum() == 22
        np.testing.assert_array_equal(fit.df, expected["df"])
        np.testing.assert_allclose(np.sqrt(fit.variance), expected["sigma"], rtol=1e-6)
        np.testing.assert_allclose(found.prior_df, expected["prior_df"], rtol=1e-6)
        np.testing.assert_allclose(found.prior_variance, expected["prior_variance"], rtol=1e-6)
        np.testing.assert_allclose(found.t, expected["t"], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found.p_value, expected["p_value"], rtol=1e-6)
