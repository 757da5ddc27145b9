"""Time and peak memory of `titin validate` on a built twin, with its source: python benchmarks/validate.py --twin FILE.

Every run is a fresh process, so wall time holds interpreter and imports, and peak memory is that process's own
(resident; the page cache is not counted). Dataset and source are read once before. Kernels are compiled by a
validation that is not measured.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from _measure import (
    TWIN_SCRIPT,
    Run,
    cores,
    describe,
    finish,
    folder_bytes,
    load_average,
    machine,
    measure_and_report,
    note,
    read_once,
    run,
    size,
    spread,
    spread_of,
    table,
    title,
    twin_or_make,
)

ATLAS_CELLS, ATLAS_GENES = 183_161, 29_400
WAYS = {
    "full, with source": ("full", True),
    "full": ("full", False),
    "quick": ("quick", False),
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cells", type=int, default=ATLAS_CELLS, help="cells of the twin that is made (default: %(default)s)")
    add("--genes", type=int, default=ATLAS_GENES, help="genes of the twin that is made (default: %(default)s)")
    add("--twin", type=Path, help="take this .h5ad instead of making a twin")
    add("--twin-script", type=Path, default=TWIN_SCRIPT, help="script that makes a twin (default: %(default)s)")
    add("--dataset", type=Path, help="take this dataset, built from --twin, instead of building one")
    add("--preset", default="muscle", help="preset of the build; '' for none (default: %(default)s)")
    add("--runs", type=int, default=3, help="validations to take the median of (default: %(default)s)")
    add("--threads", type=int, default=cores(), help="threads (default: all cores, %(default)s)")
    add("--report", action="store_true", help="write the report with its figures in every run")
    add("--work", type=Path, help="folder for what is written; removed afterwards (default: a temporary one)")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    add("--json", type=Path, metavar="FILE", help="write everything measured to FILE ('-': stdout, and no tables)")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything; return what was found, JSON-safe."""
    before = load_average()
    twin = twin_or_make(options.twin, options.twin_script, folder, options.cells, options.genes)
    dataset = options.dataset or _build(options, twin, folder / "dataset")
    note("warming up")
    _validate(options, dataset, None, "full", folder)
    for path in (twin, *sorted(p for p in dataset.iterdir() if p.is_file())):
        read_once(path)
    ways = {}
    for way, (level, against) in WAYS.items():
        note(f"validating, {way}, {options.runs} times")
        runs = [_validate(options, dataset, twin if against else None, level, folder) for _ in range(options.runs)]
        ways[way] = {**spread_of(runs), "checks": _checks(runs), "summary": runs[-1].document["validation_summary"]}
    facts = runs[-1].document["facts"]
    return {
        "schema_version": 1,
        "machine": machine(),
        "load_average": {"before": before, "after": load_average()},
        "page_cache": "warm: dataset and source were read once before; peak memory counts no page cache",
        "settings": {"threads": options.threads, "runs": options.runs, "report": options.report},
        "twin": {"name": twin.name, "bytes": twin.stat().st_size},
        "dataset": {"bytes": folder_bytes(dataset), **{k: facts[k] for k in ("kind", "n_cells", "n_genes", "nnz")}},
        "validate": ways,
    }


def _build(options: argparse.Namespace, twin: Path, dataset: Path) -> Path:
    note("building the dataset")
    preset = ["--preset", options.preset] if options.preset else []
    run([sys.executable, "-m", "titin", "build", twin, "-o", dataset, "--quiet", "--no-project", *preset])
    return dataset


def _validate(options: argparse.Namespace, dataset: Path, source: Path | None, level: str, folder: Path) -> Run:
    command: list[str | Path] = [sys.executable, "-m", "titin", "validate", dataset]
    command += ["--level", level, "--json", "--quiet"]
    command += ["--threads", str(options.threads)]
    command += ["--output", folder / "report", "--force"] if options.report else ["--no-report"]
    command += ["--source", source] if source else []
    return run(command)


def _checks(runs: list[Run]) -> dict[str, dict[str, float]]:
    """Seconds of each check; a pass over the matrix is counted to the check that asks for it first."""
    seconds = [{c["name"]: c["seconds"] for c in r.document["checks"]} for r in runs]
    return {name: spread(s[name] for s in seconds) for name in seconds[0]}


def report(document: dict[str, Any], *, markdown: bool) -> str:
    """Tables of what was found."""
    dataset = document["dataset"]
    facts = [
        f"{dataset['n_cells']:,} cells × {dataset['n_genes']:,} genes, {dataset['nnz']:,} values; dataset "
        f"{size(dataset['bytes'])}, source {size(document['twin']['bytes'])}",
        f"{document['settings']['threads']} threads; page cache {document['page_cache']}",
    ]
    rows, slowest = [], []
    for way, found in document["validate"].items():
        seconds, peak = found["seconds"], found["peak_bytes"]
        rows.append([
            way, f"{seconds['median']:.1f}", f"{seconds['min']:.1f} – {seconds['max']:.1f}",
            f"{found['cpu_seconds']['median']:.1f}", size(peak["max"]), str(found["summary"]["total_tests"]),
        ])  # fmt: skip
        longest = sorted(found["checks"].items(), key=lambda item: -item[1]["median"])[:6]
        slowest += [[way, name, f"{spent['median']:.2f}"] for name, spent in longest]
    header = ("what", "seconds", "range", "CPU s", "peak memory", "checks")
    return "\n".join([
        describe(document, facts, markdown=markdown), title("titin validate", markdown=markdown),
        table(header, rows, markdown=markdown), title("the longest checks", markdown=markdown),
        table(("what", "check", "seconds"), slowest, markdown=markdown),
    ])  # fmt: skip


if __name__ == "__main__":
    finish(lambda: measure_and_report(parse(), measure, report))
