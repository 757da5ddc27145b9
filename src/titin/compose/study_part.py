"""One of the studies that are put together: a dataset, or a file that a dataset can be built of."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas, open_atlas
from titin.builder.ages import CellAges, read_cell_ages
from titin.builder.job import BuildJob, name_genes
from titin.builder.opening import open_chosen
from titin.builder.options import Options, choose_prefix
from titin.builder.scan import kind_of_head
from titin.compose.dataset_source import DatasetMatrix, dataset_source
from titin.dataset import layout
from titin.dataset.kinds import ValueKind, candidates
from titin.errors import TitinError
from titin.files import is_url
from titin.presets import Preset
from titin.progress import Progress
from titin.resources import Resources
from titin.source import Source
from titin.source.counted import blocks_with_counts
from titin.study.roles import RoleChoice, columns_of

_HEAD_BYTES = 1 << 22


@dataclass
class StudyPart:
    """A study, opened.

    Attributes
    ----------
    name
        What its cells are called after.
    source
        Its matrix and tables.
    choices
        The column of each role.
    genes
        Symbol and stable id of each gene.
    ages
        Ages in years, as columns beside obs.
    kind
        What its values are; of a file, what its first cells are.
    tissue, method
        As of a dataset of it.
    licence
        Of the data; None where none is stated.
    of
        Its name in a dataset of several studies that it is a part of; empty where it is all there is.
    """

    name: str
    source: Source
    choices: Mapping[str, RoleChoice]
    genes: pd.DataFrame
    ages: CellAges
    kind: ValueKind
    tissue: str
    method: str
    licence: str | None = None
    preset: Preset = field(default_factory=Preset)
    of: str | None = ""

    @property
    def content(self) -> tuple[str, str | None]:
        """What is the same of two studies that are one and the same."""
        return self.source.inventory.fingerprint(), self.of

    @property
    def roles(self) -> dict[str, Any]:
        """Column by role; of ``cell_type`` a list."""
        return columns_of(self.choices)

    def release_tables(self) -> None:
        """Forget the tables of cells, once they are joined with those of other studies."""
        self.source.obs, self.source.ages, self.ages = pd.DataFrame(), None, CellAges({}, {}, [])
        self.source.obsm, self.source.skipped_obs = {}, pd.DataFrame
        for further in self.source.parts.values():
            further.obs = self.source.obs

    @property
    def made_of(self) -> dict[str, Any]:
        """Its entry of `Source.made_of`."""
        n_cells, n_genes = self.source.X.shape
        (own,) = self.source.made_of or [
            {"name": self.source.path.name, "format": self.source.format, "sha256": self.source.sha256()}
        ]
        return {**own, "n_cells": n_cells, "n_genes": n_genes}


def open_parts(
    place: str | os.PathLike[str], options: Options, resources: Resources, *, counts: bool
) -> list[StudyPart]:
    """Open one study, or each of the studies that a dataset is made of.

    Parameters
    ----------
    place
        A dataset folder or URL; or a file as for `titin.build`.
    options
        For files.
    counts
        Take integer counts for the values.

    Raises
    ------
    TitinError
        If it cannot be opened, or has no counts where they are asked for.
    """
    if not is_url(place) and not (Path(place) / layout.MANIFEST).is_file():
        return [_of_file(Path(place), options, resources, counts)]
    atlas = open_atlas(place, threads=resources.threads)
    studies = atlas.manifest.studies
    if not studies:
        return [_of_dataset(atlas, None, None, resources, counts)]
    labels = atlas.cell_columns(atlas.roles["study"])[atlas.roles["study"]].astype(str).to_numpy()
    return [_of_dataset(atlas, study, np.flatnonzero(labels == study), resources, counts) for study in studies]


def _of_dataset(
    atlas: Atlas, name: str | None, rows: NDArray[np.int64] | None, resources: Resources, counts: bool
) -> StudyPart:
    """A dataset, or one of its studies as it was: the cells at some positions."""
    manifest = atlas.manifest
    (source, choices), kind = dataset_source(atlas, resources, rows), manifest.value_kind
    if counts:
        if not kind.has_counts:
            hint = "merge the values: leave out --merge-counts"
            raise TitinError(f"{atlas.store.name} has no counts: {manifest.why_no_counts}", hint)
        kind = ValueKind("counts")
        matrix = source.X.of_counts() if isinstance(source.X, DatasetMatrix) else source.X
        source = replace(source, X=matrix, counts=None, kind=kind)
    card = manifest.settings.get("card") or {}
    genes, ages = _genes_and_ages(source, choices, Options(preset=atlas.preset), resources)
    return StudyPart(
        name or source.path.name, source, choices, genes, ages, kind, manifest.tissue, manifest.method,
        card.get("license"), atlas.preset, name if rows is not None else "",
    )  # fmt: skip


def _of_file(path: Path, options: Options, resources: Resources, counts: bool) -> StudyPart:
    source, choices = open_chosen(path, options, resources.memory)
    try:
        kind = _kind_of(source)
        if counts and kind.name != "counts":
            if source.counts is None:
                raise TitinError(
                    f"{path} has no matrix of counts beside its values",
                    "build it first, which recovers them where they can be, or leave out --merge-counts",
                )
            source, kind = replace(source, X=source.counts, counts=None), ValueKind("counts")
        elif kind.name == "counts":
            source = replace(source, counts=None)
        genes, ages = _genes_and_ages(source, choices, options, resources)
        tissue, method, _ = choose_prefix(source, columns_of(choices), options)
    except BaseException:
        source.close()
        raise
    return StudyPart(path.name.split(".")[0], source, choices, genes, ages, kind, tissue, method,
                     options.licence, options.preset)  # fmt: skip


def _kind_of(source: Source) -> ValueKind:
    """What the first cells of a file are."""
    with tempfile.TemporaryDirectory(prefix="titin-") as scratch:
        blocks = blocks_with_counts(source.X, source.counts, _HEAD_BYTES, Path(scratch))
        try:
            return kind_of_head(source, next(blocks), candidates(source.uns), {})
        finally:
            blocks.close()


def _genes_and_ages(
    source: Source, choices: Mapping[str, RoleChoice], options: Options, resources: Resources
) -> tuple[pd.DataFrame, CellAges]:
    job = BuildJob(source, options, resources, Progress(), layout.Layout("part"), columns_of(choices), Path(), Path(),
                   choices)  # fmt: skip
    return name_genes(source), read_cell_ages(job.cells)
