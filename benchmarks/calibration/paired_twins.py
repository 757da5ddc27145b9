"""Twins of one truth with other donors: for what is learnt on the one and tried on the other.

`shared/tools/twin.py` makes genes, planted effects and donors of one seed. Here each cell goes by chance to its own
donor or to one of the same age and sex beside it, whose effects are drawn anew; the atlas is then cut in two.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

import titin
from titin.demo.design import donor_table

TWIN_SCRIPT = Path(__file__).resolve().parents[3] / "shared" / "tools" / "twin.py"
OTHER = "b"  # after the name of a donor of the second twin


def load_twin_script(path: Path = TWIN_SCRIPT) -> Any:
    """Import the script that makes twins; its functions may be replaced."""
    if not path.is_file():
        raise SystemExit(f"{path} is missing: give --twin-script")
    found = importlib.util.spec_from_file_location("twin", path)
    if found is None or found.loader is None:
        raise SystemExit(f"{path} is no script of Python: give --twin-script")
    module = importlib.util.module_from_spec(found)
    sys.modules["twin"] = module
    found.loader.exec_module(module)
    return module


def make_pair(folder: Path, cells: int, genes: int, seed: int, *, age_effect: bool, script: Path) -> list[Path]:
    """Two built datasets of about so many cells each; genes vary between donors as in real pseudobulk."""
    twin = load_twin_script(script)
    original = twin.design

    def paired(n_cells: int, rng: np.random.Generator) -> pd.DataFrame:
        obs: pd.DataFrame = original(n_cells, rng)
        beside = rng.random(n_cells) < 0.5
        for column in ("DonorID", "SampleID"):
            obs[column] = obs[column].astype(str) + np.where(beside, OTHER, "")
        return obs

    twin.design = paired
    adata, _ = twin.build(2 * cells, genes, seed, age_effect, True)
    second = adata.obs["DonorID"].astype(str).str.endswith(OTHER).to_numpy()
    return [build(adata[rows].copy(), folder / name) for name, rows in (("one", ~second), ("other", second))]


def build(adata: ad.AnnData, folder: Path) -> Path:
    """Build a twin with the exact ages of its donors."""
    folder.mkdir(parents=True)
    table = donor_table()
    name = table.columns[0]
    both = pd.concat([table, table.assign(**{name: table[name].astype(str) + OTHER})])
    both.to_csv(folder / "donors.csv", index=False)
    for column in adata.obs.select_dtypes("category"):
        adata.obs[column] = adata.obs[column].cat.remove_unused_categories()
    adata.write_h5ad(folder / "twin.h5ad")
    titin.build(folder / "twin.h5ad", folder / "dataset", preset="muscle", donors=folder / "donors.csv", project=())
    (folder / "twin.h5ad").unlink()
    return folder / "dataset"
