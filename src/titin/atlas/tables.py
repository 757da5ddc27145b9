"""obs, var, obsm and uns of a dataset, restored as the source had them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.blocks import read_column, read_table
from titin.dataset import layout
from titin.dataset.manifest import Manifest
from titin.dataset.tables import decode_table
from titin.dataset.unstructured import decode_uns
from titin.errors import DatasetError


def source_order(folder: Path, manifest: Manifest) -> NDArray[np.int64]:
    """Position in the dataset of each source row."""
    rows = read_column(folder, manifest, manifest.layout.expression, layout.SOURCE_ROW).to_numpy()
    order = np.empty(len(rows), np.int64)
    order[rows] = np.arange(len(rows))
    return order


def read_obs(folder: Path, manifest: Manifest) -> pd.DataFrame:
    """Restore obs, in the source's order."""
    table = read_table(folder, manifest, manifest.layout.sample_metadata)
    return decode_table(table.take(source_order(folder, manifest)), manifest.obs["columns"])


def read_var(folder: Path, manifest: Manifest) -> pd.DataFrame:
    """Restore var, in the source's order."""
    table = read_table(folder, manifest, manifest.layout.feature_metadata)
    order = np.argsort(table.column(layout.SOURCE_COLUMN).to_numpy())
    return decode_table(table.take(order), manifest.var["columns"])


def read_obsm(folder: Path, manifest: Manifest, obs_names: pd.Index) -> dict[str, Any]:
    """Restore the embeddings, in the source's order."""
    order = source_order(folder, manifest)
    obsm: dict[str, Any] = {}
    for key, entry in manifest.obsm.items():
        table = read_table(folder, manifest, entry["file"]).take(order)
        frame = decode_table(table, entry["columns"])
        frame.index = obs_names
        obsm[key] = frame if entry["frame"] else frame.to_numpy(dtype=np.dtype(entry["dtype"]))
    return obsm


def read_uns(folder: Path, manifest: Manifest) -> Mapping[str, Any]:
    """Restore the unstructured metadata.

    Raises
    ------
    DatasetError
        If the file is missing or no JSON.
    """
    path = folder / manifest.layout.unstructured_metadata
    try:
        return decode_uns(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read: {error}", "restore it, or build the dataset again") from error
