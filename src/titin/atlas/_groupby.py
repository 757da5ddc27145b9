"""``expression.groupby(…)``: statistics of groups of cells, streamed."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.atlas._stats import Floats, Question, extremes, group_sizes, moments, sums
from titin.atlas.errors import SelectionError, UnknownNameError

if TYPE_CHECKING:
    from titin.atlas.expression import Expression


class ExpressionGroups:
    """Groups of cells; each method gives a DataFrame of groups × genes (float64) in one pass over the cells.

    Groups are sorted, by category where they are categories; those without cells are left out, and so are cells whose
    label is missing.
    """

    def __init__(self, expression: "Expression", by: Any) -> None:
        self._question = expression.question
        self._columns = expression.columns
        keys = _keys(expression, by)
        grouped = pd.DataFrame(dict(enumerate(keys))).groupby(list(range(len(keys))), observed=True, sort=True)
        numbers = grouped.ngroup().to_numpy(np.float64)
        self._groups = np.where(np.isnan(numbers), -1, numbers).astype(np.int64)
        self._labels = grouped.size().index.set_names([key.name for key in keys])

    @property
    def ngroups(self) -> int:
        """Number of groups."""
        return len(self._labels)

    def __len__(self) -> int:
        return self.ngroups

    def size(self) -> pd.Series:
        """Cells of each group (int64)."""
        return pd.Series(group_sizes(self._question, self._groups, self.ngroups), index=self._labels)

    def sum(self) -> pd.DataFrame:
        """Sum of each gene."""
        return self._frame(sums(*self._grouped))

    def mean(self) -> pd.DataFrame:
        """Mean of each gene."""
        return self._frame(sums(*self._grouped) / self.size().to_numpy()[:, None])

    def var(self, ddof: int = 1) -> pd.DataFrame:
        """Variance of each gene; NaN for a group of no more than ``ddof`` cells."""
        _, squares = moments(*self._grouped)
        free = self.size().to_numpy()[:, None] - ddof
        return self._frame(np.divide(squares, free, where=free > 0, out=np.full_like(squares, np.nan)))

    def std(self, ddof: int = 1) -> pd.DataFrame:
        """Standard deviation of each gene."""
        return self.var(ddof) ** 0.5

    def min(self) -> pd.DataFrame:
        """Minimum of each gene."""
        return self._frame(extremes(*self._grouped)[0])

    def max(self) -> pd.DataFrame:
        """Maximum of each gene."""
        return self._frame(extremes(*self._grouped)[1])

    @property
    def _grouped(self) -> tuple[Question, Any, int]:
        return self._question, self._groups, self.ngroups

    def _frame(self, values: Floats) -> pd.DataFrame:
        return pd.DataFrame(values, index=self._labels, columns=self._columns)

    def __repr__(self) -> str:
        return f"{self.ngroups:,} groups of {self._question.n_rows:,} cells; .mean(), .sum(), .var(), .size() …"


def _keys(expression: "Expression", by: Any) -> list[pd.Series]:
    """Return the labels of the cells, one Series each for what they are grouped by."""
    if isinstance(by, list) and by and all(isinstance(name, str) for name in by):
        columns = expression.atlas.obs.columns
        if len(by) != len(expression) or all(name in columns for name in by):
            return [_key(expression, name) for name in by]
    return [_key(expression, by)]


def _key(expression: "Expression", by: Any) -> pd.Series:
    if isinstance(by, str):
        obs = expression.atlas.ordered_obs
        if by not in obs.columns:
            raise UnknownNameError(f"obs has no column {by!r}", f"columns: {', '.join(map(str, obs.columns))}")
        column = obs[by] if expression.rows is None else obs[by].iloc[expression.rows]
        return column.reset_index(drop=True)
    if isinstance(by, pd.Series) and not isinstance(by.index, pd.RangeIndex) and not by.index.equals(expression.index):
        if not by.index.is_unique or (by.index.get_indexer(expression.index) < 0).any():
            raise SelectionError("the index of what to group by is not that of the cells", "pass an array, one a cell")
        by = by.reindex(expression.index)
    values = pd.Series(by).reset_index(drop=True)
    if len(values) != len(expression):
        raise SelectionError(f"{len(values):,} labels for {len(expression):,} cells", "give one label a cell")
    return values
