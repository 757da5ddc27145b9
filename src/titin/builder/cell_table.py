"""The table of cells as it is stored: obs, the ages that are read from it, and which columns are labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.builder.ages import CellMetadata, read_cell_ages
from titin.dataset import layout
from titin.dataset.arrow import OrderedRows, write_table
from titin.dataset.tables import encode_table, with_pandas_index
from titin.study.design import Study

_FEW = 1000  # categories of which the structure file counts the cells


@dataclass
class CellTable:
    """obs as it is stored.

    Attributes
    ----------
    rows
        All columns, in the dataset's order of cells: ``cell_id``, obs, ``age_numeric`` and, with a donor table,
        ``age_years`` and its other columns.
    records
        What restores obs; see `titin.dataset.tables`.
    labels
        Names of the columns that stand beside the expression too.
    derived
        Names of the columns that are titin's, each with what it was made from; see `Manifest.derived`.
    notes
        What a user should know about the ages.
    described
        What the structure file says of obs: its columns, and the cells of each category.
    """

    rows: OrderedRows
    records: list[dict[str, Any]]
    labels: list[str]
    derived: dict[str, dict[str, Any]]
    notes: list[str]
    described: dict[str, Any]

    @property
    def label_table(self) -> OrderedRows:
        """``cell_id`` and the labels, text as dictionaries."""
        picked, order = self.rows.table.select([layout.CELL_ID, *self.labels]), self.rows.order
        for i, field in enumerate(picked.schema):
            if i and pa.types.is_string(field.type):
                picked = picked.set_column(i, field.name, _encoded(picked.column(i), order))
        return OrderedRows(picked.combine_chunks().unify_dictionaries(), order)

    @property
    def document(self) -> dict[str, Any]:
        """What the manifest says of the table."""
        return {"columns": self.records, "labels": self.labels, "derived": self.derived}


def make_cell_table(cells: CellMetadata, source_rows: NDArray[np.int64]) -> CellTable:
    """Obs with ages, in the dataset's order.

    Parameters
    ----------
    source_rows
        Row of ``cells.obs`` of the cell at each position of the dataset.
    """
    named, cells = cells.obs, cells.unnamed
    obs, roles = cells.obs, cells.roles
    reserved = set(layout.CELL_COLUMNS)
    ages = read_cell_ages(cells)
    table, records = encode_table(named, index_name=layout.CELL_ID, reserved=reserved | set(ages.columns))
    for name, values in ages.columns.items():
        kind = pa.float64() if pd.api.types.is_float_dtype(values.dtype) else pa.string()
        table = table.append_column(name, pa.array(values.to_numpy(), kind, from_pandas=True))
    stored = {record["name"]: record["column"] for record in records[1:]}
    wanted = [*roles["cell_type"], *(roles[role] for role in layout.ROLES if role != "cell_type")]
    labels = list(dict.fromkeys(stored[c] for c in wanted if c is not None))
    study = Study(obs, roles, pd.DataFrame(ages.columns, index=obs.index))
    notes = [choice.warning for choice in cells.choices.values() if choice.warning] + ages.notes + study.warnings
    known = [name for name in ages.derived if name in layout.AGES]
    described = _described(obs, roles["cell_type"])
    rows = OrderedRows(table.combine_chunks(), source_rows)
    return CellTable(rows, records, [*labels, *known], ages.derived, notes, described)


def write_cell_table(folder: Path, names: layout.Layout, cells: CellTable) -> list[str]:
    """Write ``sample_metadata``; return the names of its files."""
    table = cells.rows.table.cast(with_pandas_index(cells.rows.schema, layout.CELL_ID))
    return write_table(folder, names.sample_metadata, replace(cells.rows, table=table))


def _encoded(column: pa.ChunkedArray, order: NDArray[np.int64]) -> pa.ChunkedArray:
    """Text as a dictionary, whose entries come as they do in the dataset's order of cells."""
    encoded, places = column.take(pa.array(order)).dictionary_encode(), np.empty_like(order)
    places[order] = np.arange(len(order))
    return encoded.take(pa.array(places))


def _described(obs: pd.DataFrame, cell_types: Sequence[Any]) -> dict[str, Any]:
    counted = (c for c in obs.columns if c not in cell_types and _is_counted(obs[c]))
    return {
        "obs_columns": [str(c) for c in obs.columns],
        "annotation_mapping": {str(c): _counts(obs[c]) for c in cell_types},
        "category_counts": {str(c): _counts(obs[c]) for c in counted},
    }


def _is_counted(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) and len(column.cat.categories) <= _FEW


def _counts(column: pd.Series) -> dict[str, int]:
    counts = column.value_counts(sort=False)
    order = np.lexsort((counts.index.astype(str), -counts.to_numpy()))
    return {str(counts.index[i]): int(counts.iloc[i]) for i in order if counts.iloc[i]}
