"""Scores of gene sets in every cell, all sets in one pass over the row blocks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.atlas.row_reader import RowReader
from titin.dataset import layout
from titin.errors import TitinError
from titin.features import _score_kernels as kernels
from titin.features._set_members import Members, Tokens, draw_controls, find_members
from titin.features.gene_sets import GeneSet, gene_sets
from titin.progress import Progress
from titin.source import Block

Method = Literal["score_genes", "ucell", "ulm"]
Floats = NDArray[np.float64]

METHODS: dict[str, str] = {
    "score_genes": "mean of the set's genes less the mean of controls of like expression (scanpy's score_genes)",
    "ucell": "rank AUC of the set's genes within each cell (UCell)",
    "ulm": "t of the slope of expression on membership across the genes of each cell (decoupler's ulm)",
}
MIN_GENES = 3
MAX_RANK = 1500
_NOT_PROGRAMMES = ("markers_", "sex_", "differentiation_")


def programme_sets() -> dict[str, GeneSet]:
    """Return the bundled sets that stand for a programme of cells: all but markers of types and of sex."""
    return {name: found for name, found in gene_sets().items() if not name.startswith(_NOT_PROGRAMMES)}


def score_gene_sets(
    atlas: Atlas,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    method: Method = "score_genes",
    cells: Any = None,
    min_genes: int = MIN_GENES,
    control_size: int = 50,
    n_bins: int = 25,
    max_rank: int = MAX_RANK,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score gene sets in every cell, from log-normalised values.

    Parameters
    ----------
    atlas
        The dataset.
    sets
        Sets by name, of symbols; those of `programme_sets` where not given.
    method
        ``score_genes``: the mean of the set's genes less the mean of control genes of like mean expression, as scanpy
        draws them with the same seed. ``ucell``: from the ranks of the genes within the cell, 0 … 1, which neither
        depth nor normalisation changes. ``ulm``: t of the slope when the cell's values are regressed on membership.
    cells
        As in ``atlas.X[cells]``; all where not given. Means and controls are of these cells.
    min_genes
        Sets with fewer genes in the dataset are left out, and told of in ``attrs``.
    control_size, n_bins
        For ``score_genes``: genes drawn from each bin of like expression, and how many bins.
    max_rank
        For ``ucell``: what the rank of a gene that is not detected, or ranks beyond, counts as.
    seed
        Of the control genes.
    threads, progress
        All that the atlas was opened with, where not given; told of the pass.

    Returns
    -------
    DataFrame
        float32, cells (in the dataset's order, index cell_id) × sets. ``attrs``: ``method``, ``parameters``, ``genes``
        (found, by set), ``missing`` (symbols not in the dataset, by set), ``left_out`` (sets, with the reason).

    Raises
    ------
    TitinError
        If there is no such method, or no set has genes enough.
    SelectionError, UnknownNameError, DatasetError
        As for ``atlas.X``.

    Notes
    -----
    Tirosh et al., Science 352, 189 (2016), for ``score_genes``; Andreatta & Carmona, Comput. Struct. Biotechnol. J. 19,
    3796 (2021), for UCell; Badia-i-Mompel et al., Bioinform. Adv. 2, vbac016 (2022), for ULM.

    Examples
    --------
    >>> scores = score_gene_sets(titin.open("dataset"), {"slow": ["MYH7", "TNNT1", "MYL2"]})  # doctest: +SKIP
    """
    if method not in METHODS:
        raise TitinError(f"there is no method {method!r} of scoring", f"methods: {', '.join(METHODS)}")
    threads = threads or atlas.reader.resources.threads
    members = find_members(atlas, programme_sets() if sets is None else sets, min_genes=min_genes)
    reader = RowReader(atlas, cells=cells)
    parameters: dict[str, Any] = {"min_genes": min_genes}
    if method == "score_genes":
        parameters |= {"control_size": control_size, "n_bins": n_bins, "seed": seed}
        score = _score_genes(atlas, reader, members, control_size, n_bins, seed, threads)
    elif method == "ucell":
        parameters |= {"max_rank": max_rank}
        score = _ucell(atlas, members, max_rank)
    else:
        score = _ulm(atlas, members)
    scores = np.empty((reader.n_cells, len(members.tokens)), np.float32)
    progress = progress or Progress()
    progress.start("gene-set scores", reader.n_cells, "cells")

    def work(block: Block) -> int:
        scores[block.start : block.start + block.n_cells] = score(block)
        return block.n_cells

    for n_cells in reader.map(work, threads):
        progress.advance(n_cells)
    progress.finish()
    table = pd.DataFrame(scores, index=atlas.obs_names[reader.cells], columns=list(members.tokens), copy=False)
    table.attrs = {
        "method": METHODS[method], "parameters": parameters,
        "genes": {name: len(tokens) for name, tokens in members.tokens.items()},
        "missing": {name: genes for name, genes in members.missing.items() if genes}, "left_out": members.left_out,
    }  # fmt: skip
    return table


def gene_means(reader: RowReader, threads: int) -> Floats:
    """Mean log-normalised value of every gene over the reader's cells, float64 by token."""

    def work(block: Block) -> Floats:
        return np.bincount(block.indices, block.data, minlength=reader.n_genes).astype(np.float64, copy=False)

    total = np.zeros(reader.n_genes)
    for sums in reader.map(work, threads):
        total += sums
    return total / max(1, reader.n_cells)


def _by_gene(n_genes: int, weights: Sequence[tuple[Tokens, Floats]]) -> tuple[NDArray[Any], ...]:
    """Sets and weights of each gene one after the other: where they begin, which set, what weight."""
    tokens = np.concatenate([t for t, _ in weights])
    set_of = np.repeat(np.arange(len(weights), dtype=np.int32), [len(t) for t, _ in weights])
    order = np.argsort(tokens, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(tokens, minlength=n_genes))])
    return first, set_of[order], np.concatenate([w for _, w in weights])[order]


def _sums(block: Block, tables: tuple[NDArray[Any], ...], n_sets: int) -> tuple[Floats, Floats]:
    sums, moments = np.zeros((block.n_cells, n_sets)), np.empty((block.n_cells, 2))
    kernels.weighted_sums(block.indptr, block.indices, block.data, *tables, sums, moments)
    return sums, moments


def _score_genes(
    atlas: Atlas, reader: RowReader, members: Members, size: int, n_bins: int, seed: int, threads: int
) -> Callable[[Block], Floats]:
    if n_bins < 2 or size < 1:
        raise TitinError(f"{n_bins} bins of {size} control genes are too few", "give two bins and one gene, or more")
    by_token = _known_means(atlas, reader)
    if by_token is None:
        by_token = gene_means(reader, threads)
    places = atlas.source_columns
    means = np.empty(atlas.n_vars)
    means[places] = by_token
    named = pd.Series(means, index=pd.RangeIndex(atlas.n_vars))
    token_of = np.argsort(places)
    weights = []
    for name, tokens in members.tokens.items():
        controls = draw_controls(named, list(places[tokens]), n_bins=n_bins, size=size, seed=seed).to_numpy(np.int64)
        if not len(controls):
            raise TitinError(f"no genes are left to compare the set {name} with", "give fewer bins, or a smaller set")
        weights.append((
            np.concatenate([tokens, token_of[controls]]),
            np.concatenate([np.full(len(tokens), 1 / len(tokens)), np.full(len(controls), -1 / len(controls))]),
        ))  # fmt: skip
    tables = _by_gene(atlas.n_vars, weights)
    return lambda block: _sums(block, tables, len(weights))[0]


def _known_means(atlas: Atlas, reader: RowReader) -> Floats | None:
    """Means that the build has left in the feature metadata, where they are of these values and cells."""
    if atlas.kind == "counts" or reader.n_cells < atlas.n_obs:
        return None
    table = atlas.store.table(atlas.layout.feature_metadata, [layout.TOKEN, layout.MEAN]).sort_by(layout.TOKEN)
    means: Floats = table[layout.MEAN].to_numpy()
    return means


def _ucell(atlas: Atlas, members: Members, max_rank: int) -> Callable[[Block], Floats]:
    sizes = np.array([len(t) for t in members.tokens.values()], np.float64)
    if max_rank < sizes.max():
        raise TitinError(f"a largest rank of {max_rank} is less than the {int(sizes.max())} genes of a set",
                         "give a larger one")  # fmt: skip
    first, set_of, _ = _by_gene(atlas.n_vars, [(t, np.ones(len(t))) for t in members.tokens.values()])
    least = sizes * (sizes + 1) / 2

    def score(block: Block) -> Floats:
        sums = np.empty((block.n_cells, len(sizes)))
        kernels.rank_sums(
            block.indptr, block.indices, block.data, first, set_of, max_rank, sizes, sums
        )  # fmt: skip
        auc: Floats = 1 - (sums - least) / (sizes * max_rank - least)
        return auc

    return score


def _ulm(atlas: Atlas, members: Members) -> Callable[[Block], Floats]:
    n = atlas.n_vars
    sizes = np.array([len(t) for t in members.tokens.values()], np.float64)
    if n < 3 or sizes.max() >= n:
        raise TitinError("a set that holds every gene has nothing to be compared with", "give smaller sets")
    tables = _by_gene(n, [(t, np.ones(len(t))) for t in members.tokens.values()])
    spread = np.sqrt(sizes - sizes**2 / n)

    def score(block: Block) -> Floats:
        inside, moments = _sums(block, tables, len(sizes))
        total, squares = moments[:, :1], moments[:, 1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            r = (inside - total * sizes / n) / (np.sqrt(squares - total**2 / n) * spread)
            t: Floats = np.nan_to_num(r * np.sqrt((n - 2) / ((1 - r + 2.2e-16) * (1 + r + 2.2e-16))))
        return t

    return score
