"""Protocols that share donors, twins of the muscle atlas: python benchmarks/calibration/joint_twins.py --seed 23.

Twins in which nothing changes with age and genes vary between donors as in real pseudobulk are written by
``--twin-script`` (``--real-donors --no-age-effect``), built and tested, or ``--dataset`` is taken for one. With
``--planted`` they have an effect of age, and what is found of it is told, and by each protocol alone. A twin has one
deal of ages, on which the p-values of many genes hang together: ``--shuffles`` deals them anew, over the same counts.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import titin
from titin.ageing import Pseudobulk, expression_comparisons, joint_model, pseudobulk
from titin.ageing.differential_expression import compare_apart
from titin.atlas import Atlas

TWIN_SCRIPT = Path(__file__).resolve().parents[3] / "shared" / "tools" / "twin.py"
ALPHA, STRONG, DETECTED = 0.05, 0.5, 0.2
METHODS = ("protocols together", "cells", "nuclei", "better single protocol", "protocol × age")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twin-script", type=Path, default=TWIN_SCRIPT)
    parser.add_argument("--dataset", type=Path, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=23, help="of the first twin (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=1, help="twins (default: %(default)s)")
    parser.add_argument("--cells", type=int, default=12_000)
    parser.add_argument("--genes", type=int, default=8_000)
    parser.add_argument("--shuffles", type=int, default=0, help="deals of ages to donors, beside none")
    parser.add_argument("--planted", action="store_true")
    chosen = parser.parse_args()
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in METHODS}
    for atlas in twins(chosen):
        sums, truth = pseudobulk(atlas), atlas.uns["truth"]["age_log_fold_change"]
        rng = np.random.default_rng(chosen.seed)
        for _ in range(max(chosen.shuffles, 1)):
            for name, table in test(shuffle(sums, rng) if chosen.shuffles else sums, truth).items():
                found[name].append(table)
    if chosen.planted:
        del found["protocol × age"]
    else:
        del found["better single protocol"]
    rows = [{"p of": name, **(power(own) if chosen.planted else calibration(own))} for name, own in found.items()]
    print("| " + " | ".join(rows[0]) + " |\n|---" + "|---:" * (len(rows[0]) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


def twins(chosen: argparse.Namespace) -> Iterator[Atlas]:
    """Datasets that are given, or built one after another."""
    for path in chosen.dataset:
        yield titin.open(path)
    for seed in range(chosen.seed, chosen.seed + chosen.runs if not chosen.dataset else 0):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "twin.h5ad"
            command = [sys.executable, str(chosen.twin_script), str(source), "--real-donors", "--seed", str(seed),
                       "--cells", str(chosen.cells), "--genes", str(chosen.genes),
                       *([] if chosen.planted else ["--no-age-effect"])]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True)
            yield titin.open(titin.build(source, Path(folder) / "twin", preset="muscle", project=()).path)


def shuffle(sums: Pseudobulk, rng: np.random.Generator) -> Pseudobulk:
    """The same with the ages dealt out among the donors anew."""
    ages = sums.groups.drop_duplicates("donor").set_index("donor")["age"]
    dealt = pd.Series(rng.permutation(ages), ages.index)
    return replace(sums, groups=sums.groups.assign(age=sums.groups["donor"].map(dealt).astype(float)))


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
            detected.index.get_indexer(table["cell_type"].astype(str)),
            detected.columns.get_indexer(table["gene_id"]),
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
        (part["adj_p_value"] < ALPHA).any() for own in tables for _, part in own.groupby("cell_type", observed=True)
    ]
    return {"tests": str(len(hits)), "genes": str(len(p)), "p < 0.05": f"{(p < 0.05).mean():.4f}",
            "p < 0.001": f"{(p < 0.001).mean():.5f}", "p < 0.0001": f"{(p < 1e-4).mean():.6f}",
            "tests with a discovery": f"{np.mean(hits):.1%}"}  # fmt: skip


def power(tables: list[pd.DataFrame]) -> dict[str, str]:
    """What is found of strong effects on genes that are seen, and what is false of all that is found."""
    table = pd.concat(tables)
    clear = table["adj_p_value"] < ALPHA
    strong = (table["effect"].abs() >= STRONG) & (table["detected"] >= DETECTED)
    true = clear & (table["effect"] != 0)
    agree = np.sign(table["effect"]) == np.sign(table["log2_fold_change"])
    return {"planted": str(int(strong.sum())), "recall": f"{clear[strong].mean():.1%}", "found": str(int(clear.sum())),
            "false": f"{(clear & (table['effect'] == 0)).sum() / max(clear.sum(), 1):.1%}",
            "signs that agree": f"{agree[true].mean():.1%}"}  # fmt: skip


if __name__ == "__main__":
    main()
