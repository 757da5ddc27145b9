"""A small atlas with planted regulators: each moves its targets cell by cell, one more strongly in old donors."""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

ROLES = {"donor": "donor", "age": "age", "cell_type": ["cell_type"]}

REGULATORS, TARGETS, OTHERS = 4, 8, 60
TYPES = ("B cell", "T cell")
CHANGED, RISING, OF_B = "TF0", "TF1", "TF2"  # in strength in old T cells; in level with age; level of B cells


def genes() -> list[str]:
    """Regulators, the targets of each, and others."""
    named = [f"TF{t}" for t in range(REGULATORS)]
    named += [f"TF{t}T{g}" for t in range(REGULATORS) for g in range(TARGETS)]
    return named + [f"X{i}" for i in range(OTHERS)]


def edges() -> pd.DataFrame:
    """The planted network; the last target of each regulator is repressed."""
    rows = [(f"TF{t}", f"TF{t}T{g}", -1.0 if g == TARGETS - 1 else 1.0)
            for t in range(REGULATORS) for g in range(TARGETS)]  # fmt: skip
    return pd.DataFrame(rows, columns=["source", "target", "weight"])


def planted_atlas(*, donors: int = 12, cells: int = 100, seed: int = 0, change: float = 1.0) -> ad.AnnData:
    """Counts of ``cells`` a donor and type: half of the donors are young; without change, nothing goes with age."""
    rng = np.random.default_rng(seed)
    names = genes()
    n = donors * cells * len(TYPES)
    donor, kind = np.arange(n) // (cells * len(TYPES)), np.arange(n) % len(TYPES)
    old = donor >= donors // 2
    logs = np.full((n, len(names)), np.log(4.0)) + rng.normal(0, 0.1, (donors, len(names)))[donor]
    for t in range(REGULATORS):
        own = REGULATORS + TARGETS * t + np.arange(TARGETS)
        sign = np.where(np.arange(TARGETS) == TARGETS - 1, -1.0, 1.0)
        active = rng.normal(0, 1, n)
        level = 0.6 * change * old if names[t] == RISING else 0.8 * (kind == 0) if names[t] == OF_B else np.zeros(n)
        strength = np.where(old & (kind == 1), 0.5 - 0.5 * change, 0.5) if names[t] == CHANGED else np.full(n, 0.5)
        logs[:, t] += 0.7 * active
        logs[:, own] += (strength * active + level)[:, None] * sign
    depth = rng.lognormal(0, 0.3, n)
    obs = pd.DataFrame({
        "donor": [f"D{d:02}" for d in donor], "age": np.where(old, 70, 25) + donor, "cell_type": np.array(TYPES)[kind],
    }, index=[f"c{i}" for i in range(n)])  # fmt: skip
    counts = rng.poisson(np.exp(logs) * depth[:, None]).astype(np.float32)
    return ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=names))
