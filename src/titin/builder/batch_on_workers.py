"""Datasets of a batch built on the workers of a Dask cluster, each as one task: a process where the worker runs.

Beside each output lies a hidden folder as long as the batch waits for it. A word in it shows that a worker sees the
same place, and a file in it says who builds: where another try has taken over, as the worker was taken for lost, or
the batch is gone with its folder, a build ends. The lock of the build itself is waited for by the try that takes over.
"""

import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titin.builder.batch_process import STOPPING_SECONDS, answer_of, end, failed, start
from titin.builder.workspace import is_being_built
from titin.cluster import Cluster
from titin.dataset import layout
from titin.dataset.swap import scratch
from titin.errors import ClusterError, TitinError
from titin.presets import preset_names
from titin.source.inventory import Inventory
from titin.source.open import check_there

_LOOK = 1.0  # seconds between two looks at whether a build is still wanted
_LETTING_GO = 2 * STOPPING_SECONDS  # that a build has to end which another try takes over
_WORD, _HOLDER = "word", "holder"
_SHARED = "put sources and outputs where all workers find them by the same paths, such as on a network file system"


@dataclass(frozen=True)
class Order:
    """One dataset, as it is sent to a worker.

    Attributes
    ----------
    asked
        As `titin.builder.batch_worker` takes it, of absolute paths; threads may be None, for those of the worker.
    inventories
        Of the files that it is made of, as the machine of the batch sees them.
    place, word
        The folder beside the output, and what stands in it.
    together
        Builds that run on a worker at a time, and share its threads.
    """

    asked: dict[str, Any]
    inventories: list[Inventory]
    place: Path
    word: str
    together: int


class Workers:
    """Workers of a cluster that build a dataset at a time each, or several.

    Parameters
    ----------
    cluster
        Whose workers.
    together
        Builds that run on a worker at a time.
    """

    def __init__(self, cluster: Cluster, together: int) -> None:
        self._cluster, self._together = cluster, together
        self._lock = threading.Lock()
        self._running = set[Any]()
        self._stopped = threading.Event()
        self._lost: ClusterError | None = None

    def build(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What came of a dataset that is asked for, as `titin.builder.batch_worker` answers."""
        if self._lost is not None:
            return failed(self._lost)
        asked = _from_anywhere(asked)
        output = Path(asked["output"])
        try:
            inventories = _inventories(asked)
            before = _written(output)
            with scratch(output) as place:
                answer = self._send(Order(asked, inventories, place, secrets.token_hex(), self._together))
        except ClusterError as error:
            if self._stopped.is_set():
                raise KeyboardInterrupt from None
            if type(error.__cause__).__name__ != "KilledWorker":  # which is of this dataset alone
                self._lost = error
            return failed(error)
        except TitinError as error:
            return failed(error)
        except OSError as error:
            return failed(TitinError(str(error), "check the path and its permissions"))
        if answer["outcome"] == "skipped" and _written(output) != before:  # a worker was lost when it had built it
            answer |= {"outcome": "built", "why": None}
        return answer

    def _send(self, order: Order) -> dict[str, Any]:
        (order.place / _WORD).write_text(order.word, "ascii")
        for worker, blind in self._cluster.ask(_blindness, order).items():
            if blind:
                raise _blind(worker, blind)
        with self._lock:
            if self._stopped.is_set():
                raise KeyboardInterrupt
            future = self._cluster.submit(build_there, order)
            self._running.add(future)
        try:
            answer: dict[str, Any] = self._cluster.result(future)
            return answer
        finally:
            with self._lock:
                self._running.discard(future)
            if self._stopped.is_set():
                _wait(lambda: (order.place / _HOLDER).exists(), STOPPING_SECONDS)

    def stop(self) -> None:
        """Have all builds end, each with what it has finished in order."""
        with self._lock:
            self._stopped.set()
            for future in self._running:
                future.release()


def build_there(order: Order) -> dict[str, Any]:
    """Build a dataset, on a worker, as long as it is wanted: a process of its own, that ends with this task.

    Raises
    ------
    TitinError
        If this worker does not see what the machine of the batch sees.
    distributed.Reschedule
        If it is no longer wanted here.
    """
    from distributed import Reschedule, get_worker

    worker = get_worker()
    if blind := _blindness(order):
        raise _blind(worker.address, blind)
    turn = _Turn(order, worker)
    try:
        if turn.takes_over:
            time.sleep(2 * _LOOK)  # in which the other sees it, should locks not reach from there to here
            _wait(lambda: is_being_built(Path(order.asked["output"])) and turn.is_wanted(), _LETTING_GO)
        slots = int(worker.state.nthreads)
        threads = max(1, (order.asked["threads"] or slots) // min(order.together, slots))
        answer = _while_wanted(turn, order.asked | {"threads": threads})
    finally:
        turn.is_over()
    if answer is None:
        raise Reschedule
    return answer


def _while_wanted(turn: "_Turn", asked: dict[str, Any]) -> dict[str, Any] | None:
    """What a process answers; None if it was ended as it is no longer wanted."""
    over, ended = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            if not turn.is_wanted():
                ended.set()
                end([process])
                return

    if not turn.is_wanted():
        return None
    with tempfile.TemporaryFile() as said:
        process = start(said)
        watching = threading.Thread(target=watch, name="titin-batch-watch", daemon=True)
        watching.start()
        try:
            answer = answer_of(process, asked, said)
        finally:
            over.set()
            watching.join()
    return None if ended.is_set() and answer["outcome"] == "failed" else answer


class _Turn:
    """A try of a task to build a dataset, as the last that has begun with it."""

    def __init__(self, order: Order, worker: Any) -> None:
        from distributed.worker import thread_state

        self._worker, self._key = worker, thread_state.key
        self._holder, self._name = order.place / _HOLDER, secrets.token_hex(8)
        self.takes_over = bool(_text(self._holder))
        new = self._holder.with_name(self._name)
        new.write_text(self._name, "ascii")
        new.replace(self._holder)

    def is_wanted(self) -> bool:
        """Whether the scheduler waits for this task, and no other try has begun with it."""
        task = self._worker.state.tasks.get(self._key)
        waited_for = task is not None and task.state in ("executing", "long-running")
        leaving = self._worker.status.name in ("closing", "closed", "failed")
        return waited_for and not leaving and _text(self._holder) == self._name

    def is_over(self) -> None:
        """Say that nothing of it runs any more."""
        if _text(self._holder) == self._name:
            with suppress(OSError):
                self._holder.unlink()


def _from_anywhere(asked: dict[str, Any]) -> dict[str, Any]:
    """The same with absolute paths."""
    choices = dict(asked["choices"])
    if choices.get("donors"):
        choices["donors"] = os.path.abspath(choices["donors"])  # noqa: PTH100 - text
    if choices.get("preset") and choices["preset"] not in preset_names() and Path(choices["preset"]).is_file():
        choices["preset"] = os.path.abspath(choices["preset"])  # noqa: PTH100
    places = {name: os.path.abspath(asked[name]) for name in ("source", "output")}  # noqa: PTH100
    return {**asked, **places, "choices": choices}


def _inventories(asked: dict[str, Any]) -> list[Inventory]:
    """Of the source, and of what else is read; what is missing there is told as by a build.

    Raises
    ------
    SourceError
        If there is no source, or not one that may be read.
    """
    source, choices = Path(asked["source"]), asked["choices"]
    check_there(source)
    others = [Path(choices[name]) for name in ("donors", "preset") if choices.get(name)]
    return [Inventory(source, follow_links=bool(choices.get("follow_links"))),
            *(Inventory(path) for path in others if path.is_file())]  # fmt: skip


def _blindness(order: Order) -> str:
    """What a worker does not see as the machine of the batch does; nothing if it sees all."""
    for inventory in order.inventories:
        if different := inventory.difference():
            return f"does not see {inventory.path} as the machine of the batch does: {different}"
    if _text(order.place / _WORD) != order.word:
        return f"does not see {order.place.parent}, where {Path(order.asked['output']).name} is to be built"
    return ""


def _blind(worker: str, blind: str) -> TitinError:
    return TitinError(f"worker {worker} {blind}", _SHARED)


def _written(output: Path) -> tuple[int, int] | None:
    """What tells that a dataset is another one than that which was there; None where there is none."""
    try:
        found = (output / layout.MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        return ""


def _wait(busy: Callable[[], bool], seconds: float) -> None:
    """Wait as long as something goes on, for so many seconds at most."""
    until = time.monotonic() + seconds
    while busy() and time.monotonic() < until:
        time.sleep(_LOOK / 10)
