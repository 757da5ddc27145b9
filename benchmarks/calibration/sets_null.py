"""What tests of gene sets find in real pseudobulk with made-up ages: python benchmarks/calibration/sets_null.py.

A test is one cell type of the hearts with some of the donors, to whom the ages, sexes and chemistries of the muscle
atlas's donors are dealt out anew, and the bundled programmes in it, whose genes go together as they do in people.
Scores are those of `titin age programmes`; camera, fry and the ranking are of the genes. Printed are the shares of
sets with p < 0.05 and p < 0.001, and how many tests have a set at an adjusted p < 0.05 (exact 95 % interval).
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from rates import say_rate
from real_pseudobulk import DATA, hearts, make_up_ages

from titin.ageing import expression_comparisons
from titin.ageing.differential_expression import compare_apart
from titin.ageing.donor_means import compare_donor_means
from titin.ageing.enrichment import gene_set_tests, over_representation, ranked_enrichment
from titin.ageing.linear_models import adjust
from titin.ageing.pseudobulk import Pseudobulk
from titin.ageing.pseudobulk_scores import pseudobulk_scores
from titin.features import programme_sets

CAMERA = {"camera, 0.01": "preset_p_value", "camera, estimated": "p_value", "fry": "fry_p_value"}


def p_of_sets(data: Pseudobulk) -> dict[str, list[np.ndarray]]:
    """p of all sets by each test, in the families over which they are adjusted."""
    sets = programme_sets()
    means = pseudobulk_scores(data, sets).means
    compared = expression_comparisons(data)
    genes, by_donors = compare_apart(compared, "voom"), gene_set_tests(compared, sets).table
    overlap = over_representation(genes, sets).table
    families = {"scores": compare_donor_means(means).table["p_value"],
                **{name: by_donors[column] for name, column in CAMERA.items() if len(by_donors)},
                "ranking": ranked_enrichment(genes, sets).table["p_value"]}  # fmt: skip
    found = {name: [p.to_numpy(float)] for name, p in families.items() if len(p)}
    directions = [own["p_value"].to_numpy(float) for _, own in overlap.groupby("direction")]
    return found | {"overlap with the genes found": directions}


def null_tests(data: Pseudobulk, runs: int, seed: int, n_donors: int) -> pd.DataFrame:
    """One row a run, type and test: sets, those with small p, and whether one is found."""
    rng = np.random.default_rng(seed)
    rows = []
    for run, kind in itertools.product(range(runs), sorted(data.groups["cell_type"].unique())):
        dealt = make_up_ages(data.select(cell_type=kind), rng, n_donors)
        for name, families in p_of_sets(dealt).items():
            p = np.concatenate(families) if families else np.zeros(0)
            rows.append({"run": run, "type": kind, "test": name, "sets": len(p), "p < 0.05": int((p < 0.05).sum()),
                         "p < 0.001": int((p < 1e-3).sum()),
                         "hit": any((adjust(own) < 0.05).any() for own in families)})  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=50, help="of each type (default: %(default)s)")
    parser.add_argument("--donors", type=int, nargs="+", default=[12, 7], help="in each test (default: 12 and 7)")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real tables (default: %(default)s)")
    chosen = parser.parse_args()
    print("| donors | test | tests | p < 0.05 | p < 0.001 | with a discovery |\n|---:|---|---:|---:|---:|---:|")
    for n_donors in chosen.donors:
        tests = null_tests(hearts(chosen.data), chosen.runs, chosen.seed, n_donors)
        for name, own in tests.groupby("test", sort=False):
            n = max(own["sets"].sum(), 1)
            small = f"{own['p < 0.05'].sum() / n:.3f} | {own['p < 0.001'].sum() / n:.4f}"
            found = say_rate(int(own["hit"].sum()), len(own))
            print(f"| {n_donors} | {name} | {len(own)} | {small} | {found} |", flush=True)


if __name__ == "__main__":
    main()
