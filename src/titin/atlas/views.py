"""What an Atlas shows of its matrix and embeddings: ``atlas.X``, ``atlas.obsm``, a dask array."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.axes import CellAxis, Chosen
from titin.atlas.kept_arrays import array_places, read_array
from titin.atlas.matrix import MatrixReader
from titin.atlas.row_groups import Positions
from titin.atlas.selection import SelectionError, UnknownNameError, check_memory
from titin.atlas.tables import read_embedding
from titin.dataset.store import Store
from titin.extras import require

if TYPE_CHECKING:
    from scipy import sparse


class MatrixView:
    """The cells × genes matrix, of which brackets read a part.

    ``view[cells]`` and ``view[cells, genes]`` take slices, positions, masks and names, in any order and with repeats,
    and give a CSR matrix of two dimensions. Whichever is less work is read: the row groups that hold the cells, or
    those that hold the genes. ``np.asarray(view)`` is the whole as a dense array, if that fits the memory limit.

    Attributes
    ----------
    shape
        Cells, genes.
    dtype
        That of the source's values, or of the counts as stored.
    """

    ndim = 2

    def __init__(self, reader: MatrixReader, cells: Chosen, genes: Chosen, *, counts: bool) -> None:
        self._reader, self._cells, self._genes, self._counts = reader, cells, genes, counts

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return len(self._cells), len(self._genes)

    @property
    def dtype(self) -> np.dtype:
        """Of the values, or of the counts as stored."""
        return self._reader.count_dtype if self._counts else self._reader.dtype

    def __getitem__(self, key: Any) -> "sparse.csr_matrix":
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
        return self._reader.csr(self._cells.find(rows), self._genes.find(columns), counts=self._counts)

    def toarray(self) -> NDArray[Any]:
        """Read the whole as a dense array.

        Raises
        ------
        MemoryLimitError
            If it would not fit the memory limit.
        """
        n_cells, n_genes = self.shape
        check_memory(
            n_cells * n_genes * self.dtype.itemsize, self._reader.resources.result,
            f"a dense array of {n_cells:,} cells × {n_genes:,} genes",
            "take a sparse part, atlas.X[cells, genes], or atlas.iter_blocks()",
        )  # fmt: skip
        dense: NDArray[Any] = self[:].toarray()
        return dense

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a matrix of a dataset is read, so that an array of it is always a copy")
        return self.toarray() if dtype is None else self.toarray().astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        what = "counts" if self._counts else "values"
        return f"{what} of {self.shape[0]:,} cells × {self.shape[1]:,} genes, {self.dtype}; read by [cells, genes]"


class Layers(Mapping[str, MatrixView]):
    """Matrices beside X by name, each opened when asked for."""

    def __init__(self, views: Mapping[str, Callable[[], MatrixView]]) -> None:
        self._views = views

    def __getitem__(self, key: str) -> MatrixView:
        if key not in self._views:
            raise UnknownNameError(f"there is no layer {key!r}", f"layers: {', '.join(self) or 'none'}")
        return self._views[key]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        return f"Layers with keys: {', '.join(self)}"


class Embeddings(Mapping[str, Any]):
    """Embeddings of the cells, each read when asked for and not kept.

    ``embeddings[key]`` is a numpy array (cells × dimensions) in the source's dtype, or a DataFrame where the source
    had one; of what is no embedding, such as a sparse matrix, what the source had.
    """

    def __init__(self, store: Store, cells: CellAxis, rows: Positions | None = None) -> None:
        self._store, self._cells, self._rows = store, cells, rows

    def __getitem__(self, key: str) -> Any:
        if key not in self._store.manifest.obsm:
            if key in self._others:
                return read_array(self._store, self._others[key], self._rows, self._names)
            raise UnknownNameError(f"there is no embedding {key!r}", f"embeddings: {', '.join(self) or 'none'}")
        table, rows = read_embedding(self._store, key, self._cells.names), self._rows
        return table if rows is None else table.iloc[rows] if isinstance(table, pd.DataFrame) else table[rows]

    @property
    def _names(self) -> pd.Index:
        names = self._cells.names
        return names if self._rows is None else names[self._rows]

    @cached_property
    def _others(self) -> dict[str, str]:
        """What is kept of obsm and is no embedding, such as a sparse matrix, with its place."""
        kept = array_places(self._store, "obsm")
        return {key: place for key, place in kept.items() if key not in self._store.manifest.obsm}

    def __iter__(self) -> Iterator[str]:
        yield from self._store.manifest.obsm
        yield from self._others

    def __len__(self) -> int:
        return len(self._store.manifest.obsm) + len(self._others)

    def __repr__(self) -> str:
        return f"Embeddings with keys: {', '.join(self)}"


_CHUNK_CELLS = 16_384


def to_dask(reader: MatrixReader, *, counts: bool = False, rows: int = _CHUNK_CELLS) -> Any:
    """Make a dask array of CSR blocks; see `Atlas.to_dask`."""
    dask, da = require("dask", "to_dask"), require("dask.array", "to_dask")
    n_cells, n_genes = reader.n_cells, reader.n_genes
    dtype = reader.count_dtype if counts else reader.dtype
    from scipy import sparse

    meta = sparse.csr_matrix((0, 0), dtype=dtype)
    read = dask.delayed(_read_rows, pure=True)
    edges = [*range(0, n_cells, rows), n_cells] if n_cells else [0, 0]
    blocks = [
        da.from_delayed(read(reader, a, b, counts), (b - a, n_genes), dtype=dtype, meta=meta)
        for a, b in pairwise(edges)
    ]
    return da.concatenate(blocks, axis=0)


def _read_rows(reader: MatrixReader, first: int, end: int, counts: bool) -> "sparse.csr_matrix":
    return reader.csr(np.arange(first, end), None, counts=counts)
