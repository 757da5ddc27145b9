"""The same planted labels by cleanlab and CellTypist: recall in the first 3 % of the list, and how many they flag.

    python benchmarks/annotate_peers.py TABLE.csv DATASET.h5ad

Needs cleanlab and celltypist, and the table that annotate.py writes. Both are given the out-of-fold probabilities of
models that CellTypist trains on the other donors: cleanlab flags by confident learning and orders by its label quality;
CellTypist has no order of its own, so that cells come by their probability of the label.
"""

import argparse
import json
import warnings

import anndata as ad
import celltypist
import numpy as np
import pandas as pd
import scanpy as sc
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from scipy.stats import beta

FIRST = 0.03


def clopper_pearson(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0


def out_of_fold(cells: ad.AnnData, label: np.ndarray, donor: np.ndarray, types: list[str]) -> np.ndarray:
    """Probabilities, cells × types, of models of the other donors; 0 of a type that they have not."""
    found = np.zeros((cells.n_obs, len(types)))
    for held_out in np.unique(donor):
        mine = donor == held_out
        model = celltypist.train(cells[~mine], labels=label[~mine], n_jobs=1, max_iter=200, check_expression=False)
        p = celltypist.annotate(cells[mine], model=model).probability_matrix
        found[mine] = p.reindex(columns=types, fill_value=0).to_numpy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("cells", help=".h5ad of counts, or of log1p of 10,000 a cell")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    table = pd.read_csv(options.table, dtype={"label": str, "donor": str, "cell_id": str})
    cells = ad.read_h5ad(options.cells)[table["cell_id"].tolist()].copy()
    cells.var_names_make_unique()
    if cells.X.max() > 20:
        sc.pp.normalize_total(cells, target_sum=1e4)
        sc.pp.log1p(cells)
    label, donor, wrong = table["label"].to_numpy(), table["donor"].to_numpy(), table["wrong"].to_numpy(bool)
    types = sorted(set(label))
    p = out_of_fold(cells, label, donor, types)
    code = np.searchsorted(types, label)
    own = p[np.arange(len(p)), code]
    shares = np.maximum(p, 1e-9) / np.maximum(p, 1e-9).sum(axis=1, keepdims=True)  # cleanlab wants a sum of 1
    issues = find_label_issues(code, shares, filter_by="confident_learning")
    quality = get_label_quality_scores(code, shares, method="normalized_margin")
    orders = {"cleanlab": (np.lexsort((quality, ~issues)), float(issues.mean())),
              "celltypist, probability of the label": (np.argsort(own, kind="stable"), None)}  # fmt: skip
    rows = []
    for name, (order, flagged) in orders.items():
        hits = int(wrong[order[: int(FIRST * len(order))]].sum())
        rows.append({"by": name, "wrong": int(wrong.sum()), "flagged": flagged, "recall": hits / wrong.sum(),
                     "interval": clopper_pearson(hits, int(wrong.sum()))})  # fmt: skip
    print(pd.DataFrame(rows).to_string(index=False))
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
