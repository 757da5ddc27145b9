"""Cells × genes with what is known of both, as AnnData has them: an atlas, or a part of one, read when asked."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.axes import CellAxis, Chosen
from titin.atlas.csr import RowBlock
from titin.atlas.display import as_html, as_text, summarise
from titin.atlas.expression import Expression
from titin.atlas.kept_arrays import KeptArrays, array_places, memory_of, read_array
from titin.atlas.matrix import MatrixReader
from titin.atlas.orders import gene_order
from titin.atlas.row_groups import Positions
from titin.atlas.selection import SelectionError, UnknownNameError, check_memory, check_once
from titin.atlas.tables import read_loadings, read_uns, read_var
from titin.atlas.views import Embeddings, Layers, MatrixView
from titin.dataset.layout import AGE_NUMERIC, AGE_YEARS
from titin.dataset.store import Store
from titin.dataset.unstructured import said_synthetic
from titin.errors import DatasetError, TitinError
from titin.extras import check_installed

if TYPE_CHECKING:
    from anndata import AnnData

# what AnnData has and a dataset that is not in memory has not, and what to take
_INSTEAD = {
    "T": "take atlas.X[cells, genes].T",
    "copy": "a dataset is not changed: take atlas.to_memory(), which is yours",
    "write": "take atlas.write_h5ad(path), or titin.export",
    "write_zarr": "take titin.export(folder, path), which writes the whole by parts",
    "concatenate": "take anndata.concat([a.to_memory(), b.to_memory()])",
    "obs_keys": "take atlas.obs.columns",
    "var_keys": "take atlas.var.columns",
    "obsm_keys": "take list(atlas.obsm)",
    "isbacked": "a dataset is always read from its files",
    "chunked": "take atlas.iter_blocks()",
    "chunk_X": "take atlas.iter_blocks()",
    # what scanpy asks of the data that it is given
    **dict.fromkeys(("_sanitize", "strings_to_categoricals", "is_view", "_init_as_actual"),
                    "scanpy takes an AnnData: atlas.to_memory(), or that of a part; figures are in atlas.plot"),
    "rename_categories": "change the labels of atlas.to_memory()",
}  # fmt: skip

# of a dataset that has none of a kind of arrays
_NOT_KEPT = {
    "obsp": "titin build --keep-all keeps them, or take scanpy.pp.neighbors(atlas.to_memory())",
    "varp": "titin build --keep-all keeps them",
    "varm": "titin build --keep-all keeps them, and titin embed pca makes loadings",
}


class Annotated(ABC):
    """What `Atlas` and `AtlasView` share.

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
    @abstractmethod
    def raw(self) -> "Annotated | None":
        """What AnnData calls raw, where it was kept: a matrix of the same cells with genes of its own."""

    @property
    @abstractmethod
    def modalities(self) -> "Mapping[str, Annotated]":
        """What else was measured of these cells, by name, such as ``prot``: each with features of its own."""

    @property
    def _whole(self) -> "Annotated":
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

    @cached_property
    def obsm(self) -> Embeddings:
        """Embeddings by the source's keys, cells × dimensions, each read when asked for."""
        return Embeddings(self.store, self.cells, self.rows)

    @property
    def varm(self) -> KeptArrays:
        """Arrays of the genes by key, each read when asked for: loadings of computed projections (genes × components).

        Of a dataset that was built with ``--keep-all`` those of the source, too, in its dtype and storage.
        """
        computed = {key: partial(self._loadings, key) for key in self.store.manifest.varm}
        return self._arrays("varm", computed)

    @property
    def obsp(self) -> KeptArrays:
        """What the source has between cells (cells × cells) by key, each read when asked for.

        It is there where ``titin build --keep-all`` has kept it; of a part of the cells, what lies between these. One
        that would not fit the memory limit is refused.
        """
        return self._arrays("obsp", {})

    @property
    def varp(self) -> KeptArrays:
        """What the source has between genes (genes × genes) by key; as `obsp`."""
        return self._arrays("varp", {})

    def _arrays(self, group: str, computed: Mapping[str, Callable[[], Any]]) -> KeptArrays:
        kept = {key: partial(self._array, place) for key, place in array_places(self.store, group).items()}
        return KeptArrays(group, {**kept, **computed}, _NOT_KEPT[group])

    def _loadings(self, key: str) -> NDArray[Any]:
        table = read_loadings(self.store, key)
        return table if self.columns is None else table[self.columns]

    def _array(self, place: str) -> Any:
        check_memory(
            memory_of(self.store.manifest.arrays[place]), self.reader.resources.result, place,
            "its file can be read a row group at a time, by pyarrow",
        )  # fmt: skip
        if place.startswith("obs"):
            return read_array(self.store, place, self.rows, self.obs_names)
        order = gene_order(self.store)
        return read_array(self.store, place, order if self.columns is None else order[self.columns], self.var_names)

    @cached_property
    def uns(self) -> Mapping[str, Any]:
        """The unstructured metadata."""
        return read_uns(self.store)

    @cached_property
    def synthetic(self) -> str | None:
        """What the source says of data that are made up, such as the demo's; None where it says nothing of the kind."""
        try:
            return said_synthetic(self.uns)
        except DatasetError:  # of damaged metadata `titin validate` tells; all else can be read without
            return None

    @property
    def X(self) -> MatrixView:  # noqa: N802 - AnnData's name
        """The source's values: ``atlas.X[cells, genes]`` is a CSR matrix of them, bit for bit."""
        return MatrixView(self.reader, self._chosen_cells, self._chosen_genes, counts=False)

    @property
    def counts(self) -> MatrixView:
        """The integer counts: ``atlas.counts[cells, genes]`` is a CSR matrix, uint16 or uint32.

        Raises
        ------
        TitinError
            If the dataset is of kind ``real``.
        """
        self.reader.check_counts()
        return MatrixView(self.reader, self._chosen_cells, self._chosen_genes, counts=True)

    @property
    def layers(self) -> Layers:
        """Matrices beside X by name: those that were kept, and ``counts``, where the dataset has counts.

        ``atlas.layers["spliced"][cells, genes]`` is a CSR matrix of the source's values, bit for bit. A layer of the
        source that is called ``counts`` and was kept is what is called so here.
        """
        counts: dict[str, Callable[[], MatrixView]] = {"counts": lambda: self.counts}
        kept = {name: partial(self._layer, place) for name, place in self.store.manifest.layers.items()}
        return Layers((counts if self.store.manifest.value_kind.has_counts else {}) | kept)

    def _layer(self, place: str) -> MatrixView:
        return MatrixView(self.reader.part(place), self._chosen_cells, self._chosen_genes, counts=False)

    @property
    def expression(self) -> Expression:
        """What acts like the DataFrame of cells × genes without being one."""
        return Expression(self.reader, self.cells, self.rows, self.columns)

    @property
    def plot(self) -> Any:
        """Figures: ``atlas.plot.umap(color="XIST")``; see `titin.plot.AtlasFigures`."""
        import titin  # the front door, as figures are drawn in a room above

        return titin.plot.AtlasFigures(self)

    def Xy(self, target: str = "age", **options: Any) -> Any:  # noqa: N802 - scikit-learn's names
        """X, y and groups for scikit-learn: ``X, y, groups = atlas.Xy("age")``; see `titin.learn.make_Xy`."""
        import titin

        return titin.learn.make_Xy(self, target, **options)  # type: ignore[arg-type]

    @overload
    def __getitem__(self, key: str) -> pd.Series: ...

    @overload
    def __getitem__(self, key: Any) -> "AtlasView": ...

    def __getitem__(self, key: Any) -> Any:
        """One gene, or a part of the atlas, of which nothing is read yet.

        ``atlas["XIST"]`` is the gene's values, by its name in var, symbol or id, bit for bit those of the source. The
        first gene takes longer, as something about every cell is read with it and kept. ``atlas[cells]`` and
        ``atlas[cells, genes]`` are parts, chosen by slices, positions, masks or names: ``atlas[:, ["XIST", "CD3E"]]``,
        ``atlas[atlas.obs["Sex"] == "F"]``.

        Returns
        -------
        Series
            Of the source's dtype; index cell_id, name as asked for.
        AtlasView
            The part.

        Raises
        ------
        UnknownNameError
            A KeyError, with the nearest names if there is no such gene, the ids if there are several.
        SelectionError
            If the selection does not fit.
        DatasetError
            If a file is missing, damaged or replaced.
        """
        if isinstance(key, str):
            return self._gene(key, counts=False)
        cells, genes = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if isinstance(cells, tuple):
            raise SelectionError(f"an atlas has 2 dimensions, not {len(cells)}", "select cells, genes")
        return self._part(self._chosen_cells.find(cells), self._chosen_genes.find(genes))

    def query(self, question: str) -> "AtlasView":
        """Choose cells by their metadata: ``atlas.query('sex == "F" and age > 60')``.

        Parameters
        ----------
        question
            Conditions on columns of obs and on roles, with ``and``, ``or``, ``not``, ``in [A, B]`` and brackets; see
            `titin.study.Where`. Names with signs in them stand in backticks. It is read, and never run as code.

        Raises
        ------
        SelectionError
            If it is no question, or of what there is not; it names what is near.
        """
        return self._part(self._chosen_cells.find(self._ask(question)), self.columns)

    def _ask(self, question: str) -> NDArray[np.bool_]:
        """Whether it is so, of each cell; see `query`."""
        import titin  # the front door, as what columns mean is told in a room above

        try:
            where = titin.study.Where.of(question)
            keys = titin.study.Study.of(self._whole, where.columns).keys(where.columns)  # type: ignore[arg-type]
            return where.holds(keys if self.rows is None else keys.iloc[self.rows], empty=True)
        except TitinError as error:
            raise SelectionError(str(error.args[0]), error.hint) from error

    def subset(self, output: str | Path | None = None, *, where: Any = None, **options: Any) -> Any:
        """Write these cells and genes as a dataset of their own; see `titin.subset`.

        Parameters
        ----------
        output
            Folder to write.
        where
            Conditions that the cells have to fulfil, as for `query`.
        **options
            ``force``, ``resume``, ``threads``, ``memory``, ``progress``.

        Returns
        -------
        BuildReport
            The new dataset's path and manifest.
        """
        import titin

        return titin.subset(self, output, where=where, **options)

    def counts_of(self, gene: str) -> pd.Series:
        """Integer counts of one gene over the cells; as `atlas[gene]`, of dtype uint16 or uint32.

        Raises
        ------
        UnknownNameError, DatasetError
            As for `atlas[gene]`.
        TitinError
            If the dataset is of kind ``real``.
        """
        self.reader.check_counts()
        return self._gene(gene, counts=True)

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

    def obs_vector(self, name: str, *, layer: str | None = None) -> NDArray[Any]:
        """Give one value a cell: a column of obs, else a gene's values, or those of one of `layers`.

        Raises
        ------
        UnknownNameError
            If there is neither.
        """
        if layer is None and name in self.obs.columns:
            return self.cell_columns(name)[name].to_numpy()
        reader, counts = self._matrix(layer)
        values: NDArray[Any] = self._gene(name, counts=counts, reader=reader).to_numpy()
        return values

    def var_vector(self, name: str, *, layer: str | None = None) -> NDArray[Any]:
        """Give one value a gene: a column of var, else a cell's values, or those of one of `layers`.

        Raises
        ------
        UnknownNameError
            If there is neither.
        """
        if layer is None and name in self.var.columns:
            column: NDArray[Any] = self.var[name].to_numpy()
            return column
        values: NDArray[Any] = self._view(layer)[[name]].toarray().ravel()
        return values

    def to_df(self, layer: str | None = None) -> pd.DataFrame:
        """Return a DataFrame of cells × genes, dense: ``atlas[:, genes].to_df()``; of one of `layers` if it is named.

        Raises
        ------
        MemoryLimitError
            If it would not fit the memory limit.
        """
        if layer is None:
            return self.expression.to_frame()
        return pd.DataFrame(np.asarray(self._view(layer)), index=self.obs_names, columns=self.var_names)

    def to_anndata(self, cells: Any = None, genes: Any = None, layers: Sequence[str] = ()) -> "AnnData":
        """Read cells × genes into an AnnData, with obs, var, obsm and uns.

        Parameters
        ----------
        cells, genes
            As in ``atlas.X[cells, genes]``.
        layers
            Names of `layers` that come along, such as ``["counts"]``.

        Raises
        ------
        MemoryLimitError
            If a matrix would not fit the memory limit; ``titin.export`` writes the whole to a file.
        SelectionError, UnknownNameError, DatasetError
            As for ``atlas.X``.
        """
        check_installed("anndata", "to_anndata")
        from anndata import AnnData

        part = self._part(self._chosen_cells.find(cells), self._chosen_genes.find(genes))
        beside = {name: part._view(name) for name in layers}
        return AnnData(
            X=self.reader.csr(part.rows, part.columns), obs=part.cell_columns(), var=part.var.copy(),
            obsm=dict(part.obsm), varm=dict(part.varm), obsp=dict(part.obsp), varp=dict(part.varp),
            uns=deepcopy(dict(self.uns)),
            layers={name: view[:] for name, view in beside.items()},
        )  # fmt: skip

    def to_memory(self) -> "AnnData":
        """Read all into an AnnData, as `to_anndata` does, with the layers and the raw that the source had.

        AnnData has the name for one that is backed by a file.
        """
        read = self.to_anndata(layers=list(self.store.manifest.layers))
        raw = self.raw
        if raw is not None:
            read.raw = raw.to_anndata()
        return read

    def write_h5ad(self, path: str | PathLike[str], *, layers: Sequence[str] = ()) -> None:
        """Write an ``.h5ad`` file of what fits in memory; ``titin.export`` writes a dataset of any size.

        Raises
        ------
        MemoryLimitError
            If the matrix would not fit the memory limit.
        TitinError
            If there is such a file already.
        """
        if Path(path).exists():
            raise TitinError(f"{path} exists", "remove it, or give another name")
        self.to_anndata(layers=layers).write_h5ad(path)

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
        rows, columns = self._chosen_cells.find(cells), self._chosen_genes.find(genes)
        if columns is not None:
            check_once(columns, self.reader.genes.index)
        return self.reader.blocks(None if rows is None else np.unique(rows), columns, counts=counts)

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

    def _gene(self, name: str, *, counts: bool = False, reader: MatrixReader | None = None) -> pd.Series:
        self._chosen_genes.find([name])
        read = (reader or self.reader).gene(name, counts=counts)
        values = pd.Series(read, index=self.cells.names, name=name, copy=False)
        return values if self.rows is None else values.iloc[self.rows]

    def _part(self, rows: Positions | None, columns: Positions | None) -> "AtlasView":
        return AtlasView(self._whole, rows, columns)

    def _matrix(self, layer: str | None) -> tuple[MatrixReader, bool]:
        """The reader of X or of one of `layers`, and whether its counts are meant."""
        if layer is None:
            return self.reader, False
        kept = self.store.manifest.layers
        if layer in kept:
            return self.reader.part(kept[layer]), False
        if layer != "counts":
            raise UnknownNameError(f"the dataset has no layer {layer!r}", f"layers: {', '.join(self.layers) or 'none'}")
        self.reader.check_counts()
        return self.reader, True

    def _view(self, layer: str | None) -> MatrixView:
        reader, counts = self._matrix(layer)
        return MatrixView(reader, self._chosen_cells, self._chosen_genes, counts=counts)

    def _ipython_key_completions_(self) -> list[str]:
        return self.var_names.tolist()

    def __getattr__(self, name: str) -> NoReturn:
        hint = _INSTEAD.get(name)
        raise AttributeError(f"an {type(self).__name__} has no {name}{f': {hint}' if hint else ''}")

    def __len__(self) -> int:
        return self.n_obs

    def __contains__(self, gene: object) -> bool:
        return gene in self.reader.genes.finder if self.columns is None else gene in self.var_names

    def __iter__(self) -> Iterator[str]:
        raise TypeError("an Atlas is not iterated over: take atlas.iter_blocks(), atlas.obs_names or atlas.var_names")

    def __repr__(self) -> str:
        return as_text(*summarise(self, self._what))

    def _repr_html_(self) -> str:
        return as_html(*summarise(self, self._what))

    _what = "Atlas with"


class AtlasView(Annotated):
    """Some cells and genes of an `Atlas`, as a view of an AnnData is of that.

    It is made by ``atlas[cells, genes]`` or ``atlas.query(…)``, and reads what it is asked for. Cells come in the order
    in which they were chosen, perhaps several times; genes each once.

    Parameters
    ----------
    atlas
        The whole.
    rows, columns
        Positions of the cells in the dataset, and of the genes in the source's order; None for all.

    Attributes
    ----------
    atlas
        The whole, a `titin.Atlas`, of which this is a part: roles, preset and manifest are its.

    Raises
    ------
    SelectionError
        If a gene is chosen twice.
    """

    _what = "View of"

    def __init__(self, atlas: Annotated, rows: Positions | None, columns: Positions | None) -> None:
        self.atlas: Any = atlas
        self._rows, self._columns = rows, columns
        self.store, self.reader, self.cells = atlas.store, atlas.reader, atlas.cells
        if columns is not None:
            check_once(columns, self.reader.genes.index)

    @property
    def rows(self) -> Positions | None:
        """Positions of the cells in the dataset (int64); None for all."""
        return self._rows

    @property
    def columns(self) -> Positions | None:
        """Positions of the genes in the source's order (int64); None for all."""
        return self._columns

    @property
    def obs(self) -> pd.DataFrame:
        """Metadata of the cells, a copy: what is written into it goes nowhere."""
        return self.cell_columns()

    @property
    def raw(self) -> "AtlasView | None":
        """These cells of the whole's `Atlas.raw`, with all of its genes; None where there is none."""
        raw = self.atlas.raw
        return None if raw is None else AtlasView(raw, self._rows, None)

    @property
    def modalities(self) -> "dict[str, AtlasView]":
        """These cells of the whole's `Atlas.modalities`, each with all of its features."""
        return {name: AtlasView(whole, self._rows, None) for name, whole in self.atlas.modalities.items()}

    @property
    def _whole(self) -> Annotated:
        whole: Annotated = self.atlas
        return whole

    def __getattr__(self, name: str) -> NoReturn:
        if hasattr(type(self.__dict__.get("atlas")), name):
            raise AttributeError(f"a view has no {name}: it is the whole's, view.atlas.{name}")
        super().__getattr__(name)

    def __getstate__(self) -> dict[str, Any]:
        return {"atlas": self.atlas, "rows": self._rows, "columns": self._columns}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
