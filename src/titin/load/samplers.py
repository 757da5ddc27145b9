"""Which cells, in what order: samplers plan an epoch, the loader reads what they plan."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.errors import TitinError

Weights = Literal["proportional", "equal"] | Mapping[str, float]

BLOCK_CELLS = 1024
BUFFER_CELLS = 8192


class Sampler(ABC):
    """Plans epochs: which cells, in what order, and which of them to read together.

    The loader reads the cells of one *load* at a time into memory and cuts minibatches from loads in their order, so
    a load should name cells that lie near each other on disk, and small loads mean much reading for few cells.

    Parameters
    ----------
    cells
        Positions of the cells to draw from, or their number; int64, without repeats.

    Attributes
    ----------
    names
        Names of all cells that the positions count from, where the sampler was told, for the loader to compare; else
        None.
    """

    names: pd.Index | None = None

    def __init__(self, cells: int | ArrayLike) -> None:
        positions = np.arange(cells) if isinstance(cells, int | np.integer) else np.asarray(cells, np.int64)
        self.cells: NDArray[np.int64] = np.sort(positions)

    @abstractmethod
    def loads(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield the cells of an epoch load by load, in the order in which they are to be handed out.

        The same epoch must give the same loads each time it is asked for.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Number of cells that an epoch hands out."""


class SequentialSampler(Sampler):
    """All cells once, in the dataset's order.

    Examples
    --------
    >>> [load.tolist() for load in SequentialSampler(5, buffer_cells=3).loads(epoch=0)]
    [[0, 1, 2], [3, 4]]
    """

    def __init__(self, cells: int | ArrayLike, *, buffer_cells: int = BUFFER_CELLS) -> None:
        super().__init__(cells)
        self.buffer_cells = _positive("buffer_cells", buffer_cells)

    def loads(self, epoch: int) -> Iterator[NDArray[np.int64]]:  # noqa: ARG002 - every epoch is the same
        """Yield runs of cells."""
        for start in range(0, len(self.cells), self.buffer_cells):
            yield self.cells[start : start + self.buffer_cells]

    def __len__(self) -> int:
        return len(self.cells)


class BlockShuffleSampler(Sampler):
    """All cells once: blocks of neighbouring cells in random order, shuffled among each other within a buffer.

    A dataset's cells were shuffled when it was built, so blocks are random samples already, and a batch is as mixed as
    one of a true shuffle. Without that (``--no-shuffle``) choose small blocks and a large buffer.

    Parameters
    ----------
    cells
        Positions of the cells to draw from, or their number.
    block_cells
        Neighbouring positions (of the dataset, chosen or not) that are read together; a row group is 1,024.
    buffer_cells
        Cells in memory at a time, chosen or not; whole blocks.
    seed
        Together with the epoch it decides the order.
    """

    def __init__(
        self, cells: int | ArrayLike, *, block_cells: int = BLOCK_CELLS, buffer_cells: int = BUFFER_CELLS, seed: int = 0
    ) -> None:
        super().__init__(cells)
        self.block_cells = _positive("block_cells", block_cells)
        self.buffer_blocks = max(1, _positive("buffer_cells", buffer_cells) // block_cells)
        self.seed = seed

    def loads(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield the cells of some blocks at a time, shuffled."""
        rng = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        block_of = self.cells // self.block_cells
        edges = np.flatnonzero(np.diff(block_of, prepend=-1, append=np.iinfo(np.int64).max))
        order = rng.permutation(len(edges) - 1) if len(self.cells) else np.empty(0, np.int64)
        for start in range(0, len(order), self.buffer_blocks):
            blocks = order[start : start + self.buffer_blocks]
            load = np.concatenate([self.cells[edges[b] : edges[b + 1]] for b in blocks])
            yield rng.permutation(load)

    def __len__(self) -> int:
        return len(self.cells)


class BalancedSampler(Sampler):
    """Cells drawn with replacement so that every class is as likely, from a buffer of random blocks at a time.

    An epoch hands out as many cells as there are; rare classes repeat. Within a buffer each of its classes has the
    same share; a class that lies in few blocks appears when those are in the buffer.

    Parameters
    ----------
    labels
        Class of every cell of the dataset, in its order; missing ones (None, NaN) are never drawn.
    cells
        Positions to draw from; all where not given.
    block_cells, buffer_cells, seed
        As for `BlockShuffleSampler`.
    """

    def __init__(
        self, labels: ArrayLike, cells: ArrayLike | None = None, *, block_cells: int = BLOCK_CELLS,
        buffer_cells: int = BUFFER_CELLS, seed: int = 0,
    ) -> None:  # fmt: skip
        codes, self.classes = pd.factorize(pd.Series(labels))
        if isinstance(labels, pd.Series) and not isinstance(labels.index, pd.RangeIndex):
            self.names = labels.index
        chosen = np.arange(len(codes)) if cells is None else np.asarray(cells, np.int64)
        super().__init__(chosen[codes[chosen] >= 0])
        self._codes = codes
        self._blocks = BlockShuffleSampler(self.cells, block_cells=block_cells, buffer_cells=buffer_cells, seed=seed)
        self.seed = seed

    def loads(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield as many draws as each buffer has cells."""
        rng = np.random.Generator(np.random.PCG64([self.seed, epoch, 1]))
        for load in self._blocks.loads(epoch):
            codes = self._codes[load]
            weight = 1.0 / np.bincount(codes)[codes]
            yield rng.choice(load, len(load), p=weight / weight.sum())

    def __len__(self) -> int:
        return len(self.cells)


class StudySampler(Sampler):
    """Cells of several studies, each study with its weight, from a buffer of blocks that is as mixed as the epoch.

    An epoch hands out as many cells as there are. A study has its weight's share of them (to within one cell): of a
    share that is larger than the study every cell is drawn as often as every other, or once more; of a smaller one no
    cell is drawn twice, and every epoch draws others. So no study decides when an epoch ends, and none is thrown away.
    Blocks of the studies are spread evenly over the epoch.

    Parameters
    ----------
    studies
        Study of every cell; missing ones (None, NaN) are never drawn.
    weights
        ``proportional``: every cell once. ``equal``: as many cells of each study. Or a number by study, above zero;
        only their ratios matter.
    cells
        Positions to draw from; all where not given.
    blocks
        int64, which run of neighbouring cells on disk each cell is in; so many positions each where not given.
    block_cells, buffer_cells, seed
        As for `BlockShuffleSampler`.

    Raises
    ------
    TitinError
        If a weight is no number above zero, or is of a study without cells, or a study has none.

    Notes
    -----
    These are the proportions of Mosaic's ``StreamingDataset``. ``datasets.interleave_datasets`` of Hugging Face draws
    each next row's dataset at random instead, and ends when the first, or the last, is exhausted.

    Examples
    --------
    >>> sampler = StudySampler(["a", "a", "b", "b", "b", "b"], {"a": 2, "b": 1})
    >>> [sorted(load.tolist()) for load in sampler.loads(epoch=0)]
    [[0, 0, 1, 1, 3, 5]]
    """

    def __init__(
        self, studies: ArrayLike, weights: Weights = "proportional", cells: ArrayLike | None = None, *,
        blocks: NDArray[np.int64] | None = None, block_cells: int = BLOCK_CELLS, buffer_cells: int = BUFFER_CELLS,
        seed: int = 0,
    ) -> None:  # fmt: skip
        codes, names = pd.factorize(pd.Series(studies))
        if isinstance(studies, pd.Series) and not isinstance(studies.index, pd.RangeIndex):
            self.names = studies.index
        chosen = np.arange(len(codes)) if cells is None else np.asarray(cells, np.int64)
        super().__init__(chosen[codes[chosen] >= 0])
        own = codes[self.cells]
        counts = np.bincount(own, minlength=len(names))
        self.draws = dict(zip(map(str, names), _shares(weights, list(map(str, names)), counts), strict=True))
        self.seed = seed
        self.buffer_blocks = max(1, _positive("buffer_cells", buffer_cells) // _positive("block_cells", block_cells))
        runs = self.cells // block_cells if blocks is None else blocks[self.cells]
        self._blocks = [_cut_blocks(self.cells[own == code], runs[own == code]) for code in range(len(names))]

    def loads(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield the cells of some blocks at a time, shuffled."""
        rng = np.random.Generator(np.random.PCG64([self.seed, epoch, 2]))
        drawn, times = list[NDArray[np.int64]](), list[NDArray[np.float64]]()
        for blocks, n_draws in zip(self._blocks, self.draws.values(), strict=True):
            own = list(_draw(blocks, n_draws, rng))
            drawn += own
            times.append((np.arange(len(own)) + rng.random(len(own))) / max(1, len(own)))
        order = np.argsort(np.concatenate([*times, np.empty(0)]), kind="stable")
        for start in range(0, len(order), self.buffer_blocks):
            yield rng.permutation(np.concatenate([drawn[i] for i in order[start : start + self.buffer_blocks]]))

    def __len__(self) -> int:
        return len(self.cells)


def _cut_blocks(cells: NDArray[np.int64], runs: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cells of one study by runs, which ascend."""
    return np.split(cells, np.flatnonzero(np.diff(runs)) + 1) if len(cells) else []


def _draw(
    blocks: list[NDArray[np.int64]], n_draws: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:  # fmt: skip
    """Blocks in random order, over and over, until so many cells are drawn; of the last block cells at random."""
    left = n_draws
    while left:
        for number in rng.permutation(len(blocks)):
            block = blocks[number]
            if not left:
                return
            yield block if len(block) <= left else rng.choice(block, left, replace=False)
            left -= min(left, len(block))


def _shares(weights: Weights, studies: list[str], counts: NDArray[np.int64]) -> list[int]:
    """How many cells an epoch draws of each study: of their sum, by weight, the largest remainders rounded up."""
    if isinstance(weights, str):
        if weights not in ("proportional", "equal"):
            raise TitinError(f"there are no weights {weights!r}", "give proportional, equal, or a number by study")
        own = counts.astype(float) if weights == "proportional" else (counts > 0).astype(float)
    else:
        own = _given(weights, studies, counts)
    exact = own / max(own.sum(), 1e-300) * counts.sum()
    found = np.floor(exact + 1e-9).astype(np.int64)
    found[np.argsort(found - exact, kind="stable")[: counts.sum() - found.sum()]] += 1
    return [int(n) for n in found]


def _given(weights: Mapping[str, float], studies: list[str], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    known = ", ".join(studies)
    if not isinstance(weights, Mapping):
        raise TitinError(f"weights are by study, not {type(weights).__name__}", f"give a dict of {known}, or 'equal'")
    given = {str(name): weight for name, weight in weights.items()}
    if strange := [name for name in given if name not in studies]:
        near = get_close_matches(strange[0], studies, n=1)
        hint = f"did you mean {near[0]!r}? studies: {known}" if near else f"studies: {known}"
        raise TitinError(f"there is no study {strange[0]!r} to weight", hint)
    for name, n in zip(studies, counts.tolist(), strict=True):
        weight: Any = given.get(name)
        if weight is None:
            if n == 0:
                continue
            raise TitinError(f"the study {name!r} has no weight", f"give each study one: {known}")
        number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not number or not np.isfinite(weight) or weight <= 0:
            raise TitinError(
                f"the weight of {name!r} is {weight!r}", "give a number above zero, or leave the study out"
            )
        if n == 0:
            raise TitinError(
                f"no cell of the study {name!r} is chosen, so that it cannot have a weight", "leave it out"
            )
    return np.array([float(given.get(name, 0)) for name in studies])


class DistributedSampler(Sampler):
    """One rank's share of another sampler's epoch; every rank hands out the same number of cells.

    Loads are dealt to the ranks in turn, so that no two ranks read the same cells; the last few, which do not go round,
    are divided. Ranks that have a few cells less than others hand some of theirs out again, so that no rank waits for a
    batch that never comes; with ``drop`` all stop at the shortest instead.

    Parameters
    ----------
    sampler
        Plans the whole epoch; the same on every rank, with the same seed.
    rank, world_size
        This process and their number.
    drop
        Leave cells out instead of handing some out again.
    """

    def __init__(self, sampler: Sampler, *, rank: int, world_size: int, drop: bool = False) -> None:
        if not 0 <= rank < _positive("world_size", world_size):
            raise ValueError(f"rank {rank} is not one of {world_size}")
        super().__init__(sampler.cells)
        self.names = sampler.names
        self.sampler, self.rank, self.world_size, self.drop = sampler, rank, world_size, drop
        self._length: int | None = None

    def loads(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's loads, cut or lengthened to what every rank hands out."""
        dealt = self._deal(epoch)
        sizes = [sum(map(len, loads)) for loads in dealt]
        left = min(sizes) if self.drop else max(sizes)
        mine = dealt[self.rank]
        for load in mine:
            yield load[:left]
            left -= min(left, len(load))
        if left:
            yield np.resize(np.concatenate(mine or [self.cells]), left)

    def _deal(self, epoch: int) -> list[list[NDArray[np.int64]]]:
        """Whole rounds of loads in turn; what is left, the last and shortest load with it, is divided."""
        loads = list(self.sampler.loads(epoch))
        whole = max(0, len(loads) - 1) // self.world_size * self.world_size
        dealt = [loads[rank : whole : self.world_size] for rank in range(self.world_size)]
        if whole < len(loads):
            for rank, part in enumerate(np.array_split(np.concatenate(loads[whole:]), self.world_size)):
                dealt[rank] += [part] if len(part) else []
        return dealt

    def __len__(self) -> int:
        """Number of cells of the first epoch; a choice of cells spread unevenly can make others differ a little."""
        if self._length is None:
            self._length = sum(len(load) for load in self.loads(0))
        return self._length


def _positive(name: str, value: Any) -> int:
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value}")
    return int(value)
