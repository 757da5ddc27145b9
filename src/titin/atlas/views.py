"""``atlas.X`` and ``atlas.counts``: a matrix in brackets."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from titin.atlas.selection import SelectionError
from titin.atlas.tables import read_embedding
from titin.errors import TitinError

if TYPE_CHECKING:
    from anndata import AnnData

    from titin.atlas.atlas import Atlas


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

    def __init__(self, atlas: "Atlas", *, counts: bool) -> None:
        self._atlas, self._counts = atlas, counts

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self._atlas.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the values, or of the counts as stored."""
        return self._atlas.reader.count_dtype if self._counts else self._atlas.reader.dtype

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
        return self._atlas.reader.csr(
            self._atlas.find_cells(rows), self._atlas.find_genes(columns), counts=self._counts
        )

    def __repr__(self) -> str:
        what = "counts" if self._counts else "values"
        return f"{what} of {self.shape[0]:,} cells × {self.shape[1]:,} genes, {self.dtype}; read by [cells, genes]"


class Embeddings(Mapping[str, Any]):
    """Embeddings of the cells, each read when asked for and not kept.

    ``embeddings[key]`` is a numpy array (cells × dimensions) in the source's dtype, or a DataFrame where the source
    had one.
    """

    def __init__(self, atlas: "Atlas") -> None:
        self._atlas = atlas

    def __getitem__(self, key: str) -> Any:
        if key not in self._atlas.manifest.obsm:
            raise KeyError(key)
        return read_embedding(self._atlas.store, key, self._atlas.obs_names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._atlas.manifest.obsm)

    def __len__(self) -> int:
        return len(self._atlas.manifest.obsm)

    def __repr__(self) -> str:
        return f"Embeddings with keys: {', '.join(self)}"


LAYERS = ("counts",)
_CHUNK_CELLS = 16_384


def to_anndata(atlas: "Atlas", cells: Any, genes: Any, layers: Sequence[str]) -> "AnnData":
    """Read cells × genes with all that belongs to them; see `Atlas.to_anndata`."""
    from anndata import AnnData

    unknown = [name for name in layers if name not in LAYERS]
    if unknown:
        raise TitinError(f"the dataset has no layer {unknown[0]!r}", f"layers: {', '.join(LAYERS)}")
    rows, columns = atlas.find_cells(cells), atlas.find_genes(genes)
    at = slice(None) if rows is None else rows
    X = atlas.reader.csr(rows, columns)
    var = atlas.var if columns is None else atlas.var.iloc[columns]
    return AnnData(
        X=X,
        obs=atlas.cell_columns(cells=rows),
        var=var.copy(),
        obsm={key: _rows_of(atlas.obsm[key], at) for key in atlas.obsm},
        varm={key: table if columns is None else table[columns] for key, table in atlas.varm.items()},
        uns=deepcopy(dict(atlas.uns)),
        layers={name: atlas.reader.csr(rows, columns, counts=True) for name in layers},
    )


def _rows_of(embedding: Any, rows: Any) -> Any:
    return embedding.iloc[rows] if isinstance(embedding, pd.DataFrame) else embedding[rows]


def to_dask(atlas: "Atlas", *, counts: bool = False, rows: int = _CHUNK_CELLS) -> Any:
    """Make a dask array of CSR blocks; see `Atlas.to_dask`."""
    try:
        dask, da = import_module("dask"), import_module("dask.array")
    except ImportError as error:
        raise TitinError(
            "to_dask needs the package dask, which is not installed", "pip install 'dask[array]' (or 'titin[dask]')"
        ) from error
    n_cells, n_genes = atlas.shape
    dtype = atlas.counts.dtype if counts else atlas.X.dtype
    meta = sparse.csr_matrix((0, 0), dtype=dtype)
    read = dask.delayed(_read_rows, pure=True)
    edges = [*range(0, n_cells, rows), n_cells] if n_cells else [0, 0]
    blocks = [
        da.from_delayed(read(atlas, a, b, counts), (b - a, n_genes), dtype=dtype, meta=meta) for a, b in pairwise(edges)
    ]
    return da.concatenate(blocks, axis=0)


def _read_rows(atlas: "Atlas", first: int, end: int, counts: bool) -> sparse.csr_matrix:
    return atlas.reader.csr(np.arange(first, end), None, counts=counts)
