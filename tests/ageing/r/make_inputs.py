"""Write the data of which the R scripts beside this make the golden results.

    python make_inputs.py && for script in *.R; do Rscript $script; done
    (made with R 4.2.2, limma 3.54.1, edgeR 3.40.2, statmod 1.5.0)

160 genes of 16 pseudobulks: ten donors, six of them with one in both protocols. Genes have variances of their own, a
few a much larger one; donors have levels of their own in a gene; two units are noisier than the others; a quarter of
the genes has few counts, and some none at all in either sex, so that their residuals there are exactly zero.
"""

from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
N_GENES = 160


def main() -> None:
    """Write counts.csv, units.csv and camera_sets.csv."""
    rng = np.random.default_rng(14)
    donor = np.array([f"d{i}" for i in [*range(8), *range(2, 10)]])
    protocol = np.repeat(["cells", "nuclei"], 8)
    donors = pd.DataFrame({"age": rng.permutation(np.linspace(1.9, 7.4, 10)).round(2), "male": [0, 1] * 5},
                          index=[f"d{i}" for i in range(10)])  # fmt: skip
    units = donors.loc[donor].assign(donor=donor, nuclei=(protocol == "nuclei").astype(int))
    units["cells"] = rng.integers(12, 900, 16)
    spread = 0.25 * np.sqrt(5 / rng.chisquare(5, N_GENES))
    spread[:6] *= 6
    level = pd.DataFrame(rng.normal(0, 1, (10, N_GENES)), donors.index).loc[donor].to_numpy() * np.sqrt(0.5)
    own = rng.normal(0, 1, (16, N_GENES)) * np.sqrt(0.5) * np.where(np.arange(16) % 8 == 3, 2.5, 1)[:, None]
    log = rng.normal(4, 1.6, N_GENES) + spread * (level + own)
    log[:, 6:40] += 0.25 * (units["age"].to_numpy()[:, None] - 4.7)
    log[:, 120:] = np.log(rng.uniform(0.8, 6, 40))
    counts = rng.poisson(np.exp(log) * rng.lognormal(0, 0.4, (16, 1)))
    counts[np.ix_(units["male"] == 1, np.arange(120, 135))] = 0
    counts[np.ix_(units["male"] == 0, np.arange(135, 142))] = 0
    names = [f"u{i}" for i in range(16)]
    pd.DataFrame(counts.T, [f"g{i}" for i in range(N_GENES)], names).to_csv(HERE / "counts.csv", lineterminator="\n")
    units.set_axis(names).to_csv(HERE / "units.csv", lineterminator="\n")
    sets = {"changing": range(6, 30), "mixed": range(30, 50), "hypervariable": range(6), "small": (10, 60, 110),
            "random": sorted(rng.choice(120, 30, replace=False)), "half": range(60)}  # fmt: skip
    members = [(name, f"g{i}") for name, genes in sets.items() for i in genes]
    pd.DataFrame(members, columns=["set", "gene"]).to_csv(HERE / "camera_sets.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
