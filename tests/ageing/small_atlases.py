"""Small datasets in which it is known what changes with age."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

import titin
from titin.atlas import Atlas

AGES = [20, 24, 28, 33, 37, 52, 58, 61, 66, 70, 73, 75]
PROGRAMME = tuple(f"UP{i}" for i in range(15))
GENES = ["MYH7", "MYH2", "MYH1", "CDKN1A", "CCL2", *PROGRAMME, *(f"G{i}" for i in range(180))]


def cells(rng: np.random.Generator, per_donor: int = 60) -> pd.DataFrame:
    """Obs of 12 donors with four types in one protocol; fibres of old donors are more often of type I."""
    rows = []
    for i, age in enumerate(AGES):
        for _ in range(per_donor):
            slow = rng.random() < 0.3 + 0.006 * (age - 20)
            label = rng.choice(["fibre", "FB", "T-cell"], p=[0.5, 0.3, 0.2])
            label = ("MF-I" if slow else "MF-II") if label == "fibre" else label
            rows.append((f"d{i}", age, "FM"[i % 2], label))
    obs = pd.DataFrame(rows, columns=["donor", "age", "sex", "cell_type"])
    obs.index = [f"c{i}" for i in range(len(obs))]
    return obs


def counts_of(obs: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Counts in which fibroblasts raise `PROGRAMME` and detect CDKN1A more with age, and fibres show their myosin."""
    rate = np.tile(rng.lognormal(0, 0.8, len(GENES)), (len(obs), 1))
    at = {name: i for i, name in enumerate(GENES)}
    age, kind = obs["age"].to_numpy() / 10, obs["cell_type"].to_numpy()
    up = [at[name] for name in PROGRAMME]
    rate[:, up] = 1.0
    fibroblast = kind == "FB"
    rate[np.ix_(fibroblast, up)] *= np.exp(0.15 * (age[fibroblast, None] - 4.5))
    rate[:, at["CDKN1A"]] = np.where(fibroblast, 0.05 + 0.25 * (age - 2), 0.3)
    for name, label in (("MYH7", "MF-I"), ("MYH2", "MF-II"), ("MYH1", "MF-II")):
        rate[:, at[name]] = np.where(kind == label, 12.0, 0.05)
    return rng.poisson(rate).astype(np.float32)


def build(folder: Path, obs: pd.DataFrame, values: np.ndarray, genes: list[str] | None = None) -> Atlas:
    """Build a dataset of counts, or of whatever the values are, and open it."""
    folder.mkdir(parents=True, exist_ok=True)
    source = ad.AnnData(sparse.csr_matrix(values), obs=obs, var=pd.DataFrame(index=genes or GENES))
    source.write_h5ad(folder / "source.h5ad")
    titin.build(folder / "source.h5ad", folder / "dataset", tissue="toy", method="x")
    return titin.open(folder / "dataset", preset="muscle")
