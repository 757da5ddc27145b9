"""Parameters are chosen on training donors held out, by the error that the benchmark counts."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from titin.learn.features import donor_weights
from titin.learn.fitting import gene_weights
from titin.learn.models import TrainingContext, all_models
from titin.learn.tasks import TASKS
from titin.learn.tuning import TunedOverDonors


def units(n_donors=9, seed=0):
    rng = np.random.default_rng(seed)
    donors = np.repeat([f"D{i}" for i in range(n_donors)], rng.integers(2, 7, n_donors)).astype(object)
    age = dict(zip(dict.fromkeys(donors), rng.uniform(20, 75, n_donors), strict=True))
    y = np.array([age[name] for name in donors])
    X = rng.normal(size=(len(y), 6))
    X[:, 0] += (y - 45) / 20
    return X, y, donors


def test_the_candidate_is_the_one_with_the_least_error_of_donors():
    X, y, donors = units()
    grid = (1000.0, 10.0, 0.1)
    errors = {}
    for alpha in grid:
        found = []
        for train, test in GroupKFold(5).split(X, y, donors):
            fitted = Ridge(alpha).fit(X[train], y[train], sample_weight=donor_weights(donors[train]))
            for name in sorted(set(donors[test])):
                mine = test[donors[test] == name]
                found.append(abs(np.median(fitted.predict(X[mine])) - y[mine][0]))
        errors[alpha] = np.mean(found)
    tuned = TunedOverDonors(Ridge(), {"alpha": grid}).fit(X, y, donors)
    assert tuned.chosen_ == {"alpha": min(errors, key=errors.get)}
    expected = Ridge(tuned.chosen_["alpha"]).fit(X, y, sample_weight=donor_weights(donors))
    np.testing.assert_allclose(tuned.predict(X), expected.predict(X))


@pytest.mark.parametrize("n_donors", [1, 2, 3])
def test_few_donors_tune_nothing(n_donors):
    X, y, donors = units(n_donors)
    tuned = TunedOverDonors(Ridge(7.0), {"alpha": (1.0, 2.0)}).fit(X, y, donors)
    assert tuned.chosen_ == {}
    assert tuned.estimator_.alpha == 7.0


def test_candidates_that_cannot_be_fitted_are_not_chosen():
    X, y, donors = units()
    tuned = TunedOverDonors(KNeighborsRegressor(2), {"n_neighbors": (500, 3)}).fit(X, y, donors)
    assert tuned.chosen_ == {"n_neighbors": 3}
    assert TunedOverDonors(KNeighborsRegressor(2), {"n_neighbors": (500, 400)}).fit(X, y, donors).chosen_ == {}
    label = np.where(y > 45, "old", "young").astype(object)
    shares = TunedOverDonors(KNeighborsClassifier(2), {"n_neighbors": (5, 3)}).fit(X, label, donors)
    assert shares.predict_proba(X).shape == (len(X), 2)
    assert list(shares.classes_) == ["old", "young"]


@pytest.mark.parametrize("name", ["elastic_net", "pls", "knn"])
def test_models_with_a_free_choice_make_it_over_donors(name):
    X, y, donors = units(12)
    names = [f"g{i}" for i in range(6)]
    model = all_models()[name].estimator(TrainingContext(TASKS["age_years"], names, len(X)))
    fitted = model.fit(X, y, donors)
    assert set(fitted.chosen_) <= {"alpha", "n_components", "n_neighbors"}
    assert len(fitted.chosen_) == 1
    if name != "knn":
        maker = type("Maker", (), {"names": names})()
        weights = gene_weights(fitted, maker)
        assert weights["gene"].iloc[0] == "g0"
