"""Cells that a model reads itself, batch by batch, with a `titin.Loader`."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from titin.learn.features import highly_variable_genes
from titin.learn.gather import Gathered, Positions
from titin.load import Loader


@dataclass
class LoaderCells:
    """X of a model whose features are ``loader``: which cells, not their values.

    Attributes
    ----------
    data
        What they are of.
    rows, positions
        int64: units of ``data``, and positions in the dataset, ascending.
    """

    data: Gathered | None = field(default=None, repr=False)
    rows: Positions = field(default_factory=lambda: np.zeros(0, np.int64))
    positions: Positions = field(default_factory=lambda: np.zeros(0, np.int64))
    names: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, data: Gathered, rows: Positions) -> "LoaderCells":
        """Take cells of what was gathered, which must be of level ``cell``."""
        return cls(data, rows, np.flatnonzero(data.units.of_cell >= 0)[rows])

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def _known(self) -> Gathered:
        if self.data is None:
            raise ValueError("no cells were given")
        return self.data

    def genes(self, n_top: int = 2000) -> list[str]:
        """Names of the genes that are highly variable over the groups of these cells."""
        data = self._known
        groups = data.moments.mask(data.units.obs.iloc[self.rows])
        return data.atlas.var_names[highly_variable_genes(data.moments, groups, n_top)].astype(str).tolist()

    def loader(self, genes: list[str], *, batch_size: int, shuffle: bool, seed: int, threads: int) -> Any:
        """Make a loader of dense batches of these cells; without ``shuffle`` in the order of ``positions``."""
        return Loader(self._known.atlas, batch_size, shuffle=shuffle, cells=self.positions, genes=genes, obs=[],
                      dense=True, seed=seed, threads=threads)  # fmt: skip

    def index(self) -> Any:
        """Names of the cells, in the order of ``positions``."""
        return self._known.atlas.obs_names[self.positions]
