"""Weights of regulators on targets: by ridge regression, or one regulator at a time, which is their correlation.

Both give, beside the weights of all donors together, each donor's own: the common weights and the one step from them
that the donor's own metacells ask for. Donors' weights are compared without fitting anything again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Places = NDArray[np.int64]
_PENALTIES = np.logspace(-1, 4, 11)  # of the mean square of a metacell
_AT_ONCE = 4096  # edges


def places(genes: Sequence[str], regulators: Sequence[str]) -> Places:
    """Columns of the regulators among the genes."""
    column = {gene: i for i, gene in enumerate(genes)}
    return np.array([column[name] for name in regulators], np.int64)


@dataclass(frozen=True, eq=False)
class Fit:
    """Weights of regulators on targets.

    Attributes
    ----------
    weights
        float32, regulators × genes: change of the target, in its standard deviations, for one of the regulator; 0 of a
        regulator on itself.
    steps
        float32, regulators × metacells: how much a residual of a metacell would move the weights of a regulator.
    residuals
        float32, metacells × genes; None where each edge is fitted by itself.
    values
        float32, metacells × genes.
    place
        int64 a regulator: its own column among the genes.
    """

    weights: Singles
    steps: Singles
    residuals: Singles | None
    values: Singles
    place: Places

    def of_donors(self, regulators: Places, genes: Places, starts: Places) -> NDArray[np.float64]:
        """Each donor's own weight of some edges.

        Parameters
        ----------
        regulators, genes
            Rows and columns of ``weights``.
        starts
            Where the metacells of each donor begin.

        Returns
        -------
        ndarray
            float64, edges × donors.
        """
        n = self.steps.shape[1]
        share = n / np.diff(np.append(starts, n))
        found = np.empty((len(regulators), len(starts)))
        itself = np.full(self.weights.shape[1], -1)
        itself[self.place] = np.arange(len(self.place))
        for begin in range(0, len(regulators), _AT_ONCE):
            t, g = regulators[begin : begin + _AT_ONCE], genes[begin : begin + _AT_ONCE]
            weight = self.weights[t, g]
            if self.residuals is None:
                left = self.values[:, g].T - weight[:, None] * self.values[:, self.place[t]].T
                steps = self.steps[t]
            else:
                left, steps = self.residuals[:, g].T, self.steps[t]
                own = itself[g]  # a target that is a regulator was fitted by the others alone
                steps = steps + np.where(own >= 0, weight, 0)[:, None] * self.steps[own]
            moved = np.add.reduceat((steps * left).astype(np.float64), starts, axis=1) * share
            found[begin : begin + _AT_ONCE] = weight[:, None] + moved
        return found


def correlate(values: Singles, place: Places) -> Fit:
    """Correlation of each regulator with each gene.

    Parameters
    ----------
    values
        float32, metacells × genes, of mean 0 within donors and variance 1.
    place
        Columns of the regulators.
    """
    steps = np.ascontiguousarray(values[:, place].T / np.float32(len(values)))
    weights = steps @ values
    weights[np.arange(len(place)), place] = 0
    return Fit(weights, steps, None, values, place)


def choose_penalty(values: Singles, place: Places, starts: Places) -> float:
    """The penalty by which the metacells of a donor are told best by the other donors, all targets together.

    Parameters
    ----------
    values, place
        As for `fit_ridge`.
    starts
        Where the metacells of each donor begin.

    Notes
    -----
    How far a donor left out is missed follows from the fit of all: its residuals over its own block of the inverse.
    """
    x = values[:, place].astype(np.float64)
    gram = x @ x.T
    scale = float(np.trace(gram)) / len(x)
    if not scale > 0:
        return 1.0
    ends = np.append(starts[1:], len(values))
    targets = np.delete(values, place, axis=1)  # a regulator would tell itself
    errors = []
    for share in _PENALTIES:
        inverse = np.linalg.inv(gram + share * scale * np.eye(len(x)))
        left = inverse @ targets
        errors.append(sum(
            float((np.linalg.solve(inverse[begin:end, begin:end], left[begin:end]) ** 2).sum())
            for begin, end in zip(starts, ends, strict=True)
        ))  # fmt: skip
    return float(_PENALTIES[int(np.argmin(errors))] * scale)


def fit_ridge(values: Singles, place: Places, penalty: float) -> Fit:
    """Ridge regression of every gene on all regulators but itself.

    Parameters
    ----------
    values
        float32, metacells × genes, of mean 0 within donors; scaled by the square root of a weight, where they have one.
    place
        Columns of the regulators.
    penalty
        Added to the sum of squares of each regulator.

    Notes
    -----
    Metacells are mostly fewer than regulators, so that what is inverted is metacells × metacells. A regulator among the
    targets is regressed on the others alone, which follows from the same inverse.
    """
    x = np.ascontiguousarray(values[:, place])
    exact = x.astype(np.float64)
    exact_steps = exact.T @ np.linalg.inv(exact @ exact.T + penalty * np.eye(len(x)))
    steps = exact_steps.astype(np.float32)
    weights = steps @ values
    among = exact_steps @ exact  # regulators × regulators
    own = np.diag(among).copy()
    among[np.diag_indices(len(place))] = 0
    weights[:, place] = among / np.maximum(1 - own, 1e-6)
    return Fit(weights, steps, values - x @ weights, values, place)
