"""Cells grouped by what their study says of them, in four bytes a cell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.check.dataset import CheckedDataset
from titin.check.kernels import sum_by
from titin.dataset import layout
from titin.study.combinations import Combinations
from titin.study.design import AGE, Study, level_columns, text_values
from titin.study.groups import CellGroups, group_by

_FEW_GENES = 64  # more are read sooner with all of every cell than one by one
_FEW_GROUPS = 2**15 - 1  # that two bytes can number, which are sorted sooner


class Units(CellGroups):
    """Groups whose sums and medians take no array of all cells beside what they are of."""

    def sum(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Sum of a value a cell, by group (float64)."""
        total = np.zeros(len(self))
        sum_by(self.codes, values, total)
        return total

    def median(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Median of a value a cell, by group (float64); of what is not a number, none."""
        order, bounds = by_group(self)
        found = np.full(len(self), np.nan)
        for group in range(len(self)):
            own = values[order[bounds[group] : bounds[group + 1]]].astype(np.float64)
            own = own[~np.isnan(own)]
            if len(own):
                found[group] = np.median(own)
        return found

    def gene_counts(self, atlas: Atlas, genes: Sequence[str]) -> NDArray[np.float64]:
        """Counts of genes summed by group, shape ``(groups, genes)``; of few genes one after another."""
        if len(genes) > _FEW_GENES:
            return super().gene_counts(atlas, genes)
        atlas.reader.check_counts()
        return np.array([self.sum(atlas.reader.gene(gene, counts=True)) for gene in genes]).reshape(-1, len(self)).T


def by_group(groups: CellGroups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cells in the order of their groups, those of none first, and where each group begins and ends."""
    codes = groups.codes.astype(np.int16) if len(groups) < _FEW_GROUPS else groups.codes
    order = np.argsort(codes, kind="stable")
    return order, np.searchsorted(codes, np.arange(len(groups) + 1, dtype=codes.dtype), sorter=order)


class Keys:
    """Keys of cells, as `Study.keys` has them, of each combination once.

    Parameters
    ----------
    study
        The cells.
    names
        Levels of cell types, roles, ``age``.

    Attributes
    ----------
    table
        One row a combination.
    """

    def __init__(self, study: Study, names: Sequence[str]) -> None:
        columns = {name: _key(study, name) for name in names}
        self._alike = Combinations.of(list(columns.values()), len(study.obs))
        few = {name: column.iloc[self._alike.rows] for name, column in columns.items()}
        index = pd.RangeIndex(len(self._alike.rows))
        self.table = pd.DataFrame({name: column.to_numpy(np.float64) if name == AGE else text_values(column)
                                   for name, column in few.items()}, index=index)  # fmt: skip

    def groups(self, table: pd.DataFrame | None = None, *, complete: bool = False) -> Units:
        """Group the cells; as `titin.study.groups.group_by`.

        Parameters
        ----------
        table
            In the place of `table`, with as many rows.
        """
        found = group_by(self.table if table is None else table, complete=complete)
        mine = found.codes >= 0
        n_cells = np.bincount(found.codes[mine], self._alike.n_cells[mine], len(found)).astype(np.int64)
        return Units(found.table.assign(**{layout.N_CELLS: n_cells}), found.codes[self._alike.number])


def _key(study: Study, name: str) -> pd.Series:
    if name == AGE:
        return pd.Series(np.nan, study.obs.index) if study.ages is None else study.ages
    level = level_columns({"cell_type": study.levels}).get(name)
    return study.values(name) if level is None else study.labels(level)


def units(dataset: CheckedDataset, roles: Sequence[str]) -> Units:
    """Group the cells by those of the roles that the dataset has."""
    known = [role for role in roles if dataset.missing(role) is None]
    return Keys(dataset.study, known).groups(complete=True)


def all_groups(dataset: CheckedDataset) -> Units:
    """Group the cells by everything that plays a role in a comparison of donors, as `group_cells` does."""
    found = Keys(dataset.study, dataset.study.key_names).groups()
    return Units(found.table, found.codes, list(level_columns(dataset.atlas.roles)))


def text_labels(column: pd.Series) -> pd.Series:
    """Labels as texts, ascending, and no label that no cell has: ``column.astype("string").astype("category")``."""
    alike = Combinations.of([column], len(column))
    few = column.iloc[alike.rows].astype("string").astype("category")
    codes, dtype = few.cat.codes.to_numpy()[alike.number], pd.CategoricalDtype(few.cat.categories)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype), column.index, name=column.name)
