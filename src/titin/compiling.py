"""Says that numba compiles: what takes seconds when a kernel is first used, and is kept for every later run."""

import math
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from titin.console import say

_PAUSE = 2.0  # seconds between two lines, as many kernels take less


def announce(say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Have every kernel named before it is compiled, those that take less than a moment together with others.

    Parameters
    ----------
    say
        Is given one line a time, from the thread that compiles.
    clock
        Seconds.

    Returns
    -------
    A function that ends it.
    """
    from numba.core import event

    class Announcer(event.Listener):
        """Hears of every function that numba compiles because it is in no cache; tells of those that titin calls."""

        def __init__(self) -> None:
            self._next = -math.inf
            self._within = threading.local()  # how many are being compiled for the sake of others

        def on_start(self, event: Any) -> None:
            depth = getattr(self._within, "depth", 0)
            self._within.depth = depth + 1
            now = clock()
            if depth == 0 and now >= self._next:
                self._next = now + _PAUSE
                say(_line(event.data["dispatcher"]))

        def on_end(self, event: Any) -> None:  # noqa: ARG002 - numba's signature
            self._within.depth -= 1

    announcer = Announcer()
    event.register("numba:compile", announcer)
    return lambda: event.unregister("numba:compile", announcer)


@cache
def announce_to_people() -> bool:
    """Name kernels on stderr where somebody sits before it, in a notebook or at Python's prompt; once is enough."""
    if hasattr(sys, "ps1"):
        announce(lambda line: say(line, err=True))
        return True
    return False


def _line(kernel: Any) -> str:
    """Name a kernel of titin, or of a library, and say whether it has to be compiled again."""
    package = kernel.py_func.__module__.partition(".")[0]
    name = kernel.py_func.__name__ if package == "titin" else f"{package}'s {kernel.py_func.__name__}"
    return f"compiling {name} ({'once on this machine' if kernel.stats.cache_path else 'in each run'})"
