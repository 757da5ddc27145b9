"""The two axes of an atlas or a part of one: its cells and genes, their names and what is known of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from titin.atlas.axes import CellAxis, Chosen
from titin.atlas.matrix import MatrixReader
from titin.atlas.row_groups import Positions
from titin.atlas.tables import read_var
from titin.dataset.layout import AGE_NUMERIC, AGE_YEARS
from titin.dataset.store import Store


class CellsByGenes(ABC):
    """Which cells and genes of a dataset these are.

    Attributes
    ----------
    store, reader, cells
        The whole dataset's files, matrix and cells.
    """

    store: Store
    reader: MatrixReader
    cells: CellAxis

    @property
    @abstractmethod
    def rows(self) -> Positions | None:
        """Positions of the cells in the dataset (int64); None for all."""

    @property
    @abstractmethod
    def columns(self) -> Positions | None:
        """Positions of the genes in the source's order (int64); None for all."""

    @property
    @abstractmethod
    def obs(self) -> pd.DataFrame:
        """Metadata of the cells."""

    @property
    def _whole(self) -> "CellsByGenes":
        return self

    @cached_property
    def _chosen_cells(self) -> Chosen:
        return Chosen(lambda: self.cells, self.reader.n_cells, self.rows, "cell")

    @cached_property
    def _chosen_genes(self) -> Chosen:
        return Chosen(lambda: self.reader.genes, self.reader.n_genes, self.columns, "gene")

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return self.reader.n_cells if self.rows is None else len(self.rows)

    @property
    def n_vars(self) -> int:
        """Number of genes."""
        return self.reader.n_genes if self.columns is None else len(self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self.n_obs, self.n_vars

    @property
    def obs_names(self) -> pd.Index:
        """Names of the cells, in the dataset's order."""
        return self._chosen_cells.names

    @property
    def var_names(self) -> pd.Index:
        """Names of the genes, as the source has them."""
        return self._chosen_genes.names

    @cached_property
    def var(self) -> pd.DataFrame:
        """Metadata of the genes, as the source has them."""
        var = read_var(self.store)
        return var if self.columns is None else var.iloc[self.columns]

    @property
    def measured(self) -> pd.DataFrame:
        """Which study measured which gene: genes × studies, bool; of a dataset of one study, a column ``all``.

        A zero of a gene that a study did not measure is no measurement.
        """
        studies = self.store.manifest.studies
        columns = {name: self.var[entry["measured"]].to_numpy(bool) if entry.get("measured") else True
                   for name, entry in studies.items()}  # fmt: skip
        return pd.DataFrame(columns or {"all": True}, index=self.var_names)

    def measured_in(self, gene: str) -> pd.Series:
        """Whether a gene was measured in each cell, by the study that it is of: where not, its zero says nothing.

        Returns
        -------
        Series
            bool, of these cells in the order of the matrix; index cell_id.

        Raises
        ------
        UnknownNameError
            If there is no such gene, or several of that symbol.
        """
        place, manifest = self.reader.genes.finder.find(gene), self.store.manifest
        lacking = {name for name, measured in self._whole.measured.iloc[place].items() if not measured}
        column = manifest.roles.get("study")
        if not lacking or column not in self.cells.obs:
            return pd.Series(True, index=self.obs_names)
        return ~self.cell_columns(column)[column].astype(str).isin(lacking)

    def cell_columns(self, names: str | Sequence[str] | None = None, cells: Any = None) -> pd.DataFrame:
        """Columns of `obs` in the order of the matrix, whatever order a user has brought `obs` into.

        Whoever pairs metadata with positions takes them from here: rows of ``atlas.obs`` may have been sorted in place.

        Parameters
        ----------
        names
            Columns, also those that were added to `obs`; all where not given.
        cells
            Those wanted, as in ``atlas.X[cells]`` and in that order; all where not given.

        Returns
        -------
        DataFrame
            Cells × columns, index cell_id; a copy.

        Raises
        ------
        UnknownNameError
            If `obs` has no such column.
        SelectionError
            If `obs` no longer has the names of these cells as its index: it was reset, or rows were dropped.
        """
        return self.cells.columns(names, self._chosen_cells.find(cells))

    @property
    def ages(self) -> pd.Series:
        """Age of each cell in years, as titin knows it: whatever the source calls its columns, and in whatever unit.

        Returns
        -------
        Series
            float64, NaN where it is not known, in the dataset's order; index cell_id, name ``age_years`` where the ages
            are those of a table of donors, else ``age_numeric``.
        """
        derived = self.cells.derived
        known = [name for name in (AGE_YEARS, AGE_NUMERIC) if name in derived and derived[name].notna().any()]
        years = derived[known[0]].to_numpy() if known else np.full(self.reader.n_cells, np.nan)
        own = years if self.rows is None else years[self.rows]
        return pd.Series(own, index=self.obs_names, name=known[0] if known else AGE_NUMERIC)

    def cell_positions(self, cells: Any = None) -> Positions:
        """Positions (int64) in the dataset of cells given by slice, positions, mask or names, in that order.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        found = self._chosen_cells.find(cells)
        return np.arange(self.reader.n_cells) if found is None else found

    def gene_positions(self, genes: Any = None) -> Positions:
        """Positions (int64, in the source's order) of genes given by slice, positions, mask or names, in that order.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        found = self._chosen_genes.find(genes)
        return np.arange(self.reader.n_genes) if found is None else found

    def __len__(self) -> int:
        return self.n_obs

    def __contains__(self, gene: object) -> bool:
        return gene in self.reader.genes.finder if self.columns is None else gene in self.var_names
