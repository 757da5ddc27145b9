"""One row of a batch, in a process of its own: what it takes of memory is given back, and what ends it ends it alone.

The job comes as a line of JSON; what came of it goes back as another. The pipe of the job stays open as long as the
batch runs: where it ends, so does this process, as on SIGTERM.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from titin.builder.batch_process import STOPPING_SECONDS, failed
from titin.builder.opening import open_chosen
from titin.builder.options import Options, make_options
from titin.builder.pipeline import build_dataset
from titin.console import say
from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.disk import disk_error
from titin.errors import OutputError, TitinError
from titin.heap import keep_freed
from titin.resources import MIN_MEMORY, Resources, make_resources
from titin.shortage import shortage

_STOPPED = 128 + signal.SIGTERM


def main() -> None:
    """Do the job that comes on stdin."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints is no answer
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the batch says when to end
    job = json.loads(_read_line())
    threading.Thread(target=_end_with_batch, daemon=True).start()
    try:
        with keep_freed():  # a worker of Dask has it given back at once, and so would its processes
            answer = _answer(job)
    except KeyboardInterrupt:
        os._exit(_STOPPED)
    say(json.dumps(answer), file=answers)
    answers.close()


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    try:
        return build_row(job)
    except TitinError as error:
        return failed(error)
    except OSError as error:
        told = shortage(error) or disk_error(error, Path(job["output"]).parent)
        return failed(told or TitinError(str(error), "check the path and its permissions"))
    except Exception as error:
        short = shortage(error)
        if short is None and not isinstance(error, MemoryError):
            return failed(TitinError(f"a bug of titin: {type(error).__name__}: {error}", "`titin build` tells more"))
        return failed(short or TitinError("out of memory", "give --memory less, or close other programs"))


def build_row(job: dict[str, Any]) -> dict[str, Any]:
    """Build the dataset of a row, unless it is there: of the same source, with the same settings.

    Raises
    ------
    TitinError
        As `titin.build`.
    """
    source, output = Path(job["source"]), Path(job["output"])
    chosen = dict(job["choices"])
    donors = chosen.pop("donors", None)
    options = make_options(chosen.pop("preset", None), chosen.pop("roles", None),
                           donors=Path(donors) if donors else None, **chosen)  # fmt: skip
    resources = make_resources(job["threads"], job["memory"], least=MIN_MEMORY)
    if (output / layout.MANIFEST).is_file():
        known = Manifest.read(output)
        different = _differences(known, output, source, options, resources)
        if not different:
            return {"outcome": "skipped", "why": "it is there: of the same source and settings", **_facts(known)}
        if not job["force"]:
            hint = "--force builds it again"
            raise OutputError(f"{output} is a dataset already, with {' and '.join(different)}", hint)
    report = build_dataset(source, output, options, resources, force=job["force"], resume=job["resume"])
    return {"outcome": "built", "why": None, "resumed": report.resumed, "peak_bytes": report.peak_bytes,
            **_facts(report.manifest)}  # fmt: skip


def _facts(manifest: Manifest) -> dict[str, Any]:
    written = sum(entry["bytes"] for entry in manifest.files.values())
    return {"n_cells": manifest.n_cells, "n_genes": manifest.n_genes, "bytes": written}


def _differences(known: Manifest, output: Path, source: Path, options: Options, resources: Resources) -> list[str]:
    """What a dataset would have to be built again for, in words; cheap questions first."""
    wanted = json.loads(json.dumps(options.deciding()))
    changed = sorted(name for name in {*wanted, *known.settings} if wanted.get(name) != known.settings.get(name))
    if changed:
        return [f"other settings ({', '.join(changed)})"]
    donors = options.donors
    if donors and donors.exists() and _changed(donors) > (output / layout.MANIFEST).stat().st_mtime_ns:
        return ["an older table of donors"]
    opened, _ = open_chosen(source, options, resources.memory)
    try:
        return [] if opened.sha256() == known.source["sha256"] else ["another source"]
    finally:
        opened.close()


def _changed(path: Path) -> int:
    """When a file came to hold what it holds, at the latest: a copy may keep the date of what it is a copy of."""
    found = path.stat()
    return max(found.st_mtime_ns, found.st_ctime_ns)


def _read_line() -> bytes:
    """The job; read without a buffer, which the thread below would hold for ever."""
    read = b""
    while not read.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece:
            sys.exit(_STOPPED)
        read += piece
    return read


def _end_with_batch() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOPPING_SECONDS)
    os._exit(_STOPPED)  # nobody is there who would


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
