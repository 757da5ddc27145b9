"""One linear mixed model a gene: units of one block (a donor) are correlated, by how much differs between genes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titin.ageing.empirical_bayes import estimate_prior, inverse_trigamma
from titin.ageing.kernels import Floats
from titin.ageing.linear_models import PriorShape
from titin.ageing.mixed_kernels import fit_on_grid, maximise_mixture, maximise_restricted_likelihood

# Closer towards 1, where the precision of differences within a block, 1 / (1 - correlation), changes faster. Genes of
# many counts by which donors differ much have 0.99 and more, and too small p-values where that is out of reach.
CORRELATIONS = np.array(
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.87, 0.93, 0.965, 0.98, 0.99, 0.995, 0.9975, 0.999]
)
_GENES_OF_UNIFORM = 10.0  # that a uniform distribution of the correlations counts for beside the genes
_STEPS = 60
# Of variances and correlations in turn. More would tie a gene's variance to its correlation; where units differ in how
# precise they are, far too many genes then seem to change by protocol.
_ROUNDS = 4
_TRIM = 0.15  # of either end of the genes' correlations, before their mean
_HIGHEST, _ABOVE_LOWEST = 0.99, 0.01  # correlations from the ends of what is possible
_LEAST_DF, _MOST_DF = 1e-6, 1e8  # of the prior, for the likelihood: none, and infinitely many


@dataclass(frozen=True)
class MixedFit:
    """One mixed model a gene, at each of some correlations, and one contrast of it.

    Attributes
    ----------
    correlations
        float64: of the units of a block.
    effect, unscaled
        float64, genes × correlations: the contrast, and its standard deviation for a residual variance of 1.
    rss, log_determinant
        float64, genes × correlations: residual sum of squares, and the logarithm of the determinants of the units'
        correlations and of the information on the coefficients, which the restricted likelihood is made of.
    rss_more, log_determinant_more
        The same with the ``added`` columns in the model.
    df, added
        float64 a gene: residual degrees of freedom (without the added columns), and number of added columns.
    mean
        float64 a gene: mean of the observations, without weights.
    """

    correlations: Floats
    effect: Floats
    unscaled: Floats
    rss: Floats
    log_determinant: Floats
    rss_more: Floats
    log_determinant_more: Floats
    df: Floats
    added: Floats
    mean: Floats

    @classmethod
    def concatenate(cls, fits: Sequence["MixedFit"]) -> "MixedFit":
        """Genes of several fits at the same correlations, one after another."""
        own = [own.name for own in fields(cls) if own.name != "correlations"]
        return cls(fits[0].correlations, **{name: np.concatenate([getattr(fit, name) for fit in fits]) for name in own})


@dataclass(frozen=True)
class MixedTest:
    """Moderated tests of the contrast and of the added columns, a gene.

    Attributes
    ----------
    effect, standard_error, t, df, p_value
        float64 a gene: the contrast, over the correlations that the gene may have.
    f, f_p_value
        float64 a gene: of the added columns together; NaN where there are none.
    correlation
        float64 a gene: mean of its posterior distribution.
    prior_df
        float64 a gene: degrees of freedom that the prior of the variance counts for; may be infinite.
    shares
        float64 a correlation: the prior distribution, as the genes suggest.
    """

    effect: Floats
    standard_error: Floats
    t: Floats
    df: Floats
    p_value: Floats
    f: Floats
    f_p_value: Floats
    correlation: Floats
    prior_df: Floats
    shares: Floats


def fit_mixed_models(
    y: Floats,
    design: Floats,
    block: ArrayLike,
    *,
    weights: Floats | None = None,
    added: Floats | None = None,
    correlations: Floats = CORRELATIONS,
) -> MixedFit:
    """Fit the same design to every gene by generalised least squares, at each of some correlations within blocks.

    Two units of a block have the correlation ρ after they are divided by their standard deviations, which are equal
    but for the weights. The mean of a block of m units has then 1 + (m - 1) ρ times the variance that it would have of
    units apart, and the differences within it 1 - ρ times theirs: so that the sums of squares are taken once a gene.

    Parameters
    ----------
    y
        Genes × units.
    design
        Units × columns, of full rank with the added columns; the last one is the contrast.
    block
        Block of each unit.
    weights
        Genes × units, positive.
    added
        Units × columns that are tested beside the model.
    correlations
        Not below 0 and below 1. Where no block has two units, they do not matter, and only 0 is taken.
    """
    added = np.zeros((len(design), 0)) if added is None else added
    blocks = _Blocks.of(block)
    if not blocks.several:
        correlations = np.zeros(1)
    own, basis, effect, length = _prepare(y, np.column_stack([design, added]), blocks, design.shape[1])
    shape = (len(y), len(correlations))
    found = {name: np.empty(shape) for name in
             ("log_determinant", "effect", "unscaled", "rss", "log_determinant_more", "rss_more")}  # fmt: skip
    variances = 1 + blocks.per_slot * correlations[:, None]
    fit_on_grid(own, basis, blocks.roots(weights, y.shape), blocks.starts, blocks.slots, 1 / variances, design.shape[1],
                *found.values())  # fmt: skip
    of_units = (blocks.numbers * np.log(variances)).sum(axis=1)
    found["log_determinant"] += of_units
    found["log_determinant_more"] += of_units
    found["effect"] = effect[:, None] + found["effect"] / length
    found["unscaled"] /= abs(length)
    df, more = float(design.shape[0] - design.shape[1]), float(added.shape[1])
    return MixedFit(correlations, df=np.full(len(y), df), added=np.full(len(y), more), mean=y.mean(axis=1), **found)


def duplicate_correlation(
    y: Floats, design: Floats, block: ArrayLike, *, weights: Floats | None = None
) -> tuple[float, Floats]:
    """Estimate the correlation of the units of a block: gene by gene, and one for all (limma's consensus).

    Parameters
    ----------
    y, design, block, weights
        As for `fit_mixed_models`; no column of the design is special.

    Returns
    -------
    consensus, correlation
        Fisher's mean of the genes', 15 % at either end left out; float64 a gene, by restricted maximum likelihood.
        Both 0 where no block has two units.

    Notes
    -----
    Smyth, Michaud & Scott, Bioinformatics 21, 2067 (2005).
    """
    from scipy.stats import trim_mean

    blocks, found = _Blocks.of(block), np.zeros(len(y))
    if not blocks.several:
        return 0.0, found
    own, basis, _, _ = _prepare(y, design, blocks, design.shape[1])
    low = -1 / blocks.per_slot.max() + _ABOVE_LOWEST
    maximise_restricted_likelihood(own, basis, blocks.roots(weights, y.shape), blocks.starts, blocks.slots,
                                   blocks.per_slot, blocks.numbers, low, _HIGHEST, found)  # fmt: skip
    return float(np.tanh(trim_mean(np.arctanh(found), _TRIM))), found


def moderate_mixed(fit: MixedFit, *, prior: PriorShape = "trend", robust: bool = False) -> MixedTest:
    """Test contrast and added columns of every gene; its variance and its correlation are informed by the other genes.

    The correlation of a gene is poorly known: a dozen donors of whom eight have two units leave it four or five degrees
    of freedom. To take its estimate for the truth finds too much, and to take one correlation for all genes does so in
    those whose own is higher. Here it has a distribution: the genes' own, found by maximum likelihood of a mixture
    over ``fit.correlations`` (nonparametric empirical Bayes), times the restricted likelihood of the gene. Given a
    correlation, the contrast has limma's moderated t; the prior variance may rise with it, as both are high
    in genes by which donors differ much. Over the correlations it has a mixture of such, which is given as the one t
    whose logarithm of the squared standard error has mean and variance of the mixture's: fewer degrees of freedom say
    that the correlation is not known.

    Parameters
    ----------
    fit
        From `fit_mixed_models`. At one correlation this is the model with that correlation, such as a consensus.
    prior, robust
        Of the variance, as for `moderate`.

    Notes
    -----
    With the distribution of variances and correlations known, the posterior tails of an effect with a flat prior are
    exact p-values over genes, whatever the design: the mixture's errors make a location family. What is approximate is
    that both distributions are estimated, and the one t.
    """
    from scipy.special import digamma, fdtrc, polygamma, stdtr

    shares = np.full(len(fit.correlations), 1 / len(fit.correlations))
    log_rss = np.log(fit.rss)
    posterior = np.exp(-0.5 * (fit.log_determinant + fit.df[:, None] * log_rss))
    posterior /= posterior.sum(axis=1, keepdims=True)
    shift = np.zeros(len(shares))
    for _ in range(_ROUNDS if len(shares) > 1 else 1):
        typical = np.exp((posterior * (log_rss - shift)).sum(axis=1)) / fit.df
        common = _moderate_variance(fit, typical, shift, prior, robust)
        likelihood = _likelihood(fit.rss, fit.log_determinant, fit.df, common)
        shares[:] = 1 / len(shares)
        maximise_mixture(likelihood, shares, _GENES_OF_UNIFORM, _STEPS)
        posterior = likelihood * shares
        posterior /= posterior.sum(axis=1, keepdims=True)
        shift = common.shift_with(fit, posterior)
    squared = 2 * np.log(fit.unscaled) + np.log(common.variance(fit.rss, fit.df))
    mean = (posterior * squared).sum(axis=1)
    spread = (posterior * (squared - mean[:, None]) ** 2).sum(axis=1)
    df = common.df.copy()
    unknown = spread > 1e-12
    if unknown.any():
        df[unknown] = 2 * inverse_trigamma(polygamma(1, df[unknown] / 2) + spread[unknown])
    # the mean of the logarithm of a scaled inverse chi squared variable
    shift = (np.log(common.df / 2) - digamma(common.df / 2)) - (np.log(df / 2) - digamma(df / 2))
    error, effect = np.exp((mean + shift) / 2), (posterior * fit.effect).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = effect / error
        left_df = common.df - fit.added
        f = (fit.rss - fit.rss_more) / fit.added[:, None]
        f /= common.variance(fit.rss_more, fit.df - fit.added)
        own = _likelihood(fit.rss_more, fit.log_determinant_more, fit.df - fit.added, common) * shares
        own /= own.sum(axis=1, keepdims=True)
        f_p = (own * fdtrc(fit.added[:, None], left_df[:, None], np.maximum(f, 0))).sum(axis=1)
    return MixedTest(
        effect, error, t, df, 2 * stdtr(df, -np.abs(t)), (own * f).sum(axis=1), f_p,
        (posterior * fit.correlations).sum(axis=1), common.prior_df, shares,
    )  # fmt: skip


@dataclass(frozen=True)
class _CommonVariance:
    """What the genes say of a gene's variance."""

    prior_variance: Floats
    prior_df: Floats
    df: Floats  # with those of the gene, no more than all genes have
    shift: Floats  # of the logarithm of the prior variance at each correlation

    @property
    def at(self) -> Floats:
        """Prior variance, genes × correlations."""
        return self.prior_variance[:, None] * np.exp(self.shift)

    def variance(self, rss: Floats, df: Floats) -> Floats:
        share = np.where(np.isinf(self.prior_df), 0, df / (df + self.prior_df))[:, None]
        moderated: Floats = share * rss / df[:, None] + (1 - share) * self.at
        return moderated

    def shift_with(self, fit: MixedFit, posterior: Floats) -> Floats:
        """By how much variances rise with the correlation: the line of their logarithms on Fisher's z of it."""
        z = np.arctanh(fit.correlations)
        log = np.log(self.variance(fit.rss, fit.df) / self.prior_variance[:, None])
        z = z - (posterior * z).sum() / len(log)
        spread = (posterior * z**2).sum()
        slope = (posterior * z * log).sum() / spread if spread > 0 else 0.0
        shifted: Floats = slope * z
        return shifted


def _moderate_variance(
    fit: MixedFit, variance: Floats, shift: Floats, prior: PriorShape, robust: bool
) -> _CommonVariance:  # fmt: skip
    found = estimate_prior(variance, fit.df, fit.mean if prior == "trend" else None, robust=robust)
    return _CommonVariance(found.variance, found.df, np.minimum(fit.df + found.df, fit.df.sum()), shift)


def _likelihood(rss: Floats, log_determinant: Floats, df: Floats, common: _CommonVariance) -> Floats:
    """Restricted likelihood at each correlation, the variance integrated out; the largest of each gene is 1."""
    prior_df = np.clip(common.prior_df, _LEAST_DF, _MOST_DF)
    quotient = np.log1p(rss / (prior_df[:, None] * common.at))
    log = -0.5 * (log_determinant + df[:, None] * common.shift + (prior_df + df)[:, None] * quotient)
    scaled: Floats = np.exp(log - log.max(axis=1, keepdims=True))
    return scaled


@dataclass(frozen=True)
class _Blocks:
    """Units in the order of their blocks, and the variances of what they are rotated into.

    Slot 0 holds the differences within blocks, each further one the means of the blocks of one size.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    slots: NDArray[np.int64]
    per_slot: Floats  # its variance is 1 + this × correlation
    numbers: Floats  # of rotated units in each slot

    @classmethod
    def of(cls, block: ArrayLike) -> "_Blocks":
        _, which, sizes = np.unique(np.asarray(block), return_inverse=True, return_counts=True)
        known, slots = np.unique(sizes, return_inverse=True)
        numbers = np.concatenate([[(sizes - 1).sum()], np.bincount(slots)]).astype(float)
        per_slot = np.concatenate([[-1], known - 1]).astype(float)
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(np.argsort(which, kind="stable"), starts, slots.astype(np.int64) + 1, per_slot, numbers)

    @property
    def several(self) -> bool:
        """Whether some block has two units."""
        return bool(self.numbers[0] > 0)

    def roots(self, weights: Floats | None, shape: tuple[int, ...]) -> Floats:
        """Square roots of the weights, in this order."""
        return np.ones(shape) if weights is None else np.sqrt(weights[:, self.order])


def _prepare(y: Floats, design: Floats, blocks: _Blocks, n_columns: int) -> tuple[Floats, Floats, Floats, float]:
    """Residuals of y and an orthonormal basis of the design, in the blocks' order, for numbers of like size.

    Also the contrast (last of ``n_columns``) of what was taken off y, and what the basis's coefficient is divided by.
    """
    basis, triangle = np.linalg.qr(design)
    own = basis[:, :n_columns]
    local, length = y @ own, float(triangle[n_columns - 1, n_columns - 1])
    residuals = y - local @ own.T
    return (np.ascontiguousarray(residuals[:, blocks.order]), np.ascontiguousarray(basis[blocks.order]),
            local[:, -1] / length, length)  # fmt: skip
