"""Scores of gene sets in sums of cells: what is sequenced less deeply scores no lower and no higher.

A score of single cells, averaged, moves with the counts a cell has: the logarithm of few counts is not that of many.
The counts of a donor's cells together are many enough; what is left of it, genes of like mean have in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.comparison import Contrast, protocols, take_part
from titin.ageing.donor_means import DonorMeans
from titin.ageing.linear_models import Floats
from titin.ageing.pseudobulk import Pseudobulk
from titin.dataset import layout
from titin.features import GeneSet
from titin.features.scores import no_set
from titin.study.design import AGE, choose_level, labels_of
from titin.study.gaps import Complete

METHOD = (
    "mean log2 counts per million of the set's genes in the sum of a donor's cells, each less that of all other genes "
    "of like mean in the type and protocol"
)
MIN_GENES = 3
N_BINS = 25
MIN_COUNT = 1.0  # mean of the sums, for a gene to count as expressed
PRIOR_COUNT = 1.0  # in a sum of mean size
_MILLION = 1e6


@dataclass(frozen=True)
class PseudobulkScores:
    """Scores of donors' sums.

    Attributes
    ----------
    means
        A row a donor, protocol, chemistry and type; missing where a type expresses fewer genes of a set than asked for.
    complete
        Groups that took part.
    genes
        Genes of each set in the dataset.
    left_out
        Sets that were not scored, with the reason.
    """

    means: DonorMeans
    complete: Complete
    genes: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def pseudobulk_scores(
    data: Pseudobulk,
    sets: Mapping[str, GeneSet | Sequence[str]],
    *,
    cell_type_level: int | str | None = None,
    contrast: Contrast = AGE,
    formula: str | None = None,
    single_genes: Sequence[str] = (),
    min_genes: int = MIN_GENES,
) -> PseudobulkScores:
    """Score gene sets in the summed counts of every donor, type and protocol.

    Parameters
    ----------
    data
        The sums.
    sets
        Of symbols, by name.
    cell_type_level, contrast, formula
        As for `differential_expression`; groups that lack what these need take no part.
    single_genes
        Symbols that are scored like sets of one gene, where they are expressed.
    min_genes
        Sets with fewer genes in the dataset are left out, and told of in ``left_out``; where a type expresses fewer,
        its score is missing.

    Raises
    ------
    TitinError
        If there is no such level, or no set or gene to score.
    """
    level = choose_level(data.levels, cell_type_level, whole=True)
    complete = take_part(data.groups, contrast, formula, [level] if level in data.groups else [])
    kept = data.select(complete.rows)
    token_of = {str(symbol): token for token, symbol in reversed(list(enumerate(kept.genes["gene"])))}
    members: dict[str, NDArray[np.int64]] = {}
    left: dict[str, str] = {}
    for name, chosen in sets.items():
        symbols = chosen.genes if isinstance(chosen, GeneSet) else tuple(dict.fromkeys(chosen))
        present = [token_of[symbol] for symbol in symbols if symbol in token_of]
        if len(present) < min_genes:
            left[name] = f"{len(present) or 'none'} of its {len(symbols)} genes in the dataset"
        else:
            members[name] = np.array(present, np.int64)
    genes = {name: len(tokens) for name, tokens in members.items()}
    least = dict.fromkeys(members, min_genes)
    for symbol in single_genes:
        if symbol in token_of:
            members[symbol], least[symbol] = np.array([token_of[symbol]]), 1
    if not members:
        raise no_set(len(sets), min_genes)
    groups, counts = sum_samples(kept, level)
    values = np.full((len(groups), len(members)), np.nan)
    for _, rows in protocols(groups):
        for own in groups.iloc[rows].groupby("cell_type", sort=False).indices.values():
            places = rows[own]
            values[places] = _score(counts[places].toarray().astype(np.float64), members, least)
    return PseudobulkScores(DonorMeans(groups, pd.DataFrame(values, columns=list(members)), level), complete, genes,
                            left)  # fmt: skip


def sum_samples(data: Pseudobulk, level: str) -> tuple[pd.DataFrame, sparse.csr_matrix]:
    """Sum what differs in nothing but the sample and the labels of other levels."""
    table = data.groups.drop(columns=[c for c in ("sample", *data.levels) if c in data.groups])
    table = table.assign(cell_type=labels_of(data.groups, level).astype(str))
    keys = [str(name) for name in table if name != layout.N_CELLS]
    grouped = table.groupby(keys, sort=True, dropna=False)
    codes = grouped.ngroup().to_numpy().astype(np.int64)
    which = sparse.csr_matrix((np.ones(len(codes), np.int64), (codes, np.arange(len(codes)))))
    first = np.unique(codes, return_index=True)[1]
    groups = table.iloc[first].reset_index(drop=True)
    groups[layout.N_CELLS] = which @ table[layout.N_CELLS].to_numpy()
    return groups, sparse.csr_matrix(which @ data.counts)


def _score(counts: Floats, members: Mapping[str, NDArray[np.int64]], least: Mapping[str, int]) -> Floats:
    """Groups × sets."""
    expressed = np.flatnonzero(counts.mean(axis=0) >= MIN_COUNT)
    scores = np.full((len(counts), len(members)), np.nan)
    if len(expressed) <= N_BINS:
        return scores
    library = counts.sum(axis=1)
    prior = PRIOR_COUNT * library / library.mean()  # so that a gene without counts is alike in all
    logs = np.log2((counts[:, expressed] + prior[:, None]) / (library + 2 * prior)[:, None] * _MILLION)
    place_of = np.full(counts.shape[1], -1)
    place_of[expressed] = np.arange(len(expressed))
    bins = np.empty(len(expressed), np.int64)
    bins[np.argsort(logs.mean(axis=0), kind="stable")] = np.arange(len(expressed)) * N_BINS // len(expressed)
    n_of_bin = np.bincount(bins, minlength=N_BINS)
    sum_of_bin = np.stack([np.bincount(bins, row, N_BINS) for row in logs])
    for i, (name, tokens) in enumerate(members.items()):
        own = place_of[tokens]
        own = own[own >= 0]
        if len(own) < least[name]:
            continue
        inside = np.bincount(bins[own], minlength=N_BINS)
        rest = np.stack([np.bincount(bins[own], row[own], N_BINS) for row in logs])
        others = (sum_of_bin - rest) / np.maximum(n_of_bin - inside, 1)
        scores[:, i] = logs[:, own].mean(axis=1) - others @ inside / inside.sum()
    return scores
