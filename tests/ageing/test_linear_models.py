"""Linear models and moderated tests agree with limma's, and with what can be derived."""

import golden
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from titin.ageing.linear_models import adjust, fit_linear_models, moderate

AGE = np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("prior", "robust"), [("common", False), ("trend", False), ("common", True), ("trend", True)])
def test_moderated_test_is_that_of_limma(weighted, prior, robust):
    _, design = golden.of_cells()
    weights = golden.matrix("voom", "weight") if weighted else None
    words = [*["voom"] * weighted, *["trend"] * (prior == "trend"), *["robust"] * robust]
    expected = golden.table("limma").query("method == @name", local_dict={"name": " ".join(words) or "common"})
    fit = fit_linear_models(golden.matrix("voom", "value"), design, AGE, weights)
    found = moderate(fit, prior=prior, robust=robust)
    for name in ("effect", "unscaled", "df"):
        np.testing.assert_allclose(getattr(fit, name), expected[name], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(np.sqrt(fit.variance), expected["sigma"], rtol=1e-6)
    for name in ("prior_variance", "prior_df", "t", "p_value"):
        np.testing.assert_allclose(getattr(found, name), expected[name], rtol=1e-6)
    np.testing.assert_allclose(found.df, expected["df_total"], rtol=1e-6)
    assert (np.ptp(found.prior_df) > 0) == robust  # there are outliers among these genes


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


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_adjustment_is_that_of_scipy(values):
    p = np.array(values)
    np.testing.assert_allclose(adjust(p), stats.false_discovery_control(p), atol=1e-12)


def test_missing_p_values_do_not_count():
    np.testing.assert_allclose(adjust(np.array([0.01, np.nan, 0.02])), [0.02, np.nan, 0.02])
