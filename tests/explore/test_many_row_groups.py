"""An atlas of so many row groups that a browser would refuse to ask for all of them at once."""

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from window import Window, static_host

import titin
from titin.explore import write_site

CELLS = 2000  # a row group each; Chromium has refused some 1,350 requests at once


@pytest.fixture(scope="module")
def finely_cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("cut"), np.random.default_rng(0)
    counts = rng.poisson(1.0, (CELLS, 12)).astype("f4") + np.eye(12, dtype="f4")[np.arange(CELLS) % 12]
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype("f4")
    obs = pd.DataFrame({"type": pd.Categorical(["a", "b"] * (CELLS // 2))}, index=[f"c{i}" for i in range(CELLS)])
    adata = ad.AnnData(sparse.csr_matrix(values), obs, pd.DataFrame(index=[f"G{i}" for i in range(12)]))
    adata.obsm["X_umap"] = rng.normal(size=(CELLS, 2))
    adata.write_h5ad(folder / "a.h5ad")
    titin.build(folder / "a.h5ad", folder / "dataset", tissue="t", method="m", roles={"cell_type": "type"})
    site = write_site(folder / "dataset", folder / "site").path
    (path,) = site.glob("data/*_expression.parquet")
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=1, compression="zstd", use_dictionary=False)
    manifest = json.loads((site / "data" / "titin.json").read_text())
    manifest["files"][path.name]["bytes"] = path.stat().st_size
    (site / "data" / "titin.json").write_text(json.dumps(manifest))
    return site


@pytest.mark.slow
def test_the_scales_of_all_row_groups_come(window: Window, finely_cut: Path) -> None:
    atlas = titin.open(finely_cut.parent / "dataset")
    assert atlas.manifest.recovery["target_column"] is None  # the scales have to be read
    with static_host(finely_cut) as address:
        window.open(address)
        window.run("titin.colour({gene: 'G3'})")
        np.testing.assert_allclose(window.values(), atlas["G3"], rtol=2e-6)
    assert window.said == []
