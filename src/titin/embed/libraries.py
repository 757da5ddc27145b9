"""Libraries that are imported when they are needed, and kept from talking."""

import importlib
import importlib.metadata
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.errors import TitinError


def require(module: str, package: str, extra: str | None = None) -> Any:
    """Import a module.

    Parameters
    ----------
    package
        What pip calls it.
    extra
        The extra of titin that brings it, if it comes with one.

    Raises
    ------
    TitinError
        Naming what to install.
    """
    try:
        with quiet():
            return importlib.import_module(module)
    except ImportError as error:
        raise _missing(package, extra) from error


def check_installed(module: str, package: str, extra: str | None = None) -> None:
    """As `require`, but without the time that an import takes."""
    if importlib.util.find_spec(module) is None:
        raise _missing(package, extra)


def _missing(package: str, extra: str | None) -> TitinError:
    also = f" (or 'titin[{extra}]')" if extra else ""
    return TitinError(f"this needs the package {package}, which is not installed", f"pip install {package}{also}")


def version(package: str) -> str:
    """Version of an installed package."""
    return importlib.metadata.version(package)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep a library's warnings from users: of packages it could also use, or of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
