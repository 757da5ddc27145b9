"""Laplace's approximation to the likelihood of a Poisson model with crossed normal effects, and its gradient.

The effects of single observations (the residual term) are eliminated, so that what is solved has as many rows as there
are other effects.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.linear_models import Floats, one_thread
from titin.errors import TitinError

_MOST_STEPS = 100
_SMALL_GRADIENT = 1e-10  # relative to the sum of the counts
_LARGEST_STEP = 5.0
_HALVINGS = 30


@dataclass(frozen=True)
class Mode:
    """Where the joint density of counts and effects is largest.

    Attributes
    ----------
    effects
        float64: fixed effects, then those of every term.
    residual
        float64 an observation.
    mean
        float64 an observation: of its count.
    hessian
        Of ``effects``, the residual ones eliminated.
    """

    effects: Floats
    residual: Floats
    mean: Floats
    hessian: Floats


class Laplace:
    """The approximate likelihood; the mode of one evaluation is where the search for the next begins.

    Parameters
    ----------
    counts
        Samples × types.
    design
        Samples × columns: fixed effects.
    terms
        Random terms: observations (sample-major) × effects each.
    """

    def __init__(self, counts: Floats, design: Floats, terms: dict[str, sparse.csr_matrix]) -> None:
        from scipy.special import gammaln

        n_types = counts.shape[1]
        self._y = counts.ravel()
        self._constant = float(gammaln(self._y + 1).sum())
        self._offset = np.repeat(np.log(counts.sum(axis=1)), n_types)
        self._n_fixed = design.shape[1]
        self._term_of = np.repeat(np.arange(len(terms)), [term.shape[1] for term in terms.values()])
        self._sizes = np.array([*(term.shape[1] for term in terms.values()), len(self._y)])
        fixed = sparse.csr_matrix(np.repeat(design, n_types, axis=0))
        self._Z = sparse.csr_matrix(sparse.hstack([fixed, *terms.values()]))
        self._Zt = self._Z.T.tocsr()
        self._row_of = np.repeat(np.arange(len(self._y)), np.diff(self._Z.indptr))
        self._u = np.zeros(self._Z.shape[1])
        self._u[: self._n_fixed] = np.linalg.lstsq(design, np.full(len(design), -np.log(n_types)), rcond=None)[0]
        self._e = np.zeros(len(self._y))

    @property
    def n_terms(self) -> int:
        """Random terms, the residual among them."""
        return len(self._sizes)

    def find_mode(self, log_sd: Floats) -> Mode:
        """Find the mode of all effects by Newton's method.

        Parameters
        ----------
        log_sd
            Logarithm of the standard deviation of every term, the residual last.
        """
        precision, own = self._precision(log_sd)
        enough = _SMALL_GRADIENT * (1 + self._y.sum())
        u, e = self._u, self._e
        value, mean = self._joint(u, e, precision, own)
        for _ in range(_MOST_STEPS):
            gradient_u, gradient_e = self._Zt @ (self._y - mean) - precision * u, self._y - mean - own * e
            hessian = self._hessian(mean * own / (mean + own), precision)
            if max(np.abs(gradient_u).max(), np.abs(gradient_e).max()) < enough:
                break
            step_u = np.linalg.solve(hessian, gradient_u - self._Zt @ (mean / (mean + own) * gradient_e))
            step_e = (gradient_e - mean * (self._Z @ step_u)) / (mean + own)
            share = min(1.0, _LARGEST_STEP / max(np.abs(step_u).max(), np.abs(step_e).max()))
            for _ in range(_HALVINGS):
                trial, trial_mean = self._joint(u + share * step_u, e + share * step_e, precision, own)
                if trial >= value - 1e-12 * abs(value):
                    break
                share /= 2
            u, e, value, mean = u + share * step_u, e + share * step_e, trial, trial_mean
        self._u, self._e = u, e
        return Mode(u, e, mean, hessian)

    def log_likelihood(self, mode: Mode, log_sd: Floats) -> tuple[float, Floats]:
        """Return Laplace's approximation, the fixed effects at the joint mode, and its gradient by ``log_sd``.

        The mode moves with ``log_sd``, and the curvature with the mode; the gradient has both in it.
        """
        precision, own = self._precision(log_sd)
        u, e, mean = mode.effects, mode.residual, mode.mean
        scale = mean + own
        shrink = mean / scale
        lower = np.linalg.cholesky(mode.hessian[self._n_fixed :, self._n_fixed :])
        value = self._joint(u, e, precision, own)[0] - self._constant - float(self._sizes @ log_sd)
        value -= float(np.log(np.diag(lower)).sum() + 0.5 * np.log(scale).sum())

        half = np.linalg.inv(lower)
        covariance = half.T @ half
        Z = self._Z[:, self._n_fixed :]
        leverage = np.asarray(Z.multiply(Z @ covariance).sum(axis=1)).ravel()
        spread = mean * (leverage * (1 - shrink) ** 2 + 1 / scale)  # of each observation, in units of its weight
        adjoint = np.linalg.solve(mode.hessian, self._Zt @ ((1 - shrink) * spread))

        weighted, n_fixed = precision[self._n_fixed :] * u[self._n_fixed :], self._n_fixed
        by_effect = weighted * u[n_fixed:] + precision[n_fixed:] * np.diag(covariance) - weighted * adjoint[n_fixed:]
        of_terms = np.bincount(self._term_of, by_effect, minlength=self.n_terms - 1)
        of_residual = own * (e @ e + (1 / scale + shrink**2 * leverage).sum())
        of_residual -= own * (spread @ (e / scale) - adjoint @ (self._Zt @ (shrink * e)))
        return value, np.append(of_terms, of_residual) - self._sizes

    def _precision(self, log_sd: Floats) -> tuple[Floats, float]:
        precision = np.exp(-2 * log_sd[:-1])[self._term_of]
        return np.concatenate([np.zeros(self._n_fixed), precision]), float(np.exp(-2 * log_sd[-1]))

    def _hessian(self, weight: Floats, precision: Floats) -> Floats:
        weighted = sparse.csr_matrix(
            (self._Z.data * weight[self._row_of], self._Z.indices, self._Z.indptr), self._Z.shape
        )
        hessian: NDArray[np.float64] = (self._Zt @ weighted).toarray()
        hessian[np.diag_indices_from(hessian)] += precision
        return hessian

    def _joint(self, u: Floats, e: Floats, precision: Floats, own: float) -> tuple[float, Floats]:
        """Log density of counts and effects, without constants, and the means."""
        log_mean = np.clip(self._offset + self._Z @ u + e, -50, 50)
        mean = np.exp(log_mean)
        return float(self._y @ log_mean - mean.sum() - 0.5 * (precision @ u**2 + own * (e @ e))), mean


_LOWEST, _HIGHEST = -6.0, 3.0  # of a logarithmic standard deviation
_SHAPE, _RATE = 2.0, 0.5  # of the prior of standard deviations, see fit_poisson_mixed_model


@dataclass(frozen=True)
class PoissonMixedModel:
    """A fitted model.

    Attributes
    ----------
    fixed
        float64, a value a column of the design.
    slopes, slope_sd
        float64, types × columns: modes of the types' departures from ``fixed``, and their posterior standard
        deviations.
    sd
        Standard deviation of each random term by name: the design's columns, ``sample``, ``donor``, ``donor:type``,
        ``residual``; terms that the data cannot tell apart from others are absent.
    log_likelihood
        Laplace's approximation, the prior of the standard deviations left out.
    converged
        Whether the search for the standard deviations ended well.
    notes
        Terms left out, and why.
    """

    fixed: Floats
    slopes: Floats
    slope_sd: Floats
    sd: dict[str, float]
    log_likelihood: float
    converged: bool
    notes: list[str] = field(default_factory=list)


def fit_poisson_mixed_model(
    counts: NDArray[Any],
    design: Floats,
    columns: list[str],
    donors: NDArray[Any],
    *,
    prior: bool = True,
    sd: dict[str, float] | None = None,
) -> PoissonMixedModel:
    """Fit the model of this module.

    Parameters
    ----------
    counts
        Samples × types; every sample with cells, every type with cells.
    design
        Samples × columns.
    columns
        Names of the columns.
    donors
        Donor of each sample.
    prior
        Keep standard deviations off zero by a weak prior, Gamma with shape 2 and rate ½ (after Chung et al.,
        Psychometrika 78, 685 (2013)); else maximum likelihood.
    sd
        Standard deviations, not to be estimated.

    Raises
    ------
    TitinError
        If a sample or a type has no cells.
    """
    with one_thread():
        return _fit(np.asarray(counts, float), design, columns, donors, prior, sd)


def _fit(
    counts: Floats, design: Floats, columns: list[str], donors: NDArray[Any], prior: bool, sd: dict[str, float] | None
) -> PoissonMixedModel:
    if (counts.sum(axis=1) == 0).any() or (counts.sum(axis=0) == 0).any():
        raise TitinError("a sample or a type without cells", "leave it out before fitting the model")
    terms, notes = _terms(counts.shape, design, columns, donors)
    model = Laplace(counts, design, terms)
    names = [*terms, "residual"]
    log_sd, converged = _estimate(model, prior) if sd is None else (np.log([sd[name] for name in names]), True)
    mode = model.find_mode(log_sd)
    part, shape = slice(design.shape[1], design.shape[1] * (1 + counts.shape[1])), (len(columns), counts.shape[1])
    spread = np.sqrt(np.diag(np.linalg.inv(mode.hessian)))
    return PoissonMixedModel(
        fixed=mode.effects[: design.shape[1]], slopes=mode.effects[part].reshape(shape).T,
        slope_sd=spread[part].reshape(shape).T, sd=dict(zip(names, np.exp(log_sd).tolist(), strict=True)),
        log_likelihood=model.log_likelihood(mode, log_sd)[0], converged=converged, notes=notes,
    )  # fmt: skip


def _estimate(model: Laplace, prior: bool) -> tuple[Floats, bool]:
    """Find the logarithmic standard deviations of all terms, the residual last."""
    from scipy.optimize import minimize

    def loss(log_sd: Floats) -> tuple[float, Floats]:
        value, gradient = model.log_likelihood(model.find_mode(log_sd), log_sd)
        if prior:
            value += float(((_SHAPE - 1) * log_sd - _RATE * np.exp(log_sd)).sum())
            gradient = gradient + (_SHAPE - 1) - _RATE * np.exp(log_sd)
        return -value, -gradient

    found = minimize(loss, np.full(model.n_terms, -1.0), jac=True, method="L-BFGS-B",
                     bounds=[(_LOWEST, _HIGHEST)] * model.n_terms, options={"maxiter": 200})  # fmt: skip
    return np.asarray(found.x), bool(found.success)


def _terms(
    shape: tuple[int, int], design: Floats, columns: list[str], donors: NDArray[Any]
) -> tuple[dict[str, sparse.csr_matrix], list[str]]:
    """Columns of each random term but the residual: one row an observation (sample-major)."""
    n_samples, n_types = shape
    n = n_samples * n_types
    sample, kind = np.repeat(np.arange(n_samples), n_types), np.tile(np.arange(n_types), n_samples)
    donor = np.unique(donors.astype(str), return_inverse=True)[1]
    n_donors = int(donor.max()) + 1

    def indicators(code: NDArray[Any], size: int, values: Any = None) -> sparse.csr_matrix:
        data = np.ones(n) if values is None else values
        return sparse.csr_matrix((data, (np.arange(n), code)), shape=(n, size))

    terms = {name: indicators(kind, n_types, design[sample, k]) for k, name in enumerate(columns)}
    terms["sample"] = indicators(sample, n_samples)
    notes = []
    if n_donors < n_samples:
        terms["donor"] = indicators(donor[sample], n_donors)
        terms["donor:type"] = indicators(donor[sample] * n_types + kind, n_donors * n_types)
    else:
        notes.append("every donor has one sample: the terms of donors are those of samples")
    return terms, notes
