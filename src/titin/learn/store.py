"""The folder of a benchmark: predictions by task, split, model and fold, each written whole, and found again."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from titin.dataset.checksums import digest_of
from titin.dataset.manifest import Manifest
from titin.dataset.parquet_sink import save_parquet
from titin.dataset.swap import whole, write_text

SHARE = "share:"  # followed by a class
_KEY = b"titin.benchmark"


@dataclass(frozen=True)
class ResultStore:
    """A folder of results.

    ``predictions/TASK/SPLIT/MODEL/fold-000.parquet`` has the predictions of a fold, and beside it ``genes-000`` the
    genes that the model weighs most and ``permuted-000`` what it predicts when the ages are permuted. Each file
    carries the key of what it was made of; one with another key is made again.
    """

    folder: Path

    def path(self, task: str, split: str, model: str, number: int, kind: str = "fold") -> Path:
        """Where a file lies."""
        return (
            self.folder / "predictions" / _plain(task) / _plain(split) / _plain(model) / f"{kind}-{number:03}.parquet"
        )

    def has(self, path: Path, key: str) -> bool:
        """Whether a file is there, whole, and was made of the same."""
        try:
            metadata = pq.read_schema(path).metadata or {}
        except (OSError, pa.ArrowException):
            return False
        return bool(metadata.get(_KEY, b"").decode() == key)

    def write(self, table: pd.DataFrame | pa.Table, path: Path, key: str = "") -> None:
        """Write a table, whole or not at all."""
        arrow = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _KEY: key.encode()})
        with whole(path) as file:
            save_parquet(arrow, file, compression="zstd")

    def read(self, task: str, split: str, model: str, numbers: list[int], kind: str = "fold") -> pd.DataFrame:
        """Read the folds that are there, with ``fold`` as a column; without any, a table without rows."""
        parts = []
        for number in numbers:
            path = self.path(task, split, model, number, kind)
            if path.exists():
                parts.append(pq.read_table(path).to_pandas().assign(fold=number))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file, whole or not at all."""
        path = self.folder / name
        write_text(path, text)
        return path


def key_of(**parts: Any) -> str:
    """sha256 of what a result was made of."""
    return digest_of(parts, default=str)


def sums_of(manifest: Manifest) -> dict[str, Any]:
    """sha256 of the Parquet files of a dataset, by name: what results of it are made of."""
    return {name: entry.get("sha256") for name, entry in manifest.files.items() if name.endswith(".parquet")}


def shares_of(table: pd.DataFrame, classes: list[str]) -> NDArray[np.float64] | None:
    """Units × classes from the columns of predictions; None if a model has none."""
    columns = [f"{SHARE}{name}" for name in classes]
    if not any(column in table for column in columns):
        return None
    return np.asarray(np.nan_to_num(table.reindex(columns=columns).to_numpy(np.float64)))


def _plain(name: str) -> str:
    """Name of a folder: letters, digits and a few signs stay; what is lost is told apart by a checksum."""
    plain = "".join(c if c.isalnum() or c in "._-@+" else "_" for c in name).strip(".") or "_"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
