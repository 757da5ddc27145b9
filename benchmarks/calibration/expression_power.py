"""What is found of what was planted in real pseudobulk: python benchmarks/calibration/expression_power.py.

Cardiomyocytes of hearts with made-up ages, as in expression_null.py, 12 donors and all 22. In a tenth of the genes, a
change with age of known size is made by thinning: each count is kept with a probability that falls, or rises, with the
donor's age. Printed are the shares found at an adjusted p < 0.05, and those with p < 0.01, by the size of the change in
27 years, the false ones among those found, and signs.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from real_pseudobulk import DATA, hearts, make_up_ages
from scipy import sparse

from titin.ageing import differential_expression
from titin.ageing.differential_expression import ExpressionMethod
from titin.ageing.pseudobulk import Pseudobulk

YEARS = 27
SHARE = 0.1
SIZES = ((0.35, 0.6), (0.6, 0.9), (0.9, 1.4))  # natural logarithms in 27 years


def plant(data: Pseudobulk, rng: np.random.Generator) -> tuple[Pseudobulk, pd.Series]:
    """The same with changes planted, and their natural-log effects by gene."""
    n_genes = len(data.genes)
    effect = np.where(rng.random(n_genes) < SHARE, rng.choice([-1, 1], n_genes) * rng.uniform(0.35, 1.4, n_genes), 0)
    years = data.groups["age"].to_numpy()
    from_end = np.where(effect[None] > 0, years[:, None] - years.max(), years[:, None] - years.min()) / YEARS
    thinned = rng.binomial(data.counts.toarray(), np.exp(effect * from_end))
    counts = sparse.csr_matrix(thinned.astype(np.int64))
    planted = replace(data, counts=counts, detected=(counts > 0).astype(np.int64))
    return planted, pd.Series(effect, data.genes["gene_id"])


def planted_tests(
    data: Pseudobulk, methods: list[ExpressionMethod], runs: int, seed: int, n_donors: int = 12
) -> pd.DataFrame:
    """One row a run, gene and method: ``effect`` planted, ``found``, ``likely`` (p < 0.01), ``sign`` that agrees."""
    rng = np.random.default_rng(seed)
    parts = []
    for run in range(runs):
        thinned, effects = plant(make_up_ages(data, rng, n_donors), rng)
        for method in methods:
            table = differential_expression(thinned, method=method).table
            effect = effects[table["gene_id"]].to_numpy()
            found = (table["adj_p_value"] < 0.05).to_numpy()
            agrees = np.sign(effect) == np.sign(table["log2_fold_change"].to_numpy())
            parts.append(pd.DataFrame({"run": run, "method": method, "effect": effect, "found": found, "sign": agrees,
                                       "likely": (table["p_value"] < 0.01).to_numpy()}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def describe(tests: pd.DataFrame) -> dict[str, str]:
    """Recall by size, and false ones among those found."""
    size, found = tests["effect"].abs(), tests["found"]
    of_size = {f"{low} to {high}": tests[(size >= low) & (size < high)] for low, high in SIZES}
    rows = {f"found of {name}": own["found"].mean() for name, own in of_size.items()}
    rows |= {f"p < 0.01 of {name}": own["likely"].mean() for name, own in of_size.items()}
    false = (found & (size == 0)).sum() / max(found.sum(), 1)
    rows |= {"false among found": false, "signs that agree": tests["sign"][found & (size > 0)].mean()}
    return {"genes": f"{len(tests):,}", **{name: f"{100 * value:.1f} %" for name, value in rows.items()}}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--methods", nargs="+", choices=get_args(ExpressionMethod), default=["voom", "limma", "trend"])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real tables (default: %(default)s)")
    chosen = parser.parse_args()
    data = hearts(chosen.data).select(cell_type="CM")  # the other types have too few counts to find anything
    rows = []
    for n_donors in (12, 22):
        tests = planted_tests(data, chosen.methods, chosen.runs, chosen.seed, n_donors)
        rows += [{"donors": str(n_donors), "method": method, **describe(tests[tests["method"] == method])}
                 for method in chosen.methods]  # fmt: skip
    print(f"| {' | '.join(rows[0])} |\n|---:|---|{'---:|' * (len(rows[0]) - 2)}")
    for row in rows:
        print(f"| {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
