"""What AnnData keeps beside the matrix and is no embedding, as the source had it: obsp, varm, varp, sparse obsm."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.selection import UnknownNameError
from titin.atlas.tables import decode
from titin.dataset import layout
from titin.dataset.arrow import list_arrays
from titin.dataset.manifest import PAIRWISE, group_of
from titin.dataset.store import Store

Positions = NDArray[np.int64]


def read_array(store: Store, place: str, order: Positions | None = None, names: pd.Index | None = None) -> Any:
    """Read one array of `titin.dataset.manifest.Manifest.arrays`.

    Parameters
    ----------
    store
        The dataset.
    place
        Where AnnData has it: ``obsp/distances``.
    order
        Rows of the files (cells, or genes by token) that are wanted; of what lies between them the columns, too. All
        where not given.
    names
        Of these rows, for a table.

    Returns
    -------
    ndarray, csr_matrix, csc_matrix or DataFrame
        In the source's dtype and storage.

    Raises
    ------
    DatasetError
        If a file is missing, damaged or replaced.
    """
    entry = store.manifest.arrays[place]
    file = entry["file"]
    if entry["form"] == "frame":
        table = store.table(file)
        frame = decode(store, file, table if order is None else table.take(pa.array(order)), entry["columns"])
        return frame if names is None else frame.set_axis(names.rename(frame.index.name), axis=0)
    pairwise = group_of(place) in PAIRWISE
    found = _decoded(store, entry, store.table(file)) if order is None else _taken(store, entry, order, pairwise)
    return found.tocsc() if entry.get("storage") == "csc" else found


def _taken(store: Store, entry: Mapping[str, Any], order: Positions, pairwise: bool) -> Any:
    """Some rows of an array, in their order; of row groups that hold none of them nothing is read.

    No more is in memory than a row group and what is taken.
    """
    from scipy import sparse

    kept, places = np.unique(order, return_inverse=True)
    columns = [layout.ENTRIES] if entry["form"] == "dense" else [layout.COLUMNS, layout.ENTRIES]
    width = len(kept) if pairwise else entry["shape"][0] if entry["form"] == "sparse" else 0
    pieces: list[Any] = []
    for group in store.row_groups(entry["file"]):
        first, end = np.searchsorted(kept, [group.first_row, group.first_row + group.n_rows])
        if first < end:
            piece = _decoded(store, entry, store.read_group(group, columns))[kept[first:end] - group.first_row]
            pieces.append(piece[:, kept] if pairwise else piece)
    dtype = np.dtype(entry["dtype"])
    if entry["form"] == "dense":
        shape = [width] if pairwise else entry["shape"]
        dense = np.concatenate(pieces) if pieces else np.empty((0, *shape), dtype)
        return dense[places][:, places] if pairwise else dense[places]
    matrix = sparse.vstack(pieces, format="csr") if pieces else sparse.csr_matrix((0, width), dtype=dtype)
    pieces.clear()
    if not np.array_equal(places, np.arange(len(kept))):
        matrix = matrix[places][:, places] if pairwise else matrix[places]
    matrix.sort_indices()
    return matrix


def _decoded(store: Store, entry: Mapping[str, Any], table: pa.Table) -> Any:
    """Rows of an array's file as an array, or as a CSR matrix whose entries ascend."""
    file, dtype = entry["file"], np.dtype(entry["dtype"])
    entries, indptr = _lists(store, file, table, layout.ENTRIES, layout.element_type(entry["dtype"]))
    entries = entries.astype(dtype, copy=False)
    if entry["form"] == "dense":
        width = int(np.prod(entry["shape"], dtype=np.int64))
        if (np.diff(indptr) != width).any():
            raise store.damaged(file, ValueError(f"a row has not the {width:,} values that titin.json says"))
        return entries.reshape(len(indptr) - 1, *entry["shape"])
    columns, of_columns = _lists(store, file, table, layout.COLUMNS, pa.uint32())
    width = entry["shape"][0]
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    if not np.array_equal(indptr, of_columns):
        raise store.damaged(file, ValueError("rows have another number of values than of columns"))
    if len(columns) and int(columns.max()) >= width:
        raise store.damaged(file, ValueError(f"it names column {int(columns.max()):,} of {width:,}"))
    if ((np.diff(columns.astype(np.int64)) <= 0) & (np.diff(rows) == 0)).any():
        raise store.damaged(file, ValueError("columns of a row do not ascend"))
    from scipy import sparse

    return sparse.csr_matrix((entries, columns.astype(np.int64), indptr), shape=(len(indptr) - 1, width))


def _lists(store: Store, file: str, table: pa.Table, name: str, dtype: pa.DataType) -> tuple[NDArray[Any], Positions]:
    """Elements and row pointers of a list column, of the type that it must have."""
    if name not in table.column_names or table.schema.field(name).type != layout.list_of(dtype):
        raise store.damaged(file, ValueError(f"it has no column {name} of lists of {dtype}"))
    try:
        found = list_arrays(table.column(name))
    except ValueError as error:
        raise store.damaged(file, error) from error
    return found.elements, found.indptr


class KeptArrays(Mapping[str, Any]):
    """Arrays by their key, each read when asked for and not kept.

    Parameters
    ----------
    what
        What AnnData calls them: ``obsp``.
    readers
        By key.
    hint
        What to do where there is none of a key.
    """

    def __init__(self, what: str, readers: Mapping[str, Callable[[], Any]], hint: str) -> None:
        self._what, self._readers, self._hint = what, readers, hint

    def __getitem__(self, key: str) -> Any:
        if key not in self._readers:
            known = f"there are {', '.join(self)}" if self._readers else self._hint
            raise UnknownNameError(f"there is no {self._what}[{key!r}]", known)
        return self._readers[key]()

    def __contains__(self, key: object) -> bool:
        return key in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __repr__(self) -> str:
        return f"{self._what} with keys: {', '.join(self)}"


def array_places(store: Store, group: str) -> dict[str, str]:
    """Place of each kept array of a group (``obsp``), by its key."""
    start = f"{group}/"
    return {place.removeprefix(start): place for place in store.manifest.arrays if place.startswith(start)}


def memory_of(entry: Mapping[str, Any]) -> int:
    """Bytes that an array takes in memory, by its entry of `titin.dataset.manifest.Manifest.arrays`."""
    itemsize = np.dtype(entry.get("dtype", "float64")).itemsize
    return int(entry["n_values"] * (itemsize + 8 * (entry["form"] == "sparse")))
