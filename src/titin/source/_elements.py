"""AnnData's own reader for the small elements of a source: tables, arrays of cells, unstructured metadata."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from titin.source._matrix import sparse_format, sparse_shape
from titin.source._reading import attribute, encoding, is_group, members, reading

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
