"""Features that stand on named genes or on their order: scores of gene sets, marker ratios, top tokens, sex genes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas import Atlas
from titin.features import gene_sets
from titin.learn.features import Genes, Groups
from titin.learn.gather import Gathered, Moments, Positions, symbol_positions

_CONTROLS, _BINS = 50, 25
RATIOS = (("MYH7", "MYH2"), ("MYH7", "MYH1"), ("MYH1", "MYH2"), ("PAX7", "MYOG"), ("XIST", "RPS4Y1"),
          ("CDKN1A", "ACTB"), ("MALAT1", "MT-CO1"))  # fmt: skip


@dataclass
class SetScores:
    """For each bundled set of genes, its mean less that of control genes of like expression in training units.

    As `scanpy.tl.score_genes`: 25 bins of expression, 50 controls from each bin that the set has genes in, drawn with
    the seed 0 from well detected genes.

    References
    ----------
    Tirosh et al., Science 352, 189-196 (2016).
    """

    sets: Sequence[str] = ()
    pool: Genes = field(default_factory=Genes)
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:
        """See `titin.learn.features.FeatureMaker`."""
        members = [symbol_positions(atlas, s.genes) for s in self._sets().values()]
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
        for name, gene_set in self._sets().items():
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

    def _sets(self) -> dict[str, Any]:
        sets = gene_sets()
        return {name: sets[name] for name in self.sets} if self.sets else sets


@dataclass
class SetMeans:
    """The mean of each bundled set; nothing is fitted. ``sets`` are names, or beginnings of names and ``*``."""

    sets: Sequence[str] = ("sex_female", "sex_male")
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`."""
        found = [symbol_positions(atlas, s.genes) for s in self._sets().values()]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))

    def fit(self, data: Gathered, rows: Positions) -> "SetMeans":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        self.names = list(self._sets())
        self.genes_ = self.select(data.atlas, data.moments, np.zeros(len(data.moments.groups), bool))
        members = [np.isin(self.genes_, symbol_positions(data.atlas, s.genes)) for s in self._sets().values()]
        self.weights_ = np.array([mine / max(1, mine.sum()) for mine in members], np.float32).T
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        return np.asarray(data.take(rows, self.genes_) @ self.weights_, np.float32)

    def _sets(self) -> dict[str, Any]:
        sets = gene_sets()
        wanted = [n for s in self.sets for n in sets if n == s or (s.endswith("*") and n.startswith(s[:-1]))]
        return {name: sets[name] for name in wanted}


@dataclass
class MarkerRatios:
    """Log ratios of pairs of genes, ``log((a + 1) / (b + 1))`` in counts of 10,000; 0 where a dataset lacks both."""

    pairs: Sequence[tuple[str, str]] = RATIOS
    names: list[str] = field(default_factory=list, repr=False)

    def select(self, atlas: Atlas, moments: Moments, groups: Groups) -> Positions:  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`."""
        return np.unique(symbol_positions(atlas, [gene for pair in self.pairs for gene in pair]))

    def fit(self, data: Gathered, rows: Positions) -> "MarkerRatios":  # noqa: ARG002
        """See `titin.learn.features.FeatureMaker`; nothing is fitted."""
        self.names = [f"{a}/{b}" for a, b in self.pairs]
        return self

    def transform(self, data: Gathered, rows: Positions) -> NDArray[np.float32]:
        """See `titin.learn.features.FeatureMaker`."""
        values = {gene: self._value(data, rows, gene) for pair in self.pairs for gene in pair}
        return np.column_stack([values[a] - values[b] for a, b in self.pairs]).astype(np.float32)

    @staticmethod
    def _value(data: Gathered, rows: Positions, gene: str) -> NDArray[np.float32]:
        """Log of 1 + the value in 10,000, which is what a log-normalised value is."""
        column = data.take(rows, symbol_positions(data.atlas, [gene]))
        dense = column if isinstance(column, np.ndarray) else column.toarray()
        return dense[:, 0] if dense.shape[1] else np.zeros(len(rows), np.float32)


@dataclass
class TopTokens(Genes):
    """Which genes stand first in a unit when ordered as in `titin.load.tokens`: by value over the training mean.

    1 for the first, falling evenly to 0 for the one after the last of ``n_tokens``; the vocabulary is that of `Genes`.
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
