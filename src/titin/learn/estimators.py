"""Estimators that scikit-learn lacks: ridge tuned over donors, one model a cell type, rules of marker genes."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.cross_decomposition import PLSRegression

from titin.learn.cells import Gathered, Positions
from titin.learn.features import donor_weights, highly_variable_genes
from titin.load import Loader

_MOST_RANKED = 50  # units of which it is looked how many components they span; more span enough


class DonorRidge(RegressorMixin, BaseEstimator):
    """Ridge regression on the donors' means, its penalty chosen by leaving one training donor out.

    A donor is one row, however many units it has. As the model is linear, the mean of what it predicts for a donor's
    units is what it predicts for their mean; fitted to the units themselves, whose noise is larger, it would predict
    ages that lean towards the middle.

    Parameters
    ----------
    alphas
        Penalties, as multiples of the number of features.

    Attributes
    ----------
    coef_
        Features, or targets × features.
    alpha_
        The penalty chosen (multiples as given), one a target.
    """

    def __init__(self, alphas: tuple[float, ...] = (0.0003, 0.003, 0.03, 0.3, 3.0)) -> None:
        self.alphas = alphas

    def fit(self, X: ArrayLike, y: ArrayLike, groups: Any = None) -> Self:
        """Fit to units × features; ``y`` may have several columns, ``groups`` is the donor of each unit."""
        X, Y = np.asarray(X), np.asarray(y, np.float64)
        codes = np.arange(len(X)) if groups is None else pd.factorize(np.asarray(groups, object))[0]
        means = _mean_of(X, codes)
        targets = _mean_of(Y.reshape(len(Y), -1), codes)
        alphas = np.array(self.alphas)
        chosen = _choose_alpha(means, targets, alphas * X.shape[1])
        self.alpha_ = alphas[chosen]
        coef, intercept = _solve(means, targets, self.alpha_ * X.shape[1])
        self.coef_: Any = coef if Y.ndim == 2 else coef[0]
        self.intercept_: Any = intercept if Y.ndim == 2 else intercept[0]
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict units, or units × targets."""
        return np.asarray(np.asarray(X) @ self.coef_.T + self.intercept_)


def _mean_of(X: NDArray[Any], codes: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over the rows of each code."""
    sums = np.zeros((codes.max() + 1, X.shape[1]))
    for code in range(len(sums)):
        sums[code] = X[codes == code].mean(axis=0, dtype=np.float64)
    return sums


def _solve(
    X: NDArray[np.float64], Y: NDArray[np.float64], penalties: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ridge with an intercept, of few rows, with a penalty a target: coefficients and intercepts."""
    x_mean, y_mean = X.mean(axis=0), Y.mean(axis=0)
    centred = X - x_mean
    values, vectors = np.linalg.eigh(centred @ centred.T)
    shrunk = (vectors.T @ (Y - y_mean)) / (np.maximum(values, 0)[:, None] + penalties[None])
    coef = (centred.T @ (vectors @ shrunk)).T
    return coef, y_mean - coef @ x_mean


def _choose_alpha(X: NDArray[np.float64], Y: NDArray[np.float64], alphas: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the penalty with the least leave-one-out error, for each target: one row a donor, n × features.

    The usual shortcut, with the intercept in the smoother and the mean taken of n - 1 rows by it.
    """
    n = len(X)
    if n < 3:
        return np.full(Y.shape[1], len(alphas) - 1)
    centred = X - X.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    target = vectors.T @ (Y - Y.mean(axis=0))
    errors = np.empty((len(alphas), Y.shape[1]))
    for i, alpha in enumerate(alphas):
        shrunk = np.maximum(values, 0) / (np.maximum(values, 0) + alpha)
        hat = 1 / n + (vectors**2 * shrunk).sum(axis=1)
        residual = Y - Y.mean(axis=0) - vectors @ (shrunk[:, None] * target)
        errors[i] = (np.abs(residual) / np.maximum(1 - hat, 1e-9)[:, None]).mean(axis=0)
    return np.asarray(errors[::-1].argmin(axis=0) * -1 + len(alphas) - 1)  # of equal ones the strongest


class PartialLeastSquares(PLSRegression):
    """PLS of at most as many components as the training units span: of more, scikit-learn makes NaN.

    Parameters
    ----------
    n_components, scale, max_iter, tol, copy
        As for `sklearn.cross_decomposition.PLSRegression`.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to units × features."""
        asked = int(self.get_params()["n_components"])
        values = np.asarray(X, np.float64)
        if len(values) <= _MOST_RANKED:
            self.n_components = max(1, min(asked, int(np.linalg.matrix_rank(values - values.mean(axis=0)))))
        try:
            super().fit(X, y)
        finally:
            self.n_components = asked
        return self


class PerTypeRegressor(RegressorMixin, BaseEstimator):
    """One regression a cell type; a donor's prediction is the median over units of all types.

    Parameters
    ----------
    estimator
        Fitted to each type; with ``groups``.
    min_donors
        Training donors that a type needs; units of other types are predicted as the mean over training donors.

    Notes
    -----
    The first column of X is the number of the type.
    """

    def __init__(self, estimator: Any = None, min_donors: int = 6) -> None:
        self.estimator = estimator
        self.min_donors = min_donors

    def fit(self, X: ArrayLike, y: ArrayLike, groups: Any) -> Self:
        """Fit to units × (type, features)."""
        X, y, groups = np.asarray(X), np.asarray(y, np.float64), np.asarray(groups, object)
        self.models_ = {}
        self.mean_ = np.average(y, axis=0, weights=donor_weights(groups))
        for kind in np.unique(X[:, 0]):
            mine = X[:, 0] == kind
            if len(set(groups[mine])) >= self.min_donors:
                model = clone(self.estimator or DonorRidge())
                self.models_[float(kind)] = model.fit(X[mine, 1:], y[mine], groups=groups[mine])
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict each unit by the model of its type."""
        X = np.asarray(X)
        found = np.repeat(np.asarray(self.mean_, np.float64)[None], len(X), axis=0)
        for kind, model in self.models_.items():
            mine = X[:, 0] == kind
            if mine.any():
                found[mine] = model.predict(X[mine, 1:])
        return found

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Mean over the types' models; a number for the type's own column, 0, comes first."""
        coefs = [model.coef_ for model in self.models_.values()]
        if not coefs:
            raise AttributeError("no type has a model")
        return np.concatenate([[0.0], np.mean(coefs, axis=0)])


class GroupMean(RegressorMixin, BaseEstimator):
    """The mean of training donors with the same value of a column; of all of them where there is none.

    X is a table of facts. With ``column=None`` it is the mean, with ``statistic="median"`` the median, of all donors.
    """

    def __init__(self, column: str | None = None, statistic: str = "mean") -> None:
        self.column = column
        self.statistic = statistic

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Fit to a table of units, each of whose donors counts once."""
        table = pd.DataFrame({"donor": X["donor"].to_numpy(), "y": np.asarray(y, np.float64)})
        table["key"] = X[self.column].astype(object).to_numpy() if self.column in X else ""
        donors = table.groupby(["donor", "key"], observed=True)["y"].mean().reset_index()
        self.all_ = float(donors["y"].agg(self.statistic))
        self.by_ = donors.groupby("key", observed=True)["y"].agg(self.statistic).to_dict()
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Predict the number of the unit's group."""
        keys = X[self.column].astype(object) if self.column in X else np.full(len(X), "")
        return np.array([self.by_.get(key, self.all_) for key in keys], np.float64)


class ClassifierByShares(ClassifierMixin, BaseEstimator):
    """A classifier that says how likely each class is, and predicts the likeliest."""

    classes_: NDArray[Any]

    @abstractmethod
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the shares, units × classes."""

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the class with the largest share; of equal ones the first."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class GroupMajority(ClassifierByShares):
    """The share of each class among training units with the same value of a column, donors weighing alike."""

    def __init__(self, column: str | None = None, by_donor: bool = True) -> None:
        self.column = column
        self.by_donor = by_donor

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Fit to a table of units."""
        y = np.asarray(y, object)
        self.classes_ = np.unique(y.astype(str)).astype(object)
        weight = donor_weights(X["donor"]) if self.by_donor else np.ones(len(y))
        key = X[self.column].astype(object).to_numpy() if self.column in X else np.full(len(X), "", object)
        table = pd.DataFrame({"key": key, "y": y, "weight": weight})
        self.all_ = table.groupby("y")["weight"].sum().reindex(self.classes_).to_numpy() / weight.sum()
        counted = table.pivot_table("weight", "key", "y", aggfunc="sum", fill_value=0.0, observed=True)
        shares = counted.reindex(columns=self.classes_, fill_value=0.0)
        self.by_ = dict(zip(shares.index, shares.to_numpy() / shares.sum(axis=1).to_numpy()[:, None], strict=True))
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Return the shares, units × classes."""
        keys = X[self.column].astype(object) if self.column in X else np.full(len(X), "")
        return np.array([self.by_.get(key, self.all_) for key in keys], np.float64).reshape(len(X), -1)


class MarkerRule(ClassifierByShares):
    """The class whose markers have the highest mean; nothing is fitted.

    Parameters
    ----------
    names
        Class of each column of X; a column of a class that the task has not is left out.
    """

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self.names = names

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: ARG002
        """Note the classes."""
        present = set(np.asarray(y, object).astype(str))
        self.columns_ = [i for i, name in enumerate(self.names) if name in present]
        self.classes_ = np.array([self.names[i] for i in self.columns_] or sorted(present)[:1], object)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Softmax of the means."""
        if not self.columns_:
            return np.ones((len(np.asarray(X)), 1))
        scores = np.asarray(X, np.float64)[:, self.columns_]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass
class LoaderCells:
    """X of a model whose features are ``loader``: which cells, not their values.

    Attributes
    ----------
    data
        What they are of.
    rows, positions
        int64: units of ``data``, and positions in the dataset, ascending.
    """

    data: Gathered | None = field(default=None, repr=False)
    rows: Positions = field(default_factory=lambda: np.zeros(0, np.int64))
    positions: Positions = field(default_factory=lambda: np.zeros(0, np.int64))
    names: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, data: Gathered, rows: Positions) -> "LoaderCells":
        """Take cells of what was gathered, which must be of level ``cell``."""
        return cls(data, rows, np.flatnonzero(data.units.of_cell >= 0)[rows])

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def _known(self) -> Gathered:
        if self.data is None:
            raise ValueError("no cells were given")
        return self.data

    def genes(self, n_top: int = 2000) -> list[str]:
        """Names of the genes that are highly variable over the groups of these cells."""
        data = self._known
        groups = data.moments.mask(data.units.obs.iloc[self.rows])
        return data.atlas.var_names[highly_variable_genes(data.moments, groups, n_top)].astype(str).tolist()

    def loader(self, genes: list[str], *, batch_size: int, shuffle: bool, seed: int, threads: int) -> Any:
        """Make a loader of dense batches of these cells; without ``shuffle`` in the order of ``positions``."""
        return Loader(self._known.atlas, batch_size, shuffle=shuffle, cells=self.positions, genes=genes, obs=[],
                      dense=True, seed=seed, threads=threads)  # fmt: skip

    def index(self) -> Any:
        """Names of the cells, in the order of ``positions``."""
        return self._known.atlas.obs_names[self.positions]
