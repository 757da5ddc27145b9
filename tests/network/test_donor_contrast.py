"""p by dealing ages to donors is what counting all arrangements gives, and holds where nothing changes."""

import itertools

import numpy as np
import pytest
from scipy import stats

from titin.ageing.design import NotTestableError
from titin.ageing.empirical_bayes import estimate_prior
from titin.ageing.linear_models import fit_linear_models
from titin.network.donor_contrast import compare_donors

AGES = [20, 25, 30, 60, 65, 70, 75]


def test_all_arrangements_are_looked_at_where_they_are_few() -> None:
    compared = compare_donors(AGES, 45, "young_old")
    assert compared.exact
    assert compared.contrasts.shape == (7, 35)
    assert len({tuple(column) for column in compared.contrasts.T.round(9)}) == 35
    weights = np.random.default_rng(0).normal(size=(5, 7))
    for row, p in zip(weights, compared.p_value(weights), strict=True):
        means = [row[list(old)].mean() - np.delete(row, old).mean() for old in itertools.combinations(range(7), 4)]
        true = row[3:].mean() - row[:3].mean()
        expected = np.mean(np.abs(np.array(means) - np.mean(means)) >= abs(true - np.mean(means)) - 1e-12)
        assert p == pytest.approx(expected)


def test_the_change_is_that_of_the_means_with_the_interval_of_t() -> None:
    weights = np.random.default_rng(1).normal(size=(1, 7))
    change, low, high = compare_donors(AGES, 45, "young_old").change(weights)
    expected = stats.ttest_ind(weights[0, 3:], weights[0, :3]).confidence_interval()
    assert change[0] == pytest.approx(weights[0, 3:].mean() - weights[0, :3].mean())
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))


def test_age_is_a_decade_and_its_arrangements_are_drawn() -> None:
    compared = compare_donors(AGES, 45, "age", permutations=500)
    weights = np.array([AGES, [1.0] * 7], float) / 10
    assert not compared.exact
    assert compared.contrasts.shape[1] == 501
    assert compared.change(weights)[0] == pytest.approx([1, 0])
    p = compared.p_value(weights)
    assert 1 / 501 <= p[0] < 0.02
    assert p[1] == 1


def test_ages_are_dealt_within_a_sex() -> None:
    compared = compare_donors(AGES, 45, "young_old", strata=["M", "M", "M", "M", "M", "F", "F"], min_donors=3)
    assert compared.contrasts.shape[1] == 10  # three of five men are young; all women are old
    assert compared.least_p >= 0.1


def test_p_is_uniform_where_nothing_changes() -> None:
    compared = compare_donors([*range(20, 26), *range(60, 66)], 45, "young_old")
    p = compared.p_value(np.random.default_rng(2).normal(size=(2000, 12)))
    assert compared.contrasts.shape[1] == 924
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert abs((p <= 0.05).mean() - 0.05) < 0.02


def pooled_by_hand(weights: np.ndarray, old: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """The share of all moderated t of all arrangements that are as large, counted one by one."""
    levels = [np.flatnonzero(strata == one) for one in np.unique(strata)]
    dealt = [sum(part, ()) for part in itertools.product(*(itertools.combinations(rows, int(old[rows].sum()))
                                                           for rows in levels))]  # fmt: skip
    others = np.column_stack([strata == one for one in np.unique(strata)]).astype(float)
    size, df = np.linalg.lstsq(others, weights.T, rcond=None)[1], len(old) - others.shape[1]
    prior = estimate_prior(size / df, np.full(len(weights), float(df)))
    t = np.empty((len(weights), len(dealt)))
    for i, which in enumerate(dealt):
        x = np.isin(np.arange(len(old)), which).astype(float)
        fit = fit_linear_models(weights, np.column_stack([others, x]), np.eye(others.shape[1] + 1)[-1])
        variance = (fit.df * fit.variance + prior.df * prior.variance) / (fit.df + prior.df)
        t[:, i] = np.abs(fit.effect) / (fit.unscaled * np.sqrt(variance))
    true = dealt.index(tuple(itertools.chain(*(rows[old[rows]] for rows in levels))))
    return (t[:, :, None] >= t[:, true] * (1 - 1e-9)).mean(axis=(0, 1))


@pytest.mark.parametrize("strata", [["M"] * 8, ["M", "M", "F", "F", "M", "M", "F", "F"]])
def test_arrangements_of_all_features_are_pooled(strata: list[str]) -> None:
    rng = np.random.default_rng(3)
    ages = [20, 25, 30, 35, 60, 65, 70, 75]
    weights = rng.normal(size=(6, 8)) * rng.uniform(0.5, 2, (6, 1))
    weights[0, 4:] += 4
    compared = compare_donors(ages, 45, "young_old", strata=strata)
    expected = pooled_by_hand(weights, np.array(ages) > 45, np.array(strata))
    found = compared.pooled_p_value(weights)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found[0] < compared.p_value(weights)[0] / 2


def test_one_feature_has_the_p_of_its_own_arrangements_and_what_does_not_vary_has_one() -> None:
    compared = compare_donors(AGES, 45, "young_old", strata=["M", "M", "F", "M", "F", "M", "M"])
    weights = np.random.default_rng(4).normal(size=(5, 7))
    for row in weights:
        assert compared.pooled_p_value(row[None]) == pytest.approx(compared.p_value(row[None]))
    assert compared.pooled_p_value(np.vstack([weights, np.ones(7)]))[-1] == 1


@pytest.mark.parametrize("contrast", ["young_old", "age"])
def test_pooled_p_is_uniform_where_nothing_changes_and_features_go_together(contrast: str) -> None:
    rng = np.random.default_rng(5)
    ages = [*range(20, 26), *range(60, 66)]
    compared = compare_donors(ages, 45, contrast, strata=["M", "F"] * 6, permutations=500)
    found = []
    for _ in range(60):
        shared = rng.normal(size=(3, 12))
        weights = rng.normal(size=(30, 3)) @ shared + rng.normal(size=(30, 12)) * rng.uniform(0.5, 2, (30, 1))
        found.append(compared.pooled_p_value(weights))
    p = np.array(found)
    assert abs((p <= 0.05).mean() - 0.05) < 0.02
    assert abs((p <= 0.5).mean() - 0.5) < 0.06


@pytest.mark.parametrize(("ages", "cut", "strata", "said"), [
    (AGES, None, None, "do not part young from old"),
    ([20, 25, 60, 65, 70], 45, None, "2 young donors with enough cells, fewer than 3"),
    ([20, 25, 30], 45, None, "no old donors with enough cells"),
    (AGES, 45, ["M", "M", "M", "F", "F", "F", "F"], "have no sex in common"),
])  # fmt: skip
def test_what_cannot_be_compared_is_said(
    ages: list[float], cut: float | None, strata: list[str] | None, said: str
) -> None:
    with pytest.raises(NotTestableError, match=said):
        compare_donors(ages, cut, "young_old", strata=strata)
