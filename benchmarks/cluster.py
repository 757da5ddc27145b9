"""Passes in threads and on workers of a Dask LocalCluster: python benchmarks/cluster.py --dataset DATASET.

With --source ATLAS.h5ad that file is built in either way, too, without projections; all files have to be equal.

Each pass is done in threads and on the workers by turns, after once for kernels and caches; told are medians, and the
processor time of all processes together. Results have to be equal, bit for bit. With --address the workers are those of
a scheduler that runs already.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

import titin
from _measure import BenchmarkError, finish, load_average, table
from titin.ageing import pseudobulk
from titin.annotate import check_labels
from titin.check import validate
from titin.embed.pca import pca
from titin.features import highly_variable, score_gene_sets
from titin.learn import run_benchmark
from titin.source import open_source


def _validate(atlas: Any, options: dict[str, Any]) -> list[Any]:
    where = {name: options[name] for name in ("threads", "cluster") if name in options}
    report = validate(atlas.folder, checks=["matrix", "integrity"], **where)
    return [{k: v for k, v in check.items() if k not in ("seconds", "memory_bytes")}
            for check in report.document()["checks"]]  # fmt: skip


def _pca(atlas: Any, options: dict[str, Any]) -> list[Any]:
    found = pca(atlas, threads=options.get("threads"))
    return [found.scores, found.loadings]


def _highly_variable(atlas: Any, options: dict[str, Any]) -> list[Any]:
    return [highly_variable(atlas, threads=options.get("threads")).select_dtypes("number").to_numpy()]


def _pca_of_variable(atlas: Any, options: dict[str, Any]) -> list[Any]:
    chosen = highly_variable(atlas, threads=options.get("threads"))["highly_variable"].to_numpy()
    found = pca(atlas, genes=chosen, threads=options.get("threads"))
    return [found.scores, found.loadings]


def _pseudobulk(atlas: Any, options: dict[str, Any]) -> list[Any]:
    found = pseudobulk(atlas, threads=options.get("threads"))
    return [found.counts.data, found.counts.indices, found.detected.data]


def _scores(atlas: Any, options: dict[str, Any]) -> list[Any]:
    return [score_gene_sets(atlas, threads=options.get("threads")).table.to_numpy()]


def _variances(atlas: Any, _: dict[str, Any]) -> list[Any]:
    return [atlas.expression.groupby(atlas.roles["donor"]).var().to_numpy()]


def _folds(atlas: Any, options: dict[str, Any]) -> list[Any]:
    with tempfile.TemporaryDirectory(prefix="titin-benchmark-") as folder:
        run_benchmark(atlas, Path(folder) / "results", tasks=["age", "sex"], models=["ridge", "logistic"],
                      splits=["leave_one_donor_out"], permutations=100, figures=False,
                      threads=options["here"])  # fmt: skip
        files = sorted((Path(folder) / "results" / "predictions").rglob("*.parquet"))
        return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def _label_check(atlas: Any, options: dict[str, Any]) -> list[Any]:
    table = check_labels(atlas, threads=options["here"]).table
    return [table[name].to_numpy() for name in ("p_label", "p_predicted", "entropy", "flagged")]


PASSES: dict[str, Callable[[Any, dict[str, Any]], list[Any]]] = {
    "validate": _validate, "PCA of all genes": _pca, "variable genes": _highly_variable,
    "PCA of variable genes": _pca_of_variable, "pseudobulk": _pseudobulk, "scores of gene sets": _scores,
    "variances by donor": _variances, "folds of the benchmark": _folds, "check of labels": _label_check,
}  # fmt: skip


def _build(source: Path, options: dict[str, Any]) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        titin.build(source, dataset, project=(), **options)
        return [{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(dataset.iterdir())}]


def _digest(found: list[Any]) -> str:
    digest = hashlib.sha256()
    for part in found:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()


def _cpu(client: Client) -> float:
    """Processor seconds of this process and of all workers."""
    return time.process_time() + float(sum(client.run(time.process_time).values()))


def _measure(client: Client, options: argparse.Namespace, workers: int) -> tuple[list[dict[str, Any]], int]:
    """What each pass took, and the number of cells."""
    ways: dict[str, dict[str, Any]] = {
        "threads": {"threads": workers}, "cluster": {"cluster": client, "threads": 1}
    }  # fmt: skip
    here = {"here": workers}  # threads that read here what folds are made of: the workers wait meanwhile
    passes: dict[str, Callable[[str], list[Any]]] = {}
    n_cells = 0
    if options.dataset is not None:
        atlases = {way: titin.open(options.dataset, **own) for way, own in ways.items()}
        n_cells = atlases["threads"].n_obs
        passes |= {
            name: partial(lambda work, way: work(atlases[way], ways[way] | here), work) for name, work in PASSES.items()
        }
    if options.source is not None:
        with open_source(options.source) as source:
            n_cells = source.X.shape[0]
        passes["build"] = lambda way: _build(options.source, ways[way])
    told = []
    for name in options.passes or passes:
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        cpu: dict[str, list[float]] = {way: [] for way in ways}
        digests = set()
        for turn in range(options.runs + 1):
            for way in ways:
                began, spent = time.perf_counter(), _cpu(client)
                digests.add(_digest(passes[name](way)))
                if turn:
                    seconds[way].append(time.perf_counter() - began)
                    cpu[way].append(_cpu(client) - spent)
        medians = {way: statistics.median(own) for way, own in seconds.items()}
        told.append({
            "pass": name, "equal": len(digests) == 1, "speed": medians["threads"] / medians["cluster"],
            **{f"{way}_seconds": own for way, own in medians.items()},
            **{f"{way}_cpu_seconds": statistics.median(own) for way, own in cpu.items()},
        })  # fmt: skip
        print(f"{name}: {told[-1]['speed']:.2f}", file=sys.stderr)
    return told, n_cells


def main() -> int:
    """Measure passes in threads and on workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, help="Dataset that is read.")
    parser.add_argument("--source", type=Path, help="Atlas that is built.")
    parser.add_argument("--workers", type=int, default=2, help="Processes of one thread each, and threads beside.")
    parser.add_argument("--address", help="Scheduler of a cluster that runs already, instead.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--pass", dest="passes", action="append", choices=[*PASSES, "build"], help="Only this; repeat for several."
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.dataset is None and options.source is None:
        parser.error("give --dataset, --source or both")
    if options.address is None:
        local = LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")
        with local, Client(local, set_as_default=False) as client:
            told, n_cells = _measure(client, options, options.workers)
    else:
        with Client(options.address, set_as_default=False) as client:
            workers = sum(client.nthreads().values())
            told, n_cells = _measure(client, options, workers)
    document = {"cells": n_cells, "workers": options.workers, "address": options.address,
                "load_average": load_average(), "passes": told}  # fmt: skip
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        print(f"{document['cells']:,} cells; load {document['load_average']}\n")
        rows = [(one["pass"], f"{one['threads_seconds']:.1f}", f"{one['cluster_seconds']:.1f}",
                 f"{one['threads_cpu_seconds']:.1f}", f"{one['cluster_cpu_seconds']:.1f}", f"{one['speed']:.2f}")
                for one in told]  # fmt: skip
        print(table(("pass", "threads, s", "cluster, s", "CPU s", "CPU s there", "speed"), rows))
    if unequal := [one["pass"] for one in told if not one["equal"]]:
        raise BenchmarkError(f"results differ: {', '.join(unequal)}")
    return 0


if __name__ == "__main__":
    finish(main)
