"""What is found of what was planted: python benchmarks/ageing_truth.py --dataset DATASET [--null 20].

DATASET is built from a twin of the muscle atlas, whose uns["truth"] holds the planted effects of age. `--null N` draws
N small pseudobulks and cells without any effect instead, and asks how often tests of donors and of cells see one.
Whole twins without an effect are those of calibration/expression_twins.py.
"""

import argparse
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from scipy import stats

import titin
from _measure import finish, load_average, table
from titin.ageing import DifferentialExpression, Pseudobulk, differential_expression, joint_model, pseudobulk
from titin.ageing.differential_expression import ExpressionMethod

STRONG, DETECTED, LEVEL = 0.5, 0.2, 0.05
SINGLE_CELLS = 200  # of a donor, in the test of cells


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--null", type=int, metavar="N")
    parser.add_argument("--level", default="0")
    parser.add_argument("--method", choices=get_args(ExpressionMethod), default="voom")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.dataset is None) == (options.null is None):
        parser.error("give --dataset or --null")
    document = null(options.null) if options.null else planted(options.dataset, options.level, options.method)
    document["load_average"] = load_average()
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        for name, rows in document.items():
            print(table(tuple(rows[0]), [tuple(_short(v) for v in row.values()) for row in rows])
                  if isinstance(rows, list) and rows and isinstance(rows[0], dict) else f"{name}: {rows}")  # fmt: skip
    return 0


def planted(dataset: Path, level: str, method: ExpressionMethod) -> dict:
    atlas = titin.open(dataset)
    truth = atlas.uns["truth"]
    effects = pd.Series(truth["age_log_fold_change"], dtype=float)
    found = pseudobulk(atlas)
    results = differential_expression(found, cell_type_level=level, method=method)
    share = detection(found, results)
    per_test = score(results.table.merge(share, how="left"), effects)
    combined = joint_model(found, cell_type_level=level)
    both = share.groupby(["cell_type", "gene_id"], as_index=False, observed=True)[["cells", "detected"]].sum()
    both["share"] = both["detected"] / both["cells"]
    joined = combined.table.merge(both, how="left")
    alone = ~results.table["cell_type"].isin(combined.table["cell_type"].unique())
    single = results.table[alone].merge(share, how="left")
    scores = {
        "gene × type × protocol": per_test, "gene × type, protocols together": score(joined, effects),
        "gene × type, together or of one protocol": score(pd.concat([joined, single]), effects),
    }  # fmt: skip
    rows = [{"unit": name, **row} for name, row in scores.items()]
    return {"dataset": str(dataset), "seed": truth.get("seed"), "planted": len(effects),
            "tests": len(results.tests), "skipped": len(results.skipped), "found": rows}  # fmt: skip


def detection(found: Pseudobulk, results: DifferentialExpression) -> pd.DataFrame:
    """Cells of each type and protocol tested, and those that express each gene that was tested there."""
    level = results.settings["cell_type_level"]
    whole = found.aggregate([level, "protocol"])
    parts = []
    for i, group in whole.groups.iterrows():
        detected = np.asarray(whole.detected[i].todense()).ravel()
        own = {"cell_type": group[level], "protocol": group["protocol"], "gene_id": found.genes["gene_id"]}
        parts.append(pd.DataFrame({**own, "cells": group["n_cells"], "detected": detected}))
    tested = results.table[["cell_type", "protocol"]].drop_duplicates().astype(str)
    share = pd.concat(parts).merge(tested)
    return share.assign(share=share["detected"] / share["cells"])


def score(results: pd.DataFrame, effects: pd.Series) -> dict:
    """Recall among strong planted effects on genes that are seen, false discoveries, and agreement of signs."""
    effect = results["gene"].map(effects).fillna(0).to_numpy()
    hit = (results["adj_p_value"] < LEVEL).to_numpy()
    strong = (np.abs(effect) >= STRONG) & (results["share"] >= DETECTED).to_numpy()
    right = np.sign(effect) == np.sign(results["log2_fold_change"].to_numpy())
    return {"tested": len(results), "strong": int(strong.sum()), "recall": _ratio(hit & strong, strong),
            "hits": int(hit.sum()), "false discoveries": _ratio(hit & (effect == 0), hit),
            "sign agreement": _ratio(hit & right & strong, hit & strong),
            "null p < 0.05": _ratio((results["p_value"] < LEVEL).to_numpy() & (effect == 0), effect == 0)}  # fmt: skip


def null(runs: int) -> dict:
    """Draw data without an effect; p-values of the donors' test, and of Welch's test of their cells."""
    donors_p: list[np.ndarray] = []
    cells_p: dict[float, list[np.ndarray]] = {icc: [] for icc in (0.02, 0.05, 0.1)}
    discoveries = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        results = differential_expression(null_pseudobulk(rng)).table
        donors_p.append(results["p_value"].to_numpy())
        discoveries += bool((results["adj_p_value"] < LEVEL).any())
        for icc, found in cells_p.items():
            found.append(cell_level_p(rng, icc))
    uniform = stats.kstest(np.concatenate(donors_p), "uniform")
    rows = [{"test": "donors (pseudobulk, voom)", "share of p < 0.05": np.mean(np.concatenate(donors_p) < LEVEL)}]
    for icc, found in cells_p.items():
        test = f"cells (t test), intraclass correlation {icc}"
        rows.append({"test": test, "share of p < 0.05": np.mean(np.concatenate(found) < LEVEL)})
    return {"runs": runs, "kolmogorov_smirnov_p": uniform.pvalue, "runs_with_discoveries": discoveries, "errors": rows}


def null_pseudobulk(rng: np.random.Generator, n_genes: int = 1000, n_donors: int = 12) -> Pseudobulk:
    """Negative binomial counts of one type, donors of every age and of both sexes, no effect of either."""
    from scipy import sparse

    mean = rng.lognormal(3, 1.5, n_genes) * rng.lognormal(0, 0.4, (n_donors, 1))
    dispersion = 0.05 * rng.chisquare(20, n_genes) / 20
    counts = rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape))
    groups = pd.DataFrame({"cell_type": "T", "donor": [f"d{i}" for i in range(n_donors)], "protocol": "cells",
                           "sex": rng.permutation(["F", "M"] * (n_donors // 2)),
                           "age": rng.permutation(np.linspace(20, 75, n_donors)), "n_cells": 100})  # fmt: skip
    genes = pd.DataFrame({"gene": [f"g{i}" for i in range(n_genes)], "gene_id": [f"g{i}" for i in range(n_genes)]})
    matrix = sparse.csr_matrix(counts.astype(np.int64))
    return Pseudobulk(groups, matrix, (matrix > 0).astype(np.int64), genes, ["cell_type"])


def cell_level_p(rng: np.random.Generator, icc: float, n_genes: int = 500) -> np.ndarray:
    """Welch's test between the cells of five young and seven old donors, who differ by chance only."""
    donors = rng.normal(0, np.sqrt(icc), (n_genes, 12, 1))
    cells = donors + rng.normal(0, np.sqrt(1 - icc), (n_genes, 12, SINGLE_CELLS))
    young, old = cells[:, :5].reshape(n_genes, -1), cells[:, 5:].reshape(n_genes, -1)
    p: np.ndarray = stats.ttest_ind(young, old, axis=1, equal_var=False).pvalue
    return p


def _ratio(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / whole.sum()) if whole.sum() else float("nan")


def _short(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    finish(main)
