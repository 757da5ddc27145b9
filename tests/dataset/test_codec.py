"""Counts are recovered from their values, proven, and give every value back bit for bit."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from titin.dataset import kernels
from titin.dataset.codec import InvalidValueError, RefusedError, decode, decode_values, encode

f4 = np.float32

# log1p(count / total * target), in the orders in which pipelines compute it
ARITHMETIC = {
    "divide, multiply": lambda c, total, target: np.log1p(f4(c) / f4(total) * f4(target)),
    "multiply by a factor": lambda c, total, target: np.log1p(f4(c) * (f4(target) / f4(total))),
    "divide by a factor": lambda c, total, target: np.log1p(f4(c) / (f4(total) / f4(target))),
    "float64 until the log": lambda c, total, target: np.log1p(f4(c / total * target)),
    "float64, then cast": lambda c, total, target: f4(np.log1p(c / total * target)),
    "float64": lambda c, total, target: np.log1p(c / total * target),
}
arithmetic = st.sampled_from(sorted(ARITHMETIC))


def csr(dense):
    matrix = sp.csr_matrix(dense)
    return matrix.indptr.astype(np.int64), matrix.indices, matrix.data


def normalise(counts, totals, target, order="divide, multiply"):
    """Row pointers, genes and log-normalised values."""
    indptr, genes, data = csr(counts)
    values = ARITHMETIC[order](data.astype(np.float64), np.repeat(totals, np.diff(indptr)).astype(np.float64), target)
    return indptr, genes, values


def without_common_factor(counts):
    factors = np.gcd.reduce(counts, axis=1, keepdims=True)
    return counts // np.maximum(factors, 1)


def dense(block, n_genes, elements=None):
    elements = block.counts if elements is None else elements
    return sp.csr_matrix((elements, block.genes, block.indptr), shape=(len(block.indptr) - 1, n_genes)).toarray()


@st.composite
def count_matrices(draw, largest=5000, smallest=12):
    """Counts with empty cells and silent genes; each cell has one of at most ``smallest``."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 14)))
    count = st.one_of(st.just(0), st.integers(0, 9), st.integers(0, largest))
    counts = draw(npst.arrays(np.int64, shape, elements=count))
    small = draw(npst.arrays(np.int64, shape[0], elements=st.integers(1, smallest)))
    column = draw(st.integers(0, shape[1] - 1))
    counts[:, column] = np.where(counts.any(axis=1), small, 0)
    return counts


@given(count_matrices(), arithmetic, st.sampled_from([1500, 1e4, 1e6, "median"]), st.integers(0, 3000))
def test_counts_come_back_whatever_the_arithmetic(counts, order, target, elsewhere):
    totals = counts.sum(axis=1) + elsewhere  # counts of genes that were filtered out since
    if target == "median":
        target = float(np.median(totals)) or 1.0
    assume(totals.max() <= 2 * target)
    indptr, genes, values = normalise(counts, totals, target, order)
    block = encode(indptr, genes, values, counts.shape[1], "log1p")
    assert dense(block, counts.shape[1]).tolist() == without_common_factor(counts).tolist()
    assert block.worst_ulp <= 2
    decoded = decode(block)
    assert decoded.dtype == values.dtype
    assert decoded.tobytes() == values.tobytes()
    near = np.log1p(block.counts / np.repeat(block.scale.astype(np.float64), np.diff(indptr)))
    assert (np.abs(near - values) <= 2.001 * np.spacing(f4(values))).all()


@given(count_matrices(), arithmetic, st.lists(st.floats(200, 1e5), min_size=12, max_size=12))
def test_every_cell_may_have_a_target_of_its_own(counts, order, targets):
    target = np.array(targets)[: len(counts)]
    totals = np.minimum(counts.sum(axis=1), target)
    indptr, genes, data = csr(counts)
    lengths = np.diff(indptr)
    values = ARITHMETIC[order](data.astype(np.float64), np.repeat(totals, lengths), np.repeat(target, lengths))
    block = encode(indptr, genes, values, counts.shape[1], "log1p")
    assert dense(block, counts.shape[1]).tolist() == without_common_factor(counts).tolist()
    assert decode(block).tobytes() == values.tobytes()


@given(count_matrices(10**6, smallest=1), arithmetic, st.sampled_from([1500, 1e4, 1e6]))
def test_large_counts_are_recovered_or_refused_but_never_wrong(counts, order, target):
    indptr, genes, values = normalise(counts, counts.sum(axis=1), target, order)
    try:
        block = encode(indptr, genes, values, counts.shape[1], "log1p")
    except RefusedError:
        assert counts.max() > 5000 or (counts.sum(axis=1) > 2 * target).any()
    else:
        assert dense(block, counts.shape[1]).tolist() == without_common_factor(counts).tolist()
        assert decode(block).tobytes() == values.tobytes()


@pytest.mark.parametrize("order", ARITHMETIC)
def test_one_count_of_a_hundred_thousand(order):
    counts = np.array([[1, 2, 3, 50_000, 100_000]])
    indptr, genes, values = normalise(counts, [200_000], 1e6, order)
    assert encode(indptr, genes, values, 5, "log1p").counts.tolist() == counts[0].tolist()


@pytest.mark.parametrize(("counts", "expected"), [
    ([2, 3, 3, 7], [2, 3, 3, 7]),
    ([2, 4, 6], [1, 2, 3]),
    ([7, 7, 7], [1, 1, 1]),
    ([41], [1]),
    ([63, 64], [63, 64]),
])  # fmt: skip
def test_smallest_integers_that_fit(counts, expected):
    indptr, genes, values = normalise(np.array([counts]), [5000], 1e4)
    block = encode(indptr, genes, values, len(counts), "log1p")
    assert block.counts.tolist() == expected
    assert block.levels.tolist() == sorted(set(values.tolist()))


def test_empty_cells_have_no_levels():
    counts = np.array([[0, 0], [1, 2], [0, 0]])
    indptr, genes, values = normalise(counts, [1, 3, 1], 1e4)
    block = encode(indptr, genes, values, 2, "log1p")
    assert np.diff(block.level_indptr).tolist() == [0, 2, 0]
    assert block.scale.tolist() == [1.0, pytest.approx(3e-4), 1.0]


@pytest.mark.parametrize("kind", ["counts", "log1p", "real"])
def test_a_block_without_values(kind):
    block = encode(np.zeros(4, np.int64), np.empty(0, np.int32), np.empty(0, f4), 5, kind)
    assert block.indptr.tolist() == [0, 0, 0, 0]
    assert len(decode(block)) == 0


# refused as log1p


def lognormal_cells(seed=0):
    rng = np.random.default_rng(seed)
    return sp.csr_matrix(rng.lognormal(0, 1, (20, 30)) * (rng.random((20, 30)) < 0.5))


def poisson_cells(seed=0):
    counts = np.random.default_rng(seed).poisson(3, (20, 30))
    counts[:, :2] = [1, 2]
    return counts


def refused(matrix):
    """Cells that were refused as log1p."""
    matrix = sp.csr_matrix(matrix)
    with pytest.raises(RefusedError) as refusal:
        encode(matrix.indptr.astype(np.int64), matrix.indices, matrix.data, matrix.shape[1], "log1p")
    return refusal.value.cells.tolist()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_random_numbers_are_no_counts(dtype):
    assert refused(lognormal_cells().astype(dtype)) == [0, 1, 2, 3, 4]


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_no_cell_of_random_numbers_is_taken_for_counts(seed):
    values = np.sort(np.random.default_rng(seed).lognormal(0, 1, 12)).astype(f4)
    assert refused(values[None, :]) == [0]


@pytest.mark.parametrize("transform", [lambda c: np.log2(1 + c), np.sqrt, lambda c: np.arcsinh(c / 5)])
def test_other_transforms_of_counts_are_refused(transform):
    assert refused(transform(poisson_cells()).astype(f4)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ulp", [-8, 8])
@pytest.mark.parametrize("cell", [0, 7, 19])
def test_one_value_moved_by_eight_ulp_is_noticed_in_its_cell(cell, ulp):
    counts = poisson_cells()
    indptr, genes, values = normalise(counts, counts.sum(axis=1), 1e4)
    at = indptr[cell] + np.flatnonzero(genes[indptr[cell] : indptr[cell + 1]] == 1)[0]
    values[at] += ulp * np.spacing(values[at])
    assert refused(sp.csr_matrix((values, genes, indptr), shape=counts.shape)) == [cell]


def test_at_most_five_cells_are_named():
    counts = poisson_cells()
    indptr, genes, values = normalise(counts, counts.sum(axis=1), 1e4)
    matrix = sp.csr_matrix((values, genes, indptr), shape=counts.shape).tolil()
    for cell in (3, 5, 8, 9, 12, 17):
        matrix[cell, :] = lognormal_cells()[cell]
    assert refused(matrix.astype(f4)) == [3, 5, 8, 9, 12]


def test_negative_values_are_never_log1p():
    values = np.array([0.5, -0.5, -0.5], f4)
    with pytest.raises(RefusedError) as refusal:
        encode(np.array([0, 1, 2, 3]), np.zeros(3, np.int32), values, 1, "log1p", allow_negative=True)
    assert refusal.value.cells.tolist() == [1, 2]


@pytest.mark.parametrize("value", [89.0, 1e30, np.finfo(f4).max])
def test_values_too_large_for_a_logarithm_are_refused(value):
    assert refused(np.array([[1.0, value]], f4)) == [0]


@pytest.mark.parametrize("value", [1e-3, 1e-6, np.finfo(f4).tiny, 1e-40, np.finfo(f4).smallest_subnormal])
def test_small_values_survive_as_some_kind(value):
    matrix = np.array([[value, 1.0], [value, 0.0]], f4)
    for kind in ("log1p", "real"):
        try:
            block = encode(*csr(matrix), 2, kind)
        except RefusedError:
            assert kind == "log1p"
        else:
            assert dense(block, 2, decode(block)).tobytes() == matrix.tobytes()


# witness


def test_a_witness_gives_the_common_factor_and_large_counts():
    counts = np.array([[2, 4, 6], [3_000_000, 4_000_000_000, 0], [5, 0, 0]])
    indptr, genes, values = normalise(counts, counts.sum(axis=1), 1e4)
    block = encode(indptr, genes, values, 3, "log1p", witness=sp.csr_matrix(counts).data)
    assert dense(block, 3).tolist() == counts.tolist()
    assert block.counts.dtype == np.uint32
    assert block.worst_ulp <= 2
    assert decode(block).tobytes() == values.tobytes()


@pytest.mark.parametrize("spoil", [
    lambda w: w + 1,
    lambda w: w[::-1].copy(),
    lambda w: np.zeros_like(w),
    lambda w: w + 0.5,
    lambda w: np.full_like(w, np.nan),
    lambda w: -w,
    lambda w: w * 2.0**31,
])  # fmt: skip
def test_a_witness_that_disagrees_is_ignored(spoil):
    counts = np.array([[2, 4, 6, 14], [1, 2, 9, 30]])
    indptr, genes, values = normalise(counts, [5000, 7000], 1e4)
    witness = spoil(sp.csr_matrix(counts).data.astype(np.float64))
    block = encode(indptr, genes, values, 4, "log1p", witness=witness)
    assert dense(block, 4).tolist() == [[1, 2, 3, 7], [1, 2, 9, 30]]


def test_a_witness_is_judged_cell_by_cell():
    counts = np.array([[2, 4, 6], [2, 4, 6]])
    indptr, genes, values = normalise(counts, [5000, 7000], 1e4)
    block = encode(indptr, genes, values, 3, "log1p", witness=np.array([2, 4, 6, 2, 4, 7]))
    assert dense(block, 3).tolist() == [[2, 4, 6], [1, 2, 3]]


def test_a_witness_beside_explicit_zeros():
    values = np.log1p(np.array([2, 0, 4], f4) / f4(7))
    block = encode(np.array([0, 3]), np.arange(3), values, 3, "log1p", witness=np.array([2, 0, 4]))
    assert block.genes.tolist() == [0, 2]
    assert block.counts.tolist() == [2, 4]
    assert block.n_zeros == 1


# counts


@pytest.mark.parametrize("dtype", ["u1", "i4", "i8", "u4", "f4", "f8"])
def test_counts_of_any_type(dtype):
    counts = np.array([[0, 3, 255], [0, 0, 0], [1, 0, 17]], dtype)
    block = encode(*csr(counts), 3, "counts")
    assert block.counts.dtype == np.uint16
    assert dense(block, 3).tolist() == counts.astype(int).tolist()
    assert len(block.scale) == len(block.levels) == 0


@pytest.mark.parametrize(("largest", "dtype"), [(65_535, "u2"), (65_536, "u4"), (2**32 - 1, "u4")])
@pytest.mark.parametrize("source", ["f8", "i8"])
def test_counts_take_the_narrowest_type(largest, dtype, source):
    block = encode(np.array([0, 2]), np.arange(2), np.array([1, largest], source), 2, "counts")
    assert block.counts.dtype == np.dtype(dtype)
    assert decode(block).tolist() == [1, largest]


def test_recovered_counts_take_the_narrowest_type():
    for largest, dtype in ((65_535, "u2"), (65_536, "u4")):
        indptr, genes, values = normalise(np.array([[1, largest]]), [1e5], 1e5)
        assert encode(indptr, genes, values, 2, "log1p").counts.dtype == np.dtype(dtype)


@pytest.mark.parametrize("value", [0.5, 1.0000001, 2**32, 1e20])
def test_what_is_no_count_is_refused_in_its_cell(value):
    values = np.array([1, 2, value, 4, 5], np.float64)
    with pytest.raises(RefusedError) as refusal:
        encode(np.array([0, 2, 2, 4, 5]), np.array([0, 1, 0, 1, 0]), values, 2, "counts")
    assert refusal.value.cells.tolist() == [2]


def test_negative_counts_are_refused_where_negative_values_are_allowed():
    with pytest.raises(RefusedError):
        encode(np.array([0, 1]), np.zeros(1, int), np.array([-1.0]), 1, "counts", allow_negative=True)


# real


@given(npst.arrays(st.sampled_from(["f4", "f8"]), (5, 4), elements=st.floats(0, 2.0**100, width=32)))
def test_real_values_are_kept_bit_for_bit(values):
    block = encode(*csr(values), 4, "real")
    assert block.counts.dtype == values.dtype
    assert dense(block, 4, decode(block)).tobytes() == np.abs(values).tobytes()


def test_fpkm_is_real():
    fpkm = lognormal_cells().toarray() * 17.3
    for dtype in ("f4", "f8"):
        values = fpkm.astype(dtype)
        for kind in ("counts", "log1p"):
            with pytest.raises(RefusedError):
                encode(*csr(values), 30, kind)
        assert dense(encode(*csr(values), 30, "real"), 30).tobytes() == values.tobytes()


def test_negative_values_where_allowed():
    values = np.array([-1.5, 2.5], f4)
    block = encode(np.array([0, 2]), np.arange(2), values, 2, "real", allow_negative=True)
    assert decode(block).tobytes() == values.tobytes()


@pytest.mark.parametrize(("value", "fits"), [(2**53 - 1, True), (2**53 + 1, False), (2**60 + 1, False)])
@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_integers_that_float64_cannot_hold_are_refused(value, fits, dtype):
    data = np.array([7, value], dtype)
    if fits:
        assert decode(encode(np.array([0, 1, 2]), np.zeros(2, int), data, 1, "real")).tolist() == data.tolist()
    else:
        with pytest.raises(RefusedError) as refusal:
            encode(np.array([0, 1, 2]), np.zeros(2, int), data, 1, "real")
        assert refusal.value.cells.tolist() == [1]


# what no dataset can hold, and what can be put right

CELLS = np.array([0, 2, 2, 5])


@pytest.mark.parametrize("kind", ["counts", "log1p", "real"])
@pytest.mark.parametrize(("spoil", "problem", "cell", "gene"), [
    (("values", 3, np.nan), "nan", 2, 1),
    (("values", 0, np.inf), "infinite", 0, 0),
    (("values", 4, -np.inf), "infinite", 2, 3),
    (("values", 1, -2.0), "negative", 0, 3),
    (("genes", 3, 0), "repeated", 2, 0),
    (("genes", 4, 0), "repeated", 2, 0),
    (("genes", 1, 4), "gene", 0, 4),
    (("genes", 2, -1), "gene", 2, -1),
])  # fmt: skip
def test_invalid_values_are_named(kind, spoil, problem, cell, gene):
    arrays = {"genes": np.array([0, 3, 0, 1, 3]), "values": np.array([1.0, 2.0, 1.0, 3.0, 2.0], f4)}
    name, at, value = spoil
    arrays[name][at] = value
    with pytest.raises(InvalidValueError) as error:
        encode(CELLS, arrays["genes"], arrays["values"], 4, kind)
    assert (error.value.problem, error.value.cell, error.value.gene) == (problem, cell, gene)


@pytest.mark.parametrize("gene", [2**32, 2**32 + 1, -(2**32)])
def test_a_gene_beyond_32_bits_is_out_of_range(gene):
    with pytest.raises(InvalidValueError) as error:
        encode(np.array([0, 1]), np.array([gene], np.int64), np.ones(1, f4), 4, "counts")
    assert (error.value.problem, error.value.cell) == ("gene", 0)


def test_a_gene_repeated_in_another_cell_is_fine():
    genes = np.array([3, 0, 3, 0, 1])
    block = encode(CELLS, genes, np.ones(5, f4), 4, "counts")
    assert block.genes.tolist() == genes.tolist()


@pytest.mark.parametrize("kind", ["counts", "log1p", "real"])
def test_explicit_zeros_are_dropped_and_counted(kind):
    values = np.array([0.0, 2.0, -0.0, 2.0, 0.0], f4)
    block = encode(CELLS, np.array([0, 3, 0, 1, 3]), values, 4, kind)
    assert block.n_zeros == 3
    assert block.indptr.tolist() == [0, 1, 1, 2]
    assert block.genes.tolist() == [3, 1]
    assert decode(block).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("kind", ["counts", "log1p", "real"])
def test_unsorted_genes_survive_and_are_counted(kind):
    counts = np.array([1, 2, 3, 1, 2])
    values = np.log1p(f4(counts)) if kind == "log1p" else counts.astype(f4)
    genes = np.array([0, 3, 3, 0, 1])
    block = encode(CELLS, genes, values, 4, kind)
    assert block.n_unsorted == 1
    assert block.genes.tolist() == genes.tolist()
    assert decode(block).tobytes() == values.astype(decode(block).dtype).tobytes()


# decoding


@given(count_matrices(300))
def test_levels_are_looked_up_by_rank(counts):
    indptr, _, data = csr(counts)
    levels = [np.unique(row[row > 0]) for row in counts]
    level_indptr = np.concatenate([[0], np.cumsum([len(x) for x in levels])])
    doubled = np.concatenate(levels) * 2.0
    for dtype in (np.uint16, np.uint32):
        assert decode_values(indptr, data.astype(dtype), level_indptr, doubled).tolist() == (data * 2.0).tolist()


@pytest.mark.parametrize(("level_indptr", "cell"), [([0, 1, 3], 0), ([0, 3, 4], 0), ([0, 2, 4], 1), ([0, 2, 2], 1)])
def test_levels_that_do_not_match_are_an_error(level_indptr, cell):
    indptr, counts = np.array([0, 3, 4]), np.array([1, 500, 1, 7], np.uint16)
    assert decode_values(indptr, counts, np.array([0, 2, 3]), np.arange(3.0)).tolist() == [0, 1, 0, 2]
    with pytest.raises(ValueError, match=f"cell {cell} of the block has"):
        decode_values(indptr, counts, np.array(level_indptr), np.arange(4.0))


# kernels


@st.composite
def sparse_matrices(draw):
    """A matrix whose rows hold their columns in any order."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    matrix = sp.csr_matrix(draw(npst.arrays(np.uint16, shape, elements=st.integers(0, 3))))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    for i in range(shape[0]):
        row = slice(matrix.indptr[i], matrix.indptr[i + 1])
        order = rng.permutation(row.stop - row.start)
        matrix.indices[row], matrix.data[row] = matrix.indices[row][order], matrix.data[row][order]
    return matrix


def transposed(indptr, minor, data, number, n_minor):
    out_minor, out_data = np.empty(len(data), np.int32), np.empty_like(data)
    out_indptr = np.empty(n_minor + 1, np.int64)
    kernels.transpose(indptr.astype(np.int64), minor, data, number.astype(np.int32), out_minor, out_data, out_indptr)
    return out_indptr, out_minor, out_data


@given(sparse_matrices(), st.randoms(use_true_random=False))
def test_transposing_twice_sorts(matrix, random):
    n_rows, n_columns = matrix.shape
    number = np.array(random.sample(range(n_columns), n_columns))
    by_column = transposed(matrix.indptr, matrix.indices, matrix.data, number, n_columns)
    expected = matrix[:, np.argsort(number)].tocsc()
    expected.sort_indices()
    for got, wanted in zip(by_column, (expected.indptr, expected.indices, expected.data), strict=True):
        assert got.tolist() == wanted.tolist()
    by_row = transposed(*by_column, np.arange(n_rows), n_rows)
    expected = matrix[:, np.argsort(number)].tocsr()
    expected.sort_indices()
    for got, wanted in zip(by_row, (expected.indptr, expected.indices, expected.data), strict=True):
        assert got.tolist() == wanted.tolist()


@given(sparse_matrices(), st.randoms(use_true_random=False))
def test_copied_runs(matrix, random):
    n_rows = matrix.shape[0]
    order = np.array(random.sample(range(n_rows), n_rows))
    expected = matrix[order]
    source, target = matrix.data.view(np.uint8), np.zeros(2 * matrix.nnz, np.uint8)
    starts, lengths = matrix.indptr[:-1][order].astype(np.int64), np.diff(matrix.indptr)[order].astype(np.int64)
    kernels.copy_runs(source, starts * 2, lengths * 2, target, expected.indptr[:-1].astype(np.int64) * 2)
    assert target.view(np.uint16).tolist() == expected.data.tolist()


@given(sparse_matrices(), st.integers(1, 9))
def test_appended_parts_make_the_columns(matrix, step):
    """Parts of so many rows of a matrix, by column, appended in two calls, are the whole by column."""
    whole = matrix.tocsc()
    whole.sort_indices()
    parts = [matrix[row : row + step].tocsc() for row in range(0, matrix.shape[0], step)]
    for part in parts:
        part.sort_indices()
    cursor = whole.indptr[:-1].astype(np.int64)
    rows, counts, row = np.empty(matrix.nnz, np.uint32), np.empty(matrix.nnz, np.uint16), 0
    for some in (parts[:1], parts[1:]):
        lengths, own, data = (np.concatenate([np.empty(0, np.int32), *a]) for a in (
            [np.diff(part.indptr) for part in some], [part.indices for part in some], [part.data for part in some],
        ))  # fmt: skip
        row = kernels.append_parts(lengths, own.astype(np.uint16), data, row, step, cursor, rows, counts)
    assert row == step * len(parts)
    assert rows.tolist() == whole.indices.tolist()
    assert counts.tolist() == whole.data.tolist()
    assert cursor.tolist() == whole.indptr[1:].tolist()


@given(sparse_matrices(), st.randoms(use_true_random=False), st.integers(0, 9))
def test_scattered_columns(matrix, random, n_columns):
    chosen = np.array(random.sample(range(matrix.shape[1]), min(n_columns, matrix.shape[1])), int)
    column = np.full(matrix.shape[1], -1, np.int32)
    column[chosen] = np.arange(len(chosen))
    out = np.full((matrix.shape[0], len(chosen)), 9, f4, order="F")
    kernels.scatter_columns(matrix.indptr.astype(np.int64), matrix.indices, f4(matrix.data), column, out)
    assert out.tolist() == matrix.toarray()[:, chosen].tolist()
