"""Columns of tables that are to be drawn, and the rows that have what is needed."""

from collections.abc import Sequence

import pandas as pd

from titin.errors import TitinError


def require(table: pd.DataFrame, column: str) -> pd.Series:
    """A column of a table that is to be drawn.

    Raises
    ------
    TitinError
        If there is none of that name.
    """
    if column not in table.columns:
        raise TitinError(f"the table has no column {column!r}", f"columns: {', '.join(map(str, table.columns))}")
    return table[column]


def known_rows(table: pd.DataFrame, needed: Sequence[str], others: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of a table that have all that is needed; it must have other columns too.

    Raises
    ------
    TitinError
        If there is no such column, or no such row.
    """
    for name in (*needed, *others):
        require(table, name)
    data = table.dropna(subset=[*needed])
    if data.empty:
        raise TitinError(f"no row has {' and '.join(needed)}", "there is nothing to draw")
    return data
