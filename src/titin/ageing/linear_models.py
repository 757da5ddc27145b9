"""One linear model a gene, and its test with a variance that other genes inform (the moderated t)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep BLAS to one thread, where threadpoolctl is there: threads for small matrices wait longer than they work."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(1, user_api="blas"):
        yield


Floats = NDArray[np.float64]
Prior = Literal["common", "trend", "local"]

_NEWTON_STEPS = 50
# of genes by mean, where the splines of the local prior join: closer at the ends, where few genes span a wide range
_KNOTS = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0)
_GENES_FOR_KNOTS = 200
_GENES_FOR_LOCAL = 30


@dataclass(frozen=True)
class LinearFit:
    """One linear model a gene, and one contrast of it.

    Attributes
    ----------
    coefficients
        float64, genes × columns of the design.
    fitted
        float64, genes × units.
    effect
        float64 a gene: the contrast of the coefficients.
    unscaled
        float64 a gene: standard deviation of ``effect`` for a residual variance of 1.
    variance
        float64 a gene: residual variance.
    df
        Residual degrees of freedom.
    mean
        float64 a gene: mean of the observations, without weights.
    """

    coefficients: Floats
    fitted: Floats
    effect: Floats
    unscaled: Floats
    variance: Floats
    df: int
    mean: Floats


@dataclass(frozen=True)
class ModeratedTest:
    """A moderated t test a gene.

    Attributes
    ----------
    t, p_value
        float64 a gene.
    standard_error
        float64 a gene: of the effect, by the moderated variance.
    df
        float64 a gene: total degrees of freedom.
    prior_variance
        float64 a gene; the same for all if the prior is common.
    prior_df
        float64 a gene: degrees of freedom that the prior counts for; may be infinite, and differ if it is local.
    """

    t: Floats
    p_value: Floats
    standard_error: Floats
    df: Floats
    prior_variance: Floats
    prior_df: Floats


def fit_linear_models(y: Floats, design: Floats, contrast: Floats, weights: Floats | None = None) -> LinearFit:
    """Fit the same design to every gene by (weighted) least squares.

    Parameters
    ----------
    y
        Genes × units.
    design
        Units × columns, of full column rank, with fewer columns than units.
    contrast
        A weight a column.
    weights
        Genes × units, positive.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the design is not of full rank.
    """
    basis, triangle = np.linalg.qr(design)  # in an orthonormal basis the normal equations are well conditioned
    target = np.linalg.solve(triangle.T, contrast)
    df = design.shape[0] - design.shape[1]
    if weights is None:
        local = y @ basis
        unscaled = np.full(len(y), np.sqrt(target @ target))
        residuals = y - local @ basis.T
        variance = (residuals**2).sum(axis=1) / df
    else:
        n_columns = basis.shape[1]
        products = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
        normal = (weights @ products).reshape(-1, n_columns, n_columns)
        local = np.linalg.solve(normal, ((weights * y) @ basis)[:, :, None])[:, :, 0]
        right = np.broadcast_to(target[None, :, None], (len(y), n_columns, 1))
        unscaled = np.sqrt(np.linalg.solve(normal, right)[:, :, 0] @ target)
        residuals = y - local @ basis.T
        variance = (weights * residuals**2).sum(axis=1) / df
    return LinearFit(
        coefficients=np.linalg.solve(triangle, local.T).T, fitted=y - residuals, effect=local @ target,
        unscaled=unscaled, variance=variance, df=df, mean=y.mean(axis=1),
    )  # fmt: skip


def moderate(fit: LinearFit, *, prior: Prior = "common") -> ModeratedTest:
    """Test the contrast of every gene, its variance drawn towards the one that the other genes suggest.

    Parameters
    ----------
    fit
        From `fit_linear_models`; at least three genes.
    prior
        ``common``: one for all genes. ``trend``: its variance depends on the genes' means, by a natural spline.
        ``local``: so do its degrees of freedom (`local_prior`).

    Notes
    -----
    The prior is estimated by the moments of the log variances (limma's ``fitFDist``), without its option ``robust``.
    """
    from scipy import stats

    if prior == "local":
        prior_variance, prior_df = local_prior(fit.variance, fit.df, fit.mean)
    else:
        prior_variance, one_df = estimate_prior(fit.variance, fit.df, fit.mean if prior == "trend" else None)
        prior_df = np.full(len(fit.variance), one_df)
    share = fit.df / (fit.df + prior_df)
    variance = share * fit.variance + (1 - share) * prior_variance
    df = np.minimum(fit.df + prior_df, float(fit.df * len(fit.variance)))
    standard_error = fit.unscaled * np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = fit.effect / standard_error
    return ModeratedTest(t, 2 * stats.t.sf(np.abs(t), df), standard_error, df, prior_variance, prior_df)


def estimate_prior(variance: Floats, df: int, covariate: Floats | None = None) -> tuple[Floats, float]:
    """Fit a scaled F distribution to residual variances.

    Parameters
    ----------
    variance
        float64 a gene.
    df
        Residual degrees of freedom of each.
    covariate
        Let the scale depend on this (float64 a gene).

    Returns
    -------
    prior_variance, prior_df
        float64 a gene; one number, perhaps infinite.
    """
    from scipy.special import digamma, polygamma

    n = len(variance)
    if n < 3:
        return variance.copy(), 0.0
    middle = float(np.median(variance)) or 1.0
    log = np.log(np.maximum(variance, 1e-5 * middle))
    log += np.log(df / 2) - digamma(df / 2)
    n_columns = 1 if covariate is None else 1 + (n >= 3) + (n >= 6) + (n >= 30)
    if covariate is None or np.ptp(covariate) == 0 or n_columns < 2:
        expected = np.full(n, log.mean())
        spread = log.var(ddof=1)
    else:
        basis = np.linalg.qr(natural_spline(covariate, n_columns))[0]
        expected = basis @ (basis.T @ log)
        spread = ((log - expected) ** 2).sum() / (n - basis.shape[1])
    excess = spread - float(polygamma(1, df / 2))
    if excess > 0:
        prior_df = 2 * float(inverse_trigamma(excess))
        return np.exp(expected + digamma(prior_df / 2) - np.log(prior_df / 2)), prior_df
    if covariate is None:
        return np.full(n, variance.mean()), np.inf
    return np.exp(expected), np.inf


def local_prior(variance: Floats, df: int, mean: Floats) -> tuple[Floats, Floats]:
    """Fit a scaled F distribution to residual variances whose scale and degrees of freedom depend on the mean.

    Of genes with few counts, the noise of counting makes most of the variance, which is then much alike; what differs
    between donors in a way of its own for each gene shows in those with many. One prior for all would draw the variance
    of the latter too far towards the rest.

    Parameters
    ----------
    variance
        float64 a gene.
    df
        Residual degrees of freedom of each.
    mean
        float64 a gene; only its order matters.

    Returns
    -------
    prior_variance, prior_df
        float64 a gene. Of fewer than 30 genes those of `estimate_prior`.
    """
    from scipy.special import digamma, polygamma
    from scipy.stats import rankdata

    n = len(variance)
    if n < _GENES_FOR_LOCAL:
        prior_variance, one_df = estimate_prior(variance, df)
        return prior_variance, np.full(n, one_df)
    knots = np.array(_KNOTS if n >= _GENES_FOR_KNOTS else _KNOTS[::2])
    basis = np.linalg.qr(_spline((rankdata(mean) - 0.5) / n, knots))[0]
    middle = float(np.median(variance)) or 1.0
    log = np.log(np.maximum(variance, 1e-5 * middle)) + np.log(df / 2) - digamma(df / 2)
    expected = basis @ (basis.T @ log)
    spread = basis @ (basis.T @ (log - expected) ** 2) * n / (n - basis.shape[1])
    noise = float(polygamma(1, df / 2))  # what log variances would differ by if all were the same
    prior_df = 2 * inverse_trigamma(np.maximum(spread - noise, 1e-4 * noise))
    return np.exp(expected + digamma(prior_df / 2) - np.log(prior_df / 2)), prior_df


def natural_spline(x: Floats, n_columns: int) -> Floats:
    """Return a basis of the natural cubic splines with knots at the ends and at equal quantiles between.

    Parameters
    ----------
    x
        Where to evaluate.
    n_columns
        Columns, the constant one of them, at least 2; also the number of knots.
    """
    x = (x - x.min()) / np.ptp(x)
    return _spline(x, np.unique(np.quantile(x, np.linspace(0, 1, n_columns))))


def _spline(x: Floats, knots: Floats) -> Floats:
    columns = [np.ones(len(x)), x]
    cubes = [(np.maximum(x - k, 0) ** 3 - np.maximum(x - knots[-1], 0) ** 3) / (knots[-1] - k) for k in knots[:-1]]
    columns += [cube - cubes[-1] for cube in cubes[:-1]]
    return np.column_stack(columns)


def inverse_trigamma(value: float | Floats) -> Floats:
    """Solve trigamma(y) = value for positive values, by Newton's method.

    Examples
    --------
    >>> inverse_trigamma([1.6449340668482264, 0.6449340668482264]).round(12).tolist()
    [1.0, 2.0]
    """
    from scipy.special import polygamma

    value = np.asarray(value, np.float64)
    inner = np.clip(value, 1e-6, 1e7)  # beyond, the two ends of the series are exact enough
    y = 0.5 + 1 / inner
    for _ in range(_NEWTON_STEPS):
        trigamma = polygamma(1, y)
        step = trigamma * (1 - trigamma / inner) / polygamma(2, y)
        y += step
        if np.max(-step / y) < 1e-8:
            break
    return np.where(value > 1e7, 1 / np.sqrt(value), np.where(value < 1e-6, 1 / value, y))


def adjust(p_value: Floats) -> Floats:
    """Benjamini–Hochberg adjusted p-values; NaN stays NaN and does not count.

    Examples
    --------
    >>> adjust(np.array([0.01, 0.04, 0.03, np.nan])).round(4).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p_value), np.nan)
    known = np.isfinite(p_value)
    adjusted[known] = false_discovery_control(p_value[known]) if known.any() else []
    return adjusted
