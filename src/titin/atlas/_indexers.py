"""``expression.loc`` and ``expression.iloc``: cells and genes by name, or by position."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from titin.atlas._select import Positions, resolve
from titin.atlas.errors import SelectionError, UnknownNameError

if TYPE_CHECKING:
    from titin.atlas.expression import Expression


class Indexer(ABC):
    """What ``loc`` and ``iloc`` share: two keys to a value, a Series, or a smaller Expression."""

    def __init__(self, expression: "Expression") -> None:
        self._expression = expression

    def __getitem__(self, key: Any) -> Any:
        """Select cells, or cells and genes.

        Returns
        -------
        Expression
            For several cells and genes; still nothing is read.
        Series
            For one cell (index: genes) or one gene (index: cells).
        number
            For one of each.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, slice(None))
        if isinstance(rows, tuple):
            raise SelectionError(f"there are 2 dimensions, not {len(rows)}", "select cells, genes")
        row, column = self._one(rows, 0), self._one(columns, 1)
        chosen = self._expression.select(
            self._several(rows, 0) if row is None else np.array([row]),
            self._several(columns, 1) if column is None else np.array([column]),
        )
        if row is None and column is None:
            return chosen
        values = chosen.to_frame()
        if row is not None and column is not None:
            return values.to_numpy()[0, 0]
        return values.iloc[0] if row is not None else values.iloc[:, 0]

    @abstractmethod
    def _one(self, key: Any, axis: int) -> int | None:
        """Position of the one cell or gene that a key names; None if it may name several."""

    @abstractmethod
    def _several(self, key: Any, axis: int) -> Positions | None:
        """Positions that a key selects; None for all."""

    def _names(self, axis: int) -> pd.Index:
        return self._expression.columns if axis else self._expression.index


class ByPosition(Indexer):
    """``expression.iloc``."""

    def _one(self, key: Any, axis: int) -> int | None:
        if isinstance(key, int | np.integer) and not isinstance(key, bool | np.bool_):
            positions = self._several(key, axis)
            return None if positions is None else int(positions[0])
        return None

    def _several(self, key: Any, axis: int) -> Positions | None:
        def refuse(names: Any) -> Positions:
            raise SelectionError(f"iloc goes by position, not by {names[0]!r}", "use loc for names")

        return resolve(key, self._expression.shape[axis], _WHAT[axis], lambda: self._names(axis), refuse)


class ByName(Indexer):
    """``expression.loc``."""

    def _one(self, key: Any, axis: int) -> int | None:
        if not isinstance(key, str):
            return None
        positions = self._find([key], axis)
        return int(positions[0]) if len(positions) == 1 else None

    def _several(self, key: Any, axis: int) -> Positions | None:
        if isinstance(key, slice) and key != slice(None):
            return self._slice(key, axis)
        return resolve(
            _no_numbers(key), self._expression.shape[axis], _WHAT[axis], lambda: self._names(axis),
            lambda names: self._find(names, axis),
        )  # fmt: skip

    def _slice(self, key: slice, axis: int) -> Positions:
        """From one name to another, the last included."""
        names = self._names(axis)
        ends = [None if name is None else int(self._find([name], axis)[0]) for name in (key.start, key.stop)]
        stop = None if ends[1] is None else ends[1] + 1
        return np.arange(len(names))[ends[0] : stop : key.step]

    def _find(self, names: Any, axis: int) -> Positions:
        return self._expression.find_columns(names) if axis else self._find_rows(names)

    def _find_rows(self, names: Any) -> Positions:
        found = self._names(0).get_indexer_for(pd.Index(names, dtype=object if len(names) == 0 else None))
        missing = np.flatnonzero(found < 0)
        if len(missing):
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            shown = names[missing[0]] if len(found) == len(names) else next(n for n in names if n not in self._names(0))
            raise UnknownNameError(f"there is no cell {shown!r} here{more}", "cells are named as in expression.index")
        return found.astype(np.int64)


_WHAT = ("cell", "gene")


def _no_numbers(key: Any) -> Any:
    """Refuse positions where names are meant."""
    values = key if isinstance(key, np.ndarray | pd.Series | pd.Index) else None
    kind = np.asarray(values).dtype.kind if values is not None else ""
    single = isinstance(key, int | float | np.number) and not isinstance(key, bool)
    listed = isinstance(key, list | tuple) and any(isinstance(k, int) and not isinstance(k, bool) for k in key)
    if single or listed or kind in ("i", "u", "f"):
        raise SelectionError("loc goes by name, not by position", "use iloc for positions")
    return key
