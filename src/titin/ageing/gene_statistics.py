"""Mean, variance and detection of genes in groups of cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.comparison import OverDonors, left_out
from titin.ageing.kernels import moments_by_group
from titin.ageing.pseudobulk import cell_totals, gene_names, map_genes
from titin.atlas import Atlas
from titin.atlas.row_groups import read_scales
from titin.dataset import layout
from titin.dataset.block import GeneBlock
from titin.progress import Progress
from titin.study.design import Study
from titin.study.gaps import find_complete


@dataclass(frozen=True, eq=False, repr=False)
class GeneStatistics(OverDonors):
    """Statistics of every gene in every group of cells.

    Attributes
    ----------
    table
        One row a group and gene, genes in the order of tokens: the keys (categorical where text), ``gene``,
        ``gene_id``, ``n_cells`` and ``detected`` (int64, cells; of kind ``real``, cells with a value), ``mean`` and
        ``variance`` (float64; over all cells of the group, ddof 1, NaN for one cell) of log-normalised values: the
        source's own, or log1p of counts in 10,000 where it holds counts.
    settings
        ``by``, the keys, and ``kind`` of the dataset.
    """


def gene_statistics(
    atlas: Atlas, by: str | Sequence[str], *, threads: int | None = None, progress: Progress | None = None
) -> GeneStatistics:
    """Mean, variance and detection of every gene in every group of cells, as a dot plot shows them.

    Of several studies these are the genes that all of them measured, see `titin.Atlas.comparable`.

    Parameters
    ----------
    atlas
        The dataset.
    by
        Keys: ``donor``, ``sample``, ``protocol``, ``chemistry``, ``sex``, ``age``, or columns of obs. Cells that lack
        one of them are left out.
    threads
        All that the atlas was opened with, where not given.
    progress
        Told of the pass.

    Raises
    ------
    TitinError
        If there is no such column.
    """
    atlas = atlas.comparable()
    threads = threads or atlas.reader.resources.threads
    names = [by] if isinstance(by, str) else list(by)
    keys = Study.of(atlas, names).keys(names)
    grouped = keys.groupby(names, sort=True, dropna=True)
    codes = grouped.ngroup().fillna(-1).to_numpy().astype(np.int32)
    sizes = grouped.size()
    table = sizes.index.to_frame(index=False)
    n_cells = sizes.to_numpy(np.int64)
    detected, sums, squares = _moments(atlas, codes, len(table), threads, progress or Progress())
    mean = sums / n_cells
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.maximum(squares - n_cells * mean**2, 0) / np.where(n_cells > 1, n_cells - 1, np.nan)
    genes, n_genes = gene_names(atlas), atlas.n_vars
    columns: dict[str, Any] = {}
    for name in names:
        values = pd.Series(table[name], dtype="category" if table[name].dtype == object else None)
        columns[name] = values.repeat(n_genes).array
    for name in ("gene", "gene_id"):
        columns[name] = _repeat_names(genes[name], len(table))
    columns[layout.N_CELLS] = n_cells.repeat(n_genes)
    columns |= {"detected": detected.T.ravel(), "mean": mean.T.ravel(), "variance": variance.T.ravel()}
    return GeneStatistics(pd.DataFrame(columns), settings={"by": names, "kind": atlas.kind},
                          **left_out(find_complete(keys, names)))  # fmt: skip


def _repeat_names(names: pd.Series, times: int) -> pd.Categorical:
    codes, distinct = pd.factorize(names)
    return pd.Categorical.from_codes(np.tile(codes, times), pd.Index(distinct))


def _moments(
    atlas: Atlas, codes: NDArray[np.int32], n_groups: int, threads: int, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    work = partial(_moments_of, _scale(atlas, threads), atlas.manifest.value_kind.log_unit, codes, n_groups)
    progress.start("gene statistics", atlas.n_vars, "genes")
    parts = list(map_genes(atlas, work, threads=threads, advance=progress.advance))
    progress.finish()
    detected, sums, squares = (np.concatenate(part) for part in zip(*parts, strict=True))
    return detected, sums, squares


def _moments_of(
    scale: NDArray[np.float64], log_unit: float, codes: NDArray[np.int32], n_groups: int, block: GeneBlock
) -> tuple[NDArray[Any], ...]:
    detected = np.zeros((block.n_genes, n_groups), np.int64)
    sums, squares = np.zeros((block.n_genes, n_groups)), np.zeros((block.n_genes, n_groups))
    moments_by_group(block.indptr, block.cells, block.stored, scale, log_unit, codes, detected, sums, squares)
    return detected, sums, squares


def _scale(atlas: Atlas, threads: int) -> NDArray[np.float64]:
    """What counts of each cell are divided by before log1p; empty where values are stored."""
    kind = atlas.manifest.value_kind
    if not kind.has_counts:
        return np.empty(0)
    if kind.lognorm_of_counts:
        return np.maximum(cell_totals(atlas, threads=threads), 1) / layout.TARGET_SUM
    scale: NDArray[np.float64] = read_scales(atlas.store).astype(np.float64)
    return scale
