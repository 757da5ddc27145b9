"""Pseudobulks of synthetic twins of the muscle atlas, made in memory; genes vary between donors as in real ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from paired_twins import TWIN_SCRIPT, load_twin_script
from scipy import sparse

from titin.ageing.pseudobulk import Pseudobulk

LEVEL = "annotation_level0"
_COLUMNS = {"donor": "DonorID", "sample": "SampleID", "protocol": "batch", "chemistry": "10X_version", "sex": "Sex",
            "age": "age", LEVEL: LEVEL}  # fmt: skip


def twin(
    seed: int, *, cells: int, genes: int, age_effect: bool, real_donors: bool = True, script: Path = TWIN_SCRIPT
) -> tuple[Pseudobulk, pd.Series]:
    """Donors × samples × coarsest types of a twin; the planted natural-log effects of age over 27 years, by gene."""
    module = load_twin_script(script)
    atlas, counts = module.build(cells, genes, seed, age_effect, real_donors)
    ages = module.pd.read_csv(module.DATA / "atlas_tables/donor_by_batch.csv").drop_duplicates("DonorID")
    obs = atlas.obs.assign(age=atlas.obs["DonorID"].astype(str).map(ages.set_index("DonorID")["Age"]).astype(float))
    keys = pd.DataFrame({name: obs[column].astype(object).to_numpy() for name, column in _COLUMNS.items()})
    grouped = keys.groupby(list(keys), sort=True)
    codes = grouped.ngroup().to_numpy()
    which = sparse.csr_matrix((np.ones(len(codes), np.int64), (codes, np.arange(len(codes)))))
    groups = keys.iloc[np.unique(codes, return_index=True)[1]].reset_index(drop=True)
    groups = groups.assign(age=groups["age"].astype(float), n_cells=np.bincount(codes))
    names = pd.DataFrame({"gene": atlas.var["SYMBOL"].to_numpy(str), "gene_id": atlas.var["ENSEMBL"].to_numpy(str)})
    sums, detected = which @ counts.astype(np.int64), which @ (counts > 0).astype(np.int64)
    truth = pd.Series(atlas.uns["truth"]["age_log_fold_change"], dtype=float)
    return Pseudobulk(groups, sums.tocsr(), detected.tocsr(), names, [LEVEL]), truth


def deal_ages(sums: Pseudobulk, rng: np.random.Generator) -> Pseudobulk:
    """The same with the ages dealt out among the donors anew."""
    ages = sums.groups.drop_duplicates("donor").set_index("donor")["age"]
    dealt = pd.Series(rng.permutation(ages), ages.index)
    return replace(sums, groups=sums.groups.assign(age=sums.groups["donor"].map(dealt).astype(float)))
