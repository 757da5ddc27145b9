"""The table of cells under validation: its columns one at a time, and no names."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa

from titin.atlas.axes import CellAxis
from titin.atlas.tables import column_ranges, decode, read_column, read_derived_column
from titin.check.repeats import Repeats
from titin.dataset.store import Store


class CellColumns:
    """Columns of obs by the source's names, as `Atlas.obs` has them, each read when asked for and not kept.

    Cells are numbered from 0, in the dataset's order. Text that is no label is one object for all cells that have it.

    Parameters
    ----------
    store
        The dataset.
    axis
        Names the columns that titin has added.
    repeats
        Gives what is wrong with the names of a table, which are looked at before anything is read.

    Raises
    ------
    DatasetError
        Whenever a column is read: if the table is missing, damaged or replaced, lacks a column, or names a cell twice.
    """

    def __init__(self, store: Store, axis: CellAxis, repeats: Callable[[str], Repeats]) -> None:
        self._store, self._repeats = store, repeats
        self._file = store.manifest.layout.sample_metadata
        self._records = store.manifest.obs["columns"]
        self._derived = {name: stored for stored, name in axis.derived_names.items()}

    @property
    def columns(self) -> list[Any]:
        """Names of the source's columns, then of those that titin has added."""
        self._checked  # noqa: B018 - raises
        return [*(record["name"] for record in self._records[1:]), *self._derived]

    def __len__(self) -> int:
        return self._store.manifest.n_cells

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[Any]:
        return iter(self.columns)

    def __getitem__(self, name: Any) -> Any:
        """Read a column as a Series; a list of them, or columns that share a name, as a DataFrame."""
        if isinstance(name, list):
            return pd.DataFrame({one: self[one] for one in name}, index=pd.RangeIndex(len(self)), copy=False)
        found = list(self._read(name))
        if len(found) > 1:
            table = pd.DataFrame(dict(enumerate(found)), copy=False)
            return table.set_axis([name] * len(found), axis=1)
        return pd.Series(found[0], name=name, copy=False)

    def _read(self, name: Any) -> Iterator[Any]:
        self._checked  # noqa: B018 - raises
        own = [record for record in self._records[1:] if record["name"] == name]
        for record in own:
            yield read_column(self._store, self._file, record)
        if name in self._derived:
            yield read_derived_column(self._store, self._derived[name])
        elif not own:
            raise KeyError(name)

    def ranges(self, name: Any) -> Iterator[pd.Series]:
        """Read a column of the source a range of cells after another, its index their numbers."""
        self._checked  # noqa: B018 - raises
        first = 0
        for values in column_ranges(self._store, self._file, self._record(name)):
            yield pd.Series(values, pd.RangeIndex(first, first + len(values)), name=name, copy=False)
            first += len(values)

    def is_category(self, name: Any) -> bool:
        """Whether a column may hold labels, so that it is worth reading for them."""
        if name in self._derived:
            return bool(self._store.manifest.derived[self._derived[name]].get("type") == "text")
        return bool(self._record(name)["kind"] == "category")

    def _record(self, name: Any) -> dict[str, Any]:
        return next(record for record in self._records[1:] if record["name"] == name)

    @cached_property
    def _checked(self) -> None:
        """Refuse a table that lacks a column, or the name of a cell, or has a name twice."""
        store, file, names = self._store, self._file, self._records[:1]
        there = store.arrow_schema(store.shards(file)[0]).names
        missing = [record["column"] for record in self._records if record["column"] not in there]
        if missing:
            raise store.damaged(file, ValueError(f"the table lacks the columns {', '.join(missing)}"))
        found = self._repeats(file)
        if found.n_missing:
            decode(store, file, pa.table({names[0]["column"]: pa.array([None], pa.string())}), names)
        if found.again is not None:
            name = found.names[found.again].as_py()
            raise store.damaged(file, ValueError(f"a name is missing or names several rows: {name!r}"))
