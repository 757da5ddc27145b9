"""The tables obs and var: read as anndata gives them, refused with a reason where no dataset could hold them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.errors import SourceError
from titin.source._elements import read_element
from titin.source._reading import DAMAGED, attribute, attributes, encoding, is_group, reading

_UNIQUE = {
    "cell": "Make them unique first, for example with scanpy's obs_names_make_unique or by prefixing the sample.",
    "gene": "Make them unique first: scanpy's var_names_make_unique, or Ensembl ids as var names.",
}


def read_table(path: Path, node: Any, place: str) -> pd.DataFrame:
    """Read obs or var, of any AnnData version.

    Raises
    ------
    SourceError
        If the table is damaged or a column has more than one dimension.
    """
    if is_group(node):
        _check_dimensions(path, node, place)
        with reading(path, place):
            table = read_element(node)
        if not isinstance(table, pd.DataFrame):
            raise SourceError(f"{path}: {place} is {encoding(node) or 'a group'}, not a table", DAMAGED)
    else:
        table = _read_compound(path, node, place)
    if not table.index.hasnans and not pd.api.types.is_string_dtype(table.index):
        table.index = table.index.astype(str)
    if not len(table.columns):
        table.columns = table.columns.astype(str)
    return table


def unlisted_columns(node: Any) -> list[str]:
    """Return what lies in a table's group without being one of its columns."""
    if not is_group(node):
        return []
    listed = {*attributes(node, "column-order"), attribute(node, "_index")}
    return sorted(set(node.keys()) - listed - {"__categories"})


def _check_dimensions(path: Path, group: Any, place: str) -> None:
    for name in attributes(group, "column-order"):
        with reading(path, f"{place}/{name}"):
            column = group[name]
        if not is_group(column) and column.ndim != 1:
            _refuse_wide(path, place, name, column.shape)


def _refuse_wide(path: Path, place: str, column: str, shape: tuple[int, ...]) -> None:
    raise SourceError(
        f"{path}: column {column!r} of {place} has shape {tuple(shape)}; a column has one value a row",
        f"Move it to {place}m, or split it into columns.",
    )


def _read_compound(path: Path, array: Any, place: str) -> pd.DataFrame:
    """Read the table of structures that anndata wrote before 0.7; its first field is the index."""
    if not array.dtype.names:
        raise SourceError(f"{path}: {place} is an array of {array.dtype}, not a table", DAMAGED)
    with reading(path, place):
        records = array[()]
    for name in records.dtype.names:
        if records.dtype[name].shape:
            _refuse_wide(path, place, name, (len(records), *records.dtype[name].shape))
    columns = {name: _decoded(records[name]) for name in records.dtype.names}
    table = pd.DataFrame(columns)
    return table.set_index(records.dtype.names[0])


def _decoded(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8").astype(object)
    if values.dtype.kind == "O":
        return np.array([v.decode() if isinstance(v, bytes) else v for v in values], dtype=object)
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


def check_names(path: Path, names: pd.Index, kind: str) -> None:
    """Refuse missing and repeated names.

    Parameters
    ----------
    path
        The file, for the message.
    names
        Names of cells or genes.
    kind
        ``cell`` or ``gene``.
    """
    missing = np.flatnonzero(names.isna() | (names == ""))
    if len(missing):
        raise SourceError(
            f"{path}: {len(missing):,} {kind}s have no name; the first is {kind} {missing[0]:,}",
            f"Name every {kind} in the index of {'obs' if kind == 'cell' else 'var'}.",
        )
    repeated = names[names.duplicated(keep="first")]
    if len(repeated):
        distinct = repeated.unique()
        shown = ", ".join(str(name) for name in distinct[:3]) + (", …" if len(distinct) > 3 else "")
        what = "barcodes" if kind == "cell" else "genes"
        raise SourceError(
            f"{path}: duplicate {what}: {len(distinct):,} names occur more than once ({shown})", _UNIQUE[kind]
        )


def check_columns(path: Path, table: pd.DataFrame, place: str) -> None:
    """Refuse columns of Python objects that are not all strings."""
    for position, name in enumerate(table.columns):
        column = table.iloc[:, position]
        values: Any = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
        if values.dtype != object or pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty"):
            continue
        example = next(v for v in values if not isinstance(v, str) and (pd.api.types.is_list_like(v) or pd.notna(v)))
        raise SourceError(
            f"{path}: column {name!r} of {place} holds objects that are not all strings, "
            f"for example {example!r} ({type(example).__name__})",
            f"Convert it to one type, for example {place}[{str(name)!r}] = {place}[{str(name)!r}].astype(str).",
        )
