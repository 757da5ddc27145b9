"""Minibatches for training: which cells, in what order, as what."""

from titin.load.loader import Batch, Loader
from titin.load.samplers import BalancedSampler, BlockShuffleSampler, DistributedSampler, Sampler, SequentialSampler
from titin.load.splits import LeaveOneDonorOut, ProtocolTransfer, RandomCellSplit, StratifiedDonorKFold

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
]
