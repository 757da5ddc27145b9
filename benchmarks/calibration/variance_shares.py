"""Shares of variance with nothing planted, and with something: python benchmarks/calibration/variance_shares.py.

Pseudobulks of the muscle atlas's study (17 donors, 8 of them in both protocols, 8 types) are drawn with standard
deviations (natural logarithm) between donors, between the types of a donor and between samples; with nothing of age and
sex, and with slopes and differences of known size. Printed are the mean shares over the genes, and the planted ones.
"""

import argparse

import numpy as np
import pandas as pd
from donors import study_donors
from scipy import sparse

from titin.ageing.pseudobulk import Pseudobulk
from titin.ageing.variance_partition import variance_partition

TYPES = 8
GENES = 2000
NOISE = 0.15


def study() -> pd.DataFrame:
    """One row a donor, protocol and type."""
    donors = study_donors().drop(columns="chemistry")
    return donors.merge(pd.DataFrame({"cell_type": [f"T{t}" for t in range(TYPES)]}), how="cross").assign(n_cells=100)


def draw(
    rng: np.random.Generator, *, donor: float, own: float = 0.0, sample: float = 0.0, age: float = 0.0,
    sex: float = 0.0, genes: int = GENES,
) -> tuple[Pseudobulk, dict[str, float]]:  # fmt: skip
    """A pseudobulk of Poisson counts, and the shares of age and sex that were planted.

    ``donor``, ``own`` (types of a donor) and ``sample`` are standard deviations between genes' levels; ``age`` is that
    of the slopes, a standard deviation of age, and ``sex`` that of the differences between the sexes.
    """
    groups = study()
    level = rng.normal(4.5, 1.0, genes) + 0.8 * _effects(rng, groups[["cell_type"]], genes)
    level = level + donor * _effects(rng, groups[["donor"]], genes)
    level = level + own * _effects(rng, groups[["donor", "cell_type"]], genes)
    level = level + sample * _effects(rng, groups[["donor", "protocol"]], genes)
    level = level + 0.3 * rng.normal(size=genes) * (groups["protocol"] == "nuclei").to_numpy(float)[:, None]
    level = level + rng.normal(0, NOISE, level.shape)
    years = groups["age"].to_numpy()
    parts = {"age": age * rng.normal(size=genes) * ((years - years.mean()) / years.std())[:, None],
             "sex": sex * rng.normal(size=genes) * (groups["sex"] == "M").to_numpy(float)[:, None]}  # fmt: skip
    level = level + parts["age"] + parts["sex"]
    counts = sparse.csr_matrix(rng.poisson(np.exp(level + 1)).astype(np.int64))
    names = [f"G{i}" for i in range(genes)]
    planted = {name: float((part.var(axis=0) / level.var(axis=0)).mean()) for name, part in parts.items()}
    table = pd.DataFrame({"gene": names, "gene_id": names})
    return Pseudobulk(groups, counts, counts.copy(), table, ["cell_type"]), planted


def _effects(rng: np.random.Generator, keys: pd.DataFrame, genes: int) -> np.ndarray:
    """A standard normal number a gene for each combination of the keys, at its rows."""
    which = keys.groupby(list(keys), sort=True).ngroup().to_numpy()
    return rng.normal(size=(which.max() + 1, genes))[which]


CASES: list[dict[str, float]] = [
    {"donor": 0.0}, {"donor": 0.1}, {"donor": 0.2}, {"donor": 0.4}, {"donor": 0.3, "own": 0.2, "sample": 0.2},
    {"donor": 0.3, "age": 0.2}, {"donor": 0.3, "sex": 0.4}, {"donor": 0.3, "own": 0.2, "age": 0.3, "sex": 0.3},
]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5, help="draws of each row (default: %(default)s)")
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    print("| planted | age | planted age | sex | planted sex | donor | sample | cell type × donor | residual |")
    print("|---|" + "---:|" * 8)
    for case in CASES:
        rows = []
        for _ in range(chosen.runs):
            data, planted = draw(rng, genes=GENES, **case)
            mean = variance_partition(data).table.mean(numeric_only=True)
            rows.append([mean["age"], planted["age"], mean["sex"], planted["sex"], mean["donor"], mean["sample"],
                         mean["cell type × donor"], mean["residual"]])  # fmt: skip
        said = ", ".join(f"{name} {sd}" for name, sd in case.items())
        print(f"| {said} | " + " | ".join(f"{100 * value:.2f} %" for value in np.mean(rows, axis=0)) + " |", flush=True)


if __name__ == "__main__":
    main()
