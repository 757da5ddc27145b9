"""What models see of units: makers of features, fitted on training units alone.

A maker has ``fit(data, rows)`` and ``transform(data, rows)``, where ``data`` is what was gathered of a level and
``rows`` are units of it, and says by ``select`` which genes it needs for training units, before these are read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.errors import TitinError
from titin.features import gene_sets, highly_variable_from_moments
from titin.learn import _kernels
from titin.learn.gather import Gathered, Moments, Positions, symbol_positions
from titin.learn.units import spread

Groups = NDArray[np.bool_]
FIT_UNITS = 10_000  # on which components are found, at most


class FeatureMaker(Protocol):
    """What the benchmark asks of a maker of features."""

    names: list[str]

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:
        """Genes that are needed when the training units are of these groups, ascending."""

    def fit(self, data: Gathered, rows: Positions) -> "FeatureMaker":
        """Learn from training units."""

    def transform(self, data: Gathered, rows: Positions) -> Any:
        """Units × features: CSR, array or DataFrame."""


def highly_variable_genes(moments: Moments, groups: Groups, n_top: int) -> Positions:
    """Genes that are highly variable over the cells of some groups, ascending."""
    mean, variance, _ = moments.of(groups)
    if not moments.is_log or (mean < 0).any():
        return np.sort(np.argsort(-variance, kind="stable")[: min(n_top, int((variance > 0).sum()))])
    return np.flatnonzero(highly_variable_from_moments(mean, variance, n_top)["highly_variable"].to_numpy())


def expressed_genes(moments: Moments, groups: Groups, n_top: int) -> Positions:
    """Genes that most cells of some groups express, ascending."""
    _, variance, share = moments.of(groups)
    n = min(n_top, int(((share > 0) & (variance > 0)).sum()))
    return np.sort(np.argsort(-share, kind="stable")[:n])


@dataclass
class Genes:
    """Values of chosen genes.

    Parameters
    ----------
    choose
        Of moments, groups and ``n_top`` makes positions.
    n_top
        How many genes.
    leave_out
        Names of bundled sets whose genes are not to be used, such as those of sex chromosomes where age is predicted.
    """

    choose: Callable[[Moments, Groups, int], Positions] = highly_variable_genes
    n_top: int = 2000
    leave_out: Sequence[str] = ()
    genes_: Positions = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:
        """See `FeatureMaker`."""
        out = _members(atlas, self.leave_out)
        return np.setdiff1d(self.choose(moments, groups, self.n_top), out)

    def fit(self, data: Gathered, rows: Positions) -> "Genes":
        """See `FeatureMaker`."""
        self.genes_ = self.select(data.atlas, data.moments, data.moments.mask(data.units.obs.iloc[rows]))
        self.names = data.atlas.var_names[self.genes_].astype(str).tolist()
        return self

    def transform(self, data: Gathered, rows: Positions) -> Any:
        """See `FeatureMaker`."""
        return data.take(rows, self.genes_)


@dataclass
class ClassGenes(Genes):
    """For each class the genes that set its training cells most apart from all others, by Welch's t.

    Half of them are the first of all, which may be genes that all cells have; half are the first of those that at most
    half of the other cells express: its markers. The cells are those of `titin.learn.sample`, spread over donors and
    types: highly variable genes are those of the types that most cells are of, and may hold no marker of a rare one.

    Parameters
    ----------
    column
        Of the design table: the classes.
    n_top
        Genes a class.

    References
    ----------
    As `scanpy.tl.rank_genes_groups` with ``method="t-test"``.
    """

    n_top: int = 50
    column: str = ""

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:
        """See `FeatureMaker`."""
        if moments.sample is None:
            raise ValueError("moments without a sample of whole cells")
        found = set()
        for t, elsewhere in zip(*moments.sample.separation(self.column, groups), strict=True):
            for ranked in (t, np.where(elsewhere <= 0.5, t, 0)):
                top = np.argsort(-ranked, kind="stable")[: self.n_top // 2]
                found.update(top[ranked[top] > 0].tolist())
        return np.setdiff1d(np.array(sorted(found), np.int64), _members(atlas, self.leave_out))


@dataclass
class Centred(Genes):
    """Genes less their mean in training units of the same type and protocol, over their spread; donors weigh alike.

    Units of a type and protocol that were not trained on are centred by type, or else by all.
    """

    choose: Callable[[Moments, Groups, int], Positions] = expressed_genes
    n_top: int = 4000
    means_: dict[Any, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def fit(self, data: Gathered, rows: Positions) -> "Centred":
        """See `FeatureMaker`."""
        super().fit(data, rows)
        X, keys, donors = self._dense(data, rows), self._keys(data, rows), data.units.obs["donor"].iloc[rows]
        self.means_ = {}
        for column in range(keys.shape[1]):
            for key, mine in pd.Series(range(len(rows))).groupby(keys[:, column]):
                self.means_[key] = _donor_mean(X[mine.to_numpy()], donors.iloc[mine.to_numpy()])
        centred = X - self._offsets(keys)
        weight = donor_weights(donors)
        self.scale_ = np.sqrt(np.average(centred**2, axis=0, weights=weight)).astype(np.float32)
        self.scale_[self.scale_ <= 1e-6] = np.inf
        return self

    def transform(self, data: Gathered, rows: Positions) -> Any:
        """See `FeatureMaker`."""
        return (self._dense(data, rows) - self._offsets(self._keys(data, rows))) / self.scale_

    def _dense(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        X = data.take(rows, self.genes_)
        return np.asarray(X if isinstance(X, np.ndarray) else X.toarray(), np.float32)

    @staticmethod
    def _keys(data: Gathered, rows: Positions) -> NDArray[np.object_]:
        """For each unit the groups that it may be centred by, the narrowest first."""
        obs = data.units.obs.iloc[rows]
        blank = np.full(len(obs), "", object)
        kind = obs["cell_type_0"].astype(str).to_numpy(object) if "cell_type_0" in obs else blank
        protocol = obs["protocol"].astype(str).to_numpy(object) if "protocol" in obs else blank
        return np.column_stack([kind + "\0" + protocol, kind, blank])

    def _offsets(self, keys: NDArray[np.object_]) -> NDArray[np.float32]:
        found = [next(self.means_[key] for key in row if key in self.means_) for row in keys]
        return np.array(found, np.float32).reshape(len(keys), len(self.genes_))


@dataclass
class Components:
    """Principal components of other features, found on at most `FIT_UNITS` training units, on which all are projected.

    These units are spread over donors and types, so that rare types have a say.

    The components of `titin.embed.pca` would need a pass over the dataset for each fold.
    """

    inner: Genes = field(default_factory=Genes)
    n_comps: int = 50
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:
        """See `FeatureMaker`."""
        return self.inner.select(atlas, moments, groups)

    def fit(self, data: Gathered, rows: Positions) -> "Components":
        """See `FeatureMaker`."""
        self.inner.fit(data, rows)
        obs = data.units.obs.iloc[rows]
        some = spread(obs, FIT_UNITS, [name for name in ("donor", "cell_type_0") if name in obs])
        X = self.inner.transform(data, rows[some])
        n = min(self.n_comps, min(X.shape) - 1)
        if n < 1:
            raise TitinError("there are too few units or genes for components", "give a larger dataset")
        self.mean_, self.components_ = principal_components(X, n)
        self.names = [f"PC{i + 1}" for i in range(n)]
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `FeatureMaker`."""
        X = self.inner.transform(data, rows)
        return np.asarray(X @ self.components_.T - self.mean_ @ self.components_.T, np.float32)


@dataclass
class WithType:
    """Other features after the number of the unit's cell type, for `titin.learn.estimators.PerTypeRegressor`."""

    inner: Any
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:
        """See `FeatureMaker`."""
        genes: Positions = self.inner.select(atlas, moments, groups)
        return genes

    def fit(self, data: Gathered, rows: Positions) -> "WithType":
        """See `FeatureMaker`."""
        self.inner.fit(data, rows)
        self.names = ["", *self.inner.names]
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `FeatureMaker`."""
        obs = data.units.obs.iloc[rows]
        kind = obs["cell_type_0"].cat.codes.to_numpy() if "cell_type_0" in obs else np.zeros(len(obs))
        return np.column_stack([kind, self.inner.transform(data, rows)]).astype(np.float32)


def principal_components(X: Any, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means of the columns, and the first ``n`` principal axes (components × columns) of a CSR or dense matrix.

    By subspace iteration from a fixed start: on the products of the genes where X is sparse, else on X itself.
    """
    from sklearn.utils.extmath import randomized_svd

    n_rows, n_columns = X.shape
    X = X if isinstance(X, np.ndarray) or n_rows > n_columns else X.toarray()
    mean = np.asarray(X.mean(axis=0), np.float64).ravel()
    if isinstance(X, np.ndarray):
        centred = X - mean.astype(X.dtype)
        axes = randomized_svd(centred, n, n_iter=6, random_state=0)[2].T.astype(np.float64)
    else:
        gram = np.zeros((n_columns, n_columns))
        _kernels.add_gram(X.indptr, X.indices, X.data, gram)
        gram += np.tril(gram, -1).T
        gram -= n_rows * np.outer(mean, mean)
        axes = randomized_svd(gram, n, n_iter=8, random_state=0)[0]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    return mean.astype(np.float32), (axes * np.where(signs == 0, 1, signs)).T.astype(np.float32)


def donor_weights(donors: Any) -> NDArray[np.float64]:
    """Weights of units by which donors weigh alike; they sum to the number of units."""
    codes, _ = pd.factorize(np.asarray(donors, object))
    counts = np.bincount(codes)
    return np.asarray(len(codes) / len(counts) / counts[codes])


def _donor_mean(X: NDArray[np.float32], donors: pd.Series) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = np.average(X, axis=0, weights=donor_weights(donors)).astype(np.float32)
    return mean


def _members(atlas: Atlas, names: Sequence[str]) -> Positions:
    sets = gene_sets()
    return symbol_positions(atlas, [gene for name in names for gene in sets[name].genes])
