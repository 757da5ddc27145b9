"""How active a regulator is in a sample, told by its targets: by a linear model, a weighted sum, or both."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from titin.errors import TitinError
from titin.features.scores import ulm_t
from titin.network.prior_network import sizes

Floats = NDArray[np.float64]
ActivityMethod = Literal["ulm", "weighted_sum", "consensus"]
METHODS: dict[str, str] = {
    "ulm": "t of the slope of the sample's values on the regulator's weights, over all genes (univariate linear model)",
    "weighted_sum": "sum of weight × value over the targets",
    "consensus": "mean of ulm and weighted sum, each scaled by the spread of the sample's scores of the same sign",
}


def activity_scores(values: Floats, weights: sparse.csr_matrix, method: ActivityMethod = "ulm") -> Floats:
    """Score how active regulators are in samples.

    Parameters
    ----------
    values
        float64, samples × genes.
    weights
        Regulators × the same genes; 0 for a gene that is no target.
    method
        See `METHODS`.

    Returns
    -------
    ndarray
        float64, samples × regulators.

    Raises
    ------
    TitinError
        If there is no such method, or a linear model has fewer than three genes.

    Notes
    -----
    Badia-i-Mompel et al., Bioinform. Adv. 2, vbac016 (2022). The same as decoupler's ``ulm``, ``waggr`` with ``wsum``
    and no permutations, and ``consensus`` of the two.

    Examples
    --------
    >>> x = np.array([[3.0, 2.0, 0.0, 1.0]])
    >>> w = sparse.csr_matrix([[1.0, 1.0, 0.0, 0.0]])
    >>> activity_scores(x, w).round(3).tolist(), activity_scores(x, w, "weighted_sum").tolist()
    ([[2.828]], [[5.0]])
    """
    if method not in METHODS:
        raise TitinError(f"there is no method {method!r} of activities", f"methods: {', '.join(METHODS)}")
    if method == "consensus":
        parts = [activity_scores(values, weights, own) for own in ("ulm", "weighted_sum")]
        both: Floats = np.mean([_scaled(part) for part in parts], axis=0)
        return both
    inside = np.asarray((weights @ values.T).T)
    if method == "weighted_sum":
        return inside
    n = values.shape[1]
    if n < 3:
        raise TitinError(f"{n} genes are too few for a linear model", "give three or more")
    # of centred values the sums lose no digits to a common level
    centred = values - values.mean(axis=1, keepdims=True)
    moments = np.column_stack([np.zeros(len(values)), (centred**2).sum(axis=1)])
    known = sizes(weights)
    return ulm_t(np.asarray((weights @ centred.T).T), moments, n, known["sum"], known["squares"])


def _scaled(scores: Floats) -> Floats:
    """Scores over the spread about 0 of those of the same sign in the same sample."""
    scaled = np.zeros_like(scores)
    for positive in (True, False):
        chosen = (scores > 0) == positive
        n = chosen.sum(axis=1, keepdims=True)
        squares = np.where(chosen, scores**2, 0).sum(axis=1, keepdims=True)
        spread = np.sqrt(2 * squares / np.maximum(2 * n - 1, 1))  # the scores and their mirror images: a mean of 0
        scaled += np.where(chosen & (spread > 0), scores / np.where(spread > 0, spread, 1), 0)
    return scaled
