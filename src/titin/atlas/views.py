"""What an Atlas shows of its matrix and embeddings: ``atlas.X``, ``atlas.obsm``, a dask array."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from titin.atlas.axes import CellAxis
from titin.atlas.matrix import MatrixReader
from titin.atlas.selection import SelectionError
from titin.atlas.tables import read_embedding
from titin.dataset.store import Store
from titin.errors import TitinError


class MatrixView:
    """The cells × genes matrix, of which brackets read a part.

    ``view[cells]`` and ``view[cells, genes]`` take slices, positions, masks and names, in any order and with repeats,
    and give a CSR matrix of two dimensions. Whichever is less work is read: the row groups that hold the cells, or
    those that hold the genes.

    Attributes
    ----------
    shape
        Cells, genes.
    dtype
        That of the source's values, or of the counts as stored.
    """

    def __init__(self, reader: MatrixReader, cells: CellAxis, *, counts: bool) -> None:
        self._reader, self._cells, self._counts = reader, cells, counts

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self._reader.n_cells, self._reader.n_genes

    @property
    def dtype(self) -> np.dtype:
        """Of the values, or of the counts as stored."""
        return self._reader.count_dtype if self._counts else self._reader.dtype

    def __getitem__(self, key: Any) -> sparse.csr_matrix:
        """Read cells × genes.

        Raises
        ------
        MemoryLimitError
            If the result would not fit the memory limit.
        SelectionError, UnknownNameError
            If the selection names what is not there.
        DatasetError
            If a file is missing, damaged or replaced.
        """
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, None)
        if isinstance(rows, tuple):
            raise SelectionError(f"a matrix has 2 dimensions, not {len(rows)}", "select cells, genes")
        genes = None if columns is None else self._reader.genes.find(columns)
        return self._reader.csr(self._cells.find(rows), genes, counts=self._counts)

    def __repr__(self) -> str:
        what = "counts" if self._counts else "values"
        return f"{what} of {self.shape[0]:,} cells × {self.shape[1]:,} genes, {self.dtype}; read by [cells, genes]"


class Embeddings(Mapping[str, Any]):
    """Embeddings of the cells, each read when asked for and not kept.

    ``embeddings[key]`` is a numpy array (cells × dimensions) in the source's dtype, or a DataFrame where the source
    had one.
    """

    def __init__(self, store: Store, cells: CellAxis) -> None:
        self._store, self._cells = store, cells

    def __getitem__(self, key: str) -> Any:
        if key not in self._store.manifest.obsm:
            raise KeyError(key)
        return read_embedding(self._store, key, self._cells.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.manifest.obsm)

    def __len__(self) -> int:
        return len(self._store.manifest.obsm)

    def __repr__(self) -> str:
        return f"Embeddings with keys: {', '.join(self)}"


_CHUNK_CELLS = 16_384


def to_dask(reader: MatrixReader, *, counts: bool = False, rows: int = _CHUNK_CELLS) -> Any:
    """Make a dask array of CSR blocks; see `Atlas.to_dask`."""
    try:
        dask, da = import_module("dask"), import_module("dask.array")
    except ImportError as error:
        raise TitinError(
            "to_dask needs the package dask, which is not installed", "pip install 'dask[array]' (or 'titin[dask]')"
        ) from error
    n_cells, n_genes = reader.n_cells, reader.n_genes
    dtype = reader.count_dtype if counts else reader.dtype
    meta = sparse.csr_matrix((0, 0), dtype=dtype)
    read = dask.delayed(_read_rows, pure=True)
    edges = [*range(0, n_cells, rows), n_cells] if n_cells else [0, 0]
    blocks = [
        da.from_delayed(read(reader, a, b, counts), (b - a, n_genes), dtype=dtype, meta=meta)
        for a, b in pairwise(edges)
    ]
    return da.concatenate(blocks, axis=0)


def _read_rows(reader: MatrixReader, first: int, end: int, counts: bool) -> sparse.csr_matrix:
    return reader.csr(np.arange(first, end), None, counts=counts)
