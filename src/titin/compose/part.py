"""Some cells and genes of a dataset, as a dataset again."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titin.atlas import Atlas, open_atlas
from titin.atlas.annotated import Annotated, AtlasView
from titin.builder.options import Options
from titin.builder.pipeline import BuildReport, build_from
from titin.builder.workspace import check_target
from titin.compose.dataset_source import dataset_source
from titin.errors import TitinError
from titin.files import local_path
from titin.progress import Progress
from titin.resources import MIN_MEMORY, make_resources
from titin.study import Study, Where

Positions = NDArray[np.int64]


def subset(
    dataset: Annotated | str | os.PathLike[str],
    output: str | Path | None = None,
    *,
    where: Where | Mapping[str, Any] | Sequence[str] | None = None,
    cells: Any = None,
    genes: Any = None,
    force: bool = False,
    resume: bool = False,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Write some cells and genes of a dataset as a dataset of their own.

    Values, counts and metadata are those of the dataset, bit for bit, in the order of its source; its embeddings, uns,
    roles, preset and licence are kept. What is computed of the cells (detection, moments, the order of the genes, the
    panel) is computed again.

    Parameters
    ----------
    dataset
        A folder or URL as for `titin.open`, an `Atlas`, or a part of one.
    output
        Folder to write; ``{prefix}_subset`` in the working directory where not given.
    where
        Conditions on the cells, such as ``'cell_type == "T cell" and age > 60'``; see `titin.study.Where`.
    cells, genes
        Those wanted, as in ``atlas[cells, genes]``; all where not given. Cells have to fulfil ``where``, too.
    force
        Replace a dataset that is there.
    resume
        Go on from an interrupted run.
    threads, memory, progress
        As for `titin.build`.

    Returns
    -------
    BuildReport
        The new dataset's path and manifest; time and memory taken.

    Raises
    ------
    TitinError
        If a column, cell or gene is not there (it names the nearest), or none is left. Nothing is then written at
        ``output``.

    Examples
    --------
    >>> titin.subset("atlas", "women", where="sex=F")  # doctest: +SKIP
    >>> atlas.query('cell_type == "T cell" and age > 60').subset("old_t_cells")  # doctest: +SKIP
    """
    part = dataset if isinstance(dataset, Annotated) else open_atlas(dataset, threads=threads)
    atlas: Atlas = part.atlas if isinstance(part, AtlasView) else part  # type: ignore[assignment]
    target = local_path(output) if output else Path(f"{atlas.manifest.prefix}_subset")
    check_target(target, force=force or resume)
    conditions = Where.of(where)
    rows, columns = _chosen_cells(atlas, part, conditions, cells), _chosen_genes(part, genes)
    resources = make_resources(threads, memory, least=MIN_MEMORY)
    choice = {"where": list(map(str, conditions.conditions)), "cells": _summary(rows), "genes": _summary(columns)}
    source, choices = dataset_source(atlas, resources, rows, columns)
    return build_from(
        source, choices, target, _options(atlas, {"subset": choice}), resources, force=force, resume=resume,
        progress=progress,
    )  # fmt: skip


def _chosen_cells(atlas: Atlas, part: Annotated, where: Where, cells: Any) -> Positions | None:
    """Positions in the dataset, ascending, each once; None for all."""
    if cells is None and part.rows is None and not where:
        return None
    rows: Positions = np.unique(part.cell_positions(cells))
    if where:
        rows = rows[where.holds(Study.of(atlas, where.columns, rows).keys(where.columns))]
    if not len(rows):
        raise TitinError("no cell is chosen", "choose one at least")
    return None if len(rows) == atlas.manifest.n_cells else rows


def _chosen_genes(part: Annotated, genes: Any) -> Positions | None:
    """Positions in the source's order, ascending, each once; None for all."""
    if genes is None and part.columns is None:
        return None
    columns: Positions = np.unique(part.gene_positions(genes))
    if not len(columns):
        raise TitinError("no gene is chosen", "choose one at least")
    return None if len(columns) == part.store.manifest.n_genes else columns


def _summary(chosen: Positions | None) -> dict[str, Any] | None:
    """How many were chosen, and a checksum of which."""
    if chosen is None:
        return None
    return {"n": len(chosen), "sha256": hashlib.sha256(chosen.astype("<i8").tobytes()).hexdigest()}


def _options(atlas: Atlas, derivation: Mapping[str, Any]) -> Options:
    """Those of the dataset, as far as they are no choice of a file's parts."""
    manifest = atlas.manifest
    settings, card = manifest.settings, manifest.settings.get("card") or {}
    return Options(
        tissue=manifest.tissue, method=manifest.method, seed=settings["seed"], shuffle=settings["shuffle"],
        allow_negative=settings.get("allow_negative", False), project=(), licence=card.get("license"),
        preset=atlas.preset, texts=card.get("texts", True), derivation=derivation,
    )  # fmt: skip
