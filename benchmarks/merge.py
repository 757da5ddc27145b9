"""Time and peak memory of `titin merge` by the number of studies, and of `titin subset`, on copies of one dataset.

Copies are hard links with a manifest of their own: as studies they differ in name only, so that every barcode is
shared and gets its study's name. Of one study it is `titin subset` of all its cells: read and written as a merge is.
Every run is a fresh process; peak memory is its own.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from _measure import (
    TWIN_SCRIPT,
    Run,
    describe,
    finish,
    folder_bytes,
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

ATLAS_CELLS, ATLAS_GENES = 183_161, 29_400


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--dataset", type=Path, help="take this dataset instead of building one of a twin")
    add("--twin", type=Path, help="build it of this .h5ad instead of making a twin")
    add("--twin-script", type=Path, default=TWIN_SCRIPT, help="script that makes a twin (default: %(default)s)")
    add("--cells", type=int, default=ATLAS_CELLS, help="cells of the twin that is made (default: %(default)s)")
    add("--genes", type=int, default=ATLAS_GENES, help="genes of the twin that is made (default: %(default)s)")
    add("--studies", type=int, nargs="+", default=[1, 2, 3], help="numbers of copies to merge (default: 1 2 3)")
    add("--join", choices=("inner", "outer"), default="inner", help="as for titin merge (default: %(default)s)")
    add("--where", help="condition of the subset, such as 'sex=F'; no subset where not given")
    add("--memory", default="1GiB", help="budget of every run (default: %(default)s)")
    add("--threads", type=int, default=os.cpu_count() or 1, help="threads (default: %(default)s)")
    add("--work", type=Path, help="folder for what is written; removed afterwards (default: a temporary one)")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    add("--json", type=Path, metavar="FILE", help="write everything measured to FILE ('-': stdout, and no tables)")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything; return what was found, JSON-safe."""
    before = load_average()
    dataset = options.dataset or _build(options, folder)
    copies = [_copy(dataset, folder / f"study{number}") for number in range(1, max(options.studies) + 1)]
    runs = {}
    if options.where:
        note(f"a part: --where {options.where}")
        runs["subset"] = _found(_titin(options, ["subset", copies[0], "--where", options.where], folder))
    for n in options.studies:
        note(f"merging {n} {'studies' if n > 1 else 'study'}")
        words = ["merge", *copies[:n], "--join", options.join] if n > 1 else ["subset", copies[0]]
        runs[f"merge of {n}" if n > 1 else "one study alone"] = _found(_titin(options, words, folder))
    return {
        "schema_version": 1, "machine": machine(), "load_average": {"before": before, "after": load_average()},
        "settings": {"threads": options.threads, "memory": options.memory, "join": options.join},
        "dataset": {"bytes": folder_bytes(dataset)}, "runs": runs,
    }  # fmt: skip


def _build(options: argparse.Namespace, folder: Path) -> Path:
    twin = twin_or_make(options.twin, options.twin_script, folder, options.cells, options.genes)
    note("building the dataset")
    run([sys.executable, "-m", "titin", "build", twin, "-o", folder / "dataset", "--quiet", "--no-project"])
    return folder / "dataset"


def _copy(dataset: Path, copy: Path) -> Path:
    """The same dataset with another manifest, by hard links where the disk allows them."""
    copy.mkdir()
    for file in dataset.iterdir():
        try:
            os.link(file, copy / file.name)
        except OSError:
            shutil.copyfile(file, copy / file.name)
    manifest = json.loads((copy / "titin.json").read_text("utf-8"))
    (copy / "titin.json").unlink()
    manifest["notes"] = [*manifest.get("notes", []), f"a copy, {copy.name}"]
    (copy / "titin.json").write_text(json.dumps(manifest), "utf-8")
    return copy


def _titin(options: argparse.Namespace, words: list[Any], folder: Path) -> Run:
    limits = ["--memory", options.memory, "--threads", str(options.threads)]
    done = run([sys.executable, "-m", "titin", *words, *limits, "-o", folder / "out", "--json", "--quiet"])
    shutil.rmtree(folder / "out")
    return done


def _found(done: Run) -> dict[str, Any]:
    told = done.document
    return {
        "seconds": done.seconds, "cpu_seconds": done.cpu_seconds, "peak_bytes": done.peak_bytes,
        "steps": told["seconds"], **{key: told[key] for key in ("n_cells", "n_genes", "nnz", "bytes")},
    }  # fmt: skip


def report(document: dict[str, Any], *, markdown: bool) -> str:
    """Tables of what was found."""
    settings = document["settings"]
    facts = [f"a dataset of {size(document['dataset']['bytes'])}; --memory {settings['memory']}, "
             f"{settings['threads']} threads, join {settings['join']}"]  # fmt: skip
    rows = [
        [what, f"{found['n_cells']:,}", f"{found['nnz']:,}", f"{found['seconds']:.1f}", f"{found['cpu_seconds']:.1f}",
         f"{1e6 * found['cpu_seconds'] / found['nnz']:.3f}", size(found["peak_bytes"]), size(found["bytes"])]
        for what, found in document["runs"].items()
    ]  # fmt: skip
    header = ("what", "cells", "values", "seconds", "CPU seconds", "CPU seconds a million values", "peak memory",
              "written")  # fmt: skip
    return "\n".join([
        describe(document, facts, markdown=markdown), title("titin merge and subset", markdown=markdown),
        table(header, rows, markdown=markdown),
    ])  # fmt: skip


if __name__ == "__main__":
    finish(lambda: measure_and_report(parse(), measure, report))
