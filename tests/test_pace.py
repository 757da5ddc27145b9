"""Progress: estimates of the time left, a sign of life, and what is said of compiling."""

import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from titin.pace import Pace, Pulse
from titin.progress import LineProgress, watched

TIMELINES = json.loads((Path(__file__).parent / "timelines.json").read_text())
CLOSE = 3.0  # seconds by which any estimate may be wrong


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def estimates(timeline: dict, *, naive: bool = False) -> list[tuple[float, float]]:
    """Seconds left as told, and as it turned out, at every tenth of a recorded step."""
    clock = Clock()
    pace = Pace(timeline["total"], clock)
    end, told, tenths = timeline["seconds"], [], 0
    for at, amount in timeline["advances"]:
        clock.now = at
        pace.advance(amount)
        if tenths < (now := 10 * pace.done // pace.total) < 10:
            tenths = now
            left = at * (pace.total - pace.done) / pace.done if naive else pace.left
            if left is not None:
                told.append((left, end - at))
    return told


def wrong(told: float, true: float) -> bool:
    return abs(told - true) > CLOSE and not true / 10 < told < true * 10


@pytest.mark.parametrize("name", TIMELINES)
def test_no_estimate_is_wrong_by_ten(name: str) -> None:
    assert not [pair for pair in estimates(TIMELINES[name]) if wrong(*pair)]


def test_the_timelines_tell_a_bad_estimate() -> None:
    assert any(wrong(*pair) for timeline in TIMELINES.values() for pair in estimates(timeline, naive=True))
    assert sum(len(estimates(timeline)) for timeline in TIMELINES.values()) > 15


@pytest.mark.parametrize(
    ("advances", "left"),
    [
        ([(5.0, 10)], None),  # one part may have opened, loaded and compiled
        ([(5.0, 10), (6.0, 10)], 8.0),
        ([(50.0, 10), (51.0, 10), (52.0, 10)], 7.0),
        ([(1.0, 25), (2.0, 25), (12.0, 25)], 5.5),
    ],
)
def test_the_first_part_does_not_count(advances: list[tuple[float, int]], left: float | None) -> None:
    clock = Clock()
    pace = Pace(100, clock)
    for clock.now, amount in advances:
        pace.advance(amount)
    assert pace.left == (None if left is None else pytest.approx(left))


def test_the_pulse_tells_of_silence_only() -> None:
    beats: list[float] = []
    beaten = threading.Event()

    def beat(silent: float) -> None:
        beats.append(silent)
        beaten.set()

    pulse = Pulse(beat, silence=0.5)
    for _ in range(10):
        assert not beaten.wait(0.1)
        pulse.told()
    assert beaten.wait(10)
    pulse.stop()
    assert beats[0] >= 0.5


def test_no_pulse_is_left_when_a_progress_is_closed() -> None:
    stream = io.StringIO()
    progress = watched(stream)
    assert [t for t in threading.enumerate() if t.name == "titin-pulse"]
    progress.start("count", 2, "sheep")
    progress.close()
    assert not [t for t in threading.enumerate() if t.name == "titin-pulse"]
    assert stream.getvalue().splitlines() == ["count: 2 sheep"]  # it is not said to be done


@pytest.mark.parametrize(("seconds", "said"), [(0.5, "2 sheep/s"), (0.01, "100 sheep/s"), (8.0, "0.12 sheep/s")])
def test_speed_is_told_of_slow_steps_too(seconds: float, said: str) -> None:
    stream, clock = io.StringIO(), Clock()
    progress = LineProgress(stream)
    progress.start("count", 5, "sheep")
    progress._pace = Pace(5, clock)
    for amount in (1, 2):
        clock.now += seconds * amount
        progress.advance(amount)
    assert said in stream.getvalue()


def test_a_pulse_whose_listener_has_gone_ends() -> None:
    def beat(silent: float) -> None:
        raise ValueError("I/O operation on closed file")

    pulse = Pulse(beat, silence=0.01)
    pulse._thread.join(10)
    assert not pulse._thread.is_alive()


def test_what_is_told_in_silence_names_the_step() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream)
    progress._still(6.0)
    progress.note("making 3 cells")
    progress._still(6.2)
    progress.start("count", 10, "sheep")
    progress._still(12.0)
    assert [line for line in stream.getvalue().splitlines() if "still" in line] == [
        "working: still at it, 6 s", "making 3 cells: still at it, 6 s", "count: still at it, 12 s",
    ]  # fmt: skip


COMPILES = """
import sys
from titin.compiling import announce
now = [0.0]
end = announce(print, clock=lambda: now[0])
import numba

@numba.njit
def inner(x):
    return x + 1

@numba.njit
def outer(x):
    return inner(x) * 2

outer(1)            # tells of itself, not of what it needs
now[0] = 1.0
outer(1.5)          # within a moment
now[0] = 5.0
outer(1j)
outer(1)            # is compiled already
end()
now[0] = 50.0
outer("no" and True)
"""


def test_compiling_is_told_once_a_moment_and_without_what_is_within() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILES], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["compiling __main__'s outer (in each run)"] * 2


def test_compiling_of_a_kernel_says_that_it_is_kept(tmp_path: Path) -> None:
    code = (
        "from titin.compiling import announce; announce(print)\n"
        "import numpy as np; from titin.dataset.kernels import sort; sort(np.array([3, 1, 2]))"
    )
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [python(code, environment) for _ in range(2)]
    assert runs == ["compiling sort (once on this machine)\n", ""]


def test_people_at_a_prompt_are_told_and_programs_are_not() -> None:
    code = "import sys; {} from titin.compiling import announce_to_people as a; print(a(), a())"
    assert python(code.format("sys.ps1 = '>>> ';"), {}) == "True True\n"
    assert python(code.format(""), {}) == "False False\n"


def python(code: str, environment: dict[str, str]) -> str:
    import os

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, **environment})  # fmt: skip
    return done.stdout
