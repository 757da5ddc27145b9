"""Counts come back from every member of the family value = T(count / scale), and from nothing else."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from titin.dataset.codec import RefusedError, decode, encode
from titin.dataset.kinds import ValueKind, candidates

TRANSFORMS = {
    "x": (lambda x: x, "normalized", "e"),
    "log1p": (np.log1p, "log1p", "e"),
    "log(x + 1)": (lambda x: np.log(x + x.dtype.type(1)), "log1p", "e"),
    "log2(x + 1)": (lambda x: np.log2(x + x.dtype.type(1)), "log1p", "2"),
    "log1p / log 2": (lambda x: (np.log1p(x) / np.log(2)).astype(x.dtype), "log1p", "2"),
    "log10(x + 1)": (lambda x: np.log10(x + x.dtype.type(1)), "log1p", "10"),
    "log1p / log 3": (lambda x: (np.log1p(x) / np.log(3)).astype(x.dtype), "log1p", "3"),
}
DIVIDE = {
    "by the scale": lambda k, total, target: k / (total / target),
    "by the total, then times": lambda k, total, target: k / total * target,
    "times a factor": lambda k, total, target: k * (target / total),
}


def make_counts(seed, n_cells=6, n_genes=80, depth=400):
    rng = np.random.default_rng(seed)
    rates = rng.dirichlet(np.full(n_genes, 0.3))
    counts = rng.poisson(rates * depth * rng.lognormal(0, 0.5, (n_cells, 1)))
    counts[:, 0] += counts[:, 0] == 0
    counts[:, 1] = 1  # so that no cell's counts have a common divisor
    return sparse.csr_matrix(counts.astype(np.int64))


def normalise(counts, scale_of, transform, divide, dtype):
    totals, targets = scale_of
    lengths = np.diff(counts.indptr)
    parts = (np.repeat(np.asarray(part).astype(dtype), lengths) for part in (totals, targets))
    return TRANSFORMS[transform][0](DIVIDE[divide](counts.data.astype(dtype), *parts).astype(dtype))


def encoded(counts, values, kind, base):
    return encode(counts.indptr.astype(np.int64), counts.indices, values, counts.shape[1], kind, base=base)


@given(
    st.integers(0, 10**6), st.sampled_from(sorted(TRANSFORMS)), st.sampled_from(sorted(DIVIDE)),
    st.sampled_from(["f4", "f8"]), st.sampled_from([1.0, 100.0, 1e4, 1e6, "median", "size factors"]),
    st.sampled_from([200, 3000, 20_000]),
)  # fmt: skip
@example(142, "log(x + 1)", "by the scale", "f4", 1.0, 20_000)
@settings(max_examples=150)
def test_counts_and_values_come_back(seed, transform, divide, dtype, target, depth):
    counts = make_counts(seed, depth=depth)
    totals = np.asarray(counts.sum(axis=1), np.float64).ravel()
    if target == "median":
        scale_of = totals, np.full(len(totals), np.median(totals))
    elif target == "size factors":
        scale_of = np.random.default_rng(seed + 1).lognormal(0, 0.4, len(totals)), np.ones(len(totals))
    else:
        scale_of = totals, np.full(len(totals), target)
    values = normalise(counts, scale_of, transform, divide, dtype)
    _, kind, base = TRANSFORMS[transform]
    if transform.endswith("(x + 1)") and dtype == "f4" and (scale_of[1] / scale_of[0]).min() < 2**-16:
        with suppress(RefusedError):  # 1 + x in float32 tells such an x to no percent
            assert encoded(counts, values, kind, base).counts.tolist() == counts.data.tolist()
        return
    block = encoded(counts, values, kind, base)
    assert block.counts.tolist() == counts.data.tolist()
    assert decode(block).tobytes() == values.tobytes()
    assert block.worst_ulp <= 4
    np.testing.assert_allclose(block.scale, scale_of[0] / scale_of[1], rtol=3e-6)


@pytest.mark.parametrize("made", sorted(TRANSFORMS))
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_values_of_one_rule_are_not_of_another(made, dtype):
    counts = make_counts(0, n_cells=30)
    values = normalise(counts, (np.asarray(counts.sum(axis=1)).ravel(), np.full(30, 1e4)), made, "by the scale", dtype)
    right = ValueKind(*TRANSFORMS[made][1:])
    for kind in [*candidates({}), ValueKind("log1p", "3")]:
        if kind.has_levels and kind != right:
            with pytest.raises(RefusedError):
                encoded(counts, values, kind.name, kind.base)
    assert encoded(counts, values, right.name, right.base).kind == right.name


@given(st.integers(0, 10**6), st.sampled_from(["normalized", "log1p"]), st.sampled_from(["e", "2", "10"]))
@settings(max_examples=60)
def test_random_numbers_are_of_no_kind(seed, kind, base):
    values = np.sort(np.random.default_rng(seed).lognormal(0, 1, 12)).astype("f4")
    with pytest.raises(RefusedError):
        encode(np.array([0, 12]), np.arange(12), values, 12, kind, base=base)


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_a_witness_decides_what_the_values_leave_open(transform):
    counts = sparse.csr_matrix(np.array([[2, 4, 6], [3_000_000, 6, 0], [5, 0, 0]]))
    _, kind, base = TRANSFORMS[transform]
    values = normalise(counts, (np.array([12.0, 3e6, 5.0]), np.full(3, 1e4)), transform, "by the scale", "f8")
    block = encode(counts.indptr.astype(np.int64), counts.indices, values, 3, kind, base=base, witness=counts.data)
    assert block.counts.tolist() == counts.data.tolist()
    assert block.witnessed.all()
    assert decode(block).tobytes() == values.tobytes()


@pytest.mark.parametrize("value", [1e-300, 5e-324, 1e-38, 1e-12, 1e30, 1e300])
@pytest.mark.parametrize("kind", candidates({"log1p": {"base": 1.5}}), ids=str)
def test_extreme_values_are_refused_or_survive(value, kind):
    values = np.array([value, 3 * value])
    try:
        block = encode(np.array([0, 2]), np.arange(2), values, 2, kind.name, base=kind.base)
    except RefusedError:
        assert kind.name != "real"
    else:
        assert decode(block).tobytes() == values.tobytes()
        assert np.isfinite(block.scale).all()


@pytest.mark.parametrize(("noted", "first"), [
    ({}, "log1p"), ({"log1p": {"base": None}}, "log1p"), ({"log1p": {"base": 2}}, "log1p of base 2"),
    ({"log1p": {"base": np.float64(10)}}, "log1p of base 10"), ({"log1p": {"base": np.e}}, "log1p"),
    ({"log1p": {"base": 1.5}}, "log1p of base 1.5"), ({"log1p": {"base": "two"}}, "log1p"), ({"log1p": 3}, "log1p"),
    ({"log1p": {"base": -1}}, "log1p"), ({"log1p": {"base": np.array([2.0, 3.0])}}, "log1p"),
])  # fmt: skip
def test_the_base_that_scanpy_has_noted_is_tried_first(noted, first):
    tried = [str(kind) for kind in candidates(noted)]
    assert tried[:2] == ["counts", first]
    assert tried[-2:] == ["normalized", "real"]
    assert {"log1p", "log1p of base 2", "log1p of base 10"} <= set(tried)
    assert len(set(tried)) == len(tried)
