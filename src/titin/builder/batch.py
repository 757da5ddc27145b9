"""Many datasets built from many sources, one after another or several at once, and what came of each."""

import math
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd

from titin.builder.batch_process import Processes
from titin.builder.batch_table import BatchRow, read_batch
from titin.cluster import connect
from titin.dataset.swap import put, scratch
from titin.errors import OutputError, TitinError
from titin.progress import Progress
from titin.resources import DEFAULT_MEMORY, MIN_MEMORY, available_threads, make_resources
from titin.spreadsheet import write_csv
from titin.text import count, size, table

__all__ = ["BatchJob", "BatchOutcome", "BatchRow", "build_many", "read_batch"]

_NUMBERS = ("n_cells", "n_genes", "bytes", "peak_bytes")


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
    jobs: Sequence[BatchJob], *, at_once: int | None = None, force: bool = False, resume: bool = False,
    threads: int | None = None, memory: int | str | None = None, cluster: Any = None, progress: Progress | None = None,
) -> list[BatchOutcome]:  # fmt: skip
    """Build many datasets, each in a process of its own; what fails is said, and the others go on.

    A dataset that is there is skipped, if its source has the same checksum and it was built with the same settings.
    Interrupted, the datasets that are done stay; those that were being built are not there.

    Parameters
    ----------
    jobs
        In the order in which they begin.
    at_once
        How many are built at a time: one if not given, and on a cluster as many as it has workers.
    force
        Build datasets again that are there, of another source or other settings.
    resume
        Go on from what an interrupted build has finished.
    threads, memory
        As for `titin.build`, of all that are built at a time on one machine: on a cluster of each worker, whose own
        number of threads it is if none is given.
    cluster
        Address of a Dask scheduler, or a ``distributed.Client``: each dataset is built by a process that one of its
        workers starts, and by another if that is lost. All of them have to find the sources and the folders of the
        outputs by the same paths.
    progress
        Told of each that is done.

    Returns
    -------
    list of BatchOutcome
        In the order of the jobs.

    Raises
    ------
    TitinError
        If the memory is too little for so many at once, or the cluster cannot be reached or has no workers.
    """
    progress = progress or Progress()
    at_once, builders, shared = _choose_builders(len(jobs), at_once, threads, memory, cluster)
    shared |= {"force": force, "resume": resume}
    progress.start("building", len(jobs), "sources")
    found: dict[int, BatchOutcome] = {}
    with ThreadPoolExecutor(at_once, thread_name_prefix="titin-batch") as pool:
        try:
            waiting = {pool.submit(_build, job, shared, builders): n for n, job in enumerate(jobs)}
            for done in as_completed(waiting):
                outcome = found[waiting[done]] = done.result()
                why = f": {outcome.why}" if outcome.outcome == "failed" else ""
                progress.note(f"{outcome.output} {outcome.outcome}{why}")
                progress.advance(1)
        except BaseException:
            builders.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    progress.finish()
    return [found[n] for n in range(len(jobs))]


class _Builders(Protocol):
    """What builds datasets somewhere, several at a time."""

    def build(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What came of a dataset that is asked for."""
        ...

    def stop(self) -> None:
        """End what is being built, with what it has finished in order."""
        ...


def _choose_builders(
    n_jobs: int, at_once: int | None, threads: int | None, memory: int | str | None, cluster: Any
) -> tuple[int, _Builders, dict[str, Any]]:
    """How many are built at a time, where, and threads and memory of each."""
    whole, workers = make_resources(threads, memory), connect(cluster)
    if workers is None:
        at_once = together = at_once or 1
        own_threads: int | None = max(1, (threads or available_threads()) // at_once)
    else:
        at_once = max(1, min(at_once or workers.n_workers, n_jobs))
        together, own_threads = math.ceil(at_once / workers.n_workers), threads
    own_memory = (whole.memory if memory is not None else max(DEFAULT_MEMORY, together * MIN_MEMORY)) // together
    if own_memory < MIN_MEMORY:
        raise TitinError(
            f"{memory} is too little memory for {count(together, 'build')} at a time",
            f"give --memory {together * MIN_MEMORY // 2**20}MiB, or fewer --at-once",
        )
    shared = {"threads": own_threads, "memory": own_memory}
    if workers is None:
        return at_once, Processes(), shared
    from titin.builder.batch_on_workers import Workers

    return at_once, Workers(workers, together), shared


def _build(job: BatchJob, shared: dict[str, Any], builders: _Builders) -> BatchOutcome:
    """Build one dataset, and say what came of it."""
    began = time.perf_counter()
    source, output = str(job.source), str(job.output)
    answer = builders.build({"source": source, "output": output, "choices": job.choices, **shared})
    return BatchOutcome(source=source, output=output, seconds=round(time.perf_counter() - began, 3), **answer)


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
