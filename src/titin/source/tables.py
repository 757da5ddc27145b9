"""obs and var, as anndata of any version and the writers of other languages store them."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import SourceError
from titin.shelf import Shelf, ShelvedColumns
from titin.source.budget import Budget, Descent
from titin.source.elements import read_native
from titin.source.gaps import Gaps
from titin.source.reading import UNKNOWN, attribute, attributes, child, encoding, is_group, members, reading
from titin.source.strings import decode, decode_all, is_text, read_names, read_text

_INDEX = ("_index", "index", "row_names", "rownames", "row.names", "names")  # where no attribute says which it is
_CATEGORIES = "__categories"  # of anndata 0.7 and SeuratDisk: the labels of all columns, beside the columns


def read_table(
    path: Path,
    node: Any,
    place: str,
    budget: Budget,
    notes: list[str] | None = None,
    choose: Callable[[list[str]], list[str]] | None = None,
    gaps: Gaps | None = None,
) -> pd.DataFrame:
    """Read obs or var: what anndata reads as anndata reads it, and what it cannot column by column.

    Parameters
    ----------
    path, place
        The file, and where the table is in it.
    node
        The group, or before anndata 0.7 the array of structures.
    budget
        Asked before a part is read.
    notes
        Told what had to be taken for something else than it says.
    choose
        Given the names of all columns, says which are read.
    gaps
        What of the file is not stored.

    Raises
    ------
    SourceError
        If a part is missing, damaged or stored in a way that is not known, or has more than one dimension.
    """
    notes = [] if notes is None else notes
    if is_group(node):
        table = _Group(path, node, place, budget, notes).read(choose, gaps)
    else:
        if gaps is not None:
            gaps.check_array(place)
        table = _read_compound(path, node, place, budget, choose)
    if not table.index.hasnans and not pd.api.types.is_string_dtype(table.index):
        table.index = table.index.astype(str)
    if not len(table.columns):
        table.columns = table.columns.astype(str)
    return table


def unlisted_columns(node: Any) -> list[str]:
    """Return what lies in a table's group without being one of its columns."""
    if not is_group(node) or "column-order" not in node.attrs:
        return []
    listed = {*attributes(node, "column-order"), attribute(node, "_index")}

    above = {name[:at] for name in listed for at, letter in enumerate(name) if letter == "/"}
    descent = Descent()

    def below(group: Any, prefix: str) -> list[str]:
        found = []
        with descent.into(group, prefix or node.name):
            for key in members(group):
                name = prefix + key
                if name in above:  # of a column whose name has a slash
                    found += below(child(group, key), f"{name}/")
                elif name not in listed and name not in (_CATEGORIES, "_index"):
                    found.append(name)
        return found

    return below(node, "")


class _Group:
    """A table stored as one element a column."""

    def __init__(self, path: Path, group: Any, place: str, budget: Budget, notes: list[str]) -> None:
        self.path, self.group, self.place, self.budget, self.notes = path, group, place, budget, notes
        self.of_cells = place == "obs" or place.startswith("obsm/")
        self.shelf = budget.shelf if self.of_cells else Shelf()
        with reading(path, place):
            kind = encoding(group)
            if kind not in ("", "dataframe"):
                raise SourceError(f"{path}: {place} is {kind}, not a table", UNKNOWN)
            self.index_key = self._find_index()
            self.columns = self._find_columns()
            self.labels = group.get(_CATEGORIES, {})

    def _find_index(self) -> str:
        named = attribute(self.group, "_index")
        for key in (named, *_INDEX):
            if key and key in self.group and not is_group(self.group[key]) and self.group[key].ndim:
                return key
        said = f"its attribute _index names {named!r}, which is not there" if named else "it has no attribute _index"
        inside = ", ".join(members(self.group)[:6]) or "nothing"
        raise SourceError(
            f"{self.path}: {self.place} has no names of its rows: {said} (found: {inside})",
            f"Set {self.place}.attrs['_index'] to the element that holds the names, for example with h5py.",
        )

    def _find_columns(self) -> list[str]:
        if "column-order" in self.group.attrs:
            listed = [name for name in attributes(self.group, "column-order") if name != "_index"]
            if twice := [name for name, n in Counter(listed).items() if n > 1]:
                raise SourceError(
                    f"{self.path}: {self.place} lists {len(twice):,} columns more than once, for example {twice[0]!r}",
                    f"Set {self.place}.attrs['column-order'] to the names of its columns, each once, for example with "
                    "h5py; or write the file anew from an AnnData object without repeated columns.",
                )
            return listed
        return [name for name in members(self.group) if name not in (self.index_key, _CATEGORIES)]

    def read(self, choose: Callable[[list[str]], list[str]] | None, gaps: Gaps | None) -> pd.DataFrame:
        names = self.columns if choose is None else choose(self.columns)
        if gaps is not None:
            gaps.check_table(self.place, self.index_key, [*names, _CATEGORIES])
        index = self._read_names()
        values = ShelvedColumns(self.shelf)
        for name in names:
            try:
                column = self._read(name)
                self._check_length(name, column, len(index))
            except SourceError as error:
                way_out = f" Or build with --no-obs {name!r}." if self.place == "obs" else ""
                raise SourceError(str(error.args[0]), f"{error.hint}{way_out}") from error
            values.add(name, column)
        table = pd.DataFrame(values.finish(), index=index, columns=names or None, copy=self.shelf.folder is None)
        if self.index_key not in _INDEX or (self.index_key != "_index" and encoding(self.group)):
            table.index.name = self.index_key
        return table

    def _read_names(self) -> Any:
        """The index: names of cells as Arrow has them, as there may be many."""
        where = f"{self.place}/{self.index_key}"
        if self.of_cells and self.budget.arrow_names:
            with reading(self.path, where):
                node = child(self.group, self.index_key)
                if not is_group(node) and node.ndim == 1 and is_text(node):
                    self.budget.claim(node, where)
                    return pd.Index(pd.arrays.ArrowExtensionArray(self.budget.shelf.text(read_names(node))))
        index = self._read(self.index_key)
        return index if np.ndim(index) else np.atleast_1d(index)  # anndata reads one old text as a scalar

    def _check_length(self, name: str, values: Any, n_rows: int) -> None:
        if np.ndim(values) and len(values) != n_rows:
            said = f"{self.path}: {self.place}/{name} has {len(values):,} values for {n_rows:,} rows"
            raise SourceError(said, "The file is inconsistent; write it anew from the AnnData object.")

    def _read(self, name: str) -> Any:
        where = f"{self.place}/{name}"
        with reading(self.path, where):
            node = child(self.group, name)
            self.budget.claim(node, where)
            if is_group(node):
                return self._read_group(node, where)
            if node.dtype.names:
                raise SourceError(f"{self.path}: {where} is an array of structures, not a column", UNKNOWN)
            if node.ndim > 1 and max(node.shape) != node.size:
                _refuse_wide(self.path, self.place, name, node.shape)
            labels = self._labels_of(node, name)
            if labels is not None:
                return self._categorical(read_values(node), *labels, where)
            if node.ndim == 1 and node.dtype.kind in "biuf" and node.dtype.isnative and encoding(node) in ("", "array"):
                return self.shelf.stored(node)
            return np.ravel(read_values(node)) if node.ndim > 1 else read_values(node)

    def _labels_of(self, codes: Any, name: str) -> tuple[NDArray[Any], bool] | None:
        """Categories of a column of codes, kept beside it, and whether they are ordered; None where it has none."""
        named = codes.attrs.get("categories")
        if named is not None:
            labels = self.group.file[named] if isinstance(named, h5py.Reference) else self.group[decode(named)]
        elif name in self.labels and codes.dtype.kind in "iuf":
            labels = self.labels[name]
        else:
            return None
        self.budget.claim(labels, f"the labels of {self.place}/{name}")
        return read_values(labels), bool(labels.attrs.get("ordered", False))

    def _read_group(self, group: Any, where: str) -> Any:
        if encoding(group):
            try:
                return read_native(group)
            except (ValueError, TypeError, KeyError):  # of a writer that encodes it otherwise than anndata
                pass
        parts = set(members(group))
        ordered = bool(group.attrs.get("ordered", False))
        if {"categories", "codes"} <= parts:
            return self._categorical(read_values(group["codes"]), read_values(group["categories"]), ordered, where)
        if {"levels", "values"} <= parts:
            return self._factor(read_values(group["values"]), read_values(group["levels"]), ordered, where)
        if {"values", "mask"} <= parts:
            return _masked(read_values(group["values"]), np.asarray(group["mask"][()], bool))
        what = encoding(group) or "a group"
        raise SourceError(f"{self.path}: {where} is {what} of {', '.join(sorted(parts)) or 'nothing'}", UNKNOWN)

    def _factor(self, values: NDArray[Any], levels: NDArray[Any], ordered: bool, where: str) -> pd.Categorical:
        """Labels as R counts them, from 1."""
        codes = _whole_numbers(values)
        known = codes[codes >= 0]
        from_zero = bool(len(known)) and known.min() == 0 and known.max() < len(levels)
        return self._categorical(codes if from_zero else np.where(codes > 0, codes - 1, -1), levels, ordered, where)

    def _categorical(self, values: NDArray[Any], labels: NDArray[Any], ordered: bool, where: str) -> pd.Categorical:
        """Labels from codes; those that name no label are missing, and that is said."""
        codes, n = _whole_numbers(np.ravel(values)), len(labels)
        known = codes[codes >= 0]
        if n and len(known) and known.min() == 1 and known.max() == n:
            self.notes.append(f"{where} counts its {n:,} labels from 1, as R does")
            codes = np.where(codes > 0, codes - 1, -1)
        beyond = codes >= n
        odd = beyond | ((codes < -1) & (codes != np.iinfo(np.int32).min))
        if odd.any():
            example = int(codes[odd][0])
            self.notes.append(
                f"{where}: {int(odd.sum()):,} codes name none of its {n:,} labels, for example {example}; "
                "they count as missing"
            )
        codes = np.where(beyond | (codes < 0), -1, codes)
        index = pd.Index(labels)
        if index.hasnans or not index.is_unique:
            distinct = index.dropna().unique()
            to_distinct = np.append(distinct.get_indexer(index), -1)
            codes, index = to_distinct[codes], distinct
        return pd.Categorical.from_codes(codes, index, ordered=ordered)


def _whole_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """Codes as integers; NaN, as R's writers have it, is missing."""
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        values = np.where(missing, -1, values)
        if not (values == np.floor(values)).all():
            raise ValueError("codes are not whole numbers")
    elif values.dtype.kind not in "iub":
        raise ValueError(f"codes are {values.dtype}, not whole numbers")
    return values.astype(np.int64)


def _masked(values: NDArray[Any], mask: NDArray[np.bool_]) -> Any:
    """Values of which some are missing, in pandas' own types."""
    if values.dtype.kind == "b":
        return pd.arrays.BooleanArray(values, mask)
    if values.dtype.kind in "iu":
        return pd.arrays.IntegerArray(values, mask)
    out = values.astype(object if values.dtype.kind not in "f" else values.dtype)
    out[mask] = np.nan if values.dtype.kind == "f" else None
    return out


def read_values(node: Any) -> Any:
    """Read an array as anndata does; text in whatever encoding it is."""
    if not encoding(node) and is_text(node):
        return read_text(node)
    try:
        return read_native(node)
    except UnicodeDecodeError:
        return read_text(node)


def _refuse_wide(path: Path, place: str, column: str, shape: tuple[int, ...]) -> None:
    raise SourceError(
        f"{path}: column {column!r} of {place} has shape {tuple(shape)}; a column has one value a row",
        f"Move it to {place}m, or split it into columns.",
    )


def _read_compound(
    path: Path, array: Any, place: str, budget: Budget, choose: Callable[[list[str]], list[str]] | None
) -> pd.DataFrame:
    """Read the table of structures that anndata wrote before 0.7; its first field is the index."""
    if not array.dtype.names:
        raise SourceError(f"{path}: {place} is an array of {array.dtype}, not a table", UNKNOWN)
    with reading(path, place):
        budget.claim(array, place)
        records = array[()]
    index, *names = records.dtype.names
    names = names if choose is None else choose(names)
    for name in (index, *names):
        if records.dtype[name].shape:
            _refuse_wide(path, place, name, (len(records), *records.dtype[name].shape))
    columns = {name: _decoded(records[name]) for name in (index, *names)}
    return pd.DataFrame(columns).set_index(index)


def _decoded(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind in "SO":
        return decode_all(values)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def restore_legacy_categories(tables: tuple[pd.DataFrame, pd.DataFrame], uns: dict[str, Any]) -> None:
    """Turn codes into the categories that anndata before 0.7 kept as ``uns['<column>_categories']``, in place."""
    for key in [key for key in uns if key.endswith("_categories")]:
        column, stored = key.removesuffix("_categories"), uns[key]
        if not isinstance(stored, str | int | np.ndarray):
            continue
        categories = pd.Index(np.atleast_1d(np.asarray(stored, dtype=object)).ravel()).infer_objects()
        for table in tables:
            if column not in table or table[column].dtype.kind not in "iu":
                continue
            codes = table[column].to_numpy()
            if (
                categories.is_unique and ((codes >= -1) & (codes < len(categories))).all()
            ):  # obs and var shared the key: it may be the other's
                table[column] = pd.Categorical.from_codes(codes, categories)
                uns.pop(key, None)
