"""Matrices of counts beside X, which can witness the counts that lie behind its values."""

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.source.matrices import ChosenColumns
from titin.source.stored import StoredMatrix

COUNT_LAYERS = ("counts", "raw_counts", "count", "umi_counts", "umi_count", "umi", "raw")
"""Names of layers that hold counts by convention, the most usual first; capitals do not matter."""
_COUNTS, _NO_COUNTS = re.compile("count|umi|^x_raw$|^raw", re.I), re.compile("log|norm|scale|corrected", re.I)

WITNESS = "witness for count recovery; not stored"
_SAMPLE = 1 << 18


def count_layers(names: list[str]) -> list[str]:
    """Return the layers that promise counts by their name, the most usual name first.

    Examples
    --------
    >>> count_layers(["logcounts", "rawCounts", "counts", "spliced"])
    ['counts', 'rawCounts']
    """
    usual = [name for name in names if name.lower() in COUNT_LAYERS]
    like = [name for name in names if name not in usual and _COUNTS.search(name) and not _NO_COUNTS.search(name)]
    return sorted(usual, key=lambda name: (COUNT_LAYERS.index(name.lower()), name)) + sorted(like)


def from_layer(X: StoredMatrix, layer: StoredMatrix) -> tuple[StoredMatrix | None, str]:
    """Return a layer if it can witness the counts of X, and what to say of it."""
    if layer.shape != X.shape:
        return None, f"has shape {layer.shape}, X has {X.shape}"
    return (layer, WITNESS) if _starts_with_counts(layer) else (None, "holds other values than counts; not stored")


def from_raw(
    X: StoredMatrix, genes: pd.Index, raw: StoredMatrix, raw_genes: pd.Index
) -> tuple[StoredMatrix | None, str]:
    """Return raw/X with the genes of X, if it has them all and holds counts, and what to say of it."""
    if raw.shape[0] != X.shape[0] or raw.shape[1] != len(raw_genes):
        return None, f"has shape {raw.shape}, X has {X.shape} and raw/var {len(raw_genes):,} rows; not stored"
    columns = _places(genes, raw_genes)
    if columns is None:
        return None, "its genes are not unique; not stored"
    absent = int((columns < 0).sum())
    if absent:
        return None, f"lacks {absent:,} genes of X; not stored"
    if not _starts_with_counts(raw):
        return None, "holds other values than counts; not stored"
    extra = len(raw_genes) - len(genes)
    note = f"{WITNESS}; {extra:,} of its genes are not in X" if extra else WITNESS
    same = extra == 0 and bool((columns == np.arange(len(genes))).all())
    return (raw if same else ChosenColumns(raw, columns)), note


def _places(genes: pd.Index, raw_genes: pd.Index) -> NDArray[Any] | None:
    """Position in raw of each gene of X, -1 where it is not there; None where names that repeat leave it open."""
    if raw_genes.equals(genes):
        return np.arange(len(genes))
    if not genes.is_unique:
        return None
    once = np.flatnonzero(~raw_genes.duplicated(keep=False))  # the names of X alone must be unambiguous
    if not raw_genes.is_unique and genes.isin(raw_genes[raw_genes.duplicated()]).any():
        return None
    found = raw_genes[once].get_indexer(genes)
    return np.where(found < 0, -1, once[found])


def _starts_with_counts(matrix: StoredMatrix) -> bool:
    values = matrix.head(_SAMPLE)
    if values.dtype.kind in "ub":
        return True
    if values.dtype.kind == "i":
        return bool((values >= 0).all())
    with np.errstate(invalid="ignore"):
        return bool(((values >= 0) & (values == np.floor(values)) & np.isfinite(values)).all())
