"""How a pass is shared out over the workers of a cluster: who is sent the next task, and how much is one."""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from operator import length_hint
from typing import Any

_LOOK = 2.0  # seconds between two looks at which workers there are
_TASK = 0.2  # seconds that a task of several items is to take
_MOST = 8  # items of one task


class Shares:
    """Which worker is to have the next task: the one with the fewest that wait, for each of its threads.

    Of several such it is the one that was sent the fewest. Dask itself gives all tasks to the one worker that has what
    they share, from which others then steal some.

    Parameters
    ----------
    look
        Gives the threads of each worker by its address: after a while there may be others.
    """

    def __init__(self, look: Callable[[], dict[str, int]]) -> None:
        self._look, self._looked, self._found = look, -_LOOK, dict[str, int]()
        self._waiting = deque[tuple[str, Any]]()
        self._sent = Counter[str]()

    @property
    def n_threads(self) -> int:
        """Of all workers together."""
        return sum(self._threads().values())

    def next(self) -> str | None:
        """The address of a worker; None where there is none."""
        self._waiting = deque((worker, future) for worker, future in self._waiting if future.status == "pending")
        waiting, sent, threads = Counter(worker for worker, _ in self._waiting), self._sent, self._threads()

        def load(worker: str) -> tuple[float, float]:
            return (waiting[worker] + 1) / threads[worker], sent[worker] / threads[worker]

        return min(threads, key=load, default=None)

    def note(self, worker: str | None, future: Any) -> None:
        """Remember what a worker was sent."""
        if worker is not None:
            self._waiting.append((worker, future))
            self._sent[worker] += 1

    def _threads(self) -> dict[str, int]:
        if time.monotonic() - self._looked >= _LOOK:
            self._found, self._looked = self._look(), time.monotonic()
        return self._found


class TaskSize:
    """How many items are one task: first one, then as many as take a fifth of a second, fewer again towards the end.

    Parameters
    ----------
    items
        All of them; without a length there is no end in sight.
    shares
        The workers that they are for.
    """

    def __init__(self, items: Iterable[Any], shares: Shares) -> None:
        self._left, self._shares = length_hint(items, sys.maxsize), shares
        self._size = 1

    def next(self) -> int:
        """Number of items of the next task."""
        share = -(-self._left // (2 * max(self._shares.n_threads, 1)))
        size = max(1, min(self._size, share))
        self._left = max(self._left - size, 0)
        return size

    def learn(self, seconds: float, n_items: int) -> None:
        """Take note of what a task took."""
        self._size = max(1, min(_MOST, int(_TASK * n_items / max(seconds, 1e-6))))
