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
from scipy import sparse

from titin.atlas import Atlas
from titin.dataset.kernels import add_gram
from titin.errors import TitinError
from titin.features import gene_sets, highly_variable_from_moments
from titin.learn.cells import QUALITY, Gathered, Moments, Positions, symbol_positions, unit_means
from titin.learn.units import spread

Groups = NDArray[np.bool_]
BETWEEN = "\x1f"  # type and protocol in one key; NumPy would lose a zero byte
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
class GeneFeatures:
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

    def fit(self, data: Gathered, rows: Positions) -> "GeneFeatures":
        """See `FeatureMaker`."""
        self.genes_ = self.select(data.atlas, data.moments, data.moments.mask(data.units.obs.iloc[rows]))
        self.names = data.atlas.var_names[self.genes_].astype(str).tolist()
        return self

    def transform(self, data: Gathered, rows: Positions) -> Any:
        """See `FeatureMaker`."""
        return data.take(rows, self.genes_)


@dataclass
class ClassGenes(GeneFeatures):
    """For each class the genes that set its training cells most apart from all others, by Welch's t.

    Half of them are the first of all, which may be genes that all cells have; half are the first of those that at most
    half of the other cells express: its markers. The cells are those of `titin.learn.cells`, spread over donors and
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
class Centred(GeneFeatures):
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
        return np.column_stack([kind + BETWEEN + protocol, kind, blank])

    def _offsets(self, keys: NDArray[np.object_]) -> NDArray[np.float32]:
        found = [next(self.means_[key] for key in row if key in self.means_) for row in keys]
        return np.array(found, np.float32).reshape(len(keys), len(self.genes_))


@dataclass
class Components:
    """Principal components of other features, found on at most `FIT_UNITS` training units, on which all are projected.

    These units are spread over donors and types, so that rare types have a say.

    The components of `titin.embed.pca` would need a pass over the dataset for each fold.
    """

    inner: GeneFeatures = field(default_factory=GeneFeatures)
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
        X = X.sorted_indices()
        add_gram(X.indptr, X.indices, X.data, 0, 1, gram)
        gram += np.triu(gram, 1).T
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
    sets = gene_sets(atlas.preset)
    return symbol_positions(atlas, [gene for name in names for gene in sets[name].genes])


_CONTROLS, _BINS = 50, 25
RATIOS = (("XIST", "RPS4Y1"), ("CDKN1A", "ACTB"), ("MALAT1", "MT-CO1"))  # of every tissue


@dataclass
class SetScores:
    """For each set of genes of the atlas, its mean less that of control genes of like expression in training units.

    As `scanpy.tl.score_genes`: 25 bins of expression, 50 controls from each bin that the set has genes in, drawn with
    the seed 0 from well detected genes.

    References
    ----------
    Tirosh et al., Science 352, 189-196 (2016).
    """

    sets: Sequence[str] = ()
    pool: GeneFeatures = field(default_factory=GeneFeatures)
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:
        """See `titin.learn.features.FeatureMaker`."""
        members = [symbol_positions(atlas, s.genes) for s in self._sets(atlas).values()]
        return np.unique(np.concatenate([self.pool.select(atlas, moments, groups), *members]))

    def fit(self, data: Gathered, rows: Positions) -> "SetScores":
        """See `titin.learn.features.FeatureMaker`."""
        groups = data.moments.mask(data.units.obs.iloc[rows])
        self.genes_ = self.select(data.atlas, data.moments, groups)
        mean, _, _ = data.moments.of(groups)
        rank = np.argsort(np.argsort(mean[self.genes_], kind="stable"), kind="stable")
        bins = rank * _BINS // max(1, len(rank))
        rng = np.random.Generator(np.random.PCG64(0))
        weights, self.names = [], []
        for name, gene_set in self._sets(data.atlas).items():
            mine = np.isin(self.genes_, symbol_positions(data.atlas, gene_set.genes))
            if not mine.any():
                continue
            controls = np.zeros(len(mine), bool)
            for number in np.unique(bins[mine]):
                there = np.flatnonzero((bins == number) & ~mine)
                controls[rng.permutation(there)[:_CONTROLS]] = True
            weights.append(mine / mine.sum() - controls / max(1, controls.sum()))
            self.names.append(name)
        self.weights_ = np.array(weights, np.float32).reshape(len(self.names), len(self.genes_)).T
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        return np.asarray(data.take(rows, self.genes_) @ self.weights_, np.float32)

    def _sets(self, atlas: Atlas) -> dict[str, Any]:
        sets = gene_sets(atlas.preset)
        return {name: sets[name] for name in self.sets} if self.sets else sets


@dataclass
class SetMeans:
    """The mean of sets of genes; nothing is fitted. ``sets`` are names, or beginnings of names and ``*``."""

    sets: Sequence[str] = ("sex_female", "sex_male")
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`."""
        found = [symbol_positions(atlas, s.genes) for s in self._sets(atlas).values()]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def fit(self, data: Gathered, rows: Positions) -> "SetMeans":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        sets = self._sets(data.atlas)
        self.names = list(sets)
        self.genes_ = self.select(data.atlas, data.moments, np.zeros(len(data.moments.groups), bool))
        members = [np.isin(self.genes_, symbol_positions(data.atlas, s.genes)) for s in sets.values()]
        self.weights_ = np.array([mine / max(1, mine.sum()) for mine in members], np.float32).T
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        return np.asarray(data.take(rows, self.genes_) @ self.weights_, np.float32)

    def _sets(self, atlas: Atlas) -> dict[str, Any]:
        sets = gene_sets(atlas.preset)
        wanted = [n for s in self.sets for n in sets if n == s or (s.endswith("*") and n.startswith(s[:-1]))]
        return {name: sets[name] for name in wanted}


@dataclass
class MarkerRatios:
    """Log ratios of pairs of genes, ``log((a + 1) / (b + 1))`` in counts of 10,000; 0 where a dataset lacks both.

    ``pairs`` are those of the atlas's preset and `RATIOS` where not given.
    """

    pairs: Sequence[tuple[str, str]] = ()
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`."""
        return np.unique(symbol_positions(atlas, [gene for pair in self._pairs(atlas) for gene in pair]))

    def fit(self, data: Gathered, rows: Positions) -> "MarkerRatios":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        self.names = [f"{a}/{b}" for a, b in self._pairs(data.atlas)]
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        pairs = self._pairs(data.atlas)
        values = {gene: self._value(data, rows, gene) for pair in pairs for gene in pair}
        return np.column_stack([values[a] - values[b] for a, b in pairs]).astype(np.float32)

    def _pairs(self, atlas: Atlas) -> Sequence[tuple[str, str]]:
        return self.pairs or (*atlas.preset.learn.ratios, *RATIOS)

    @staticmethod
    def _value(data: Gathered, rows: Positions, gene: str) -> NDArray[np.float32]:
        """Log of 1 + the value in 10,000, which is what a log-normalised value is."""
        column = data.take(rows, symbol_positions(data.atlas, [gene]))
        dense = column if isinstance(column, np.ndarray) else column.toarray()
        return dense[:, 0] if dense.shape[1] else np.zeros(len(rows), np.float32)


@dataclass
class TopTokens(GeneFeatures):
    """Which genes stand first in a unit when ordered as in `titin.load.tokens`: by value over the training mean.

    1 for the first, falling evenly to 0 for the one after the last of ``n_tokens``; the vocabulary is that of
    `GeneFeatures`.
    """

    n_tokens: int = 64

    def fit(self, data: Gathered, rows: Positions) -> "TopTokens":
        """See `titin.learn.features.FeatureMaker`."""
        super().fit(data, rows)
        mean, _, share = data.moments.of(data.moments.mask(data.units.obs.iloc[rows]))
        usual = mean[self.genes_] / np.maximum(share[self.genes_], 1e-12)  # where the gene is expressed
        self.usual_ = np.maximum(np.log1p(usual) if data.moments.is_log else usual, 1e-6).astype(np.float32)
        return self

    def transform(self, data: Gathered, rows: Positions) -> sparse.csr_matrix:
        """See `titin.learn.features.FeatureMaker`."""
        X = sparse.csr_matrix(data.take(rows, self.genes_))
        relative = X.data / self.usual_[X.indices]
        row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        order = np.lexsort((X.indices, -relative, row))
        place = np.arange(len(order)) - X.indptr[row[order]]
        kept = place < self.n_tokens
        entries = order[kept]
        weights = (1 - place[kept] / self.n_tokens).astype(np.float32)
        return sparse.csr_matrix((weights, (row[entries], X.indices[entries])), shape=X.shape)


@dataclass
class ProjectionFeatures:
    """A projection that the dataset came with. TRANSDUCTIVE: it was made with all donors, held-out ones included."""

    key: str = "X_scVI"
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; none are needed."""
        if self.key not in atlas.obsm:
            raise TitinError(f"the dataset has no projection {self.key!r}", f"it has: {', '.join(atlas.obsm)}")
        return np.zeros(0, np.int64)

    def fit(self, data: Gathered, rows: Positions) -> "ProjectionFeatures":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        self.names = [f"{self.key}:{i + 1}" for i in range(_projected(data, self.key).shape[1])]
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        return _projected(data, self.key)[rows]


@dataclass
class QualityFeatures:
    """What is known of a cell without naming a gene: `QUALITY`, averaged over larger units."""

    names: list[str] = field(default_factory=lambda: list(QUALITY), repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; none are needed."""
        return np.zeros(0, np.int64)

    def fit(self, data: Gathered, rows: Positions) -> "QualityFeatures":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        return data.quality[rows]


@dataclass
class DesignFeatures:
    """The design table itself, for models that know of a unit no more than its donor's sex or arm."""

    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; none are needed."""
        return np.zeros(0, np.int64)

    def fit(self, data: Gathered, rows: Positions) -> "DesignFeatures":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        self.names = [str(name) for name in data.units.obs.columns]
        return self

    def transform(self, data: Gathered, rows: Positions) -> pd.DataFrame:
        """See `titin.learn.features.FeatureMaker`."""
        return data.units.obs.iloc[rows]


def _projected(data: Gathered, key: str) -> NDArray[np.float32]:
    return unit_means(np.asarray(data.atlas.obsm[key], np.float32), data.units)
