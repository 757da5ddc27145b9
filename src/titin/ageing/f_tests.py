"""The test of a term of several columns: whether any of its coefficients is not zero (the moderated F)."""

from dataclasses import dataclass

import numpy as np

from titin.ageing.kernels import Floats
from titin.ageing.linear_models import PriorShape, fit_linear_models, moderate


@dataclass(frozen=True)
class FTests:
    """An F test a gene, or another feature.

    Attributes
    ----------
    f, p_value
        float64 a gene.
    df_numerator
        Columns of the term.
    df
        float64 a gene: of the denominator.
    coefficients
        float64, genes × columns of the term.
    mean
        float64 a gene: mean of the observations.
    prior_df
        float64 a gene; 0 where nothing is borrowed.
    """

    f: Floats
    p_value: Floats
    df_numerator: int
    df: Floats
    coefficients: Floats
    mean: Floats
    prior_df: Floats


def f_test_of_term(
    y: Floats, design: Floats, contrasts: Floats, weights: Floats | None = None, *, prior: PriorShape | None = None,
    robust: bool = False,
) -> FTests:  # fmt: skip
    """Test whether any of several columns of a design has a coefficient.

    Parameters
    ----------
    y
        Genes × units.
    design
        Units × columns, of full rank.
    contrasts
        Columns × number: each names one column, as those of a term do (`titin.ageing.design.Design.contrasts`).
    weights
        Genes × units.
    prior, robust
        As for `titin.ageing.linear_models.moderate`; without a prior every gene has its own variance.

    Notes
    -----
    The sum of squares by which the design without these columns fits worse, a column, over the moderated variance
    (Smyth 2004). The same as limma's F of several coefficients.
    """
    from scipy import stats

    tested = np.flatnonzero(contrasts.any(axis=1))
    rest = np.delete(design, tested, axis=1)
    fit = fit_linear_models(y, design, contrasts[:, 0], weights)
    worse = _residual_squares(y, rest, weights) - fit.variance * fit.df
    if prior is None:
        variance, df, prior_df = fit.variance, fit.df, np.zeros(len(y))
    else:
        found = moderate(fit, prior=prior, robust=robust)
        variance, df, prior_df = (found.standard_error / fit.unscaled) ** 2, found.df, found.prior_df
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.where(variance > 0, worse / len(tested) / variance, np.nan)
    return FTests(f, stats.f.sf(f, len(tested), df), len(tested), df, fit.coefficients[:, tested], fit.mean, prior_df)


def _residual_squares(y: Floats, design: Floats, weights: Floats | None) -> Floats:
    if not design.shape[1]:
        squares: Floats = (y**2 if weights is None else weights * y**2).sum(axis=1)
        return squares
    fit = fit_linear_models(y, design, np.eye(design.shape[1])[0], weights)
    return fit.variance * fit.df
