"""obs, var, obsm and uns of a dataset, restored as the source had them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.dataset import layout
from titin.dataset.store import Store
from titin.dataset.tables import decode_table, decode_values
from titin.dataset.unstructured import decode_uns

Order = NDArray[np.int64]


def source_order(store: Store) -> Order:
    """Position in the dataset of each source row."""
    rows = store.column(store.manifest.layout.expression, layout.SOURCE_ROW).to_numpy()
    order = np.empty(len(rows), np.int64)
    order[rows] = np.arange(len(rows))
    return order


def read_obs(store: Store, order: Order | None = None, *, ages: bool = False) -> pd.DataFrame:
    """Restore obs.

    Parameters
    ----------
    order
        Positions in the dataset of the rows wanted; all, in the dataset's order, where not given.
    ages
        Add ``age_numeric`` and ``age_years`` where the dataset has them and obs has no column of that name.
    """
    table = _take(store.table(store.manifest.layout.sample_metadata), order)
    obs = decode_table(table, store.manifest.obs["columns"])
    for name in (layout.AGE_NUMERIC, layout.AGE_YEARS) if ages else ():
        if name in table.column_names and name not in obs.columns:
            obs[name] = table.column(name).to_numpy()
    return obs


def read_obs_names(store: Store) -> pd.Index:
    """Restore the index of obs, in the dataset's order."""
    record = store.manifest.obs["columns"][0]
    names = decode_values(store.column(store.manifest.layout.sample_metadata, record["column"]), record)
    return pd.Index(names, dtype=names.dtype, name=record["name"])


def read_var(store: Store) -> pd.DataFrame:
    """Restore var, in the source's order."""
    table = store.table(store.manifest.layout.feature_metadata)
    order = np.argsort(table.column(layout.SOURCE_COLUMN).to_numpy())
    return decode_table(table.take(order), store.manifest.var["columns"])


def read_embedding(store: Store, key: str, obs_names: pd.Index, order: Order | None = None) -> Any:
    """Restore one embedding, the rows as for `read_obs`; a frame where the source had one."""
    entry = store.manifest.obsm[key]
    frame = decode_table(_take(store.table(entry["file"]), order), entry["columns"])
    frame.index = obs_names
    return frame if entry["frame"] else frame.to_numpy(dtype=np.dtype(entry["dtype"]))


def read_obsm(store: Store, obs_names: pd.Index, order: Order | None = None) -> dict[str, Any]:
    """Restore the embeddings, the rows as for `read_obs`."""
    return {key: read_embedding(store, key, obs_names, order) for key in store.manifest.obsm}


def read_varm(store: Store) -> dict[str, NDArray[Any]]:
    """Read what has one row a gene (genes × dimensions), in the source's order of genes."""
    entries = store.manifest.varm
    if not entries:
        return {}
    order = np.argsort(store.column(store.manifest.layout.feature_metadata, layout.SOURCE_COLUMN).to_numpy())
    tables = {key: decode_table(store.table(entry["file"]), entry["columns"]) for key, entry in entries.items()}
    return {key: table.to_numpy(dtype=np.dtype(entries[key]["dtype"]))[order] for key, table in tables.items()}


def read_uns(store: Store) -> Mapping[str, Any]:
    """Restore the unstructured metadata.

    Raises
    ------
    DatasetError
        If the file is missing or no JSON.
    """
    return decode_uns(store.json(store.manifest.layout.unstructured_metadata))


def _take(table: pa.Table, order: Order | None) -> pa.Table:
    return table if order is None else table.take(order)
