"""Protocols that share donors, errors normal: python benchmarks/calibration/joint_normal.py --seed 4 --runs 120.

Twelve and thirteen donors as in the muscle atlas, eight of them in both protocols, ages and sexes shuffled over all.
The correlation of a donor's two values is 0 for all genes, 0.5 for all, differs between genes from 0 to 1, or is 0 for
one half of them and 0.9 for the other. Nothing changes with age, but where ``--effect`` plants it in a tenth of the
genes: then power and false discoveries are told instead.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from donors import PROTOCOLS, study_donors

from _measure import finish, table
from titin.ageing.linear_models import adjust, fit_linear_models, moderate
from titin.ageing.mixed_models import duplicate_correlation, fit_mixed_models, moderate_mixed

Floats = NDArray[np.float64]
GENES, PLANTED, ALPHA = 2000, 200, 0.05
CORRELATIONS: dict[str, Callable[[np.random.Generator], Floats]] = {
    "0": lambda rng: np.zeros(GENES),  # noqa: ARG005 - all alike
    "0.5": lambda rng: np.full(GENES, 0.5),  # noqa: ARG005
    "uniform from 0 to 1": lambda rng: rng.uniform(0, 1, GENES),
    "0 or 0.9": lambda rng: np.where(rng.random(GENES) < 0.5, 0, 0.9),
}
METHODS = ("gene-wise", "consensus", *PROTOCOLS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--effect", type=float, default=0.0, help="change a decade, in units of a gene's SD")
    parser.add_argument("--scale", type=float, default=0.0, help="SD of the log of a gene's SD between protocols")
    options = parser.parse_args()
    rows = [row for name in CORRELATIONS
            for row in trial(name, options.seed, options.runs, options.effect, options.scale)]  # fmt: skip
    print(table(tuple(rows[0]), [tuple(row.values()) for row in rows]))
    return 0


def trial(name: str, seed: int, runs: int, effect: float = 0.0, scale: float = 0.0) -> list[dict[str, str]]:
    """One row a method: how often p-values of genes without an effect are small, or what was found of those with."""
    found: dict[str, list[Floats]] = {method: [] for method in METHODS}
    interaction: list[Floats] = []
    rng = np.random.default_rng([seed, list(CORRELATIONS).index(name)])
    for _ in range(runs):
        for method, p in _draw(rng, CORRELATIONS[name](rng), effect, scale):
            (interaction if method == "protocol × age" else found[method]).append(p)
    every = {**found, "protocol × age": interaction}
    score = _power if effect else _calibration
    return [{"correlation": name, "p of": method, **score(p)} for method, p in every.items()
            if not (effect and method == "protocol × age")]  # fmt: skip


def _draw(
    rng: np.random.Generator, correlation: Floats, effect: float, scale: float
) -> Iterator[tuple[str, Floats]]:  # fmt: skip
    """Draw one study and yield the p-values of each method."""
    donors = study_donors()
    once = donors.drop_duplicates("donor")
    ages = dict(zip(once["donor"], rng.permutation(once["age"]) / 10, strict=True))
    men = dict(zip(once["donor"], rng.permutation(once["sex"] == "M"), strict=True))
    own = {donor: rng.normal(0, 1, GENES) for donor in once["donor"]}
    sd = np.sqrt(10 / rng.chisquare(10, GENES))
    change = np.where(np.arange(GENES) < PLANTED, effect, 0) * rng.choice([-1, 1], GENES) * sd
    values, designs, single = [], [], {}
    for protocol, part in donors.groupby("protocol", sort=False):
        age = part["donor"].map(ages).to_numpy(float)
        design = np.column_stack([np.ones(len(part)), part["donor"].map(men).to_numpy(float), age])
        shared = np.column_stack([own[donor] for donor in part["donor"]])
        noise = np.sqrt(correlation)[:, None] * shared
        noise += np.sqrt(1 - correlation)[:, None] * rng.normal(0, 1, noise.shape)
        spread = sd * np.exp(rng.normal(0, scale, GENES))
        values.append(change[:, None] * age + spread[:, None] * noise)
        designs.append(design)
        fit = fit_linear_models(values[-1], design, np.array([0, 0, 1.0]))
        single[str(protocol)] = moderate(fit, prior="common").p_value
    y, block = np.concatenate(values, axis=1), donors["donor"].to_numpy()
    design, added = _joint_design(designs)
    fit_all = fit_mixed_models(y, design, block, added=added)
    test = moderate_mixed(fit_all, prior="common")
    yield "gene-wise", test.p_value
    yield "protocol × age", test.f_p_value
    one = np.array([max(duplicate_correlation(y, design, block)[0], 0)])
    yield "consensus", moderate_mixed(fit_mixed_models(y, design, block, correlations=one), prior="common").p_value
    yield from single.items()


def _joint_design(designs: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Columns of each protocol apart, age as one column at the end; and age in the second protocol."""
    from scipy.linalg import block_diag

    apart = block_diag(*(design[:, :-1] for design in designs))
    age = np.concatenate([design[:, -1] for design in designs])
    return np.column_stack([apart, age]), (age * (np.arange(len(age)) >= len(designs[0])))[:, None]


def _calibration(runs: list[Floats]) -> dict[str, str]:
    p = np.stack(runs)
    hits = float(np.mean([(adjust(own) < ALPHA).any() for own in runs]))
    return {"p < 0.05": f"{(p < 0.05).mean():.4f}", "p < 0.001": f"{(p < 0.001).mean():.5f}",
            "p < 0.0001": f"{(p < 1e-4).mean():.6f}", "runs with a discovery": f"{hits:.1%}"}  # fmt: skip


def _power(runs: list[Floats]) -> dict[str, str]:
    clear = np.stack([adjust(own) < ALPHA for own in runs])
    false = clear[:, PLANTED:].sum(axis=1) / np.maximum(clear.sum(axis=1), 1)
    return {"found of what was planted": f"{clear[:, :PLANTED].mean():.1%}", "false among them": f"{false.mean():.1%}"}


if __name__ == "__main__":
    finish(main)
