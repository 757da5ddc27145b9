"""Write results_normalization.json with other implementations; it is read by test_normalization.py.

    python make_results_normalization.py        (made with rnanorm 2.2.0, decoupler 2.2.0, statsmodels 0.15.0)

Counts are synthetic, with a strong trend of the variance and some genes that change with age. From rnanorm come the TMM
factors; from decoupler edgeR's filter for two groups; from statsmodels the robust smoother. What limma gives is in r/.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
N_GENES, N_UNITS = 120, 10


def synthetic() -> tuple[np.ndarray, np.ndarray]:
    """Return counts, units × genes, and a design: constant, sex, age in decades."""
    rng = np.random.default_rng(11)
    age = np.linspace(2, 7.5, N_UNITS)[rng.permutation(N_UNITS)]
    design = np.column_stack([np.ones(N_UNITS), [0, 1] * (N_UNITS // 2), age])
    mean = rng.lognormal(3, 1.6, N_GENES) * rng.lognormal(0, 0.5, (N_UNITS, 1))
    mean[:, :12] *= np.exp(0.25 * (design[:, [2]] - 4.7))
    shape = rng.uniform(3, 40, N_GENES)
    return rng.poisson(mean * rng.gamma(shape, 1 / shape, mean.shape)), design


def main() -> None:
    """Write the file."""
    import decoupler
    import statsmodels.api as sm
    from anndata import AnnData
    from rnanorm import TMM

    counts, design = synthetic()
    library = counts.sum(axis=1)
    y = np.log2((counts + 0.5) / (library[:, None] + 1) * 1e6).T
    obs = pd.DataFrame({"sex": np.where(design[:, 1] == 1, "M", "F")}, index=[f"u{i}" for i in range(N_UNITS)])
    kept = decoupler.pp.filter_by_expr(AnnData(counts.astype(float), obs=obs), group="sex", min_count=20, inplace=False)
    x = np.sort(y.mean(axis=1))
    smoothed = sm.nonparametric.lowess(np.sin(x), x, frac=0.5, it=3, delta=0.01 * np.ptp(x), return_sorted=False)
    found = {"tmm": TMM().fit(counts).get_norm_factors(counts).tolist(), "kept": [int(name) for name in kept],
             "lowess": smoothed.tolist()}  # fmt: skip
    (HERE / "results_normalization.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
