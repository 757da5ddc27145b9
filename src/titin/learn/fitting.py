"""One model on one fold: features made of training units, the estimator fitted, held-out units predicted."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.errors import TitinError
from titin.learn.cells import Gathered, Positions
from titin.learn.estimators import LoaderCells
from titin.learn.features import FeatureMaker
from titin.learn.folds import Fold
from titin.learn.metadata import fit_with_donors, tunes_across_donors
from titin.learn.models import Model, TrainingContext, make_features
from titin.learn.permutations import DonorPermutations
from titin.learn.store import SHARE
from titin.learn.tasks import Task
from titin.learn.units import spread


class NotLearnableError(TitinError):
    """What cannot be learnt from these units, whatever the model; the message is the reason."""


_TARGETS = 100  # fitted at a time, for the sake of memory
_UNITS = 8192  # predicted at a time, likewise
TOP_GENES = 200  # that are written down for each of several classes; all for one


@dataclass
class FittedFeatures:
    """Features of a fold that models with the same features share."""

    maker: FeatureMaker | LoaderCells
    rows: Positions
    X: Any = field(repr=False)

    def held_out(self, data: Gathered, rows: Positions) -> Iterator[Any]:
        """Features of other units, some at a time: of a large donor's cells, all at once would be large as well."""
        if isinstance(self.maker, LoaderCells):
            yield LoaderCells.of(data, rows)
            return
        for start in range(0, len(rows), _UNITS):
            yield self.maker.transform(data, rows[start : start + _UNITS])


@dataclass
class FoldResult:
    """What one model did on one fold.

    Attributes
    ----------
    predictions
        One row a held-out unit: ``unit``, ``donor``, ``true``, ``predicted``, shares of classes, ``young_old``.
    genes
        The genes it weighs most: ``class`` (empty for numbers), ``gene``, ``weight``; None if it names none.
    permuted
        Donors × permutations: what it predicts, fitted to permuted values; None if that was not asked for.
    limit
        Iterations after which its solver stopped without reaching its tolerance; None if it reached it.
    tunes_across_donors
        Whether it chose its parameters on inner folds that units of one donor are on both sides of.
    """

    predictions: pd.DataFrame
    genes: pd.DataFrame | None = None
    permuted: pd.DataFrame | None = None
    limit: int | None = None
    tunes_across_donors: bool = False


def fit_features(name: str, data: Gathered, fold: Fold, task: Task, max_units: int | None) -> FittedFeatures:
    """Fit a maker of features to the training units of a fold, and make theirs."""
    rows = fold.train
    if max_units is not None and len(rows) > max_units:
        by = ("donor",) if task.of_donor else ("donor", task.column)
        rows = rows[spread(data.units.obs.iloc[rows], max_units, by)]
    if name == "loader":
        return FittedFeatures(LoaderCells(), rows, LoaderCells.of(data, rows))
    maker = make_features(name).fit(data, fold.train)
    return FittedFeatures(maker, rows, maker.transform(data, rows))


def run_fold(
    model: Model, task: Task, data: Gathered, fold: Fold, features: FittedFeatures, *, seed: int = 0, threads: int = 1,
    dealt: DonorPermutations | None = None,
) -> FoldResult:  # fmt: skip
    """Fit a model to the training units of a fold and predict those held out.

    Parameters
    ----------
    dealt
        The values of donors, permuted, to each of which it is fitted again; only for models that fit several targets.
    """
    obs = data.units.obs
    context = TrainingContext(
        task, features.maker.names, len(features.rows), seed, threads, sparse.issparse(features.X)
    )
    estimator = fit_model(model, context, data, features)
    parts = [_predict(estimator, task, X) for X in features.held_out(data, fold.test)]
    if task.kind == "regression" and not all(np.isfinite(part["predicted"]).all() for part in parts):
        raise NotLearnableError(f"{model.name} predicts no numbers from these units")
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    test = obs.iloc[fold.test]
    table = pd.DataFrame({"unit": fold.test, "donor": test["donor"].astype(str).to_numpy(object),
                          "true": target(task, obs, fold.test), **found})  # fmt: skip
    if "young_old" in test:
        table["young_old"] = test["young_old"].astype(object).to_numpy()
    permuted = None
    if dealt is not None and model.several:
        permuted = _permuted(model, context, data, fold, features, dealt)
    return FoldResult(
        table, gene_weights(estimator, features.maker), permuted, iterations_exhausted(estimator),
        tunes_across_donors(estimator),
    )  # fmt: skip


def fit_model(model: Model, context: TrainingContext, data: Gathered, features: FittedFeatures) -> Any:
    """Fit a model to the units that features were made of.

    Raises
    ------
    NotLearnableError
        If the features of these units do not vary.
    """
    if not model.baseline:
        need_variation(features.X)
    obs = data.units.obs
    donors = obs["donor"].iloc[features.rows].astype(str).to_numpy(object)
    estimator = model.estimator(context)
    fit_with_donors(estimator, features.X, target(context.task, obs, features.rows), donors)
    return estimator


def need_variation(X: Any) -> None:
    """Refuse features in which all training units are alike, of which nothing can be learnt.

    Raises
    ------
    NotLearnableError
        If that is so, or there are none, or some are no numbers.
    """
    if not sparse.issparse(X) and not isinstance(X, np.ndarray):
        return
    if not X.shape[1]:
        raise NotLearnableError("there are no features to learn from")
    values = X.data if sparse.issparse(X) else X
    if not np.isfinite(values).all():
        raise NotLearnableError("some features of the training units are no numbers")
    if sparse.issparse(X):
        alike = not (X.max(axis=0) - X.min(axis=0)).nnz
    else:
        alike = bool((X[:1] == X).all())
    if alike:
        n = X.shape[0]
        raise NotLearnableError(f"the features of the {n:,} training unit{'s' * (n != 1)} do not vary")


def iterations_exhausted(estimator: Any) -> int | None:
    """Iterations that a fitted estimator was allowed, if it used them all up before it reached its tolerance.

    Asked of what solves for coefficients, and of the last step of a pipeline and the models of a model of several;
    not of trees, which are grown to a number.
    """
    inner = [step for _, step in getattr(estimator, "steps", [])[-1:]]
    chosen = chosen_by_search(estimator)
    inner += [chosen] if chosen is not estimator else []
    for name in ("estimators_", "models_"):
        several = getattr(estimator, name, [])
        inner += list(several.values() if isinstance(several, dict) else several)
    limits = [found for found in map(iterations_exhausted, inner) if found is not None]
    solved = hasattr(estimator, "coef_") or hasattr(estimator, "coefs_")
    limit, used = getattr(estimator, "max_iter", None), getattr(estimator, "n_iter_", None)
    if solved and limit is not None and used is not None and getattr(estimator, "tol", None) is not None:
        limits += [int(limit)] if np.max(used) >= limit else []
    return max(limits, default=None)


def target(task: Task, obs: pd.DataFrame, rows: Positions) -> NDArray:
    """What is to be predicted of some units: float64, or text."""
    column = obs[task.column].iloc[rows]
    return column.to_numpy(np.float64) if task.kind == "regression" else column.astype(str).to_numpy(object)


def gene_weights(estimator: Any, maker: Any) -> pd.DataFrame | None:
    """Weights of genes in a linear model; the largest of each class. None if it is not linear.

    Of a model on components, which has no weights of genes that mean anything, it is the covariance of each gene with
    the model's score (Haufe et al., NeuroImage 87, 96-110, 2014): components are uncorrelated.
    """
    estimator = chosen_by_search(estimator)
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    try:
        coef = np.atleast_2d(np.asarray(last.coef_, np.float64))
    except AttributeError:
        return None
    if coef.ndim != 2 or coef.shape[1] != len(maker.names):
        return None
    scale = getattr(estimator.steps[0][1], "scale_", None) if hasattr(estimator, "steps") else None
    scale = np.ones(coef.shape[1]) if scale is None else scale
    names = [str(name) for name in maker.names]
    if hasattr(maker, "components_"):
        coef, names = (coef * scale) @ maker.components_, [str(name) for name in maker.inner.names]
    else:
        coef = coef / scale
    classes = [str(name) for name in getattr(last, "classes_", [""])]
    if len(coef) == 1 and len(classes) == 2:
        classes = classes[1:]
    parts = []
    for name, row in zip(classes, coef, strict=False):
        top = np.argsort(-np.abs(row), kind="stable")[: TOP_GENES if len(coef) > 1 else None]
        top = top[row[top] != 0]
        parts.append(pd.DataFrame({"class": name, "gene": np.array(names, object)[top], "weight": row[top]}))
    return pd.concat(parts, ignore_index=True) if parts else None


def chosen_by_search(estimator: Any) -> Any:
    """The estimator that a search over parameters has fitted in the end; one that is no search, itself."""
    for name in ("best_estimator_", "estimator_"):
        if hasattr(estimator, name):
            return getattr(estimator, name)
    return estimator


def _predict(estimator: Any, task: Task, X: Any) -> dict[str, Any]:
    if task.kind == "regression":
        return {"predicted": np.asarray(estimator.predict(X), np.float64).ravel()}
    if not hasattr(chosen_by_search(estimator), "predict_proba"):
        return {"predicted": np.asarray(estimator.predict(X)).astype(str).astype(object)}
    shares = np.asarray(estimator.predict_proba(X), np.float32)
    classes = np.asarray(estimator.classes_).astype(str).astype(object)
    return {"predicted": classes[shares.argmax(axis=1)],
            **{f"{SHARE}{name}": shares[:, i] for i, name in enumerate(classes)}}  # fmt: skip


def _permuted(
    model: Model, context: TrainingContext, data: Gathered, fold: Fold, features: FittedFeatures,
    dealt: DonorPermutations,
) -> pd.DataFrame:  # fmt: skip
    """Donors held out × permutations: median prediction when all donors' values are permuted."""
    donors = data.units.obs["donor"].astype(str)
    train, test = donors.iloc[features.rows].to_numpy(object), donors.iloc[fold.test].to_numpy(object)
    targets, parts = dealt.of(train), []
    for start in range(0, targets.shape[1], _TARGETS):
        estimator = model.estimator(context)
        fit_with_donors(estimator, features.X, targets[:, start : start + _TARGETS], train)
        predicted = np.concatenate([estimator.predict(X) for X in features.held_out(data, fold.test)])
        parts.append(pd.DataFrame(predicted).groupby(test).median())
    found = pd.concat(parts, axis=1)
    return pd.DataFrame({"donor": found.index, "true": list(dealt.of(found.index)),
                         "predicted": list(found.to_numpy())})  # fmt: skip
