"""Arrays beside a matrix: sparse ones of some values, and whether two are the same, bit for bit."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp


def random_sparse(shape: tuple[int, int], kind: str, seed: int, dtype: str = "float64") -> Any:
    """Some values, one of them a zero that is stored."""
    found = sp.random(*shape, 0.2, format=kind, random_state=seed).astype(dtype)
    found.data[1] = 0
    return found


def assert_same(ours: Any, theirs: Any, place: str = "") -> None:
    """Bit for bit, in dtype and storage."""
    assert type(ours) is type(theirs), place
    if isinstance(theirs, pd.DataFrame):
        pd.testing.assert_frame_equal(ours, theirs)
        return
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), place
    if not sp.issparse(theirs):
        assert ours.tobytes() == np.ascontiguousarray(theirs).tobytes(), place
        return
    assert ours.format == theirs.format, place
    theirs = theirs.copy()
    for one in (ours, theirs):
        one.sort_indices()
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part), place)
