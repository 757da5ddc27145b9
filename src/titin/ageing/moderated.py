"""Linear models for many genes at once, and t statistics moderated by what all genes say of the variance.

After Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3 (2004), as the package limma does it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEWTON_STEPS = 50


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
        Total degrees of freedom.
    prior_variance
        float64 a gene; the same for all without a trend.
    prior_df
        Degrees of freedom that the prior counts for; may be infinite.
    """

    t: Floats
    p_value: Floats
    standard_error: Floats
    df: float
    prior_variance: Floats
    prior_df: float


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


def moderate(fit: LinearFit, *, trend: bool = False) -> ModeratedTest:
    """Test the contrast of every gene, its variance drawn towards the one that the other genes suggest.

    Parameters
    ----------
    fit
        From `fit_linear_models`; at least three genes.
    trend
        Let the prior variance depend on the genes' means, by a natural spline.

    Notes
    -----
    The prior is estimated by the moments of the log variances (limma's ``fitFDist``), without its option ``robust``.
    """
    from scipy import stats

    prior_variance, prior_df = estimate_prior(fit.variance, fit.df, fit.mean if trend else None)
    if np.isinf(prior_df):
        variance = prior_variance
    else:
        variance = (fit.df * fit.variance + prior_df * prior_variance) / (fit.df + prior_df)
    df = float(min(fit.df + prior_df, fit.df * len(fit.variance)))
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
        prior_df = 2 * inverse_trigamma(excess)
        return np.exp(expected + digamma(prior_df / 2) - np.log(prior_df / 2)), prior_df
    if covariate is None:
        return np.full(n, variance.mean()), np.inf
    return np.exp(expected), np.inf


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
    knots = np.unique(np.quantile(x, np.linspace(0, 1, n_columns)))
    columns = [np.ones(len(x)), x]
    cubes = [(np.maximum(x - k, 0) ** 3 - np.maximum(x - knots[-1], 0) ** 3) / (knots[-1] - k) for k in knots[:-1]]
    columns += [cube - cubes[-1] for cube in cubes[:-1]]
    return np.column_stack(columns)


def inverse_trigamma(value: float) -> float:
    """Solve trigamma(y) = value for positive values, by Newton's method.

    Examples
    --------
    >>> round(inverse_trigamma(1.6449340668482264), 12)
    1.0
    """
    from scipy.special import polygamma

    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return float(1 / value)
    y = 0.5 + 1 / value
    for _ in range(_NEWTON_STEPS):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return float(y)


def adjust(p_value: Floats) -> Floats:
    """Benjamini–Hochberg adjusted p-values; NaN stays NaN and does not count.

    Examples
    --------
    >>> adjust(np.array([0.01, 0.04, 0.03, np.nan])).round(4).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    adjusted = np.full(len(p_value), np.nan)
    known = np.flatnonzero(np.isfinite(p_value))
    order = known[np.argsort(p_value[known], kind="stable")]
    ranked = p_value[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1)
    return adjusted
