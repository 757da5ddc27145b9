"""Small pseudobulks with and without an effect of age, drawn at the level of donors."""

import numpy as np
import pandas as pd
from scipy import sparse

from titin.ageing import Pseudobulk


def draw_pseudobulk(
    seed, *, n_genes=300, n_donors=12, protocols=("cells",), effect=0.0, n_changed=30, dispersion=0.05, log_level=3.5,
    **columns,
):  # fmt: skip
    """One type; the first genes change by ``effect`` (log2 a decade), by turns up and down.

    Donors have dispersions of their own for each gene, the same in all protocols.
    """
    rng = np.random.default_rng(seed)
    age = rng.permutation(np.linspace(20, 75, n_donors))
    donors = pd.DataFrame({
        "cell_type": "T", "donor": [f"d{i:02d}" for i in range(n_donors)],
        "sex": rng.permutation(np.resize(["F", "M"], n_donors)), "age": age, "n_cells": 100, **columns,
    })  # fmt: skip
    slope = np.zeros(n_genes)
    slope[:n_changed] = effect * np.where(np.arange(n_changed) % 2, -1, 1)
    shape = 1 / (dispersion * rng.chisquare(20, n_genes) / 20)
    own = rng.gamma(shape, 1 / shape, (n_donors, n_genes)) * 2.0 ** (slope * (age[:, None] - 47) / 10)
    level = rng.lognormal(log_level, 1.2, n_genes)
    counts = [rng.poisson(level * own * rng.lognormal(0, 0.3, (n_donors, 1))) for _ in protocols]
    groups = pd.concat([donors.assign(protocol=name) for name in protocols], ignore_index=True)
    matrix = sparse.csr_matrix(np.vstack(counts).astype(np.int64))
    names = [f"g{i}" for i in range(n_genes)]
    genes = pd.DataFrame({"gene": names, "gene_id": names})
    return Pseudobulk(groups, matrix, (matrix > 0).astype(np.int64), genes, ["cell_type"])
