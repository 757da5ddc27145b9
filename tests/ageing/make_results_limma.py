"""Write results_limma.json with other implementations; it is read by test_moderated.py and test_normalization.py.

    python make_results_limma.py        (made with inmoose 0.9.1, rnanorm 2.2.0, decoupler 2.2.0, statsmodels 0.15.0)

Counts are synthetic, with a strong trend of the variance and some genes that change with age. From inmoose (a port of
limma) come weighted linear models and moderated t statistics with and without a trend; from rnanorm the TMM factors;
from decoupler edgeR's filter for two groups; from statsmodels the robust smoother.
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


class _Writable:
    """numpy as inmoose's weights need it: it writes into what broadcast_to returns."""

    def __getattr__(self, name):
        return getattr(np, name)

    def broadcast_to(self, array, shape):
        return np.broadcast_to(array, shape).copy()


def limma(y: np.ndarray, design: np.ndarray, weights: np.ndarray | None, trend: bool) -> dict:
    """Moderated test of the last column by inmoose."""
    from inmoose.limma import eBayes, lmFit, lmfit

    lmfit.np = _Writable()
    frame = pd.DataFrame(design, columns=["constant", "sex", "age"])
    fit = lmFit(pd.DataFrame(y.copy()), frame, weights=None if weights is None else weights.copy())
    if weights is not None:  # inmoose leaves the weights out of these, limma does not
        own = [np.sqrt(np.diag(np.linalg.inv(design.T @ (w[:, None] * design)))) for w in weights]
        fit.stdev_unscaled = pd.DataFrame(own, index=fit.stdev_unscaled.index, columns=fit.stdev_unscaled.columns)
    fit = eBayes(fit, trend=trend)
    prior = np.broadcast_to(np.asarray(fit.s2_prior, float), len(y))
    return {
        "effect": np.asarray(fit.coefficients, float)[:, 2].tolist(), "t": np.asarray(fit.t, float)[:, 2].tolist(),
        "p_value": np.asarray(fit.p_value, float)[:, 2].tolist(), "sigma": np.asarray(fit.sigma, float).tolist(),
        "prior_variance": prior.tolist(), "prior_df": float(np.ravel(fit.df_prior)[0]),
    }  # fmt: skip


def main() -> None:
    """Write the file."""
    import decoupler
    import statsmodels.api as sm
    from anndata import AnnData
    from rnanorm import TMM

    counts, design = synthetic()
    library = counts.sum(axis=1)
    y = np.log2((counts + 0.5) / (library[:, None] + 1) * 1e6).T
    weights = np.random.default_rng(3).uniform(0.3, 3, y.shape)
    obs = pd.DataFrame({"sex": np.where(design[:, 1] == 1, "M", "F")}, index=[f"u{i}" for i in range(N_UNITS)])
    kept = decoupler.pp.filter_by_expr(AnnData(counts.astype(float), obs=obs), group="sex", min_count=20, inplace=False)
    x = np.sort(y.mean(axis=1))
    smoothed = sm.nonparametric.lowess(np.sin(x), x, frac=0.5, it=3, delta=0.01 * np.ptp(x), return_sorted=False)
    found = {
        "unweighted": limma(y, design, None, False), "trend": limma(y, design, None, True),
        "weighted": limma(y, design, weights, False), "tmm": TMM().fit(counts).get_norm_factors(counts).tolist(),
        "kept": [int(name) for name in kept], "lowess": smoothed.tolist(),
    }  # fmt: skip
    (HERE / "results_limma.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
