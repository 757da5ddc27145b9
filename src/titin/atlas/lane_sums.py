"""What statistics add up: lanes of cells, each by a thread or by a worker of a cluster, then all in their order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titin.atlas.kernels import add_deviations, add_sums, describe_rows, widen
from titin.atlas.row_groups import ChosenRows, Positions, read_block
from titin.dataset.store import Store

Floats = NDArray[np.float64]
_LANE_CELLS = 4096


@dataclass(frozen=True)
class Sums:
    """Arrays of groups × genes that cells are added to.

    Attributes
    ----------
    start
        What each array holds before there is a cell.
    add
        Kernel: ``add(indptr, tokens, data, rows, groups, column_of, *arrays)``.
    join
        ``join(arrays, others)`` adds to the first what cells that come later gave.
    """

    start: tuple[float, ...]
    add: Callable[..., None]
    join: Callable[[Sequence[Floats], Sequence[Floats]], None]

    def arrays(self, shape: tuple[int, int]) -> list[Floats]:
        """Arrays to which no cell was added."""
        return [np.full(shape, value) for value in self.start]

    def joined(self, total: list[Floats] | None, part: Sequence[Floats]) -> list[Floats]:
        """The sum of a total, which changes, and a part; of nothing and a part, a copy."""
        if total is None:
            return [array.copy() for array in part]
        self.join(total, part)
        return total


@dataclass(frozen=True)
class Lane:
    """Some neighbouring cells, by row group, and the group of each; -1 for none."""

    chosen: tuple[ChosenRows, ...]
    groups: tuple[Positions, ...]

    @property
    def rows(self) -> slice:
        """Places of the cells among all that are chosen."""
        return slice(self.chosen[0].start, self.chosen[-1].start + len(self.chosen[-1].rows))


def make_lanes(chosen: Iterator[ChosenRows], group_of: Callable[[slice], Positions]) -> Iterator[Lane]:
    """Take row groups together until they have some thousand cells."""
    waiting: list[ChosenRows] = []
    n = 0
    for own in chosen:
        if waiting and n + len(own.rows) > _LANE_CELLS:
            yield _lane(waiting, group_of)
            waiting, n = [], 0
        waiting.append(own)
        n += len(own.rows)
    if waiting:
        yield _lane(waiting, group_of)


def _lane(chosen: list[ChosenRows], group_of: Callable[[slice], Positions]) -> Lane:
    return Lane(tuple(chosen), tuple(group_of(slice(own.start, own.start + len(own.rows))) for own in chosen))


def add_lane(
    store: Store, column_of: NDArray[np.int32], sums: Sums, shape: tuple[int, int], lane: Lane
) -> list[Floats]:
    """Add the cells of a lane to arrays of their own."""
    arrays = sums.arrays(shape)
    for own, groups in zip(lane.chosen, lane.groups, strict=True):
        block = read_block(store, own.group)
        sums.add(block.indptr, block.indices, block.data, own.rows, groups, column_of, *arrays)
    return arrays


def describe_lane(store: Store, column_of: NDArray[np.int32], n_columns: int, lane: Lane) -> Floats:
    """Sum, sum of squared distances from the mean, minimum and maximum of each cell of a lane."""
    parts = []
    for own in lane.chosen:
        block = read_block(store, own.group)
        parts.append(np.empty((len(own.rows), 4)))
        describe_rows(block.indptr, block.indices, block.data, own.rows, column_of, n_columns, parts[-1])
    return np.concatenate(parts)


def _join_sums(arrays: Sequence[Floats], others: Sequence[Floats]) -> None:
    arrays[0][:] += others[0]


def _join_moments(arrays: Sequence[Floats], others: Sequence[Floats]) -> None:
    """By Chan, Golub and LeVeque, COMPSTAT 1982: means and squared distances of two parts, without cancellation."""
    (mean, squares, seen), (its_mean, its_squares, its_seen) = arrays, others
    n = np.maximum(seen + its_seen, 1)
    distance = its_mean - mean
    mean += distance * (its_seen / n)
    squares += its_squares + distance * distance * (seen * its_seen / n)
    seen += its_seen


def _join_extremes(arrays: Sequence[Floats], others: Sequence[Floats]) -> None:
    np.minimum(arrays[0], others[0], out=arrays[0])
    np.maximum(arrays[1], others[1], out=arrays[1])
    arrays[2][:] += others[2]


SUMS = Sums((0.0,), add_sums, _join_sums)
MOMENTS = Sums((0.0, 0.0, 0.0), add_deviations, _join_moments)
EXTREMES = Sums((np.inf, -np.inf, 0.0), widen, _join_extremes)
