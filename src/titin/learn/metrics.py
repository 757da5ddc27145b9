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


EXACT_DONORS = 17  # up to which all 2^n changes of sign are looked at


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def donor_draws(n_donors: int, n_draws: int = 2000, seed: int = 0) -> NDArray[np.int64]:
    """How often each donor is drawn, draws × donors, when as many as there are are drawn with replacement."""
    return _rng(seed).multinomial(n_donors, np.full(n_donors, 1 / n_donors), size=n_draws)


def interval(draws: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Percentiles that enclose a share of the draws; NaN where there are none."""
    values = np.asarray(draws, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def regression_draws(true: ArrayLike, predicted: ArrayLike, n_draws: int = 2000, seed: int = 0) -> dict[str, Floats]:
    """Bootstrap over donors: ``mae``, ``rmse`` and ``r2`` of each draw, from one value a donor; none of one donor."""
    y, p = np.asarray(true, float), np.asarray(predicted, float)
    if len(y) < 2:
        return {}
    counts = donor_draws(len(y), n_draws, seed).astype(float)
    n = counts.sum(axis=1)
    mae, mse = counts @ np.abs(p - y) / n, counts @ (p - y) ** 2 / n
    variance = counts @ y**2 / n - (counts @ y / n) ** 2
    r2 = np.where(variance > 1e-9, 1 - mse / np.where(variance > 1e-9, variance, 1), np.nan)
    return {"mae": mae, "rmse": np.sqrt(mse), "r2": r2}


def classification_draws(counts: NDArray[np.int64], n_draws: int = 2000, seed: int = 0) -> dict[str, Floats]:
    """Bootstrap over donors from a confusion matrix for each, donors × classes × classes; scores of each draw.

    Of one donor there are none.
    """
    if len(counts) < 2:
        return {}
    drawn = donor_draws(len(counts), n_draws, seed)
    parts = [
        scores_of_confusion(np.tensordot(some.astype(float), counts.astype(float), axes=1))
        for some in np.array_split(drawn, max(1, n_draws * counts[0].size // 2_000_000))
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def permutation_p(observed: float, permuted: ArrayLike, *, smaller_is_better: bool = True) -> float:
    """Share of permutations that do as well or better, the observed one counted in (Phipson and Smyth, 2010)."""
    values = np.asarray(permuted, float)
    if not len(values) or not np.isfinite(observed):
        return float("nan")
    better = values <= observed + 1e-12 if smaller_is_better else values >= observed - 1e-12
    return float((1 + better.sum()) / (1 + len(values)))


def sign_flip_p(difference: ArrayLike, n: int = 10_000, seed: int = 0) -> float:
    """Test in pairs: whether one model's errors differ from another's, one difference a donor, two-sided.

    All changes of sign for up to `EXACT_DONORS` donors, else ``n`` random ones.
    """
    d = np.asarray(difference, float)
    d = d[np.isfinite(d)]
    if len(d) < 2:
        return float("nan")
    if len(d) <= EXACT_DONORS:
        signs = 1.0 - 2.0 * ((np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1)
        return float((np.abs(signs @ d) >= abs(d.sum()) - 1e-9).mean())
    signs = _rng(seed).choice([-1.0, 1.0], size=(n, len(d)))
    return float((1 + (np.abs(signs @ d) >= abs(d.sum()) - 1e-9).sum()) / (1 + n))


def donor_errors(table: pd.DataFrame, kind: str) -> pd.Series:
    """One error a donor: the absolute error of its median prediction, or the share of its units misclassified."""
    if kind == "regression":
        donors = donor_predictions(table).set_index("donor")
        return (donors["predicted"] - donors["true"]).abs()
    wrong = table["true"].astype(str) != table["predicted"].astype(str)
    return wrong.groupby(table["donor"].astype(str)).mean()
