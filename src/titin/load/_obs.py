"""The columns of obs that go with a batch, looked up when asked for."""

from collections.abc import Iterator, Mapping

import pandas as pd


class Obs(Mapping[str, pd.Series]):
    """obs of one batch: ``obs["annotation_level0"]`` is a Series, ``obs.to_frame()`` the data frame.

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
