"""Memory of batches that nobody holds any more, for the next ones."""

import sys
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_KEPT = 12


class Arrays:
    """Hands out arrays, and hands their memory out again once no view of them is left.

    Fresh memory costs a page fault for every 4 kB, which is more than filling it. A buffer is free when nothing but
    this pool refers to it: every array made of it, and every view of those, holds a reference to the buffer itself.
    """

    def __init__(self) -> None:
        self._buffers: list[NDArray[np.uint8]] = []
        self._lock = Lock()

    def __reduce__(self) -> tuple[type["Arrays"], tuple[()]]:
        """In another process it begins empty."""
        return Arrays, ()

    def take(self, n: int, dtype: DTypeLike) -> NDArray[Any]:
        """An array of ``n`` elements, with whatever was in its memory before."""
        size = n * np.dtype(dtype).itemsize
        with self._lock:
            for i in range(len(self._buffers)):
                # two references are the list's and the argument's
                if len(self._buffers[i]) >= size and sys.getrefcount(self._buffers[i]) == 2:
                    return self._buffers[i][:size].view(dtype)
            buffer = np.empty(size + size // 4 + 64, np.uint8)
            if len(self._buffers) >= _KEPT:
                self._buffers.pop(0)
            self._buffers.append(buffer)
            return buffer[:size].view(dtype)
