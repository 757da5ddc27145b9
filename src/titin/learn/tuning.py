"""Parameters chosen inside of the training donors, by holding some of them out in turn."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import GroupKFold, ParameterGrid

from titin.learn.metadata import fit_with_donors

_LEAST = 4  # donors, of whom at least two are then left to learn from


class TunedOverDonors(BaseEstimator):
    """An estimator with the parameters that err least on training donors held out, fitted to all of them.

    The error is the benchmark's: of numbers the mean over donors of how far the median prediction of a donor's units
    is off, of classes the mean over donors of the share of units misclassified. Where nothing can be held out (fewer
    than four donors, or one value in what is left), and where no candidate can be fitted, the estimator is fitted as it
    is given.

    Parameters
    ----------
    estimator
        With the parameters that it has where nothing can be tuned.
    grid
        Values by parameter. Of candidates that err alike the first is chosen.
    n_folds
        Of training donors, at most.

    Attributes
    ----------
    estimator_
        The fitted one.
    chosen_
        Its parameters among those of the grid; empty where nothing was tuned.
    """

    def __init__(
        self, estimator: Any = None, grid: Mapping[str, Sequence[Any]] | None = None, n_folds: int = 5
    ) -> None:
        self.estimator = estimator
        self.grid = grid
        self.n_folds = n_folds

    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike) -> Self:
        """Fit to units × features; ``groups`` is the donor of each unit."""
        y, donors = np.asarray(y), np.asarray(groups, object)
        folds = list(self._folds(y, donors))
        candidates = list(ParameterGrid(dict(self.grid or {}))) if folds else []
        errors = [self._error(candidate, X, y, donors, folds) for candidate in candidates]
        tuned = bool(errors) and np.isfinite(min(errors))
        self.chosen_: dict[str, Any] = candidates[int(np.argmin(errors))] if tuned else {}
        self.estimator_ = fit_with_donors(clone(self.estimator).set_params(**self.chosen_), X, y, donors)
        return self

    def _folds(self, y: NDArray, donors: NDArray[np.object_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        n_donors = len(set(donors))
        if n_donors < _LEAST:
            return
        for train, test in GroupKFold(min(self.n_folds, n_donors)).split(y, y, donors):
            if len(np.unique(y[train])) > 1:
                yield train, test

    def _error(
        self, candidate: Mapping[str, Any], X: Any, y: NDArray, donors: NDArray[np.object_],
        folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    ) -> float:  # fmt: skip
        found = []
        for train, test in folds:
            try:
                fitted = fit_with_donors(clone(self.estimator).set_params(**candidate), X[train], y[train],
                                         donors[train])  # fmt: skip
                predicted = np.asarray(fitted.predict(X[test])).ravel()
            except ValueError:  # such as more neighbours than there are units
                return float("inf")
            found.append(_donor_errors(predicted, y[test], donors[test], wrong=is_classifier(self.estimator)))
        return float(pd.concat(found).mean())

    def predict(self, X: Any) -> NDArray:
        """Predict as the chosen estimator does."""
        return np.asarray(self.estimator_.predict(X))

    def predict_proba(self, X: Any) -> NDArray:
        """Return the shares of classes as the chosen estimator does."""
        return np.asarray(self.estimator_.predict_proba(X))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    @property
    def classes_(self) -> NDArray:
        """Classes of the chosen estimator."""
        return np.asarray(self.estimator_.classes_)


def _donor_errors(predicted: NDArray, true: NDArray, donors: NDArray[np.object_], *, wrong: bool) -> pd.Series:
    if wrong:
        return pd.Series(predicted.astype(str) != true.astype(str)).groupby(donors).mean()
    table = pd.DataFrame({"predicted": predicted, "true": true}).groupby(donors).median()
    return (table["predicted"] - table["true"]).abs()
