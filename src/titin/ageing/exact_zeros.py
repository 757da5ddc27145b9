"""Zero counts that a design fits exactly: of how much a gene varies they tell nothing.

A gene of the Y chromosome has no count in any woman. A model with a term of sex fits that without error, however much
the gene varies in men, and the zeros would pass for evidence that it does not vary (Lun & Smyth, Stat. Appl. Genet.
Mol. Biol. 16, 83 (2017); edgeR's ``voomLmFit``).
"""

import numpy as np
from numpy.typing import NDArray

from titin.ageing.kernels import Floats

_NO_PRECISION = 1e-9  # of what the units with counts say of a direction of an orthonormal basis
_STRICT = 0.5  # of a variable of the linear programme, whose optimum is 0 or 1


def exact_zeros(counts: Floats, design: Floats) -> NDArray[np.bool_]:
    """Find the zero counts whose fitted mean by a log-linear model is zero.

    Parameters
    ----------
    counts
        Units × genes.
    design
        Units × columns, of full rank.

    Returns
    -------
    numpy.ndarray
        bool, genes × units.
    """
    zero = counts.T == 0
    found = np.zeros(zero.shape, bool)
    some = np.flatnonzero(zero.any(axis=1))
    patterns, which = np.unique(zero[some], axis=0, return_inverse=True)
    basis = np.linalg.qr(design)[0]
    left = np.einsum("pu,ui,uj->pij", (~patterns).astype(float), basis, basis)
    free = np.linalg.eigvalsh(left)[:, 0] < _NO_PRECISION if len(some) else np.zeros(0, bool)
    exact = np.zeros(patterns.shape, bool)
    for i in np.flatnonzero(free):
        exact[i] = _fitted_as_zero(basis, patterns[i])
    found[some] = exact[which.reshape(-1)]
    return found


def _fitted_as_zero(design: Floats, zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Units that some direction of the coefficients takes to nothing, while it leaves those with counts as they are."""
    from scipy.linalg import null_space
    from scipy.optimize import linprog

    found = np.zeros(len(zero), bool)
    free = null_space(design[~zero]) if not zero.all() else np.eye(design.shape[1])  # changes no unit with a count
    change = design[zero] @ free
    n_zero, n_free = change.shape
    if n_free == 1:
        up, down = change[:, 0] > _NO_PRECISION, change[:, 0] < -_NO_PRECISION
        found[zero] = (up | down) & (not (up.any() and down.any()))
        return found
    # the most units that one direction lowers (by at least their t, up to 1), while it raises none
    best = linprog(
        np.concatenate([np.zeros(n_free), -np.ones(n_zero)]), np.hstack([change, np.eye(n_zero)]), np.zeros(n_zero),
        bounds=[(None, None)] * n_free + [(0, 1)] * n_zero,
    )  # fmt: skip
    found[np.flatnonzero(zero)[best.x[n_free:] > _STRICT]] = True
    return found
