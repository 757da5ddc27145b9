"""Use a dataset as people do, and say what it took: python _used.py DATASET THREADS LABEL CELLS.

Prints JSON: milliseconds of one gene over all cells, cells and processor microseconds of shuffled minibatches, bytes of
the files and of their footers, and what opening and the table of cells take.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

import titin

GENES, BATCH, FIRST = 200, 256, 20  # batches that do not count where there are more: queues are being filled


def main() -> None:
    dataset, threads, label, most = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    began = time.process_time()
    atlas = titin.open(dataset, threads=threads)
    n_cells = len(atlas.obs)
    opened = time.process_time() - began
    print(json.dumps({
        "open_cpu_seconds": round(opened, 3), "gene_ms": genes(atlas), **loading(atlas, threads, label, most),
        "n_cells": n_cells, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "bytes": sizes(dataset), "footer_bytes": footers(dataset),
    }))  # fmt: skip


def genes(atlas: titin.Atlas) -> dict[str, float]:
    """Latencies of random genes, opened and warm."""
    names = np.random.default_rng(0).permutation(atlas.var_names)[: GENES + 1]
    spent, used = [], []
    for name in names:
        began, before = time.perf_counter(), time.process_time()
        atlas[name]
        spent.append(1000 * (time.perf_counter() - began))
        used.append(1000 * (time.process_time() - before))
    p50, p95 = np.quantile(spent[1:], [0.5, 0.95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "cpu_p50": round(float(np.median(used[1:])), 2)}


def loading(atlas: titin.Atlas, threads: int, label: str, most: int) -> dict[str, float]:
    """Shuffled minibatches of an epoch, of at most so many cells."""
    loader = titin.Loader(atlas, BATCH, threads=threads, obs=[label])
    began, before, cells = time.perf_counter(), time.process_time(), 0
    for number, (X, _) in enumerate(loader):
        cells += X.shape[0]
        if number == FIRST:
            began, before, cells = time.perf_counter(), time.process_time(), 0
        elif cells >= most:
            break
    seconds, used = time.perf_counter() - began, time.process_time() - before
    return {"loaded_cells": cells, "cells_per_second": round(cells / seconds),
            "load_cpu_us": round(1e6 * used / cells, 2)}  # fmt: skip


def sizes(dataset: Path) -> dict[str, int]:
    """Bytes of all files, and of those by cell and by gene."""
    files = {path.name: path.stat().st_size for path in dataset.iterdir()}
    by_gene = sum(size for name, size in files.items() if "_expression_by_gene" in name)
    panel = sum(size for name, size in files.items() if "_expression_panel" in name)
    matrix = sum(size for name, size in files.items() if "_expression" in name) - by_gene - panel
    return {"all": sum(files.values()), "by_cell": matrix, "by_gene": by_gene, "panel": panel}


def footers(dataset: Path) -> int:
    """Bytes of the footers of all Parquet files."""
    total = 0
    for path in dataset.glob("*.parquet"):
        with path.open("rb") as file:
            file.seek(-8, 2)
            total += int.from_bytes(file.read(4), "little")
    return total


if __name__ == "__main__":
    main()
