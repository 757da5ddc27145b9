"""Time, peak memory and size of `titin build` on a twin of the muscle atlas, beside its peers on the same twin.

Every program runs as a fresh process, so wall time holds interpreter and imports, and peak memory is that process's
own (resident; the page cache is not counted). The twin is read once before, so it lies in the page cache as far as
that holds it. Kernels are compiled by a small build that is not measured.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _measure import (
    HERE,
    TWIN_SCRIPT,
    BenchmarkError,
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
WARM_UP_CELLS = 200
START_UP_RUNS = 9
LAYER = "umi"
TWINS, PEERS = HERE / "_twins.py", HERE / "_peers.py"
_LISTS = ("genes", "cells", "counts", "values", "levels")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cells", type=int, default=ATLAS_CELLS, help="cells of the twin that is made (default: %(default)s)")
    add("--genes", type=int, default=ATLAS_GENES, help="genes of the twin that is made (default: %(default)s)")
    add("--twin", type=Path, help="take this .h5ad instead of making a twin")
    add("--twin-script", type=Path, default=TWIN_SCRIPT, help="script that makes a twin (default: %(default)s)")
    add("--preset", default="muscle", help="preset of the build; '' for none (default: %(default)s)")
    add("--project", default="none", help="projections to compute, e.g. pca,tsne (default: %(default)s)")
    add("--runs", type=int, default=3, help="builds to take the median of (default: %(default)s)")
    add("--memory", default="1GiB", help="budget of the build (default: %(default)s)")
    add("--threads", type=int, default=cores(), help="threads of every program (default: all cores, %(default)s)")
    add("--double", action="store_true", help="build a twin of twice the cells too: peak memory must not grow")
    add("--layers", action="store_true", help="build a twin with a layer of counts too: without it, and with --layers")
    add("--dense-cells", type=int, default=20_000, help="cells for the published dense layout; 0 leaves it out")
    add("--annbatch-python", type=Path, help="interpreter that has annbatch[zarrs]; without it annbatch is left out")
    add("--no-warm-up", action="store_true", help="no unmeasured small build first (the first run then compiles)")
    add("--work", type=Path, help="folder for what is written; removed afterwards (default: a temporary one)")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    add("--json", type=Path, metavar="FILE", help="write everything measured to FILE ('-': stdout, and no tables)")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything; return what was found, JSON-safe."""
    before = load_average()
    note("taking the twin")
    twin = twin_or_make(options.twin, options.twin_script, folder, options.cells, options.genes)
    shape = _shape(twin)
    dataset = folder / "dataset"
    if not options.no_warm_up:
        note("warming up")
        small = _twin_of("head", twin, folder / "small.h5ad", WARM_UP_CELLS)
        build(options, small, dataset, 1)
        small.unlink()
    read_once(twin)
    note(f"building {shape['cells']:,} cells, {options.runs} times")
    runs = build(options, twin, dataset, options.runs)
    document: dict[str, Any] = {
        "schema_version": 1,
        "machine": machine(),
        "load_average": {"before": before},
        "page_cache": "warm: the twin was read once before; peak memory counts no page cache",
        "settings": {k: getattr(options, k) for k in ("memory", "threads", "runs", "project")},
        "twin": {"name": twin.name, "bytes": twin.stat().st_size, **shape},
        "build": {**spread_of(runs), "steps": _steps(runs), **_sizes(dataset)},
        "start_up": start_up(),
        "annbatch": _annbatch(options, twin, folder, shape["nnz"]),
        "dense": _dense(options, twin, folder, shape),
        "double": _double(options, twin, folder) if options.double else None,
        "layers": _layers(options, twin, folder) if options.layers else None,
    }
    document["load_average"]["after"] = load_average()
    return document


def build(options: argparse.Namespace, source: Path, dataset: Path, times: int, *more: str) -> list[Run]:
    """Build a dataset, each time as a fresh process over the last one; with ``more`` options."""
    command = [sys.executable, "-m", "titin", "build", source, "-o", dataset, "--json", "--force", "--quiet"]
    command += ["--project", options.project]
    command += ["--memory", options.memory, "--threads", str(options.threads)]
    command += ["--preset", options.preset] if options.preset else []
    command += more
    return [_settled(command) for _ in range(times)]


def _settled(command: list[Any]) -> Run:
    """Run a program once what earlier ones wrote has reached the disk."""
    os.sync()
    return run(command)


def _shape(twin: Path) -> dict[str, int]:
    found: dict[str, int] = run([sys.executable, TWINS, "shape", twin]).document
    return found


def _twin_of(how: str, twin: Path, target: Path, n: int | str) -> Path:
    run([sys.executable, TWINS, how, twin, target, str(n)])
    return target


def _steps(runs: list[Run]) -> dict[str, dict[str, float]]:
    """Seconds of each step, and of what is around them: interpreter, imports, opening the source."""
    seconds = [r.document["seconds"] for r in runs]
    steps = {step: spread(s[step] for s in seconds) for step in seconds[0] if step != "total"}
    steps["opening, placing"] = spread(s["total"] - sum(v for k, v in s.items() if k != "total") for s in seconds)
    steps["interpreter, imports"] = spread(r.seconds - s["total"] for r, s in zip(runs, seconds, strict=True))
    for step, peak in runs[0].document["peak_bytes_after"].items():
        steps[step]["peak_bytes"] = max(peak, *(r.document["peak_bytes_after"][step] for r in runs))
    return steps


def _sizes(dataset: Path) -> dict[str, Any]:
    """Bytes of each file, and bits per non-zero of it and of its list columns."""
    facts = run([sys.executable, "-m", "titin", "info", dataset, "--json"]).document
    files, lists = {}, {}
    for name, entry in facts["files"].items():
        files[name] = {"bytes": entry["bytes"], "bits_per_nonzero": _bits(entry["bytes"], facts["nnz"])}
        columns = {c: bits for c, bits in entry.get("bits_per_nonzero", {}).items() if c in _LISTS}
        if columns and "_panel" not in name:
            lists[name] = columns
    return {
        "bytes": folder_bytes(dataset),
        "bits_per_nonzero": _bits(folder_bytes(dataset), facts["nnz"]),
        "files": files,
        "list_columns": lists,
    }


def _bits(n_bytes: float, nnz: int) -> float:
    return round(8 * n_bytes / max(1, nnz), 3)


def start_up() -> dict[str, Any]:
    """Median seconds of the shortest programs, as they are and beyond the bare interpreter."""
    note("start-up")
    script = Path(sys.executable).with_name("titin")
    commands: dict[str, list[str | Path]] = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import titin": [sys.executable, "-c", "import titin"],
        "titin --help": [script, "--help"] if script.exists() else [sys.executable, "-m", "titin", "--help"],
    }
    for command in commands.values():
        run(command)
    found = {name: spread(run(c).seconds for _ in range(START_UP_RUNS)) for name, c in commands.items()}
    bare = found["python -c pass"]["median"]
    return {name: {**s, "beyond_bare": round(s["median"] - bare, 3)} for name, s in found.items()}


def _or_failure(peer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a peer needs; why it failed if it did, as other figures stand without it."""
    try:
        return peer()
    except BenchmarkError as error:
        return {"failed": str(error)}


def _annbatch(options: argparse.Namespace, twin: Path, folder: Path, nnz: int) -> dict[str, Any] | None:
    if options.annbatch_python is None:
        return None
    note("annbatch")
    return _or_failure(
        lambda: _peer([options.annbatch_python, PEERS, "annbatch", twin], folder / "peer", nnz, str(options.threads))
    )


def _peer(command: list[Any], target: Path, nnz: int, *rest: str) -> dict[str, Any]:
    """Run a peer once; what it wrote is measured and removed."""
    try:
        done = _settled([*command, target, *rest])
        written = folder_bytes(target)
    finally:
        _remove(target)
    libraries = json.loads(done.stdout.strip().splitlines()[-1])["libraries"]
    return {
        "seconds": round(done.seconds, 3),
        "cpu_seconds": round(done.cpu_seconds, 3),
        "peak_bytes": done.peak_bytes,
        "bytes": written,
        "bits_per_nonzero": _bits(written, nnz),
        "libraries": libraries,
    }


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _dense(options: argparse.Namespace, twin: Path, folder: Path, shape: dict[str, int]) -> dict[str, Any] | None:
    """The published dense layout on the first cells, and titin's own build of the same cells beside it."""
    if not options.dense_cells:
        return None
    note(f"the dense layout, {min(options.dense_cells, shape['cells']):,} cells")
    small = _twin_of("head", twin, folder / "head.h5ad", options.dense_cells)
    part = _shape(small)
    read_once(small)
    peer = _or_failure(lambda: _peer([sys.executable, PEERS, "dense", small], folder / "peer", part["nnz"]))
    runs = build(options, small, folder / "head", options.runs)
    ours = {**spread_of(runs), **_sizes(folder / "head")}
    _remove(folder / "head")
    small.unlink()
    factor = shape["cells"] / part["cells"]
    extrapolated = {key: round(peer[key] * factor) for key in ("seconds", "peak_bytes", "bytes") if key in peer}
    return {**part, "dense": peer, "titin": ours, "dense_extrapolated_to_all_cells": extrapolated}


def _double(options: argparse.Namespace, twin: Path, folder: Path) -> dict[str, Any]:
    """A twin of twice the cells, built once."""
    note("twice the cells")
    stacked = _twin_of("stack", twin, folder / "double.h5ad", 2)
    shape = _shape(stacked)
    read_once(stacked)
    runs = build(options, stacked, folder / "doubled", 1)
    found = {**shape, **spread_of(runs), "steps": _steps(runs), "bytes": folder_bytes(folder / "doubled")}
    _remove(folder / "doubled")
    stacked.unlink()
    return found


def _layers(options: argparse.Namespace, twin: Path, folder: Path) -> dict[str, Any]:
    """A twin with a layer of as many values as X, built without the layer and with it."""
    note("a layer")
    layered = _twin_of("layer", twin, folder / "layered.h5ad", LAYER)
    read_once(layered)
    found = {}
    for name, more in (("X alone", ()), (f"X and {LAYER}", ("--layers", LAYER))):
        runs = build(options, layered, folder / "layered", options.runs, *more)
        found[name] = {**spread_of(runs), "steps": _steps(runs), "bytes": folder_bytes(folder / "layered")}
        _remove(folder / "layered")
    layered.unlink()
    return found


def report(document: dict[str, Any], *, markdown: bool = False) -> str:
    """Turn what was measured into tables."""
    parts = [
        _describe(document, markdown),
        *_peer_table(document, markdown),
        *_double_table(document, markdown),
        *_layers_table(document, markdown),
        *_step_table(document, markdown),
        *_size_tables(document, markdown),
        *_start_up_table(document, markdown),
    ]
    return "\n".join(parts)


def _describe(document: dict[str, Any], markdown: bool) -> str:
    twin, settings = document["twin"], document["settings"]
    facts = [
        f"{twin['name']}: {twin['cells']:,} cells × {twin['genes']:,} genes, {twin['nnz']:,} non-zeros, "
        f"{size(twin['bytes'])}",
        f"--memory {settings['memory']}, --threads {settings['threads']}, median of {settings['runs']} builds",
        f"page cache {document['page_cache']}",
    ]
    return describe(document, facts, markdown=markdown)


def _peer_table(document: dict[str, Any], markdown: bool) -> list[str]:
    twin, ours = document["twin"], document["build"]
    rows = [_row("titin build, everything", twin["cells"], ours, ours)]
    if document["annbatch"]:
        versions = document["annbatch"].get("libraries", {})
        name = f"annbatch {versions.get('annbatch', '')}, by cell only".replace(" ,", ",")
        rows.append(_row(name, twin["cells"], document["annbatch"], ours))
    if dense := document["dense"]:
        rows.append(_row("titin build, everything", dense["cells"], dense["titin"], dense["titin"]))
        rows.append(_row("dense layout as published, matrix only", dense["cells"], dense["dense"], dense["titin"]))
        if more := dense["dense_extrapolated_to_all_cells"]:
            more = {**more, "bits_per_nonzero": dense["dense"]["bits_per_nonzero"]}
            rows.append(_row("the same, extrapolated linearly (not run)", twin["cells"], more, ours, about="~"))
    header = (
        "",
        "cells",
        "seconds",
        "range",
        "CPU s",
        "peak memory",
        "all files",
        "bits per non-zero",
        "time",
        "memory",
    )
    heading = title("Against peers (time, memory: ratios to titin on the same cells)", markdown=markdown)
    return [heading, table(header, rows, markdown=markdown)]


def _row(name: str, cells: int, found: dict[str, Any], ours: dict[str, Any], about: str = "") -> list[str]:
    if "failed" in found:
        return [f"{name}: failed: {found['failed']}", f"{cells:,}", *[""] * 8]
    seconds, peak = _median(found["seconds"]), _median(found["peak_bytes"])
    cpu = f"{_median(found['cpu_seconds']):.1f}" if "cpu_seconds" in found else ""
    return [
        name, f"{cells:,}", f"{about}{seconds:.1f}", _range(found["seconds"]), cpu, f"{about}{size(peak)}",
        f"{about}{size(found['bytes'])}", f"{about}{found['bits_per_nonzero']:.2f}",
        f"{about}{seconds / _median(ours['seconds']):.2f}×", f"{about}{peak / _median(ours['peak_bytes']):.2f}×",
    ]  # fmt: skip


def _median(value: Any) -> float:
    return float(value["median"] if isinstance(value, dict) else value)


def _range(value: Any) -> str:
    return f"{value['min']:.1f}–{value['max']:.1f}" if isinstance(value, dict) and value["min"] < value["max"] else ""


def _double_table(document: dict[str, Any], markdown: bool) -> list[str]:
    if not document["double"]:
        return []
    once, twice = document["build"], document["double"]
    rows = []
    for cells, found in ((document["twin"]["cells"], once), (twice["cells"], twice)):
        peak = _median(found["peak_bytes"])
        ratio = peak / _median(once["peak_bytes"])
        rows.append([f"{cells:,}", f"{_median(found['seconds']):.1f}", size(peak), f"{ratio:.2f}×"])
    header = ("cells", "seconds", "peak memory", "ratio")
    return [title("Twice the cells", markdown=markdown), table(header, rows, markdown=markdown)]


def _layers_table(document: dict[str, Any], markdown: bool) -> list[str]:
    if not document["layers"]:
        return []
    rows = [
        [what, f"{_median(found['seconds']):.1f}", f"{_median(found['cpu_seconds']):.1f}",
         size(_median(found["peak_bytes"])), size(found["bytes"])]
        for what, found in document["layers"].items()
    ]  # fmt: skip
    header = ("kept", "seconds", "CPU seconds", "peak memory", "all files")
    return [title("A layer of as many values as X", markdown=markdown), table(header, rows, markdown=markdown)]


def _step_table(document: dict[str, Any], markdown: bool) -> list[str]:
    steps = document["build"]["steps"].items()
    rows = [
        [
            name,
            f"{s['median']:.2f}",
            f"{s['min']:.2f}–{s['max']:.2f}",
            size(s["peak_bytes"]) if "peak_bytes" in s else "",
        ]
        for name, s in steps
    ]
    return [
        title("Steps of the build", markdown=markdown),
        table(("step", "seconds", "range", "peak memory by its end"), rows, markdown=markdown),
    ]


def _size_tables(document: dict[str, Any], markdown: bool) -> list[str]:
    files = [
        [name, f"{f['bytes']:,}", f"{f['bits_per_nonzero']:.3f}"] for name, f in document["build"]["files"].items()
    ]
    columns = [
        [name, column, f"{bits:.3f}"]
        for name, found in document["build"]["list_columns"].items()
        for column, bits in found.items()
    ]
    return [
        title("Files", markdown=markdown),
        table(("file", "bytes", "bits per non-zero"), files, markdown=markdown),
        title("List columns", markdown=markdown),
        table(("file", "column", "bits per non-zero"), columns, markdown=markdown),
    ]


def _start_up_table(document: dict[str, Any], markdown: bool) -> list[str]:
    rows = [
        [name, f"{1000 * s['median']:.0f}", f"{1000 * s['beyond_bare']:.0f}"]
        for name, s in document["start_up"].items()
    ]
    header = ("", "ms", "beyond the bare interpreter")
    return [title(f"Start-up, median of {START_UP_RUNS}", markdown=markdown), table(header, rows, markdown=markdown)]


if __name__ == "__main__":
    finish(lambda: measure_and_report(parse(), measure, report))
