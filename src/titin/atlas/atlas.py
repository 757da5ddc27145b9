"""An opened dataset: cells × genes with their metadata, each part read when it is asked for."""

import os
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.axes import CellAxis
from titin.atlas.csr import RowBlock
from titin.atlas.expression import Expression
from titin.atlas.matrix import MatrixReader
from titin.atlas.row_groups import Positions
from titin.atlas.selection import check_once
from titin.atlas.tables import read_uns, read_var, read_varm
from titin.atlas.views import Embeddings, MatrixView, to_dask
from titin.dataset.layout import Layout
from titin.dataset.manifest import Manifest
from titin.dataset.store import Store
from titin.errors import TitinError
from titin.presets import Preset, choose_preset, preset_of
from titin.resources import make_resources

if TYPE_CHECKING:
    from anndata import AnnData


class Atlas:
    """A dataset, read when asked.

    Cells are in the dataset's order, which is not the source's (it is shuffled once, when built); genes are in the
    source's order. Everything is given with the source's names and dtypes. An Atlas can be shared between threads, and
    pickled: what goes along is the place, not the data.

    Parameters
    ----------
    store
        Where the dataset lies.
    memory, threads, preset
        As for `open_atlas`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import titin
    >>> from titin.demo import make_demo
    >>> from titin.progress import Progress
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = make_demo(Path(folder), n_cells=50, n_genes=200, seed=0, force=False, progress=Progress())
    ...     atlas = titin.open(report.path)
    ...     atlas.shape, atlas["XIST"].shape, atlas.X[:10, ["XIST", "MALAT1"]].shape
    ((50, 200), (50,), (10, 2))
    """

    def __init__(
        self, store: Store, *, memory: int | str | None = None, threads: int | None = None,
        preset: Preset | str | Path | None = None,
    ) -> None:  # fmt: skip
        self.store = store
        self._preset = None if preset is None else choose_preset(preset)
        self.reader = MatrixReader(store, make_resources(threads, memory))
        self.cells = CellAxis(store)

    @property
    def manifest(self) -> Manifest:
        """What ``titin.json`` says."""
        return self.store.manifest

    @property
    def folder(self) -> Path:
        """The folder of a local dataset.

        Raises
        ------
        TitinError
            If the dataset lies elsewhere.
        """
        return self.store.folder

    @property
    def layout(self) -> Layout:
        """File names."""
        return self.manifest.layout

    @property
    def kind(self) -> str:
        """What the values are: ``counts``, ``log1p`` or ``real``; see `titin.dataset.codec`."""
        return self.manifest.kind

    @property
    def roles(self) -> dict[str, Any]:
        """Which obs column plays which part: cell_type (several), donor, sample, age, sex, protocol, chemistry."""
        return self.manifest.roles

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self.manifest.n_cells, self.manifest.n_genes

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return self.manifest.n_cells

    @property
    def n_vars(self) -> int:
        """Number of genes."""
        return self.manifest.n_genes

    @cached_property
    def preset(self) -> Preset:
        """What is known of the atlas beforehand: what it was opened with, else what it was built with.

        Raises
        ------
        TitinError
            If this titin has no preset of the name that the manifest has.
        """
        return preset_of(self.manifest) if self._preset is None else self._preset

    @property
    def obs(self) -> pd.DataFrame:
        """Metadata of the cells, with the source's columns and dtypes, index cell_id.

        Also ``age_numeric`` and ``age_years`` where the dataset has them and the source has no column of that name.
        """
        return self.cells.obs

    @obs.setter
    def obs(self, obs: pd.DataFrame) -> None:
        self.cells.obs = obs

    @property
    def obs_names(self) -> pd.Index:
        """Names of the cells, in the dataset's order."""
        return self.cells.names

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
        return self.cells.columns(names, cells)

    @cached_property
    def var(self) -> pd.DataFrame:
        """Metadata of the genes, as the source has them."""
        return read_var(self.store)

    @property
    def var_names(self) -> pd.Index:
        """Names of the genes, as the source has them."""
        return self.reader.genes.index

    @property
    def source_columns(self) -> Positions:
        """Position in the source (int64) of each gene by token."""
        return np.argsort(self.reader.genes.token)

    @cached_property
    def obsm(self) -> Embeddings:
        """Embeddings by the source's keys, cells × dimensions, each read when asked for."""
        return Embeddings(self.store, self.cells)

    @property
    def varm(self) -> dict[str, NDArray[Any]]:
        """What computed projections keep of the genes, such as loadings (genes × components); read each time."""
        return read_varm(self.store)

    @cached_property
    def uns(self) -> Mapping[str, Any]:
        """The unstructured metadata."""
        return read_uns(self.store)

    @property
    def X(self) -> MatrixView:  # noqa: N802 - AnnData's name
        """The source's values: ``atlas.X[cells, genes]`` is a CSR matrix of them, bit for bit."""
        return MatrixView(self.reader, self.cells, counts=False)

    @property
    def counts(self) -> MatrixView:
        """The integer counts: ``atlas.counts[cells, genes]`` is a CSR matrix, uint16 or uint32.

        Raises
        ------
        TitinError
            If the dataset is of kind ``real``.
        """
        self.reader.check_counts()
        return MatrixView(self.reader, self.cells, counts=True)

    @property
    def expression(self) -> Expression:
        """What acts like the DataFrame of cells × genes without being one."""
        return Expression(self.reader, self.cells)

    def __getitem__(self, gene: str) -> pd.Series:
        """Values of one gene over all cells, by its name in var, symbol or id; bit for bit those of the source.

        The first gene takes longer, as something about every cell is read with it and kept.

        Returns
        -------
        Series
            Of the source's dtype; index cell_id, name as asked for.

        Raises
        ------
        UnknownNameError
            A KeyError, with the nearest names if there is no such gene, the ids if there are several.
        DatasetError
            If a file is missing, damaged or replaced.
        """
        return pd.Series(self.reader.gene(gene), index=self.obs_names, name=gene, copy=False)

    def counts_of(self, gene: str) -> pd.Series:
        """Integer counts of one gene over all cells; as `atlas[gene]`, of dtype uint16 or uint32.

        Raises
        ------
        UnknownNameError, DatasetError
            As for `atlas[gene]`.
        TitinError
            If the dataset is of kind ``real``.
        """
        self.reader.check_counts()
        return pd.Series(self.reader.gene(gene, counts=True), index=self.obs_names, name=gene, copy=False)

    def cell_positions(self, cells: Any = None) -> Positions:
        """Positions (int64) of cells given by slice, positions, mask or names, in that order.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        found = self.cells.find(cells)
        return np.arange(self.n_obs) if found is None else found

    def gene_positions(self, genes: Any = None) -> Positions:
        """Positions (int64, in the source's order) of genes given by slice, positions, mask or names, in that order.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        found = self.reader.genes.find(genes)
        return np.arange(self.n_vars) if found is None else found

    def iter_blocks(self, *, counts: bool = False, cells: Any = None, genes: Any = None) -> Iterator[RowBlock]:
        """Yield the matrix in blocks of about a thousand cells, in the dataset's order, read ahead in threads.

        Parameters
        ----------
        counts
            Give integer counts instead of the source's values.
        cells
            Those wanted, as in ``atlas.X[cells]``; each is given once, in the dataset's order, however it is asked.
        genes
            The columns, as in ``atlas.X[:, genes]`` and in that order, but each once.

        Yields
        ------
        RowBlock
            ``rows``, the positions of the cells (for ``atlas.cell_columns``), and ``X``, their CSR matrix, sorted.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there, or a gene twice.
        DatasetError
            If a file is missing, damaged or replaced.
        """
        if counts:
            self.reader.check_counts()
        rows, columns = self.cells.find(cells), self.reader.genes.find(genes)
        if columns is not None:
            check_once(columns, self.var_names)
        return self.reader.blocks(None if rows is None else np.unique(rows), columns, counts=counts)

    def to_anndata(self, cells: Any = None, genes: Any = None, layers: Sequence[str] = ()) -> "AnnData":
        """Read cells × genes into an AnnData, with obs, var, obsm and uns.

        Parameters
        ----------
        cells, genes
            As in ``atlas.X[cells, genes]``.
        layers
            ``["counts"]`` for the counts beside the values.

        Raises
        ------
        MemoryLimitError
            If the matrix would not fit the memory limit; ``titin.export`` writes the whole to a file.
        SelectionError, UnknownNameError, DatasetError
            As for ``atlas.X``.
        """
        from anndata import AnnData

        if unknown := [name for name in layers if name != "counts"]:
            raise TitinError(f"the dataset has no layer {unknown[0]!r}", "layers: counts")
        rows, columns = self.cells.find(cells), self.reader.genes.find(genes)
        X = self.reader.csr(rows, columns)
        return AnnData(
            X=X,
            obs=self.cell_columns(cells=rows),
            var=(self.var if columns is None else self.var.iloc[columns]).copy(),
            obsm={key: _take_rows(table, rows) for key, table in self.obsm.items()},
            varm={key: table if columns is None else table[columns] for key, table in self.varm.items()},
            uns=deepcopy(dict(self.uns)),
            layers={name: self.reader.csr(rows, columns, counts=True) for name in layers},
        )

    def to_dask(self, *, counts: bool = False, rows: int = 16_384) -> Any:
        """Return the matrix as a dask array of CSR blocks, read when computed.

        Parameters
        ----------
        counts
            Integer counts instead of the source's values.
        rows
            Cells a block.

        Raises
        ------
        TitinError
            If dask is not installed.
        """
        return to_dask(self.reader, counts=counts, rows=rows)

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "reader": self.reader, "cells": self.cells, "_preset": self._preset}

    def __len__(self) -> int:
        return self.n_obs

    def __contains__(self, gene: object) -> bool:
        return gene in self.reader.genes.finder

    def __iter__(self) -> Iterator[str]:
        raise TypeError("an Atlas is not iterated over: take atlas.iter_blocks(), atlas.obs_names or atlas.var_names")

    def __repr__(self) -> str:
        lines = [f"Atlas with {self.n_obs:,} cells × {self.n_vars:,} genes, {self.kind}, in {self.store.name}"]
        parts = {
            "obs": [str(record["name"]) for record in self.manifest.obs["columns"][1:]],
            "var": [str(record["name"]) for record in self.manifest.var["columns"][1:]],
            "obsm": list(self.obsm),
        }
        lines += [f"    {part}: {', '.join(map(repr, names))}" for part, names in parts.items() if names]
        return "\n".join(lines)


def _take_rows(table: Any, rows: Positions | None) -> Any:
    return table if rows is None else table.iloc[rows] if isinstance(table, pd.DataFrame) else table[rows]


def open_atlas(
    path: str | os.PathLike[str], *, memory: int | str | None = None, threads: int | None = None,
    preset: Preset | str | Path | None = None,
) -> Atlas:  # fmt: skip
    """Open a dataset; nothing but ``titin.json`` is read yet.

    Parameters
    ----------
    path
        The folder that `titin.build` wrote, ``hf://datasets/user/repo`` (with ``@revision`` if need be), or any URL
        that fsspec opens.
    memory
        What one result may take, as bytes or like ``"4GiB"``; 1 GiB where not given. Not counted are obs, var and
        a few dozen bytes a cell.
    threads
        For reading; all processors where not given.
    preset
        What is known of the atlas beforehand, instead of the preset it was built with: a name of
        `titin.presets.preset_names`, a TOML file, or a `Preset`.

    Raises
    ------
    DatasetError
        If there is no dataset, or one of a later format.
    TitinError
        If a package is missing that the URL needs, or there is no such preset.
    """
    return Atlas(Store(path), memory=memory, threads=threads, preset=preset)
