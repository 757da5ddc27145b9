"""A Poisson mixed model of how many cells of each type the samples have, fitted by Laplace's approximation.

The counts of the cells of sample s and type c are Poisson with

    log mean = log(cells of s) + Σₖ x[s, k] (βₖ + b[c, k]) + sample[s] + donor[d(s)] + donor_type[d(s), c] + e[s, c]

where x are the columns of the design (the constant among them), β fixed effects, and everything else normal with a
variance of its own: a random intercept a type, a random slope a type for each further column, and terms for samples,
donors, donors' types, and what is left over.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from titin.ageing._laplace import Laplace
from titin.ageing._one_thread import one_thread
from titin.ageing.moderated import Floats
from titin.errors import TitinError

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
