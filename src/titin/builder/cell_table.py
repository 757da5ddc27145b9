"""The table of cells as it is stored: obs, the ages that are read from it, and which columns are labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from titin.builder.ages import CellMetadata, read_cell_ages
from titin.dataset import layout
from titin.dataset.arrow import OrderedRows, write_table
from titin.dataset.sorted_rows import places_of, sort_rows
from titin.dataset.store import slices
from titin.dataset.tables import encode_table, with_pandas_index
from titin.shelf import Shelf, let_go_of_pages
from titin.study.design import Study
from titin.study.tallies import code

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
    shelf
        Where the columns are.
    """

    rows: OrderedRows
    records: list[dict[str, Any]]
    labels: list[str]
    derived: dict[str, dict[str, Any]]
    notes: list[str]
    described: dict[str, Any]
    shelf: Shelf = field(default_factory=Shelf)

    @property
    def label_table(self) -> OrderedRows:
        """``cell_id`` and the labels, text as dictionaries."""
        picked, order = self.rows.table.select([layout.CELL_ID, *self.labels]), self.rows.order
        for i, own in enumerate(picked.schema):
            if i and pa.types.is_string(own.type):
                picked = picked.set_column(i, own.name, _encoded(picked.column(i), order, self.shelf))
        return OrderedRows(picked.combine_chunks().unify_dictionaries(), order)

    @property
    def document(self) -> dict[str, Any]:
        """What the manifest says of the table."""
        return {"columns": self.records, "labels": self.labels, "derived": self.derived}


def make_cell_table(
    cells: CellMetadata, source_rows: NDArray[np.signedinteger[Any]], shelf: Shelf | None = None
) -> CellTable:  # fmt: skip
    """Obs with ages, in the dataset's order.

    Parameters
    ----------
    source_rows
        Row of ``cells.obs`` of the cell at each position of the dataset.
    shelf
        Where the columns are put away; in memory where not given.
    """
    shelf = shelf or Shelf()
    named, cells = cells.obs, cells.unnamed
    obs, roles = cells.obs, cells.roles
    reserved = set(layout.CELL_COLUMNS)
    ages = read_cell_ages(cells)
    ages.columns.update({name: _put_away(values, shelf) for name, values in ages.columns.items()})
    table, records = encode_table(named, index_name=layout.CELL_ID, reserved=reserved | set(ages.columns),
                                  shelf=shelf)  # fmt: skip
    for name, values in ages.columns.items():
        kind = pa.float64() if pd.api.types.is_float_dtype(values.dtype) else pa.string()
        (column,) = shelf.columns([pa.array(values.to_numpy(), kind, from_pandas=True)])
        table = table.append_column(name, column)
    stored = {record["name"]: record["column"] for record in records[1:]}
    wanted = [*roles["cell_type"], *(roles[role] for role in layout.ROLES if role != "cell_type")]
    labels = list(dict.fromkeys(stored[c] for c in wanted if c is not None))
    study = Study(obs, roles, pd.DataFrame(ages.columns, index=obs.index, copy=False))
    notes = [choice.warning for choice in cells.choices.values() if choice.warning] + ages.notes + study.warnings
    known = [name for name in ages.derived if name in layout.AGES]
    described = _described(obs, roles["cell_type"])
    rows = OrderedRows(table.combine_chunks(), source_rows)
    return CellTable(rows, records, [*labels, *known], ages.derived, notes, described, shelf)


def write_cell_table(folder: Path, names: layout.Layout, cells: CellTable) -> list[str]:
    """Write ``sample_metadata``; return the names of its files."""
    table = cells.rows.table.cast(with_pandas_index(cells.rows.schema, layout.CELL_ID))
    return write_table(folder, names.sample_metadata, sort_rows(OrderedRows(table, cells.rows.order), cells.shelf))


def _put_away(column: pd.Series, shelf: Shelf) -> pd.Series:
    (values,) = shelf.arrays([column.to_numpy()])
    return pd.Series(values, column.index, column.dtype, column.name)


def _encoded(column: pa.ChunkedArray, order: NDArray[np.signedinteger[Any]], shelf: Shelf) -> pa.ChunkedArray:
    """Text as a dictionary, whose entries come as they do in the dataset's order of cells."""
    places = places_of(order, shelf)
    first: dict[str, int] = {}
    for own in slices(len(order)):
        part = column.slice(own.start, own.stop - own.start).combine_chunks().dictionary_encode()
        known = part.indices.is_valid().to_numpy(zero_copy_only=False)
        least = np.full(len(part.dictionary), len(order))
        np.minimum.at(least, part.indices.fill_null(0).to_numpy()[known], places[own][known])
        for text, place in zip(part.dictionary.to_pylist(), least.tolist(), strict=True):
            first[text] = min(place, first.get(text, place))
    levels = pa.array(sorted(first, key=first.__getitem__), pa.string())
    parts = (column.slice(own.start, own.stop - own.start) for own in slices(len(order)))
    numbers = [pc.index_in(part.combine_chunks(), value_set=levels) for part in parts]
    (kept,) = shelf.columns([pa.concat_arrays([pa.array([], pa.int32()), *numbers])])
    return pa.chunked_array([pa.DictionaryArray.from_arrays(kept, levels)])


def _described(obs: pd.DataFrame, cell_types: Sequence[Any]) -> dict[str, Any]:
    def counts(columns: Iterable[Any]) -> dict[str, dict[str, int]]:
        found = {}
        for name in columns:
            found[str(name)] = _counts(obs[name])
            let_go_of_pages()  # of the column
        return found

    return {
        "obs_columns": [str(c) for c in obs.columns],
        "annotation_mapping": counts(cell_types),
        "category_counts": counts(c for c in obs.columns if c not in cell_types and _is_counted(obs[c])),
    }


def _is_counted(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype) and len(column.cat.categories) <= _FEW


def _counts(column: pd.Series) -> dict[str, int]:
    coded = code(column)
    names, counts = [str(name) for name in coded.distinct], coded.counts[coded.used]
    return {names[i]: int(counts[i]) for i in np.lexsort((np.array(names, str), -counts))}
