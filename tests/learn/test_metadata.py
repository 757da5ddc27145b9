"""Donors and their weights reach what is inside of pipelines, searches and transformed targets."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.linear_model import ElasticNetCV, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from titin.learn.estimators import DonorRidge
from titin.learn.features import donor_weights
from titin.learn.metadata import fit_with_donors, tunes_across_donors
from titin.learn.models import Model, TrainingContext
from titin.learn.tasks import TASKS

rng = np.random.default_rng(0)
DONORS = np.array(list("aaaabbbccddddddeefff"), object)
X, Y = rng.normal(size=(20, 4)), rng.normal(size=20)
HEARD: dict[str, list] = {}


class Listener(RegressorMixin, BaseEstimator):
    """Notes what it is told."""

    def fit(self, X, y, sample_weight=None, groups=None):
        HEARD.setdefault("weights", []).append(sample_weight)
        HEARD.setdefault("groups", []).append(groups)
        self.heard_ = True
        return self

    def predict(self, X):
        return np.zeros(len(X))


GRID = {"alpha": [0.1, 1.0]}
WRAPPED = {
    "alone": lambda: Listener(),
    "pipeline": lambda: make_pipeline(StandardScaler(), Listener()),
    "target": lambda: TransformedTargetRegressor(Listener()),
    "pipeline in target": lambda: TransformedTargetRegressor(make_pipeline(StandardScaler(), Listener())),
    "search": lambda: GridSearchCV(Listener(), {}, cv=GroupKFold(3), scoring="neg_mean_absolute_error"),
    "search in pipeline": lambda: make_pipeline(StandardScaler(), GridSearchCV(Listener(), {}, cv=GroupKFold(3))),
    "pipeline in search": lambda: GridSearchCV(make_pipeline(StandardScaler(), Listener()), {}, cv=GroupKFold(3)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_is_inside_is_told_the_donors_and_their_weights(name):
    HEARD.clear()
    fit_with_donors(WRAPPED[name](), X, Y, DONORS)
    np.testing.assert_allclose(HEARD["weights"][-1], donor_weights(DONORS))
    assert HEARD["groups"][-1].tolist() == DONORS.tolist()
    if "search" in name:  # donors are never on both sides of an inner fold
        assert [len(set(groups)) for groups in HEARD["groups"][:-1]] == [4, 4, 4]
        for groups, weights in zip(HEARD["groups"][:-1], HEARD["weights"][:-1], strict=True):
            np.testing.assert_allclose(weights, donor_weights(DONORS)[np.isin(DONORS, groups)])


def test_a_pipeline_weighs_donors_alike_as_its_parts_would():
    weights = donor_weights(DONORS)
    scaler = StandardScaler().fit(X, sample_weight=weights)
    expected = Ridge().fit(scaler.transform(X), Y, sample_weight=weights)
    found = fit_with_donors(make_pipeline(StandardScaler(), Ridge()), X, Y, DONORS)
    np.testing.assert_allclose(found[-1].coef_, expected.coef_)
    assert not np.allclose(found[-1].coef_, Ridge().fit(StandardScaler().fit_transform(X), Y).coef_)


def test_a_part_that_refuses_is_not_told():
    def make():
        return make_pipeline(StandardScaler().set_fit_request(sample_weight=False), Ridge())

    context = TrainingContext(TASKS["age_years"], list("abcd"), 20)
    found = fit_with_donors(Model("own", make, ("regression",)).estimator(context), X, Y, DONORS)
    np.testing.assert_allclose(found[0].mean_, X.mean(axis=0))
    with config_context(enable_metadata_routing=False), pytest.raises(RuntimeError):
        make()


class Bare:
    """No estimator of scikit-learn's."""

    def fit(self, X, y):
        return self


def test_what_takes_none_gets_none():
    assert isinstance(fit_with_donors(Bare(), X, Y, DONORS), Bare)
    fit_with_donors(make_pipeline(StandardScaler(), KNeighborsRegressor(2)), X, Y, DONORS)
    fit_with_donors(HistGradientBoostingRegressor(max_iter=2), X, Y, DONORS)
    fit_with_donors(VotingRegressor([("a", Ridge()), ("b", DonorRidge())]), X, Y, DONORS)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (GridSearchCV(Ridge(), GRID), True),
        (GridSearchCV(Ridge(), GRID, cv=GroupKFold(3)), False),
        (make_pipeline(StandardScaler(), ElasticNetCV(cv=3)), True),
        (make_pipeline(StandardScaler(), ElasticNetCV(cv=GroupKFold(3))), False),
        (Ridge(), False),
    ],
)
def test_searches_that_know_nothing_of_donors_are_found(estimator, expected):
    assert tunes_across_donors(estimator) == expected
