import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.features import highly_variable_from_moments

HERE = Path(__file__).parent
PBMC = HERE.parents[2] / "shared" / "data" / "h5ad" / "pbmc4k_soupx_2170x33694.h5ad"


@pytest.fixture(scope="module")
def scanpy_result() -> pd.DataFrame:
    """Return what scanpy 1.11.5 made of 400 genes; make_results_highly_variable.py wrote it."""
    return pd.read_csv(HERE / "results_highly_variable.csv", index_col="gene")


def test_agrees_with_scanpy(scanpy_result):
    ours = highly_variable_from_moments(scanpy_result["mean"], scanpy_result["variance"], 60)
    assert ours["highly_variable"].tolist() == scanpy_result["highly_variable"].tolist()
    for column in ("means", "dispersions", "dispersions_norm"):
        theirs = scanpy_result[column].fillna(0).to_numpy()
        np.testing.assert_allclose(ours[column], theirs, rtol=2e-6, atol=1e-6, err_msg=column)


def test_silent_genes_are_never_chosen_and_nothing_is_nan(scanpy_result):
    ours = highly_variable_from_moments(scanpy_result["mean"], scanpy_result["variance"], 400)
    assert ours["highly_variable"].sum() == 388
    assert not ours["highly_variable"][(scanpy_result["mean"] == 0).to_numpy()].any()
    assert np.isfinite(ours[["means", "dispersions", "dispersions_norm"]].to_numpy()).all()


def test_chooses_the_genes_that_scanpy_chooses_from_a_real_file():
    if not PBMC.exists():
        pytest.skip(f"needs the real file {PBMC.name}")
    X = ad.read_h5ad(PBMC).X.astype(np.float64)
    X.data *= 1e4 / np.repeat(np.asarray(X.sum(axis=1)).ravel(), np.diff(X.indptr))
    mean = np.asarray(X.mean(axis=0)).ravel()
    variance = (np.asarray(X.multiply(X).mean(axis=0)).ravel() - mean**2) * len(X.indptr[1:]) / (X.shape[0] - 1)
    ours = highly_variable_from_moments(mean, np.maximum(variance, 0), 500)
    expected = json.loads((HERE / "results_highly_variable.json").read_text())["pbmc4k_positions"]
    assert np.flatnonzero(ours["highly_variable"]).tolist() == expected


def test_ties_at_the_cut_go_to_the_first_genes():
    ours = highly_variable_from_moments(np.ones(6), [1, 4, 4, 4, 1, 1], 2, n_bins=1)
    assert ours["highly_variable"].tolist() == [False, True, True, False, False, False]


def test_no_gene_at_all():
    ours = highly_variable_from_moments([], [], 5)
    assert list(ours) == ["means", "dispersions", "dispersions_norm", "highly_variable"]
    assert len(ours) == 0


moments = st.floats(0, 1e6, allow_subnormal=False) | st.just(0.0)


@given(st.lists(st.tuples(moments, moments), max_size=40), st.integers(0, 50))
def test_any_moments_give_finite_numbers_and_at_most_n_top_expressed_genes(pairs, n_top):
    mean, variance = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    ours = highly_variable_from_moments(mean, variance, n_top)
    assert ours["highly_variable"].sum() <= n_top
    assert np.isfinite(ours.drop(columns="highly_variable").to_numpy()).all()
    assert not ours["highly_variable"][(mean == 0) | (variance == 0)].any()


@pytest.mark.parametrize(
    ("mean", "variance", "options", "complaint"),
    [
        ([1.0, np.nan], [1.0, 1.0], {}, "mean of gene 1 is nan"),
        ([1.0], [-1.0], {}, "variance of gene 0 is -1.0"),
        ([1.0], [1.0, 2.0], {}, r"shapes \(1,\) and \(2,\)"),
        ([1.0], [1.0], {"n_bins": 0}, "n_bins 1 or more"),
        ([1.0], [1.0], {"n_top": -1}, "n_top must be 0 or more"),
    ],
)
def test_wrong_use_is_told(mean, variance, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        highly_variable_from_moments(mean, variance, **{"n_top": 1, **options})
