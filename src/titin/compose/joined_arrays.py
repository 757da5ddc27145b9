"""What studies have kept beside their matrices, joined where that says something of all of them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.compose.joined_genes import JoinedGenes
from titin.dataset.manifest import ARRAY_GROUPS, PAIRWISE, RAW, group_of
from titin.source import Source
from titin.source.obsm import CellArrays


def join_arrays(
    sources: Mapping[str, Source], genes: JoinedGenes, raw: JoinedGenes | None, left_out: dict[str, str]
) -> CellArrays:
    """Join arrays that all studies have, as `anndata.concat` does with ``pairwise=True`` and ``merge="same"``.

    What lies between cells is put together with nothing between those of two studies. What is said of genes is kept
    where all studies measured all genes of the whole and say the same of them, bit for bit.

    Parameters
    ----------
    sources
        By study.
    genes, raw
        Genes of X, and of raw where that is joined.
    left_out
        What cannot be joined is named there, and why.

    Returns
    -------
    CellArrays
        By place, each read when asked for.
    """
    of_genes = {"genes": genes, RAW: raw}
    found: dict[str, Any] = {}
    for place in dict.fromkeys(place for source in sources.values() for place in source.arrays):
        own = {study: source for study, source in sources.items() if place in source.arrays}
        group = group_of(place)
        if len(own) < len(sources):
            left_out[place] = f"of {', '.join(own)} alone"
        elif group == "obsp":
            found[place] = partial(_block_diagonal, place, own)
        elif ARRAY_GROUPS[group] == "cells":
            left_out[place] = "columns of one study need not be those of another"
        else:
            joined = of_genes[ARRAY_GROUPS[group]]
            reason = f"{RAW} is left out" if joined is None else _reason(place, own, joined)
            if joined is None or reason:
                left_out[place] = reason
            else:
                first = next(iter(own))
                found[place] = partial(_of_genes, place, own[first], joined, first)
    return CellArrays(found)


def _block_diagonal(place: str, own: Mapping[str, Source]) -> sparse.csr_matrix:
    """Cells × cells of all studies, the first study's first; entries that are stored zeros stay."""
    starts = np.cumsum([0, *(source.X.shape[0] for source in own.values())])
    dtype = np.int32 if starts[-1] <= np.iinfo(np.int32).max else np.int64
    indptr, indices, data, n = [np.zeros(1, np.int64)], [], [], 0
    for start, source in zip(starts.tolist(), own.values(), strict=False):
        block = sparse.csr_matrix(source.arrays[place])
        indptr.append(block.indptr[1:].astype(np.int64) + n)
        indices.append(block.indices.astype(dtype) + dtype(start))
        data.append(block.data)
        n += block.nnz
    del block
    return sparse.csr_matrix((_joined(data), _joined(indices), _joined(indptr)), shape=(starts[-1], starts[-1]))


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Arrays as one; those that were are let go, as all of them are large."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _reason(place: str, own: Mapping[str, Source], genes: JoinedGenes) -> str:
    """Why what is said of genes cannot be kept; empty where it can."""
    lacking = [study for study in own if (genes.matched.places[study] < 0).any()]
    if lacking:
        return f"{', '.join(lacking)} did not measure all of the genes"
    (first, one), *others = own.items()
    said = _of_genes(place, one, genes, first)
    differ = [study for study, source in others if not _same(said, _of_genes(place, source, genes, study))]
    return f"{', '.join(differ)} {'says' if len(differ) == 1 else 'say'} otherwise than {first}" if differ else ""


def _of_genes(place: str, source: Source, genes: JoinedGenes, study: str) -> Any:
    """An array of one study, its rows (and columns, between genes) those of the whole."""
    value, rows = source.arrays[place], genes.matched.places[study]
    if isinstance(value, pd.DataFrame):
        return value.iloc[rows].set_axis(genes.var.index.rename(value.index.name), axis=0)
    pairwise = group_of(place) in PAIRWISE
    if not sparse.issparse(value):
        return value[rows][:, rows] if pairwise else value[rows]
    taken = sparse.csr_matrix(value)[rows]
    taken = taken[:, rows] if pairwise else taken
    taken.sort_indices()
    return taken.asformat(value.format)


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, pd.DataFrame):
        return one.index.name == other.index.name and list(one.dtypes) == list(other.dtypes) and one.equals(other)
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    if not sparse.issparse(one):
        return bool(one.tobytes() == other.tobytes())
    parts = ("indptr", "indices", "data")
    return all(getattr(one, part).tobytes() == getattr(other, part).tobytes() for part in parts)
