"""Gene sets whose genes go together, with nothing planted: python benchmarks/calibration/gene_sets.py --runs 400.

Normal log expression of 1,000 genes in the 12 donors of cells and in the 13 of nuclei of the muscle atlas, with their
ages and sexes; a set of 30 genes has a common factor that makes a share of their variance. Printed is the share of runs
in which each test of the set for age has p < 0.05: camera with the preset correlation of 0.01, with the estimated one,
and fry.
"""

import argparse

import numpy as np
from donors import PROTOCOLS, study_donors

from titin.ageing.gene_set_tests import camera, fry, gene_effects

GENES, SET = 1000, 30
AGE = np.array([0.0, 0, 1])


def rates(protocol: str, share: float, runs: int, seed: int) -> dict[str, float]:
    """Share of runs with p < 0.05, by test."""
    donors = study_donors(protocol)
    design = np.column_stack([np.ones(len(donors)), donors["sex"] == "M", donors["age"] / 10])
    inside = np.arange(GENES) < SET
    hits = dict.fromkeys(("preset", "estimated", "fry"), 0)
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        y = rng.normal(size=(GENES, len(donors)))
        y[inside] = np.sqrt(1 - share) * y[inside] + np.sqrt(share) * rng.normal(size=len(donors))
        found = gene_effects(y * rng.lognormal(0, 0.3, (GENES, 1)), design, AGE)
        hits["preset"] += camera(found, inside).p_value < 0.05
        hits["estimated"] += camera(found, inside, correlation=None).p_value < 0.05
        hits["fry"] += fry(found, inside)[0].p_value < 0.05
    return {name: n / runs for name, n in hits.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| donors | correlation in the set | camera, 0.01 | camera, estimated | fry |")
    print("|---|---:|---:|---:|---:|")
    for protocol in PROTOCOLS:
        for share in (0.0, 0.01, 0.05, 0.2):
            found = rates(protocol, share, asked.runs, asked.seed)
            shown = " | ".join(f"{found[name]:.1%}" for name in ("preset", "estimated", "fry"))
            print(f"| {protocol} | {share:g} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
