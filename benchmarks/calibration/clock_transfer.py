"""Whether a clock tells the ages of donors of another dataset as well as it said it would.

    python benchmarks/calibration/clock_transfer.py [--seed 1] [--runs 10] [--cells 9000] [--genes 3000] [--null]

Each run makes two twins of one truth and other donors, trains each model on the one and predicts the other. Printed are
the mean absolute error with training donors held out, that on the other twin, their ratio, the error of saying the mean
age of the training donors, by how much the model errs more (below 0: less), run by run, and how many donors of the
other twin are within their 95 % intervals; over all runs the mean of each with its standard error, and the ratio of the
means with that of the jackknife. With --null nothing changes with age.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from paired_twins import make_pair
from repeated import parse, repeat

from titin.learn import Clock

MODELS = ("ridge", "ridge_by_type", "elastic_net", "pls")


def trial(folder: Path, cells: int, genes: int, seed: int, *, age_effect: bool, script: Path) -> list[dict]:
    """Train on one twin, try on the other."""
    one, other = make_pair(folder, cells, genes, seed, age_effect=age_effect, script=script)
    rows = []
    for model in MODELS:
        clock = Clock(model).fit(one, threads=1)
        ages = clock.predict(other, threads=1)
        donors, types = ages.table, ages.by_type.dropna(subset=["low"])
        rows.append({
            "seed": seed, "model": model, "held_out": clock.scores_["mae"], "other": ages.scores["mae"],
            "mean": ages.scores["baseline_mae"], "n": ages.scores["n_donors"],
            "covered": float(donors["age"].between(donors["low"], donors["high"]).mean()),
            "covered_by_type": float(types["age"].between(types["low"], types["high"]).mean()),
        })  # fmt: skip
    return rows


def summary(rows: list[dict]) -> list[str]:
    """A Markdown table, a row a model."""
    table = pd.DataFrame(rows)
    lines = ["| model | runs | MAE held out | MAE on other donors | ratio | MAE of the mean | more than the mean "
             "| in 95 % intervals | by type |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    table["more"] = table["other"] - table["mean"]
    for model, mine in table.groupby("model", sort=False):
        n = len(mine)
        held, other, mean, more = (
            f"{mine[name].mean():.2f}" + (f" ± {mine[name].std(ddof=1) / np.sqrt(n):.2f}" if n > 1 else "")
            for name in ("held_out", "other", "mean", "more")
        )
        ratio, error = ratio_of_means(mine["other"].to_numpy(), mine["held_out"].to_numpy())
        lines.append(f"| {model} | {n} | {held} | {other} | {ratio:.2f}{f' ± {error:.2f}' if n > 1 else ''} | {mean} | "
                     f"{more} | {mine['covered'].mean():.1%} | {mine['covered_by_type'].mean():.1%} |")  # fmt: skip
    return lines


def ratio_of_means(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """The ratio of two means over the same runs, and its standard error by the jackknife (0 for one run)."""
    n = len(above)
    if n < 2:
        return float(above.mean() / below.mean()), 0.0
    without = (above.sum() - above) / (below.sum() - below)
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    return float(above.mean() / below.mean()), float(error)


def main() -> None:
    parser = parse(__doc__, runs=10, cells=9000, genes=3000)
    parser.add_argument("--null", action="store_true", help="plant no effect of age")
    chosen = parser.parse_args()
    rows = repeat(lambda folder, seed: trial(folder, chosen.cells, chosen.genes, seed, age_effect=not chosen.null,
                                             script=chosen.twin_script), chosen)  # fmt: skip
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
