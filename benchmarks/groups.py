"""Statistics of all genes by groups of cells beside one plain pass: python benchmarks/groups.py --dataset DATASET.

The plain pass reads, checks and decodes every value and does nothing with it. All are run in turn, and again, so that
the ratios are of runs beside each other; the first round is of an atlas just opened, and told apart. The donors with a
known age are parted at its median.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import titin
from _measure import BenchmarkError, finish, load_average, table
from titin.ageing import pseudobulk
from titin.atlas.row_groups import dataset_blocks

PLAIN = "plain pass"


def _ways(atlas: titin.Atlas) -> dict[str, Callable[[], Any]]:
    """What is asked of the atlas, by name; each goes over all cells and genes."""
    donor, types = atlas.roles.get("donor"), atlas.roles.get("cell_type")
    ages = np.asarray(atlas.ages, np.float64)
    if donor is None or not types or np.isnan(ages).all():
        raise BenchmarkError("the dataset lacks donors, cell types or ages: name their columns with `titin build`")
    young = ages <= np.nanmedian(ages)
    old = ~young & ~np.isnan(ages)
    halves = np.full(len(ages), None, object)
    halves[young], halves[old] = "young", "old"
    expression, threads = atlas.expression, atlas.reader.resources.threads

    def plain() -> int:
        return sum(len(block.data) for block in dataset_blocks(atlas.store, threads=threads))

    return {
        PLAIN: plain,
        "loc[young].mean(), loc[old].mean()": lambda: (expression.loc[young].mean(), expression.loc[old].mean()),
        "groupby(two groups).mean()": lambda: expression.groupby(halves).mean(),
        "groupby([donor, type]).sum()": lambda: expression.groupby([donor, types[0]]).sum(),
        "pseudobulk: counts by donor, type, ...": lambda: pseudobulk(atlas, threads=threads),
    }


def _spent(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and those of the processors."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


def main() -> int:
    """Measure each way in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3, help="Rounds after the first.")
    parser.add_argument("--threads", type=int, help="All processors where not given.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    atlas = titin.open(options.dataset, threads=options.threads)
    ways = _ways(atlas)
    for work in _ways(titin.open(options.dataset, threads=options.threads)).values():
        work()  # compiled, and in the page cache
    rounds = [{way: _spent(work) for way, work in ways.items()} for _ in range(options.repeats + 1)]
    rows: list[dict[str, Any]] = []
    for way in ways:
        later = [one[way] for one in rounds[1:]]
        ratios = [one[way][0] / one[PLAIN][0] for one in rounds[1:]]
        rows.append({
            "way": way, "first_seconds": rounds[0][way][0],
            "seconds": statistics.median(seconds for seconds, _ in later),
            "cpu_seconds": statistics.median(used for _, used in later), "of_a_plain_pass": statistics.median(ratios),
        })  # fmt: skip
    document = {"cells": atlas.n_obs, "genes": atlas.n_vars, "threads": atlas.reader.resources.threads,
                "load_average": load_average(), "ways": rows}  # fmt: skip
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    print(f"{atlas.n_obs:,} cells × {atlas.n_vars:,} genes, {document['threads']} threads; medians of "
          f"{options.repeats} rounds; load {document['load_average']}; Python {sys.version.split()[0]}\n")  # fmt: skip
    header = ("way", "first s", "later s", "CPU s", "× plain pass")
    print(table(header, [(row["way"], *(f"{row[key]:.2f}" for key in list(row)[1:])) for row in rows]))
    return 0


if __name__ == "__main__":
    finish(main)
