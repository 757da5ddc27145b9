"""What can be wrong with a question to an Atlas; each is also the built-in error that pandas users expect."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.text import memory


class MemoryLimitError(TitinError, MemoryError):
    """The answer would not fit the memory limit; the message says how large it is and what to call instead."""


class UnknownNameError(TitinError, KeyError):
    """No such cell, gene or column, or several genes of that symbol."""


class SelectionError(TitinError, IndexError):
    """A position out of range, a mask of the wrong length, or what is no selection at all."""


def check_memory(size: float, limit: int, what: str, instead: str) -> None:
    """Refuse what takes more than the limit.

    Parameters
    ----------
    size
        Bytes that the result takes.
    limit
        Bytes that it may take.
    what
        The result, as in "a table of 10 cells × 20 genes".
    instead
        What to call instead.

    Raises
    ------
    MemoryLimitError
        If ``size`` is above ``limit``.
    """
    if size > limit:
        allow = f'titin.open(…, memory="{max(1, -(-int(size) // 2**30))}GiB") allows it'
        raise MemoryLimitError(
            f"{what} takes {memory(size)} of memory; the limit is {memory(limit)}", f"{instead}; {allow}"
        )


Positions = NDArray[np.int64]
Find = Callable[[Sequence[Any]], Positions]


def resolve(selector: Any, n: int, what: str, names: Callable[[], pd.Index], find: Find) -> Positions | None:
    """Return the positions that a selector means, in its order; None for all of them.

    Parameters
    ----------
    selector
        None, a slice or numbers (negative ones from the end), a mask of length ``n`` (a Series is aligned by its
        index), or names.
    n
        How many there are.
    what
        ``cell`` or ``gene``, for messages.
    names
        Gives all names, for aligning a mask.
    find
        Gives the positions of some names.

    Raises
    ------
    SelectionError
        If a position is out of range, a mask does not fit, or the selector is none of these.
    UnknownNameError
        If a name is not there.
    """
    if selector is None or (isinstance(selector, slice) and selector == slice(None)):
        return None
    if isinstance(selector, slice):
        return _of_slice(selector, n, what)
    if isinstance(selector, str):
        return find([selector])
    if isinstance(selector, pd.Series) and pd.api.types.is_bool_dtype(selector.dtype):
        return np.flatnonzero(_aligned(selector, names(), what))
    values = _as_array(selector, what)
    if values.dtype.kind == "b":
        if len(values) != n:
            raise SelectionError(f"the mask has {len(values):,} entries for {n:,} {what}s", "give one entry each")
        return np.flatnonzero(values)
    if values.dtype.kind in "iu":
        return _in_range(values, n, what)
    if len(values) == 0:
        return np.empty(0, np.int64)
    if values.dtype.kind in "OUT":
        return find(values.tolist())
    raise SelectionError(f"{what}s cannot be chosen by {values.dtype}", "use a slice, numbers, a mask or names")


def _of_slice(selector: slice, n: int, what: str) -> Positions:
    try:
        return np.arange(*selector.indices(n), dtype=np.int64)
    except TypeError:
        raise SelectionError(
            f"{what}s cannot be sliced by {selector!r}", "slice by position; .loc slices by name"
        ) from None


def _as_array(selector: Any, what: str) -> NDArray[Any]:
    if isinstance(selector, int | np.integer) and not isinstance(selector, bool):
        return np.array([selector])
    if isinstance(selector, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        boolean = pd.api.types.is_bool_dtype(selector.dtype)
        if boolean and bool(pd.isna(np.asarray(selector, dtype=object)).any()):
            raise SelectionError(f"the mask of {what}s has missing entries", "fill them: mask.fillna(False)")
        return selector.to_numpy(dtype=bool) if boolean else np.asarray(selector)
    if isinstance(selector, bool | float | dict | set) or not hasattr(selector, "__iter__"):
        raise SelectionError(
            f"{what}s cannot be chosen by {type(selector).__name__}", "use a slice, numbers, a mask or names"
        )
    values = selector if isinstance(selector, np.ndarray) else list(selector)
    array = np.asarray(values, dtype=object) if values is not selector and _has_text(values) else np.asarray(values)
    if array.ndim != 1:
        raise SelectionError(f"{what}s are chosen by one dimension, not {array.ndim}", "flatten it: .ravel()")
    return array


def _has_text(values: Iterable[Any]) -> bool:
    return any(isinstance(value, str) for value in values)


def _aligned(mask: pd.Series, names: pd.Index, what: str) -> NDArray[np.bool_]:
    if len(mask) != len(names):
        raise SelectionError(f"the mask has {len(mask):,} entries for {len(names):,} {what}s", "give one entry each")
    if mask.isna().any():
        raise SelectionError(f"the mask of {what}s has missing entries", "fill them: mask.fillna(False)")
    if isinstance(mask.index, pd.RangeIndex) or mask.index.equals(names):
        return mask.to_numpy(dtype=bool)
    places = mask.index.get_indexer(names) if mask.index.is_unique else np.array([-1])
    if (places < 0).any():
        raise SelectionError(f"the mask's index is not that of the {what}s", "pass mask.to_numpy() to go by position")
    aligned: NDArray[np.bool_] = mask.to_numpy(dtype=bool)[places]
    return aligned


def _in_range(values: NDArray[Any], n: int, what: str) -> Positions:
    positions = values.astype(np.int64)
    bad = (positions >= n) | (positions < -n)
    if bad.any():
        raise SelectionError(f"there is no {what} {values[bad][0]:,}: the dataset has {n:,}", f"{what}s count from 0")
    return np.where(positions < 0, positions + n, positions)


def check_once(positions: Positions, names: pd.Index) -> None:
    """Refuse columns of which one comes twice.

    Raises
    ------
    SelectionError
        Naming it.
    """
    once, numbers = np.unique(positions, return_counts=True)
    if len(once) < len(positions):
        raise SelectionError(f"the gene {names[once[numbers > 1][0]]!r} is named twice", "name each gene once")
