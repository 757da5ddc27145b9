"""Scores where only depth goes with age: python benchmarks/calibration/score_depth.py DATASET.

DATASET is built of a null twin (`twin.py --no-age-effect --real-donors`). The ages of its donors are permuted, and the
counts of each donor thinned so that the oldest keep 40 % of what the youngest keep ("old shallower"), or the reverse.
Printed is the share of tests with p < 0.05, of programmes, of sets of senescence, and of its single genes: for scores
of donors' sums, and for these with depth as a further term (`~ sex + chemistry + depth + age`).
"""

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd

import titin
from titin.ageing.donor_means import DonorMeans, compare_donor_means
from titin.ageing.pseudobulk import Pseudobulk, pseudobulk
from titin.ageing.pseudobulk_scores import pseudobulk_scores
from titin.ageing.senescence import GENES, SETS
from titin.features import gene_sets, programme_sets

DEPTHS = {"all alike": 0, "old shallower": -1, "old deeper": 1}
ADJUSTED = "~ sex + chemistry + depth + age"
Rates = dict[str, np.ndarray]


def thin(data: Pseudobulk, rng: np.random.Generator, sign: int) -> Pseudobulk:
    """Permute the donors' ages, and keep fewer counts of old (sign -1) or of young (1) donors."""
    donors = data.groups.groupby("donor")["age"].median().dropna()
    ages = pd.Series(rng.permutation(donors.to_numpy()), donors.index)
    age = data.groups["donor"].map(ages).to_numpy(float)
    place = (age - ages.min()) / (ages.max() - ages.min())
    kept = np.ones(len(age)) if not sign else 1 - 0.6 * (place if sign < 0 else 1 - place)
    counts = data.counts.copy()
    counts.data = rng.binomial(counts.data, np.repeat(kept, np.diff(counts.indptr)))
    groups = data.groups.assign(age=age, depth=np.log(np.asarray(counts.sum(axis=1)).ravel() / data.groups["n_cells"]))
    return replace(data, groups=groups, counts=counts)


def rates(data: Pseudobulk, sets: dict, *, adjusted: bool) -> Rates:
    """Tests with p < 0.05, and tests, by kind."""
    depth = data.groups.assign(depth=data.groups["depth"] * data.groups["n_cells"])
    found = pseudobulk_scores(replace(data, groups=data.groups.drop(columns="depth")), sets, single_genes=GENES).means
    keys = ["donor", "protocol", found.level]
    mean = depth.groupby(keys)["depth"].sum() / depth.groupby(keys)["n_cells"].sum()
    groups = found.groups.merge(mean.rename_axis(["donor", "protocol", "cell_type"]).rename("depth").reset_index())
    formula = ADJUSTED if adjusted else None
    table = compare_donor_means(DonorMeans(groups, found.means, found.level), formula=formula).table
    known = table["feature"]
    kind = np.where(known.isin(SETS), "senescence", np.where(known.isin(GENES), "genes", "programmes"))
    small = (table["p_value"] < 0.05).groupby(kind)
    return {str(name): np.array([part.sum(), len(part)]) for name, part in small}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=10, help="permutations of each row (default: %(default)s)")
    chosen = parser.parse_args()
    atlas = titin.open(chosen.dataset)
    data, known = pseudobulk(atlas), gene_sets()
    sets = {**programme_sets(atlas.preset), **{name: known[name] for name in SETS}}
    kinds = ["programmes", "senescence", "genes"]
    print("| depth | model | " + " | ".join(kinds) + " |\n|---|---|" + "---:|" * len(kinds))
    for name, sign in DEPTHS.items():
        rng = np.random.default_rng(chosen.seed)
        trials = [thin(data, rng, sign) for _ in range(chosen.runs)]
        for model, adjusted in (("~ sex + chemistry + age", False), (ADJUSTED, True)):
            found = [rates(one, sets, adjusted=adjusted) for one in trials]
            said = []
            for kind in kinds:
                small, tests = np.sum([own.get(kind, np.zeros(2)) for own in found], axis=0)
                said.append(f"{100 * small / max(tests, 1):.1f} % of {int(tests):,}")
            print(f"| {name} | {model} | " + " | ".join(said) + " |", flush=True)


if __name__ == "__main__":
    main()
