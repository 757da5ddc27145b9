"""Tests of gene sets in one comparison of donors: competitive with correlated genes (camera), and by rotation (fry)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from titin.ageing.empirical_bayes import estimate_prior
from titin.ageing.kernels import Floats

_TRIMMED = 0.92  # of the degrees of freedom that a variance keeps without its largest square, as limma has it
PRESET_CORRELATION = 0.01  # of genes of one set with each other; Wu & Smyth's later choice for sets in general


@dataclass(frozen=True, eq=False)
class GeneEffects:
    """Every gene's contrast and residuals as independent numbers of one variance.

    Attributes
    ----------
    effects
        float64, genes × (1 + residual degrees of freedom): the contrast in units of its own unscaled standard
        deviation, then the residuals in an orthonormal basis.
    variance
        float64 a gene: residual variance.
    prior_variance, prior_df
        float64 a gene: what the other genes suggest of it, and how many degrees of freedom that counts for.
    """

    effects: Floats
    variance: Floats
    prior_variance: Floats
    prior_df: Floats

    @property
    def residual_df(self) -> int:
        """Of the design."""
        return int(self.effects.shape[1]) - 1

    def moderated(self, variance: Floats, df: float) -> Floats:
        """A variance of each gene with so many degrees of freedom, drawn towards what the other genes suggest."""
        with np.errstate(invalid="ignore"):
            share = np.where(np.isinf(self.prior_df), 0.0, df / (df + self.prior_df))
        return share * variance + (1 - share) * self.prior_variance

    @cached_property
    def z(self) -> Floats:
        """The moderated t of every gene as a standard normal deviate of the same p."""
        from scipy import special

        df = self.residual_df
        t = self.effects[:, 0] / np.sqrt(self.moderated(self.variance, df))
        total = np.minimum(df + self.prior_df, df * len(t))
        tail = np.where(np.isinf(total), special.ndtr(-np.abs(t)), special.stdtr(total, -np.abs(t)))
        z: Floats = -np.sign(t) * special.ndtri(np.maximum(tail, np.finfo(float).tiny))
        return z

    @cached_property
    def standardised(self) -> Floats:
        """Effects over a standard deviation that tells the contrast no more than the residuals.

        A rotation makes the contrast a residual like the others: the largest of all squares is left out, whichever it
        is, and what that takes away on average is given back.
        """
        squares = self.effects**2
        n = squares.shape[1]
        variance = (squares.sum(axis=1) - squares.max(axis=1)) / (n - _largest_square(n))
        return self.effects / np.sqrt(self.moderated(variance, _TRIMMED * self.residual_df))[:, None]


def gene_effects(
    y: Floats, design: Floats, contrast: Floats, weights: Floats | None = None, *, trend: bool = False
) -> GeneEffects:
    """Rotate every gene's values so that the contrast and the residuals stand apart.

    Parameters
    ----------
    y
        Genes × units.
    design, contrast
        Units × columns, of full rank; a weight a column.
    weights
        Genes × units.
    trend
        Whether the prior variance depends on the genes' means.
    """
    n, p = design.shape
    basis, triangle = np.linalg.qr(design)
    target = np.linalg.solve(triangle.T, contrast)
    turn = np.linalg.qr(np.column_stack([target, np.eye(p)]))[0]
    turn[:, 0] *= np.sign(turn[:, 0] @ target)
    columns = basis @ np.roll(turn, -1, axis=1)  # of the same span; the contrast is a multiple of the last one's
    if weights is None:
        rotation = np.linalg.qr(columns, mode="complete")[0]
        rotation[:, p - 1] *= np.sign(rotation[:, p - 1] @ columns[:, p - 1])
        effects = y @ rotation[:, p - 1 :]
    else:
        root = np.sqrt(weights)
        rotation, factor = np.linalg.qr(root[:, :, None] * columns, mode="complete")
        effects = np.einsum("gu,guk->gk", root * y, rotation[:, :, p - 1 :])
        effects[:, 0] *= np.sign(factor[:, p - 1, p - 1])
    variance = (effects[:, 1:] ** 2).mean(axis=1)
    prior = estimate_prior(variance, np.full(len(y), float(n - p)), y.mean(axis=1) if trend else None)
    return GeneEffects(effects, variance, *prior)


def _largest_square(n: int) -> float:
    """Expectation of the largest of n squares of standard normals."""
    from scipy import stats

    nodes, weights = np.polynomial.legendre.leggauss(128)
    at = (nodes + 1) / 2
    return float((n * at ** (n - 1) * stats.chi2.ppf(at, 1) * weights / 2).sum())


@dataclass(frozen=True)
class SetTest:
    """What a test says of one set.

    Attributes
    ----------
    difference
        Of camera, the mean z of the set's genes less that of the others; of fry, the mean of the standardised effects.
    t, p_value
        Two-sided.
    correlation
        Of the set's genes with each other, beyond the design; as given, or as estimated.
    """

    difference: float
    t: float
    p_value: float
    correlation: float


def camera(found: GeneEffects, inside: NDArray[np.bool_], *, correlation: float | None = PRESET_CORRELATION) -> SetTest:
    """Ask whether a set's genes change more, or otherwise, than the others, while genes of a set go together.

    Parameters
    ----------
    found
        From `gene_effects`.
    inside
        bool a gene: those of the set; two or more, and not all.
    correlation
        Between genes of the set; None to estimate it from their residuals, which makes the test hold for sets whose
        genes are regulated together, and much weaker.

    Notes
    -----
    Wu & Smyth, Nucleic Acids Res. 40, e133 (2012). The same as limma's ``camera``.
    """
    from scipy import stats

    z = found.z
    n, m = len(z), int(inside.sum())
    if correlation is None:
        unit = found.effects[inside, 1:] / np.sqrt(found.variance[inside, None])
        inflation = m * float((unit.mean(axis=0) ** 2).mean())
        correlation, df = (inflation - 1) / (m - 1), min(found.residual_df, n - 2)
        inflation = max(inflation, 1.0)  # genes that avoid each other make no test narrower
    else:
        inflation, df = 1 + (m - 1) * correlation, n - 2
    difference, t = competitive_t(z, inside, inflation)
    return SetTest(difference, t, float(2 * stats.t.sf(abs(t), df)), float(correlation))


def competitive_t(values: Floats, inside: NDArray[np.bool_], inflation: float) -> tuple[float, float]:
    """Difference of the means within and without a set, and its t, the variance of the former inflated."""
    n, m = len(values), int(inside.sum())
    others = n - m
    difference = float(values[inside].mean() - values[~inside].mean())
    within = (n - 1) * values.var(ddof=1) - difference**2 * m * others / n
    error = np.sqrt(max(within / (n - 2), 1e-300) * (inflation / m + 1 / others))
    return difference, difference / float(error)


def fry(found: GeneEffects, inside: NDArray[np.bool_]) -> tuple[SetTest, float]:
    """Ask whether a set's genes change at all, by what random rotations of the donors would give.

    The mean over the set's genes of their standardised effects is compared with the same of the residuals, which holds
    whatever the genes' correlation is; so is the sum of squares of the effects, whose distribution over all rotations
    is taken for a beta of its mean and variance.

    Parameters
    ----------
    found
        From `gene_effects`.
    inside
        bool a gene: those of the set.

    Returns
    -------
    directional, p_mixed
        Whether they go one way; p of whether they change, in whichever directions.

    Notes
    -----
    Wu et al., Bioinformatics 26, 2176 (2010), on rotation. The same as limma's ``fry``.
    """
    from scipy import stats

    effects = found.standardised[inside]
    mean = effects.mean(axis=0)
    t = float(mean[0] / np.sqrt((mean[1:] ** 2).mean()))
    own = SetTest(float(mean[0]), t, float(2 * stats.t.sf(abs(t), found.residual_df)), float("nan"))
    return own, _mixed(effects)


def _mixed(effects: Floats) -> float:
    """P of so large a sum of squares of the first column, were it a random direction: a quadratic form on a sphere."""
    from scipy import stats

    squares = np.linalg.svd(effects, compute_uv=False) ** 2
    k = len(squares)
    least, span = squares[-1], squares[0] - squares[-1]
    if k < 2 or span <= 1e-12 * squares[0]:
        return 1.0
    scaled = (squares - least) / span  # the form lies between 0 and 1
    mean = scaled.mean()
    variance = 2 * (scaled**2 - mean**2).sum() / (k * (k + 2))  # squares of a random direction are Dirichlet(1/2)
    shape = mean * (1 - mean) / variance - 1
    seen = ((effects[:, 0] ** 2).sum() - least) / span
    return float(stats.beta.sf(np.clip(seen, 0, 1), mean * shape, (1 - mean) * shape))
