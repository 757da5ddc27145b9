"""Highly variable genes by their dispersion, from the mean and variance of each gene."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


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
