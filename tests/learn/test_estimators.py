"""Ridge over donors is scikit-learn's ridge on donors' means; refitting to permuted ages gives a uniform p."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from titin.learn import metrics as inference
from titin.learn.estimators import DonorRidge, GroupMajority, GroupMean, MarkerRule, PerTypeRegressor
from titin.learn.permutations import DonorPermutations


def units(seed=0, n_donors=12, n_features=40, effect=0.0):
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 75, n_donors)
    of = np.repeat(np.arange(n_donors), rng.integers(2, 9, n_donors))
    donors = rng.normal(size=(n_donors, n_features))
    donors[:, 0] += effect * (age - age.mean()) / age.std()
    return donors[of] + rng.normal(0, 0.3, (len(of), n_features)), age, of


def test_is_ridge_on_donor_means_with_the_penalty_of_leave_one_out():
    X, age, of = units(effect=5)
    fitted = DonorRidge().fit(X, age[of], groups=of)
    means = pd.DataFrame(X).groupby(of).mean().to_numpy()
    errors = {
        alpha: np.abs(cross_val_predict(Ridge(alpha=alpha * 40), means, age, cv=LeaveOneOut()) - age).mean()
        for alpha in fitted.alphas
    }
    assert fitted.alpha_[0] == min(errors, key=errors.get)
    expected = Ridge(alpha=fitted.alpha_[0] * 40).fit(means, age)
    np.testing.assert_allclose(fitted.coef_, expected.coef_, rtol=1e-6)
    np.testing.assert_allclose(fitted.predict(X), expected.predict(X), rtol=1e-6)


def test_several_targets_are_fitted_as_one_by_one():
    X, age, of = units()
    targets = np.column_stack([age, age[::-1], np.roll(age, 3)])
    together = DonorRidge().fit(X, targets[of], groups=of)
    for i in range(3):
        alone = DonorRidge().fit(X, targets[of, i], groups=of)
        np.testing.assert_allclose(together.predict(X)[:, i], alone.predict(X), rtol=1e-9)


def test_p_is_uniform_where_nothing_can_be_predicted():
    found = []
    for seed in range(150):
        X, age, _ = units(seed, n_donors=10, n_features=20)
        X = X[:10]
        dealt = DonorPermutations.of_donors(pd.Series(age, [f"D{i}" for i in range(10)]), n=99, seed=seed).dealt
        permuted = np.column_stack([age, dealt])
        predicted = np.empty_like(permuted)
        for i in range(10):
            rest = np.arange(10) != i
            predicted[i] = DonorRidge().fit(X[rest], permuted[rest]).predict(X[[i]])[0]
        errors = np.abs(predicted - permuted).mean(axis=0)
        found.append(inference.permutation_p(errors[0], errors[1:]))
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_each_type_has_its_own_clock_and_a_rare_one_none():
    X, age, of = units(effect=5)
    kind = np.arange(len(X)) % 2
    X = np.column_stack([kind, X])
    X = np.concatenate([X, X[:2]])
    X[-2:, 0] = 7
    of = np.concatenate([of, of[:2]])
    fitted = PerTypeRegressor(DonorRidge()).fit(X, age[of], groups=of)
    assert sorted(fitted.models_) == [0, 1]
    own = DonorRidge().fit(X[X[:, 0] == 0, 1:], age[of][X[:, 0] == 0], groups=of[X[:, 0] == 0])
    np.testing.assert_allclose(fitted.predict(X[X[:, 0] == 0]), own.predict(X[X[:, 0] == 0, 1:]))
    assert np.ptp(fitted.predict(X[-2:])) == 0


def test_baselines():
    facts = pd.DataFrame({"donor": ["a", "a", "a", "b", "c"], "sex": ["F", "F", "F", "M", "M"]})
    y = [20.0, 20, 20, 50, 80]
    assert GroupMean().fit(facts, y).predict(facts).tolist() == [50] * 5
    assert GroupMean("sex").fit(facts, y).predict(facts).tolist() == [20, 20, 20, 65, 65]
    assert GroupMean("sex").fit(facts, y).predict(facts.assign(sex="X")).tolist() == [50] * 5
    labels = ["young", "young", "young", "old", "old"]
    assert GroupMajority().fit(facts, labels).predict(facts).tolist() == ["old"] * 5
    assert GroupMajority(by_donor=False).fit(facts, labels).predict(facts).tolist() == ["young"] * 5


def test_the_rule_of_markers_takes_the_highest():
    rule = MarkerRule(("female", "male", "unused")).fit(np.zeros((2, 3)), ["male", "female"])
    assert rule.predict([[1.0, 0, 9], [0, 2, 9]]).tolist() == ["female", "male"]
    np.testing.assert_allclose(rule.predict_proba([[1.0, 0, 9]]).sum(), 1)
