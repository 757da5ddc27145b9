"""Time, memory, reads and writes of `titin build` on simulated atlases of millions of cells.

Row pointers and tables are real, taken over and over from a twin; the stored values, thinned to `--values` a cell, lie
in the file once (see `_simulated.py`). Every build is a fresh process, removed afterwards. Seconds and bytes for each
cell or value should be the same in every row: what grows is no longer linear. Each cell takes about 0.7 kB of disk at
40 values.

With `--times 1 10` the twin itself, whole and so many times over (see `_tiled.py`), is built, validated and used, and
what it took for a cell goes into a model of what other sizes on more machines would cost (see `_cost.py`). Ten times
183,161 cells take 27 GB of disk.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from _cost import constants, cost_table
from _measure import (
    HERE,
    TWIN_SCRIPT,
    describe,
    finish,
    load_average,
    machine,
    measure_and_report,
    note,
    run,
    size,
    table,
    title,
    twin_or_make,
)

SIMULATED, BUILD = HERE / "_simulated.py", HERE / "_counted_build.py"
TILED, USED = HERE / "_tiled.py", HERE / "_used.py"
POOL_CELLS = 65_536
MACHINE = ("machine_cores", "machine_memory", "network")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cells", type=int, nargs="*", default=[1_000_000, 2_000_000, 4_000_000], help="cells of each simulated atlas")
    add("--values", type=int, default=40, help="stored values a cell, about (default: %(default)s)")
    add("--twin", type=Path, help="take the cells of this .h5ad instead of making a twin")
    add("--twin-script", type=Path, default=TWIN_SCRIPT, help="script that makes a twin (default: %(default)s)")
    add("--memory", nargs="+", default=["1GiB"], help="budgets of the builds (default: 1GiB)")
    add("--threads", type=int, default=os.cpu_count() or 1, help="threads of the builds (default: %(default)s)")
    add("--times", type=int, nargs="*", default=[], help="the twin whole, so many times over")
    add("--own", nargs="*", default=["DonorID", "SampleID"], help="obs columns that differ in each of these copies")
    add("--label", default="annotation_level0", help="obs column that minibatches have (default: %(default)s)")
    add("--load", type=int, default=200_000, help="most cells that are loaded (default: %(default)s)")
    add("--machine-cores", type=int, default=16, help="of the machines of the model (default: %(default)s)")
    add("--machine-memory", default="64GiB", help="likewise (default: %(default)s)")
    add("--network", type=float, default=10.0, help="Gbit/s of each of them (default: %(default)s)")
    add("--work", type=Path, help="folder for what is written; removed afterwards (default: a temporary one)")
    add("--markdown", action="store_true", help="print the table as Markdown")
    add("--json", type=Path, metavar="FILE", help="write everything measured to FILE ('-': stdout, and no table)")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Simulate and build every atlas; return what was found, JSON-safe."""
    before = load_average()
    cells = min(POOL_CELLS, max(options.cells, default=POOL_CELLS))
    twin = twin_or_make(options.twin, options.twin_script, folder, cells)
    source, target, runs = folder / "simulated.h5ad", folder / "dataset", []
    for cells in options.cells:
        note(f"simulating {cells:,} cells")
        run([sys.executable, SIMULATED, twin, source, str(cells), str(options.values)])
        for memory in options.memory:
            note(f"building them in {memory}")
            done = run([sys.executable, BUILD, source, target, memory, str(options.threads)])
            runs.append({"memory": memory, **json.loads(done.stdout)})
            shutil.rmtree(target)
        source.unlink()
    whole = [measure_whole(options, twin, times, folder) for times in options.times]
    return {
        "schema_version": 1, "machine": machine(), "load_average": {"before": before, "after": load_average()},
        "settings": {k: getattr(options, k) for k in ("values", "threads", *MACHINE)}, "runs": runs, "whole": whole,
    }  # fmt: skip


def measure_whole(options: argparse.Namespace, twin: Path, times: int, folder: Path) -> dict[str, Any]:
    """Build, use and validate a twin so many times over."""
    source, dataset, python = folder / "tiled.h5ad", folder / "whole", sys.executable
    note(f"building the twin {times} times over")
    run([python, TILED, twin, source, str(times), *options.own])
    built = json.loads(run([python, BUILD, source, dataset, options.memory[0], str(options.threads)]).stdout)
    found = {"times": times, "memory": options.memory[0], "build": built, **use(options, dataset)}
    shutil.rmtree(dataset)
    source.unlink()
    return found


def use(options: argparse.Namespace, dataset: Path) -> dict[str, Any]:
    """Read genes and minibatches of a dataset, say what it is, and validate it."""
    python, threads = sys.executable, str(options.threads)
    note("using the dataset")
    used = json.loads(run([python, USED, dataset, threads, options.label, str(options.load)]).stdout)
    summary = run([python, "-m", "titin", "info", dataset, "--json"])
    note("validating it")
    checked = run([python, "-m", "titin", "validate", dataset, "--json", "--quiet", "--no-report",
                   "--threads", threads])  # fmt: skip
    validated = {"cpu_seconds": round(checked.cpu_seconds, 2), "peak_bytes": checked.peak_bytes}
    return {"use": used, "info_peak_bytes": summary.peak_bytes, "validate": validated}


def report(document: dict[str, Any], *, markdown: bool = False) -> str:
    """Turn what was measured into a table."""
    facts = [f"about {document['settings']['values']} values a cell, {document['settings']['threads']} threads"]
    rows = [
        [f"{r['cells']:,}", f"{r['nnz']:,}", r["memory"], size(r["peak_bytes"]), size(r["peaks"]["genes"]),
         f"{r['wall_seconds']:.0f}", f"{1e6 * r['cpu_seconds'] / r['cells']:.1f}",
         f"{1e6 * r['reads'] / r['nnz']:.0f}", size(r["read_bytes"] / r["reads"]),
         f"{1e6 * r['writes'] / r['nnz']:.0f}", f"{r['written_bytes'] / r['nnz']:.1f}"]
        for r in document["runs"]
    ]  # fmt: skip
    header = ("cells", "values", "memory", "peak", "peak of both passes", "seconds", "CPU µs a cell",
              "reads a million values", "bytes a read", "writes a million values", "bytes written a value")  # fmt: skip
    parts = [describe(document, facts, markdown=markdown)]
    if rows:
        parts += [title("titin build at scale", markdown=markdown), table(header, rows, markdown=markdown)]
    if document["whole"]:
        parts += [title("A twin, several times over", markdown=markdown), whole_table(document["whole"], markdown)]
        found, settings = constants(document["whole"], document["runs"]), document["settings"]
        parts += [title("What a cell takes", markdown=markdown), constants_table(found, markdown)]
        parts += [title("What other sizes would cost", markdown=markdown), cost_table(found, settings, markdown)]
    return "\n".join(parts)


def whole_table(whole: list[dict[str, Any]], markdown: bool) -> str:
    """A row for each size; what it takes for a cell is said as a multiple of the first."""
    first = whole[0]

    def for_a_cell(one: dict[str, Any], part: str) -> str:
        spent = [w[part]["cpu_seconds"] / w["build"]["cells"] for w in (one, first)]
        return f"{spent[0] / spent[1]:.2f}"

    rows = []
    for one in whole:
        built, used, checked = one["build"], one["use"], one["validate"]
        rows.append([
            f"{built['cells']:,}", f"{built['nnz']:,}", f"{built['cpu_seconds']:.0f}", for_a_cell(one, "build"),
            size(built["peak_bytes"]), f"{checked['cpu_seconds']:.0f}", for_a_cell(one, "validate"),
            size(checked["peak_bytes"]), size(one["info_peak_bytes"]),
            f"{used['gene_ms']['p50']:.1f} – {used['gene_ms']['p95']:.0f}", f"{used['load_cpu_us']:.1f}",
        ])  # fmt: skip
    header = ("cells", "values", "build, CPU s", "× a cell", "its peak", "validate, CPU s", "× a cell", "its peak",
              "info's peak", "one gene, ms p50 – p95", "loading, CPU µs a cell")  # fmt: skip
    return table(header, rows, markdown=markdown)


def constants_table(found: dict[str, float], markdown: bool) -> str:
    """The constants of the model, as they were measured in the largest build."""
    rows = [[name.replace("_", " "), f"{value:,.1f}"] for name, value in found.items()]
    return table(("of one cell", "measured"), rows, markdown=markdown)


if __name__ == "__main__":
    finish(lambda: measure_and_report(parse(), measure, report))
