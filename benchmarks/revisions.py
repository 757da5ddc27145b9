"""Build, minibatches and one gene, now and at an earlier revision: python benchmarks/revisions.py --against REV."""

import argparse
import io
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from _measure import (
    HERE,
    TWIN_SCRIPT,
    BenchmarkError,
    Run,
    describe,
    finish,
    load_average,
    machine,
    measure_and_report,
    note,
    read_once,
    run,
    size,
    table,
    twin_or_make,
)

START = "import sys; sys.path.insert(0, sys.argv.pop(1)); "  # before what is installed: the checkout that is measured
BUILD = "import runpy; runpy.run_module('titin', run_name='__main__')"
READ = """
import json, time
import numpy as np
import titin
atlas, (genes, batches, seed) = titin.open(sys.argv[1]), map(int, sys.argv[2:])
names = np.random.default_rng(seed).permutation(np.asarray(atlas.var_names))[:genes]
atlas[str(names[0])]
spent = []
for name in names:
    began = time.perf_counter()
    atlas[str(name)]
    spent.append(time.perf_counter() - began)
found = {"one gene": float(np.median(spent)), "files": titin.__file__}
for values in ("counts", "lognorm") if atlas.kind != "real" else ("lognorm",):
    loader = titin.Loader(atlas, 256, values=values, seed=seed)
    for turn in range(2):  # kernels are compiled, buffers made
        began, cpu, cells = time.perf_counter(), time.process_time(), 0
        for n, batch in enumerate(loader):
            cells += batch.X.shape[0]
            if n + 1 == batches:
                break
        found[f"a cell of a minibatch, {values}"] = (time.perf_counter() - began) / cells
        found[f"a cell of a minibatch, {values}, processor"] = (time.process_time() - cpu) / cells
print(json.dumps(found))
"""


def main() -> int:
    """Measure both checkouts, and say how much slower or faster the present one is."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--against", required=True, metavar="REV", help="revision of this repository to compare with")
    add("--twin", type=Path, help="an .h5ad to build; else one is made")
    add("--twin-script", type=Path, default=TWIN_SCRIPT)
    add("--cells", type=int, default=183_161, help="cells of a twin that is made (default: %(default)s)")
    add("--preset", default="muscle", help="preset of the build; '' for none (default: %(default)s)")
    add("--runs", type=int, default=3, help="of each, in turn (default: %(default)s)")
    add("--genes", type=int, default=200, help="random genes that are read (default: %(default)s)")
    add("--batches", type=int, default=400, help="minibatches of 256 cells that are read (default: %(default)s)")
    add("--seed", type=int, default=0)
    add("--work", type=Path, help="folder for what is built; it is removed")
    add("--json", type=Path, metavar="FILE", help="write all that was measured; '-' prints it instead of the tables")
    add("--markdown", action="store_true")
    return measure_and_report(parser.parse_args(), measure, report)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs of both checkouts, by turns."""
    earlier, present = _checkout(options.against, folder / "earlier"), HERE.parent / "src"
    twin = twin_or_make(options.twin, options.twin_script, folder, options.cells)
    read_once(twin)
    before = load_average()
    checkouts = {"before": earlier, "now": present}
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for turn in range(options.runs + 1):  # the first compiles kernels
        for name, source in checkouts.items():
            note(f"{name}, {f'run {turn} of {options.runs}' if turn else 'to compile'}")
            found = _trial(options, source, twin, folder / f"{name}-{turn}")
            if turn:
                taken[name].append(found)
    return {"against": options.against, "twin": str(twin), "machine": machine(), "runs": taken,
            "load_average": {"before": before, "after": load_average()}}  # fmt: skip


def _checkout(revision: str, folder: Path) -> Path:
    done = subprocess.run(["git", "-C", HERE.parent, "archive", revision, "src"], capture_output=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"git has no revision {revision}: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def _trial(options: argparse.Namespace, source: Path, twin: Path, dataset: Path) -> dict[str, float]:
    preset = ["--preset", options.preset] if options.preset else []
    python: list[str | Path] = [sys.executable, "-c"]
    built: Run = run([*python, START + BUILD, source, "build", twin, "-o", dataset, "--no-project", *preset])
    numbers = map(str, (options.genes, options.batches, options.seed))
    found = run([*python, START + READ, source, dataset, *numbers]).document
    if not Path(found.pop("files")).is_relative_to(source):
        raise BenchmarkError(f"another titin than that of {source} was measured")
    return {"build": built.seconds, "build, processor": built.cpu_seconds, "build, memory": built.peak_bytes, **found}


def report(document: dict[str, Any], *, markdown: bool) -> str:
    """Medians of both, and of the ratios of runs that followed each other."""
    runs, rows = document["runs"], []
    for what in runs["now"][0]:
        before, now = ([one[what] for one in runs[name]] for name in ("before", "now"))
        ratios = [a / b for a, b in zip(now, before, strict=True)]
        rows.append((what, _said(what, statistics.median(before)), _said(what, statistics.median(now)),
                     f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f}–{max(ratios):.3f}"))  # fmt: skip
    facts = [f"before: {document['against']}; {document['twin']}; ratios of runs by turns, median and range"]
    head = ("what", "before", "now", "now : before", "range")
    return f"{describe(document, facts, markdown=markdown)}\n\n{table(head, rows, markdown=markdown)}"


def _said(what: str, value: float) -> str:
    if what.endswith("memory"):
        return size(value)
    if value >= 1:
        return f"{value:.1f} s"
    return f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.2f} µs"


if __name__ == "__main__":
    finish(main)
