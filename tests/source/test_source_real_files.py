"""Every real file reads as anndata reads it."""

from pathlib import Path

import anndata
import pandas as pd
import pytest
import scipy.sparse as sp
from source_files import assert_identical, assert_same, rebuilt, write

from titin.source import open_source

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "h5ad"
FILES = sorted(FOLDER.glob("*.h5ad"))
pytestmark = pytest.mark.skipif(not FILES, reason=f"no real data in {FOLDER}")


@pytest.fixture(params=FILES, ids=lambda path: path.stem.split("_")[0])
def real(request):
    return request.param, anndata.read_h5ad(request.param)


def test_same_as_anndata(real, scratch):
    path, atlas = real
    with open_source(path) as source:
        for max_bytes in (100_000, 2_000_000, 10**9):
            assert_identical(rebuilt(source.X, max_bytes, scratch), sp.csr_matrix(atlas.X))
        pd.testing.assert_frame_equal(source.obs, atlas.obs, check_column_type=True)
        pd.testing.assert_frame_equal(source.var, atlas.var, check_column_type=True)
        assert_same(source.uns, dict(atlas.uns))
        assert_same(dict(source.obsm), {key: atlas.obsm[key] for key in atlas.obsm})
        assert set(source.left_out) == {f"layers/{name}" for name in atlas.layers}
        if "counts" in atlas.layers:
            assert_identical(rebuilt(source.counts, 10**6, scratch), sp.csr_matrix(atlas.layers["counts"]))
        else:
            assert source.counts is None


def test_same_by_column(real, scratch, tmp_path):
    _, atlas = real
    expected = sp.csr_matrix(atlas.X)
    expected.sort_indices()
    atlas.X = expected.tocsc()
    with open_source(write(atlas, tmp_path / "csc", "h5ad")) as source:
        assert source.X.storage == "csc"
        for max_bytes in (300_000, 10**9):
            assert_identical(rebuilt(source.X, max_bytes, scratch), expected)
