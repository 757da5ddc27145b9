"""Many datasets built from many sources, one after another or several at once, and what came of each."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from titin.builder.batch_table import BatchRow, read_batch
from titin.dataset.swap import put, scratch
from titin.errors import OutputError, TitinError
from titin.progress import Progress
from titin.resources import DEFAULT_MEMORY, MIN_MEMORY, available_threads, make_resources
from titin.spreadsheet import write_csv
from titin.text import count, size, table

__all__ = ["BatchJob", "BatchOutcome", "BatchRow", "build_many", "read_batch"]

_NUMBERS = ("n_cells", "n_genes", "bytes", "peak_bytes")
_STOPPING_SECONDS = 20  # that a build has to leave what it did in order


@dataclass(frozen=True)
class BatchJob:
    """A dataset to build.

    Attributes
    ----------
    source, output
        As for `titin.build`.
    choices
        Its other arguments, but for threads and memory; JSON-safe.
    """

    source: Path
    output: Path
    choices: dict[str, Any]


@dataclass(frozen=True)
class BatchOutcome:
    """What came of a dataset.

    Attributes
    ----------
    outcome
        ``built``, ``skipped`` (it is there, of the same source and settings) or ``failed``.
    why, hint
        Why it was skipped or failed, and what to do.
    seconds
        That it took.
    n_cells, n_genes, bytes
        Of the dataset; None where there is none.
    """

    source: str
    output: str
    outcome: Literal["built", "skipped", "failed"]
    why: str | None
    hint: str | None
    seconds: float
    n_cells: int | None = None
    n_genes: int | None = None
    bytes: int | None = None
    peak_bytes: int | None = None
    resumed: bool = False


def build_many(
    jobs: Sequence[BatchJob], *, at_once: int = 1, force: bool = False, resume: bool = False,
    threads: int | None = None, memory: int | str | None = None, progress: Progress | None = None,
) -> list[BatchOutcome]:  # fmt: skip
    """Build many datasets, each in a process of its own; what fails is said, and the others go on.

    A dataset that is there is skipped, if its source has the same checksum and it was built with the same settings.
    Interrupted, the datasets that are done stay; those that were being built are not there.

    Parameters
    ----------
    jobs
        In the order in which they begin.
    at_once
        How many are built at a time; they share threads and memory.
    force
        Build datasets again that are there, of another source or other settings.
    resume
        Go on from what an interrupted build has finished.
    threads, memory
        As for `titin.build`, of all that are built at a time.
    progress
        Told of each that is done.

    Returns
    -------
    list of BatchOutcome
        In the order of the jobs.

    Raises
    ------
    TitinError
        If the memory is too little for so many at once.
    """
    progress = progress or Progress()
    whole = make_resources(threads, memory)
    own_memory = (whole.memory if memory is not None else max(DEFAULT_MEMORY, at_once * MIN_MEMORY)) // at_once
    if own_memory < MIN_MEMORY:
        raise TitinError(
            f"{memory} is too little memory for {count(at_once, 'build')} at a time",
            f"give --memory {at_once * MIN_MEMORY // 2**20}MiB, or fewer --at-once",
        )
    shared = {"threads": max(1, (threads or available_threads()) // at_once), "memory": own_memory, "force": force,
              "resume": resume}  # fmt: skip
    workers = _Workers()
    progress.start("building", len(jobs), "sources")
    found: dict[int, BatchOutcome] = {}
    with ThreadPoolExecutor(at_once, thread_name_prefix="titin-batch") as pool:
        try:
            waiting = {pool.submit(workers.do, job, shared): place for place, job in enumerate(jobs)}
            for done in as_completed(waiting):
                outcome = found[waiting[done]] = done.result()
                why = f": {outcome.why}" if outcome.outcome == "failed" else ""
                progress.note(f"{outcome.output} {outcome.outcome}{why}")
                progress.advance(1)
        except BaseException:
            workers.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress.finish()
    return [found[place] for place in range(len(jobs))]


class _Workers:
    """Processes that build a dataset each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = set[subprocess.Popen[bytes]]()
        self._stopped = False

    def do(self, job: BatchJob, shared: dict[str, Any]) -> BatchOutcome:
        """Build one dataset, and say what came of it."""
        began = time.perf_counter()
        asked = {"source": str(job.source), "output": str(job.output), "choices": job.choices, **shared}
        with tempfile.TemporaryFile() as said:
            process = self._start(said)
            try:
                answer = _ask(process, asked)
            finally:
                with self._lock:
                    self._running.discard(process)
            if answer is None:
                said.seek(0)
                answer = _ended(process.returncode, said.read().decode("utf-8", "replace"))
        answer.setdefault("hint", None)
        return BatchOutcome(
            source=str(job.source), output=str(job.output), seconds=round(time.perf_counter() - began, 3), **answer
        )

    def _start(self, said: Any) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            process = subprocess.Popen(
                [sys.executable, "-m", "titin.builder.batch_worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=said, env=os.environ | {"PYTHONSAFEPATH": "1"},
            )  # fmt: skip
            self._running.add(process)
        return process

    def stop(self) -> None:
        """End all of them, each with what it has finished in order."""
        with self._lock:
            self._stopped, running = True, list(self._running)
        for process in running:
            with suppress(OSError):
                process.terminate()
        for process in running:
            try:
                process.wait(_STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


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


def batch_document(outcomes: Sequence[BatchOutcome], seconds: float) -> dict[str, Any]:
    """All outcomes as JSON-safe values."""
    numbers = {name: sum(one.outcome == name for one in outcomes) for name in ("built", "skipped", "failed")}
    return {"schema_version": 1, **numbers, "seconds": round(seconds, 3), "rows": [asdict(one) for one in outcomes]}


def describe_batch(document: dict[str, Any]) -> str:
    """Turn what `batch_document` gives into text."""
    rows = [
        (Path(row["output"]).name, row["outcome"], f"{row['seconds']:.1f}", _figure(row["n_cells"]),
         _figure(row["n_genes"]), "" if row["bytes"] is None else size(row["bytes"]))
        for row in document["rows"]
    ]  # fmt: skip
    lines = [table(("output", "outcome", "seconds", "cells", "genes", "size"), rows)]
    for row in document["rows"]:
        if row["outcome"] == "failed":
            lines += ["", f"{row['output']}: {row['why']}", *([f"  {row['hint']}"] if row["hint"] else [])]
    told = ", ".join(f"{document[name]} {name}" for name in ("built", "skipped", "failed"))
    return "\n".join([*lines, "", f"{told}, in {document['seconds']:.1f} s"])


def _figure(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def check_table(path: Path, *, force: bool) -> None:
    """Refuse to write the table of outcomes over something.

    Raises
    ------
    OutputError
        If something is there, unless it is a file that may be replaced.
    """
    if path.exists() and (not force or not path.is_file()):
        raise OutputError(f"{path} exists", "give --force to replace it, or another --output")


def write_table(outcomes: Iterable[BatchOutcome], path: Path) -> None:
    """Write all outcomes as CSV for people, a row each, put in its place when it is whole."""
    with scratch(path) as place:
        own = place / path.name
        rows = pd.DataFrame([asdict(one) for one in outcomes])
        write_csv(rows.astype(dict.fromkeys(_NUMBERS, "Int64")), own)
        put(own, path)
