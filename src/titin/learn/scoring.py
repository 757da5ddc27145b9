"""From predictions to scores: of units and of donors, with intervals over donors, permutation p and paired tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.learn import metrics
from titin.learn.permutations import DonorPermutations
from titin.learn.plan import BenchmarkJob
from titin.learn.store import shares_of
from titin.learn.tasks import Task
from titin.study.design import CELL_TYPE

SCORE_COLUMNS = ("task", "split", "model", "features", "track", "leaky", "baseline", "level", "of", "metric", "value",
                 "low", "high", "n_units", "n_donors")  # fmt: skip
BEST_P = "permutation_p_best_of_several"
HIGHER_IS_BETTER = {"mae": False, "rmse": False, "within_arm_mae": False, "ece": False}
Rows = list[dict[str, Any]]


def headline(task: Task) -> tuple[str, str]:
    """What is scored, ``donor`` or ``unit``, and the score that models are ordered by."""
    if task.kind == "regression":
        return ("donor" if task.of_donor else "unit"), "mae"
    return ("donor", "balanced_accuracy") if task.of_donor else ("unit", "macro_f1")


@dataclass(frozen=True)
class Scored:
    """The scores of a job, and what its headline score is by chance.

    Attributes
    ----------
    rows
        One a score.
    error
        The headline score of donors, or one less it where more is better; NaN where donors are not scored.
    by_chance
        float64, the same for each permutation of donors; none where there are no permutations.
    """

    rows: Rows
    error: float = float("nan")
    by_chance: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def score_job(
    job: BenchmarkJob, table: pd.DataFrame, permuted: pd.DataFrame, *, parent: Mapping[str, str] | None = None,
    dealt: DonorPermutations | None = None, seed: int = 0,
) -> Scored:  # fmt: skip
    """Score the predictions of a job, over all of its folds together.

    Parameters
    ----------
    table
        Predictions, as `titin.learn.fitting.FoldResult` has them, with ``fold``.
    permuted
        Likewise its ``permuted``; without rows where there are none.
    parent
        Of each class, for hierarchical scores.
    dealt
        Values of donors, permuted; None where there is nothing to be permuted.
    """
    if table.empty:
        return Scored([])
    common = {"task": job.task.name, "split": job.split.name, "model": job.model.name, "features": job.model.features,
              "track": job.model.track, "leaky": job.split.leaky, "baseline": job.model.baseline, "level": job.level,
              "n_units": len(table), "n_donors": int(table["donor"].nunique())}  # fmt: skip
    make = _regression if job.task.kind == "regression" else _classification
    found = make(job, table, permuted, parent, dealt, seed)
    return replace(found, rows=[{**common, **row} for row in found.rows])


def best_of_several(scored: Mapping[str, Scored]) -> tuple[str, float] | None:
    """Name the best of several models, and test it as the best of them: by the least error of all, each time.

    The least error of several models is small for the choice alone; where the values of donors are permuted, so is
    theirs. None where fewer than two models can be tested.

    References
    ----------
    Westfall and Young, Resampling-based multiple testing (1993): the permutation of the maximum.
    """
    tested = {name: one for name, one in scored.items() if len(one.by_chance) and np.isfinite(one.error)}
    if len(tested) < 2:
        return None
    best = min(tested, key=lambda name: tested[name].error)
    least = np.min([one.by_chance for one in tested.values()], axis=0)
    return best, metrics.permutation_p(tested[best].error, least)


def _row(of: str, metric: str, value: float, draws: Any = None) -> dict[str, Any]:
    low, high = metrics.interval(draws) if draws is not None else (float("nan"), float("nan"))
    return {"of": of, "metric": metric, "value": float(value), "low": low, "high": high}


def _regression(
    job: BenchmarkJob, table: pd.DataFrame, permuted: pd.DataFrame, parent: Any, dealt: DonorPermutations | None,  # noqa: ARG001
    seed: int,
) -> Scored:  # fmt: skip
    # each fold has a mean of its own, which leans away from whoever is held out: ranks across folds are of that
    pooled = not job.split.leaky and table["fold"].nunique() > 1
    left_out = ("spearman",) if pooled else ()
    of_units = metrics.regression_scores(table["true"], table["predicted"], table.get("young_old"))
    rows = [_row("unit", name, value) for name, value in of_units.items() if name not in left_out]
    if not job.task.of_donor:
        return Scored(rows)
    donors = metrics.donor_predictions(table)
    draws = metrics.regression_draws(donors["true"], donors["predicted"], seed=seed)
    scores = metrics.regression_scores(donors["true"], donors["predicted"], donors.get("young_old"))
    rows += [_row("donor", name, value, draws.get(name)) for name, value in scores.items() if name not in left_out]
    if job.split.leaky or dealt is None:
        return Scored(rows)
    exact = len(permuted) == len(donors)
    if exact:
        true, predicted = (np.stack(permuted[side].tolist()) for side in ("true", "predicted"))
    else:
        true, predicted = dealt.of(donors["donor"]), donors["predicted"].to_numpy()[:, None]
    by_chance = np.abs(predicted - true).mean(axis=0)
    return _tested(rows, scores["mae"], by_chance, dealt, exact=exact)


def _tested(rows: Rows, error: float, by_chance: Any, dealt: DonorPermutations, *, exact: bool) -> Scored:
    """Add p to scores; without permutations that move anything it is not known."""
    by_chance = np.asarray(by_chance, float) if dealt.can_move else np.zeros(0)
    name = "permutation_p" if exact else "permutation_p_cautious"
    p = metrics.permutation_p(error, by_chance)
    return Scored([*rows, _row("donor", name, p)], error, by_chance)


def _classification(
    job: BenchmarkJob, table: pd.DataFrame, permuted: pd.DataFrame, parent: Any, dealt: DonorPermutations | None,  # noqa: ARG001
    seed: int,
) -> Scored:  # fmt: skip
    classes = classes_of(table)
    shares = shares_of(table, classes)
    scores = metrics.classification_scores(table["true"], table["predicted"], shares, classes, parent)
    draws = metrics.classification_draws(_confusion_by_donor(table, classes), seed=seed)
    rows = [_row("unit", name, value, draws.get(name)) for name, value in scores.items()]
    each = metrics.per_class_scores(table["true"], table["predicted"], shares, classes)
    for name in ("f1", "auroc", "average_precision"):
        rows += [_row("unit", f"{name}[{c}]", v) for c, v in zip(each["class"], each[name], strict=True)]
    if not job.task.of_donor:
        return Scored(rows)
    donors = donor_classes(table, classes)
    scores = metrics.classification_scores(donors["true"], donors["predicted"], shares_of(donors, classes), classes)
    draws = metrics.classification_draws(_confusion_by_donor(donors, classes), seed=seed)
    rows += [_row("donor", name, value, draws.get(name)) for name, value in scores.items()]
    if job.split.leaky or dealt is None:
        return Scored(rows)
    predicted = donors["predicted"].to_numpy(object)
    counts = np.array([metrics.confusion(true, predicted, classes) for true in dealt.of(donors["donor"]).T])
    wrong = 1 - metrics.scores_of_confusion(counts)["balanced_accuracy"] if len(counts) else np.zeros(0)
    return _tested(rows, 1 - scores["balanced_accuracy"], wrong, dealt, exact=False)


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
                     "p": metrics.sign_flip_p(difference, seed=seed), "n_donors": len(both)})  # fmt: skip
    return pd.DataFrame(rows, columns=["model", "other", "difference", "p", "n_donors"])
