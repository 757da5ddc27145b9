"""obs, var, obsm and uns as the source had them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.orders import gene_order
from titin.dataset import layout
from titin.dataset.store import Store
from titin.dataset.tables import Record, Values, decode_table, decode_values
from titin.dataset.unstructured import decode_uns
from titin.errors import DatasetError

Order = NDArray[np.int64]
_DECODING = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
    pa.ArrowException,
)


def read_obs(store: Store, order: Order | None = None) -> pd.DataFrame:
    """Restore obs.

    Parameters
    ----------
    order
        Positions in the dataset of the rows wanted; all, in the dataset's order, where not given.
    """
    name = store.manifest.layout.sample_metadata
    return decode(store, name, _take(store.table(name), order), store.manifest.obs["columns"])


def read_derived(store: Store) -> pd.DataFrame:
    """Read what titin has added to the table of cells (`Manifest.derived`), in the dataset's order.

    Numbers are float64; text, of a table of donors, is categorical.
    """
    derived, index = store.manifest.derived, pd.RangeIndex(store.manifest.n_cells)
    return pd.DataFrame({name: read_derived_column(store, name) for name in derived}, index=index)


def read_derived_column(store: Store, name: str, *, labels: bool = False) -> Any:
    """Read one of the columns of `read_derived`.

    Parameters
    ----------
    labels
        Give numbers as categories, too: a byte or two a cell, as there are as many ages as donors.
    """
    file = store.manifest.layout.sample_metadata
    if store.manifest.derived[name].get("type") == "text":
        return _labels(store, file, name, _TEXTS)
    if not labels:
        return _ages(store, file, store.table(file, [name]), name)
    schema = store.arrow_schema(store.shards(file)[0])
    if name in schema.names:
        _check_ages(store, file, name, schema.field(name).type)
    return _labels(store, file, name, _NUMBERS)


_TEXTS: Record = {"kind": "category", "ordered": False, "of": {"kind": "object"}, "categories": "sorted"}
_NUMBERS: Record = _TEXTS | {"of": {"kind": "number", "dtype": "float64"}}


def read_column(store: Store, name: str, record: Record) -> Values:
    """Restore one column of a table of cells as `read_obs` does, a range of rows at a time.

    Nothing else of the size of the column is in memory; equal texts are one object.

    Parameters
    ----------
    name
        The table.
    record
        Of the column.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced, or the column does not hold what its record says.
    """
    if record["kind"] in ("category", "object"):
        return _labels(store, name, record["column"], record)  # type: ignore[no-any-return]
    if record["kind"] != "number":
        return _restored(store, name, store.column(name, record["column"]), record)
    whole = np.empty(store.n_rows(name), np.dtype(record["dtype"]))
    at = 0
    for values in column_ranges(store, name, record):
        whole[at : at + len(values)] = np.asarray(values)
        at += len(values)
    return whole


def column_ranges(store: Store, name: str, record: Record) -> Iterator[Values]:
    """Restore one column of a table of cells, a range of rows after another; raises as `read_column`."""
    for part in store.ranges(name, [record["column"]]):
        yield _restored(store, name, part.column(0), record)


def _restored(store: Store, name: str, column: pa.ChunkedArray | pa.Array, record: Record) -> Values:
    with _decoding(store, name):
        return decode_values(column, record)


def _labels(store: Store, name: str, column: str, record: Record) -> Any:
    """A column of few different entries: each of them restored once, however often it is there."""
    known, places = dict[Any, int](), np.full(store.n_rows(name), -1, np.int32)
    at, dtype = 0, pa.string()
    for part in store.ranges(name, [column]):
        with _decoding(store, name):
            dtype, own = _numbered(part.column(0), known)
        places[at : at + len(own)] = own
        at += len(own)
    lacking = [None] if (places < 0).any() else []
    restored: Any = _restored(store, name, pa.array([*known, *lacking], dtype), record)
    if not isinstance(restored, pd.Categorical):
        return restored[places]
    codes = np.append(restored.codes[: len(known)], np.array(-1, restored.codes.dtype))
    return pd.Categorical.from_codes(codes[places], dtype=restored.dtype)


def _numbered(column: pa.ChunkedArray, known: dict[Any, int]) -> tuple[pa.DataType, NDArray[np.int32]]:
    """Type of a column's entries, and the number of each row's: that of ``known``, which grows; -1 where missing."""
    array = column.unify_dictionaries().combine_chunks()
    array = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    entries = array.dictionary.to_pylist()
    codes = array.indices.fill_null(len(entries)).to_numpy(zero_copy_only=False)
    number = np.full(len(entries) + 1, -1, np.int32)
    for code in np.flatnonzero(np.bincount(codes, minlength=len(entries) + 1)[:-1]).tolist():
        if entries[code] is not None and entries[code] == entries[code]:  # not a number is no label
            number[code] = known.setdefault(entries[code], len(known))
    return array.dictionary.type, number[codes]


def read_obs_names(store: Store) -> pd.Index:
    """Restore the index of obs, in the dataset's order."""
    file, records = store.manifest.layout.sample_metadata, store.manifest.obs["columns"][:1]
    return decode(store, file, store.table(file, [records[0]["column"]]), records).index


def read_var(store: Store) -> pd.DataFrame:
    """Restore var, in the source's order."""
    name = store.manifest.layout.feature_metadata
    table = store.table(name)
    order = gene_order(store, table)
    return decode(store, name, table.take(order), store.manifest.var["columns"])


def read_source_var(store: Store) -> pd.DataFrame:
    """Restore var as the file has it: where symbols repeat and ids are the key, under the symbols."""
    var, own = read_var(store), store.manifest.var.get("own_names")
    if own is None:
        return var
    names = pd.Index(var[own["column"]].to_numpy(), name=own["name"])
    restored: pd.DataFrame = var.drop(columns=own["column"]).set_axis(names, axis=0)
    return restored


def read_embedding(store: Store, key: str, obs_names: pd.Index, order: Order | None = None) -> Any:
    """Restore one embedding, the rows as for `read_obs`; a frame where the source had one."""
    entry = store.manifest.obsm[key]
    frame = decode(store, entry["file"], _take(store.table(entry["file"]), order), entry["columns"])
    frame.index = obs_names
    return frame if entry["frame"] else _numbers(store, entry, frame)


def embedding_ranges(store: Store, key: str) -> Iterator[NDArray[Any]]:
    """Restore an embedding that is an array, in the dataset's order, a range of cells after another.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or replaced, or holds what is no such number.
    """
    entry = store.manifest.obsm[key]
    records = entry["columns"][1:]
    for part in store.ranges(entry["file"], [record["column"] for record in records]):
        columns = {i: _restored(store, entry["file"], part.column(i), record) for i, record in enumerate(records)}
        yield _numbers(store, entry, pd.DataFrame(columns))


def read_loadings(store: Store, key: str) -> NDArray[Any]:
    """Read what a computed projection keeps of the genes (genes × dimensions), in the source's order of genes."""
    entry = store.manifest.varm[key]
    table = decode(store, entry["file"], store.table(entry["file"]), entry["columns"])
    loadings: NDArray[Any] = _numbers(store, entry, table)[gene_order(store)]
    return loadings


def _numbers(store: Store, entry: Mapping[str, Any], frame: pd.DataFrame) -> NDArray[Any]:
    """An array of the type that the manifest names."""
    try:
        return frame.to_numpy(dtype=np.dtype(entry["dtype"]))
    except (TypeError, ValueError, OverflowError) as error:
        raise store.damaged(entry["file"], ValueError(f"it holds what is no {entry['dtype']}: {error}")) from error


def read_uns(store: Store) -> Mapping[str, Any]:
    """Restore the unstructured metadata.

    Raises
    ------
    DatasetError
        If the file is missing, or holds no unstructured metadata.
    """
    return decode_uns(store.json(store.manifest.layout.unstructured_metadata))


def decode(store: Store, name: str, table: pa.Table, records: Sequence[Record]) -> pd.DataFrame:
    """Decode a table of cells or genes.

    Raises
    ------
    DatasetError
        If a column is missing or does not hold what its record says, or a name is missing or names several rows.
    """
    with _decoding(store, name):
        frame = decode_table(table, records)
    if frame.index.hasnans or not frame.index.is_unique:
        again = frame.index[frame.index.duplicated() | frame.index.isna()][0]
        raise store.damaged(name, ValueError(f"a name is missing or names several rows: {again!r}"))
    return frame


@contextmanager
def _decoding(store: Store, name: str) -> Iterator[None]:
    """Say of which table it is that a column does not hold what its record says."""
    try:
        yield
    except DatasetError as error:
        raise store.damaged(name, ValueError(error.args[0])) from error
    except _DECODING as error:
        raise store.damaged(name, ValueError(f"a column does not hold what {layout.MANIFEST} says: {error}")) from error


def _ages(store: Store, file: str, table: pa.Table, name: str) -> NDArray[np.float64]:
    """Ages, NaN where they are missing."""
    column = table.column(name)
    _check_ages(store, file, name, column.type)
    ages: NDArray[np.float64] = column.to_numpy()
    return ages


def _check_ages(store: Store, file: str, name: str, dtype: pa.DataType) -> None:
    if dtype != pa.float64():
        raise store.damaged(file, ValueError(f"column {name}: its type is {dtype}, not double"))


def _take(table: pa.Table, order: Order | None) -> pa.Table:
    return table if order is None else table.take(order)
