"""Moments of the genes in every batch of cells, from passes over the row blocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.atlas import Atlas
from titin.atlas.passes import BlockReader
from titin.dataset.block import Block
from titin.errors import TitinError
from titin.extras import require
from titin.features import kernels as _kernels
from titin.resources import make_resources

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Batches:
    """Chosen cells and the batch of each.

    Attributes
    ----------
    reader
        Of all genes of the cells.
    codes
        int64 a cell, which of ``names``.
    names, sizes
        The batches that have cells, in the order of their categories or sorted; and how many cells.
    threads
        For passes.
    """

    reader: BlockReader
    codes: NDArray[np.int64]
    names: list[str]
    sizes: NDArray[np.int64]
    threads: int

    def moments(self, *, linear: bool = False) -> tuple[Floats, Floats, Floats]:
        """Mean, sample variance and number of cells with a positive value; batches × genes, genes as in var.

        With ``linear``, of what the values are logarithms of: ``expm1``, of natural ones.
        """
        shape = len(self.names), self.reader.n_genes
        log_unit = self.reader.log_unit if linear else 0.0
        work = partial(_add_moments, self.codes, shape, log_unit)
        sums, squares, detected = map(self._by_gene, self.reader.sum(work, self.threads))
        n = self.sizes[:, None]
        mean = sums / n
        return mean, np.maximum(squares / n - mean * mean, 0.0) * (n / (n - 1)), detected

    def clipped_sums(self, most: Floats) -> tuple[Floats, Floats]:
        """Sum and sum of squares of the values, none counting for more than ``most``; batches × genes as in var."""
        limits = np.ascontiguousarray(most[:, self.reader.genes])
        sums, squares = map(self._by_gene, self.reader.sum(partial(_add_clipped, self.codes, limits), self.threads))
        return sums, squares

    def _by_gene(self, totals: Floats) -> Floats:
        """From the reader's order of genes to that of var."""
        ordered = np.empty_like(totals)
        ordered[:, self.reader.genes] = totals
        return ordered


def _add_moments(
    codes: NDArray[np.int64], shape: tuple[int, int], log_unit: float, blocks: Iterator[Block]
) -> list[Floats]:
    totals = [np.zeros(shape) for _ in range(3)]
    for block in blocks:
        own = codes[block.start : block.start + block.n_cells]
        _kernels.add_batch_moments(block.indptr, block.indices, block.data, own, log_unit, *totals)
    return totals


def _add_clipped(codes: NDArray[np.int64], limits: Floats, blocks: Iterator[Block]) -> list[Floats]:
    totals = [np.zeros_like(limits) for _ in range(2)]
    for block in blocks:
        own = codes[block.start : block.start + block.n_cells]
        _kernels.add_clipped(block.indptr, block.indices, block.data, own, limits, *totals)
    return totals


def make_batches(atlas: Atlas, reader: BlockReader, batch_key: str | None, threads: int) -> Batches:
    """Divide the reader's cells by a column of obs; all are one batch without one.

    Raises
    ------
    TitinError
        If there is no such column, a cell has no batch, or a batch has fewer than two cells.
    """
    column: Any = np.zeros(reader.n_cells, np.int64)
    if batch_key is not None:
        column = atlas.cell_columns(batch_key, reader.cells)[batch_key].to_numpy()
    codes, uniques = pd.factorize(column, sort=True)
    if (codes < 0).any():
        cell = atlas.obs_names[reader.cells[np.flatnonzero(codes < 0)[0]]]
        raise TitinError(f"cell {cell!r} has no {batch_key}", "leave such cells out: cells=…")
    sizes = np.bincount(codes, minlength=len(uniques))
    names = [str(name) for name in uniques]
    if reader.n_cells < 2 or sizes.min() < 2:
        where = f"batch {names[sizes.argmin()]!r} of {batch_key}" if batch_key is not None else "the choice"
        n = int(sizes.min()) if len(sizes) else 0
        raise TitinError(f"{where} has {n} cell{'s' * (n != 1)}: no variance", "choose two cells or more of each batch")
    return Batches(reader, codes.astype(np.int64), names, sizes, threads)


def highly_variable_from_moments(mean: ArrayLike, variance: ArrayLike, n_top: int, *, n_bins: int = 20) -> pd.DataFrame:
    """Find the genes whose dispersion is high among genes of similar mean.

    The dispersion, log(variance / mean), is standardised within ``n_bins`` bins of equal width of log1p(mean); the
    ``n_top`` genes with the highest value are chosen. This is ``scanpy.pp.highly_variable_genes`` with
    ``flavor="seurat"``, computed from moments, so that a matrix too large for memory can be read block by block.

    Parameters
    ----------
    mean
        Mean of each gene over the cells, in linear normalised units (``expm1`` of log-normalised values). Shape
        ``(n_genes,)``.
    variance
        Sample variance (``ddof=1``) of the same values. Shape ``(n_genes,)``.
    n_top
        How many genes to choose. Fewer are chosen where fewer have a dispersion.
    n_bins
        Number of bins of the mean.

    Returns
    -------
    pandas.DataFrame
        One row a gene in the order given: ``means`` (log1p of the mean), ``dispersions`` (natural log),
        ``dispersions_norm`` (standard deviations above the bin's mean), all float64, and ``highly_variable`` (bool).
        Where scanpy has NaN (a gene without mean or variance, or in a bin without spread) they are 0, and the gene is
        never chosen. Among equal genes at the cut the first are chosen, so that the number is exact (scanpy takes all
        of them).

    Raises
    ------
    ValueError
        If the two differ in shape, a moment is negative or not finite, ``n_top`` is negative or ``n_bins`` below 1.

    References
    ----------
    Satija et al., Nature Biotechnology 33, 495-502 (2015); Wolf et al., Genome Biology 19, 15 (2018).

    Examples
    --------
    >>> table = highly_variable_from_moments([1.0, 1.1, 1.2, 0.0], [1.0, 9.0, 1.1, 0.0], n_top=1, n_bins=1)
    >>> table["highly_variable"].tolist()
    [False, True, False, False]
    """
    linear_mean, linear_variance = _checked(mean, variance, n_top, n_bins)
    means, dispersions, norm = dispersions_of(linear_mean, linear_variance, n_bins)
    return pd.DataFrame(
        {
            "means": means,
            "dispersions": np.nan_to_num(dispersions),
            "dispersions_norm": np.nan_to_num(norm),
            "highly_variable": highest(norm, n_top),
        }
    )


def dispersions_of(
    linear_mean: NDArray[np.float64], linear_variance: NDArray[np.float64], n_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return log1p of the mean, the dispersion and the standardised dispersion; NaN where a gene has none."""
    defined = (linear_mean > 0) & (linear_variance > 0)
    dispersions = np.full(len(linear_mean), np.nan)
    dispersions[defined] = np.log(linear_variance[defined]) - np.log(linear_mean[defined])
    means = np.log1p(np.where(linear_mean > 0, linear_mean, 1e-12))  # scanpy's stand-in; it decides the bins' edges
    return np.log1p(linear_mean), dispersions, _standardised(dispersions, means, n_bins)


def highest(norm: NDArray[np.float64], n_top: int, *, ties: bool = False) -> NDArray[np.bool_]:
    """Mark the ``n_top`` highest, without NaN: the first of equals, or all that equal the last with ``ties``."""
    order = np.argsort(-norm, kind="stable")[: min(n_top, int(np.isfinite(norm).sum()))]  # NaN last
    chosen = np.zeros(len(norm), bool)
    chosen[order] = True
    if ties and len(order):
        chosen |= norm >= norm[order[-1]]
    return chosen


def _checked(
    mean: ArrayLike, variance: ArrayLike, n_top: int, n_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    linear_mean, linear_variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
    if linear_mean.ndim != 1 or linear_mean.shape != linear_variance.shape:
        raise ValueError(
            f"mean and variance need one value a gene each, not shapes {linear_mean.shape} and {linear_variance.shape}"
        )
    for name, values in (("mean", linear_mean), ("variance", linear_variance)):
        bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        if len(bad):
            raise ValueError(f"{name} of gene {bad[0]} is {values[bad[0]]}; it must be finite and not negative")
    if n_top < 0 or n_bins < 1:
        raise ValueError(f"n_top must be 0 or more and n_bins 1 or more, not {n_top} and {n_bins}")
    return linear_mean, linear_variance


def _standardised(dispersions: NDArray[np.float64], means: NDArray[np.float64], n_bins: int) -> NDArray[np.float64]:
    """Return z-scores of the dispersions within bins of the mean; a gene alone in its bin has 1, as in scanpy."""
    if not len(means):
        return means
    bins = pd.cut(pd.Series(means), bins=n_bins, labels=False)
    grouped = pd.Series(dispersions).groupby(bins)
    centre, spread = grouped.transform("mean").to_numpy(), grouped.transform("std").to_numpy()
    norm = np.full(len(means), np.nan)
    np.divide(dispersions - centre, spread, out=norm, where=spread > 0)
    norm[np.isnan(spread) & ~np.isnan(dispersions)] = 1.0
    return norm


def seurat_v3(batches: Batches, n_top_genes: int, span: float) -> pd.DataFrame:
    """Rank the genes by the variance of their standardised counts, clipped at the root of the number of cells.

    Two passes: one for the moments, one for the clipped sums. The median of the ranks decides where there are several
    batches.
    """
    mean, variance, _ = batches.moments()
    spread = np.sqrt([
        10 ** _expected(m, v, span, name) for m, v, name in zip(mean, variance, batches.names, strict=True)
    ])  # fmt: skip
    n = batches.sizes[:, None]
    sums, squares = batches.clipped_sums(spread * np.sqrt(n) + mean)
    standardised = (n * mean**2 + squares - 2 * sums * mean) / ((n - 1) * spread**2)
    rank, n_batches = _median_rank(standardised, n_top_genes)
    chosen = np.zeros(len(rank), bool)
    chosen[np.lexsort((-n_batches, rank))[:n_top_genes]] = True  # genes without a rank last
    whole_mean, whole_variance = _pooled(mean, variance, n)
    return pd.DataFrame(
        {
            "highly_variable": chosen,
            "highly_variable_rank": rank,
            "means": whole_mean,
            "variances": whole_variance,
            "variances_norm": standardised.mean(axis=0),
            "highly_variable_nbatches": n_batches,
        }
    )


def _expected(mean: Floats, variance: Floats, span: float, batch: str) -> Floats:
    """Logarithm (base 10) of the variance that a local regression expects at each gene's mean; 0 for constant genes."""
    loess = require("skmisc.loess", 'flavor="seurat_v3"').loess
    expected, varies = np.zeros(len(mean)), variance > 0
    try:
        if span * varies.sum() < 1:
            raise ValueError("no gene is near another")  # loess ends the process
        model: Any = loess(np.log10(mean[varies]), np.log10(variance[varies]), span=span, degree=2)
        model.fit()
    except ValueError as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise TitinError(
            f"the variance of {int(varies.sum()):,} genes cannot be fitted to their mean in batch {batch}: {reason}",
            "leave the batch out (cells=…), take larger batches, or a larger span",
        ) from error
    expected[varies] = model.outputs.fitted_values
    return expected


def _median_rank(standardised: Floats, n_top: int) -> tuple[Floats, NDArray[np.int64]]:
    """Median over batches of the ranks below ``n_top`` (float64, NaN where there is none), and their number."""
    rank = np.argsort(np.argsort(-standardised, axis=1, kind="stable"), axis=1, kind="stable").astype(np.float64)
    rank[rank >= n_top] = np.nan
    n_batches = np.isfinite(rank).sum(axis=0)
    median = np.full(rank.shape[1], np.nan)
    median[n_batches > 0] = np.nanmedian(rank[:, n_batches > 0], axis=0)
    return median, n_batches


def _pooled(mean: Floats, variance: Floats, n: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean and sample variance over all batches."""
    total = n.sum()
    whole = (n * mean).sum(axis=0) / total
    squares = ((n - 1) * variance + n * (mean - whole) ** 2).sum(axis=0)
    return whole, squares / (total - 1)


__all__ = ["highly_variable", "highly_variable_from_moments"]

Flavor = Literal["seurat", "seurat_v3"]


def highly_variable(
    atlas: Atlas,
    n_top_genes: int = 2000,
    *,
    flavor: Flavor = "seurat",
    batch_key: str | None = None,
    cells: Any = None,
    n_bins: int = 20,
    span: float = 0.3,
    threads: int | None = None,
) -> pd.DataFrame:
    """Find the genes that vary most among genes of similar mean, reading the cells block by block.

    As ``scanpy.pp.highly_variable_genes``: ``seurat`` by the dispersion of normalised values, in one pass;
    ``seurat_v3`` by the variance of counts, in two. The same for any number of threads, bit for bit.

    Parameters
    ----------
    atlas
        The dataset; genes that not all studies of the cells measured are not chosen, and have no numbers. ``seurat``
        takes ``expm1`` of its values where they are logarithms, and
        10,000 × count / total of the cell where they are counts; ``seurat_v3`` takes counts, recovered ones too.
    n_top_genes
        How many to choose.
    batch_key
        Column of obs: genes are judged in every batch on its own, and those that are chosen in most (``seurat``) or
        have the best median rank (``seurat_v3``) are taken.
    cells
        Cells to judge by, as in ``atlas.X[cells]``, such as those of training donors.
    n_bins
        Bins of the mean, of ``seurat``.
    span
        Share of the genes that a local regression looks at, of ``seurat_v3``.
    threads
        All processors where not given.

    Returns
    -------
    pandas.DataFrame
        One row a gene, index and order of ``atlas.var``: ``highly_variable`` (bool) and ``means``; of ``seurat``
        ``dispersions`` and ``dispersions_norm`` (0 where a gene has none), and with batches
        ``highly_variable_nbatches`` and ``highly_variable_intersection``; of ``seurat_v3``
        ``highly_variable_rank`` (NaN for genes that no batch ranks), ``variances`` and ``variances_norm``, and with
        batches ``highly_variable_nbatches``. Of genes that are equal at the cut, the first are chosen.

    Raises
    ------
    TitinError
        If there is no such flavour or column, counts are asked of values that have none, or a batch is too small.
    SelectionError, UnknownNameError
        If cells are not there.

    References
    ----------
    Satija et al., Nature Biotechnology 33, 495-502 (2015); Stuart et al., Cell 177, 1888-1902 (2019).

    Examples
    --------
    >>> import titin
    >>> table = highly_variable(titin.open("dataset"), batch_key="sample")  # doctest: +SKIP
    >>> genes = table.index[table["highly_variable"]]  # doctest: +SKIP
    """
    if flavor not in ("seurat", "seurat_v3"):
        raise TitinError(f"there is no flavor {flavor!r}", "give seurat or seurat_v3")
    if n_top_genes < 1 or n_bins < 1 or not 0 < span <= 1:
        raise TitinError(
            f"n_top_genes {n_top_genes}, n_bins {n_bins}, span {span}: one of them is out of range",
            "give n_top_genes and n_bins of 1 or more, and a span above 0 and up to 1",
        )
    names, atlas = atlas.var_names, atlas.comparable(cells)
    reader = BlockReader(atlas, values="counts" if flavor == "seurat_v3" else "lognorm", cells=cells)
    batches = make_batches(atlas, reader, batch_key, make_resources(threads).threads)
    if flavor == "seurat_v3":
        table = seurat_v3(batches, n_top_genes, span)
    else:
        table = _seurat(batches, n_top_genes, n_bins, batched=batch_key is not None)
    if batch_key is None:
        table = table.drop(columns="highly_variable_nbatches", errors="ignore")
    return _of_all(table.set_index(atlas.var_names), names)


def _of_all(table: pd.DataFrame, names: pd.Index) -> pd.DataFrame:
    """A row a gene: those that not all studies measured are not chosen, and have no numbers."""
    if table.index.equals(names):
        return table
    empty = {name: {"b": False, "f": np.nan}.get(table[name].dtype.kind, 0) for name in table}
    return pd.DataFrame({name: table[name].reindex(names, fill_value=empty[name]) for name in table})


def _seurat(batches: Batches, n_top: int, n_bins: int, *, batched: bool) -> pd.DataFrame:
    """Judge the genes in each batch by their dispersion; where there are batches, take those chosen in most."""
    mean, variance, detected = batches.moments(linear=True)
    if (mean < 0).any():
        raise TitinError(
            "there are negative values, which have no dispersion", "build the dataset from log-normalised values"
        )
    if batched:
        return _seurat_batches(mean, variance, detected > 0, n_top, n_bins)
    table = highly_variable_from_moments(mean[0], variance[0], n_top, n_bins=n_bins)
    return table[["highly_variable", *table.columns.drop("highly_variable")]]


def _seurat_batches(
    mean: NDArray[np.float64], variance: NDArray[np.float64], detected: NDArray[np.bool_], n_top: int, n_bins: int
) -> pd.DataFrame:
    """Average over batches; a gene that a batch does not express counts there as 0, one without spread not at all."""
    means, dispersions, norm = np.zeros((3, *mean.shape))
    chosen = np.zeros(mean.shape, bool)
    for b, there in enumerate(detected):
        found = dispersions_of(mean[b, there], variance[b, there], n_bins)
        means[b, there], dispersions[b, there], norm[b, there] = found
        chosen[b, there] = highest(found[2], n_top, ties=True)
    n_batches = chosen.sum(axis=0)
    average = _mean_of_known(norm)
    order = np.lexsort((-np.nan_to_num(average, nan=-np.inf), -n_batches))
    best = np.zeros(mean.shape[1], bool)
    best[order[:n_top]] = True
    return pd.DataFrame(
        {
            "highly_variable": best,
            "means": means.mean(axis=0),
            "dispersions": np.nan_to_num(_mean_of_known(dispersions)),
            "dispersions_norm": np.nan_to_num(average),
            "highly_variable_nbatches": n_batches,
            "highly_variable_intersection": n_batches == len(mean),
        }
    )


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over batches without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    n = known.sum(axis=0)
    found = np.full(len(n), np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=0), n, out=found, where=n > 0)
    return found
