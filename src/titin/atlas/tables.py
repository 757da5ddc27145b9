"""obs, var, obsm and uns as the source had them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.orders import gene_order
from titin.dataset import layout
from titin.dataset.store import Store
from titin.dataset.tables import Record, decode_table
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
    if not derived:
        return pd.DataFrame(index=index)
    file = store.manifest.layout.sample_metadata
    table = store.table(file, list(derived))
    columns: dict[str, Any] = {}
    for name, origin in derived.items():
        text = origin.get("type") == "text"
        columns[name] = pd.Categorical(table.column(name).to_pylist()) if text else _ages(store, file, table, name)
    return pd.DataFrame(columns, index=index)


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
    try:
        frame = decode_table(table, records)
    except DatasetError as error:
        raise store.damaged(name, ValueError(error.args[0])) from error
    except _DECODING as error:
        raise store.damaged(name, ValueError(f"a column does not hold what {layout.MANIFEST} says: {error}")) from error
    if frame.index.hasnans or not frame.index.is_unique:
        again = frame.index[frame.index.duplicated() | frame.index.isna()][0]
        raise store.damaged(name, ValueError(f"a name is missing or names several rows: {again!r}"))
    return frame


def _ages(store: Store, file: str, table: pa.Table, name: str) -> NDArray[np.float64]:
    """Ages, NaN where they are missing."""
    column = table.column(name)
    if column.type != pa.float64():
        raise store.damaged(file, ValueError(f"column {name}: its type is {column.type}, not double"))
    ages: NDArray[np.float64] = column.to_numpy()
    return ages


def _take(table: pa.Table, order: Order | None) -> pa.Table:
    return table if order is None else table.take(order)
