"""Counts are claimed only where the values prove them, and not refused where arithmetic was coarse."""

import tracemalloc
from collections.abc import Iterator

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from titin.atlas import open_atlas
from titin.builder import build
from titin.builder.evidence import Evidence
from titin.dataset.codec import Encoded, RefusedError, encode
from titin.dataset.kernels import align_witness

Floats = np.ndarray


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


def blocks_of(n_cells: int, n_genes: int, cells_a_block: int) -> Iterator[Encoded]:
    """Blocks of cells whose counts are to be recovered, the same a few times over."""
    counts = np.random.default_rng(4).poisson(1.0, (cells_a_block, n_genes)) + 1
    X = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4).astype(np.float32)
    indptr = np.arange(cells_a_block + 1, dtype=np.int64) * n_genes
    for _ in range(n_cells // cells_a_block):
        yield encode(indptr, np.tile(np.arange(n_genes, dtype=np.int32), cells_a_block), X.ravel(), n_genes, "log1p")


def test_what_is_kept_of_a_cell_is_a_few_bytes_and_judged_in_little_more():
    """Ten million cells must not need gigabytes, whatever the number of numeric columns of obs."""
    n_cells = 200_000
    obs = pd.DataFrame({f"n{i}": np.arange(n_cells, dtype=np.float64) + 1 for i in range(6)})
    known = list(blocks_of(2_000, 12, 400))
    tracemalloc.start()
    evidence = Evidence(n_cells)
    for _ in range(n_cells // 2_000):
        for block in known:
            evidence.add(block)
    kept, _ = tracemalloc.get_traced_memory()
    found = evidence.doubt(), evidence.target(obs), evidence.column(obs, 1e4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == (None, ("counts", 1e4), None)
    assert kept <= 16 * n_cells
    assert peak - kept <= 24 * n_cells + 12 * 2**20


def plain_target(sums: Floats, scale: Floats, obs: pd.DataFrame) -> tuple[str, float] | None:
    """The same by the whole arrays at once."""
    full = sums > 0
    for name, total in {"counts": sums, **{f"obs/{name}": obs[name].to_numpy(np.float64) for name in obs}}.items():
        if name != "counts" and not (total[full] != total[full][:1]).any():
            continue
        ratio = total[full] / scale[full]
        middle = np.median(ratio) if len(ratio) else 0.0
        if 0 < middle < np.inf and np.abs(ratio / middle - 1).max() < 1e-5:
            return name, float(f"{middle:.6g}")
    return None


@given(data=st.data())
def test_a_target_is_that_of_all_cells_whatever_the_ranges_they_are_read_in(data):
    n = data.draw(st.integers(1, 12))
    sums = np.array(data.draw(st.lists(st.sampled_from([0.0, 3.0, 50.0, 7000.0]), min_size=n, max_size=n)))
    total = np.array(data.draw(st.lists(st.sampled_from([-1.0, 2.0, 9.0, np.nan, np.inf]), min_size=n, max_size=n)))
    noise = data.draw(st.sampled_from([0.0, 4e-6, 9e-6, 2e-5])) * np.linspace(-1, 1, n)
    of = data.draw(st.sampled_from([np.maximum(sums, 1.0), np.where(total > 0, total, 1.0), np.arange(1.0, n + 1)]))
    scale = np.where(np.isfinite(of), of * (1 + noise) / 1e4, 1.0).astype(np.float32)
    obs = pd.DataFrame({"same": np.full(n, 5.0), "total": total, "twice": 2 * sums})
    evidence = Evidence(n)
    evidence._sums[:], evidence._scale[:], evidence._n_cells = sums, scale, n
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("titin.builder.evidence._CELLS_AT_A_TIME", data.draw(st.integers(1, 5)))
        assert evidence.target(obs) == plain_target(sums, scale, obs)
        column = evidence.column(obs, 1e4)
    full, wanted = sums > 0, 1e4 * scale.astype(np.float64)
    close = [name for name in obs if full.any() and (obs[name][full] != obs[name][full].iloc[0]).any()
             and np.allclose(obs[name][full], wanted[full], 5e-7, 0)]  # fmt: skip
    assert column == (close[0] if close else None)
