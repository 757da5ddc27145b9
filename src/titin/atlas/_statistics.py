"""The statistics that an Expression has as a DataFrame has them."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas._stats import Question, describe_cells, extremes, moments, sums
from titin.atlas.errors import SelectionError

_AXES = {0: 0, "index": 0, "rows": 0, 1: 1, "columns": 1}


class Statistics(ABC):
    """Statistics over cells (``axis=0``) or genes (``axis=1``), streamed, as float64 Series."""

    question: Question

    @property
    @abstractmethod
    def index(self) -> pd.Index:
        """Names of the cells."""

    @property
    @abstractmethod
    def columns(self) -> pd.Index:
        """Names of the genes."""

    def sum(self, axis: int | str = 0) -> pd.Series:
        """Sum of each gene over the cells, or (``axis=1``) of each cell over the genes; float64."""
        if _axis(axis):
            return self._per_cell(describe_cells(self.question)[:, 0])
        return self._per_gene(sums(self.question)[0])

    def mean(self, axis: int | str = 0) -> pd.Series:
        """Mean of each gene over the cells, or (``axis=1``) of each cell over the genes; float64.

        Over all cells it is known from the build, and nothing is read but that.
        """
        n = self._length(axis)
        with np.errstate(invalid="ignore"):
            if _axis(axis):
                return self.sum(axis=1) / n
            if self.question.rows is None and n:
                known, columns = self.question.reader.genes.mean, self.question.columns
                return self._per_gene(known.copy() if columns is None else known[columns])
            return self._per_gene(sums(self.question)[0] / np.float64(n))

    def var(self, axis: int | str = 0, ddof: int = 1) -> pd.Series:
        """Variance of each gene over the cells, or (``axis=1``) of each cell over the genes; float64."""
        free = self._length(axis) - ddof
        if _axis(axis):
            distances, back = describe_cells(self.question)[:, 1], self._per_cell
        else:
            distances, back = moments(self.question)[1][0], self._per_gene
        return back(distances / free if free > 0 else np.full_like(distances, np.nan))

    def std(self, axis: int | str = 0, ddof: int = 1) -> pd.Series:
        """Standard deviation, the root of `var`."""
        return self.var(axis, ddof) ** 0.5

    def min(self, axis: int | str = 0) -> pd.Series:
        """Minimum of each gene over the cells, or (``axis=1``) of each cell over the genes; float64."""
        if _axis(axis):
            return self._per_cell(describe_cells(self.question)[:, 2])
        return self._per_gene(extremes(self.question)[0][0])

    def max(self, axis: int | str = 0) -> pd.Series:
        """Maximum of each gene over the cells, or (``axis=1``) of each cell over the genes; float64."""
        if _axis(axis):
            return self._per_cell(describe_cells(self.question)[:, 3])
        return self._per_gene(extremes(self.question)[1][0])

    def _length(self, axis: int | str) -> int:
        return self.question.n_columns if _axis(axis) else self.question.n_rows

    def _per_gene(self, values: NDArray[Any]) -> pd.Series:
        return pd.Series(values, index=self.columns)

    def _per_cell(self, values: NDArray[Any]) -> pd.Series:
        return pd.Series(values, index=self.index)


def _axis(axis: int | str) -> int:
    if axis not in _AXES:
        raise SelectionError(f"there is no axis {axis!r}", "axis=0 goes over cells, axis=1 over genes")
    return _AXES[axis]
