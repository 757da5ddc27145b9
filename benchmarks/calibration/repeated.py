"""Trials that are repeated on small twins: their options, and a loop that loses nothing when it is stopped."""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from paired_twins import TWIN_SCRIPT


def parse(description: str, *, runs: int, cells: int, genes: int) -> argparse.ArgumentParser:
    """The options of a trial that is repeated on small twins."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--cells", type=int, default=cells, help="of each twin (default: %(default)s)")
    parser.add_argument("--genes", type=int, default=genes)
    parser.add_argument("--twin-script", type=Path, default=TWIN_SCRIPT)
    parser.add_argument("--json", type=Path)
    return parser


def repeat(trial: Callable[[Path, int], list[dict]], chosen: argparse.Namespace) -> list[dict]:
    """Rows of all runs, each in a folder and with a seed of its own; written after each run, as they take long."""
    rows: list[dict] = []
    for run in range(chosen.runs):
        with tempfile.TemporaryDirectory() as folder:
            rows += trial(Path(folder), 1000 * chosen.seed + run)
        print(f"run {run + 1} of {chosen.runs}", flush=True)
        if chosen.json:
            chosen.json.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    return rows
