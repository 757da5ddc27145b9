"""What tests of expression find in twins of the muscle atlas: python benchmarks/calibration/expression_twins.py.

Genes of the twins vary between donors as in real pseudobulk. Without an effect of age, printed are the share of tests
(a coarsest type and protocol) with a discovery at an adjusted p < 0.05 and the shares of genes below some p; with
--planted, the recall of genes that change by half a natural logarithm or more in 27 years and that a fifth of the
type's cells express, and the false ones among those found. Tests of a twin share its donors and their ages, so that the
exact interval, which takes them for independent, is too narrow: beside it stands the standard error of the share from
twin to twin. ``--shuffles`` deals the ages to the donors anew, over the same counts.
"""

import argparse
import sys
from collections.abc import Hashable
from typing import Any, get_args

import numpy as np
import pandas as pd
from expression_null import LEVELS, describe
from twins import LEVEL, deal_ages, twin

from titin.ageing import differential_expression
from titin.ageing.differential_expression import ExpressionMethod
from titin.ageing.pseudobulk import Pseudobulk

STRONG, SEEN = 0.5, 0.2


def null_tests(data: Pseudobulk, methods: list[ExpressionMethod]) -> pd.DataFrame:
    """One row a type, protocol and method, as `expression_null.null_tests` gives them."""
    rows: list[dict[str | float, Any]] = []
    for method in methods:
        table = differential_expression(data, cell_type_level=LEVEL, method=method).table
        for _, own in table.groupby(["cell_type", "protocol"], observed=True):
            p = own["p_value"].to_numpy()
            rows.append({"method": method, "genes": len(p), "hit": bool((own["adj_p_value"] < 0.05).any()),
                         **{x: (p < x).mean() for x in LEVELS}})  # fmt: skip
    return pd.DataFrame(rows)


def describe_by_twin(tests: pd.DataFrame) -> dict[str, str]:
    """What `expression_null.describe` says, and the standard error of the share of discoveries from twin to twin."""
    by_twin = tests.groupby("twin")["hit"].agg(["sum", "size"])
    share = by_twin["sum"].sum() / by_twin["size"].sum()
    left, n = by_twin["sum"] - share * by_twin["size"], len(by_twin)
    error = np.sqrt((left**2).sum() * n / (n - 1)) / by_twin["size"].sum() if n > 1 else np.nan
    return {**describe(tests), "twins": str(n), "standard error by twins": f"{100 * error:.1f} %"}


def planted_tests(data: Pseudobulk, truth: pd.Series, methods: list[ExpressionMethod]) -> pd.DataFrame:
    """One row a test and method: ``effect`` planted, ``seen`` (share of cells), ``found``, ``sign`` that agrees."""
    whole = data.aggregate([LEVEL, "protocol"])
    seen = whole.detected.toarray() / whole.groups["n_cells"].to_numpy()[:, None]
    keys = whole.groups[[LEVEL, "protocol"]].itertuples(index=False, name=None)
    shares: dict[Hashable, dict[str, float]] = {
        key: dict(zip(data.genes["gene_id"], row, strict=True)) for key, row in zip(keys, seen, strict=True)
    }
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
    parser.add_argument("--shuffles", type=int, default=0, help="deals of ages to donors, in place of their own")
    parser.add_argument("--methods", nargs="+", choices=get_args(ExpressionMethod), default=["voom", "limma", "trend"])
    chosen = parser.parse_args()
    parts = []
    for seed in range(chosen.seed, chosen.seed + chosen.runs):
        data, truth = twin(seed, cells=chosen.cells, genes=chosen.genes, age_effect=chosen.planted)
        rng = np.random.default_rng([chosen.seed, seed])
        for one in [deal_ages(data, rng) for _ in range(chosen.shuffles)] or [data]:
            found = planted_tests(one, truth, chosen.methods) if chosen.planted else null_tests(one, chosen.methods)
            parts.append(found.assign(twin=seed))
        print(f"twin {seed - chosen.seed + 1} of {chosen.runs}", file=sys.stderr, flush=True)
    tests = pd.concat(parts)
    say = describe_planted if chosen.planted else describe_by_twin
    rows = [{"method": method, **say(tests[tests["method"] == method])} for method in chosen.methods]
    print(f"| {' | '.join(rows[0])} |\n|---|{'---:|' * (len(rows[0]) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
