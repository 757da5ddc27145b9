"""titin and its peers on the same cells, in one run: writing, size, minibatches, one gene; as a page for the docs.

python benchmarks/compare.py --peer-python PYTHON [--source ATLAS.h5ad] [--cells N --genes N] [--write PAGE.md]

`make compare` makes an environment of the peers first. A peer that PYTHON lacks, or that fails, is named as such.
"""

import argparse
import datetime
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _measure import (
    HERE,
    BenchmarkError,
    cores,
    describe,
    finish,
    folder_bytes,
    load_average,
    machine,
    note,
    read_once,
    run,
    size,
    table,
)
from load import run_loader

PEERS = HERE / "_peers.py"
MISSING = "ModuleNotFoundError"


@dataclass(frozen=True)
class Written:
    """What a program made of the source."""

    label: str
    seconds: float
    peak_bytes: int
    n_bytes: int
    what: str
    libraries: dict[str, str]


def main() -> int:
    """Parse, measure, write."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="titin-compare-", dir=options.folder) as folder:
        text = page(measure(options, Path(folder)), options)
    if options.write:
        options.write.write_text(text, "utf-8")
        print(options.write)
    else:
        print(text)
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", type=Path, required=True, help="an interpreter that has the peers")
    parser.add_argument("--source", type=Path, help="an .h5ad of log-normalised counts; the demo's atlas without it")
    parser.add_argument("--preset", default="muscle", help="of titin, for that source")
    parser.add_argument("--label", default="annotation_level0", help="obs column that is handed out with batches")
    parser.add_argument("--cells", type=int, default=20_000, help="of the demo's atlas")
    parser.add_argument("--genes", type=int, default=3_000, help="of the demo's atlas")
    parser.add_argument("--n-queries", type=int, default=50, help="genes that are read, one after the other")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4, help="the first is left out of the median")
    parser.add_argument("--seconds", type=float, default=10, help="longest epoch")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--folder", type=Path, help="where to work; the system's for temporary files without it")
    parser.add_argument("--write", type=Path, help="a page of Markdown; printed without it")
    return parser.parse_args()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everything, each part saying what failed."""
    source = options.source or demo(options, folder)
    read_once(source)
    document: dict[str, Any] = {"machine": machine(), "load_average": {"before": load_average()}, "failed": []}
    document["written"] = written = write_all(options, source, folder, document["failed"])
    dataset = folder / "titin"
    document["dataset"] = run([sys.executable, "-m", "titin", "info", dataset, "--json"]).document
    document["loaders"] = load_all(options, source, folder, {w.label for w in written})
    document["genes"] = genes_of_all(options, source, folder, document["failed"])
    document["load_average"]["after"] = load_average()
    return document


def demo(options: argparse.Namespace, folder: Path) -> Path:
    """The demo's atlas: synthetic cells on the design of a real atlas."""
    note(f"making {options.cells:,} cells × {options.genes:,} genes")
    target = folder / "demo"
    run([sys.executable, "-m", "titin", "demo", "-o", target, "-q",
         "--n-cells", str(options.cells), "--n-genes", str(options.genes)])  # fmt: skip
    return target / "atlas.h5ad"


def write_all(options: argparse.Namespace, source: Path, folder: Path, failed: list[str]) -> list[Written]:
    """Have each program store the source in its own way; and the counts of it for those that are made for counts."""
    titin = [sys.executable, "-m", "titin"]
    run([*titin, "build", source, "-o", folder / "warm", "--preset", options.preset, "--no-project", "-q"])
    counts = folder / "counts.h5ad"
    run([*titin, "export", folder / "warm", "--format", "h5ad", "--counts", "-o", counts, "-q"])
    peer = [options.peer_python, PEERS]
    jobs: list[tuple[str, list[Any], Path, str]] = [
        ("titin", [*titin, "build", source, "-o", folder / "titin", "--preset", options.preset, "--no-project", "-q",
                   "--threads", str(options.threads)], folder / "titin",
         "counts and exact values, by cell and by gene, panel, tables"),
        ("h5ad", [*titin, "export", folder / "warm", "--format", "h5ad", "--compression", "gzip", "-o",
                  folder / "gzip.h5ad", "-q"], folder / "gzip.h5ad", "values, by cell, gzip"),
        ("annbatch", [*peer, "annbatch", source, folder / "annbatch", str(options.threads)], folder / "annbatch",
         "values, by cell, shuffled"),
        ("cellstream", [*peer, "cellstream", source, folder / "values.csad"], folder / "values.csad",
         "values, by cell"),
        ("cellstream, counts", [*peer, "cellstream", counts, folder / "counts.csad"], folder / "counts.csad",
         "counts, by cell"),
        ("tiledbsoma", [*peer, "soma", source, folder / "soma"], folder / "soma", "values, sparse array"),
    ]  # fmt: skip
    found = []
    for label, command, target, what in jobs:
        note(f"{label}: writing")
        done = attempt(label, lambda command=command: run(command), failed)  # type: ignore[misc]
        if done is not None:
            libraries = {} if label in ("titin", "h5ad") else json.loads(done.stdout.splitlines()[-1])["libraries"]
            found.append(Written(label, done.seconds, done.peak_bytes, folder_bytes(target), what, libraries))
    return found


def attempt(label: str, work: Callable[[], Any], failed: list[str]) -> Any:
    """What work gives; None where the peer is missing or fails, which is kept."""
    try:
        return work()
    except BenchmarkError as error:
        reason = "is not installed" if MISSING in str(error) else f"failed: {str(error).splitlines()[0][-200:]}"
        failed.append(f"{label} {reason}")
        return None


def load_all(options: argparse.Namespace, source: Path, folder: Path, written: set[str]) -> list[dict[str, Any]]:
    """Minibatches of each, shuffled in the way that is fastest for it."""
    facts = run([sys.executable, "-m", "titin", "info", folder / "titin", "--json"]).document
    parquet = [n for n in facts["files"] if "_expression" in n and "_by_gene" not in n and "_panel" not in n]
    shared = {
        "dataset": str(folder / "titin"), "batch": options.batch, "epochs": options.epochs, "label": options.label,
        "seconds": options.seconds, "genes": facts["n_genes"], "block": 256, "buffer": 32, "source": str(source),
        "threads": options.threads, "parquet": [str(folder / "titin" / name) for name in parquet],
    }  # fmt: skip
    python = options.peer_python
    cache = {"cache": str(folder / "cache")}
    jobs: list[tuple[str, str, str, Any, dict[str, Any]]] = [
        ("titin", "titin, values", "titin", sys.executable, {}),
        ("titin", "titin, counts", "titin", sys.executable, {"values": "counts"}),
        ("titin", "titin, values, from its cache", "titin", sys.executable, cache),
        ("titin", "titin, counts, from its cache", "titin", sys.executable, {**cache, "values": "counts"}),
        ("titin", "datasets, counts, streaming titin's Parquet", "datasets", sys.executable, {"threads": 1}),
        ("annbatch", "annbatch, values", "annbatch", python, {"collection": str(folder / "annbatch")}),
        ("cellstream", "cellstream, values", "cellstream", python, {"collection": str(folder / "values.csad")}),
        ("cellstream, counts", "cellstream, counts", "cellstream", python,
         {"collection": str(folder / "counts.csad")}),
        ("tiledbsoma", "tiledbsoma-ml, values", "soma", python, {"collection": str(folder / "soma")}),
        ("h5ad", "scDataset over the .h5ad, values", "scdataset", python, {"threads": 1}),
    ]  # fmt: skip
    return [run_loader(label, name, interpreter, own, shared)
            for needs, label, name, interpreter, own in jobs if needs in written]  # fmt: skip


def genes_of_all(options: argparse.Namespace, source: Path, folder: Path, failed: list[str]) -> list[dict[str, Any]]:
    """Seconds of one gene over all cells."""
    jobs = [
        ("titin", sys.executable, "titin", folder / "titin", options.n_queries),
        ("scanpy over the backed .h5ad", options.peer_python, "backed", source, min(5, options.n_queries)),
        ("tiledbsoma", options.peer_python, "soma", folder / "soma", options.n_queries),
    ]
    found = []
    for label, python, kind, place, n in jobs:
        note(f"{label}: genes")
        command = [python, PEERS, "genes", kind, place, str(n)]
        done = attempt(f"{label}, one gene,", lambda command=command: run(command), failed)  # type: ignore[misc]
        if done is not None:
            found.append({"label": label, "n": n, **json.loads(done.stdout.splitlines()[-1])})
    return found


def page(document: dict[str, Any], options: argparse.Namespace) -> str:
    """The page: what was measured, where, and the tables."""
    facts = document["dataset"]
    peers = {name: told for w in document["written"] for name, told in w.libraries.items()}
    for entry in [*document["loaders"], *document["genes"]]:
        peers |= entry.get("libraries", {})
    named = ", ".join(f"{name} {told}" for name, told in sorted(peers.items()) if name != "titin")
    where = options.source.name if options.source else "the demo's atlas, synthetic"
    lines = (
        f"{where}: {facts['n_cells']:,} cells × {facts['n_genes']:,} genes, {facts['nnz']:,} non-zeros",
        f"peers: {named}",
        f"batches of {options.batch}, {options.threads} threads; median of epochs 2 to {options.epochs}",
        f"measured on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    )
    failed = [f"- {told}" for told in document["failed"]]
    return "\n\n".join([
        "# Compared with others",
        "Written by `make compare` (`benchmarks/compare.py`), all in one run on one machine; each program in the way "
        "that its documentation asks for. Figures of small atlases say little of large ones: `--source` takes another.",
        describe(document, lines, markdown=True),
        *(["Left out:\n\n" + "\n".join(failed)] if failed else []),
        "## Writing",
        writing(document["written"], facts["nnz"]),
        "## Minibatches",
        "Sparse, with one label, files in the page cache; cold: evicted from it before. titin, annbatch, scDataset and "
        "tiledbsoma-ml shuffle blocks of neighbouring cells and mix them in a buffer; cellstream draws single cells.",
        loading(document["loaders"]),
        "## One gene over all cells",
        querying(document["genes"]),
    ]) + "\n"  # fmt: skip


def writing(written: list[Written], nnz: int) -> str:
    """Table of what was written."""
    rows = [(w.label, w.what, f"{w.seconds:.1f}", size(w.peak_bytes), size(w.n_bytes), f"{8 * w.n_bytes / nnz:.1f}")
            for w in written]  # fmt: skip
    return table(("", "holds", "seconds", "peak memory", "on disk", "bits per non-zero"), rows, markdown=True)


def loading(loaders: list[dict[str, Any]]) -> str:
    """Table of the loaders, the fastest first."""
    good = sorted((entry for entry in loaders if "failed" not in entry), key=lambda entry: -entry["median"])
    rows = [(entry["label"], f"{entry['median']:,.0f}", f"{entry['cold']:,.0f}", size(entry["peak_bytes"]))
            for entry in good]  # fmt: skip
    rows += [(entry["label"], "failed", "", "") for entry in loaders if "failed" in entry]
    return table(("loader", "cells/s", "cold", "peak memory"), rows, markdown=True)


def querying(genes: list[dict[str, Any]]) -> str:
    """Table of the times of a gene."""
    rows = []
    for entry in genes:
        milliseconds = sorted(1000 * second for second in entry["seconds"])
        rows.append((entry["label"], str(entry["n"]), f"{statistics.median(milliseconds):,.1f}",
                     f"{milliseconds[-1]:,.1f}"))  # fmt: skip
    return table(("", "genes", "median, ms", "slowest, ms"), rows, markdown=True)


if __name__ == "__main__":
    finish(main)
