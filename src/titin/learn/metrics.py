"""Scores of predictions, equal to scikit-learn's where it has them, with units or with donors counted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Scores = dict[str, float]


def regression_scores(true: ArrayLike, predicted: ArrayLike, arms: ArrayLike | None = None) -> Scores:
    """Score numbers.

    Parameters
    ----------
    true, predicted
        One a unit, or one a donor.
    arms
        Such as young and old, for ``within_arm_mae``: the MAE after each arm's mean error is taken off, which knowing
        the arm alone does not lower.

    Returns
    -------
    dict
        ``mae``, ``rmse``, ``r2`` (below 0: worse than the mean), ``spearman`` (NaN where one side does not vary),
        ``within_arm_mae``; all NaN for fewer than two values.
    """
    y, p = np.asarray(true, float), np.asarray(predicted, float)
    names = ("mae", "rmse", "r2", "spearman", "within_arm_mae")
    if len(y) < 2:
        return dict.fromkeys(names, float("nan"))
    error = p - y
    total = float(((y - y.mean()) ** 2).sum())
    within = float("nan")
    if arms is not None:
        table = pd.DataFrame({"error": error, "y": y, "p": p, "arm": np.asarray(arms, object)})
        grouped = table.groupby("arm", observed=True)
        if len(grouped):
            centred = (table["p"] - grouped["p"].transform("mean")) - (table["y"] - grouped["y"].transform("mean"))
            within = float(centred.abs().mean())
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": 1 - float((error**2).sum()) / total if total > 0 else float("nan"),
        "spearman": spearman(y, p),
        "within_arm_mae": within,
    }


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation, ties averaged; NaN where one side does not vary."""
    from scipy.stats import rankdata

    ra, rb = rankdata(a), rankdata(b)
    if np.ptp(ra) == 0 or np.ptp(rb) == 0:
        return float("nan")
    return float(np.corrcoef(ra, rb)[0, 1])


def donor_predictions(table: pd.DataFrame) -> pd.DataFrame:
    """Bring the predictions of a regression to donors: the median over a donor's units, of all its folds.

    Parameters
    ----------
    table
        One row a unit and fold: ``donor``, ``true``, ``predicted``, and ``young_old`` if known.

    Returns
    -------
    pandas.DataFrame
        One row a donor, sorted by name: ``true``, ``predicted``, ``low`` and ``high`` (quartiles over its units),
        ``n_units``, ``young_old``.
    """
    grouped = table.groupby(table["donor"].astype(str), sort=True)
    found = pd.DataFrame(
        {
            "true": grouped["true"].median(),
            "predicted": grouped["predicted"].median(),
            "low": grouped["predicted"].quantile(0.25),
            "high": grouped["predicted"].quantile(0.75),
            "n_units": grouped.size(),
        }
    )
    if "young_old" in table:
        found["young_old"] = grouped["young_old"].first()
    return found.reset_index()


def confusion(true: ArrayLike, predicted: ArrayLike, classes: Sequence[str]) -> NDArray[np.int64]:
    """Count units by true class (row) and predicted class (column)."""
    index = pd.Index(classes)
    t, p = (index.get_indexer(pd.Index(np.asarray(side, object))) for side in (true, predicted))
    known = (t >= 0) & (p >= 0)
    n = len(index)
    return np.bincount(t[known] * n + p[known], minlength=n * n).reshape(n, n).astype(np.int64)


def scores_of_confusion(counts: NDArray[Any]) -> dict[str, Floats]:
    """Scores of confusion matrices, … × classes × classes; classes without a unit on either side do not count.

    Returns
    -------
    dict
        ``accuracy``, ``micro_f1`` (the same), ``macro_f1``, ``weighted_f1``, ``balanced_accuracy``; float64, shape …
    """
    counts = np.asarray(counts, float)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    of_true, of_predicted = counts.sum(-1), counts.sum(-2)
    total = np.maximum(counts.sum((-2, -1)), 1)
    either = (of_true + of_predicted) > 0
    f1 = 2 * hits / np.where(either, of_true + of_predicted, 1)
    recall = hits / np.where(of_true > 0, of_true, 1)
    accuracy = hits.sum(-1) / total
    return {
        "accuracy": accuracy,
        "micro_f1": accuracy,
        "macro_f1": f1.sum(-1) / np.maximum(either.sum(-1), 1),
        "weighted_f1": (f1 * of_true).sum(-1) / total,
        "balanced_accuracy": recall.sum(-1) / np.maximum((of_true > 0).sum(-1), 1),
    }


def classification_scores(
    true: ArrayLike, predicted: ArrayLike, shares: NDArray[Any] | None, classes: Sequence[str],
    parent: Mapping[str, str] | None = None,
) -> Scores:  # fmt: skip
    """Score labels.

    Parameters
    ----------
    true, predicted
        Class of each unit.
    shares
        Units × classes, each row summing to 1; None where a model has none.
    classes
        Names of the columns of ``shares``.
    parent
        Parent of each class in a coarser annotation, for the hierarchical scores.

    Returns
    -------
    dict
        Those of `scores_of_confusion`; ``auroc`` and ``average_precision`` (means over the classes that some units
        have and others have not, one against the rest), ``ece`` (see `expected_calibration_error`); with ``parent``
        also ``parent_accuracy``, and ``hierarchical_f1``, in which each label counts with its parent.
    """
    true, predicted = np.asarray(true, object), np.asarray(predicted, object)
    found = {name: float(value) for name, value in scores_of_confusion(confusion(true, predicted, classes)).items()}
    if shares is not None:
        each = per_class_scores(true, predicted, shares, classes)
        found["auroc"] = float(each["auroc"].mean())
        found["average_precision"] = float(each["average_precision"].mean())
        found["ece"] = expected_calibration_error(true, shares, classes)
    if parent is not None:
        above_true, above = (pd.Series(side).map(parent).to_numpy(object) for side in (true, predicted))
        found["parent_accuracy"] = float((above_true == above).mean())
        found["hierarchical_f1"] = float(((true == predicted).sum() + (above_true == above).sum()) / (2 * len(true)))
    return found


def per_class_scores(
    true: ArrayLike, predicted: ArrayLike, shares: NDArray[Any] | None, classes: Sequence[str]
) -> pd.DataFrame:
    """Return for each ``class``: ``n``, ``precision``, ``recall``, ``f1``, ``auroc``, ``average_precision``."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    true = np.asarray(true, object)
    counts = confusion(true, predicted, classes).astype(float)
    hits, of_true, of_predicted = np.diagonal(counts), counts.sum(1), counts.sum(0)
    rows = []
    for i, name in enumerate(classes):
        mine = true == name
        one_sided = shares is None or mine.all() or not mine.any()
        rows.append({
            "class": name,
            "n": int(mine.sum()),
            "precision": hits[i] / of_predicted[i] if of_predicted[i] else 0.0,
            "recall": hits[i] / of_true[i] if of_true[i] else 0.0,
            "f1": 2 * hits[i] / (of_true[i] + of_predicted[i]) if of_true[i] + of_predicted[i] else 0.0,
            "auroc": float("nan") if one_sided else float(roc_auc_score(mine, shares[:, i])),  # type: ignore[index]
            "average_precision":
                float("nan") if one_sided else float(average_precision_score(mine, shares[:, i])),  # type: ignore[index]
        })  # fmt: skip
    return pd.DataFrame(rows)


def calibration(true: ArrayLike, shares: NDArray[Any], classes: Sequence[str], n_bins: int = 10) -> pd.DataFrame:
    """Bin units by the share of their likeliest class: means ``confidence`` and ``accuracy``, and ``n``, of each."""
    shares = np.asarray(shares, float)
    confidence = shares.max(axis=1)
    right = np.asarray(classes, object)[shares.argmax(axis=1)] == np.asarray(true, object)
    place = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    table = pd.DataFrame({"bin": place, "confidence": confidence, "accuracy": right.astype(float)})
    found = table.groupby("bin").agg(
        confidence=("confidence", "mean"), accuracy=("accuracy", "mean"), n=("bin", "size")
    )
    return found.reset_index(drop=True)


def expected_calibration_error(
    true: ArrayLike, shares: NDArray[Any], classes: Sequence[str], n_bins: int = 10
) -> float:
    """Mean distance of confidence from accuracy over bins of equal width, weighted by units (Guo et al., 2017)."""
    table = calibration(true, shares, classes, n_bins)
    return float((table["n"] * (table["confidence"] - table["accuracy"]).abs()).sum() / max(1, table["n"].sum()))
