"""What an atlas holds, each part read when asked for: its matrices, arrays beside them, unstructured metadata."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.cells_by_genes import CellsByGenes
from titin.atlas.csr import RowBlock
from titin.atlas.expression import Expression
from titin.atlas.kept_arrays import KeptArrays, array_places, memory_of, read_array
from titin.atlas.matrix import MatrixReader
from titin.atlas.orders import gene_order
from titin.atlas.selection import UnknownNameError, check_memory, check_once
from titin.atlas.tables import read_loadings, read_uns
from titin.atlas.views import Embeddings, Layers, MatrixView
from titin.dataset.unstructured import said_synthetic
from titin.errors import DatasetError

# of a dataset that has none of a kind of arrays
_NOT_KEPT = {
    "obsp": "titin build --keep-all keeps them, or take scanpy.pp.neighbors(atlas.to_memory())",
    "varp": "titin build --keep-all keeps them",
    "varm": "titin build --keep-all keeps them, and titin embed pca makes loadings",
}


class AtlasContents(CellsByGenes):
    """What there is of these cells and genes, in the order of the dataset or as they were chosen."""

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

    def _gene(self, name: str, *, counts: bool = False, reader: MatrixReader | None = None) -> pd.Series:
        own = (reader or self.reader).store
        files = own.manifest.layout
        own.begin([files.feature_metadata, files.sample_metadata], [files.expression_by_gene])
        self._chosen_genes.find([name])
        read = (reader or self.reader).gene(name, counts=counts)
        values = pd.Series(read, index=self.cells.names, name=name, copy=False)
        return values if self.rows is None else values.iloc[self.rows]

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

    @property
    def expression(self) -> Expression:
        """What acts like the DataFrame of cells × genes without being one."""
        return Expression(self.reader, self.cells, self.rows, self.columns)

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
