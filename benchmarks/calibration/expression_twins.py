"""What tests of expression find in twins of the muscle atlas: python benchmarks/calibration/expression_twins.py.

Genes of the twins vary between donors as in real pseudobulk. Without an effect of age, printed are the share of tests
(a coarsest type and protocol) with a discovery at an adjusted p < 0.05 and the shares of genes below some p; with
--planted, the recall of genes that change by half a natural logarithm or more in 27 years and that a fifth of the
type's cells express, and the false ones among those found.
"""

import argparse

import numpy as np
import pandas as pd
from expression_null import LEVELS, describe
from twins import LEVEL, twin

from titin.ageing import differential_expression
from titin.ageing.pseudobulk import Pseudobulk

STRONG, SEEN = 0.5, 0.2


def null_tests(data: Pseudobulk, methods: list[str]) -> pd.DataFrame:
    """One row a type, protocol and method, as `expression_null.null_tests` gives them."""
    rows = []
    for method in methods:
        table = differential_expression(data, cell_type_level=LEVEL, method=method).table
        for _, own in table.groupby(["cell_type", "protocol"], observed=True):
            p = own["p_value"].to_numpy()
            rows.append({"method": method, "genes": len(p), "hit": bool((own["adj_p_value"] < 0.05).any()),
                         **{x: (p < x).mean() for x in LEVELS}})  # fmt: skip
    return pd.DataFrame(rows)


def planted_tests(data: Pseudobulk, truth: pd.Series, methods: list[str]) -> pd.DataFrame:
    """One row a test and method: ``effect`` planted, ``seen`` (share of cells), ``found``, ``sign`` that agrees."""
    whole = data.aggregate([LEVEL, "protocol"])
    seen = whole.detected.toarray() / whole.groups["n_cells"].to_numpy()[:, None]
    keys = whole.groups[[LEVEL, "protocol"]].itertuples(index=False, name=None)
    shares = {key: dict(zip(data.genes["gene_id"], row, strict=True)) for key, row in zip(keys, seen, strict=True)}
    parts = []
    for method in methods:
        table = differential_expression(data, cell_type_level=LEVEL, method=method).table
        effect = table["gene"].map(truth).fillna(0).to_numpy()
        for key, rows in table.groupby(["cell_type", "protocol"], observed=True).indices.items():
            own, part = table.iloc[rows], effect[rows]
            parts.append(pd.DataFrame({
                "method": method, "effect": part, "seen": own["gene_id"].map(shares[key]).to_numpy(),
                "found": (own["adj_p_value"] < 0.05).to_numpy(),
                "sign": np.sign(part) == np.sign(own["log2_fold_change"].to_numpy()),
            }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def describe_planted(tests: pd.DataFrame) -> dict[str, str]:
    """Recall, false ones among those found, signs."""
    strong, found = (tests["effect"].abs() >= STRONG) & (tests["seen"] >= SEEN), tests["found"]
    shares = {"recall": found[strong].mean(), "false among found": (found & (tests["effect"] == 0)).sum() / found.sum(),
              "signs that agree": tests["sign"][found & strong].mean()}  # fmt: skip
    return {"strong": f"{strong.sum():,}", **{name: f"{100 * value:.1f} %" for name, value in shares.items()}}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the first twin (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=10, help="twins (default: %(default)s)")
    parser.add_argument("--cells", type=int, default=8000, help="of each (default: %(default)s)")
    parser.add_argument("--genes", type=int, default=6000, help="of each (default: %(default)s)")
    parser.add_argument("--planted", action="store_true", help="with effects of age")
    parser.add_argument("--methods", nargs="+", default=["voom", "limma", "trend"])
    chosen = parser.parse_args()
    parts = []
    for seed in range(chosen.seed, chosen.seed + chosen.runs):
        data, truth = twin(seed, cells=chosen.cells, genes=chosen.genes, age_effect=chosen.planted)
        parts.append(planted_tests(data, truth, chosen.methods) if chosen.planted else null_tests(data, chosen.methods))
    tests = pd.concat(parts)
    say = describe_planted if chosen.planted else describe
    rows = [{"method": method, **say(tests[tests["method"] == method])} for method in chosen.methods]
    print(f"| {' | '.join(rows[0])} |\n|---|{'---:|' * (len(rows[0]) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
