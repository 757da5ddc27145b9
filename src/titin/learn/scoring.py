"""From predictions to scores: of units and of donors, with intervals over donors, permutation p and paired tests."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from titin.learn import metrics
from titin.learn import metrics as inference
from titin.learn.plan import BenchmarkJob
from titin.learn.store import shares_of
from titin.learn.tasks import Task
from titin.study.design import CELL_TYPE

SCORE_COLUMNS = ("task", "split", "model", "features", "track", "leaky", "baseline", "level", "of", "metric", "value",
                 "low", "high", "n_units", "n_donors")  # fmt: skip
HIGHER_IS_BETTER = {"mae": False, "rmse": False, "within_arm_mae": False, "ece": False}
Rows = list[dict[str, Any]]


def headline(task: Task) -> tuple[str, str]:
    """What is scored, ``donor`` or ``unit``, and the score that models are ordered by."""
    if task.kind == "regression":
        return ("donor" if task.of_donor else "unit"), "mae"
    return ("donor", "balanced_accuracy") if task.of_donor else ("unit", "macro_f1")


def score_job(
    job: BenchmarkJob, table: pd.DataFrame, permuted: pd.DataFrame, *, parent: Mapping[str, str] | None = None,
    permutations: int = 1000, seed: int = 0,
) -> Rows:  # fmt: skip
    """Score the predictions of a job, over all of its folds together.

    Parameters
    ----------
    table
        Predictions, as `titin.learn.fitting.FoldResult` has them.
    permuted
        Likewise its ``permuted``; without rows where there are none.
    parent
        Of each class, for hierarchical scores.
    """
    if table.empty:
        return []
    common = {"task": job.task.name, "split": job.split.name, "model": job.model.name, "features": job.model.features,
              "track": job.model.track, "leaky": job.split.leaky, "baseline": job.model.baseline, "level": job.level,
              "n_units": len(table), "n_donors": int(table["donor"].nunique())}  # fmt: skip
    make = _regression if job.task.kind == "regression" else _classification
    return [{**common, **row} for row in make(job, table, permuted, parent, permutations, seed)]


def _row(of: str, metric: str, value: float, draws: Any = None) -> dict[str, Any]:
    low, high = inference.interval(draws) if draws is not None else (float("nan"), float("nan"))
    return {"of": of, "metric": metric, "value": float(value), "low": low, "high": high}


def _regression(
    job: BenchmarkJob, table: pd.DataFrame, permuted: pd.DataFrame, parent: Any, permutations: int, seed: int  # noqa: ARG001
) -> Rows:  # fmt: skip
    arms = table.get("young_old")
    rows = [_row("unit", *item) for item in metrics.regression_scores(table["true"], table["predicted"], arms).items()]
    if not job.task.of_donor:
        return rows
    donors = metrics.donor_predictions(table)
    draws = inference.regression_draws(donors["true"], donors["predicted"], seed=seed)
    scores = metrics.regression_scores(donors["true"], donors["predicted"], donors.get("young_old"))
    rows += [_row("donor", name, value, draws.get(name)) for name, value in scores.items()]
    if job.split.leaky:
        return rows
    p, name = float("nan"), "permutation_p"
    if len(permuted) == len(donors):
        true, predicted = (np.stack(permuted[side].tolist()) for side in ("true", "predicted"))
        p = inference.permutation_p(scores["mae"], np.abs(predicted - true).mean(axis=0))
    else:
        name = "permutation_p_cautious"
        predicted = donors["predicted"].to_numpy()
        found = inference.permuted_scores(
            donors["true"], lambda true: float(np.abs(true - predicted).mean()), permutations, seed
        )
        p = inference.permutation_p(scores["mae"], found)
    return [*rows, _row("donor", name, p)]


def _classification(
    job: BenchmarkJob, table: pd.DataFrame, permuted: pd.DataFrame, parent: Any, permutations: int, seed: int  # noqa: ARG001
) -> Rows:  # fmt: skip
    classes = classes_of(table)
    shares = shares_of(table, classes)
    scores = metrics.classification_scores(table["true"], table["predicted"], shares, classes, parent)
    draws = inference.classification_draws(_confusion_by_donor(table, classes), seed=seed)
    rows = [_row("unit", name, value, draws.get(name)) for name, value in scores.items()]
    each = metrics.per_class_scores(table["true"], table["predicted"], shares, classes)
    for name in ("f1", "auroc", "average_precision"):
        rows += [_row("unit", f"{name}[{c}]", v) for c, v in zip(each["class"], each[name], strict=True)]
    if not job.task.of_donor:
        return rows
    donors = donor_classes(table, classes)
    scores = metrics.classification_scores(donors["true"], donors["predicted"], shares_of(donors, classes), classes)
    draws = inference.classification_draws(_confusion_by_donor(donors, classes), seed=seed)
    rows += [_row("donor", name, value, draws.get(name)) for name, value in scores.items()]
    if not job.split.leaky:
        predicted = donors["predicted"].to_numpy(object)

        def score(true: Any) -> float:
            counts = metrics.confusion(true, predicted, classes)
            return float(metrics.scores_of_confusion(counts)["balanced_accuracy"])

        found = inference.permuted_scores(donors["true"].to_numpy(object), score, permutations, seed)
        p = inference.permutation_p(scores["balanced_accuracy"], found, smaller_is_better=False)
        rows.append(_row("donor", "permutation_p_cautious", p))
    return rows


def classes_of(table: pd.DataFrame) -> list[str]:
    """All classes that are true of a unit or predicted, sorted."""
    return sorted(set(table["true"].astype(str)) | set(table["predicted"].astype(str)))


def donor_classes(table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """One row a donor: its class, the class with the largest mean share over its units, and those shares."""
    shares = shares_of(table, classes)
    if shares is None:
        shares = (table["predicted"].to_numpy(object)[:, None] == np.array(classes, object)).astype(float)
    mean = pd.DataFrame(shares, columns=[f"share:{c}" for c in classes]).groupby(table["donor"].to_numpy(object)).mean()
    true = table.groupby("donor")["true"].first().reindex(mean.index)
    best = np.array(classes, object)[mean.to_numpy().argmax(axis=1)]
    return pd.DataFrame({"donor": mean.index, "true": true.to_numpy(object), "predicted": best}).join(
        mean.reset_index(drop=True)
    )


def _confusion_by_donor(table: pd.DataFrame, classes: list[str]) -> Any:
    groups = table.groupby("donor", sort=True)
    return np.stack([metrics.confusion(mine["true"], mine["predicted"], classes) for _, mine in groups])


def parents(task: Task, design: pd.DataFrame) -> dict[str, str] | None:
    """Parent of each class of a cell-type task in the next coarser level: that of most of its cells."""
    if not task.column.startswith(CELL_TYPE) or task.column == f"{CELL_TYPE}0":
        return None
    above = f"{CELL_TYPE}{int(task.column.removeprefix(CELL_TYPE)) - 1}"
    pairs = design[[task.column, above]].dropna().astype(str)
    counted = pairs.value_counts().reset_index().sort_values(["count", above], ascending=[False, True])
    first = counted.drop_duplicates(task.column)
    return dict(zip(first[task.column], first[above], strict=True))


def compare(errors: Mapping[str, pd.Series], seed: int = 0) -> pd.DataFrame:
    """Test models in pairs, on the donors that both predict.

    Parameters
    ----------
    errors
        By model, one error a donor, from `titin.learn.metrics.donor_errors`.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``other``, ``difference`` (mean over donors of the first's error less the second's), ``p``
        (changes of sign, two-sided), ``n_donors``.
    """
    rows = []
    for one, other in combinations(errors, 2):
        both = pd.concat([errors[one], errors[other]], axis=1, join="inner").dropna()
        difference = (both.iloc[:, 0] - both.iloc[:, 1]).to_numpy(float)
        mean = float(difference.mean()) if len(difference) else float("nan")
        rows.append({"model": one, "other": other, "difference": mean,
                     "p": inference.sign_flip_p(difference, seed=seed), "n_donors": len(both)})  # fmt: skip
    return pd.DataFrame(rows, columns=["model", "other", "difference", "p", "n_donors"])
