"""``titin.json``: what a dataset is, what it was made from, and a checksum of every file in it."""

import json
import os
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from titin.dataset import layout
from titin.dataset.arrow import sha256
from titin.errors import DatasetError


@dataclass
class Manifest:
    """Everything about a dataset that its Parquet files do not say themselves.

    Holds nothing that differs between two builds of the same source with the same settings (no time, no machine),
    save for the seconds that a projection took.

    Attributes
    ----------
    prefix, tissue, method
        ``prefix`` begins every file name.
    kind
        ``counts``, ``log1p`` or ``real``; see `titin.dataset.codec`.
    n_cells, n_genes, nnz
        Size of the matrix and number of stored values.
    source
        Name, format, sha256, matrix read, its dtype and storage.
    settings
        What the user chose and what bytes depend on.
    recovery
        How counts were recovered: witness, worst distance in ulp, target sum where constant, first refusals.
    roles
        Which obs columns play which part.
    obs, var, obsm
        What is needed to restore the source's tables exactly. An entry of obsm that titin has computed says so under
        ``computed``: method, parameters, seed, versions.
    varm
        Likewise of what belongs to a computed projection and has one row a gene.
    panel
        The genes of the wide view and why each is in it.
    left_out
        What the source has and the dataset does not hold: name and reason.
    notes
        What was put right or noticed on the way, for people.
    libraries
        Versions of what wrote the files.
    preset
        The preset of the dataset: name, digest and, where it is not one of titin's, all of it; empty for none.
    files
        Bytes, sha256 and, for Parquet, rows of every file but this one.
    """

    prefix: str
    tissue: str
    method: str
    kind: str
    n_cells: int
    n_genes: int
    nnz: int
    source: dict[str, Any]
    settings: dict[str, Any]
    recovery: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, Any] = field(default_factory=dict)
    obs: dict[str, Any] = field(default_factory=dict)
    var: dict[str, Any] = field(default_factory=dict)
    obsm: dict[str, Any] = field(default_factory=dict)
    varm: dict[str, Any] = field(default_factory=dict)
    panel: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    libraries: dict[str, str] = field(default_factory=dict)
    preset: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format: str = layout.FORMAT
    format_version: int = layout.FORMAT_VERSION

    @property
    def layout(self) -> layout.Layout:
        """File names."""
        return layout.Layout(self.prefix)

    @property
    def sparsity(self) -> float:
        """Share of zeros, 0 … 1."""
        return 1 - self.nnz / (self.n_cells * self.n_genes)

    def shards(self, name: str) -> list[str]:
        """Names of the files that hold what ``name`` would if it were one file, in order.

        Raises
        ------
        DatasetError
            If the dataset has no such file.
        """
        shard = re.compile(re.escape(name.removesuffix(".parquet")) + r"(-\d{5}-of-\d{5})?\.parquet")
        found = [f for f in self.files if f == name or shard.fullmatch(f)]
        if not found:
            raise DatasetError(f"the dataset has no {name}", "build it again, or see `titin info` for what it holds")
        return sorted(found)

    def write(self, folder: Path) -> None:
        """Write ``titin.json`` into a folder; whole or not at all."""
        first = ("format", "format_version")
        document = {key: getattr(self, key) for key in first} | {
            k: v for k, v in asdict(self).items() if k not in first
        }
        write_json(folder / layout.MANIFEST, document)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read ``titin.json`` from a dataset folder.

        Raises
        ------
        DatasetError
            If there is none, it is not ours, or it is of a later format.
        """
        path = Path(folder) / layout.MANIFEST
        try:
            document = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            hint = "give the folder that `titin build` wrote" if Path(folder).is_dir() else "check the path"
            raise DatasetError(f"{folder} is not a titin dataset: it has no {layout.MANIFEST}", hint) from None
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path} cannot be read: {error}", "restore it, or build the dataset again") from error
        if not isinstance(document, dict) or document.get("format") != layout.FORMAT:
            raise DatasetError(f"{path} is not the manifest of a titin dataset", "build the dataset again")
        if document.get("format_version") != layout.FORMAT_VERSION:
            version = document.get("format_version")
            raise DatasetError(
                f"{folder} has format version {version}; this titin reads version {layout.FORMAT_VERSION}",
                "install the titin that wrote it: pip install --upgrade titin",
            )
        names = {f.name for f in fields(cls)}
        try:
            return cls(**{k: v for k, v in document.items() if k in names})
        except TypeError as error:
            raise DatasetError(f"{path} is incomplete: {error}", "build the dataset again") from error


def describe_file(path: Path) -> dict[str, Any]:
    """Bytes, sha256 and, of a Parquet file, rows."""
    entry: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    if path.suffix == ".parquet":
        entry["rows"] = pq.read_metadata(path).num_rows
    return entry


def write_json(path: Path, document: Any) -> None:
    """Write strict JSON, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    with partial.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
