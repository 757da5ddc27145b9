"""How long one gene over all cells takes, opened and warm: python benchmarks/gene.py --dataset DATASET."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import titin
from _measure import finish, load_average, table


def main() -> int:
    """Measure the latencies of random genes, and of opening."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    atlas = titin.open(options.dataset)
    _ = atlas.obs.iloc[:, 0]
    opened = time.perf_counter() - began
    names = np.random.default_rng(options.seed).permutation(atlas.var_names)[: options.genes]
    ways: dict[str, Callable[[str], object]] = {
        "atlas[gene]": atlas.__getitem__, "atlas.counts_of(gene)": atlas.counts_of
    }  # fmt: skip
    latencies: dict[str, dict[str, float]] = {}
    document: dict[str, Any] = {
        "cells": atlas.n_obs, "genes": len(names), "open_to_first_obs_column_ms": 1000 * opened,
        "load_average": load_average(), "latency_ms": latencies,
    }  # fmt: skip
    for way, read in ways.items():
        read(names[0])
        read(names[-1])
        spent = []
        for gene in names:
            began = time.perf_counter()
            read(gene)
            spent.append(1000 * (time.perf_counter() - began))
        p50, p95, most = np.quantile(spent, [0.5, 0.95, 1.0])
        latencies[way] = {"p50": p50, "p95": p95, "max": most}
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    rows = [(way, *(f"{v:.2f}" for v in found.values())) for way, found in latencies.items()]
    print(f"{atlas.n_obs:,} cells, {len(names)} random genes; open to first obs column {1000 * opened:.0f} ms; "
          f"load {document['load_average']}; Python {sys.version.split()[0]}\n")  # fmt: skip
    print(table(("way", "p50 ms", "p95 ms", "max ms"), rows))
    return 0


if __name__ == "__main__":
    finish(main)
