"""How much genes vary between real donors: python benchmarks/calibration/donor_spread.py.

Hearts, each type by itself: the variance of a gene's relative level between donors beyond that of counting, by
moments, as standard deviation of its natural logarithm. Printed are quantiles over the genes and quarters of
expression, beside those that the demo draws, and which part of the variance a donor's types share.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from real_pseudobulk import DATA, hearts
from scipy import stats

from titin.ageing.pseudobulk import Pseudobulk
from titin.demo.expression import DONOR_SD, LOG_SD_OF_DONOR_SD, SHARED_BY_TYPES

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LEAST_MEAN = 8  # counts of a gene in a donor


def relative_levels(data: Pseudobulk, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels relative to the gene's mean, donors × genes, the variance that counting gives them, and mean counts."""
    own = data.select(cell_type=kind)
    counts = own.counts.toarray()[np.argsort(own.groups["donor"].to_numpy())].astype(float)
    size = counts.sum(axis=1) / counts.sum(axis=1).mean()
    level = counts / size[:, None]
    mean = np.maximum(level.mean(axis=0), 1e-9)
    return level / mean, np.mean(1 / size) / mean, counts.mean(axis=0)


def log_sd(level: np.ndarray, counting: np.ndarray) -> np.ndarray:
    """Standard deviation of the logarithm, a gene, of a log-normal law with this variance beyond counting."""
    beyond = np.maximum(level.var(axis=0, ddof=1) - counting, 0)
    sd: np.ndarray = np.sqrt(np.log1p(beyond))
    return sd


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real tables (default: %(default)s)")
    data = hearts(parser.parse_args().data)
    kinds = sorted(data.groups["cell_type"].unique())
    levels = {kind: relative_levels(data, kind) for kind in kinds}
    print(f"| genes | number | {' | '.join(f'{100 * q:g} %' for q in QUANTILES)} |\n|---|{'---:|' * 6}")
    for kind, (level, counting, mean) in levels.items():
        seen = mean >= LEAST_MEAN
        edges = np.quantile(mean[seen], [0, 0.25, 0.5, 0.75, 1])
        quarters = [seen & (mean >= low) & (mean <= high) for low, high in itertools.pairwise(edges)]
        for name, kept in [(kind, seen), *((f"{kind}, quarter {i}", part) for i, part in enumerate(quarters, 1))]:
            found = np.quantile(log_sd(level[:, kept], counting[kept]), QUANTILES)
            print(f"| {name} | {kept.sum():,} | {' | '.join(f'{q:.2f}' for q in found)} |")
    drawn = DONOR_SD * np.exp(LOG_SD_OF_DONOR_SD * stats.norm.ppf(QUANTILES))
    print(f"| as the demo draws | | {' | '.join(f'{q:.2f}' for q in drawn)} |")
    print("\n| types | genes | shared |\n|---|---:|---:|")
    for one, other in itertools.combinations(kinds, 2):
        kept = (levels[one][2] >= LEAST_MEAN) & (levels[other][2] >= LEAST_MEAN)
        (first, a, _), (second, b, _) = levels[one], levels[other]
        first, second = first[:, kept] - 1, second[:, kept] - 1
        covariance = (first * second).sum(axis=0) / (len(first) - 1)
        variances = [v.var(axis=0, ddof=1) - c[kept] for v, c in ((first, a), (second, b))]
        share = np.median(covariance) / np.sqrt(np.median(variances[0]) * np.median(variances[1]))
        print(f"| {one}, {other} | {kept.sum():,} | {100 * share:.0f} % |")
    print(f"| as the demo draws | | {100 * SHARED_BY_TYPES:.0f} % |")


if __name__ == "__main__":
    main()
