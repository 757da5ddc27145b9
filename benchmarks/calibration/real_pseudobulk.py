"""Pseudobulks of real people, in which nothing is known of age: with ages made up, whatever is found is false.

Hearts: 22 donors × cardiomyocytes, endothelial cells, fibroblasts, 29,126 genes (Kuppe et al., Nature 608, 766 (2022);
from the package MOFAcellulaR). Glioblastoma: 10 samples of 5 patients, with and without panobinostat, 300 genes
(Zhao et al., Genome Med. 13, 82 (2021); from the package lemur).
"""

from pathlib import Path

import numpy as np
import pandas as pd
from donors import study_donors
from scipy import sparse

from titin.ageing.pseudobulk import Pseudobulk

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def hearts(data: Path = DATA) -> Pseudobulk:
    """22 donors × 3 types; numbers of cells are not known."""
    import anndata as ad

    found = ad.read_h5ad(data / "h5ad" / "heart_pseudobulk_mofacell_66x29126.h5ad")
    groups = pd.DataFrame({"cell_type": found.obs["cell_type"], "donor": found.obs["donor_id"]})
    return _pseudobulk(groups, found.X, found.var_names)


def glioblastoma(data: Path = DATA) -> Pseudobulk:
    """10 samples, each as a donor of its own; ``treatment`` is the drug, ``patient`` has two of them."""
    import anndata as ad

    found = ad.read_h5ad(data / "h5ad" / "glioblastoma_lemur_5000x300.h5ad")
    codes, names = pd.factorize(found.obs["sample_id"], sort=True)
    which = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    known = found.obs.groupby("sample_id", observed=True)[["condition", "patient_id"]].first().loc[names]
    groups = pd.DataFrame({"cell_type": "all", "donor": names, "treatment": known["condition"].to_numpy(),
                           "patient": known["patient_id"].to_numpy()})  # fmt: skip
    return _pseudobulk(groups, which @ sparse.csr_matrix(found.X), found.var_names)


def _pseudobulk(groups: pd.DataFrame, counts: object, names: pd.Index) -> Pseudobulk:
    groups = groups.astype(str).reset_index(drop=True).assign(protocol="cells", n_cells=100)
    matrix = sparse.csr_matrix(counts).astype(np.int64)
    genes = pd.DataFrame({"gene": names.astype(str), "gene_id": names.astype(str)})
    return Pseudobulk(groups, matrix, (matrix > 0).astype(np.int64), genes, ["cell_type"])


def make_up_ages(data: Pseudobulk, rng: np.random.Generator, n_donors: int = 12) -> Pseudobulk:
    """Some of the donors, with ages, sexes and chemistries of the atlas's twelve dealt out to them (repeatedly)."""
    donors = np.sort(rng.permutation(data.groups["donor"].unique())[:n_donors])
    order = rng.permutation(12)[:n_donors] if n_donors <= 12 else rng.integers(12, size=n_donors)
    dealt = study_donors("cells").iloc[order].assign(donor=donors).drop(columns="protocol")
    chosen = data.select(data.groups["donor"].isin(donors).to_numpy())
    groups = chosen.groups.merge(dealt, on="donor", how="left", validate="many_to_one")
    return Pseudobulk(groups, chosen.counts, chosen.detected, chosen.genes, chosen.levels)
