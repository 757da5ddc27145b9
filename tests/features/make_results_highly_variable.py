"""Write results_highly_variable.csv and .json with scanpy; they are read by test_highly_variable.py.

    python make_results_highly_variable.py PBMC4K.h5ad        (made with scanpy 1.11.5)

The CSV holds 400 synthetic genes: the moments that scanpy saw and what it made of them for 60 genes in 20 bins. The
JSON holds the 500 genes it chose from the real PBMC file, after normalising to 10,000 counts a cell.
"""

import json
import sys
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
from scipy import sparse

HERE = Path(__file__).parent
COLUMNS = ["means", "dispersions", "dispersions_norm", "highly_variable"]


def synthetic() -> ad.AnnData:
    """Return 250 cells × 400 genes, 12 of them silent and one alone in its bin."""
    rng = np.random.default_rng(7)
    rate = rng.lognormal(-0.5, 1.5, 400) * rng.lognormal(0, 0.6, (250, 400))
    rate[:, :12] = 0
    rate[:, 12] *= 400 / rate[:, 12].mean()
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.float64)))
    adata.var_names = [f"gene{i}" for i in range(400)]
    return adata


def chosen_by_scanpy(adata: ad.AnnData, n_top: int) -> None:
    """Normalise, take the logarithm and choose, in place."""
    import scanpy as sc

    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, flavor="seurat", n_top_genes=n_top, n_bins=20)


def main(pbmc: str) -> None:
    """Write both files."""
    adata = synthetic()
    chosen_by_scanpy(adata, 60)
    linear = np.expm1(adata.X.toarray())
    table = adata.var[COLUMNS].copy()
    table.insert(0, "variance", linear.var(axis=0, ddof=1))
    table.insert(0, "mean", linear.mean(axis=0))
    table.to_csv(HERE / "results_highly_variable.csv", index_label="gene")
    adata = ad.read_h5ad(pbmc)
    adata.X = adata.X.astype(np.float64)
    chosen_by_scanpy(adata, 500)
    positions = np.flatnonzero(adata.var["highly_variable"]).tolist()
    (HERE / "results_highly_variable.json").write_text(json.dumps({"pbmc4k_positions": positions}) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
