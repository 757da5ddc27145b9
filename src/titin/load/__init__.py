"""Minibatches for training: which cells, in what order, as what."""

from titin.load.batch import Batch
from titin.load.loader import Loader
from titin.load.samplers import (
    BalancedSampler,
    BlockShuffleSampler,
    DistributedSampler,
    Sampler,
    SequentialSampler,
    StudySampler,
)
from titin.load.splits import LeaveOneDonorOut, ProtocolTransfer, RandomCellSplit, StratifiedDonorKFold
from titin.load.studies import Studies

__all__ = [
    "BalancedSampler",
    "Batch",
    "BlockShuffleSampler",
    "DistributedSampler",
    "LeaveOneDonorOut",
    "Loader",
    "ProtocolTransfer",
    "RandomCellSplit",
    "Sampler",
    "SequentialSampler",
    "StratifiedDonorKFold",
    "Studies",
    "StudySampler",
]
