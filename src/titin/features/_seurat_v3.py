"""Highly variable genes by the variance of counts that their mean does not explain."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.features._batches import Batches, Floats


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
    try:
        from skmisc.loess import loess
    except ImportError as error:
        raise TitinError('flavor="seurat_v3" needs scikit-misc', "pip install scikit-misc") from error
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
