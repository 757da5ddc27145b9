"""The benchmark of projections runs and prints what it promises, at a size at which its figures say nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import titin
from titin.demo import write_demo_atlas

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "embed.py"


@pytest.mark.slow
def test_embed_measures_both_and_compares_them(tmp_path):
    source = write_demo_atlas(tmp_path / "demo.h5ad", n_cells=300, n_genes=250)
    titin.build(source, tmp_path / "demo", preset="muscle")
    done = subprocess.run(
        [sys.executable, SCRIPT, "--dataset", tmp_path / "demo", "--source", source, "--scanpy-cells", "200",
         "--n-comps", "20", "--sections", "pca", "--json", tmp_path / "found.json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    rows = found["sections"]["pca"]["rows"]
    assert [row["failed"] for row in rows if "failed" in row] == []
    assert len(rows) == 3
    assert all(row["seconds"] > row["step_seconds"] > 0 and row["peak_bytes"] > 50 * 2**20 for row in rows)
    parity = found["sections"]["pca"]["parity"]
    assert parity["loadings_cosine"] > 0.9999
    assert parity["variance_deviation"] < 1e-3
    assert "covariance_eigh, 2 passes" in done.stdout
    assert f"{parity['loadings_cosine']:.7f} (loadings)" in done.stdout
