"""Runs of other programs, measured; the machine they ran on; tables of what was found.

Only the standard library is imported here and in ``build.py``: the kernel starts a child's peak memory from its
parent's, so a parent that had loaded more than its children would be measured in their place.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TWIN_SCRIPT = HERE.parent.parent / "shared" / "tools" / "twin.py"
LIBRARIES = ("titin", "anndata", "h5py", "hdf5plugin", "numba", "numpy", "pandas", "pyarrow", "scipy", "zarr")
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_CHUNK = 16 * 2**20


class BenchmarkError(Exception):
    """What a benchmark needs is missing, or a program that it measures failed."""


@dataclass(frozen=True)
class Run:
    """One finished process.

    Attributes
    ----------
    seconds, cpu_seconds
        Wall time from start to end, interpreter and imports included; user and system time.
    peak_bytes
        Largest resident memory; the page cache is not counted.
    stdout
        What it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    stdout: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document it printed."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document


def run(command: Sequence[str | Path]) -> Run:
    """Run a program to its end.

    Raises
    ------
    BenchmarkError
        If it cannot be started, or fails.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        except OSError as error:
            raise BenchmarkError(f"{words[0]} cannot be run: {error}") from error
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            last = err.read().decode(errors="replace").strip().splitlines()[-3:]
            raise BenchmarkError(f"{' '.join(words)}: exit code {process.returncode}: {' | '.join(last)}")
        stdout = out.read().decode()
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT, stdout)


def spread(values: Iterable[float], digits: int = 3) -> dict[str, float]:
    """Median, smallest and largest."""
    found = list(values)
    return {
        "median": round(statistics.median(found), digits),
        "min": round(min(found), digits),
        "max": round(max(found), digits),
    }


def spread_of(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Spread of seconds, processor seconds and peak memory."""
    return {
        "seconds": spread(r.seconds for r in runs),
        "cpu_seconds": spread(r.cpu_seconds for r in runs),
        "peak_bytes": spread((r.peak_bytes for r in runs), 0),
    }


def evict(path: Path) -> None:
    """Have the system forget the pages of a file, or of a folder's files, that it keeps in memory."""
    os.sync()  # pages not yet written are kept
    for file in [path] if path.is_file() else (p for p in path.rglob("*") if p.is_file()):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def read_once(path: Path) -> None:
    """Read a file from end to end, so that it lies in the page cache as far as that holds it."""
    with path.open("rb", buffering=0) as file:
        while file.read(_CHUNK):
            pass


def folder_bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def load_average() -> list[float]:
    """Load averages of the last 1, 5 and 15 minutes."""
    return [round(load, 2) for load in os.getloadavg()]


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Processor, memory, system, and versions of what is measured."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe(document: dict[str, Any], facts: Sequence[str], *, markdown: bool = False) -> str:
    """Say what was measured (``facts``), on which machine, under which load."""
    computer, loads = document["machine"], document["load_average"]
    versions = ", ".join(f"{name} {version}" for name, version in computer["libraries"].items())
    lines = [
        *facts,
        f"{computer['cpu']}, {computer['cores']} cores, {size(computer['memory_bytes'])} of memory, "
        f"{computer['system']}",
        f"Python {computer['python']}, {versions}",
        f"load average {_loads(loads['before'])} before, {_loads(loads['after'])} after",
    ]
    return "\n".join(f"- {line}" if markdown else line for line in lines)


def _loads(loads: list[float]) -> str:
    return " ".join(f"{load:.2f}" for load in loads)


def twin_or_make(twin: Path | None, script: Path, folder: Path, cells: int, genes: int | None = None) -> Path:
    """Return the twin given, or make one with the script.

    Raises
    ------
    BenchmarkError
        If there is neither.
    """
    if twin is not None:
        if not twin.is_file():
            raise BenchmarkError(f"{twin} does not exist")
        return twin
    if not script.is_file():
        raise BenchmarkError(
            f"there is no script to make a twin at {script}: give its path with --twin-script, or an .h5ad with --twin"
        )
    target = folder / "twin.h5ad"
    run([sys.executable, script, target, "--cells", str(cells), *(["--genes", str(genes)] if genes else [])])
    return target


def note(text: str) -> None:
    """Say on stderr what is being done."""
    print(f"… {text}", file=sys.stderr, flush=True)


def finish(benchmark: Callable[[], int]) -> None:
    """Run a benchmark and exit; what is missing is said in one line."""
    try:
        sys.exit(benchmark())
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def measure_and_report(
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace, Path], dict[str, Any]],
    report: Callable[..., str],
) -> int:
    """Measure in a folder that is removed, and write or print what was found, as ``--json`` and ``--markdown`` say."""
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="titin-benchmark-", dir=options.work) as folder:
        document = measure(options, Path(folder))
    text = json.dumps(document, indent=2)
    if options.json is not None and str(options.json) != "-":
        options.json.write_text(text + "\n", "utf-8")
    print(text if str(options.json) == "-" else report(document, markdown=options.markdown))
    return 0


def size(n: float) -> str:
    """Bytes as people write memory.

    Examples
    --------
    >>> size(512), size(3 * 2**20)
    ('512 B', '3.00 MiB')
    """
    if n < 1024:
        return f"{n:.0f} B"
    value = float(n)
    for unit in ("KiB", "MiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.2f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    value /= 1024
    return f"{value:.2f} GiB"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    """Columns lined up, numbers to the right; as Markdown if asked."""
    cells = [[str(cell) for cell in row] for row in rows]
    right = [i > 0 and all(_numeric(row[i]) for row in cells) for i in range(len(header))]
    if markdown:
        rule = ["--:" if r else "---" for r in right]
        return "\n".join(f"| {' | '.join(row)} |" for row in [list(header), rule, *cells])
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in [list(header), *cells]
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _numeric(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "~–-"


def title(text: str, *, markdown: bool = False) -> str:
    """Heading of a table."""
    return f"\n### {text}\n" if markdown else f"\n{text}\n"
