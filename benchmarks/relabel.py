"""Time and memory of other labels, other roles and a comparison, each of a dataset that is there.

python benchmarks/relabel.py --dataset DATASET [--rounds 3]
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import titin
from _measure import load_average, machine, run, size, spread_of, table, title
from titin.study.roles import role_columns

TITIN = [sys.executable, "-m", "titin"]
DIFF = "import sys, titin; titin.diff(*sys.argv[1:])"  # the command ends with 1, as they differ


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="a dataset that titin built; it is copied")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write everything measured; - for stdout")
    options = parser.parse_args()
    document = measure(options.dataset, options.rounds)
    if options.json is not None:
        text = json.dumps(document, indent=2)
        print(text) if str(options.json) == "-" else options.json.write_text(text + "\n", "utf-8")
    if str(options.json) != "-":
        print(report(document))
    return 0


def measure(dataset: Path, rounds: int) -> dict[str, Any]:
    """Run every command on copies."""
    atlas = titin.open(dataset)
    with tempfile.TemporaryDirectory(prefix="titin-relabel-", dir=dataset.absolute().parent) as folder:
        copy = Path(folder) / "dataset"
        rows = []
        for name, command in _commands(atlas, Path(folder)).items():
            runs = []
            for _ in range(rounds):
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(dataset, copy)
                if name.startswith("diff"):
                    run([*TITIN, "relabel", copy, "--obs", Path(folder) / "types.csv", "-q"])
                runs.append(run([str(copy) if part == "DATASET" else part for part in command]))
            rows.append({"what": name, **spread_of(runs)})
    return {"machine": machine(), "load_average": load_average(), "rounds": rounds, "rows": rows,
            "dataset": {"cells": atlas.n_obs, "genes": atlas.n_vars, "nnz": atlas.manifest.nnz}}  # fmt: skip


def _commands(atlas: titin.Atlas, folder: Path) -> dict[str, list[str]]:
    """What is measured, by name; ``DATASET`` stands for the copy."""
    kinds = atlas.manifest.roles["cell_type"][-1]
    labels = atlas.obs[[kinds]].astype(str)
    labels.where(labels != labels.iloc[0, 0], "corrected").to_csv(folder / "types.csv")
    labels.set_axis(["another_column"], axis=1).to_csv(folder / "added.csv")
    last = str(role_columns(atlas.manifest.roles)[-1])
    role = next(name for name, column in atlas.manifest.roles.items() if column == last)
    return {
        "relabel: a column with a role": [*TITIN, "relabel", "DATASET", "--obs", str(folder / "types.csv"), "-q"],
        "relabel: a column without": [*TITIN, "relabel", "DATASET", "--obs", str(folder / "added.csv"), "-q"],
        "roles: one taken away": [*TITIN, "roles", "DATASET", f"--{role}", "none", "-q"],
        "diff: with the dataset relabelled": [sys.executable, "-c", DIFF, str(atlas.store.folder), "DATASET"],
    }


def report(document: dict[str, Any]) -> str:
    """A table."""
    facts = document["dataset"]
    rows = [(row["what"], f"{row['seconds']['median']:.1f}", f"{row['cpu_seconds']['median']:.1f}",
             size(row["peak_bytes"]["median"])) for row in document["rows"]]  # fmt: skip
    head = title(f"{facts['cells']:,} cells, {facts['genes']:,} genes, {facts['nnz']:,} values")
    return f"{head}\n{table(('', 'seconds', 'processor seconds', 'peak memory'), rows)}"


if __name__ == "__main__":
    sys.exit(main())
