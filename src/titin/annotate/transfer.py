"""Labels of a dataset by a model of another: every cell its likeliest type, and how it compares with its own label."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.annotate.linear_model import LabelModel, entropy, probabilities
from titin.annotate.training import draw_cells, fit_label_model, read_training_cells
from titin.atlas import Atlas
from titin.atlas.passes import BlockReader
from titin.blas import one_blas_thread
from titin.dataset.block import Block
from titin.errors import TitinError
from titin.progress import Progress
from titin.results import Result
from titin.study.design import Study, choose_level, level_columns, text_values
from titin.text import count

UNASSIGNED = "Unassigned"
LEAST_COVERAGE = 0.5
ASSIGNED_FROM = 0.5  # probability, as in CellTypist
_NEEDED_BY = "a label model"
_NAMED = 5


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CellLabels(Result):
    """What a model calls the cells of a dataset.

    Attributes
    ----------
    table
        One row a cell, in the dataset's order, by ``cell_id``: ``predicted``, its likeliest type; ``p``, the model's
        probability of it against all the rest; ``entropy``; ``label``, the same, or ``Unassigned`` where p is too
        low; with a vote also ``cluster``, ``voted`` (the commonest prediction of the cluster) and ``vote_share``.
    types
        One row a type of the model: ``n_cells`` of that label, their ``share``, ``mean_p``.
    compared
        One row a level of the dataset's own labels, own label and predicted one: ``n_cells``, ``share`` of the own.
    coverage
        Share of the model's genes that the dataset has.
    missing_genes
        Those that it has not.
    """

    types: pd.DataFrame
    compared: pd.DataFrame
    coverage: float
    missing_genes: list[str]


def train_label_model(
    atlas: Atlas, *, cell_type_level: int | str | None = None, min_cells: int = 10, seed: int = 0,
    threads: int | None = None, progress: Progress | None = None,
) -> LabelModel:  # fmt: skip
    """Train a model on all donors of a dataset.

    Parameters
    ----------
    atlas
        The dataset.
    cell_type_level
        Level of labels, by column or place; the coarsest where not given.
    min_cells
        Of the drawn cells, that a type needs.
    seed
        Of the draw of training cells.
    threads, progress
        For the computation.

    Raises
    ------
    TitinError
        If there is no such level, or it has not two types.
    """
    atlas = atlas.comparable()
    threads = threads or atlas.reader.resources.threads
    study = Study.of(atlas)
    level = choose_level(list(level_columns(atlas.roles)), cell_type_level)
    codes, types = pd.factorize(study.keys([level])[level], sort=True)
    donors, names = np.zeros(atlas.n_obs, np.int64), [""]
    if study.knows("donor"):
        donors, known = pd.factorize(study.keys(["donor"])["donor"], sort=True)
        names = [str(name) for name in known]
    cells, weight = draw_cells(donors, names, pd.DataFrame({level: codes}), seed=seed)
    own = codes[cells]
    enough = np.flatnonzero(np.bincount(own[own >= 0], minlength=len(types)) >= min_cells)
    if len(enough) < 2:
        raise TitinError(f"{level!r} has {count(len(enough), 'type')} of {min_cells} cells or more, and a model tells "
                         "types apart", "choose another --cell-type-level, or see --class-cells")  # fmt: skip
    training = read_training_cells(atlas, cells, weight, donors, threads=threads, progress=progress)
    place = np.full(len(types) + 1, -1)
    place[enough] = np.arange(len(enough))
    rows = np.flatnonzero(place[own] >= 0)
    with one_blas_thread(_NEEDED_BY):
        model, _ = fit_label_model(atlas, training, rows, place[own[rows]], [str(types[int(k)]) for k in enough])
    manifest = atlas.manifest
    model.facts.update({
        "level": level, "donors": len(names), "cells": len(rows), "seed": seed, "kind": manifest.kind,
        "dataset": manifest.prefix, "source": manifest.source.get("sha256", ""),
    })  # fmt: skip
    return model


def label_cells(
    atlas: Atlas, model: LabelModel, *, vote: str | None = None, assigned_from: float = ASSIGNED_FROM,
    threads: int | None = None, progress: Progress | None = None,
) -> CellLabels:  # fmt: skip
    """Label the cells of a dataset by a model.

    Parameters
    ----------
    atlas
        The dataset.
    model
        From `train_label_model`, `read_label_model` or `read_celltypist`.
    vote
        Column of obs with clusters: each cell also gets the commonest prediction of its cluster.
    assigned_from
        Probability below which a cell is ``Unassigned``.
    threads, progress
        For the computation.

    Raises
    ------
    TitinError
        If the dataset has fewer than half of the model's genes, or no such column.
    """
    atlas = atlas.comparable()
    threads = threads or atlas.reader.resources.threads
    progress = progress or Progress()
    if atlas.kind == "real" and atlas.manifest.recovery.get("linear"):
        raise TitinError("the values are no logarithms and have no counts behind them, which models of labels need",
                         "build the dataset from counts or from log-normalised values")  # fmt: skip
    places = match_genes(atlas, model)
    kept = np.flatnonzero(places >= 0)
    coverage = len(kept) / max(1, len(places))
    if coverage < LEAST_COVERAGE:
        raise TitinError(
            f"the dataset has {len(kept):,} of the model's {len(places):,} genes ({coverage:.0%}) by id or symbol, "
            "which is too few", "another species, or other names of genes? Give a model of the same",
        )  # fmt: skip
    clusters = None if vote is None else _clusters(atlas, vote)
    predicted, p, spread = _apply(atlas, model.restricted(kept), places[kept], threads, progress)
    classes = np.array(model.classes, object)
    named = pd.CategoricalDtype([*model.classes, *([] if UNASSIGNED in model.classes else [UNASSIGNED])])
    label = np.where(p >= assigned_from, classes[predicted], UNASSIGNED)
    table = pd.DataFrame({
        "predicted": pd.Categorical(classes[predicted], dtype=named), "p": p.astype(np.float32),
        "entropy": spread.astype(np.float32), "label": pd.Categorical(label, dtype=named),
    }, index=pd.Index(atlas.obs_names.astype(str), name="cell_id"))  # fmt: skip
    if clusters is not None:
        table = table.assign(**_vote(clusters, classes[predicted], named))
    missing = [model.genes[i] or model.gene_ids[i] for i in np.flatnonzero(places < 0).tolist()]
    settings = {"model": dict(model.facts), "n_genes": len(places), "assigned_from": assigned_from, "vote": vote,
                **({"warnings": atlas.not_comparable} if atlas.not_comparable else {})}  # fmt: skip
    return CellLabels(table, settings=settings, types=_types(table, model), compared=_compare(atlas, label),
                      coverage=coverage, missing_genes=missing)  # fmt: skip


def match_genes(atlas: Atlas, model: LabelModel) -> NDArray[np.int64]:
    """Place in ``atlas.var`` of each gene of a model, by its stable id, else by its symbol; -1 where there is none.

    Of several genes of one symbol it is the one that most cells express.
    """
    axis = atlas.reader.genes
    order = np.argsort(axis.token)[::-1]  # the commonest last, which stays
    by_id = {_bare(axis.ids[i]): int(i) for i in order if axis.ids[i]}
    by_symbol = {axis.symbols[i]: int(i) for i in order if axis.symbols[i]}
    found = [by_id.get(_bare(own), by_symbol.get(name, by_id.get(_bare(name), -1)))
             for name, own in zip(model.genes, model.gene_ids, strict=True)]  # fmt: skip
    return np.array(found, np.int64)


def _bare(name: str) -> str:
    """An id without the number of its version."""
    stem, _, version = name.partition(".")
    return stem if stem.startswith("ENS") and version.isdecimal() else name


def _apply(
    atlas: Atlas, model: LabelModel, places: NDArray[np.int64], threads: int, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    column = np.full(atlas.n_vars, -1, np.int32)
    column[atlas.reader.genes.token[places]] = np.arange(len(places))
    reader = BlockReader(atlas, values="per_10k")
    predicted, top, spread = np.empty(atlas.n_obs, np.int64), np.empty(atlas.n_obs), np.empty(atlas.n_obs)
    progress.start("labels", reader.n_cells, "cells")
    with one_blas_thread(_NEEDED_BY):
        for rows, found in reader.spread(partial(_label_block, model, column), threads, advance=progress.advance):
            predicted[rows], top[rows], spread[rows] = found
    progress.finish()
    return predicted, top, spread


def _label_block(
    model: LabelModel, column: NDArray[np.int32], block: Block
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Likeliest type of each cell of a block, its probability, and the entropy of all."""
    with one_blas_thread(_NEEDED_BY):
        p = probabilities(model.scores(block, np.arange(block.n_cells), column))
    return p.argmax(axis=1), p.max(axis=1), entropy(p)


def _clusters(atlas: Atlas, name: str) -> pd.Series:
    if name not in atlas.obs:
        columns = ", ".join(map(str, atlas.obs.columns))
        raise TitinError(f"obs has no column {name!r} of clusters", f"columns: {columns}")
    column: pd.Series = atlas.cell_columns([name])[name]
    return column


def _vote(clusters: pd.Series, predicted: NDArray[np.object_], named: pd.CategoricalDtype) -> dict[str, Any]:
    """The commonest prediction of each cluster, the first by name of equals, and its share; none without a cluster."""
    frame = pd.DataFrame({"cluster": text_values(clusters), "predicted": predicted})
    counted = frame.groupby(["cluster", "predicted"]).size().reset_index(name="n")
    winners = counted.sort_values(["n", "predicted"], ascending=[False, True]).groupby("cluster").first()
    share = winners["n"] / frame.groupby("cluster").size()
    return {
        "cluster": pd.Categorical(frame["cluster"]),
        "voted": pd.Categorical(frame["cluster"].map(winners["predicted"]), dtype=named),
        "vote_share": frame["cluster"].map(share).to_numpy(np.float32),
    }


def _types(table: pd.DataFrame, model: LabelModel) -> pd.DataFrame:
    grouped = table.groupby("label", observed=False)["p"]
    names = list(dict.fromkeys([*model.classes, UNASSIGNED]))
    frame = pd.DataFrame({"cell_type": names, "n_cells": grouped.size().reindex(names).to_numpy(np.int64),
                          "mean_p": grouped.mean().reindex(names).to_numpy(np.float64)})  # fmt: skip
    frame.insert(2, "share", frame["n_cells"] / max(1, len(table)))
    return frame.sort_values("n_cells", ascending=False, kind="stable", ignore_index=True)


def _compare(atlas: Atlas, label: NDArray[np.object_]) -> pd.DataFrame:
    """The dataset's own labels against those of the model."""
    study, parts = Study.of(atlas), []
    for level in study.levels:
        own = text_values(study.labels(level))
        frame = pd.DataFrame({"label": own, "predicted": label}).groupby(["label", "predicted"]).size()
        counted = frame.reset_index(name="n_cells")
        counted["share"] = counted["n_cells"] / counted.groupby("label")["n_cells"].transform("sum")
        counted.insert(0, "level", str(level))
        parts.append(counted.sort_values(["label", "n_cells"], ascending=[True, False]))
    columns = ["level", "label", "predicted", "n_cells", "share"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({name: [] for name in columns})


def obtain_model(
    path: Path | str, *, cell_type_level: int | str | None = None, seed: int = 0, threads: int | None = None,
    memory: int | str | None = None, progress: Progress | None = None,
) -> LabelModel:  # fmt: skip
    """Read a model, ``.npz``, or train one on the dataset that lies at a path or URL."""
    from titin.annotate.model_file import read_label_model
    from titin.atlas import open_atlas

    if str(path).endswith(".npz"):
        return read_label_model(Path(path))
    other = open_atlas(path, threads=threads, memory=memory)
    return train_label_model(other, cell_type_level=cell_type_level, seed=seed, threads=threads, progress=progress)


def facts_of(model: Mapping[str, Any]) -> str:
    """In words, where a model is from."""
    if model.get("made_by") == "CellTypist":
        return f"CellTypist's {model.get('file', '')}"
    return f"trained on {model.get('dataset', '?')}, level {model.get('level', '?')}, {model.get('donors', '?')} donors"
