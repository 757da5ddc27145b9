"""Donors exchanged between protocols, found or not: python benchmarks/calibration/donor_swaps.py --runs 50.

Pseudobulks of the atlas's study (12 donors by cells, 13 by nuclei, 8 in both, four types) are drawn from people whose
genes differ by standard deviations as real pseudobulk has them (0.03 to 1.1, median 0.40, natural logarithm), a share
of that variance common to a person's types; samples add half of it again. With ``--hearts FILE`` the donors are those
of a real pseudobulk (22 hearts, three types): its counts are parted at random into two protocols, whose genes and
samples differ besides. Nobody is exchanged, or two men who are in both protocols. Printed: alarms where nobody is, and
how often the exchange is found, and the right two named.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from donors import study_donors

from titin.check.donor_swaps import Match, donor_profiles, match_donors

TYPES, GENES = 4, 1500


def draw_study(rng: np.random.Generator, *, cells: int = 150, common: float = 0.5) -> tuple[np.ndarray, pd.DataFrame]:
    """Counts of groups × genes, and the groups."""
    groups = study_donors().merge(pd.DataFrame({"cell_type": [f"T{t}" for t in range(TYPES)]}), how="cross")
    spread = np.clip(rng.lognormal(np.log(0.4), 0.55, GENES), 0.03, 1.1)
    level = rng.normal(0, 0.9, GENES) + 0.7 * _effects(rng, groups[["cell_type"]])
    level = level + 0.55 * _effects(rng, groups[["protocol"]])
    level = level + spread * np.sqrt(common) * _effects(rng, groups[["donor"]])
    level = level + spread * np.sqrt(1 - common) * _effects(rng, groups[["donor", "cell_type"]])
    level = level + 0.5 * spread * _effects(rng, groups[["donor", "protocol"]])
    share = np.exp(level) / np.exp(level).sum(axis=1, keepdims=True)
    depth = cells * 1500 * rng.lognormal(0, 0.4, (len(groups), 1))
    return rng.poisson(share * depth).astype(float), groups.drop(columns="age").assign(n_cells=cells)


def split_hearts(rng: np.random.Generator, path: Path, n_donors: int = 8) -> tuple[np.ndarray, pd.DataFrame]:
    """Likewise of real donors: each count parted between two protocols, which have noise of their own."""
    import anndata as ad

    hearts = ad.read_h5ad(path)
    counts = np.asarray(hearts.X.todense() if hasattr(hearts.X, "todense") else hearts.X, float)
    counts = counts[:, np.argsort(-(counts > 0).sum(axis=0) - counts.sum(axis=0) / counts.sum())[:GENES]]
    names = hearts.obs["donor_id"].astype(str).to_numpy()
    chosen = rng.choice(np.unique(names), n_donors, replace=False)
    rows = np.flatnonzero(np.isin(names, chosen))
    half = rng.binomial(counts[rows].astype(np.int64), 0.5)
    parts, tables = [], []
    for protocol, own in (("cells", half), ("nuclei", counts[rows].astype(np.int64) - half)):
        groups = pd.DataFrame({"donor": names[rows], "protocol": protocol,
                               "cell_type": hearts.obs["cell_type"].astype(str).to_numpy()[rows], "sex": "M",
                               "n_cells": 150})  # fmt: skip
        noise = 0.55 * rng.normal(size=GENES) + 0.2 * _effects(rng, groups[["donor"]])
        parts.append(rng.poisson(own * np.exp(noise)))
        tables.append(groups)
    return np.concatenate(parts).astype(float), pd.concat(tables, ignore_index=True)


def exchange(groups: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, str]]:
    """Two men who are in both protocols, exchanged in nuclei."""
    both = groups[groups["sex"] == "M"].groupby("donor")["protocol"].nunique()
    a, b = rng.choice(both.index[both == 2], 2, replace=False)
    names = groups["donor"].where(groups["protocol"] != "nuclei", groups["donor"].replace({a: b, b: a}))
    return groups.assign(donor=names), {a: b, b: a}


def alarm(match: Match | None) -> bool:
    """Whether the check would warn."""
    return match is not None and match.alarming


def trial(counts: np.ndarray, groups: pd.DataFrame) -> Match | None:
    """The match of both protocols."""
    profiles = donor_profiles(counts, groups)
    return match_donors(profiles["cells"], profiles["nuclei"])


def measure(
    make: Callable[[np.random.Generator], tuple[np.ndarray, pd.DataFrame]], runs: int, seed: int
) -> tuple[int, int, int]:
    """False alarms, exchanges found, and those with the right two named."""
    false = found = right = 0
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        counts, groups = make(rng)
        false += alarm(trial(counts, groups))
        exchanged, truth = exchange(groups, rng)
        match = trial(counts, exchanged)
        found += alarm(match)
        right += match is not None and match.alarming and match.exchanged == truth
    return false, found, right


def _effects(rng: np.random.Generator, keys: pd.DataFrame) -> np.ndarray:
    which = keys.groupby(list(keys), sort=True).ngroup().to_numpy()
    return rng.normal(size=(which.max() + 1, GENES))[which]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hearts", type=Path, help="heart_pseudobulk_mofacell_66x29126.h5ad")
    asked = parser.parse_args()
    rows = {
        "150 cells a type, half common to types": lambda rng: draw_study(rng),
        "20 cells a type, half common": lambda rng: draw_study(rng, cells=20),
        "150 cells, a tenth common": lambda rng: draw_study(rng, common=0.1),
    }
    if asked.hearts:
        rows["22 hearts, 8 drawn, parted"] = lambda rng: split_hearts(rng, asked.hearts)
    print(f"| donors | false alarms of {asked.runs} | exchanges found of {asked.runs} | the right two |")
    print("|---|---:|---:|---:|")
    for name, make in rows.items():
        false, found, right = measure(make, asked.runs, asked.seed)
        print(f"| {name} | {false} | {found} | {right} |", flush=True)


if __name__ == "__main__":
    main()
