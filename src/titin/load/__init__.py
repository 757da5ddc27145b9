"""Minibatches for training: which cells, in what order, as what."""

from titin.load.loader import Batch, Loader
from titin.load.samplers import BalancedSampler, BlockShuffleSampler, DistributedSampler, Sampler, SequentialSampler

__all__ = [
    "BalancedSampler",
    "Batch",
    "BlockShuffleSampler",
    "DistributedSampler",
    "Loader",
    "Sampler",
    "SequentialSampler",
]
