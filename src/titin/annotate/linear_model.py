"""A label model: one logistic regression a cell type over chosen genes, each type against all the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from titin.annotate.kernels import logistic_pull, standardised
from titin.dataset.block import Block

Floats = NDArray[np.floating]
MOST = 10.0  # standard deviations above the mean that a value counts for at most, as in CellTypist
PENALTY = 1.0  # of half the squared coefficients, beside the summed loss, as in CellTypist
_ITERATIONS = 60


@dataclass(frozen=True, eq=False)
class LabelModel:
    """Logistic regressions of cell types, one against all the rest, on standardised log1p of counts per 10,000.

    Attributes
    ----------
    classes
        Names of the types, K.
    genes, gene_ids
        Names and stable ids of the genes, G; an id is empty where none is known.
    mean, scale
        float32 or float64, G: of the training cells; a value counts as (value - mean) / scale, at most `MOST`.
    coef, intercept
        Likewise, K × G and K.
    facts
        How it was made, JSON-safe.
    """

    classes: Sequence[str]
    genes: Sequence[str]
    gene_ids: Sequence[str]
    mean: Floats
    scale: Floats
    coef: Floats
    intercept: Floats
    facts: dict[str, Any] = field(default_factory=dict)

    def scores(self, block: Block, rows: NDArray[np.int64], column: NDArray[np.int32]) -> NDArray[np.float64]:
        """Decision values, rows × K: how far each type speaks for a cell, as log odds.

        Parameters
        ----------
        block
            log1p of counts per 10,000.
        rows
            Of the block.
        column
            For each gene of the block its place in `genes`, -1 where the model has it not.
        """
        X = np.empty((len(rows), len(self.genes)), self.coef.dtype)
        standardised(block.indptr, block.indices, block.data, rows, column, self.mean, self.scale, MOST, X)
        return np.asarray(X @ self.coef.T + self.intercept, np.float64)

    def restricted(self, kept: NDArray[np.int64]) -> "LabelModel":
        """The model with some of its genes alone: the others count as if they were at their mean."""
        return LabelModel(
            self.classes, [self.genes[i] for i in kept], [self.gene_ids[i] for i in kept], self.mean[kept],
            self.scale[kept], np.ascontiguousarray(self.coef[:, kept]), self.intercept, self.facts,
        )  # fmt: skip


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of each type against all the rest, rows × K; they are independent and need not sum to 1."""
    found: NDArray[np.float64] = expit(scores)
    return found


def entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of a cell's probabilities, brought to a sum of 1, over that of K equal ones: 0 sure, 1 no idea."""
    if p.shape[1] < 2:
        return np.zeros(len(p))
    share = np.maximum(p, 1e-12)
    share /= share.sum(axis=1, keepdims=True)
    found: NDArray[np.float64] = -(share * np.log(share)).sum(axis=1) / np.log(p.shape[1])
    return found


def fit_one_against_rest(
    X: Floats, codes: NDArray[np.int64], n_classes: int, weight: Floats, penalty: float = PENALTY
) -> tuple[Floats, Floats]:
    """Fit all types at once, by L-BFGS over their common data.

    The loss is convex: what is found depends neither on an order of cells nor on a start.

    Parameters
    ----------
    X
        Cells × genes, standardised.
    codes
        Type of each cell.
    n_classes
        K.
    weight
        Of each cell.
    penalty
        Of half the squared coefficients.

    Returns
    -------
    coef, intercept
        float32, K × G and K.
    """
    g = X.shape[1]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        W = flat.reshape(n_classes, g + 1)
        pull = X @ W[:, :g].T.astype(np.float32)
        pull += W[:, g].astype(np.float32)
        total = logistic_pull(pull, codes, weight) + penalty / 2 * float((W[:, :g] ** 2).sum())
        slope = np.empty_like(W)
        slope[:, :g] = pull.T @ X
        slope[:, :g] += penalty * W[:, :g]
        slope[:, g] = pull.sum(axis=0, dtype=np.float64)
        return total, slope.ravel()

    start = np.zeros((n_classes, g + 1))
    share = np.clip(np.bincount(codes, weight, n_classes) / weight.sum(), 1e-6, 1 - 1e-6)
    start[:, g] = np.log(share / (1 - share))
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B",
                     options={"maxiter": _ITERATIONS, "ftol": 1e-6, "maxcor": 8})  # fmt: skip
    W = found.x.reshape(n_classes, g + 1)
    return np.ascontiguousarray(W[:, :g], np.float32), W[:, g].astype(np.float32)
