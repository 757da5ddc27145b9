"""Pseudobulks of twins of any size, up to the whole atlas, without their cells.

`shared/tools/twin.py` draws the reads of each cell from the profile of its type, donor and protocol, so that those of
all cells of one profile are one multinomial draw: that is drawn here. Donors, effects and sizes of cells are those of
the twin of the same seed; only the draws of the reads differ. How many cells express a gene is what is expected of
cells of these sizes.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from paired_twins import TWIN_SCRIPT, load_twin_script
from scipy import sparse

from titin.ageing.pseudobulk import Pseudobulk

LEVEL = "annotation_level0"
WHOLE = {"cells": 183_161, "genes": 29_400}
_SIZES = 8  # by which the sizes of the cells of a profile are told
_COLUMNS = {"level2": "annotation_level2", LEVEL: LEVEL, "donor": "DonorID", "protocol": "batch", "sex": "Sex",
            "chemistry": "10X_version"}  # fmt: skip
_KEYS = [LEVEL, "donor", "protocol"]


def whole_twin(
    seed: int, *, cells: int, genes: int, age_effect: bool = True, script: Path = TWIN_SCRIPT
) -> tuple[Pseudobulk, pd.Series]:
    """Donors × protocols × coarsest types; the planted natural-log effects of age over 27 years, by gene.

    Genes vary between donors as in real pseudobulk.
    """
    module = load_twin_script(script)
    rng = np.random.default_rng([seed, 23])
    drawn: list[tuple[np.ndarray, np.ndarray]] = []

    def draw(cdf: np.ndarray, sizes: np.ndarray, *_: object) -> int:
        share = np.diff(cdf, prepend=0) / cdf[-1]
        ends = np.array_split(np.sort(sizes), min(_SIZES, len(sizes)))
        seen = sum(len(part) * -np.expm1(-part.mean() * share) for part in ends)
        drawn.append((rng.multinomial(sizes.sum(), share / share.sum()), np.rint(seen).astype(np.int64)))
        return 0  # no cell is written

    module.sample_counts = draw
    with np.errstate(invalid="ignore"):  # shares of cells without counts
        atlas, _ = module.build(cells, genes, seed, age_effect, True)
    ages = pd.read_csv(module.DATA / "atlas_tables/donor_by_batch.csv").drop_duplicates("DonorID")
    profiles = _profiles(atlas.obs)
    rows = profiles.groupby(_KEYS, sort=True)
    groups = rows.agg({"sex": "first", "chemistry": "first", "n_cells": "sum"}).reset_index()
    groups["age"] = groups["donor"].map(ages.set_index("DonorID")["Age"]).astype(float)
    sums, seen = (np.zeros((len(groups), len(atlas.var)), np.int64) for _ in range(2))
    for group, (reads, with_reads) in zip(rows.ngroup(), drawn, strict=True):
        sums[group] += reads
        seen[group] += with_reads
    names = pd.DataFrame({"gene": atlas.var["SYMBOL"].to_numpy(str), "gene_id": atlas.var["ENSEMBL"].to_numpy(str)})
    truth = pd.Series(atlas.uns["truth"]["age_log_fold_change"], dtype=float)
    return Pseudobulk(groups, sparse.csr_matrix(sums), sparse.csr_matrix(seen), names, [LEVEL]), truth


def _profiles(obs: pd.DataFrame) -> pd.DataFrame:
    """One row a finest type, donor and protocol, in the order in which the script draws their reads."""
    cells = pd.DataFrame({name: obs[column].astype(str) for name, column in _COLUMNS.items()})
    by = cells.groupby(["level2", "donor", "protocol"]).indices
    first = cells.iloc[[rows[0] for rows in by.values()]].reset_index(drop=True)
    return first.assign(n_cells=[len(rows) for rows in by.values()])
