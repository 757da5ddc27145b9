"""What residual variances of many genes say of the variance of one: a prior of them, estimated from all.

Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3 (2004); with outliers: Phipson, Lee, Majewski, Alexander & Smyth, Ann. Appl.
Stat. 10, 946 (2016).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titin.ageing.kernels import Floats, lowess

_NEWTON_STEPS = 50
_LEAST_OF_MEDIAN = 1e-5  # a variance of zero has no logarithm
_TAILS = (0.05, 0.1)  # of the log variances, lower and upper, that are drawn in before the robust moments
_TREND_SPAN = 0.4
_NODES = 128
_MOST_DF = 1e8  # as good as infinite, and trouble for an F distribution beyond


class Prior(NamedTuple):
    """A scaled inverse chi-squared prior of residual variances.

    Attributes
    ----------
    variance
        float64 a gene: its scale; the same for all without a covariate.
    df
        float64 a gene: observations that it counts for; may be infinite. Robust ones are less for outliers.
    """

    variance: Floats
    df: Floats


def estimate_prior(variance: Floats, df: Floats, covariate: Floats | None = None, *, robust: bool = False) -> Prior:
    """Fit a scaled F distribution to residual variances, by the moments of their logarithms.

    Parameters
    ----------
    variance
        float64 a gene.
    df
        float64 a gene: residual degrees of freedom; genes that have none tell nothing, and get a prior none the less.
    covariate
        float64 a gene: let the scale depend on it, by a natural spline (robust: by a robust smoother).
    robust
        Let genes whose variance is far too large neither weaken the prior of the others nor be drawn towards it.

    Returns
    -------
    Prior
        With no degrees of freedom where fewer than three genes have any.

    Notes
    -----
    The same as limma's ``fitFDist`` and ``fitFDistRobustly``; where degrees of freedom differ between genes, the
    excess of the spread of log variances over the mean of what is expected of each.
    """
    known = np.isfinite(variance) & (df > 0)
    if known.sum() < 3:
        return Prior(variance.copy(), np.zeros(len(variance)))
    own, own_df = variance[known], df[known]
    middle = float(np.median(own)) or 1.0
    own = np.maximum(own, _LEAST_OF_MEDIAN * middle)
    at = None if covariate is None or np.ptp(covariate[known]) == 0 else covariate
    scale, one_df = _moments(own, own_df, at, known, by_mean=covariate is None)
    if not robust:
        return Prior(scale, np.full(len(variance), one_df))
    found = np.full(len(variance), one_df)
    scale[known], found[known] = _robust_moments(own, own_df, None if at is None else at[known], one_df)
    if at is None:
        scale[~known] = scale[known][0]
    return Prior(scale, found)


def _moments(
    variance: Floats, df: Floats, covariate: Floats | None, known: NDArray[np.bool_], *, by_mean: bool
) -> tuple[Floats, float]:
    """Scale of every gene, known or not, and degrees of freedom, of variances that are known."""
    from scipy.special import digamma, polygamma

    n = len(variance)
    log = np.log(variance) + np.log(df / 2) - digamma(df / 2)
    if covariate is None:
        expected = np.full(len(known), log.mean())
        spread = float(log.var(ddof=1))
    else:
        knots = spline_knots(covariate[known], 1 + (n >= 3) + (n >= 6) + (n >= 30))
        basis, triangle = np.linalg.qr(natural_spline(covariate[known], knots))
        expected = natural_spline(covariate, knots) @ np.linalg.solve(triangle, basis.T @ log)
        spread = ((log - expected[known]) ** 2).sum() / (n - basis.shape[1])
    excess = spread - float(polygamma(1, df / 2).mean())
    if excess > 0:
        prior_df = 2 * float(inverse_trigamma(excess))
        return np.exp(expected + digamma(prior_df / 2) - np.log(prior_df / 2)), prior_df
    return np.full(len(known), variance.mean()) if by_mean else np.exp(expected), np.inf


def _robust_moments(variance: Floats, df: Floats, covariate: Floats | None, least_df: float) -> tuple[Floats, Floats]:
    """Scale and degrees of freedom a gene, from moments of log variances whose tails were drawn in."""
    from scipy import stats

    if np.ptp(df) > 0:  # variances of the most degrees of freedom that lie as far out
        scale, prior_df = _moments(variance, df, covariate, np.ones(len(df), bool), by_mean=covariate is None)
        prior_df = min(prior_df, _MOST_DF)
        ratio, most = variance / scale, df.max()
        upper = ratio > 1
        log_p = np.where(upper, stats.f.logsf(ratio, df, prior_df), stats.f.logcdf(ratio, df, prior_df))
        tail = np.exp(log_p)
        even = np.where(upper, stats.f.isf(tail, most, prior_df), stats.f.ppf(tail, most, prior_df))
        short = df < most
        variance = np.where(short & np.isfinite(even) & (even > 0), even * scale, variance)
        df = np.full(len(df), most)
    one_df = float(df[0])
    log = np.log(variance)
    if covariate is None:
        trend = np.full(len(log), float(stats.trim_mean(log, _TAILS[1])))
    else:
        x, smoothed = lowess(covariate, log, _TREND_SPAN)
        trend = np.interp(covariate, x, smoothed)
    low, high = np.quantile(log - trend, [_TAILS[0], 1 - _TAILS[1]])
    drawn_in = np.clip(log - trend, low, high)
    prior_df = _solve_for_df(one_df, float(drawn_in.var(ddof=1)), least_df)
    trend = trend + drawn_in.mean() - winsorized_moments(one_df, prior_df)[0]
    return np.exp(trend), _df_of_outliers(np.exp(log - trend), one_df, prior_df)


def _solve_for_df(df: float, spread: float, least_df: float) -> float:
    """Prior degrees of freedom at which log F has this variance once its tails are drawn in."""
    from scipy.optimize import brentq

    def excess(share: float) -> float:
        return float(np.log(spread / winsorized_moments(df, share / (1 - share) if share < 1 else np.inf)[1]))

    if spread <= 0 or excess(1.0) <= 0:
        return np.inf
    lowest = least_df / (1 + least_df) if np.isfinite(least_df) else 1.0
    if lowest >= 1 or excess(lowest) >= 0:
        return least_df
    share = float(brentq(excess, lowest, 1.0, xtol=1e-13))
    return share / (1 - share)


def winsorized_moments(df: float, prior_df: float) -> tuple[float, float]:
    """Mean and variance of log F, its lowest 5 % and highest 10 % drawn in to where they begin.

    Parameters
    ----------
    df, prior_df
        Degrees of freedom; those of the denominator may be infinite.
    """
    from scipy import stats

    law = stats.f(df, prior_df) if prior_df < _MOST_DF else stats.gamma(df / 2, scale=2 / df)
    tails = np.array(_TAILS)
    ends = law.ppf([_TAILS[0], 1 - _TAILS[1]])
    low, high = ends / (1 + ends)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    share = low + (high - low) * (nodes + 1) / 2
    at = share / (1 - share)
    mass = weights / 2 * (high - low) * law.pdf(at) / (1 - share) ** 2
    mean = float(mass @ np.log(at) + tails @ np.log(ends))
    return mean, float(mass @ (np.log(at) - mean) ** 2 + tails @ (np.log(ends) - mean) ** 2)


def _df_of_outliers(ratio: Floats, df: float, prior_df: float) -> Floats:
    """Prior degrees of freedom a gene: fewer the less its variance can be one of the others'."""
    from scipy import stats

    n = len(ratio)
    finite = np.isfinite(prior_df)
    log_tail = stats.f.logsf(ratio, df, prior_df) if finite else stats.chi2.logsf(ratio * df, df)
    observed = np.log((n - stats.rankdata(ratio) + 0.5) / n)
    usual = np.exp(np.minimum(log_tail - observed, 0))  # how much rarer than that its rank lets expect
    found = np.full(n, prior_df)
    outlying = usual < 1
    if not outlying.any():
        return found
    order = np.argsort(log_tail, kind="stable")
    if not finite:
        found[outlying] = usual[outlying] * n * df
        found[order] = np.maximum.accumulate(found[order])
        return found
    least = 0.0
    if np.isfinite(log_tail.min()):  # so few that the most extreme gene would be the median of its own prior
        least = np.log(0.5) / log_tail.min() * prior_df
        least *= np.log(0.5) / stats.f.logsf(ratio.max(), df, least)
    found = np.asarray(usual * prior_df + (1 - usual) * least)
    ordered = found[order]
    running = np.cumsum(ordered) / np.arange(1, n + 1)
    lowest = int(np.argmin(running))
    ordered[: lowest + 1] = running[lowest]
    found[order] = np.maximum.accumulate(ordered)
    return found


def spline_knots(x: Floats, n_columns: int) -> Floats:
    """Knots for this many columns, the constant one of them: the ends, and equal quantiles between."""
    knots: Floats = np.unique(np.quantile(x, np.linspace(0, 1, n_columns)))
    return knots


def natural_spline(x: Floats, knots: Floats) -> Floats:
    """Return a basis of the natural cubic splines with these knots, straight beyond the outer ones.

    Parameters
    ----------
    x
        Where to evaluate.
    knots
        Ascending, at least 2; also the number of columns, the constant one of them.
    """
    low, width = knots[0], knots[-1] - knots[0]
    x, knots = (x - low) / width, (knots - low) / width
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
