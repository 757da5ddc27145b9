"""p by dealing ages to donors is what counting all arrangements gives, and holds where nothing changes."""

import itertools

import numpy as np
import pytest
from scipy import stats

from titin.ageing.design import NotTestableError
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
