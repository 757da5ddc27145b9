"""A dataset behind a slow connection, requests and seconds: python benchmarks/remote.py --dataset DATASET.

The folder is served by HTTP on this machine, by a process of its own that answers each request after the latency and
sends at the bandwidth, shared by all connections. Needs aiohttp, by which fsspec reads http://.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import titin
from _measure import finish, load_average, table

_PIECE = 64 << 10


class _Slow(BaseHTTPRequestHandler):
    """Sends parts of files, late and at a bandwidth."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    latency, bandwidth = 0.05, 100e6
    free_at = 0.0
    lock = threading.Lock()
    seen: ClassVar[list[tuple[str, str, int]]] = []

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/seen":
            body = json.dumps(self.seen).encode()
            self.seen.clear()
            self._head(200, len(body))
            self.wfile.write(body)
            return
        time.sleep(self.latency)
        path = self.folder / self.path.rpartition("/")[2]
        if not path.is_file():
            self._head(404, 0)
            return
        size = path.stat().st_size
        first, last = 0, size - 1
        asked = self.headers.get("Range", "")
        if asked:
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end or last), last)
        length = last + 1 - first
        more = {"Content-Range": f"bytes {first}-{last}/{size}"} if asked else {}
        self._head(206 if asked else 200, length, {"ETag": f'"{path.stat().st_mtime_ns}"', **more})
        self.seen.append((self.command, path.name, 0 if self.command == "HEAD" else length))
        if self.command == "HEAD":
            return
        with path.open("rb") as file:
            file.seek(first)
            while length:
                piece = file.read(min(_PIECE, length))
                length -= len(piece)
                with self.lock:
                    start = max(time.monotonic(), _Slow.free_at)
                    _Slow.free_at = start + len(piece) / self.bandwidth
                time.sleep(max(0.0, _Slow.free_at - time.monotonic()))
                self.wfile.write(piece)

    do_HEAD = do_GET  # noqa: N815 - names of the base class

    def _head(self, status: int, length: int, more: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for key, value in {"Content-Length": str(length), "Accept-Ranges": "bytes", **(more or {})}.items():
            self.send_header(key, value)
        self.end_headers()


def _serve(folder: Path, latency: float, bandwidth: float, port: Any) -> None:
    _Slow.folder, _Slow.latency, _Slow.bandwidth = folder, latency, bandwidth
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    port.put(server.server_address[1])
    server.serve_forever()


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _bytes_a_cell(atlas: titin.Atlas) -> float:
    """Of what a Loader reads: the bandwidth over this is the most cells a second that can come."""
    kind, store = atlas.manifest.value_kind, atlas.store
    levels = ["levels"] if kind.has_levels and not kind.lognorm_of_counts else []
    read, n_bytes = {"genes", kind.entries, *levels}, 0
    for shard in store.shards(atlas.layout.expression):
        footer = store.footer(shard)
        for group in map(footer.row_group, range(footer.num_row_groups)):
            columns = map(group.column, range(group.num_columns))
            n_bytes += sum(one.total_compressed_size for one in columns if one.path_in_schema.split(".")[0] in read)
    return n_bytes / atlas.n_obs


def _rate(atlas: titin.Atlas, batches: int) -> float:
    """Cells a second of a Loader, its first batch included."""
    n, loader = 0, titin.Loader(atlas, batch_size=256, seed=0)
    began = time.perf_counter()
    for batch, _ in zip(loader, range(batches), strict=False):
        n += batch.X.shape[0]
    return n / (time.perf_counter() - began)


def main() -> int:
    """Measure opening, one gene and a Loader, here and behind the connection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=50, metavar="MS")
    parser.add_argument("--bandwidth", type=float, default=100, metavar="MB/S")
    parser.add_argument("--gene", help="The first gene where not given.")
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3, help="Of the Loader, here and there in turn.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    server = context.Process(
        target=_serve, args=(options.dataset, options.latency / 1000, options.bandwidth * 1e6, port), daemon=True
    )
    server.start()
    url = f"http://127.0.0.1:{port.get(timeout=60)}"
    local = titin.open(options.dataset)
    gene = options.gene or local.var_names[0]
    local.counts_of(gene), local[gene]  # compiled, and in memory
    titin.open(f"{url}/atlas")  # connected
    seen: list[tuple[str, float, int, int]] = []

    def step(name: str, work: Callable[[], Any]) -> Any:
        _asked(url)
        out: list[Any] = []
        seconds = _timed(lambda: out.append(work()))
        asked = _asked(url)
        seen.append((name, seconds, len(asked), sum(n for _, _, n in asked)))
        return out[0]

    atlas = step("open", lambda: titin.open(f"{url}/atlas"))
    step("counts_of(gene)", lambda: atlas.counts_of(gene))
    step("counts_of(another)", lambda: atlas.counts_of(local.var_names[-1]))
    step("atlas[gene]", lambda: atlas[gene])
    step("obs", lambda: atlas.obs)
    rates = [
        (_rate(local, options.batches), _rate(titin.open(f"{url}/atlas"), options.batches))
        for _ in range(options.repeats)
    ]
    server.terminate()
    here, there, ratio = (statistics.median(one) for one in zip(*((a, b, b / a) for a, b in rates), strict=True))
    a_cell = _bytes_a_cell(local)
    most = options.bandwidth * 1e6 / a_cell
    document = {
        "cells": local.n_obs, "latency_ms": options.latency, "bandwidth_mb_s": options.bandwidth,
        "load_average": load_average(),
        "steps": [{"step": n, "ms": 1000 * s, "requests": r, "bytes": b} for n, s, r, b in seen],
        "loader_cells_per_second": {"here": here, "there": there, "ratio": ratio, "most": most, "pairs": rates},
    }  # fmt: skip
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    print(f"{local.n_obs:,} cells; {options.latency:.0f} ms, {options.bandwidth:.0f} MB/s; "
          f"load {document['load_average']}; Python {sys.version.split()[0]}\n")  # fmt: skip
    print(
        table(
            ("step", "ms", "requests", "kB"),
            [(n, f"{1000 * s:.0f}", str(r), f"{b / 1000:,.0f}") for n, s, r, b in seen],
        )
    )
    print(f"\nLoader: {here:,.0f} cells/s here, {there:,.0f} there ({ratio:.2f}); medians of {options.repeats} pairs. "
          f"{a_cell:,.0f} bytes a cell: at most {most:,.0f} cells/s come")  # fmt: skip
    return 0


def _asked(url: str) -> list[tuple[str, str, int]]:
    """Requests since the last time."""
    with urllib.request.urlopen(f"{url}/seen") as answer:
        seen: list[tuple[str, str, int]] = json.load(answer)
        return seen


if __name__ == "__main__":
    finish(main)
