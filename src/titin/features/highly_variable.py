"""Highly variable genes, from passes over the row blocks, or from the mean and variance of each gene."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.atlas.row_reader import RowReader
from titin.errors import TitinError
from titin.features._batches import Batches, make_batches
from titin.features._dispersion import dispersions_of, highest, highly_variable_from_moments
from titin.features._seurat_v3 import seurat_v3
from titin.resources import make_resources

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
        The dataset. ``seurat`` takes ``expm1`` of its values where they are logarithms, and
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
    >>> table = highly_variable(titin.open("skeletal_muscle_10x"), batch_key="SampleID")  # doctest: +SKIP
    >>> genes = table.index[table["highly_variable"]]  # doctest: +SKIP
    """
    if flavor not in ("seurat", "seurat_v3"):
        raise TitinError(f"there is no flavor {flavor!r}", "give seurat or seurat_v3")
    if n_top_genes < 1 or n_bins < 1 or not 0 < span <= 1:
        raise TitinError(
            f"n_top_genes {n_top_genes}, n_bins {n_bins}, span {span}: one of them is out of range",
            "give n_top_genes and n_bins of 1 or more, and a span above 0 and up to 1",
        )
    reader = RowReader(atlas, values="counts" if flavor == "seurat_v3" else "lognorm", cells=cells)
    batches = make_batches(atlas, reader, batch_key, make_resources(threads).threads)
    if flavor == "seurat_v3":
        table = seurat_v3(batches, n_top_genes, span)
    else:
        table = _seurat(batches, n_top_genes, n_bins, batched=batch_key is not None)
    if batch_key is None:
        table = table.drop(columns="highly_variable_nbatches", errors="ignore")
    return table.set_index(atlas.var_names)


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
