"""Arrays with one row a cell, found without being read."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from titin.source.budget import Budget
from titin.source.choice import Choice
from titin.source.elements import leaves, read_native
from titin.source.gaps import Gaps
from titin.source.matrices import sparse_format, sparse_shape
from titin.source.reading import attribute, encoding, is_group, members, reading
from titin.source.tables import read_table

_ENCODINGS = frozenset({"", "array", "csr_matrix", "csc_matrix", "dataframe"})


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


def open_obsm(
    path: Path, node: Any, n_cells: int, choice: Choice, left_out: dict[str, str], budget: Budget, gaps: Gaps
) -> CellArrays:
    """Find the arrays in obsm without reading them; those that cannot be kept are noted in ``left_out``."""
    if not is_group(node):  # before anndata 0.7: one table with a wide field an array
        fields = members(node)
        if not fields or len(node) != n_cells:
            left_out["obsm"] = f"not a table of {n_cells:,} cells"
            return CellArrays({})
        gaps.check_array("obsm")
        chosen = choice.keys(path, fields, left_out)
        return CellArrays({key: partial(_read_field, path, node, key, budget) for key in chosen})
    readers: dict[str, Callable[[], Any]] = {}
    with reading(path, "obsm"):
        found = dict(leaves(node))
    for key in choice.keys(path, list(found), left_out):
        element = found[key]
        with reading(path, f"obsm/{key}"):
            problem = unusable(element, n_cells, "cells")
            if not problem and _is_table(element):
                gaps.check_table(f"obsm/{key}", attribute(element, "_index") or "_index", members(element))
            elif not problem:
                gaps.check_array(f"obsm/{key}")
        if problem:
            left_out[f"obsm/{key}"] = problem
        else:
            readers[key] = partial(read_array, path, element, f"obsm/{key}", budget)
    return CellArrays(readers)


def read_array(path: Path, element: Any, place: str, budget: Budget) -> Any:
    """Read an element with one row a cell, or a gene: an array, a sparse matrix or a table."""
    with reading(path, place):
        budget.check(element, place)
    if _is_table(element):
        return read_table(path, element, place, budget.anew())
    with reading(path, place):
        return read_native(element) if is_group(element) or not _is_numbers(element) else budget.shelf.stored(element)


def _is_numbers(array: Any) -> bool:
    """Whether an array is a matrix of numbers, and nothing that has to be decoded."""
    return bool(array.ndim == 2 and array.dtype.kind in "biuf")


def _read_field(path: Path, node: Any, key: str, budget: Budget) -> Any:
    with reading(path, f"obsm/{key}"):
        budget.check(node, "obsm")
        try:
            return node.fields(key)[()]  # HDF5
        except AttributeError:
            return node[()][key]


def unusable(element: Any, n: int, unit: str) -> str | None:
    """Say why an element with one row a cell, or a gene, cannot be kept; None if it can."""
    kind = encoding(element)
    if kind not in _ENCODINGS:
        return f"unknown encoding {kind!r}"
    if not is_group(element):
        n_rows = element.shape[0] if element.ndim else 0
    elif _is_table(element):
        n_rows = element[attribute(element, "_index") or "_index"].shape[0]
    elif sparse_format(element):
        n_rows = sparse_shape(element)[0]
    else:
        return "a group without encoding"
    return None if n_rows == n else f"has {n_rows:,} rows for {n:,} {unit}"


def _is_table(element: Any) -> bool:
    return is_group(element) and (encoding(element) == "dataframe" or "_index" in members(element))
