"""Cells that take no part in an analysis because they lack what it needs: found, counted and said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.dataset import layout
from titin.text import say_some

CHOSEN = "--where"  # column that is missing of what was not chosen
_NAMED = 6  # most donors in a sentence


@dataclass(frozen=True, eq=False)
class Complete:
    """Which rows of a table have all that is needed.

    Attributes
    ----------
    rows
        bool, one a row.
    cells_left_out
        Cells of the other rows by what they lack; a cell counts once, under the first that it lacks.
    donors_left_out
        Donors (text) of whom no cell is left, sorted.
    """

    rows: NDArray[np.bool_]
    cells_left_out: dict[str, int] = field(default_factory=dict)
    donors_left_out: list[str] = field(default_factory=list)

    @property
    def chosen(self) -> NDArray[np.int64] | None:
        """Positions of the rows (int64), as what is to be read; None for all."""
        return None if self.rows.all() else np.flatnonzero(self.rows)


def find_complete(table: pd.DataFrame, needed: Sequence[str]) -> Complete:
    """Find the rows that have all that is needed, and count the cells of the others.

    Parameters
    ----------
    table
        One row a cell, as `titin.study.design.Study.keys`, or one row a group of ``n_cells``.
    needed
        Columns, in the order in which what is missing is told; those that the table does not have are passed over.
        What was not chosen (`CHOSEN`) is left out before.

    Examples
    --------
    >>> keys = pd.DataFrame({"donor": ["a", None, "a"], "age": [30.0, 40.0, None]})
    >>> found = find_complete(keys, ["donor", "age", "sex"])
    >>> found.rows.tolist(), found.cells_left_out
    ([True, False, False], {'donor': 1, 'age': 1})
    """
    kept = np.ones(len(table), bool)
    cells = table[layout.N_CELLS].to_numpy(np.int64) if layout.N_CELLS in table else np.ones(len(table), np.int64)
    lacking: dict[str, int] = {}
    for name in dict.fromkeys(name for name in (CHOSEN, *needed) if name in table):
        missing = kept & table[name].isna().to_numpy(bool)
        if n := int(cells[missing].sum()):
            lacking[str(name)] = n
        kept &= ~missing
    donors: list[str] = []
    if lacking and "donor" in table:
        named = table["donor"].notna().to_numpy(bool)
        donors = sorted({str(d) for d in table["donor"][named & ~kept].unique()}
                        - {str(d) for d in table["donor"][named & kept].unique()})  # fmt: skip
    return Complete(kept, lacking, donors)


def say_left_out(cells: Mapping[str, int], donors: Sequence[str] = ()) -> list[str]:
    """Say who takes no part: one sentence without its full stop, or none.

    Examples
    --------
    >>> say_left_out({"donor": 80, "age": 1200}, ["D3"])
    ['1,280 cells take no part: 80 without donor, 1,200 without age; of donor D3 no cell is left']
    >>> say_left_out({})
    []
    """
    total = sum(cells.values())
    if not total:
        return []
    reasons = ", ".join(f"{n:,} {'not chosen by' if name == CHOSEN else 'without'} {name}"
                        for name, n in cells.items() if n)  # fmt: skip
    said = f"{total:,} cell{'s take' if total != 1 else ' takes'} no part: {reasons}"
    if donors:
        said += f"; of donor{'s' * (len(donors) > 1)} {say_some(donors, _NAMED)} no cell is left"
    return [said]
