"""Counts are claimed only where the values prove them, and not refused where arithmetic was coarse."""

import anndata as ad
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from titin.atlas import open_atlas
from titin.builder import build
from titin.dataset.codec import RefusedError, encode
from titin.dataset.kernels import align_witness


def test_few_values_that_fit_by_accident_are_no_counts(tmp_path):
    X = sparse.csr_matrix(np.array([[0.1, 0.0], [0.3, 2.7]], np.float32))
    ad.AnnData(X).write_h5ad(tmp_path / "few.h5ad")
    manifest = build(tmp_path / "few.h5ad", tmp_path / "few").manifest
    assert manifest.kind == "real"
    assert any("too few distinct values" in note for note in manifest.notes)


def test_a_few_cells_of_counts_are_enough_evidence(tmp_path):
    counts = np.random.default_rng(0).poisson(1.5, (5, 40))
    X = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4).astype(np.float32)
    ad.AnnData(sparse.csr_matrix(X)).write_h5ad(tmp_path / "five.h5ad")
    assert build(tmp_path / "five.h5ad", tmp_path / "five").manifest.kind == "log1p"


@pytest.mark.parametrize("per_target", [1, 16, 64])
def test_deep_libraries_are_counts_though_float32_is_coarse(per_target):
    rng = np.random.default_rng(1)
    counts = rng.poisson(rng.dirichlet(np.full(1500, 0.15), 400) * 1e4 * per_target)
    counts[:, 0] += 1
    total = counts.sum(1, keepdims=True).astype(np.float32)
    X = np.log1p(counts.astype(np.float32) / total * np.float32(1e4))
    rows, genes = np.nonzero(X)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=400))]).astype(np.int64)
    block = encode(indptr, genes.astype(np.int32), X[rows, genes], 1500, "log1p")
    np.testing.assert_array_equal(block.counts, counts[rows, genes])
    assert block.worst_ulp <= 4


def test_a_value_more_than_four_ulp_off_is_refused():
    counts = np.random.default_rng(2).poisson(2, (3, 200)) + 1
    X = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4).astype(np.float32)
    # the same wrong value for all of one count, so that each count still has one value
    X[1][counts[1] == 3] += np.float32(6) * np.spacing(X[1][counts[1] == 3][0])
    indptr = np.arange(4, dtype=np.int64) * 200
    with pytest.raises(RefusedError) as refusal:
        encode(indptr, np.tile(np.arange(200, dtype=np.int32), 3), X.ravel(), 200, "log1p")
    assert refusal.value.cells.tolist() == [1]


def test_genes_filtered_in_x_alone_leave_raw_a_witness(tmp_path):
    """CELLxGENE keeps filtered genes in both, as zeros in X: counts that X alone would halve are still those of raw."""
    counts = 2 * np.random.default_rng(0).poisson(1.5, (60, 40))
    counts[:, 0] = 2
    X = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4).astype(np.float32)
    X[:, 30:] = 0
    atlas = ad.AnnData(sparse.csr_matrix(X))
    atlas.raw = ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)))
    atlas.write_h5ad(tmp_path / "a.h5ad")
    manifest = build(tmp_path / "a.h5ad", tmp_path / "d", project=()).manifest
    assert manifest.recovery["witness"] == "raw/X"
    stored = open_atlas(tmp_path / "d").counts[:, :].toarray()
    order = open_atlas(tmp_path / "d").obs_names.astype(int)
    np.testing.assert_array_equal(stored[:, :30], counts[order, :30])


@given(data=st.data())
def test_a_witness_is_aligned_by_the_genes_of_a_cell(data):
    n_genes = 8
    theirs = np.array(sorted(data.draw(st.sets(st.integers(0, n_genes - 1)))), np.int64)
    ours = np.array(sorted(data.draw(st.sets(st.integers(0, n_genes - 1)))), np.int64)
    out = np.full(len(ours), -1.0)
    ends = (np.array([0, len(ours)], np.int64), np.array([0, len(theirs)], np.int64))
    beyond = align_witness(ends[0], ours, ends[1], theirs, theirs + 100.0, out)
    expected = ours + 100.0 if set(ours) <= set(theirs) else np.zeros(len(ours))
    assert beyond == (len(set(theirs) - set(ours)) if set(ours) <= set(theirs) else 0)
    np.testing.assert_array_equal(out, expected)
