"""Single elements of an AnnData file through anndata's own reader, and the unstructured metadata made of them."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from titin.source.budget import Budget, Descent
from titin.source.matrices import sparse_format
from titin.source.reading import UnboundedError, attribute, child, encoding, is_group, members, reason_of
from titin.source.strings import is_text, read_text

_GRAPHS = ("distances", "connectivities")


def read_element(node: Any) -> Any:
    """Read one element into memory with anndata, whatever version wrote it."""
    from anndata import OldFormatWarning
    from anndata.io import read_elem

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldFormatWarning)
        return read_elem(node)


def read_native(node: Any) -> Any:
    """Read one element, of a writer of whatever byte order, in that of this machine."""
    return _native(read_element(node))


def _native(value: Any) -> Any:
    """The same in the byte order of this machine, the only one that pandas computes with."""
    if isinstance(value, pd.DataFrame):
        value.index = _native(value.index)
        for place in range(value.shape[1]):
            column = value.iloc[:, place].array
            native = _native(column)
            if native is not column:
                value.isetitem(place, native)
    elif isinstance(value, pd.Categorical):
        categories = _native(value.categories)
        return value if categories is value.categories else value.rename_categories(categories)
    elif isinstance(getattr(value, "dtype", None), np.dtype) and not value.dtype.isnative:
        native = np.asarray(value).astype(value.dtype.newbyteorder("="))
        return pd.Index(native, name=value.name) if isinstance(value, pd.Index) else native
    return value


def leaves(group: Any, prefix: str = "", descent: Descent | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the elements of a group by name; one with a slash in it lies in groups of its parts."""
    descent = descent or Descent()
    with descent.into(group, prefix.rstrip("/") or "the group"):
        for key in members(group):
            element = child(group, key)
            if _is_nameless(element):
                yield from leaves(element, f"{prefix}{key}/", descent)
            else:
                yield f"{prefix}{key}", element


def names_in(node: Any) -> list[str]:
    """Names of the elements of a group, as `leaves` yields them, or of the fields of an array of structures."""
    return [name for name, _ in leaves(node)] if is_group(node) else members(node)


def _is_nameless(element: Any) -> bool:
    """Whether a group is nothing but a part of the names of what is in it."""
    if not is_group(element) or encoding(element) or sparse_format(element) or attribute(element, "_index"):
        return False
    parts = set(members(element))
    return bool(parts) and not parts & {"_index", "data", "codes", "values"}


def read_uns(node: Any, left_out: dict[str, str], budget: Budget) -> dict[str, Any]:
    """Read unstructured metadata; an element that anndata cannot read is noted in ``left_out``.

    Raises
    ------
    UnboundedError
        If it takes more than the budget, or groups lie in circles or too deep.
    """
    if not is_group(node):
        left_out["uns"] = "not a group"
        return {}
    return _Mapping(left_out, budget).read(node, "uns")


class _Mapping:
    """Reads groups as dictionaries."""

    def __init__(self, left_out: dict[str, str], budget: Budget) -> None:
        self._left_out, self._budget, self._descent = left_out, budget, Descent()

    def read(self, group: Any, place: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with self._descent.into(group, place):
            for key in members(group):
                here = f"{place}/{key}"
                try:
                    element = child(group, key)
                    if _is_mapping(element):
                        found[key] = self.read(element, here)
                    elif place == "uns/neighbors" and key in _GRAPHS and _is_matrix(element):
                        self._left_out[here] = "a graph between cells; not kept"  # where anndata kept them before obsp
                    else:
                        with self._descent.into(element, here):
                            self._budget.claim(element, here, as_json=True)
                            found[key] = _read_leaf(element)
                except (MemoryError, UnboundedError):
                    raise
                except Exception as error:  # whatever is odd about one element, it is named and the rest is read
                    self._left_out[here] = f"cannot be read ({reason_of(error)})"
        return found


def _read_leaf(element: Any) -> Any:
    try:
        return read_element(element)
    except UnicodeDecodeError:
        if not is_text(element):
            raise
        text = read_text(element)
        return text if text.ndim else text.item()


def _is_matrix(element: Any) -> bool:
    return bool(sparse_format(element)) if is_group(element) else element.ndim == 2


def _is_mapping(element: Any) -> bool:
    return is_group(element) and encoding(element) in ("", "dict") and not sparse_format(element)
