"""What tests of expression find in real pseudobulk with made-up ages: python benchmarks/calibration/expression_null.py.

A test is one cell type with 12 of the donors (glioblastoma: all 10 samples, with the patient in the formula, and
without it, as one must not), to whom the ages, sexes and chemistries of the muscle atlas's donors are dealt out anew in
each test. Printed are the share of tests with a discovery at an adjusted p < 0.05, which should be 5 %, its exact 95 %
interval, and the shares of genes below some p. `--contrast "bs(age, df=3)"` asks it of F tests.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from real_pseudobulk import DATA, glioblastoma, hearts, make_up_ages
from scipy import stats

from titin.ageing import differential_expression
from titin.ageing.differential_expression import ExpressionMethod
from titin.ageing.pseudobulk import Pseudobulk

LEVELS = (0.05, 1e-3, 1e-4)


def null_tests(
    data: Pseudobulk, methods: list[ExpressionMethod], runs: int, seed: int, *, formula: str | None = None,
    contrast: str = "age",
) -> pd.DataFrame:  # fmt: skip
    """One row a run, type and method: ``genes``, ``hit``, and a column for each p: share of genes below it."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str | float, Any]] = []
    n_donors = min(12, data.groups["donor"].nunique())
    for run, kind in itertools.product(range(runs), sorted(data.groups["cell_type"].unique())):
        dealt = make_up_ages(data.select(cell_type=kind), rng, n_donors)  # anew for each type: tests are independent
        for method in methods:
            table = differential_expression(dealt, method=method, formula=formula, contrast=contrast).table
            p, hit = table["p_value"].to_numpy(), bool((table["adj_p_value"] < 0.05).any())
            rows.append({"run": run, "type": kind, "method": method, "genes": len(p), "hit": hit,
                         **{x: (p < x).mean() for x in LEVELS}})  # fmt: skip
    return pd.DataFrame(rows)


def describe(tests: pd.DataFrame) -> dict[str, str]:
    """The figures of some tests, in words."""
    hits, n = int(tests["hit"].sum()), len(tests)
    interval = stats.binomtest(hits, n).proportion_ci(method="exact")
    return {"tests": str(n), "genes": f"{tests['genes'].mean():.0f}", "with a discovery": f"{100 * hits / n:.1f} %",
            "95 % interval": f"{100 * interval.low:.1f} to {100 * interval.high:.1f} %",
            **{f"p < {x:g}": f"{tests[x].mean():.2g}" for x in LEVELS}}  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--methods", nargs="+", choices=get_args(ExpressionMethod), default=["voom", "limma", "trend"])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real tables (default: %(default)s)")
    parser.add_argument("--only", nargs="+", help="these data alone")
    parser.add_argument("--contrast", default="age")
    chosen = parser.parse_args()
    rows = []
    for name, data, formula in (("hearts", hearts(chosen.data), None),
                                ("glioblastoma", glioblastoma(chosen.data),
                                 f"~ patient + treatment + {chosen.contrast}"),
                                ("glioblastoma, patients overlooked", glioblastoma(chosen.data),
                                 f"~ treatment + {chosen.contrast}")):  # fmt: skip
        if chosen.only and name not in chosen.only:
            continue
        tests = null_tests(data, chosen.methods, chosen.runs, chosen.seed, formula=formula, contrast=chosen.contrast)
        kinds = [*sorted(tests["type"].unique()), None] if tests["type"].nunique() > 1 else [None]
        for method in chosen.methods:
            own = tests[tests["method"] == method]
            for kind in kinds:
                part = own if kind is None else own[own["type"] == kind]
                rows.append({"data": name if kind is None else f"{name}, {kind}", "method": method, **describe(part)})
    print(f"| {' | '.join(rows[0])} |\n|---|---|{'---:|' * (len(rows[0]) - 2)}")
    for row in rows:
        print(f"| {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
