"""A matrix of integer counts beside X, from which counts need not be guessed."""

import numpy as np
import pandas as pd

from titin.source._columns import ChosenColumns
from titin.source._stored import StoredMatrix

COUNT_LAYERS = ("counts", "raw_counts", "count", "umi_counts", "umi_count", "umi", "raw")
"""Names of layers that hold counts by convention, the most usual first; capitals do not matter."""

WITNESS = "witness for count recovery; not stored"
_SAMPLE = 1 << 18


def count_layers(names: list[str]) -> list[str]:
    """Return the layers that promise counts by their name, the most usual name first."""
    return sorted((n for n in names if n.lower() in COUNT_LAYERS), key=lambda n: (COUNT_LAYERS.index(n.lower()), n))


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
    if not raw_genes.is_unique:
        return None, "its genes are not unique; not stored"
    columns = raw_genes.get_indexer(genes)
    absent = int((columns < 0).sum())
    if absent:
        return None, f"lacks {absent:,} genes of X; not stored"
    if not _starts_with_counts(raw):
        return None, "holds other values than counts; not stored"
    extra = len(raw_genes) - len(genes)
    note = f"{WITNESS}; {extra:,} of its genes are not in X" if extra else WITNESS
    same = extra == 0 and bool((columns == np.arange(len(genes))).all())
    return (raw if same else ChosenColumns(raw, columns)), note


def _starts_with_counts(matrix: StoredMatrix) -> bool:
    values = matrix.head(_SAMPLE)
    if values.dtype.kind in "ub":
        return True
    if values.dtype.kind == "i":
        return bool((values >= 0).all())
    with np.errstate(invalid="ignore"):
        return bool(((values >= 0) & (values == np.floor(values)) & np.isfinite(values)).all())
