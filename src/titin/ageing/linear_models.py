"""One linear model a gene, and its test with a variance that other genes inform (the moderated t)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from titin.ageing.empirical_bayes import estimate_prior
from titin.ageing.kernels import Floats as Floats

PriorShape = Literal["common", "trend"]


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
        float64 a gene: residual degrees of freedom.
    mean
        float64 a gene: mean of the observations, without weights.
    """

    coefficients: Floats
    fitted: Floats
    effect: Floats
    unscaled: Floats
    variance: Floats
    df: Floats
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
        float64 a gene: degrees of freedom that the prior counts for; may be infinite, and differ if it is robust.
    """

    t: Floats
    p_value: Floats
    standard_error: Floats
    df: Floats
    prior_variance: Floats
    prior_df: Floats


def fit_linear_models(
    y: Floats,
    design: Floats,
    contrast: Floats,
    weights: Floats | None = None,
    silent: NDArray[np.bool_] | None = None,
) -> LinearFit:
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
    silent
        bool, genes × units: what tells nothing of the variance (`titin.ageing.exact_zeros`).

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
    own_df = np.full(len(y), float(df))
    if silent is not None:
        for gene in np.flatnonzero(silent.any(axis=1)):
            kept = ~silent[gene]
            root = np.ones(kept.sum()) if weights is None else np.sqrt(weights[gene, kept])
            variance[gene], own_df[gene] = _residual_variance(y[gene, kept] * root, design[kept] * root[:, None])
    return LinearFit(
        coefficients=np.linalg.solve(triangle, local.T).T, fitted=y - residuals, effect=local @ target,
        unscaled=unscaled, variance=variance, df=own_df, mean=y.mean(axis=1),
    )  # fmt: skip


def _residual_variance(y: Floats, design: Floats) -> tuple[float, float]:
    """Variance and degrees of freedom of one gene by a design of any rank; no variance where no df are left."""
    left, singular, _ = np.linalg.svd(design, full_matrices=False)
    basis = left[:, singular > 1e-9 * singular.max(initial=0)]
    residual = y - basis @ (basis.T @ y)
    df = float(len(y) - basis.shape[1])
    return (float(residual @ residual) / df, df) if df > 0 else (0.0, 0.0)


def moderate(fit: LinearFit, *, prior: PriorShape = "common", robust: bool = False) -> ModeratedTest:
    """Test the contrast of every gene, its variance drawn towards the one that the other genes suggest.

    Parameters
    ----------
    fit
        From `fit_linear_models`, or of a model of one's own; of fewer than three genes nothing is learnt.
    prior
        ``common``: one for all genes. ``trend``: its variance depends on the genes' means.
    robust
        As for `titin.ageing.empirical_bayes.estimate_prior`.

    Notes
    -----
    The same as limma's ``eBayes``.
    """
    from scipy import stats

    prior_variance, prior_df = estimate_prior(
        fit.variance, fit.df, fit.mean if prior == "trend" else None, robust=robust
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(np.isinf(prior_df), 0.0, fit.df / (fit.df + prior_df))
        variance = share * fit.variance + (1 - share) * prior_variance
        df = np.minimum(fit.df + prior_df, fit.df.sum())
        standard_error = fit.unscaled * np.sqrt(variance)
        t = fit.effect / standard_error
    return ModeratedTest(t, 2 * stats.t.sf(np.abs(t), df), standard_error, df, prior_variance, prior_df)


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
