"""What is known of a dataset from its manifest alone."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.csr import RowBlock
from titin.atlas.matrix import Reader
from titin.atlas.row_groups import Positions
from titin.atlas.selection import check_once, find_cells, ordered_columns, resolve, rows_of_cells
from titin.atlas.tables import read_obs, read_obs_names, read_uns, read_var, read_varm
from titin.atlas.views import Embeddings, MatrixView, to_anndata, to_dask
from titin.dataset.layout import Layout
from titin.dataset.manifest import Manifest
from titin.dataset.store import Store
from titin.presets import Preset, choose_preset, preset_of
from titin.resources import make_resources

if TYPE_CHECKING:
    from anndata import AnnData

    from titin.atlas.expression import Expression


class Facts:
    """Size, kind, roles and names, of which nothing is to be read."""

    store: Store

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


class Atlas(Facts):
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
        self.reader = Reader(store, make_resources(threads, memory))

    @cached_property
    def preset(self) -> Preset:
        """What is known of the atlas beforehand: what it was opened with, else what it was built with.

        Raises
        ------
        TitinError
            If this titin has no preset of the name that the manifest has.
        """
        return preset_of(self.manifest) if self._preset is None else self._preset

    @cached_property
    def obs(self) -> pd.DataFrame:
        """Metadata of the cells, with the source's columns and dtypes, index cell_id.

        Also ``age_numeric`` and ``age_years`` where the dataset has them and the source has no column of that name.
        """
        obs = read_obs(self.store, ages=True)
        if "obs_names" in self.__dict__:
            obs.index = self.obs_names  # one Index for both, which equals itself without a look at the names
        self.__dict__["obs_names"] = obs.index
        return obs

    @cached_property
    def obs_names(self) -> pd.Index:
        """Names of the cells, in the dataset's order."""
        return read_obs_names(self.store)

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
        return ordered_columns(self.obs, self.obs_names, names, self.find_cells(cells))

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
        return Embeddings(self)

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
        return MatrixView(self, counts=False)

    @property
    def counts(self) -> MatrixView:
        """The integer counts: ``atlas.counts[cells, genes]`` is a CSR matrix, uint16 or uint32.

        Raises
        ------
        TitinError
            If the dataset is of kind ``real``.
        """
        self.reader.check_counts()
        return MatrixView(self, counts=True)

    @property
    def expression(self) -> "Expression":
        """What acts like the DataFrame of cells × genes without being one."""
        from titin.atlas.expression import Expression

        return Expression(self)

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
        token = self._token(gene)
        cells, stored = self.reader.by_gene.read(token)
        return self._series(gene, cells, self.reader.by_gene.values(token, cells, stored), self.reader.dtype)

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
        cells, stored = self.reader.by_gene.read(self._token(gene))
        return self._series(gene, cells, stored, stored.dtype)

    def _token(self, gene: str) -> int:
        return int(self.reader.genes.token[self.reader.genes.finder.find(gene)])

    def _series(self, name: str, cells: Any, values: Any, dtype: np.dtype) -> pd.Series:
        whole = np.zeros(self.n_obs, dtype)
        whole[cells] = values
        return pd.Series(whole, index=self.obs_names, name=name, copy=False)

    def check_index(self, labels: Any) -> None:
        """Refuse a Series that is numbered from 0 while `obs` has lost the names of its cells: it may come from there.

        Raises
        ------
        SelectionError
            If it is one; see `cell_columns`.
        """
        if isinstance(labels, pd.Series) and isinstance(labels.index, pd.RangeIndex) and "obs" in self.__dict__:
            rows_of_cells(self.obs, self.obs_names)

    def find_cells(self, cells: Any) -> Positions | None:
        """As `cell_positions`, but None for all of them."""
        self.check_index(cells)
        return resolve(
            cells, self.n_obs, "cell", lambda: self.obs_names, lambda names: find_cells(names, self.obs_names)
        )

    def find_genes(self, genes: Any) -> Positions | None:
        """As `gene_positions`, but None for all of them."""
        names = self.reader.genes.finder.find_all
        return resolve(genes, self.n_vars, "gene", lambda: self.var_names, names)

    def cell_positions(self, cells: Any = None) -> Positions:
        """Positions (int64) of cells given by slice, positions, mask or names, in that order.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        found = self.find_cells(cells)
        return np.arange(self.n_obs) if found is None else found

    def gene_positions(self, genes: Any = None) -> Positions:
        """Positions (int64, in the source's order) of genes given by slice, positions, mask or names, in that order.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        found = self.find_genes(genes)
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
        rows, columns = self.find_cells(cells), self.find_genes(genes)
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
        return to_anndata(self, cells, genes, layers)

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
        return to_dask(self, counts=counts, rows=rows)

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "reader": self.reader, "_preset": self._preset}

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
