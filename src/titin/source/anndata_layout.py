"""AnnData's own reader for the small elements of a source: tables, arrays of cells, unstructured metadata."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from titin.errors import SourceError
from titin.source.base import Source
from titin.source.matrices import ChosenColumns, is_absent, open_matrix, sparse_format, sparse_shape
from titin.source.reading import DAMAGED, attribute, attributes, encoding, is_group, members, reading
from titin.source.stored import StoredMatrix

_OBSM_ENCODINGS = frozenset({"", "array", "csr_matrix", "csc_matrix", "dataframe"})
_GRAPHS = ("distances", "connectivities")


def read_element(node: Any) -> Any:
    """Read one element into memory with anndata, whatever version wrote it."""
    from anndata import OldFormatWarning
    from anndata.io import read_elem

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldFormatWarning)
        return read_elem(node)


class CellArrays(Mapping[str, Any]):
    """Arrays with one row a cell, read from the file on access and not kept."""

    def __init__(self, readers: dict[str, Callable[[], Any]]) -> None:
        self._readers = readers

    def __getitem__(self, key: str) -> Any:
        return self._readers[key]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __contains__(self, key: object) -> bool:
        return key in self._readers

    def __repr__(self) -> str:
        return f"CellArrays({', '.join(self._readers)})"


def open_obsm(path: Path, node: Any, n_cells: int, left_out: dict[str, str]) -> CellArrays:
    """Find the arrays in obsm without reading them; those that cannot be kept are noted in ``left_out``."""
    if not is_group(node):  # before anndata 0.7: one table with a wide field an array
        fields = members(node)
        if not fields or len(node) != n_cells:
            left_out["obsm"] = f"not a table of {n_cells:,} cells"
            return CellArrays({})
        return CellArrays({key: partial(_read_field, path, node, key) for key in fields})
    readers: dict[str, Callable[[], Any]] = {}
    for key in members(node):
        with reading(path, f"obsm/{key}"):
            element = node[key]
            problem = _unusable(element, n_cells)
        if problem:
            left_out[f"obsm/{key}"] = problem
        else:
            readers[key] = partial(_read_array, path, element, f"obsm/{key}")
    return CellArrays(readers)


def _read_array(path: Path, element: Any, place: str) -> Any:
    with reading(path, place):
        return read_element(element)


def _read_field(path: Path, node: Any, key: str) -> Any:
    with reading(path, f"obsm/{key}"):
        try:
            return node.fields(key)[()]  # HDF5
        except AttributeError:
            return node[()][key]


def _unusable(element: Any, n_cells: int) -> str | None:
    """Say why an element of obsm cannot be kept; None if it can."""
    kind = encoding(element)
    if kind not in _OBSM_ENCODINGS:
        return f"unknown encoding {kind!r}"
    if not is_group(element):
        n_rows = element.shape[0] if element.ndim else 0
    elif kind == "dataframe":
        n_rows = element[attribute(element, "_index")].shape[0]
    elif sparse_format(element):
        n_rows = sparse_shape(element)[0]
    else:
        return "a group without encoding"
    return None if n_rows == n_cells else f"has {n_rows:,} rows for {n_cells:,} cells"


def read_uns(node: Any, left_out: dict[str, str]) -> dict[str, Any]:
    """Read unstructured metadata of any depth; an element that anndata cannot read is noted in ``left_out``."""
    if not is_group(node):
        left_out["uns"] = "not a group"
        return {}
    return _read_mapping(node, "uns", left_out)


def _read_mapping(group: Any, place: str, left_out: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in members(group):
        here = f"{place}/{key}"
        try:
            element = group[key]
            if _is_mapping(element):
                found[key] = _read_mapping(element, here, left_out)
            elif place == "uns/neighbors" and key in _GRAPHS and _is_matrix(element):
                left_out[here] = "a graph between cells; not kept"  # where anndata kept them before obsp
            else:
                found[key] = read_element(element)
        except MemoryError:
            raise
        except Exception as error:  # whatever is odd about one element, it is named and the rest is read
            left_out[here] = f"cannot be read ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return found


def _is_matrix(element: Any) -> bool:
    return bool(sparse_format(element)) if is_group(element) else element.ndim == 2


def _is_mapping(element: Any) -> bool:
    return is_group(element) and encoding(element) in ("", "dict") and not sparse_format(element)


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


_KNOWN = frozenset({"X", "obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns", "raw"})
_LEGACY_RAW = frozenset({"raw.X", "raw.var", "raw.varm"})
_NOT_KEPT = {"obsp": "pairwise between cells; not kept", "varp": "pairwise between genes; not kept"}


@dataclass
class _File:
    """The root of an AnnData file, and where its parts are."""

    path: Path
    root: Any

    def __post_init__(self) -> None:
        with reading(self.path, "the root"):
            self.top = members(self.root)
            layers = self.root["layers"] if "layers" in self.top else None
            self.layers = members(layers) if layers is not None and is_group(layers) else []
            self.raw = self._find_raw()

    def _find_raw(self) -> dict[str, Any]:
        """Parts of raw: a group, or before anndata 0.7 elements named ``raw.X``; empty if there is none."""
        if "raw" in self.top and is_group(self.root["raw"]):
            group = self.root["raw"]
            parts = {name: group[name] for name in members(group)}
        else:
            parts = {name.removeprefix("raw."): self.root[name] for name in self.top if name in _LEGACY_RAW}
        return parts if "X" in parts and "var" in parts and not is_absent(parts["X"]) else {}

    def node(self, place: str) -> Any:
        """Return an element that is listed; a link to nowhere is still an error."""
        with reading(self.path, place):
            return self.root[place]

    @property
    def has_X(self) -> bool:  # noqa: N802
        """Whether there is an X that is not None."""
        return "X" in self.top and not is_absent(self.node("X"))

    def alternatives(self) -> str:
        """Say what --layer and --raw could choose."""
        options = [f"--layer {name}" for name in self.layers] + (["--raw"] if self.raw else [])
        return f"This file offers {', '.join(options)}." if options else "It has no layers and no raw either."


def open_anndata(
    path: Path,
    file_format: Literal["h5ad", "zarr"],
    root: Any,
    *,
    layer: str | None,
    raw: bool,
    release: Callable[[], None],
) -> Source:
    """Open an AnnData file whose root group is given.

    Parameters
    ----------
    path, file_format
        The file and what to call its format.
    root
        HDF5 or zarr group.
    layer, raw
        What X is, instead of X.
    release
        Closes the file.

    Returns
    -------
    Source
        With obs, var and uns in memory, matrices and obsm on disk.
    """
    file = _File(path, root)
    _check_is_anndata(file)
    X, var_place, var_node = _choose(file, layer, raw)
    left_out: dict[str, str] = {}
    obs = read_table(path, file.node("obs"), "obs")
    var = read_table(path, var_node, var_place)
    uns = read_uns(file.node("uns"), left_out) if "uns" in file.top else {}
    if not is_group(file.node("obs")):
        restore_legacy_categories((obs, var), uns)
    check_source(path, X, obs, var, var_place)
    obsm = open_obsm(path, file.node("obsm"), len(obs), left_out) if "obsm" in file.top else CellArrays({})
    counts = _find_counts(file, X, var.index, left_out) if layer is None and not raw else None
    _note_left_out(file, layer, raw, left_out)
    return Source(path, file_format, X, counts, obs, var, obsm, uns, dict(sorted(left_out.items())), release)


def _check_is_anndata(file: _File) -> None:
    if "obs" in file.top and "var" in file.top:
        return
    if "mod" in file.top:
        hint = "It looks like MuData: write the modality you want as an .h5ad file with mdata['rna'].write_h5ad(...)."
    else:
        hint = "Formats that are read: AnnData .h5ad and .zarr, 10x Genomics .h5 (CellRanger 2 and later)."
    found = ", ".join(file.top[:6]) or "nothing"
    raise SourceError(f"{file.path} is not AnnData: it has no obs and var (found: {found})", hint)


def _choose(file: _File, layer: str | None, raw: bool) -> tuple[StoredMatrix, str, Any]:
    """Return the matrix that was asked for, and the place and element of its genes."""
    var = file.node("var")
    if raw:
        if not file.raw:
            raise SourceError(f"{file.path} has no raw", "Leave --raw away, or choose another file.")
        return open_matrix(file.path, file.raw["X"], "raw/X"), "raw/var", file.raw["var"]
    if layer is not None:
        if layer not in file.layers:
            there = f"Layers in this file: {', '.join(file.layers)}." if file.layers else "This file has no layers."
            raise SourceError(f"{file.path} has no layer {layer!r}", there)
        return open_matrix(file.path, file.node(f"layers/{layer}"), f"layers/{layer}"), "var", var
    if not file.has_X:
        raise SourceError(f"{file.path} has no X", file.alternatives())
    return open_matrix(file.path, file.node("X"), "X"), "var", var


def check_source(path: Path, X: StoredMatrix, obs: pd.DataFrame, var: pd.DataFrame, var_place: str = "var") -> None:
    """Refuse what no dataset can hold: no cells, no genes, tables of other lengths, bad names or columns."""
    for n, what in ((len(obs), "cells"), (len(var), "genes")):
        if n == 0:
            raise SourceError(f"{path} has no {what}: {X.name} is {X.shape[0]:,} × {X.shape[1]:,}", "Nothing to build.")
    if X.shape != (len(obs), len(var)):
        raise SourceError(
            f"{path}: {X.name} is {X.shape[0]:,} × {X.shape[1]:,}, "
            f"but obs has {len(obs):,} rows and {var_place} {len(var):,}",
            "The file is inconsistent; write it anew from the AnnData object.",
        )
    check_names(path, obs.index, "cell")
    check_names(path, var.index, "gene")
    check_columns(path, obs, "obs")
    check_columns(path, var, var_place)


def _find_counts(file: _File, X: StoredMatrix, genes: pd.Index, left_out: dict[str, str]) -> StoredMatrix | None:
    """Return the first matrix of counts beside X; whatever was looked at is noted in ``left_out``."""
    for name in count_layers(file.layers):
        place = f"layers/{name}"
        try:
            counts, left_out[place] = from_layer(X, open_matrix(file.path, file.node(place), place))
        except SourceError as error:  # X itself is fine
            counts, left_out[place] = None, f"cannot be read ({error.args[0]})"
        if counts is not None:
            return counts
    if not file.raw:
        return None
    try:
        raw = open_matrix(file.path, file.raw["X"], "raw/X")
        raw_genes = read_table(file.path, file.raw["var"], "raw/var").index
        counts, left_out["raw"] = from_raw(X, genes, raw, raw_genes)
    except SourceError as error:
        counts, left_out["raw"] = None, f"cannot be read ({error.args[0]})"
    return counts


def _note_left_out(file: _File, layer: str | None, raw: bool, left_out: dict[str, str]) -> None:
    """Name everything else in the file."""

    def note(place: str, reason: str) -> None:
        left_out.setdefault(place, reason)

    if layer is not None or raw:
        chosen = "raw" if raw else f"layers/{layer}"
        if file.has_X:
            note("X", f"{chosen} was chosen; a dataset holds one matrix")
    if raw:
        note("var", "raw was chosen, which has its own genes")
    elif file.raw:
        note("raw", "a dataset holds one matrix; --raw chooses this one")
    for name in file.layers:
        if name != layer:
            note(f"layers/{name}", "a dataset holds one matrix; --layer chooses another")
    for table in ("obs", "var"):
        for column in unlisted_columns(file.node(table)):
            note(f"{table}/{column}", "not among the columns that the table lists")
    for group in ("varm", "obsp", "varp"):
        for key in members(file.node(group)) if group in file.top else []:
            note(f"{group}/{key}", _NOT_KEPT.get(group, "arrays of genes are not kept"))
    for part, node in file.raw.items():
        if part not in ("X", "var"):
            for key in members(node):
                note(f"raw/{part}/{key}", "arrays of genes are not kept")
    for name in file.top:
        if name not in _KNOWN and not (name in _LEGACY_RAW and file.raw):
            note(name, "not a part of AnnData that is known")
    if "raw" in file.top and not file.raw and not is_absent(file.node("raw")):
        note("raw", "it has no X and var")
