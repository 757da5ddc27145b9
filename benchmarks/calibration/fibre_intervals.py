"""Coverage of the 95 % intervals of donors' means: python benchmarks/calibration/fibre_intervals.py.

`titin age fibres`, `programmes`, `senescence` and `stemcells` test the slope that they give an interval of: that of the
model with sex, chemistry and age. Donors are those of the atlas; their means have a slope of 0.05 a decade, a
difference between the sexes, and errors that are normal, of unequal precision (standard deviations that differ between
donors, log-normal with 0.8, drawn anew for every ten trials), in step with age, or heavy in the tails (t with 3 df).
"""

import argparse
from collections.abc import Callable

import numpy as np
import pandas as pd
from donors import PROTOCOLS, study_donors

from titin.ageing.donor_means import DonorMeans, compare_donor_means

SLOPE = 0.05
PER_PATTERN = 10
Draw = Callable[[np.random.Generator, np.ndarray, int], np.ndarray]


def unequal(rng: np.random.Generator, age: np.ndarray, runs: int) -> np.ndarray:
    """Normal errors; of which donors the means are precise is drawn."""
    sd = np.repeat(rng.lognormal(0, 0.8, (len(age), -(-runs // PER_PATTERN))), PER_PATTERN, axis=1)[:, :runs]
    return rng.normal(size=sd.shape) * sd


ERRORS: dict[str, Draw] = {
    "normal": lambda rng, age, runs: rng.normal(size=(len(age), runs)),
    "unequal": unequal,
    "growing with age": lambda rng, age, runs: rng.normal(size=(len(age), runs)) * (age[:, None] / 45) ** 2,
    "heavy tails": lambda rng, age, runs: rng.standard_t(3, (len(age), runs)),
}


def coverage(rng: np.random.Generator, protocol: str, errors: Draw, runs: int) -> tuple[float, float]:
    """Share of intervals that hold the slope, and of tests with p < 0.05 where there is none."""
    donors = study_donors(protocol)
    noise = 0.1 * errors(rng, donors["age"].to_numpy(), runs)
    level = 0.3 + 0.1 * (donors["sex"] == "M").to_numpy(float)[:, None] + noise
    groups = donors.assign(cell_type="fibres", n_cells=100)

    def compare(values: np.ndarray) -> pd.DataFrame:
        measures = pd.DataFrame(values).rename(columns=str)
        each = {str(name): str(name) for name in measures}  # by itself, as measures of fibres are too few to learn from
        return compare_donor_means(DonorMeans(groups, measures), families=each).table

    found = compare(level + SLOPE * donors["age"].to_numpy()[:, None] / 10)
    held = (found["ci_low"] <= SLOPE) & (found["ci_high"] >= SLOPE)
    return float(held.mean()), float((compare(level)["p_value"] < 0.05).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=4000, help="trials of each row (default: %(default)s)")
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    print("| donors | errors | 95 % interval holds the slope | p < 0.05 without one |\n|---|---|---:|---:|")
    for protocol in PROTOCOLS:
        for name, errors in ERRORS.items():
            held, found = coverage(rng, protocol, errors, chosen.runs)
            print(f"| {protocol} | {name} | {100 * held:.1f} % | {100 * found:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
