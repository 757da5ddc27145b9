"""Time, memory, reads and writes of `titin build` on simulated atlases of millions of cells.

Row pointers and tables are real, taken over and over from a twin; the stored values, thinned to `--values` a cell, lie
in the file once (see `_simulated.py`). Every build is a fresh process, removed afterwards. Seconds and bytes for each
cell or value should be the same in every row: what grows is no longer linear. Each cell takes about 0.7 kB of disk at
40 values.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

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
POOL_CELLS = 65_536


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cells", type=int, nargs="+", default=[1_000_000, 2_000_000, 4_000_000], help="cells of each atlas")
    add("--values", type=int, default=40, help="stored values a cell, about (default: %(default)s)")
    add("--twin", type=Path, help="take the cells of this .h5ad instead of making a twin")
    add("--twin-script", type=Path, default=TWIN_SCRIPT, help="script that makes a twin (default: %(default)s)")
    add("--memory", nargs="+", default=["1GiB"], help="budgets of the builds (default: 1GiB)")
    add("--threads", type=int, default=os.cpu_count() or 1, help="threads of the builds (default: %(default)s)")
    add("--work", type=Path, help="folder for what is written; removed afterwards (default: a temporary one)")
    add("--markdown", action="store_true", help="print the table as Markdown")
    add("--json", type=Path, metavar="FILE", help="write everything measured to FILE ('-': stdout, and no table)")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Simulate and build every atlas; return what was found, JSON-safe."""
    before = load_average()
    twin = twin_or_make(options.twin, options.twin_script, folder, min(POOL_CELLS, max(options.cells)))
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
    return {
        "schema_version": 1, "machine": machine(), "load_average": {"before": before, "after": load_average()},
        "settings": {"values": options.values, "threads": options.threads}, "runs": runs,
    }  # fmt: skip


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
    return "\n".join([
        describe(document, facts, markdown=markdown), title("titin build at scale", markdown=markdown),
        table(header, rows, markdown=markdown),
    ])  # fmt: skip


if __name__ == "__main__":
    finish(lambda: measure_and_report(parse(), measure, report))
