"""An Atlas as what other libraries hold in memory: AnnData, and dask arrays."""

from collections.abc import Sequence
from copy import deepcopy
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from titin.errors import TitinError

if TYPE_CHECKING:
    from anndata import AnnData

    from titin.atlas.atlas import Atlas

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
        obs=atlas.ordered_obs.iloc[at].copy(),
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
