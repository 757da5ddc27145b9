"""Which cell and which gene of the source each row is of: numbers read, checked, and safe to index by."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.store import Store

Positions = NDArray[np.int64]


def source_rows(store: Store) -> Positions:
    """Row in the source of each cell, in the dataset's order.

    Raises
    ------
    DatasetError
        If a file is missing, damaged or replaced, or the rows are not those of the source, each once.
    """
    name = store.manifest.layout.expression
    return _permutation(store, name, layout.SOURCE_ROW, store.column(name, layout.SOURCE_ROW))


def source_order(store: Store) -> Positions:
    """Position in the dataset of each row of the source; raises as `source_rows`."""
    return np.argsort(source_rows(store))


def source_columns(store: Store, table: pa.Table | None = None) -> Positions:
    """Column in the source of each gene, by token.

    Parameters
    ----------
    table
        Where it has been read already, with other columns.

    Raises
    ------
    DatasetError
        If a file is missing, damaged or replaced, or the columns are not those of the source, each once.
    """
    name = store.manifest.layout.feature_metadata
    table = store.table(name, [layout.SOURCE_COLUMN]) if table is None else table
    if layout.SOURCE_COLUMN not in table.column_names:
        raise store.damaged(name, ValueError(f"it has no column {layout.SOURCE_COLUMN}"))
    return _permutation(store, name, layout.SOURCE_COLUMN, table.column(layout.SOURCE_COLUMN))


def gene_order(store: Store, table: pa.Table | None = None) -> Positions:
    """Token of each gene in the source's order; as `source_columns`."""
    return np.argsort(source_columns(store, table))


def check_tokens(store: Store, name: str, tokens: NDArray[np.int32], first: int = 0) -> None:
    """Refuse a table of genes whose rows are not numbered one after another: its rows are taken for tokens.

    Raises
    ------
    DatasetError
        If they are not.
    """
    wrong = np.flatnonzero(tokens != np.arange(first, first + len(tokens)))
    if len(wrong):
        said = f"{layout.TOKEN} is {tokens[wrong[0]]:,} in row {first + int(wrong[0]):,}"
        raise store.damaged(name, ValueError(said))


def _permutation(store: Store, name: str, label: str, column: pa.ChunkedArray) -> Positions:
    numbers: Positions = store.numbers(name, label, pa.int64(), column)
    outside = (numbers < 0) | (numbers >= len(numbers))
    if outside.any():
        raise store.damaged(name, ValueError(f"{label} names {numbers[outside][0]:,} of {len(numbers):,}"))
    times = np.bincount(numbers, minlength=len(numbers))
    if (times > 1).any():
        raise store.damaged(name, ValueError(f"{label} names {int(np.argmax(times > 1)):,} more than once"))
    return numbers
