"""Principal components with the effect of a batch taken out, by Harmony."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.embed.libraries import check_scores
from titin.errors import TitinError
from titin.extras import require

_MISSING = "missing"  # the batch of cells without one


def harmony(
    scores: ArrayLike,
    batch: pd.Series,
    *,
    theta: float = 2.0,
    max_iter: int = 20,
    random_state: int = 0,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Move the cells of every batch so that clusters hold cells of all batches.

    What is known of the cells by age or sex may go with the batch: the result is for maps and clusters, not for tests
    between donors.

    Parameters
    ----------
    scores
        Cells × components.
    batch
        Batch of each cell, in the same order; those without one are a batch of their own.
    theta
        The higher, the more batches are mixed.
    max_iter
        Rounds at most.
    random_state
        Seed.
    threads
        To compute with; results do not depend on them beyond rounding.

    Returns
    -------
    float32, cells × components.

    Raises
    ------
    TitinError
        If harmonypy is not installed, there is one batch, or there are not as many as cells.

    Notes
    -----
    Korsunsky et al., Nat. Methods 16, 1289 (2019).
    """
    harmonypy: Any = require("harmonypy", "Harmony")
    values = check_scores(np.asarray(scores, np.float32))
    names = batch.astype("string").fillna(_MISSING).astype(str).to_numpy()
    if len(names) != len(values):
        raise TitinError(f"there are {len(names):,} batches for {len(values):,} cells", "give one a cell")
    if len(np.unique(names)) < 2:
        raise TitinError(f"all cells are of one batch by {batch.name!r}: Harmony has nothing to take out",
                         "name another column with --batch-key")  # fmt: skip
    found = harmonypy.run_harmony(
        values, pd.DataFrame({"batch": names}), ["batch"], theta=theta, max_iter_harmony=max_iter, verbose=False,
        random_state=random_state, ncores=threads,
    )  # fmt: skip
    moved = np.asarray(found.Z_corr)
    return np.ascontiguousarray(moved if moved.shape == values.shape else moved.T, dtype=np.float32)
