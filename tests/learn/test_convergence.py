"""A solver that stops before its tolerance is noted with the model that it belongs to; nothing else is."""

import threading
import time
import warnings

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import ElasticNet, LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from titin.learn import Model, run_benchmark
from titin.learn.fitting import iterations_exhausted
from titin.learn.fold_work import side_by_side

SHORT = LogisticRegression(max_iter=2)
CASES = {
    "reached": (LogisticRegression(max_iter=500), None),
    "stopped": (SHORT, 2),
    "in a pipeline": (make_pipeline(StandardScaler(), SHORT), 2),
    "one a class": (OneVsRestClassifier(SHORT), 2),
    "coordinates": (ElasticNet(alpha=1e-6, max_iter=1, tol=1e-12), 1),
    "network": (MLPClassifier((4,), max_iter=3), 3),
    "no tolerance": (SGDClassifier(max_iter=3, tol=None), None),
    "trees": (HistGradientBoostingClassifier(max_iter=3), None),
    "a user's own": (object(), None),
}


@pytest.mark.parametrize(("estimator", "limit"), CASES.values(), ids=CASES)
def test_solvers_that_stop_early_are_told_from_others(estimator: object, limit: int | None) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 8))
    y = (X @ rng.normal(size=8) + rng.normal(size=60) > 0).astype(int) + (X[:, 0] > 1)
    with side_by_side():
        if hasattr(estimator, "fit"):
            estimator.fit(X, y)
    assert iterations_exhausted(estimator) == limit


def short(context: object) -> LogisticRegression:
    return LogisticRegression(max_iter=1)


def test_the_model_that_did_not_converge_is_named_and_other_warnings_go_where_they_went(demo, tmp_path):
    """Also those that other threads of the program give meanwhile."""
    stop = threading.Event()
    show, heard = warnings.showwarning, []

    def listen() -> None:
        while not stop.is_set():
            heard.append(warnings.showwarning is show)
            time.sleep(0.002)

    other = threading.Thread(target=listen)
    other.start()
    try:
        done = run_benchmark(demo, tmp_path / "b", tasks=["sex"], models=[Model("short", short)],
                             figures=False, threads=2, permutations=0)  # fmt: skip
    finally:
        stop.set()
        other.join()
    assert all(heard)
    assert len(heard) > 5
    assert any(
        said.startswith("sex, leave_one_donor_out, short did not converge in 1 iterations") for said in done.told
    )
    assert not any("prevalence" in said and "converge" in said for said in done.told)
