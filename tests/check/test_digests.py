"""Digests of a matrix read by cell and by gene are equal, and of any other matrix they are not."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from titin.check.kernels import digest_by_cell, digest_by_gene, digest_rows
from titin.check.passes import value_words, words

COUNTS = hnp.arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 9)), elements=st.integers(0, 5))


def by_cell(dense: np.ndarray, split: int) -> np.ndarray:
    """Digest of each gene, the cells read in two blocks."""
    n_genes = dense.shape[1]
    digests, sums = np.zeros((n_genes, 2), np.uint64), np.zeros((n_genes, 4))
    for first, part in ((0, dense[:split]), (split, dense[split:])):
        X = sp.csr_matrix(part)
        bits = X.data.astype(dense.dtype)
        digest_by_cell(
            X.indptr.astype(np.int64), X.indices.astype(np.uint16), words(bits), bits, bits, first, digests, sums,
            np.zeros(n_genes, np.bool_), np.empty((len(part), 3)),
        )  # fmt: skip
    assert sums[:, 0].tolist() == (dense != 0).sum(axis=0).tolist()
    return digests


def by_gene(dense: np.ndarray) -> np.ndarray:
    X = sp.csc_matrix(dense)
    digests = np.empty((dense.shape[1], 2), np.uint64)
    bits = words(X.data.astype(dense.dtype))
    digest_by_gene(X.indptr.astype(np.int64), X.indices.astype(np.uint32), bits, 0, digests, np.empty(dense.shape[1]))
    return digests


@given(COUNTS, st.data())
def test_a_matrix_and_its_transpose_have_one_digest(dense: np.ndarray, data: st.DataObject) -> None:
    split = data.draw(st.integers(0, len(dense)))
    assert np.array_equal(by_cell(dense, split), by_gene(dense))


@given(COUNTS, st.data())
def test_a_changed_entry_changes_the_digest_of_its_gene_alone(dense: np.ndarray, data: st.DataObject) -> None:
    row, column = data.draw(st.integers(0, len(dense) - 1)), data.draw(st.integers(0, dense.shape[1] - 1))
    other = dense.copy()
    other[row, column] += 1
    differ = (by_cell(dense, 0) != by_gene(other)).any(axis=1)
    assert np.flatnonzero(differ).tolist() == [column]


@given(COUNTS, st.data())
def test_two_entries_of_a_gene_swapped_between_cells_change_its_digest(dense: np.ndarray, data: st.DataObject) -> None:
    one, two = (data.draw(st.integers(0, len(dense) - 1)) for _ in range(2))
    column = data.draw(st.integers(0, dense.shape[1] - 1))
    other = dense.copy()
    other[[one, two], column] = other[[two, one], column]
    assert np.array_equal(by_gene(dense)[column], by_gene(other)[column]) == (dense[one, column] == dense[two, column])


@given(COUNTS, st.permutations(range(9)))
def test_rows_have_one_digest_in_any_order_of_genes_and_any_dtype(dense: np.ndarray, order: list[int]) -> None:
    shuffled = [g for g in order if g < dense.shape[1]]
    X, Y = sp.csr_matrix(dense.astype(np.float32)), sp.csr_matrix(dense[:, shuffled].astype(np.int64))
    digests = np.empty((2, len(dense), 2), np.uint64)
    number = np.arange(dense.shape[1])
    digest_rows(X.indptr.astype(np.int64), X.indices, value_words(X.data), number, digests[0])
    digest_rows(Y.indptr.astype(np.int64), Y.indices, value_words(Y.data), np.array(shuffled), digests[1])
    assert np.array_equal(*digests)


def test_stored_zeros_do_not_count() -> None:
    digests = np.empty((2, 1, 2), np.uint64)
    number = np.arange(3)
    with_zeros = np.array([0.0, 2.5, -0.0])
    digest_rows(np.array([0, 3]), np.array([0, 1, 2]), value_words(with_zeros), number, digests[0])
    digest_rows(np.array([0, 1]), np.array([1]), value_words(with_zeros[1:2]), number, digests[1])
    assert np.array_equal(*digests)
