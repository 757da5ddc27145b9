"""What occurs more than once among very many, found by hashes: to hold all names of cells would take most memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 16  # hashes that are compared


class RepeatedHashes:
    """Hashes that are given part by part; then which of them are there several times.

    What shares a hash may still differ: whoever looks at it a second time, by `among`, compares things themselves.

    Parameters
    ----------
    n
        Most hashes that there will be.
    dtype
        Of them: ``uint32`` takes half the memory, and lets more things meet that differ.
    """

    def __init__(self, n: int, dtype: type[np.uint32 | np.uint64]) -> None:
        self._hashes: NDArray[Any] = np.empty(n, dtype)
        self._n = 0
        self._several: NDArray[Any] | None = None

    def add(self, hashes: NDArray[Any]) -> None:
        """Take the next hashes; none can be added after `several`."""
        self._hashes[self._n : self._n + len(hashes)] = hashes
        self._n += len(hashes)

    @property
    def several(self) -> NDArray[Any]:
        """Hashes that are there more than once, each once, ascending."""
        if self._several is None:
            ordered = self._hashes[: self._n]
            ordered.sort()
            parts = [part[1:][part[1:] == part[:-1]] for part in _overlapping(ordered)]
            self._several = np.unique(np.concatenate(parts))
            self._hashes = ordered[:0].copy()
        return self._several

    def among(self, hashes: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of some hashes are there more than once."""
        return np.isin(hashes, self.several)


def _overlapping(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Values some at a time, with the last of those before."""
    return (values[max(start - 1, 0) : start + _AT_ONCE] for start in range(0, max(len(values), 1), _AT_ONCE))
