"""Which genes of a dataset are in a set, and which stand beside it for comparison."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.atlas.passes import BlockReader
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.parquet_sink import save_parquet
from titin.dataset.replace import Draft, revise
from titin.dataset.tables import with_pandas_index
from titin.errors import TitinError
from titin.features import kernels
from titin.features.gene_sets import MARKERS, GeneSet, gene_sets
from titin.presets import Preset
from titin.progress import Progress
from titin.results import Result

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Members:
    """Sets of genes of one dataset.

    Attributes
    ----------
    tokens
        int64, tokens of the genes of each set that the dataset has, in the order of var.
    missing
        Symbols of each set that it does not have.
    left_out
        Sets with too few genes, and why.
    """

    tokens: dict[str, Tokens]
    missing: dict[str, list[str]]
    left_out: dict[str, str]


def find_members(atlas: Atlas, sets: Mapping[str, GeneSet | Sequence[str]], *, min_genes: int) -> Members:
    """Find the genes of sets in a dataset by symbol; of several genes with one symbol, the one in most cells.

    Raises
    ------
    TitinError
        If no set has genes enough.
    """
    known = atlas.reader.genes
    token_of: dict[str, int] = {}
    for token, symbol in sorted(
        zip(known.token.tolist(), known.symbols, strict=True)
    ):  # tokens go by falling number of cells
        token_of.setdefault(symbol, token)
    places = atlas.source_columns
    found, missing, left_out = {}, {}, {}
    for name, chosen in sets.items():
        genes = chosen.genes if isinstance(chosen, GeneSet) else tuple(dict.fromkeys(chosen))
        present = np.array([token_of[g] for g in genes if g in token_of], np.int64)
        missing[name] = [g for g in genes if g not in token_of]
        if len(present) < min_genes:
            left_out[name] = f"{len(present) or 'none'} of its {len(genes)} genes in the dataset"
            continue
        found[name] = present[np.argsort(places[present])]
    if not found:
        raise no_set(len(sets), min_genes)
    return Members(found, missing, left_out)


def no_set(n_sets: int, min_genes: int) -> TitinError:
    """The error where no set has genes enough."""
    return TitinError(
        f"none of the {n_sets} gene sets has {min_genes} genes or more in this dataset",
        "sets are matched by symbol, spelled as in the dataset: see its feature metadata",
    )


def draw_controls(means: pd.Series, genes: Sequence[str], *, n_bins: int, size: int, seed: int) -> pd.Index:
    """Draw genes about as much expressed as those of a set: the same as scanpy's ``score_genes`` of the same seed.

    Parameters
    ----------
    means
        Mean of every gene, by name, in the order of var.
    genes
        Names of the set's genes, in the order of var.
    n_bins, size
        Bins of genes by their mean; genes drawn from each bin that a gene of the set is in.

    Returns
    -------
    Index
        Names of the genes drawn, none of the set.
    """
    random = np.random.RandomState(seed)  # scanpy draws from this generator
    each = int(np.round(len(means) / (n_bins - 1)))
    bins = means.rank(method="min") // max(1, each)
    wanted: Any = bins.loc[list(genes)]
    inside = bins.to_numpy()
    chosen = np.zeros(len(means), bool)
    for place in np.unique(wanted):
        candidates = np.flatnonzero(inside == place)
        if size < len(candidates):
            candidates = pd.Series(candidates).sample(size, random_state=random).to_numpy()
        chosen[candidates] = True
    return means.index[chosen].difference(pd.Index(genes), sort=False)


_METHOD_KEY = b"titin.scores"  # in the file's metadata
ScoreMethod = Literal["score_genes", "ucell", "ulm"]
Floats = NDArray[np.float64]

METHODS: dict[str, str] = {
    "score_genes": "mean of the set's genes less the mean of controls of like expression (scanpy's score_genes)",
    "ucell": "rank AUC of the set's genes within each cell (UCell)",
    "ulm": "t of the slope of expression on membership across the genes of each cell (decoupler's ulm)",
}
MIN_GENES = 3
MAX_RANK = 1500
_NOT_PROGRAMMES = (MARKERS, "sex_", "differentiation_")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class GeneSetScores(Result):
    """Scores of gene sets in cells.

    Attributes
    ----------
    table
        float32, cells (index cell_id) × sets.
    settings
        ``method``, and what it was used with.
    genes
        Genes of each set in the dataset.
    missing
        Symbols of each set that are not.
    left_out
        Sets that were not scored, with the reason.
    """

    genes: dict[str, int] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def programme_sets(preset: Preset | None = None) -> dict[str, GeneSet]:
    """Return those of `gene_sets` that stand for a programme of cells: all but markers of types and of sex."""
    return {name: found for name, found in gene_sets(preset).items() if not name.startswith(_NOT_PROGRAMMES)}


def score_gene_sets(
    atlas: Atlas,
    sets: Mapping[str, GeneSet | Sequence[str]] | None = None,
    *,
    method: ScoreMethod = "score_genes",
    cells: Any = None,
    min_genes: int = MIN_GENES,
    control_size: int = 50,
    n_bins: int = 25,
    max_rank: int = MAX_RANK,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> GeneSetScores:
    """Score gene sets in every cell, from log-normalised values.

    Parameters
    ----------
    atlas
        The dataset; of several studies the genes that all of them measured, see `titin.Atlas.comparable`.
    sets
        Sets by name, of symbols; those of `programme_sets` for the atlas's preset where not given.
    method
        ``score_genes``: the mean of the set's genes less the mean of control genes of like mean expression, as scanpy
        draws them with the same seed. ``ucell``: from the ranks of the genes within the cell, 0 … 1, which neither
        depth nor normalisation changes. ``ulm``: t of the slope when the cell's values are regressed on membership.
    cells
        As in ``atlas.X[cells]``; all where not given. Means and controls are of these cells.
    min_genes
        Sets with fewer genes in the dataset are left out, and told of in ``left_out``.
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
    GeneSetScores
        Cells in the dataset's order.

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
    >>> scores = score_gene_sets(titin.open("dataset"), {"resting": ["CDKN1B", "FOXO3", "HES1"]})  # doctest: +SKIP
    """
    if method not in METHODS:
        raise TitinError(f"there is no method {method!r} of scoring", f"methods: {', '.join(METHODS)}")
    atlas = atlas.comparable(cells)
    threads = threads or atlas.reader.resources.threads
    members = find_members(atlas, programme_sets(atlas.preset) if sets is None else sets, min_genes=min_genes)
    reader = BlockReader(atlas, cells=cells)
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
    for rows, found in reader.spread(score, threads, advance=progress.advance):
        scores[rows] = found
    progress.finish()
    index = pd.Index(atlas.obs_names[reader.cells], name=layout.CELL_ID)
    table = pd.DataFrame(scores, index=index, columns=list(members.tokens), copy=False)
    return GeneSetScores(
        table, settings={"method": METHODS[method], **parameters}, left_out=dict(members.left_out),
        genes={name: len(tokens) for name, tokens in members.tokens.items()},
        missing={name: list(genes) for name, genes in members.missing.items() if genes},
    )  # fmt: skip


def gene_means(reader: BlockReader, threads: int) -> Floats:
    """Mean log-normalised value of every gene over the reader's cells, float64 by token."""
    sums = reader.sum(partial(_sum_genes, reader.n_genes), threads)
    return (sums[0] if sums else np.zeros(reader.n_genes)) / max(1, reader.n_cells)


def _sum_genes(n_genes: int, blocks: Iterator[Block]) -> list[Floats]:
    total = np.zeros(n_genes)
    for block in blocks:
        total += np.bincount(block.indices, block.data, minlength=n_genes)
    return [total]


def sets_by_gene(n_genes: int, weights: Sequence[tuple[Tokens, Floats]]) -> tuple[NDArray[Any], ...]:
    """Sets and weights of each gene one after the other: where they begin, which set, what weight."""
    tokens = np.concatenate([t for t, _ in weights])
    set_of = np.repeat(np.arange(len(weights), dtype=np.int32), [len(t) for t, _ in weights])
    order = np.argsort(tokens, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(tokens, minlength=n_genes))])
    return first, set_of[order], np.concatenate([w for _, w in weights])[order]


def weighted_sums(block: Block, tables: tuple[NDArray[Any], ...], n_sets: int) -> tuple[Floats, Floats]:
    """Sums of weight × value, cells × sets, of tables by `sets_by_gene`; and sum and squares of each cell's values."""
    sums, moments = np.zeros((block.n_cells, n_sets)), np.empty((block.n_cells, 2))
    kernels.weighted_sums(block.indptr, block.indices, block.data, *tables, sums, moments)
    return sums, moments


def _score_genes(
    atlas: Atlas, reader: BlockReader, members: Members, size: int, n_bins: int, seed: int, threads: int
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
    tables = sets_by_gene(atlas.n_vars, weights)
    return partial(_weighted, tables, len(weights))


def _weighted(tables: tuple[NDArray[Any], ...], n_sets: int, block: Block) -> Floats:
    return weighted_sums(block, tables, n_sets)[0]


def _known_means(atlas: Atlas, reader: BlockReader) -> Floats | None:
    """Means that the build has left in the feature metadata, where they are of these values and cells."""
    if atlas.manifest.value_kind.lognorm_of_counts or reader.n_cells < atlas.n_obs:
        return None
    table = atlas.store.table(atlas.layout.feature_metadata, [layout.TOKEN, layout.MEAN]).sort_by(layout.TOKEN)
    means: Floats = table[layout.MEAN].to_numpy()
    return means


def _ucell(atlas: Atlas, members: Members, max_rank: int) -> Callable[[Block], Floats]:
    sizes = np.array([len(t) for t in members.tokens.values()], np.float64)
    if max_rank < sizes.max():
        raise TitinError(f"a largest rank of {max_rank} is less than the {int(sizes.max())} genes of a set",
                         "give a larger one")  # fmt: skip
    first, set_of, _ = sets_by_gene(atlas.n_vars, [(t, np.ones(len(t))) for t in members.tokens.values()])
    return partial(_auc, first, set_of, max_rank, sizes)


def _auc(first: NDArray[Any], set_of: NDArray[Any], max_rank: int, sizes: Floats, block: Block) -> Floats:
    sums, least = np.empty((block.n_cells, len(sizes))), sizes * (sizes + 1) / 2
    kernels.rank_sums(block.indptr, block.indices, block.data, first, set_of, max_rank, sizes, sums)
    auc: Floats = 1 - (sums - least) / (sizes * max_rank - least)
    return auc


def _ulm(atlas: Atlas, members: Members) -> Callable[[Block], Floats]:
    n = atlas.n_vars
    sizes = np.array([len(t) for t in members.tokens.values()], np.float64)
    if n < 3 or sizes.max() >= n:
        raise TitinError("a set that holds every gene has nothing to be compared with", "give smaller sets")
    tables = sets_by_gene(n, [(t, np.ones(len(t))) for t in members.tokens.values()])
    return partial(_slope, tables, n, sizes)


def _slope(tables: tuple[NDArray[Any], ...], n: int, sizes: Floats, block: Block) -> Floats:
    inside, moments = weighted_sums(block, tables, len(sizes))
    return ulm_t(inside, moments, n, sizes, sizes)


def ulm_t(inside: Floats, moments: Floats, n: int, weights: Floats, squares: Floats) -> Floats:
    """The t of the slope when values over ``n`` genes are regressed on the genes' weights in a set, of any such sums.

    Parameters
    ----------
    inside
        float64, samples × sets: sum of weight × value.
    moments
        float64, samples × 2: sum of the values, and of their squares.
    n
        Genes, those without a value among them, which count as 0.
    weights, squares
        float64 a set: sum of its weights, and of their squares.
    """
    total, squared = moments[:, :1], moments[:, 1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (inside - total * weights / n) / (np.sqrt(squared - total**2 / n) * np.sqrt(squares - weights**2 / n))
        t: Floats = np.nan_to_num(r * np.sqrt((n - 2) / ((1 - r + 2.2e-16) * (1 + r + 2.2e-16))))
    return t


def write_gene_set_scores(
    folder: Path | str, scores: GeneSetScores, *, last: Callable[[Draft], object] | None = None
) -> Path:
    """Put scores into a dataset, in place of those it has; in one step, or not at all.

    Parameters
    ----------
    folder
        The dataset.
    scores
        From `score_gene_sets`, of all cells in the dataset's order.
    last
        Done to the draft last of all; `titin.publish.refresh_card` names the new file on the card.

    Returns
    -------
    Path
        The file: ``cell_id`` and a float32 column a set.

    Raises
    ------
    DatasetError, OutputError
        As for `titin.dataset.replace.revise`.
    TitinError
        If the scores are a bare table, which does not say how they were made, or not of as many cells as the dataset
        has.
    """
    if not isinstance(scores, GeneSetScores):
        raise TitinError("a table alone does not say how the cells were scored", "give what score_gene_sets returns")
    frame = scores.table
    with revise(Path(folder)) as draft:
        if len(frame) != draft.manifest.n_cells:
            raise TitinError(
                f"scores of {len(frame):,} cells do not fit a dataset of {draft.manifest.n_cells:,}",
                "score all cells of the dataset that is changed",
            )
        name = draft.manifest.layout.gene_set_scores
        columns: dict[str, Any] = {layout.CELL_ID: pa.array(frame.index.astype(str), pa.string())}
        columns |= {str(c): pa.array(frame[c].to_numpy(np.float32)) for c in frame}
        fields = [layout.required(column, values.type) for column, values in columns.items()]
        method = {_METHOD_KEY: str(scores.settings.get("method", "")).encode()}
        schema = pa.schema(fields, metadata={**layout.file_metadata(), **method})
        table = pa.table(columns, schema=with_pandas_index(schema, layout.CELL_ID))
        save_parquet(
            table, draft.replace(name), row_group_size=layout.TABLE_ROW_GROUP_ROWS,
            **layout.parquet_options(table.schema),
        )  # fmt: skip
        if last is not None:
            last(draft)
    return Path(folder) / name


def read_gene_set_scores(atlas: Atlas) -> GeneSetScores | None:
    """Read the scores that a dataset has; None if it has none."""
    if atlas.layout.gene_set_scores not in atlas.manifest.files:
        return None
    stored = atlas.store.table(atlas.layout.gene_set_scores)
    frame: pd.DataFrame = stored.to_pandas()
    method = (stored.schema.metadata or {}).get(_METHOD_KEY, b"").decode() or "not recorded"
    return GeneSetScores(frame.set_axis(pd.Index(atlas.obs_names, name=layout.CELL_ID)), settings={"method": method})
