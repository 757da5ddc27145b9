"""Computing projections and writing them beside the rest of a dataset, with a record of how they were computed."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin import __version__
from titin.atlas import Atlas, open_atlas
from titin.builder.metadata import projection_file
from titin.dataset import layout
from titin.dataset.arrow import write_table
from titin.dataset.manifest import Manifest
from titin.dataset.swap import write_json
from titin.dataset.tables import encode_table, with_pandas_index
from titin.dataset.unstructured import encode_uns
from titin.embed.methods import Method, MethodInput, Projection
from titin.errors import TitinError, reason_of
from titin.progress import Progress
from titin.resources import Resources

LOADINGS = "PCs"


@dataclass(frozen=True)
class TargetDataset:
    """A dataset that is being written.

    Attributes
    ----------
    folder
        Holds what of the dataset is there: at least expression and the tables of cells and genes.
    replace
        Told the name of a file that will be written; gives its path.
    uns
        Gives the unstructured metadata of the source.
    """

    folder: Path
    replace: Callable[[str], Path]
    uns: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class ProjectionRequest:
    """The settings that all projections of one run share.

    Attributes
    ----------
    parameters
        By method, those that are not to be the defaults.
    """

    seed: int
    resources: Resources
    progress: Progress
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def project(method: Method, place: TargetDataset, manifest: Manifest, asked: ProjectionRequest) -> dict[str, Any]:
    """Compute one projection and write its files.

    Returns
    -------
    dict
        What changes in the manifest, JSON-safe, for `record`: ``files``, and parts of ``obsm``, ``varm`` and
        ``left_out``.

    Raises
    ------
    TitinError
        If it cannot be computed; nothing has changed then.
    """
    manifest.write_draft(place.folder)
    resources = asked.resources
    atlas = open_atlas(place.folder, memory=resources.memory, threads=resources.threads, cluster=resources.cluster)
    chosen = {**method.parameters, **asked.parameters.get(method.name, {})}
    task = MethodInput(atlas, _stands_on(atlas, chosen), chosen, asked.seed, resources, asked.progress)
    began = time.perf_counter()
    found = method.run(task)
    asked.progress.finish()
    computed = {
        "method": method.name, "parameters": dict(found.parameters), "seed": asked.seed, **found.found,
        "seconds": round(time.perf_counter() - began, 1), "libraries": {"titin": __version__, **method.versions()},
    }  # fmt: skip
    return _Writer(method, place, manifest, atlas).write(found, computed)


def try_project(method: Method, place: TargetDataset, manifest: Manifest, asked: ProjectionRequest) -> dict[str, Any]:
    """As `project`, but a projection that cannot be computed of this dataset becomes a note."""
    try:
        return project(method, place, manifest, asked)
    except TitinError as error:
        return {"files": [], "notes": [f"{method.key} was not computed: {reason_of(error)}"]}


def record(manifest: Manifest, outcome: Mapping[str, Any]) -> None:
    """Enter what `project` gave into the manifest."""
    for part in ("obsm", "varm", "left_out"):
        getattr(manifest, part).update(outcome.get(part, {}))
    manifest.notes += outcome.get("notes", [])
    manifest.files |= {name: manifest.files.get(name, {}) for name in outcome["files"]}


def _stands_on(atlas: Atlas, parameters: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """Read the scores that a method stands on; the key may differ in case."""
    if "on" not in parameters:
        return None
    wanted = str(parameters["on"])
    key = wanted if wanted in atlas.obsm else next((k for k in atlas.obsm if k.lower() == wanted.lower()), None)
    if key is None:
        there = ", ".join(atlas.obsm) or "none"
        raise TitinError(f"there is no projection {wanted} to stand on", f"projections of this dataset: {there}")
    try:
        return np.asarray(atlas.obsm[key], np.float32)
    except ValueError as error:
        raise TitinError(f"{key} holds what is no number: {error}", "give another projection to stand on") from error


class _Writer:
    """Writes the files of one projection, whole, and then puts them in their places."""

    def __init__(self, method: Method, place: TargetDataset, manifest: Manifest, atlas: Atlas) -> None:
        self.method, self.place, self.manifest, self.atlas = method, place, manifest, atlas

    def write(self, found: Projection, computed: dict[str, Any]) -> dict[str, Any]:
        key, names = self.method.key, self.manifest.layout
        outcome: dict[str, Any] = {"files": [], "obsm": {}, "varm": {}, "left_out": {}}
        others = [entry["file"] for k, entry in self.manifest.obsm.items() if k != key]
        name = projection_file(names, key, others)
        columns = layout.projection_columns(key, found.values.shape[1])
        cell_ids = self.atlas.store.column(names.sample_metadata, layout.CELL_ID)
        records = self._table(outcome, name, found.values, columns, layout.CELL_ID, cell_ids)
        entry = {"file": name, "columns": records, "frame": False, "dtype": str(found.values.dtype)}
        outcome["obsm"][key] = {**entry, "computed": computed}
        if found.loadings is not None:
            self._loadings(outcome, found.loadings)
        if found.uns is not None:
            self._uns(outcome, found.uns)
        if not self.method.stands_on:
            said = [f"{key}: {one}" for one in self.atlas.not_comparable]
            outcome["notes"] = [one for one in said if one not in self.manifest.notes]
        return outcome

    def _loadings(self, outcome: dict[str, Any], loadings: NDArray[np.float32]) -> None:
        names, index = self.manifest.layout, self.manifest.var["columns"][0]["column"]
        name, columns = names.varm(LOADINGS), [f"PC{i + 1}" for i in range(loadings.shape[1])]
        genes = self.atlas.store.column(names.feature_metadata, index)
        records = self._table(outcome, name, loadings, columns, index, genes)
        if (place := f"varm/{LOADINGS}") in self.manifest.arrays:
            outcome["left_out"][place] = (
                f"kept in its file; shown in its place is that of the computed {self.method.key}"
            )
        outcome["varm"][LOADINGS] = {"file": name, "columns": records, "dtype": str(loadings.dtype)}

    def _uns(self, outcome: dict[str, Any], found: Mapping[str, Any]) -> None:
        key, uns = self.method.name, dict(self.place.uns())
        if key in uns and "computed" not in self.manifest.obsm.get(self.method.key, {}):
            outcome["left_out"][f"uns/{key}"] = f"replaced by that of the computed {self.method.key}"
        name = self.manifest.layout.unstructured_metadata
        write_json(self.place.replace(name), encode_uns({**uns, key: dict(found)})[0])
        outcome["files"].append(name)

    def _table(
        self, outcome: dict[str, Any], name: str, values: NDArray[np.float32], columns: list[str], index: str,
        labels: pa.ChunkedArray,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Write an array as a table that begins with its rows' labels; return what restores the columns."""
        frame = pd.DataFrame(values, columns=columns, index=pd.RangeIndex(len(values)).astype(str), copy=False)
        table, records = encode_table(frame, index_name=index)
        table = table.set_column(0, table.schema.field(0), labels.cast(pa.string()))
        table = table.cast(with_pandas_index(table.schema, index))
        with tempfile.TemporaryDirectory(prefix="projection-", dir=self.place.folder.parent) as scratch:
            for file in write_table(Path(scratch), name, table):
                (Path(scratch) / file).replace(self.place.replace(file))
                outcome["files"].append(file)
        return records
