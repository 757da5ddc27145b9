"""The source, settings and folders that all steps of one build work with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.builder.ages import CellMetadata
from titin.builder.options import Options
from titin.dataset import layout
from titin.dataset.sorted_rows import places_of
from titin.dataset.tables import RESERVED, arrow_names, with_pandas_index
from titin.progress import Progress
from titin.resources import Resources
from titin.shelf import Shelf
from titin.source import Source
from titin.source.names import ID_COLUMNS, STABLE_ID
from titin.study.roles import RoleChoice

SCAN, CELLS, GENES = "scan.npz", "cells", "genes"  # intermediate files: the first pass, cells by where they go, genes
_SYMBOLS = ("SYMBOL", "feature_name", "gene_symbol", "gene_symbols", "gene_name", "gene_short_name", "symbol", "Symbol")


@dataclass
class BuildJob:
    """Source, choices and places of a build.

    Attributes
    ----------
    out, work
        Folders of the dataset's files and of intermediate ones.
    roles
        Column of each role; of ``cell_type`` a list.
    choices
        Why it is that column; see `titin.study.roles.choose_roles`.
    shelf
        Where lies what grows with the cells.
    """

    source: Source
    options: Options
    resources: Resources
    progress: Progress
    layout: layout.Layout
    roles: dict[str, Any]
    out: Path
    work: Path
    choices: Mapping[str, RoleChoice] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)

    @cached_property
    def source_rows(self) -> NDArray[np.signedinteger[Any]]:
        """Row in the source of the cell at each position of the dataset."""
        n_cells = self.source.X.shape[0]
        rows = np.arange(n_cells, dtype=np.int32 if n_cells < 2**31 else np.int64)
        if self.options.shuffle:
            np.random.Generator(np.random.PCG64(self.options.seed)).shuffle(rows)  # alike in either type
        return self.shelf.arrays([rows])[0]

    @cached_property
    def positions(self) -> NDArray[np.signedinteger[Any]]:
        """Position in the dataset of each cell of the source."""
        return places_of(self.source_rows, self.shelf)

    @property
    def block_bytes(self) -> int:
        """Size of the source's row blocks."""
        return self.resources.scan_values * (self.source.X.dtype.itemsize + 4)

    @property
    def bucket_cells(self) -> int:
        """Cells of a bucket: whole row groups, and rows that fit 16 bits."""
        n_cells, n_genes = self.source.X.shape
        nnz = n_cells * n_genes if self.source.X.nnz is None else self.source.X.nnz
        fitting = self.resources.bucket_values // max(1, nnz // n_cells)
        rounded = fitting // layout.ROW_GROUP_CELLS * layout.ROW_GROUP_CELLS
        return int(np.clip(rounded, layout.ROW_GROUP_CELLS, 65_536))

    @cached_property
    def _genes(self) -> pd.DataFrame:
        return name_genes(self.source)

    @property
    def var_name_column(self) -> str:
        """Name the gene column that holds the source's own names: symbols or identifiers."""
        own = self._genes[layout.GENE].to_numpy() == self.source.var.index.astype(str)
        return layout.GENE if own.all() else layout.GENE_IDS

    def gene_names(self, source_columns: NDArray[np.int64]) -> pa.Table:
        """Symbol and stable id of genes; the source's name where it has no other."""
        return pa.table(
            {c: pa.array(self._genes[c].to_numpy(object)[source_columns], pa.string()) for c in self._genes}
        )

    @property
    def cells(self) -> CellMetadata:
        """What is known of the cells."""
        genes = self.gene_names(np.arange(len(self.source.var)))
        return CellMetadata(self.source.obs, self.choices, self.source.uns, genes, self.options, ages=self.source.ages)

    @property
    def cell_ids(self) -> pa.Array | pa.ChunkedArray:
        """Name of each cell, in source order."""
        names = self.source.obs.index
        return (
            arrow_names(names) if isinstance(names.dtype, pd.ArrowDtype) else pa.array(names.astype(str), pa.string())
        )

    def symbols(self) -> pd.Index:
        """Symbol of every gene, in source order."""
        symbols: pd.Index = pd.Index(self._genes[layout.GENE])
        return symbols

    def panel_names(self, source_columns: NDArray[np.int64], taken: list[str]) -> list[str]:
        """Column names of panel genes: the symbol, made unique (without case) by the id and then by a number."""
        return panel_names(self._genes.iloc[source_columns].itertuples(index=False, name=None), taken)

    @staticmethod
    def index_schema(schema: pa.Schema, index: str) -> pa.Schema:
        """The schema, marked so that pandas takes a column as its index."""
        return with_pandas_index(schema, index)


def panel_names(genes: Iterable[tuple[str, str]], taken: Iterable[str]) -> list[str]:
    """Names of columns for genes, given as symbol and id; see `BuildJob.panel_names`."""
    used = {name.lower() for name in (*taken, *RESERVED)}
    names = []
    for symbol, gene_id in genes:
        name, n = symbol, 1
        if name.lower() in used:
            name = f"{symbol}_{gene_id}"
        while name.lower() in used:
            n += 1
            name = f"{symbol}_{n}"
        used.add(name.lower())
        names.append(name)
    return names


def name_genes(source: Source) -> pd.DataFrame:
    """Symbol (``gene``) and stable id (``gene_ids``) of each gene of a source; its own name where it has no other."""
    if source.genes is not None:
        return source.genes
    var, names = source.var, source.var.index.astype(str)
    known = source.symbols
    named_by_id = known is not None or bool(names.str.fullmatch(STABLE_ID).mean() > 0.5)
    symbols = _column(var, _SYMBOLS if known is None else (known,), names) if named_by_id else names.to_numpy()
    ids = names.to_numpy() if named_by_id else _column(var, ID_COLUMNS, names, distinct=True)
    return pd.DataFrame({layout.GENE: symbols, layout.GENE_IDS: ids})


def _column(var: pd.DataFrame, names: tuple[str, ...], fallback: pd.Index, *, distinct: bool = False) -> NDArray[Any]:
    """The first column of these names that names genes; ``distinct``: most of them differently, as labels do not."""
    for name in names:
        if name in var.columns and not pd.api.types.is_numeric_dtype(var[name].dtype):
            column = var[name].astype(object)
            if distinct and 2 * column.nunique() <= column.notna().sum():
                continue
            return np.where(column.isna() | (column == ""), fallback.to_numpy(object), column.astype(str))
    return fallback.to_numpy()
