"""Tests of composition when one donor has few cells: python benchmarks/calibration/few_cells.py.

Fifteen types in the thirteen donors of the muscle atlas's nuclei (with --protocol cells: its twelve of cells), about
5,000 cells each, of one young donor fewer. Fractions vary between donors as by a Dirichlet distribution, and nothing
changes with age. Printed is the share of runs with any adjusted p < 0.05, and of tests with p < 0.05; `propeller` has
no weights; a smallest number of cells of a donor is not asked for. `--effect` raises the log share of one type by so
much a decade, lowers that of another, and prints how often these are found instead. `--ltsr` prints how often the mixed
model's LTSR is above 0.95 of nothing.
"""

import argparse
from typing import Any

import numpy as np
import pandas as pd
from donors import study_donors

from titin.ageing import CellCounts, composition

TYPES, CELLS, PLANTED = 15, 5000, ("T0", "T1")
CONCENTRATIONS = {"much": 60.0, "little": 300.0}
METHODS: dict[str, dict[str, Any]] = {
    "asin": {}, "logit": {}, "quasi": {}, "propeller": {"method": "asin", "weigh": False},
    "mann_whitney": {"min_sample_cells": 0},
}  # fmt: skip
FEW_DONOR = {"nuclei": "398B", "cells": "470BR"}


def draw(
    rng: np.random.Generator, few: int, concentration: float, protocol: str = "nuclei", effect: float = 0.0
) -> CellCounts:
    """Cells of each donor and type; one donor has few of them."""
    donors = study_donors(protocol)
    slopes = np.zeros(TYPES)
    slopes[:2] = effect, -effect
    base = rng.dirichlet(np.full(TYPES, 1.0 if effect == 0 else 5.0))
    counts = []
    for donor, age in zip(donors["donor"], donors["age"], strict=True):
        n = few if donor == FEW_DONOR[protocol] else int(rng.lognormal(np.log(CELLS), 0.5))
        share = base * np.exp(slopes * (age - 50) / 10)
        own = rng.dirichlet(share / share.sum() * concentration + 1e-3)
        counts.append(rng.multinomial(n, own))
    table = pd.DataFrame(np.array(counts, np.int64), columns=[f"T{t}" for t in range(TYPES)])
    samples = donors[["donor", "sex", "age"]].assign(sample=donors["donor"], n_cells=table.sum(axis=1))
    return CellCounts(table, samples=samples)


def tested(data: CellCounts, method: str) -> pd.DataFrame:
    """Tests of all types, whatever the donors' cells."""
    options: dict[str, Any] = {"method": method, **METHODS[method]}
    return composition(data, min_donor_cells=1, **options).table


def trial(rng: np.random.Generator, runs: int, few: int, concentration: float, protocol: str) -> dict[str, np.ndarray]:
    """Share of runs with a hit, and of tests with p < 0.05, by method."""
    found: dict[str, list[tuple[bool, float]]] = {name: [] for name in METHODS}
    for _ in range(runs):
        data = draw(rng, few, concentration, protocol)
        for name, rows in found.items():
            table = tested(data, name)
            rows.append((bool((table["adj_p_value"] < 0.05).any()), float((table["p_value"] < 0.05).mean())))
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def power(
    rng: np.random.Generator, runs: int, few: int, concentration: float, protocol: str, effect: float
) -> dict[str, float]:  # fmt: skip
    """Share of planted types found at adjusted p < 0.05, by method."""
    found: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(runs):
        data = draw(rng, few, concentration, protocol, effect)
        for name, rows in found.items():
            table = tested(data, name).set_index("cell_type")
            rows.append(float((table["adj_p_value"].reindex(PLANTED) < 0.05).mean()))
    return {name: float(np.mean(rows)) for name, rows in found.items()}


def sign_rates(rng: np.random.Generator, runs: int, few: int, concentration: float, protocol: str) -> np.ndarray:
    """Share of runs with an LTSR above 0.95, and of types with one."""
    rows = []
    for _ in range(runs):
        found = composition(draw(rng, few, concentration, protocol), method="poisson", min_donor_cells=1)
        high = found.table["ltsr"] > 0.95
        rows.append([float(high.any()), float(high.mean())])
    shares: np.ndarray = np.array(rows).mean(axis=0)
    return shares


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=300, help="of each row (default: %(default)s)")
    parser.add_argument("--protocol", choices=tuple(FEW_DONOR), default="nuclei")
    parser.add_argument("--effect", type=float, default=0.0)
    parser.add_argument("--ltsr", action="store_true")
    parser.add_argument("--few", type=int, nargs="+", default=[CELLS, 500, 100, 50, 20, 10, 5])
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    columns = ["runs with an LTSR > 0.95", "types with one"] if chosen.ltsr else list(METHODS)
    print("| donors differ | cells of one donor | " + " | ".join(columns) + " |")
    print("|---|---:|" + "---:|" * len(columns))
    for differ, concentration in CONCENTRATIONS.items():
        for few in chosen.few:
            asked = (rng, chosen.runs, few, concentration, chosen.protocol)
            if chosen.ltsr:
                said = [f"{100 * value:.1f} %" for value in sign_rates(*asked)]
            elif chosen.effect:
                said = [f"{100 * value:.0f} %" for value in power(*asked, chosen.effect).values()]
            else:
                said = [f"{100 * hit:.1f} % · {100 * share:.1f} %" for hit, share in trial(*asked).values()]
            print(f"| {differ} | {few:,} | " + " | ".join(said) + " |", flush=True)


if __name__ == "__main__":
    main()
