"""What the libraries of projections are given: scores that they can take, and where cells begin."""

import importlib.metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.errors import TitinError


def version(package: str) -> str:
    """Version of an installed package."""
    return importlib.metadata.version(package)


_SMALL = 1e-4  # standard deviation at the beginning: small against the distances that forces act over


def check_scores(X: Any) -> NDArray[np.float32]:
    """Return scores as float32.

    Raises
    ------
    TitinError
        If they are no table, hold NaN or infinity, or all cells are alike.
    """
    scores = np.ascontiguousarray(X, np.float32)
    if scores.ndim != 2 or not scores.shape[1]:
        raise TitinError(f"scores of shape {scores.shape} are no table of cells × dimensions", "give two dimensions")
    if not np.isfinite(scores).all():
        raise TitinError("the scores hold NaN or infinity", "compute them again, or leave these cells out")
    if len(scores) and (scores == scores[0]).all():
        raise TitinError("all cells have the same scores: there is nothing to lay out", "take genes that vary")
    return scores


def start_from(scores: NDArray[Any], n_components: int, seed: int) -> NDArray[np.float64]:
    """Leading columns on a small scale, their shape kept; noise for columns that are lacking or constant.

    Returns
    -------
    ndarray
        float64, cells × ``n_components``; the first column has a standard deviation of 1e-4.
    """
    start = np.random.default_rng(seed).normal(scale=_SMALL, size=(len(scores), n_components))
    leading = np.asarray(scores[:, :n_components], np.float64)
    leading = leading - leading.mean(axis=0)
    deviations = leading.std(axis=0)
    varying = deviations > 1e-6 * deviations.max(initial=0)
    start[:, : leading.shape[1]][:, varying] = leading[:, varying] / deviations.max(initial=0) * _SMALL
    return start
