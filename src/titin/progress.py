"""How a long step tells what it is doing: not at all, as bars on a terminal, or as lines elsewhere."""

import time
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress:
    """Told of every step's beginning, advance and end. This one says nothing."""

    def start(self, step: str, total: int, unit: str) -> None:
        """A step begins that has ``total`` units to do."""

    def advance(self, amount: int) -> None:
        """Some more units of the current step are done."""

    def finish(self) -> None:
        """The current step is over."""

    def note(self, message: str) -> None:
        """Something that the user should know."""


class LineProgress(Progress):
    """A line when a step begins, at every tenth of it, and when it ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._step: str | None = None
        self._unit, self._total, self._done, self._tenths, self._began = "", 0, 0, 0, 0.0

    def start(self, step: str, total: int, unit: str) -> None:
        """Print the step's name and size."""
        self.finish()
        self._step, self._unit, self._total = step, unit, total
        self._done = self._tenths = 0
        self._began = time.perf_counter()
        self._print(f"{step}: {total:,} {unit}")

    def advance(self, amount: int) -> None:
        """Print at every tenth."""
        self._done += amount
        tenths = 10 * self._done // self._total if self._total else 10
        if self._tenths < tenths < 10:
            self._tenths = tenths
            seconds = time.perf_counter() - self._began
            left = seconds * (self._total - self._done) / self._done
            rate = self._done / max(seconds, 1e-9)
            self._print(f"{self._step}: {10 * tenths} %, {rate:,.0f} {self._unit}/s, {left:.0f} s left")

    def finish(self) -> None:
        """Print how long the step took."""
        if self._step is not None:
            self._print(f"{self._step}: done in {time.perf_counter() - self._began:.1f} s")
        self._step = None

    def note(self, message: str) -> None:
        """Print the message."""
        self._print(message)

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class BarProgress(Progress):
    """A bar with rate and time left for the current step."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: RichProgress | None = None
        self._task: Any = None

    def start(self, step: str, total: int, unit: str) -> None:
        """Show a bar."""
        from rich import progress
        from rich.console import Console

        self.finish()
        self._bars = progress.Progress(
            progress.TextColumn("{task.description:<26}"), progress.BarColumn(), progress.TaskProgressColumn(),
            progress.TextColumn(f"{{task.completed:,.0f}} {unit}"), progress.TimeElapsedColumn(),
            progress.TextColumn("left"), progress.TimeRemainingColumn(),
            console=Console(file=self._stream),
        )  # fmt: skip
        self._bars.start()
        self._task = self._bars.add_task(step, total=total)

    def advance(self, amount: int) -> None:
        """Move the bar."""
        if self._bars is not None:
            self._bars.advance(self._task, amount)

    def finish(self) -> None:
        """Leave the bar as it is."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None

    def note(self, message: str) -> None:
        """Print the message above the bar."""
        if self._bars is not None:
            self._bars.console.print(message, highlight=False, markup=False)
        else:
            print(message, file=self._stream, flush=True)


def make_progress(stream: TextIO) -> Progress:
    """Bars on a terminal, lines elsewhere."""
    return BarProgress(stream) if stream.isatty() else LineProgress(stream)
