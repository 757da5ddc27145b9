"""Time, memory and findings of the machine-learning benchmark on a built dataset.

    python benchmarks/learn.py DATASET [--truth TWIN.h5ad] [--model NAME] [--output FOLDER] [--threads 2] [--json FILE]
    python benchmarks/learn.py DATASET --task cell_type_0 --model logistic --model lightgbm@class_pca

Runs, each in a process of its own: level 0 logistic regression alone, and age, level 0, sex and protocol with the
default models, one donor left out at a time; or the tasks that are asked for, alone. Printed are seconds and memory,
scores with their 95 % intervals, and how many of the known markers of types the best linear model weighs most. With the
twin that DATASET was built from, also says how well the genes that the clocks weigh most are those planted (AUROC over
all genes that the model saw).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TASKS = {
    "level 0, logistic regression": {"tasks": ["cell_type_0"], "models": ["logistic"]},
    "age, level 0, sex, protocol": {"tasks": ["age", "cell_type_0", "sex", "protocol"]},
}


def run(dataset: str, output: str, name: str, tasks: list[str], models: list[str], threads: int) -> dict[str, Any]:
    """Run one of them, here."""
    from titin.learn import run_benchmark

    began = time.perf_counter()
    asked = {"tasks": tasks, "models": models} if tasks else {"models": models, **TASKS[name]}
    done = run_benchmark(dataset, output, tasks=asked["tasks"], models=asked["models"],
                         splits=["leave_one_donor_out"], figures=False, threads=threads)  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform.startswith("linux") else 2**30)
    scores = done.scores
    best = scores[scores["metric"].isin(["mae", "accuracy", "macro_f1"])]
    return {
        "name": name,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time(),
        "peak_gib": peak,
        "folds": done.ran,
        "scores": best[["task", "model", "of", "metric", "value", "low", "high"]].to_dict("records"),
        "markers": [line for line in Path(output, "biology.md").read_text("utf-8").splitlines() if "markers" in line],
    }


def planted(truth: Path, output: Path, dataset: str) -> dict[str, float]:
    """AUROC of planted genes by the size of each clock's mean weight; genes that it gives none have 0."""
    import h5py
    from sklearn.metrics import roc_auc_score

    import titin
    from titin.learn.ageing_genes import consensus
    from titin.learn.cells import gather_moments, gene_symbols
    from titin.learn.features import Centred
    from titin.study.design import atlas_design

    with h5py.File(truth) as file:
        effects = list(file["uns/truth/age_log_fold_change"])
    atlas = titin.open(dataset)
    design = atlas_design(atlas)
    moments = gather_moments(atlas, design, threads=2)
    seen = Centred(leave_out=("sex_female", "sex_male")).select(atlas, moments, np.ones(len(moments.groups), bool))
    symbols = gene_symbols(atlas)
    symbol_of = dict(zip(atlas.var_names.astype(str), symbols, strict=True))
    is_planted = pd.Series(symbols[seen].isin(effects), index=symbols[seen])
    found = {}
    for folder in sorted((output / "predictions").glob("age_*/leave_one_donor_out/*")):
        files = sorted(folder.glob("genes-*.parquet"))
        if files:
            genes = consensus(pd.concat([pd.read_parquet(file).assign(fold=i) for i, file in enumerate(files)]))
            size = genes["weight"].abs().groupby(genes["gene"].map(symbol_of)).max()
            found[folder.name] = float(roc_auc_score(is_planted, size.reindex(is_planted.index).fillna(0)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--truth", type=Path, help="the twin, with what was planted in uns['truth']")
    parser.add_argument("--task", action="append", default=[], help="run these tasks alone; repeat")
    parser.add_argument("--model", action="append", default=[], help="run these, not the default ones; repeat")
    parser.add_argument("--output", type=Path, help="keep the results here")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(
            json.dumps(run(chosen.dataset, str(chosen.output), chosen.one, chosen.task, chosen.model, chosen.threads))
        )
        return
    with tempfile.TemporaryDirectory() as scratch:
        output = chosen.output or Path(scratch)
        rows = []
        for i, name in enumerate([", ".join(chosen.task)] if chosen.task else TASKS):
            command = [sys.executable, __file__, chosen.dataset, "--output", str(output / str(i)), "--one", name,
                       "--threads", str(chosen.threads), *(f"--model={model}" for model in chosen.model),
                       *(f"--task={task}" for task in chosen.task)]  # fmt: skip
            rows.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        found = planted(chosen.truth, output / "1", chosen.dataset) if chosen.truth and not chosen.task else {}
    print(f"{'':<32} {'wall':>8} {'cpu':>8} {'peak':>10} {'folds':>6}")
    for row in rows:
        print(f"{row['name']:<32} {row['seconds']:6.0f} s {row['cpu_seconds']:6.0f} s {row['peak_gib']:6.2f} GiB "
              f"{row['folds']:6}")  # fmt: skip
    for row in rows[-1]["scores"]:
        print(
            f"  {row['task']:<14} {row['model']:<18} {row['of']:<6} {row['metric']:<10} {row['value']:.3f} "
            f"({row['low']:.3f} to {row['high']:.3f})"
        )
    for line in rows[-1]["markers"]:
        print(f"  {line}")
    for name, auroc in found.items():
        print(f"planted ageing genes by weight in {name}: AUROC {auroc:.3f}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"runs": rows, "planted_auroc": found}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
