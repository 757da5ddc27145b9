"""Protocols that share donors, twins of the muscle atlas: python benchmarks/calibration/joint_twins.py --seed 23.

Twins in which nothing changes with age and genes vary between donors as in real pseudobulk are written by
``--twin-script`` (``--real-donors --no-age-effect``), built and tested, or ``--dataset`` is taken for one; with
``--whole`` they have the cells and genes of the atlas, and only their pseudobulks are drawn. With ``--planted`` they
have an effect of age, and what is found of it is told, and by each protocol alone. A twin has one deal of ages, on
which the p-values of many genes hang together: ``--shuffles`` deals them anew, over the same counts.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from rates import say_rate
from twins import deal_ages
from whole_twins import WHOLE, whole_twin

import titin
from titin.ageing import Pseudobulk, expression_comparisons, joint_model, pseudobulk
from titin.ageing.comparison import ACROSS
from titin.ageing.differential_expression import compare_apart

TWIN_SCRIPT = Path(__file__).resolve().parents[3] / "shared" / "tools" / "twin.py"
ALPHA, STRONG, DETECTED = 0.05, 0.5, 0.2
METHODS = ("protocols together", "cells", "nuclei", "better single protocol", "protocol × age")


def main() -> None:
    """Print the table, anew after each twin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twin-script", type=Path, default=TWIN_SCRIPT)
    parser.add_argument("--dataset", type=Path, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=23, help="of the first twin (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="twins (default: %(default)s)")
    parser.add_argument("--cells", type=int, default=12_000)
    parser.add_argument("--genes", type=int, default=8_000)
    parser.add_argument("--whole", action="store_true", help="183,161 cells and 29,400 genes, as pseudobulk only")
    parser.add_argument("--shuffles", type=int, default=0, help="deals of ages to donors, beside none")
    parser.add_argument("--planted", action="store_true")
    chosen = parser.parse_args()
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in METHODS}
    for sums, truth in twins(chosen):
        rng = np.random.default_rng(chosen.seed)
        for _ in range(max(chosen.shuffles, 1)):
            for name, table in test(deal_ages(sums, rng) if chosen.shuffles else sums, truth).items():
                found[name].append(table)
        say(found, planted=chosen.planted)


def say(found: dict[str, list[pd.DataFrame]], *, planted: bool) -> None:
    """Print the table of what was found so far."""
    left_out = "protocol × age" if planted else "better single protocol"
    rows = [{"p of": name, **(power(own) if planted else calibration(own))} for name, own in found.items()
            if name != left_out]  # fmt: skip
    print("| " + " | ".join(rows[0]) + " |\n|---" + "|---:" * (len(rows[0]) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row.values()) + " |", flush=True)


def twins(chosen: argparse.Namespace) -> Iterator[tuple[Pseudobulk, dict[str, float]]]:
    """Pseudobulk and planted effects of the datasets that are given, or of twins that are made one after another."""
    for path in chosen.dataset:
        yield read(path)
    for seed in range(chosen.seed, chosen.seed + chosen.runs if not chosen.dataset else 0):
        if chosen.whole:
            sums, truth = whole_twin(seed, **WHOLE, age_effect=chosen.planted, script=chosen.twin_script)
            yield sums, {str(gene): float(effect) for gene, effect in truth.items()}
            continue
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "twin.h5ad"
            command = [sys.executable, str(chosen.twin_script), str(source), "--real-donors", "--seed", str(seed),
                       "--cells", str(chosen.cells), "--genes", str(chosen.genes),
                       *([] if chosen.planted else ["--no-age-effect"])]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
            yield read(titin.build(source, Path(folder) / "twin", preset="muscle", project=()).path)


def read(path: Path | str) -> tuple[Pseudobulk, dict[str, float]]:
    """Pseudobulk and planted effects of a dataset that was built from a twin."""
    atlas = titin.open(path)
    return pseudobulk(atlas), atlas.uns["truth"]["age_log_fold_change"]


def test(sums: Pseudobulk, truth: dict[str, float]) -> dict[str, pd.DataFrame]:
    """Results of each method for the genes and types that both protocols could test."""
    compared = expression_comparisons(sums)
    joint = joint_model(compared).table
    keys = ["cell_type", "gene_id"]
    apart = compare_apart(compared, "voom").table.merge(joint[keys])
    level = str(compared.settings["cell_type_level"])
    whole = sums.aggregate([level])
    detected = pd.DataFrame(whole.detected.toarray() / whole.groups["n_cells"].to_numpy()[:, None],
                            whole.groups[level].astype(str), sums.genes["gene_id"])  # fmt: skip

    def told(table: pd.DataFrame) -> pd.DataFrame:
        at = (
            detected.index.get_indexer(pd.Index(table["cell_type"].astype(str))),
            detected.columns.get_indexer(pd.Index(table["gene_id"])),
        )
        effect = table["gene"].map(truth).fillna(0.0).astype(float)
        return table.assign(effect=effect, detected=detected.to_numpy()[at])

    names = {"interaction_p_value": "p_value", "interaction_adj_p_value": "adj_p_value"}
    differ = joint.drop(columns=["p_value", "adj_p_value"]).rename(columns=names)
    alone = {str(name): own for name, own in apart.groupby("protocol", observed=True)}
    parts = []
    for _, own in told(apart).groupby("cell_type", observed=True):
        strong = own[(own["effect"].abs() >= STRONG) & (own["detected"] >= DETECTED)]
        hits = (strong["adj_p_value"] < ALPHA).groupby(strong["protocol"].astype(str)).sum()
        parts.append(own[own["protocol"] == (hits.idxmax() if len(hits) else "cells")])
    better = pd.concat(parts)
    return {"protocols together": told(joint), **{name: told(own) for name, own in alone.items()},
            "better single protocol": better, "protocol × age": told(differ)}  # fmt: skip


def calibration(tables: list[pd.DataFrame]) -> dict[str, str]:
    """How often p-values are small where nothing changes."""
    p = np.concatenate([own["p_value"] for own in tables])
    hits = [
        bool((part["adj_p_value"] < ALPHA).any())
        for own in tables
        for _, part in own.groupby("cell_type", observed=True)
    ]
    return {"tests": str(len(hits)), "genes": str(len(p)), "p < 0.05": f"{(p < 0.05).mean():.4f}",
            "p < 0.001": f"{(p < 0.001).mean():.5f}", "p < 0.0001": f"{(p < 1e-4).mean():.6f}",
            "tests with a discovery": say_rate(sum(hits), len(hits))}  # fmt: skip


def power(tables: list[pd.DataFrame]) -> dict[str, str]:
    """What is found of strong effects on genes that are seen, and what is false of all that is found.

    What Benjamini and Hochberg promise is the mean over tests of the share of false discoveries, where a test without
    one has 0; of all that many tests find, more may be false.
    """
    parts = [part for own in tables for _, part in own.groupby("cell_type", observed=True)]
    table = pd.concat(tables)
    clear, null = table["adj_p_value"] < ALPHA, table["effect"] == 0
    strong = (table["effect"].abs() >= STRONG) & (table["detected"] >= DETECTED)
    agree = np.sign(table["effect"]) == np.sign(table["log2_fold_change"])
    of_test = np.mean([false_share(part, "adj_p_value") for part in parts])
    of_twin = [false_share(own, "adj_p_value") for own in tables]
    across = np.mean([false_share(own, ACROSS) for own in tables])
    p = [(own["p_value"] < 0.05)[own["effect"] == 0].mean() for own in tables]
    return {"planted": str(int(strong.sum())), "recall": f"{clear[strong].mean():.1%}", "found": str(int(clear.sum())),
            "false": f"{(clear & null).sum() / max(clear.sum(), 1):.1%}", "mean over tests": f"{of_test:.1%}",
            "in the worst twin": f"{max(of_twin):.1%}", "found across types": str(int((table[ACROSS] < ALPHA).sum())),
            "false of these, mean over twins": f"{across:.1%}",
            "signs that agree": f"{agree[clear & ~null].mean():.1%}",
            "others with p < 0.05": f"{np.mean(p):.4f} ({min(p):.4f} to {max(p):.4f})"}  # fmt: skip


def false_share(table: pd.DataFrame, column: str) -> float:
    """False among what is found at this adjusted p; 0 where nothing is."""
    clear = table[column] < ALPHA
    return float((clear & (table["effect"] == 0)).sum() / max(clear.sum(), 1))


if __name__ == "__main__":
    main()
