"""How a long step tells what it is doing: not at all, as bars on a terminal, or as lines elsewhere."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from titin.console import make_console, say
from titin.pace import Pace, Pulse
from titin.visible import visible

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

    def close(self) -> None:
        """Nothing more is told."""


class _Told(Progress):
    """What bars and lines share: once watched, no long silence, and no compiling of which nobody knows."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._at = ""
        self._pace = Pace(0)
        self._pulse: Pulse | None = None
        self._unannounce: Callable[[], None] | None = None

    def watch(self) -> None:
        """Tell of compiling, and that work goes on when nothing else is told, until `close`."""
        self._pulse = Pulse(self._still)
        from titin.compiling import announce  # which takes a moment on a machine that has never imported numba

        self._unannounce = announce(self.note)

    def close(self) -> None:
        """End what `watch` began. A step that goes on was interrupted, and is not said to be done."""
        if self._unannounce is not None:
            self._unannounce()
        if self._pulse is not None:
            self._pulse.stop()
        self._unannounce = self._pulse = None

    def _still(self, silent: float) -> None:
        """Say that work goes on after so many seconds in which nothing was told."""
        self._print(f"{self._at or 'working'}: still at it, {silent:.0f} s")

    def _tell(self, line: str) -> None:
        if self._pulse is not None:
            self._pulse.told()
        self._print(line)

    def _print(self, line: str) -> None:
        say(visible(line), file=self._stream)


class LineProgress(_Told):
    """A line when a step begins, at every tenth of it, and when it ends."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._step: str | None = None
        self._unit, self._tenths = "", 0

    def start(self, step: str, total: int, unit: str) -> None:
        """Print the step's name and size."""
        self.finish()
        self._step = self._at = step
        self._unit, self._tenths = unit, 0
        self._pace = Pace(total)
        self._tell(f"{step}: {total:,} {unit}")

    def advance(self, amount: int) -> None:
        """Print at every tenth, with rate and time left as soon as they can be told."""
        pace = self._pace
        pace.advance(amount)
        tenths = 10 * pace.done // pace.total if pace.total else 10
        if self._tenths < tenths < 10:
            self._tenths = tenths
            rate, left = pace.rate, pace.left
            self._tell(f"{self._step}: {10 * tenths} %{_say_rate(rate, self._unit)}{_say_left(left)}")

    def finish(self) -> None:
        """Print how long the step took."""
        if self._step is not None:
            self._tell(f"{self._step}: done in {self._pace.seconds:.1f} s")
        self._step = None

    def note(self, message: str) -> None:
        """Print the message."""
        self._at = message if self._step is None else self._at
        self._tell(message)


class BarProgress(_Told):
    """A bar with the time left for the current step."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._bars: RichProgress | None = None
        self._task: Any = None

    def start(self, step: str, total: int, unit: str) -> None:
        """Show a bar."""
        from rich import progress

        self.finish()
        self._at = step
        self._pace = Pace(total)
        self._bars = progress.Progress(
            progress.TextColumn("{task.description:<26}", markup=False), progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.completed:,.0f} {task.fields[unit]}", markup=False),
            progress.TimeElapsedColumn(), progress.TextColumn("{task.fields[left]}", markup=False),
            console=make_console(file=self._stream),
        )  # fmt: skip
        self._bars.start()
        self._task = self._bars.add_task(visible(step), total=total, unit=visible(unit), left="")

    def advance(self, amount: int) -> None:
        """Move the bar."""
        self._pace.advance(amount)
        if self._bars is not None:
            self._bars.update(self._task, advance=amount, left=_say_left(self._pace.left).strip(", "))

    def finish(self) -> None:
        """Leave the bar as it is."""
        if self._bars is not None:
            self._bars.update(self._task, left="")
            self._bars.stop()
            self._at = f"after {self._at}"
            if self._pulse is not None:
                self._pulse.told()
        self._bars = None

    def note(self, message: str) -> None:
        """Print the message above the bar."""
        if self._bars is not None:
            self._bars.console.print(visible(message), highlight=False, markup=False)
        else:
            self._at = message
            self._tell(message)

    def close(self) -> None:
        """Leave the bar as it is, and end what `watch` began."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        super().close()

    def _still(self, silent: float) -> None:
        if self._bars is None:  # a bar counts the seconds itself
            super()._still(silent)


def _say_rate(rate: float | None, unit: str) -> str:
    return "" if rate is None else f", {rate:{',.0f' if rate >= 10 else '.2g'}} {unit}/s"


def _say_left(left: float | None) -> str:
    return "" if left is None else f", {left:,.0f} s left"


def watched(stream: TextIO) -> Progress:
    """Bars on a terminal, lines elsewhere, without long silences; to be closed at the end."""
    progress = BarProgress(stream) if stream.isatty() else LineProgress(stream)
    progress.watch()
    return progress
