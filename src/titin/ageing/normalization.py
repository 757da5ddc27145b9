"""Filter of genes, sizes of libraries, and log counts with their precision.

Filter and factors after edgeR (Chen, Lun & Smyth, F1000Research 5, 1438 (2016); Robinson & Oshlack, Genome Biol. 11,
R25 (2010)), weights after voom (Law et al., Genome Biol. 15, R29 (2014)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titin.ageing.kernels import Floats, lowess
from titin.ageing.linear_models import fit_linear_models

MIN_COUNT = 10
MIN_TOTAL_COUNT = 15
_LARGE_GROUP, _SHARE_OF_LARGE = 10, 0.7
_RATIO_TRIM, _SUM_TRIM = 0.3, 0.05
_MILLION = 1e6
_SPAN = 0.5
_LEAST_DEVIATION = 1e-3  # square root of a standard deviation: the trend may fall to nothing


@dataclass(frozen=True)
class LogCounts:
    """log2 counts per million, and their precision.

    Attributes
    ----------
    values
        float64, genes × units: log2((count + 0.5) / (library + 1) × 10⁶).
    weights
        float64, genes × units: inverse variances by the trend of the variance with the count; None where all are alike.
    silent
        bool, genes × units: what tells nothing of the variance; None where all does.
    """

    values: Floats
    weights: Floats | None = None
    silent: NDArray[np.bool_] | None = None


def filter_genes(
    counts: Floats, design: Floats, *, min_count: float = MIN_COUNT, min_total_count: float = MIN_TOTAL_COUNT
) -> NDArray[np.bool_]:
    """Keep genes with counts enough in as many units as the smallest group that the design compares.

    Parameters
    ----------
    counts
        Units × genes.
    design
        Units × columns; the size of the smallest group is the inverse of its largest leverage.
    min_count
        In a library of median size.
    min_total_count
        In all units together.
    """
    library = counts.sum(axis=1)
    basis = np.linalg.qr(design)[0]
    smallest = 1 / (basis**2).sum(axis=1).max()
    if smallest > _LARGE_GROUP:
        smallest = _LARGE_GROUP + (smallest - _LARGE_GROUP) * _SHARE_OF_LARGE
    least = min_count / np.median(library)
    expressed = (counts / library[:, None] >= least).sum(axis=0) >= smallest - 1e-14
    enough = counts.sum(axis=0) >= min_total_count - 1e-14
    kept: NDArray[np.bool_] = expressed & enough
    return kept


def normalization_factors(counts: Floats) -> Floats:
    """Trimmed mean of M values: factors by which library sizes are to be multiplied; their geometric mean is 1.

    Parameters
    ----------
    counts
        Units × genes.
    """
    counts = counts[:, (counts > 0).any(axis=0)]
    library = counts.sum(axis=1)
    if counts.shape[1] == 0 or len(counts) < 2:
        return np.ones(len(counts))
    quartile = np.quantile(counts, 0.75, axis=1) / library
    if np.median(quartile) < 1e-20:
        reference = int(np.argmax(np.sqrt(counts).sum(axis=1)))
    else:
        reference = int(np.argmin(np.abs(quartile - quartile.mean())))
    factors = np.array([_factor(own, counts[reference], n, library[reference])
                        for own, n in zip(counts, library, strict=True)])  # fmt: skip
    scaled: Floats = factors / np.exp(np.log(factors).mean())
    return scaled


def _factor(own: Floats, reference: Floats, n_own: float, n_reference: float) -> float:
    shared = (own > 0) & (reference > 0)
    a, b = own[shared] / n_own, reference[shared] / n_reference
    ratio, level = np.log2(a / b), (np.log2(a) + np.log2(b)) / 2
    if not len(ratio) or np.abs(ratio).max() < 1e-6:
        return 1.0
    precision = 1 / ((n_own - own[shared]) / n_own / own[shared]
                     + (n_reference - reference[shared]) / n_reference / reference[shared])  # fmt: skip
    n = len(ratio)
    low_ratio, low_sum = np.floor(n * _RATIO_TRIM) + 1, np.floor(n * _SUM_TRIM) + 1
    by_ratio, by_sum = _ranks(ratio), _ranks(level)
    kept = (by_ratio >= low_ratio) & (by_ratio <= n + 1 - low_ratio)
    kept &= (by_sum >= low_sum) & (by_sum <= n + 1 - low_sum)
    factor = (ratio[kept] * precision[kept]).sum() / precision[kept].sum()
    return float(2**factor) if np.isfinite(factor) else 1.0


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks: Floats = rankdata(values)
    return ranks


def log_counts(counts: Floats, library: Floats) -> Floats:
    """log2((count + 0.5) / (library + 1) × 10⁶), genes × units, of counts that are units × genes."""
    return np.ascontiguousarray(np.log2((counts + 0.5) / (library[:, None] + 1) * _MILLION).T)


def weigh_log_counts(
    counts: Floats, library: Floats, design: Floats, *, silent: NDArray[np.bool_] | None = None
) -> LogCounts:
    """Weigh log counts by the trend of their residual variance with their size (voom).

    Parameters
    ----------
    counts
        Units × genes, filtered.
    library
        Counts of each unit × its normalisation factor.
    design
        Units × columns, of full rank.
    silent
        bool, genes × units: what tells nothing of the variance (`titin.ageing.exact_zeros`).
    """
    values = log_counts(counts, library)
    fit = fit_linear_models(values, design, np.zeros(design.shape[1]), silent=silent)
    size = fit.mean + np.log2(library + 1).mean() - np.log2(_MILLION)
    seen = (counts.sum(axis=0) > 0) & (fit.df > 0)
    x, y = lowess(size[seen], fit.variance[seen] ** 0.25, _SPAN)
    fitted_size = fit.fitted + np.log2(library + 1) - np.log2(_MILLION)
    return LogCounts(values, np.maximum(np.interp(fitted_size, x, y), _LEAST_DEVIATION) ** -4.0, silent)
