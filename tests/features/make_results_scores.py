"""Write results_scores.json with decoupler and pyucell; it is read by test_scores.py.

    python make_results_scores.py        (made with decoupler 2.2.0 and pyucell 0.8.0)

It holds ULM and UCell scores of 60 synthetic cells × 500 genes for four sets, which test_scores.py draws again.
"""

import json
from pathlib import Path

import anndata as ad
import decoupler as dc
import numpy as np
import pandas as pd
import pyucell
from scipy import sparse
from synthetic_scores import synthetic

HERE = Path(__file__).parent


def main() -> None:
    """Score and write."""
    values, sets = synthetic()
    genes = [f"gene{i}" for i in range(values.shape[1])]
    adata = ad.AnnData(sparse.csr_matrix(values), obs=pd.DataFrame(index=[f"c{i}" for i in range(len(values))]),
                       var=pd.DataFrame(index=genes))  # fmt: skip
    net = pd.DataFrame([(name, gene, 1.0) for name, own in sets.items() for gene in own],
                       columns=["source", "target", "weight"])  # fmt: skip
    dense = ad.AnnData(values.astype(np.float64), obs=adata.obs, var=adata.var)
    dc.mt.ulm(dense, net, tmin=3, empty=False)
    pyucell.compute_ucell_scores(adata, signatures=sets, max_rank=200)
    found = {
        "ulm": dense.obsm["score_ulm"][list(sets)].to_numpy().round(9).tolist(),
        "ucell": adata.obs[[f"{name}_UCell" for name in sets]].to_numpy(float).round(7).tolist(),
    }
    (HERE / "results_scores.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
