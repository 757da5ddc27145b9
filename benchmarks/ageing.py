"""How long the analyses of ageing take: python benchmarks/ageing.py --dataset DATASET.

Seconds of the wall and of the processors, of all threads: beside other work only the latter say much.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import titin
from _measure import finish, load_average, table
from titin.ageing import (
    cell_counts,
    composition,
    expression_comparisons,
    gene_statistics,
    joint_model,
    pseudobulk,
)
from titin.ageing.composition import CompositionMethod
from titin.ageing.differential_expression import compare_apart


def main() -> int:
    """Time each step once, after a run that compiles the kernels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    atlas = titin.open(options.dataset, threads=options.threads)
    first = pseudobulk(atlas)  # compiles the kernels
    joint_model(first)
    gene_statistics(atlas, first.levels[0])
    seconds: dict[str, float] = {}
    processor: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began, of_processor = time.perf_counter(), time.process_time()
        found = step()
        seconds[name], processor[name] = time.perf_counter() - began, time.process_time() - of_processor
        return found

    found = timed("pseudobulk", lambda: pseudobulk(titin.open(options.dataset, threads=options.threads)))
    level = found.levels[0]
    timed(f"gene statistics by {level}", lambda: gene_statistics(atlas, level))
    compared = timed(f"comparisons, {level}", lambda: expression_comparisons(found))
    results = timed("protocols apart", lambda: compare_apart(compared, "voom"))
    timed("protocols together", lambda: joint_model(compared))
    methods: tuple[CompositionMethod, ...] = ("asin", "mann_whitney", "poisson")
    for method in methods:
        timed(f"composition, {method}", partial(lambda by: composition(cell_counts(atlas), method=by), method))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    document = {"cells": atlas.n_obs, "genes": atlas.n_vars, "groups": len(found), "tests": len(results.tests),
                "seconds": seconds, "processor_seconds": processor, "peak_bytes": peak,
                "load_average": load_average()}  # fmt: skip
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    print(f"{atlas.n_obs:,} cells, {len(found):,} groups, {len(results.tests)} tests; "
          f"peak {peak / 2**30:.2f} GiB; load {document['load_average']}\n")  # fmt: skip
    rows = [(name, f"{spent:.1f}", f"{processor[name]:.1f}") for name, spent in seconds.items()]
    print(table(("step", "seconds", "of the processors"), rows))
    return 0


if __name__ == "__main__":
    finish(main)
