"""Laplace's approximation to the likelihood of a Poisson model with crossed normal effects, and its gradient.

The effects of single observations (the residual term) are eliminated, so that what is solved has as many rows as there
are other effects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing.moderated import Floats

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
