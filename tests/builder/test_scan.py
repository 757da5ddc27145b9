"""The first pass: kinds, sums, and cells filed under their buckets, whatever the size of the blocks."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from titin.builder.by_gene import row_groups
from titin.builder.job import BuildJob
from titin.builder.metadata import moments
from titin.builder.options import Options
from titin.builder.scan import Scan, scan
from titin.dataset import layout
from titin.errors import SourceError
from titin.progress import Progress
from titin.resources import Resources
from titin.source import open_source


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that scans an AnnData in blocks of few values; returns what was found and filed."""

    def scanned(adata, values=10**6, threads=2, **options):
        path = tmp_path / "atlas.h5ad"
        anndata.io.write_h5ad(path, adata, convert_strings_to_categoricals=False)
        monkeypatch.setattr(Resources, "scan_values", values)
        with open_source(path) as source:
            choices, names = (Options(**options), Resources(threads), Progress()), layout.Layout("a")
            context = BuildJob(source, *choices, names, {}, tmp_path, tmp_path)
            found, spill = scan(context)
            groups = [spill.read(b) for b in range(spill.n_buckets)]
            spill.discard()
        return found, groups, context.positions

    return scanned


def filed(groups, bucket_cells, shape):
    """The counts that were filed, by position in the dataset; genes by source column."""
    dense = np.zeros(shape)
    seen = []
    for bucket, found in enumerate(groups):
        for local, lengths, n_levels, _scale, genes, counts, levels in found:
            ends, level_ends = np.cumsum(lengths), np.cumsum(n_levels)
            assert (ends[-1], level_ends[-1]) == (len(genes), len(levels))
            for row, a, b in zip(local, ends - lengths, ends, strict=True):
                dense[bucket * bucket_cells + row, genes[a:b]] = counts[a:b]
            seen += (bucket * bucket_cells + local.astype(int)).tolist()
    assert sorted(seen) == list(range(shape[0]))
    return dense


@pytest.fixture
def many(counts):
    """2,520 cells of integer counts: three buckets."""
    X = sp.csr_matrix(np.tile(counts, (21, 1)).astype("f4"))
    return anndata.AnnData(X, pd.DataFrame(index=[f"cell-{i}" for i in range(X.shape[0])]))


@pytest.mark.parametrize("values", [1, 900, 10**6])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_cell_is_filed_where_it_will_go(run, many, values, shuffle):
    found, groups, positions = run(many[:1200] if values == 1 else many, values, shuffle=shuffle)
    n_cells = len(positions)
    X = many.X[:n_cells].toarray()
    expected = np.empty_like(X)
    expected[positions] = X
    assert filed(groups, found.bucket_cells, X.shape).tolist() == expected.tolist()
    assert found.nnz == np.count_nonzero(X)


@pytest.mark.parametrize("values", [700, 10**6])
@pytest.mark.parametrize("threads", [1, 4])
def test_sums_are_those_of_numpy_and_the_same_for_all_blocks(run, many, values, threads):
    found, _, _ = run(many, values, threads)
    X = many.X.toarray().astype(np.float64)
    linear = X / np.maximum(X.sum(axis=1, keepdims=True), 1) * 1e4
    expected = [(X > 0).sum(0), X.sum(0), X.sum(0), (X**2).sum(0), linear.sum(0), (linear**2).sum(0)]
    np.testing.assert_allclose(found.totals.T, expected, rtol=1e-12)
    sequential = np.zeros(50)
    for row in linear:
        sequential += row
    np.testing.assert_allclose(found.totals[:, 4], sequential, rtol=1e-15)
    assert (found.n_empty, found.n_zeros, found.n_unsorted) == (21, 0, 0)


def test_tokens_number_the_genes_by_detection(run, many):
    found, _, _ = run(many)
    detected = (many.X.toarray() > 0).sum(axis=0)
    assert found.n_cells_by_gene.tolist() == detected.tolist()
    order = sorted(range(50), key=lambda j: (-detected[j], j))
    assert found.source_columns.tolist() == order
    assert found.tokens[order].tolist() == list(range(50))
    assert len(set(detected.tolist())) < 50  # ties there are


def test_the_kind_is_that_of_all_cells_even_of_the_last(run, many):
    many.X.data[-1] = 0.5
    found, groups, positions = run(many, 900)
    assert found.kind == "real"
    whole = "all cells together: they hold multiples of 1/2, as rounded numbers and fractions of counts are"
    logarithms = {
        "log1p": ["cell-0"],
        "log1p of base 2": ["cell-2519"],  # small integers are logarithms of 1, 3, 7, …
        "log1p of base 10": ["cell-0"],
    }
    assert found.refused == {"counts": ["cell-2519"], **logarithms, "normalized": [whole]}
    expected = np.empty(many.shape)
    expected[positions] = many.X.toarray()
    assert filed(groups, found.bucket_cells, many.shape).tolist() == expected.tolist()


def test_counts_are_wide_if_one_of_them_is(run, many):
    assert run(many)[0].element == np.uint16
    many.X.data[-1] = 70_000
    found, groups, positions = run(many, 900)
    assert found.element == np.uint32
    assert filed(groups, found.bucket_cells, many.shape)[positions[2519]].max() == 70_000


def test_log_normalised_values(run, atlas, counts):
    found, groups, positions = run(atlas, 300)
    factors = np.maximum(np.gcd.reduce(counts, axis=1, keepdims=True), 1)
    expected = np.empty(counts.shape)
    expected[positions] = counts // factors
    assert filed(groups, found.bucket_cells, counts.shape).tolist() == expected.tolist()
    assert (found.kind, found.target_sum, found.float64) == ("log1p", 1e4, False)
    assert 0 < found.worst_ulp <= 2
    np.testing.assert_allclose(found.totals[:, 2], atlas.X.toarray().astype("f8").sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.totals[:, 4], np.expm1(atlas.X.toarray().astype("f8")).sum(axis=0), rtol=1e-5)


@pytest.mark.parametrize("witness", [lambda c: c * 3.0, lambda c: sp.csr_matrix((c * 3).astype("u2"))])
def test_a_witness_whose_blocks_end_elsewhere(run, atlas, counts, witness):
    atlas.X = atlas.X.astype("f8")
    atlas.layers["counts"] = witness(counts)
    for values in (1, 300, 10**6):
        found, groups, positions = run(atlas, values)
        expected = np.empty(counts.shape)
        expected[positions] = counts * 3
        assert filed(groups, found.bucket_cells, counts.shape).tolist() == expected.tolist()


def test_integers_too_large_for_any_kind(run, many):
    many.X = sp.csr_matrix(many.X.astype("i8"))
    many.X.data[100] = 2**60 + 1
    with pytest.raises(SourceError, match=r"X holds integers too large to keep exactly \(over 2\^53\)"):
        run(many, 900)


def test_a_failed_scan_leaves_no_file(run, many, tmp_path):
    many.X.data[-1] = np.nan
    with pytest.raises(SourceError, match="cell 'cell-2519', gene '49': the value is NaN"):
        run(many, 900)
    assert [p.name for p in tmp_path.iterdir()] == ["atlas.h5ad"]


@pytest.mark.parametrize("refused", [{}, {"counts": ["a", "b"], "log1p": ["c"]}])
@pytest.mark.parametrize("target_sum", [None, 1e4])
def test_what_is_saved_is_loaded(tmp_path: Path, refused, target_sum):
    saved = Scan(
        "real", 1024, np.arange(12.0).reshape(2, 6), 5000, nnz=7, wide_counts=True, float64=True, worst_ulp=1.5,
        target_sum=target_sum, n_zeros=1, n_unsorted=2, n_empty=3, refused=refused,
    )  # fmt: skip
    saved.save(tmp_path / "scan.npz")
    loaded = Scan.load(tmp_path / "scan.npz")
    arrays = {"totals": None, "detection": None}
    assert [getattr(loaded, name).tolist() for name in arrays] == [getattr(saved, name).tolist() for name in arrays]
    assert vars(loaded) | arrays == vars(saved) | arrays


# row groups of genes, and moments


@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=60))
def test_row_groups_of_genes_hold_as_much_as_they_may(sizes):
    falling = np.sort(np.array(sizes))[::-1]
    groups = row_groups(falling)
    assert groups[0, 0] == 0
    assert groups[-1, 1] == len(falling)
    assert groups[1:, 0].tolist() == groups[:-1, 1].tolist()
    for first, last in groups:
        assert last == first + 1 or falling[first:last].sum() <= layout.ROW_GROUP_NONZEROS
        if last < len(falling):
            assert falling[first : last + 1].sum() > layout.ROW_GROUP_NONZEROS


def test_a_row_group_may_be_exactly_full():
    half = layout.ROW_GROUP_NONZEROS // 2
    assert row_groups(np.array([half, half, 1, 0])).tolist() == [[0, 2], [2, 4]]
    assert row_groups(np.array([3 * half, 1])).tolist() == [[0, 1], [1, 2]]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_moments_are_those_of_numpy(values):
    X = np.array(values)
    mean, variance = moments(np.array([X.sum()]), np.array([(X**2).sum()]), len(X))
    assert mean[0] == pytest.approx(X.mean())
    expected = X.var(ddof=1) if len(X) > 1 else 0.0
    assert variance[0] == pytest.approx(expected, abs=1e-9)
    assert variance[0] >= 0
