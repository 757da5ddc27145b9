"""Different combinations of what columns say of cells: what is asked of all cells is asked of each combination once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset.store import slices
from titin.study.tallies import code


@dataclass(frozen=True, eq=False)
class Combinations:
    """Cells by what several columns say of them together.

    Attributes
    ----------
    rows
        Of the first cell of each combination, in the order in which they are met; int64.
    number
        Which combination each cell has; int32.
    n_cells
        How many cells each combination has; int64.
    """

    rows: NDArray[np.int64]
    number: NDArray[np.int32]
    n_cells: NDArray[np.int64]

    @classmethod
    def of(cls, columns: Sequence[pd.Series | NDArray[np.int32]], n_cells: int) -> "Combinations":
        """Number the combinations, a range of cells after another, in four bytes a cell.

        Parameters
        ----------
        columns
            One entry a cell, of any dtype; an array has numbers of entries, -1 for what is missing, which is an entry
            as well. Without columns, all cells are alike.
        n_cells
            In each column.
        """
        number, rows = np.zeros(n_cells, np.int32), np.zeros(min(n_cells, 1), np.int64)
        for column in columns:
            codes, n_entries = _codes(column)
            rows = _refine(number, codes, n_entries + 1)
        return cls(rows, number, np.bincount(number, minlength=len(rows)).astype(np.int64))

    def table(self, columns: dict[str, pd.Series]) -> pd.DataFrame:
        """What each combination is, one a row: the columns at its first cell."""
        return pd.DataFrame({name: column.iloc[self.rows].array for name, column in columns.items()})


def _codes(column: pd.Series | NDArray[np.int32]) -> tuple[NDArray[Any], int]:
    """Number of each cell's entry, -1 where it is missing, and how many entries there may be."""
    if isinstance(column, np.ndarray):
        return column, int(column.max(initial=-1)) + 1
    coded = code(column)
    return coded.codes, len(coded.names)


def _refine(number: NDArray[np.int32], codes: NDArray[Any], n_codes: int) -> NDArray[np.int64]:
    """Number the pairs of a number and a code, in place; return the first row of each."""
    known, place = np.empty(0, np.int64), np.empty(0, np.int32)  # pairs, ascending, and the number of each
    rows: list[NDArray[np.int64]] = []
    for own in slices(len(number)):
        pairs = number[own].astype(np.int64) * n_codes + codes[own] + 1
        strange = np.flatnonzero(~np.isin(pairs, known))
        if len(strange):
            new, first = np.unique(pairs[strange], return_index=True)
            order = np.argsort(first)  # in which they are met
            rows.append(own.start + strange[first[order]])
            place = np.append(place, len(place) + np.argsort(order).astype(np.int32))
            known = np.append(known, new)
            ascending = np.argsort(known)
            known, place = known[ascending], place[ascending].astype(np.int32)
        number[own] = place[np.searchsorted(known, pairs)]
    return np.concatenate(rows) if rows else np.empty(0, np.int64)
