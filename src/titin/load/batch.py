"""A minibatch: its values, and the columns of obs that go with it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse


class Obs(Mapping[str, pd.Series]):
    """obs of one batch: ``obs["cell_type"]`` is a Series, ``obs.to_frame()`` the data frame.

    Cutting a data frame for every batch takes longer than making the batch; so a column is cut when it is asked for.

    Attributes
    ----------
    index
        Names of the cells.
    columns
        Names of the columns.
    """

    def __init__(self, frame: pd.DataFrame, rows: slice) -> None:
        self._frame, self._rows = frame, rows

    def __reduce__(self) -> tuple[type["Obs"], tuple[pd.DataFrame, slice]]:
        """Without the cells of other batches."""
        return Obs, (self.to_frame(), slice(None))

    def __getitem__(self, column: str) -> pd.Series:
        return self._frame[column].iloc[self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._frame.columns)

    def __len__(self) -> int:
        """Number of columns, as of any mapping."""
        return len(self._frame.columns)

    @property
    def index(self) -> pd.Index:
        """Names of the cells."""
        return self._frame.index[self._rows]

    @property
    def columns(self) -> pd.Index:
        """Names of the columns."""
        return self._frame.columns

    def to_frame(self) -> pd.DataFrame:
        """All columns, a row a cell."""
        return self._frame.iloc[self._rows]

    def __repr__(self) -> str:
        return repr(self.to_frame())

    def _ipython_key_completions_(self) -> list[str]:
        return self.columns.tolist()


class Batch(NamedTuple):
    """Some cells: ``for X, obs in loader``.

    Attributes
    ----------
    X
        Cells × genes: `scipy.sparse.csr_matrix`, or a numpy array with ``dense``; float32.
    obs
        Their columns of obs, each a Series when asked for; ``obs.to_frame()`` is the data frame.
    """

    X: Any
    obs: Obs


def join_batches(parts: list[Batch]) -> Batch:
    """One batch of parts from several loads."""
    if len(parts) == 1:
        return parts[0]
    frame = pd.concat([part.obs.to_frame() for part in parts])
    matrices = [part.X for part in parts]
    X = sparse.vstack(matrices, format="csr") if sparse.issparse(matrices[0]) else np.concatenate(matrices)
    return Batch(X, Obs(frame, slice(0, len(frame))))
