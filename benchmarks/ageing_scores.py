"""Time and peak memory of gene-set scores and of the report: python benchmarks/ageing_scores.py DATASET.

Every run is a fresh process, so wall time holds interpreter and imports, and peak memory is that process's own.
Processor time is given beside it, as it does not depend on what else the machine does. Kernels are compiled by a run
that is not measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SETS = 50
SCRIPT = """
import json, resource, sys, time
began = time.perf_counter()
{body}
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({{"wall_s": time.perf_counter() - began, "cpu_s": sum(u.ru_utime + u.ru_stime for u in used),
                  "peak_mb": used[0].ru_maxrss / 1e3, **said}}))
"""
SCORE = """
import titin
from titin.features import programme_sets, score_gene_sets
atlas = titin.open({dataset!r}, threads={threads})
scores = score_gene_sets(atlas, dict(list(programme_sets().items())[:{sets}]), method={method!r})
said = {{"cells": len(scores.table), "sets": scores.table.shape[1]}}
"""
REPORT = """
import pathlib, tempfile
from titin.report import write_report
with tempfile.TemporaryDirectory() as folder:
    done = write_report({dataset!r}, pathlib.Path(folder) / "report.html", threads={threads})
said = {{"mb": done.n_bytes / 1e6}}
"""


def measure(body: str) -> dict[str, float]:
    """Run code in a process of its own."""
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(body=body)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-report", action="store_true")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    chosen = parser.parse_args()
    given = {"dataset": str(chosen.dataset), "threads": chosen.threads, "sets": SETS}
    measure(SCORE.format(**given, method="ucell"))
    results = {f"{SETS} gene sets, {method}": measure(SCORE.format(**given, method=method))
               for method in ("score_genes", "ucell", "ulm")}  # fmt: skip
    if not chosen.no_report:
        results["the whole report"] = measure(REPORT.format(**given))
    load = os.getloadavg()[0]
    print(f"{chosen.dataset}, {chosen.threads} threads, load {load:.1f}\n")
    print("| what | wall, s | processor, s | peak, MB |\n|---|---:|---:|---:|")
    for name, run in results.items():
        print(f"| {name} | {run['wall_s']:.1f} | {run['cpu_s']:.1f} | {run['peak_mb']:,.0f} |")
    if chosen.json:
        text = json.dumps({"load": load, "temporary": tempfile.gettempdir(), "results": results}, indent=2)
        chosen.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
