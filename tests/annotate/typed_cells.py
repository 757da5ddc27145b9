"""Small atlases of separable types: each has genes of its own, and donors differ in depth."""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

ROLES = {"cell_type": ["lineage", "cell_type"], "donor": "donor", "protocol": "batch"}

TYPES = ("B cell", "Endothelial", "Fibroblast", "Mast", "T cell")
N_GENES = 80
OWN_GENES = 8  # of each type


def typed_counts(types, rng, n_genes=N_GENES):
    """Counts of cells of given types (numbers), each with more of its own genes."""
    mean = np.full((len(types), n_genes), 0.6)
    for i, kind in enumerate(types):
        mean[i, kind * OWN_GENES : (kind + 1) * OWN_GENES] = 5
    mean *= rng.uniform(0.7, 1.4, (len(types), 1))
    return sparse.csr_matrix(rng.poisson(mean).astype(np.float32))


def typed_atlas(*, donors=6, cells=60, seed=0, types=TYPES, genes=None, rare=0):
    """An AnnData of counts: ``cells`` a donor, ``donor``, ``cell_type``, ``lineage``; some of a type that is rare."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(types), donors * cells)
    labels = np.array(types, object)[kinds]
    labels[:rare] = "Rare"
    obs = pd.DataFrame({
        "donor": np.repeat([f"D{i}" for i in range(donors)], cells), "cell_type": pd.Categorical(labels),
        "lineage": pd.Categorical(np.where(np.isin(labels, ["B cell", "T cell", "Mast"]), "immune", "stroma")),
        "batch": np.where(np.arange(donors * cells) % 2, "cells", "nuclei"),
    }, index=[f"c{i}" for i in range(donors * cells)])  # fmt: skip
    var = pd.DataFrame({"gene_ids": [f"ENSG{i:011d}" for i in range(N_GENES)]},
                       index=genes or [f"GENE{i}" for i in range(N_GENES)])  # fmt: skip
    return ad.AnnData(typed_counts(kinds, rng), obs=obs, var=var)


def exchange(labels: np.ndarray, donors: np.ndarray) -> None:
    """Call the B cells of one donor mast cells, and its mast cells B cells."""
    b, mast = ((donors == "D2") & (labels == name) for name in ("B cell", "Mast"))
    labels[b], labels[mast] = "Mast", "B cell"
