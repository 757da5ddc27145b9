"""Scores equal scikit-learn's; intervals and tests do what they say."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from titin.learn import metrics
from titin.learn import metrics as inference

CLASSES = ["a", "b", "c"]
numbers = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=2, max_size=40)


@given(numbers)
def test_regression_scores_are_scikit_learns(pairs):
    y, p = np.array(pairs, float).T
    found = metrics.regression_scores(y, p)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(y, p))
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(y, p))
    if np.ptp(y) > 0:
        assert found["r2"] == pytest.approx(reference.r2_score(y, p))
    if np.ptp(y) > 0 and np.ptp(p) > 0:
        assert found["spearman"] == pytest.approx(stats.spearmanr(y, p).statistic)
    else:
        assert np.isnan(found["spearman"])


labelled = st.tuples(st.sampled_from(CLASSES), st.integers(0, 9), st.integers(0, 9), st.integers(1, 9))


@given(st.lists(labelled, min_size=6, max_size=60))
def test_classification_scores_are_scikit_learns(rows):
    true = np.array([row[0] for row in rows], object)
    true[:3] = CLASSES
    shares = np.array([row[1:] for row in rows], float)
    shares /= shares.sum(axis=1, keepdims=True)
    predicted = np.array(CLASSES, object)[shares.argmax(axis=1)]
    found = metrics.classification_scores(true, predicted, shares, CLASSES)
    for average in ("macro", "micro", "weighted"):
        assert found[f"{average}_f1"] == pytest.approx(
            reference.f1_score(true, predicted, average=average, labels=CLASSES)
        )
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(true, predicted))
    one_hot = np.array([[t == c for c in CLASSES] for t in true])
    each = [reference.roc_auc_score(one_hot[:, i], shares[:, i]) for i in range(3)]
    assert found["auroc"] == pytest.approx(np.mean(each))
    assert found["average_precision"] == pytest.approx(reference.average_precision_score(one_hot, shares))
    assert np.array_equal(
        metrics.confusion(true, predicted, CLASSES), reference.confusion_matrix(true, predicted, labels=CLASSES)
    )


def test_within_arm_error_does_not_reward_knowing_the_arm():
    age, arm = np.array([20.0, 30, 60, 70]), np.array(["young", "young", "old", "old"])
    oracle = metrics.regression_scores(age, [25, 25, 65, 65], arm)
    assert oracle["mae"] == oracle["within_arm_mae"] == 5
    assert metrics.regression_scores(age, age + 7, arm)["within_arm_mae"] == 0


def test_a_wrong_leaf_under_the_right_parent_counts():
    parent = {"CD4": "T", "CD8": "T", "FB": "stroma"}
    found = metrics.classification_scores(["CD4", "CD4", "FB"], ["CD8", "FB", "FB"], None, list(parent), parent)
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["parent_accuracy"] == pytest.approx(2 / 3)
    assert found["hierarchical_f1"] == pytest.approx(3 / 6)


def test_calibration_of_a_model_that_is_as_sure_as_right():
    true = np.array(["a"] * 8 + ["b"] * 2, object)
    assert metrics.expected_calibration_error(true, np.tile([0.8, 0.2], (10, 1)), ["a", "b"]) == pytest.approx(0)
    assert metrics.expected_calibration_error(true, np.tile([1.0, 0.0], (10, 1)), ["a", "b"]) == pytest.approx(0.2)


def test_a_donor_counts_once_however_many_units_it_has():
    table = pd.DataFrame({"donor": ["x"] * 99 + ["y"], "true": [20.0] * 99 + [60], "predicted": [20.0] * 99 + [20]})
    donors = metrics.donor_predictions(table)
    assert metrics.regression_scores(donors["true"], donors["predicted"])["mae"] == 20
    assert inference.donor_errors(table, "regression").tolist() == [0, 40]


def test_sign_flips_are_exact_for_few_donors():
    assert inference.sign_flip_p([1.0, 2, 3, 4]) == pytest.approx(2 / 16)
    assert inference.sign_flip_p([1.0, -1]) == 1
    assert inference.sign_flip_p(np.ones(17)) == pytest.approx(2 / 2**17)


def test_intervals_cover():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        error = rng.normal(0, 1, 60)
        draws = inference.regression_draws(np.zeros(60), error, 400, trial)
        low, high = inference.interval(draws["mae"])
        covered += low <= np.sqrt(2 / np.pi) <= high
    assert 0.88 <= covered / 200 <= 0.99


def test_permutation_p_counts_the_observed():
    assert inference.permutation_p(1.0, [2, 3, 4]) == 0.25
    assert inference.permutation_p(9.0, [2, 3, 4]) == 1
    assert np.isnan(inference.permutation_p(float("nan"), [1, 2]))
