"""How fast a step goes and how long the rest of it will take, and a sign of life where nothing else is to be told."""

import threading
import time
from collections.abc import Callable

_MARKS = 200  # as many points of a step's past are kept at most
_TOO_SOON = 5.0  # seconds in which easy parts may have been done, and after which a short step is over
_SILENCE = 6.0  # seconds after which somebody who waits wants to know


class Pace:
    """The speed of one step, by the later half of what it has done: a first part also opens, loads and compiles.

    Parameters
    ----------
    total
        Units of the step.
    clock
        Seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.total, self.done = total, 0
        self._clock = clock
        self._marks = [(clock(), 0)]

    def advance(self, amount: int) -> None:
        """Some more units are done."""
        self.done += amount
        if (self.done - self._marks[-1][1]) * _MARKS >= self.total:
            self._marks.append((self._clock(), self.done))

    @property
    def rate(self) -> float | None:
        """Units a second; None until a second part is done."""
        now, done = self._marks[-1]
        then, before = next(mark for mark in reversed(self._marks) if 2 * mark[1] <= done)
        if before == 0:
            return None
        return (done - before) / max(now - then, 1e-9)

    @property
    def left(self) -> float | None:
        """Seconds to the end of the step; None where nobody knows yet: too soon, or after one part."""
        rate = self.rate
        return None if rate is None or self.seconds < _TOO_SOON else (self.total - self.done) / rate

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return self._clock() - self._marks[0][0]


class Pulse:
    """Calls a function from a thread of its own when nothing has been told for some seconds, and again and again.

    The longer the silence, the longer the pauses: a tenth of it.

    Parameters
    ----------
    beat
        Is given how many seconds nothing has been told.
    silence
        Seconds to the first call.
    """

    def __init__(self, beat: Callable[[float], None], silence: float = _SILENCE) -> None:
        self._beat, self._silence = beat, silence
        self._told = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="titin-pulse", daemon=True)
        self._thread.start()

    def told(self) -> None:
        """Something was told."""
        self._told = time.monotonic()

    def stop(self) -> None:
        """End it; nothing is told after this."""
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        due = self._told + self._silence
        while not self._over.wait(max(due - time.monotonic(), 0.0)):
            told, now = self._told, time.monotonic()
            silent = now - told
            if silent < self._silence:
                due = told + self._silence
                continue
            try:
                self._beat(silent)
            except (OSError, ValueError):  # nobody listens: the stream is closed
                return
            due = now + max(self._silence, silent / 10)
