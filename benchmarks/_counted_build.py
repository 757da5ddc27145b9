"""Build a dataset, and say what it took: python _counted_build.py SOURCE TARGET MEMORY THREADS."""

import json
import resource
import sys
import time
from pathlib import Path

import titin


def numbers() -> dict[str, int]:
    """Reads and writes of this process so far, and their bytes."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return {key: int(value) for key, value in (line.split(": ") for line in lines)}


def main() -> None:
    source, target, memory, threads = sys.argv[1:]
    before, began = numbers(), time.perf_counter()
    # the matrix is a virtual dataset of parts of the same file
    report = titin.build(
        source, target, memory=memory, threads=int(threads), force=True, follow_links=True, project=(),
    )  # fmt: skip
    after, used = numbers(), resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({
        "cells": report.manifest.n_cells, "nnz": report.manifest.nnz,
        "seconds": {step: round(s, 2) for step, s in report.seconds.items()},
        "cpu_steps": {step: round(s, 2) for step, s in report.cpu_seconds.items()},
        "wall_seconds": round(time.perf_counter() - began, 2), "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_bytes": report.peak_bytes, "peaks": report.peaks,
        "reads": after["syscr"] - before["syscr"], "read_bytes": after["rchar"] - before["rchar"],
        "writes": after["syscw"] - before["syscw"], "written_bytes": after["wchar"] - before["wchar"],
    }))  # fmt: skip


if __name__ == "__main__":
    main()
