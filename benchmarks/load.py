"""How fast minibatches come: titin's Loader and its peers on the same cells, batch size and kind of shuffle.

python benchmarks/load.py --dataset DATASET [--source TWIN.h5ad] [--annbatch-python PYTHON --collection FOLDER]
python benchmarks/load.py --peers cellstream annbatch --source TWIN.h5ad --peer-python PYTHON
"""

import argparse
import json
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import _contest
from _measure import (
    HERE,
    BenchmarkError,
    cores,
    describe,
    evict,
    finish,
    load_average,
    machine,
    measure_and_report,
    note,
    read_once,
    run,
    size,
    table,
    title,
)

_OF = ", of "  # in a label, what comes before how many datasets there are
LOADERS = HERE / "_loaders.py"


def main() -> int:
    """Parse, measure, print."""
    options = parse()
    if options.peers is not None:
        return measure_and_report(options, _contest.contest, _contest.report)
    document = measure(options)
    if options.json is not None:
        text = json.dumps(document, indent=2)
        print(text) if str(options.json) == "-" else options.json.write_text(text + "\n", "utf-8")
    if str(options.json) != "-":
        print(report(document, markdown=options.markdown))
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a dataset that titin built; not with --peers")
    parser.add_argument("--peers", nargs="*", metavar="PEER", help="load the first --cells of --source by these and by "
                        f"titin, in turn, in several ways: {', '.join(_contest.KNOWN)}")  # fmt: skip
    parser.add_argument("--cells", type=int, default=60_000, help="with --peers (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="with --peers (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="with --peers, where to work; what is written there is removed")
    parser.add_argument("--source", type=Path, help="its source, for scDataset and annbatch's conversion")
    parser.add_argument("--annbatch-python", type=Path, help="an interpreter that has annbatch[zarrs]")
    parser.add_argument("--collection", type=Path, help="annbatch's collection; made from --source where it is missing")
    parser.add_argument("--peer-python", type=Path, help="an interpreter with scDataset, tiledbsoma-ml, bionemo-scdl")
    parser.add_argument("--peer-source", type=Path, help="a smaller .h5ad for those, as converting takes long")
    parser.add_argument("--peer-folder", type=Path, help="where their conversions are kept; made where missing")
    parser.add_argument("--parts", type=Path, nargs="+", help="datasets that hold the cells of --dataset between them, "
                        "such as titin subset makes: loaded as several, and as a ratio with the one")  # fmt: skip
    parser.add_argument("--label", default="annotation_level0", help="obs column whose mixing is measured")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4, help="the first is left out of the median")
    parser.add_argument("--seconds", type=float, default=20, help="longest epoch; a slow loader is cut off")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--json", type=Path, help="write everything measured; - for stdout")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    if options.peers is None and options.dataset is None:
        parser.error("give --dataset, or --peers")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run every loader that is there."""
    facts = run([sys.executable, "-m", "titin", "info", options.dataset, "--json"]).document
    expression = sorted(n for n in facts["files"] if "_expression" in n and "_by_gene" not in n and "_panel" not in n)
    for name in expression:
        read_once(options.dataset / name)
    document: dict[str, Any] = {
        "machine": machine(),
        "load_average": {"before": load_average()},
        "dataset": {key: facts[key] for key in ("prefix", "n_cells", "n_genes", "nnz")},
        "shuffle": "blocks of neighbouring cells in random order, mixed in a buffer",
        "settings": {k: getattr(options, k) for k in ("batch", "epochs", "seconds", "threads", "label")},
    }
    shared = {"dataset": str(options.dataset), "batch": options.batch, "epochs": options.epochs, "label": options.label,
              "seconds": options.seconds, "genes": facts["n_genes"], "block": 256, "buffer": 32,
              "parquet": [str(options.dataset / name) for name in expression]}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="titin-cache-") as cache:
        document["loaders"] = [run_loader(*contender, shared) for contender in contenders(options, cache)]
    document["several"] = ratios(document["loaders"])
    document["random_entropy"] = random_entropy(options)
    document["load_average"]["after"] = load_average()
    return document


def contenders(options: argparse.Namespace, cache: str) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """What to run: label, loader, interpreter, settings."""
    found: list[tuple[str, str, Any, dict[str, Any]]] = []
    for threads in dict.fromkeys((1, options.threads)):
        for where, kept in (("Parquet", {}), ("cache", {"cache": cache})):
            for what, form in (("CSR", {}), ("2,000 genes dense", {"dense": 2000})):
                own = {"threads": threads, **kept, **form}
                found.append((f"titin, {where}, {what}, threads {threads}", "titin", sys.executable, own))
    if options.parts:
        found += _several(options, cache)
    if find_spec("datasets"):
        found.append(("datasets, streaming, CSR of counts", "datasets", sys.executable, {"threads": 1}))
    if options.peer_python:
        found += _peers(options)
    if options.annbatch_python:
        collection = _collection(options)
        settings = {"threads": options.threads, "collection": str(collection)}
        found.append((f"annbatch, CSR, threads {options.threads}", "annbatch", options.annbatch_python, settings))
    return found


def _several(options: argparse.Namespace, cache: str) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """The same cells as several datasets: each once an epoch, and by weight."""
    parts = {"parts": list(map(str, options.parts)), "threads": options.threads}
    kinds: tuple[tuple[str, dict[str, str], dict[str, str]], ...] = (
        ("", {}, {}), (", equal weights", {}, {"weights": "equal"}), ("", {"cache": cache}, {}),
    )  # fmt: skip
    return [
        (f"titin, {'cache' if kept else 'Parquet'}, CSR, threads {options.threads}{_OF}{len(options.parts)} datasets"
         f"{how}", "titin", sys.executable, {**parts, **kept, **more})
        for how, kept, more in kinds
    ]  # fmt: skip


def ratios(loaders: list[dict[str, Any]]) -> dict[str, float]:
    """Cells a second of several datasets, by those of one that is read in the same way."""
    speeds = {entry["label"]: entry["median"] for entry in loaders if "median" in entry}
    return {label: speed / speeds[one] for label, speed in speeds.items()
            for one in [label.partition(_OF)[0]] if one != label and one in speeds}  # fmt: skip


def _peers(options: argparse.Namespace) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """Loaders over the source, or over what their own converters make of it, where --peer-python has them."""
    source, folder = options.peer_source or options.source, options.peer_folder
    if source is None or folder is None:
        raise BenchmarkError("--peer-python needs --peer-folder, and --peer-source or --source")
    folder.mkdir(parents=True, exist_ok=True)
    shared = {"threads": 1, "source": str(source)}
    python = options.peer_python
    return [
        (f"scDataset over {source.name}, CSR", "scdataset", python, shared),
        (f"bionemo-scdl of {source.name}, torch CSR", "scdl", python,
         {**shared, "collection": str(convert(python, "scdl", source, folder / "scdl"))}),
        (f"tiledbsoma-ml of {source.name}, CSR", "soma", python,
         {**shared, "collection": str(convert(python, "soma", source, folder / "soma"))}),
    ]  # fmt: skip


def _collection(options: argparse.Namespace) -> Path:
    if options.collection is None:
        raise BenchmarkError("--annbatch-python needs --collection")
    return convert(options.annbatch_python, "annbatch", options.source, options.collection, str(options.threads))


def convert(python: Path, peer: str, source: Path | None, target: Path, *more: str) -> Path:
    """Have a peer convert the source, unless it did before."""
    if not target.exists():
        if source is None:
            raise BenchmarkError(f"{target} does not exist, and there is no --source to make it from")
        note(f"{peer}: converting")
        run([python, HERE / "_peers.py", peer, source, target, *more])
    return target


def run_loader(label: str, name: str, python: Any, own: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """Run one loader; say why it failed if it did, as the others stand without it."""
    note(label)
    command = [python, LOADERS, name, json.dumps({**shared, **own})]
    try:
        if own.get("cache"):
            run([python, LOADERS, name, json.dumps({**shared, **own, "epochs": 1, "seconds": 0})])
        done = run(command)
    except BenchmarkError as error:
        return {"label": label, "failed": str(error)}
    found = _last_line(done.stdout)
    speeds = found["cells_per_second"]
    cold = _cold(command, own, shared)
    return {"label": label, "median": statistics.median(speeds[1:] or speeds), "cold": cold,
            "peak_bytes": done.peak_bytes, **found}  # fmt: skip


def _cold(command: list[Any], own: dict[str, Any], shared: dict[str, Any]) -> float:
    """Cells a second of one epoch whose files are on the disk alone."""
    read = own.get("cache") or own.get("collection") or own.get("source")
    for path in [read] if read else own.get("parts") or shared["parquet"]:
        evict(Path(path))
    done = run([*command[:-1], json.dumps({**json.loads(command[-1]), "epochs": 1})])
    return float(_last_line(done.stdout)["cells_per_second"][0])


def _last_line(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return found


def random_entropy(options: argparse.Namespace) -> float:
    """Mean entropy of the labels of true random batches of the same size."""
    code = (
        "import numpy as np, pandas as pd, sys, json, glob\n"
        "frame = pd.read_parquet(glob.glob(sys.argv[1] + '/*_sample_metadata.parquet')[0], columns=[sys.argv[2]])\n"
        "codes = pd.factorize(frame[sys.argv[2]].astype(str))[0]\n"
        "rng = np.random.default_rng(0)\n"
        "def entropy(c):\n"
        "    p = np.bincount(c)\n"
        "    p = p[p > 0] / len(c)\n"
        "    return -(p * np.log2(p)).sum()\n"
        "n = min(int(sys.argv[3]), len(codes))\n"
        "drawn = [entropy(codes[rng.choice(len(codes), n, replace=False)]) for _ in range(300)]\n"
        "print(json.dumps(float(np.mean(drawn))))"
    )
    return float(
        json.loads(run([sys.executable, "-c", code, options.dataset, options.label, str(options.batch)]).stdout)
    )


def report(document: dict[str, Any], *, markdown: bool) -> str:
    """Turn what was measured into tables."""
    rows = []
    for entry in document["loaders"]:
        if "failed" in entry:
            rows.append((entry["label"], "failed: " + entry["failed"].splitlines()[0][:60], "", "", "", "", ""))
            continue
        warm = entry["cells_per_second"][1:] or entry["cells_per_second"]
        rows.append((
            entry["label"], f"{entry['median']:,.0f}", f"{min(warm):,.0f}–{max(warm):,.0f}",
            f"{entry['cold']:,.0f}", f"{entry['first_batch_seconds']:.2f}", size(entry["peak_bytes"]),
            f"{entry['entropy'] / document['random_entropy']:.3f}",
        ))  # fmt: skip
    data, settings = document["dataset"], document["settings"]
    facts = (
        f"{data['prefix']}: {data['n_cells']:,} cells × {data['n_genes']:,} genes, {data['nnz']:,} non-zeros",
        f"batches of {settings['batch']}; median of epochs 2 to {settings['epochs']}",
        f"an epoch is cut off at {settings['seconds']:g} s",
        document["shuffle"],
        "files in the page cache; cold: the first epoch of a process whose files were evicted from it",
    )
    header = ("loader", "cells/s", "range", "cold", "first batch s", "peak memory", "entropy / random")
    return "\n\n".join([
        describe(document, facts, markdown=markdown),
        title("Loaders", markdown=markdown) + "\n" + table(header, rows, markdown=markdown),
        *[f"{label}: {ratio:.2f} of one dataset's speed" for label, ratio in document["several"].items()],
        "Memory-mapped cache pages count as memory of the process, though the system takes them back when it needs to.",
    ])  # fmt: skip


if __name__ == "__main__":
    finish(main)
