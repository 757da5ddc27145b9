"""How often the benchmark finds a clock where nothing changes with age.

    python benchmarks/calibration/clock_null.py [--seed 1] [--runs 20] [--cells 3000] [--genes 2000]

Each run makes a small twin of the muscle atlas without an effect of age, whose genes vary between donors as in real
pseudobulk, and benchmarks clocks on it with one donor left out. Printed are the runs in which each model's p is below
0.05, with the exact 95 % interval, and those in which that of the best of them is. Exact are the p of models that are
fitted to permuted ages.
"""

from pathlib import Path

import pandas as pd
from paired_twins import build, load_twin_script
from rates import say_rate
from repeated import parse, repeat

from titin.learn import run_benchmark

MODELS = ("ridge", "ridge_by_type", "elastic_net", "pls")
BEST = "best of several"
_P = {"permutation_p": "exact", "permutation_p_cautious": "cautious", "permutation_p_best_of_several": BEST}


def trial(folder: Path, cells: int, genes: int, seed: int, script: Path, permutations: int) -> list[dict]:
    """The p of each model on one null twin."""
    adata, _ = load_twin_script(script).build(cells, genes, seed, False, True)
    dataset = build(adata, folder / "null")
    done = run_benchmark(dataset, folder / "results", tasks=["age"], models=MODELS, splits=["leave_one_donor_out"],
                         permutations=permutations, figures=False, threads=1)  # fmt: skip
    found = done.scores[done.scores["metric"].isin(_P) & ~done.scores["baseline"].astype(bool)]
    return [{"seed": seed, "model": BEST if _P[row["metric"]] == BEST else row["model"], "p": row["value"],
             "kind": _P[row["metric"]], "n_donors": row["n_donors"]} for row in found.to_dict("records")]  # fmt: skip


def summary(rows: list[dict]) -> list[str]:
    """A Markdown table, a row a model."""
    lines = ["| model | p | null twins | p < 0.05 | smallest p | median p |", "|---|---|---:|---:|---:|---:|"]
    for (model, kind), mine in pd.DataFrame(rows).groupby(["model", "kind"], sort=False):
        p = mine["p"]
        found = int((p < 0.05).sum())
        lines.append(f"| {model} | {kind} | {len(p)} | {found}: {say_rate(found, len(p))} | {p.min():.3f} "
                     f"| {p.median():.2f} |")  # fmt: skip
    return lines


def main() -> None:
    parser = parse(__doc__, runs=20, cells=3000, genes=2000)
    parser.add_argument("--permutations", type=int, default=199)
    chosen = parser.parse_args()
    rows = repeat(lambda folder, seed: trial(folder, chosen.cells, chosen.genes, seed, chosen.twin_script,
                                             chosen.permutations), chosen)  # fmt: skip
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
