"""Processes that build one dataset each: asked on a pipe, and ended by whoever has started them or as its end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from titin.errors import TitinError

STOPPING_SECONDS = 20.0  # that a build has to leave what it did in order


class Processes:
    """Processes of this machine, one for each dataset that is being built."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = set[subprocess.Popen[bytes]]()
        self._stopped = False

    def build(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What came of a dataset that is asked for, as `titin.builder.batch_worker` answers."""
        with tempfile.TemporaryFile() as said:
            with self._lock:
                if self._stopped:
                    raise KeyboardInterrupt
                process = start(said)
                self._running.add(process)
            try:
                return answer_of(process, asked, said)
            finally:
                with self._lock:
                    self._running.discard(process)

    def stop(self) -> None:
        """End all of them, each with what it has finished in order."""
        with self._lock:
            self._stopped, running = True, list(self._running)
        end(running)


def start(said: Any) -> "subprocess.Popen[bytes]":
    """Start a process; what is said there that is no answer goes to a file."""
    return subprocess.Popen(
        [sys.executable, "-m", "titin.builder.batch_worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=said, env=os.environ | {"PYTHONSAFEPATH": "1"},
    )  # fmt: skip


def end(processes: Iterable["subprocess.Popen[bytes]"]) -> None:
    """End processes, each with what it has finished in order."""
    running = list(processes)
    for process in running:
        with suppress(OSError):
            process.terminate()
    for process in running:
        try:
            process.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def answer_of(process: "subprocess.Popen[bytes]", asked: dict[str, Any], said: Any) -> dict[str, Any]:
    """Ask a process for a dataset, and wait for its answer; one that ends without has failed."""
    answer = _ask(process, asked)
    if answer is None:
        said.seek(0)
        answer = _ended(process.returncode, said.read().decode("utf-8", "replace"))
    return {"hint": None, **answer}


def failed(error: TitinError) -> dict[str, Any]:
    """The answer that a dataset could not be built."""
    return {"outcome": "failed", "why": str(error.args[0]), "hint": error.hint}


def _ask(process: "subprocess.Popen[bytes]", asked: dict[str, Any]) -> dict[str, Any] | None:
    """The answer of a process; None if it ended without one."""
    if process.stdin is None or process.stdout is None:
        return None
    with suppress(BrokenPipeError), process.stdin as job, process.stdout as answers:
        job.write(json.dumps(asked).encode() + b"\n")
        job.flush()
        lines = answers.read().splitlines()
        process.wait()
        answer: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
        return answer
    process.wait()
    return None


def _ended(code: int, said: str) -> dict[str, Any]:
    """What is said of a process that ended without an answer."""
    if code == -signal.SIGKILL:
        why, hint = "it was killed, as the system does where memory is short", "build fewer at once, or free memory"
    elif code < 0:
        why, hint = f"it was ended by signal {-code}", "build it by itself to see why"
    else:
        why, hint = (said.strip().splitlines() or [f"it ended with code {code}"])[-1], "build it by itself to see why"
    return {"outcome": "failed", "why": why, "hint": hint}
