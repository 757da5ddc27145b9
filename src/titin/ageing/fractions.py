"""Linear models of donors' fractions of cells: transformed and weighed by their precision, or of the counts themselves.

A donor of whom few cells were seen has fractions that chance has moved more than others'. Each model has a variance of
two parts, that of counting, which falls with the cells of a donor, and that between donors, which does not.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from titin.ageing.linear_models import Floats, LinearFit, fit_linear_models

FractionModel = Literal["asin", "logit", "quasi"]
# between donors, relative to one cell's variance of counting; nothing, or as much as can be told apart from counting
_EXCESS = np.concatenate([[0.0], np.geomspace(1e-5, 1.0, 21)])
_MOST_STEPS = 50
_LARGEST_LOGIT = 18.0
_PRIOR_CELLS = 1.0  # added to every donor, of all types as they are in all donors together


def transform(fractions: Floats, method: str, total: Floats | None = None) -> Floats:
    """Make the variance of fractions nearly the same for rare and for common types.

    Parameters
    ----------
    fractions
        Units × types, 0 … 1.
    method
        ``asin``: arcsine of the square root; ``logit``: log(p / (1 - p)), half a cell added to every type.
    total
        Cells of each unit; needed for ``logit``.
    """
    if method == "asin":
        angles: Floats = np.arcsin(np.sqrt(fractions))
        return angles
    counts = fractions * np.asarray(total)[:, None] + 0.5
    shares = counts / counts.sum(axis=1, keepdims=True)
    logits: Floats = np.log(shares / (1 - shares))
    return logits


def fit_fractions(
    counts: Floats, types: NDArray[Any], design: Floats, contrast: Floats, model: FractionModel, *, weigh: bool = True
) -> tuple[LinearFit, float]:
    """Fit one model a type to the fractions of all units.

    Parameters
    ----------
    counts
        Units × types, all types.
    types
        int64: positions of those to fit.
    design, contrast
        As for `fit_linear_models`, over units.
    model
        ``asin``, ``logit``: of transformed fractions. ``quasi``: logistic, of the counts; the variance is that of the
        beta-binomial distribution with a correlation of cells that all types share, times a factor a type.
    weigh
        Weigh ``asin`` and ``logit`` by their precision; else all units alike, as propeller does.

    Returns
    -------
    LinearFit, float
        Of each type; ``effect`` is of the transformed fraction (``asin``) or of log odds. And the variance between
        units, relative to that of counting one cell.

    Notes
    -----
    The share of the variance that is between donors is the one of the largest restricted likelihood, all types
    together. Phipson et al., Bioinformatics 38, 4720 (2022), for propeller; Williams, J. R. Stat. Soc. C 31, 144
    (1982), for the logistic model with extra-binomial variance.
    """
    total = counts.sum(axis=1)
    if model == "quasi":
        common = counts.sum(axis=0) / counts.sum()
        seen, of = (counts + _PRIOR_CELLS * common).T[types], total + _PRIOR_CELLS
        return _best(lambda excess: fit_logistic(seen, of, design, contrast, excess))
    values = transform(counts / total[:, None], model, total).T[types]
    if not weigh:
        return fit_linear_models(values, design, contrast), 0.0
    share = (counts[:, types].sum(axis=0) + 0.5) / (counts.sum() + 1)
    relative = np.ones(len(types)) if model == "asin" else 4 * share * (1 - share)  # logits of rare types vary more

    def fit(excess: float) -> tuple[LinearFit, Floats]:
        variance = 1 / total + excess * relative[:, None]
        weights = variance.mean(axis=1, keepdims=True) / variance
        normal = np.einsum("tn,ni,nj->tij", weights, design, design)
        found = fit_linear_models(values, design, contrast, weights)
        return found, _restricted_likelihood(found, weights, normal)

    return _best(fit)


def _best(fit: Callable[[float], tuple[LinearFit, Floats]]) -> tuple[LinearFit, float]:
    """Choose the variance between units with which all types together are likeliest."""
    found = [fit(excess) for excess in _EXCESS]
    best = int(np.argmax([likelihood.sum() for _, likelihood in found]))
    return found[best][0], float(_EXCESS[best])


def _restricted_likelihood(fit: LinearFit, weights: Floats, normal: Floats) -> Floats:
    """Restricted log likelihood of each type, its factor of the variance eliminated."""
    least = 1e-8 * max(float(fit.variance.max()), 1e-300)
    spread = -fit.df * np.log(np.maximum(fit.variance, least))
    likelihood: Floats = (spread + np.log(weights).sum(axis=1) - np.linalg.slogdet(normal)[1]) / 2
    return likelihood


def fit_logistic(
    seen: Floats, total: Floats, design: Floats, contrast: Floats, correlation: float
) -> tuple[LinearFit, Floats]:
    """Fit log odds by iterated weighted least squares, and scale by Pearson's statistic.

    Parameters
    ----------
    seen
        Types × units: cells of each type.
    total
        Cells of each unit.
    design, contrast
        As for `fit_linear_models`, over units.
    correlation
        Of cells of a unit: the variance is 1 + (total - 1) × this times that of the binomial distribution.

    Returns
    -------
    LinearFit, float64 a type
        ``variance`` is the factor of each type; and the restricted likelihood by the weights at the end.
    """
    share = 1 / (1 + (total - 1) * correlation)
    odds = np.log((seen + 0.5) / (total - seen + 0.5))
    coefficients = np.full((len(seen), design.shape[1]), np.inf)
    for _ in range(_MOST_STEPS):
        p = 1 / (1 + np.exp(-odds))
        spread = np.maximum(p * (1 - p), 1e-12)
        weights = share * total * spread
        normal = np.einsum("tn,ni,nj->tij", weights, design, design)
        working = odds + (seen / total - p) / spread
        last, coefficients = coefficients, np.linalg.solve(normal, ((weights * working) @ design)[:, :, None])[:, :, 0]
        odds = np.clip(coefficients @ design.T, -_LARGEST_LOGIT, _LARGEST_LOGIT)
        if np.abs(coefficients - last).max() < 1e-8:
            break
    df = design.shape[0] - design.shape[1]
    p = 1 / (1 + np.exp(-odds))
    pearson = (share * (seen - total * p) ** 2 / (total * np.maximum(p * (1 - p), 1e-12))).sum(axis=1) / df
    right = np.broadcast_to(contrast[None, :, None], (len(seen), len(contrast), 1))
    unscaled = np.sqrt(np.linalg.solve(normal, right)[:, :, 0] @ contrast)
    fit = LinearFit(
        coefficients=coefficients, fitted=odds, effect=coefficients @ contrast, unscaled=unscaled, variance=pearson,
        df=np.full(len(seen), float(df)), mean=odds.mean(axis=1),
    )  # fmt: skip
    return fit, _restricted_likelihood(fit, weights, normal)
