"""What infers a network from expression: those of titin, and those that other packages register.

A package adds a backend as an entry point of the group ``titin.network_backends``: a class, or a function without
arguments, that gives an object with ``infer`` or, where it takes counts of cells, with ``infer_donors``.
"""

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.extras import check_installed
from titin.network.ridge import choose_penalty, correlate, fit_ridge, places

if TYPE_CHECKING:
    from titin.network.donor_networks import DonorBackend

Singles = NDArray[np.float32]
SCPRINT = "scprint"
GROUP = "titin.network_backends"
_TREES = {"n_estimators": 50, "learning_rate": 0.1, "num_leaves": 8, "min_child_samples": 10, "colsample_bytree": 0.3}


class Backend(Protocol):
    """Infers weights of regulators on genes."""

    def infer(self, expression: Singles, genes: Sequence[str], regulators: Sequence[str]) -> Singles:
        """Infer a network.

        Parameters
        ----------
        expression
            float32, metacells × genes: log-normalised, less donors' means and depth, of variance 1.
        genes
            Symbols of the columns.
        regulators
            Those of them that may regulate.

        Returns
        -------
        ndarray
            float32, regulators × genes: the larger a weight, the stronger the edge; its sign is that of the regulation.
            What a regulator has on itself is not looked at.
        """
        ...


class RidgeBackend:
    """Ridge regression of every gene on all regulators; the penalty by ten parts of the metacells, each left out."""

    def infer(self, expression: Singles, genes: Sequence[str], regulators: Sequence[str]) -> Singles:
        """Infer a network; see `Backend.infer`."""
        place = places(genes, regulators)
        groups = np.unique(np.linspace(0, len(expression), 10, endpoint=False).astype(np.int64))
        return fit_ridge(expression, place, choose_penalty(expression, place, groups)).weights


class CorrelationBackend:
    """Correlation of every gene with every regulator."""

    def infer(self, expression: Singles, genes: Sequence[str], regulators: Sequence[str]) -> Singles:
        """Infer a network; see `Backend.infer`."""
        return correlate(expression, places(genes, regulators)).weights


class BoostingBackend:
    """Gradient-boosted trees a gene (LightGBM): a regulator's share of the gain, with the sign of the correlation."""

    def __init__(self) -> None:
        check_installed("lightgbm", "the backend lightgbm")

    def infer(self, expression: Singles, genes: Sequence[str], regulators: Sequence[str]) -> Singles:
        """Infer a network; see `Backend.infer`."""
        from lightgbm import LGBMRegressor

        place = places(genes, regulators)
        weights = np.zeros((len(place), expression.shape[1]), np.float32)
        for gene in range(expression.shape[1]):
            others = np.flatnonzero(place != gene)
            model = LGBMRegressor(**_TREES, importance_type="gain", random_state=0, n_jobs=1, verbose=-1,
                                  deterministic=True)  # fmt: skip
            gain = model.fit(expression[:, place[others]], expression[:, gene]).feature_importances_
            weights[others, gene] = gain / max(gain.sum(), 1e-12)
        sign: Singles = np.sign(correlate(expression, place).weights)
        return weights * sign


BACKENDS: dict[str, type[Backend]] = {
    "ridge": RidgeBackend, "correlation": CorrelationBackend, "lightgbm": BoostingBackend,
}  # fmt: skip


def find_backend(name: str, checkpoint: Path | None = None) -> "Backend | DonorBackend":
    """Make a backend by its name.

    Parameters
    ----------
    name
        Of titin, or of an entry point.
    checkpoint
        Weights of a model that has any: of ``scprint``.

    Raises
    ------
    TitinError
        If there is none of that name, or it cannot be loaded.
    """
    if name == SCPRINT:
        from titin.network.scprint import ScprintBackend

        return ScprintBackend(checkpoint)
    if checkpoint is not None:
        raise TitinError(
            f"the backend {name} takes no checkpoint", f"leave --checkpoint out, or give --backend {SCPRINT}"
        )
    if name in BACKENDS:
        return BACKENDS[name]()
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join([*BACKENDS, SCPRINT, *sorted(found)])
        raise TitinError(f"there is no backend {name!r}: no package that is installed brings it",
                         f"backends here: {known}; others come with packages that register {GROUP}")  # fmt: skip
    try:
        made: Backend | DonorBackend = found[name].load()()
    except TitinError:
        raise
    except Exception as error:  # whatever a package of others comes to
        raise TitinError(f"the backend {name} cannot be loaded: {error}",
                         "install what it needs, or take another --backend") from error  # fmt: skip
    return made
