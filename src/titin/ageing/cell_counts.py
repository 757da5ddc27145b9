"""The cells of each type in every sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.results import Result
from titin.study.design import choose_level
from titin.study.gaps import CHOSEN
from titin.study.groups import group_cells


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CellCounts(Result):
    """Cells by sample and type.

    Attributes
    ----------
    table
        int64, samples × types; also called ``counts``.
    samples
        One row a sample (what has the same donor, sample, protocol, chemistry, sex and age): these columns, as far as
        they are known, and ``n_cells``, all types together.
    level
        Name of the level of labels.
    unlabelled
        Cells without a label, which are not counted.
    """

    samples: pd.DataFrame
    level: str = "cell_type"
    unlabelled: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        values = self.counts.to_numpy()
        if len(self.samples) != len(values):
            raise TitinError(f"{len(self.samples)} samples, but counts of {len(values)}", "give one row for each")
        if values.dtype.kind not in "iu" or (values < 0).any():
            raise TitinError("counts of cells must be whole numbers, zero or more", "give counts, not fractions")

    @property
    def counts(self) -> pd.DataFrame:
        """int64, samples × types."""
        return self.table

    def select(self, rows: NDArray[Any]) -> "CellCounts":
        """Keep some samples, by mask or positions."""
        positions = np.arange(len(self.samples))[np.asarray(rows)]
        return replace(
            self,
            samples=self.samples.iloc[positions].reset_index(drop=True),
            table=self.counts.iloc[positions].reset_index(drop=True),
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
    labelled = cells.table[level].notna()
    asked = cells.table[CHOSEN].notna() if CHOSEN in cells.table else True
    unlabelled = int(cells.table.loc[~labelled & asked, layout.N_CELLS].sum())
    table = cells.table[labelled].reset_index(drop=True)
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
    return CellCounts(pd.DataFrame(counts, columns=types), samples=samples, level=level, unlabelled=unlabelled)
