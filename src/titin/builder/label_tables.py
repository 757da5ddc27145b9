"""A table of labels by barcode, and obs with what it says."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype

from titin.dataset import layout
from titin.errors import TitinError
from titin.study.table_files import read_table_file

_MOST_BYTES = 1 << 30
_SHOWN = 3
_TRUE_OR_FALSE = {"True": True, "False": False, "true": True, "false": False, "TRUE": True, "FALSE": False}
_NO_NUMBER = ("NA", "NaN", "nan")


@dataclass(frozen=True)
class LabelTable:
    """Labels of cells, by barcode.

    Attributes
    ----------
    columns
        One row a cell, its barcode as the index.
    name
        What errors call the table.
    typed
        Whether its columns are of the types that they are to have; those of a table of text are not.
    """

    columns: pd.DataFrame
    name: str
    typed: bool


@dataclass
class ObsChange:
    """What changes in obs.

    Attributes
    ----------
    added, replaced, dropped
        Columns.
    unchanged
        Columns of the table that say what obs says.
    n_matched
        Cells of which the table has a row.
    unmatched
        Barcodes of the table that no cell has.
    unlisted
        Cells that the table has no row of: they keep what they had.
    """

    added: list[Any] = field(default_factory=list)
    replaced: list[Any] = field(default_factory=list)
    dropped: list[Any] = field(default_factory=list)
    unchanged: list[Any] = field(default_factory=list)
    n_matched: int = 0
    unmatched: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[Any]:
        """All columns that are others now, or gone."""
        return [*self.replaced, *self.added, *self.dropped]


def read_label_table(given: Path | pd.DataFrame) -> LabelTable:
    """Read a table of labels: CSV, TSV or Parquet, or a frame with barcodes as its index.

    The barcodes of a file stand in its column ``cell_id``, else in the index that pandas wrote, else in its first
    column. An empty entry of a table of text is a missing label.

    Raises
    ------
    TitinError
        If it cannot be read, or names a cell or a column twice, or has no column of labels.
    """
    if isinstance(given, pd.DataFrame):
        name, columns, typed = "the table", given, True
    else:
        name, typed = str(given), given.suffix == ".parquet"
        columns = read_table_file(given, "--obs", "a column of barcodes and columns of labels", most=_MOST_BYTES,
                                  keep_default_na=False, na_values=[""])  # fmt: skip
        if layout.CELL_ID in columns.columns or isinstance(columns.index, pd.RangeIndex):
            if columns.shape[1] == 0:
                raise TitinError(f"{name} is empty", "give a column of barcodes and columns of labels")
            columns = columns.set_index(layout.CELL_ID if layout.CELL_ID in columns else columns.columns[0])
    _refuse_repeated(name, columns)
    return LabelTable(columns.set_axis(columns.index.astype(str), axis=0), name, typed)


def _refuse_repeated(name: str, columns: pd.DataFrame) -> None:
    if columns.index.nlevels > 1 or columns.columns.nlevels > 1:
        raise TitinError(f"{name} has an index of several levels", "give barcodes as the index, names as columns")
    if columns.index.isna().any():
        raise TitinError(f"{name}: row {int(columns.index.isna().argmax()) + 1:,} has no barcode", "name every cell")
    for what, labels in (("barcode", columns.index), ("column", columns.columns)):
        if labels.has_duplicates:
            again = labels[labels.duplicated()]
            raise TitinError(f"{name} has the {what} {again[0]!r} twice ({len(again):,} are repeated)",
                             "keep one row a cell, and one column a name")  # fmt: skip
    if not columns.shape[1]:
        raise TitinError(f"{name} has barcodes and no column of labels", "give what is to be added or replaced")


def change_obs(
    obs: pd.DataFrame,
    table: LabelTable | None,
    drop: Collection[Any] = (),
    derived: Mapping[Any, pd.Series] | None = None,
) -> tuple[pd.DataFrame, ObsChange]:
    """Obs with columns added or replaced by a table, and others dropped.

    Parameters
    ----------
    obs
        As the source has it.
    table
        Columns that obs has keep their place, others come after them.
    drop
        Columns to leave out.
    derived
        Columns beside obs that titin has made, by the names under which they are shown. The table may hold them, as
        one that was written from ``atlas.obs`` does, as long as it says the same.

    Returns
    -------
    obs, change
        Entries of cells that the table has no row of are as they were; missing in a new column.

    Raises
    ------
    TitinError
        If no barcode is that of a cell, a column to drop is not there, a column would hold numbers and text, or the
        table has other values for what titin made.
    """
    change = ObsChange()
    found = {name: obs[name] for name in obs.columns}
    if table is not None:
        rows = _match(obs.index, table, change)
        for name in table.columns.columns:
            if name in (derived or {}) and name not in found:
                _refuse_other_ages(name, table, rows, (derived or {})[name])
                change.unchanged.append(name)
                continue
            values = _merged(name, found.get(name), table, rows)
            if name in found and _is_same(found[name], values, typed=table.typed):
                change.unchanged.append(name)
                continue
            (change.replaced if name in found else change.added).append(name)
            found[name] = values.set_axis(obs.index)
    for name in drop:
        if name not in found:
            raise TitinError(f"obs has no column {name!r} to drop", _nearest(name, list(found)))
        del found[name]
        for known in (change.added, change.replaced):
            if name in known:
                known.remove(name)
        if name in obs.columns:
            change.dropped.append(name)
    labels = pd.Index(list(found), dtype=obs.columns.dtype if all(n in obs.columns for n in found) else object,
                      name=obs.columns.name)  # fmt: skip
    changed = pd.DataFrame(dict(enumerate(found.values())), index=obs.index)
    return changed.set_axis(labels, axis=1), change


def _nearest(name: Any, known: Sequence[Any]) -> str:
    names = [str(column) for column in known]
    near = difflib.get_close_matches(str(name), names, 3, 0.5)
    return f"did you mean {', '.join(near)}?" if near else f"columns of obs: {', '.join(names) or 'none'}"


def _match(cells: pd.Index, table: LabelTable, change: ObsChange) -> np.ndarray:
    """Row of the table of each cell, -1 for none."""
    barcodes = cells.astype(str)
    rows = table.columns.index.get_indexer(barcodes)
    change.n_matched = int((rows >= 0).sum())
    change.unlisted = [str(name) for name in barcodes[rows < 0]]
    unused = np.ones(len(table.columns), bool)
    unused[rows[rows >= 0]] = False
    change.unmatched = [str(name) for name in table.columns.index[unused]]
    if not change.n_matched:
        there, here = (", ".join(map(repr, names[:_SHOWN])) for names in (table.columns.index, barcodes))
        raise TitinError(
            f"no barcode of {table.name} is that of a cell: it has {there} …, the dataset has {here} …",
            "name cells as atlas.obs_names does, in the first column or in one called cell_id",
        )
    return np.asarray(rows)


def _merged(name: Any, former: pd.Series | None, table: LabelTable, rows: np.ndarray) -> pd.Series:
    """A column of obs as it will be."""
    given = table.columns[name]
    own = given if table.typed else read_entries_of_text(given, None if former is None else former.dtype)
    listed = rows >= 0
    if listed.all():
        return as_stored(own.take(rows), None if table.typed else former)
    if former is None:
        return as_stored(own.reindex(table.columns.index.append(pd.Index([None]))).take(rows), None)
    values = former.astype(object).to_numpy(object).copy()
    values[listed] = own.astype(object).to_numpy(object)[rows[listed]]
    if _is_text(former.dtype) != _is_text(own.dtype) and own.notna().any() and former.notna().any():
        said = ("text", "numbers") if _is_text(former.dtype) else ("numbers", "text")
        raise TitinError(f"{name!r} holds {said[0]}, and {table.name} gives {said[1]} for some cells only",
                         "give all cells in the table, or entries of the same kind")  # fmt: skip
    return as_stored(_of_type(values, former.dtype), former)


def _of_type(values: np.ndarray, dtype: Any) -> pd.Series:
    """Objects as a column of their common type: the former one where that is pandas' own."""
    merged = pd.Series(values, dtype=object)
    if isinstance(dtype, ExtensionDtype) and not isinstance(dtype, pd.CategoricalDtype):
        try:
            return merged.astype(dtype)
        except (TypeError, ValueError):
            pass
    return merged.infer_objects()


def read_entries_of_text(entries: pd.Series, former: Any = None) -> pd.Series:
    """Entries of a table of text as numbers, booleans or text: as the column that they replace, else as they look."""
    known = entries.dropna()
    if (former is not None and _is_text(former)) or known.empty:
        return entries
    if isinstance(former, pd.DatetimeTZDtype) or (isinstance(former, np.dtype) and former.kind in "mM"):
        return _times(entries, former)
    if known.isin(list(_TRUE_OR_FALSE)).all():
        flags = entries.map(_TRUE_OR_FALSE)
        return flags.astype(bool) if entries.notna().all() else flags.astype("boolean")
    without = entries.where(~entries.isin(_NO_NUMBER))
    numbers = pd.to_numeric(without, errors="coerce")
    if numbers.notna().sum() < without.notna().sum() or without.isna().all():
        return entries
    # pandas' way is quick and may be off by the last digit
    return numbers if numbers.dtype.kind in "iu" else without.map(float, na_action="ignore").astype(np.float64)


def _times(entries: pd.Series, dtype: Any) -> pd.Series:
    """Entries as times of the column that they replace; as they are where one is none."""
    try:
        read: Any = pd.to_timedelta if getattr(dtype, "kind", "") == "m" else pd.to_datetime
        return pd.Series(read(entries), index=entries.index).astype(dtype)
    except (ValueError, TypeError):
        return entries


def as_stored(values: pd.Series, former: pd.Series | None) -> pd.Series:
    """A column as AnnData would write it: text that repeats as categories; and of the former type where that fits."""
    dtype = None if former is None else former.dtype
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values
    if _is_text(values.dtype):
        if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered and values.dropna().isin(dtype.categories).all():
            return values.astype(dtype)
        labels = pd.Series(pd.Categorical(values.astype(object)))
        repeats = len(labels.cat.categories) < len(values)
        return labels if repeats else values.astype(object)
    return _in_type(values, dtype) if isinstance(dtype, np.dtype) and dtype.kind in "iuf" else values


def _in_type(values: pd.Series, dtype: np.dtype) -> pd.Series:
    """Numbers in the type of the column that they replace, where it holds them."""
    if values.dtype.kind not in "iuf":
        return values
    if dtype.kind == "f":
        return values.astype(dtype)
    known = values.to_numpy(np.float64)
    fits = np.isfinite(known).all() and (known == np.trunc(known)).all()
    info = np.iinfo(dtype)
    return values.astype(dtype) if fits and info.min <= known.min() and known.max() <= info.max else values


def _is_text(dtype: Any) -> bool:
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    return bool(isinstance(dtype, np.dtype) and dtype.kind == "O") or isinstance(dtype, pd.StringDtype)


def _is_same(former: pd.Series, values: pd.Series, *, typed: bool) -> bool:
    """Whether a column says what it said; where nothing states types, categories that no cell has do not count."""
    if typed and former.dtype != values.dtype:
        return False
    if (
        typed
        and isinstance(former.dtype, pd.CategoricalDtype)
        and not former.cat.categories.equals(values.cat.categories)
    ):  # dtypes are equal in any order, if unordered
        return False
    if _is_text(former.dtype) != _is_text(values.dtype):
        return False
    ordered = [isinstance(s.dtype, pd.CategoricalDtype) and s.dtype.ordered for s in (former, values)]
    one, other = (s.astype(object).to_numpy(object) for s in (former, values))
    missing, absent = pd.isna(one), pd.isna(other)
    return ordered[0] == ordered[1] and bool((missing == absent).all() and (one[~missing] == other[~missing]).all())


def _refuse_other_ages(name: Any, table: LabelTable, rows: np.ndarray, own: pd.Series) -> None:
    """Refuse values for a column of titin's that are not those it has."""
    given = table.columns[name]
    theirs = given.take(rows[rows >= 0])
    if pd.api.types.is_float_dtype(own.dtype):
        numbers = pd.to_numeric(theirs, errors="coerce").to_numpy(np.float64)
        same = np.array_equal(numbers, own.to_numpy(np.float64)[rows >= 0], equal_nan=True)
    else:
        texts = own.astype(object).to_numpy(object)[rows >= 0]
        both_missing = theirs.isna().to_numpy() & pd.isna(texts)
        same = bool(((theirs.astype(object).to_numpy(object) == texts) | both_missing).all())
    if not same:
        raise TitinError(
            f"{name!r} is made by titin and {table.name} has other values for it",
            "change the column that it is read from, or the table of donors; or call yours otherwise",
        )
