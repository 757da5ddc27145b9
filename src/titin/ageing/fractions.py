"""How many cells of each type every sample has: what composition is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.ageing.groups import choose_level, group_cells
from titin.ageing.moderated import Floats
from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError


@dataclass(frozen=True)
class CellCounts:
    """Cells by sample and type.

    Attributes
    ----------
    samples
        One row a sample (what has the same donor, sample, protocol, chemistry, sex and age): these columns, as far as
        they are known, and ``n_cells``, all types together.
    counts
        int64, samples × types.
    level
        Name of the level of labels.
    """

    samples: pd.DataFrame
    counts: pd.DataFrame
    level: str = "cell_type"

    def __post_init__(self) -> None:
        values = self.counts.to_numpy()
        if len(self.samples) != len(values):
            raise TitinError(f"{len(self.samples)} samples, but counts of {len(values)}", "give one row for each")
        if values.dtype.kind not in "iu" or (values < 0).any():
            raise TitinError("counts of cells must be whole numbers, zero or more", "give counts, not fractions")

    def select(self, rows: NDArray[Any]) -> "CellCounts":
        """Keep some samples, by mask or positions."""
        positions = np.arange(len(self.samples))[np.asarray(rows)]
        return replace(
            self,
            samples=self.samples.iloc[positions].reset_index(drop=True),
            counts=self.counts.iloc[positions].reset_index(drop=True),
        )


def cell_counts(atlas: Atlas, cell_type_level: int | str | None = None, *, extra: Sequence[str] = ()) -> CellCounts:
    """Count the cells of each type in each sample; unlabelled cells are left out.

    Parameters
    ----------
    atlas
        The dataset; no expression is read.
    cell_type_level
        Name of the level, or its place; the coarsest where not given.
    extra
        Further columns of obs to tell samples apart by.

    Raises
    ------
    TitinError
        If the dataset has no cell types, not that level, or no such column.
    """
    cells = group_cells(atlas, extra=extra)
    level = choose_level(cells.levels, cell_type_level)
    table = cells.table[cells.table[level].notna()].reset_index(drop=True)
    keys = [name for name in table if name not in (*cells.levels, layout.N_CELLS)]
    if not keys:
        samples, codes = pd.DataFrame(index=pd.RangeIndex(1)), np.zeros(len(table), np.int64)
    else:
        grouped = table.groupby(keys, sort=True, dropna=False)
        codes = grouped.ngroup().to_numpy().astype(np.int64)
        first = np.unique(codes, return_index=True)[1]
        samples = table.iloc[first][keys].reset_index(drop=True)
    names, types = pd.factorize(table[level], sort=True)
    counts = np.zeros((len(samples), len(types)), np.int64)
    np.add.at(counts, (codes, names), table[layout.N_CELLS].to_numpy())
    samples[layout.N_CELLS] = counts.sum(axis=1)
    return CellCounts(samples, pd.DataFrame(counts, columns=types), level)


def transform(fractions: Floats, method: str, total: Floats | None = None) -> Floats:
    """Make the variance of fractions nearly the same for rare and for common types.

    Parameters
    ----------
    fractions
        Units × types, 0 … 1.
    method
        ``asin``: arcsine of the square root; ``logit``: log(p / (1 - p)), half a cell added to every type.
    total
        Cells of each unit; needed for ``logit``.
    """
    if method == "asin":
        angles: Floats = np.arcsin(np.sqrt(fractions))
        return angles
    counts = fractions * np.asarray(total)[:, None] + 0.5
    shares = counts / counts.sum(axis=1, keepdims=True)
    logits: Floats = np.log(shares / (1 - shares))
    return logits
