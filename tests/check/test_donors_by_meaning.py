"""Checks read the roles as every command does: words for missing are no donors, and spellings of one sex are one."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from titin.builder import build
from titin.check import validate


def test_unknown_donors_and_spellings_are_no_error(tmp_path):
    rows = np.arange(120)
    obs = pd.DataFrame({
        "donor_id": np.array(["D0", "D1", "unknown", "pooled"])[rows // 30],
        "sex": np.where(rows < 60, np.array(["F", "female"])[rows % 2], np.array(["F", "M"])[rows % 2]),
    }, index=[f"c{i}" for i in rows])  # fmt: skip
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(2, (120, 30)).astype("f4"))
    anndata.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(30)])).write_h5ad(tmp_path / "a.h5ad")
    built = build(tmp_path / "a.h5ad", tmp_path / "d")
    assert not [note for note in built.manifest.notes if "two sexes" in note]
    report = validate(tmp_path / "d", checks=["metadata.donors"])
    assert not list(report.findings())
    assert report["metadata.donors"].outcome.facts["donors"] == 2
