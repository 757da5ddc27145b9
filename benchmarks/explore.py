"""How long the explorer takes in a headless browser: python benchmarks/explore.py --dataset DATASET."""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import titin
from _measure import finish, load_average, table
from titin.dataset.layout import MANIFEST
from titin.dataset.manifest import Manifest

sys.path.append(str(Path(__file__).parents[1] / "tests" / "explore"))
from window import ARGUMENTS, CHROMIUM

TARGETS = {
    "first labelled picture, s": 1.5, "all cells, s": 3.0, "read until all cells, MB": 3.0,
    "gene to colours p50, ms": 300, "gene to colours p95, ms": 600, "gene read p50, kB": 30, "pan frame, ms": 140,
    "lasso to counts, ms": 100, "gene card p50, ms": 500, "gene card p95, ms": 500,
    "gene card read p50, kB": 500, "dot plot of 20 genes, ms": 1000, "composition, ms": 200, "server memory, MB": 150,
    "browser memory of the page, MB": 1000, "12 genes of A and B, ms": 2000, "all genes of A and B, s": 10,
}  # fmt: skip
PAN = """async () => {
    const canvas = document.querySelector("#map canvas"), gl = canvas.getContext("webgl2"), spent = [];
    const pixel = new Uint8Array(4);
    for (let k = 0; k < 12; k++) {
        const began = performance.now();
        await titin.pan(k % 2 ? 40 : -40);
        gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel); // waits for the frame
        spent.push(performance.now() - began);
    }
    return spent.slice(2);
}"""
MARKERS = """async () => {
    const { charts: [{ protocol, type }] } = await titin.composition(), began = performance.now();
    await titin.markers(protocol, type); // those of all types are found together
    return (performance.now() - began) / 1000;
}"""
ROWS = """() => [...document.querySelectorAll("#sheet table")]
    .find(({ caption }) => caption.textContent === "Genes by type").tBodies[0].rows.length"""
COLOUR = """async (gene) => {
    const before = titin.traffic().bytes, began = performance.now();
    await titin.colour({ gene });
    await new Promise(requestAnimationFrame); // in which the map is drawn
    const gl = document.querySelector("#map canvas").getContext("webgl2");
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits until it is
    return { ms: performance.now() - began, bytes: titin.traffic().bytes - before };
}"""
LASSO = """async (polygon) => {
    const began = performance.now();
    await titin.select({ polygon });
    return performance.now() - began;
}"""

COMPARE = """async (genes) => {
    const began = performance.now();
    await (genes === null ? titin.compareAll() : titin.compare(genes));
    return performance.now() - began;
}"""
PAGE = """async (state) => {
    const before = titin.traffic().bytes, began = performance.now();
    await titin.setState(state);
    const sheet = document.querySelector("#sheet");
    const undrawn = () => [...sheet.querySelectorAll(".chart")].some((one) => one.clientWidth && !one.firstChild);
    do await new Promise(requestAnimationFrame); while (sheet.hasAttribute("aria-busy") || undrawn());
    sheet.getBoundingClientRect(); // waits for the layout
    return { ms: performance.now() - began, bytes: titin.traffic().bytes - before };
}"""


def main() -> int:
    """Open, colour by genes, pan and select; print a row for each target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3, help="openings, of which the median counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pages", action="store_true", help="only the pages of what changes with age, by every level")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    words = [sys.executable, "-m", "titin", "explore", str(options.dataset), "--no-browser", "--json"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    said = server.stdout
    assert said is not None
    try:
        address = json.loads("".join(said.readline() for _ in range(4)))["address"]
        found = measure(address, options, server.pid)
        if not options.pages:
            found["server memory after comparisons, MB"] = memory(server.pid)
    finally:
        server.terminate()
        server.wait(20)
    n_cells = json.loads((options.dataset / MANIFEST).read_text("utf-8"))["n_cells"]
    document = {"cells": n_cells, "genes": options.genes, "load_average": load_average(), "measured": found}
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    targets = {name: TARGETS.get(name.partition(", by ")[0]) for name in found}
    rows = [(name, f"{value:.3g}", f"≤ {targets[name]:g}" if targets[name] else "") for name, value in found.items()]
    rows.sort(key=lambda row: not row[2])
    print(f"{n_cells:,} cells, {options.genes} random genes; load {document['load_average']}\n")
    print(table(("", "measured", "target"), rows))
    return 0


def measure(address: str, options: argparse.Namespace, server: int) -> dict[str, float]:
    """Everything that happens in the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = [*ARGUMENTS, "--enable-precise-memory-info"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        names = titin.open(options.dataset).var_names
        drawn = [str(name) for name in np.random.default_rng(options.seed).permutation(names)]
        genes, others = drawn[: options.genes + 1], drawn[options.genes + 1 :][:60]
        if options.pages:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            show(page, address)
            return every_level(page, options.dataset, genes, others)
        openings = [opening(browser, address) for _ in range(options.repeats)]
        found = {name: float(np.median([one[name] for one in openings])) for name in openings[0]}
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        show(page, address)
        first, *rest = [page.evaluate(COLOUR, gene) for gene in genes]
        found["first gene, ms"], found["first gene read, kB"] = first["ms"], first["bytes"] / 1000
        for share in (50, 95):
            found[f"gene to colours p{share}, ms"] = float(np.percentile([one["ms"] for one in rest], share))
        found["gene read p50, kB"] = float(np.median([one["bytes"] for one in rest])) / 1000
        found["pan frame, ms"] = float(np.median(page.evaluate(PAN)))
        extent = page.evaluate("titin.extent()")
        angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        corners = np.column_stack([np.cos(angles), np.sin(angles)]) * [extent["width"] / 4, extent["height"] / 4]
        corners += [extent["x"] + extent["width"] / 2, extent["y"] + extent["height"] / 2]
        lassos = [page.evaluate(LASSO, (corners + 0.01 * k).tolist()) for k in range(5)]
        found["lasso to counts, ms"] = float(np.median(lassos[1:]))
        found |= every_level(page, options.dataset, genes, others)
        found["server memory, MB"] = memory(server)
        found |= selections(page, corners.tolist(), others[:12], server)
        found["browser memory of the page, MB"] = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        browser.close()
    return found


def every_level(page: Any, dataset: Path, genes: list[str], others: list[str]) -> dict[str, float]:
    """Pages of what changes with age by each level of cell types; none where the dataset holds no tables of it."""
    found: dict[str, float] = {}
    manifest = Manifest.read(dataset)
    for number, (level, names) in enumerate(manifest.ageing_files.items()):
        pages = ageing_pages(page, level, genes, others)
        pages["tables, MB"] = sum(manifest.files[name]["bytes"] for name in names) / 1e6
        found |= {f"{name}, by {level}" if number else name: value for name, value in pages.items()}
    return found


def ageing_pages(page: Any, level: str, genes: list[str], others: list[str]) -> dict[str, float]:
    """Pages of what changes with age; the first card also reads the names of donors and where genes lie."""

    def show(**state: Any) -> dict[str, float]:
        taken: dict[str, float] = page.evaluate(PAGE, {"level": level, **state})
        return taken

    first, *cards = [show(page="gene", card=gene) for gene in genes]
    dots = [show(page="dots", dots=others[20 * k : 20 * k + 20]) for k in range(3)]
    rows = page.evaluate(ROWS)
    pages = []
    for _ in range(5):
        pages.append(show(page="composition"))
        show(page="gene", card=genes[0])
    return {
        "types of the dot plot": rows,
        "first gene card, ms": first["ms"],
        "first gene card read, kB": first["bytes"] / 1000,
        **{f"gene card p{share}, ms": float(np.percentile([one["ms"] for one in cards], share)) for share in (50, 95)},
        "gene card read p50, kB": float(np.median([one["bytes"] for one in cards])) / 1000,
        "dot plot of 20 genes, ms": float(np.median([one["ms"] for one in dots])),
        "composition, ms": float(np.median([one["ms"] for one in pages])),
        "violins of 3 genes, ms": show(page="violins", dots=others[:3])["ms"],
        "markers of all types, s": page.evaluate(MARKERS),
    }


def selections(page: Any, outline: list[list[float]], genes: list[str], server: int) -> dict[str, float]:
    """The cells within an outline against all others; the first comparison also reads the totals of the cells."""
    projection = page.evaluate("titin.state().projection")
    inside = {"polygon": outline, "projection": projection}
    page.evaluate("inside => titin.keep('a', inside)", inside)
    page.evaluate("inside => titin.keep('b', {join: 'without', of: [{where: []}, inside]})", inside)
    found = {
        "first gene of A and B, ms": page.evaluate(COMPARE, genes[:1]),
        "12 genes of A and B, ms": page.evaluate(COMPARE, genes),
        "panel of A and B, s": page.evaluate(COMPARE, "panel") / 1000,
    }
    before = processor_time(server)
    found["all genes of A and B, s"] = page.evaluate(COMPARE, None) / 1000
    found["all genes of A and B, processor time of the server, s"] = processor_time(server) - before
    return found


def show(page: Any, address: str) -> tuple[float, float]:
    """Open the page; seconds to the first picture and to all cells."""
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    while not page.evaluate("window.titin !== undefined"):
        time.sleep(0.005)
    page.evaluate("titin.ready")
    first = time.perf_counter() - began
    page.evaluate("titin.complete")
    return first, time.perf_counter() - began


def opening(browser: Any, address: str) -> dict[str, float]:
    """One opening in a window without anything kept from before."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    first, whole = show(page, address)
    read = page.evaluate("titin.traffic()")["bytes"] / 1e6
    context.close()
    return {"first labelled picture, s": first, "all cells, s": whole, "read until all cells, MB": read}


def memory(process: int) -> float:
    """Largest resident memory of a process so far, in MB."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def processor_time(process: int) -> float:
    """Seconds that the processors have worked for a process: what it takes also where others work beside it."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    finish(main)
