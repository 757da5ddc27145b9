"""Samplers plan every cell once, or say how they do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.load import BalancedSampler, BlockShuffleSampler, DistributedSampler, SequentialSampler

CELLS = st.lists(st.integers(0, 400), unique=True, max_size=120)


def epoch(sampler, number=0):
    loads = list(sampler.loads(number))
    return np.concatenate(loads) if loads else np.empty(0, np.int64)


@given(cells=CELLS, buffer=st.integers(1, 50))
def test_sequential_is_the_order_of_the_dataset(cells, buffer):
    sampler = SequentialSampler(cells, buffer_cells=buffer)
    assert epoch(sampler).tolist() == sorted(cells)
    assert len(sampler) == len(cells)


@given(
    cells=CELLS, block=st.integers(1, 40), buffer=st.integers(1, 90), seed=st.integers(0, 5), number=st.integers(0, 5)
)
def test_block_shuffle_hands_out_every_cell_once(cells, block, buffer, seed, number):
    sampler = BlockShuffleSampler(cells, block_cells=block, buffer_cells=buffer, seed=seed)
    assert sorted(epoch(sampler, number).tolist()) == sorted(cells)
    assert epoch(sampler, number).tolist() == epoch(sampler, number).tolist()
    for load in sampler.loads(number):
        assert len(np.unique(load // block)) <= max(1, buffer // block)


def test_block_shuffle_depends_on_seed_and_epoch():
    orders = {
        tuple(epoch(BlockShuffleSampler(500, block_cells=10, buffer_cells=100, seed=seed), number))
        for seed in (0, 1) for number in (0, 1)
    }  # fmt: skip
    assert len(orders) == 4


@given(n=st.integers(1, 300), world=st.integers(1, 7), buffer=st.integers(1, 60), drop=st.booleans())
def test_ranks_share_an_epoch_without_overlap(n, world, buffer, drop):
    whole = BlockShuffleSampler(n, block_cells=8, buffer_cells=buffer)
    shares = [epoch(DistributedSampler(whole, rank=rank, world_size=world, drop=drop), 3) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    handed_out = np.concatenate(shares)
    if drop:
        assert len(np.unique(handed_out)) == len(handed_out)
    else:
        assert set(handed_out.tolist()) == set(range(n))


def test_a_rank_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="rank 2 is not one of 2"):
        DistributedSampler(SequentialSampler(4), rank=2, world_size=2)


def test_balanced_draws_classes_alike_and_never_a_missing_label():
    labels = np.array(["common"] * 900 + ["rare"] * 90 + [None] * 10, dtype=object)
    np.random.default_rng(0).shuffle(labels)
    drawn = epoch(BalancedSampler(labels, block_cells=10, buffer_cells=1000))
    assert len(drawn) == 990
    share = (labels[drawn] == "rare").mean()
    assert 0.45 < share < 0.55
    assert not any(label is None for label in labels[drawn])


def test_balanced_draws_from_the_cells_it_is_given():
    labels = np.array(["a", "b"] * 50)
    drawn = epoch(BalancedSampler(labels, cells=np.arange(20), block_cells=5, buffer_cells=20))
    assert set(drawn.tolist()) <= set(range(20))


@pytest.mark.parametrize("bad", [{"block_cells": 0}, {"buffer_cells": 0}])
def test_sizes_must_be_positive(bad):
    with pytest.raises(ValueError, match="must be 1 or more"):
        BlockShuffleSampler(10, **bad)
