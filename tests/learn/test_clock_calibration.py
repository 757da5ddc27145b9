"""How often clocks find what is not there, and how often their intervals hold: of drawn donors, counted exactly.

`benchmarks/calibration/clock_null.py` and `clock_transfer.py` ask the same of whole twins.
"""

import numpy as np
import pandas as pd

from titin.learn import metrics
from titin.learn.clock_ages import half_width
from titin.learn.estimators import DonorRidge
from titin.learn.permutations import DonorPermutations


def leave_one_out(X, targets):
    """What ridge predicts of each donor, refitted without it."""
    rest = ~np.eye(len(X), dtype=bool)
    return np.array([DonorRidge().fit(X[keep], targets[keep]).predict(X[[i]])[0] for i, keep in enumerate(rest)])


def p_within(strata, X, age, seed):
    dealt = DonorPermutations.of_donors(pd.Series(age, [f"D{i:02}" for i in range(len(age))]), strata, 99, seed).dealt
    targets = np.column_stack([age, dealt])
    errors = np.abs(leave_one_out(X, targets) - targets).mean(axis=0)
    return metrics.permutation_p(errors[0], errors[1:])


def test_a_clock_that_knows_sex_alone_is_found_by_permuting_all_donors_and_not_within_sex():
    found = {"all": [], "within": []}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sex = np.arange(14) % 2
        age = 35 + 25.0 * sex + rng.normal(0, 8, 14)
        X = rng.normal(size=(14, 6))
        X[:, 0] += 4 * sex
        found["all"].append(p_within(None, X, age, seed))
        found["within"].append(p_within(sex, X, age, seed))
    significant = {name: int((np.array(p) < 0.05).sum()) for name, p in found.items()}
    assert significant == {"all": 28, "within": 2}


def test_intervals_hold_the_ages_of_new_donors():
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng([seed, 7])
        weights = rng.normal(size=20)

        def donors(n, rng=rng, weights=weights):
            age = rng.uniform(19, 74, n)
            return np.outer((age - 47) / 16, weights) * 0.5 + rng.normal(0, 1, (n, 20)), age

        X, age = donors(17)
        rmse = np.sqrt(((leave_one_out(X, age[:, None])[:, 0] - age) ** 2).mean())
        other, true = donors(10)
        error = DonorRidge().fit(X, age).predict(other) - true
        inside += int((np.abs(error) <= half_width(rmse, 17, 0.95)).sum())
    assert inside == 562  # of 600
