"""Labels checked against models that have not seen the donor: every donor is held out once, at every level."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.annotate.confident_learning import alike_types, confident_calls, flag_labels, rank_labels
from titin.annotate.contradicted import without_contradicted
from titin.annotate.label_check import LabelCheck, make_label_check
from titin.annotate.linear_model import LabelModel, entropy, probabilities
from titin.annotate.review import name_markers, review_groups
from titin.annotate.training import TrainingCells, draw_cells, fit_label_model, read_training_cells
from titin.atlas import Atlas
from titin.atlas.passes import BlockReader
from titin.blas import one_blas_thread
from titin.cluster import spread
from titin.dataset.block import Block
from titin.errors import TitinError
from titin.progress import Progress
from titin.study.design import Study, choose_level, level_columns, need
from titin.text import count

MIN_DONORS, MIN_CELLS = 3, 10
_NEEDED_BY = "a label model"
MOST_FOLDS = 20  # donors up to which each is a fold of its own
_FOLDS = 10  # else
METHOD = (
    "logistic regression of each type against all the rest, on standardised log1p of counts per 10,000, "
    "genes chosen by Welch's t on the training donors, without the training cells that other training donors contradict"
)


@dataclass(frozen=True, eq=False)
class _Labels:
    """Donors and labels of a dataset as codes.

    Attributes
    ----------
    donors, names
        Code of each cell's donor, -1 for none; names of the donors.
    levels
        By level of labels: code of each cell's label, -1 for none, and the names of the types.
    """

    donors: NDArray[np.int64]
    names: list[str]
    levels: dict[str, tuple[NDArray[np.int64], list[str]]]

    @property
    def codes(self) -> pd.DataFrame:
        return pd.DataFrame({level: codes for level, (codes, _) in self.levels.items()})


def check_labels(
    atlas: Atlas, *, cell_type_level: int | str | None = None, folds: int | None = None, min_donors: int = MIN_DONORS,
    min_cells: int = MIN_CELLS, seed: int = 0, threads: int | None = None, progress: Progress | None = None,
) -> LabelCheck:  # fmt: skip
    """Cross-validate the labels of a dataset, at every level, with donors held out.

    Parameters
    ----------
    atlas
        The dataset.
    cell_type_level
        Level of labels, by column or place; all of them where not given.
    folds
        Groups of donors, dealt by the seed, that are held out together; each donor alone where there are up to
        `MOST_FOLDS`, else ten.
    min_donors, min_cells
        That a type needs; other types are not evaluable, and no cell is told to be of one that the other donors have
        not enough of.
    seed
        Of the draw of training cells, and of folds.
    threads, progress
        For the computation.

    Returns
    -------
    LabelCheck
        Nothing of the dataset is changed: see `titin.annotate.write_label_check`.

    Raises
    ------
    TitinError
        If there are no labels or donors, one donor, or one type.

    Notes
    -----
    The models are CellTypist's in kind (Domínguez Conde et al., Science 376, eabl5197, 2022), the flags those of
    confident learning (Northcutt, Jiang & Chuang, J. Artif. Intell. Res. 70, 1373, 2021).

    Examples
    --------
    >>> check = check_labels(titin.open("dataset"))  # doctest: +SKIP
    >>> check.review.head()  # doctest: +SKIP
    """
    atlas = atlas.comparable()
    threads = threads or atlas.reader.resources.threads
    progress = progress or Progress()
    if folds is not None and folds < 2:
        raise TitinError(f"{folds} folds hold no donor out", "give --folds 2 or more")
    labels = _read_labels(atlas, cell_type_level)
    fold_of = _deal(labels.names, folds, seed)
    cells, weight = draw_cells(labels.donors, labels.names, labels.codes, seed=seed)
    training = read_training_cells(atlas, cells, weight, labels.donors, threads=threads, progress=progress)
    models = _fit(_Training(atlas, training, labels, fold_of, min_donors, min_cells), threads, progress)
    if not models:
        largest = max(int(np.bincount(codes[codes >= 0]).max(initial=0)) for codes, _ in labels.levels.values())
        raise TitinError(
            f"no level has two types that {min_donors - 1} training donors have {min_cells} cells of, so that none can "
            f"be told from another; the largest type has {count(largest, 'cell')}",
            "see --class-donors and --class-cells",
        )  # fmt: skip
    table = _judge(atlas, labels, fold_of, models, threads, progress)
    donor_names = np.array([*labels.names, None], object)[labels.donors]
    review = review_groups(table, donor_names, atlas.n_obs)
    review = name_markers(atlas, table, review, donor_names, training, seed=seed, threads=threads)
    settings = {
        "method": METHOD, "folds": len(set(fold_of.tolist())), "donors": len(labels.names), "min_donors": min_donors,
        "min_cells": min_cells, "seed": seed, "training_cells": len(cells), "levels": list(labels.levels),
        **({"warnings": atlas.not_comparable} if atlas.not_comparable else {}),
    }  # fmt: skip
    return make_label_check(atlas, table, review, settings)


def _read_labels(atlas: Atlas, level: int | str | None) -> _Labels:
    """Codes of donors and labels, with those levels that have two types."""
    study = Study.of(atlas)
    columns = level_columns(atlas.roles)
    wanted = list(columns) if level is None and columns else [choose_level(list(columns), level)]
    need(["donor"] if study.knows("donor") else [], "donor", "labels are checked on donors that a model has not seen")
    donors, names = pd.factorize(study.keys(["donor"])["donor"], sort=True)
    if len(names) < 2:
        raise TitinError("this dataset has one donor: no donor can be held out, and labels cannot be checked",
                         "apply a model of another dataset: --model")  # fmt: skip
    levels = {}
    for own in wanted:
        codes, types = pd.factorize(study.keys([own])[own], sort=True)
        levels[str(columns[own])] = np.where(donors >= 0, codes, -1).astype(np.int64), [str(name) for name in types]
    if all(len(np.unique(codes[codes >= 0])) < 2 for codes, _ in levels.values()):
        raise TitinError("this dataset has one cell type: there is no other that a cell could be of",
                         "build it with another --cell-type COLUMN")  # fmt: skip
    return _Labels(donors.astype(np.int64), [str(name) for name in names], levels)


def _deal(names: Sequence[str], folds: int | None, seed: int) -> NDArray[np.int64]:
    """Fold of each donor."""
    n = len(names)
    wanted = min(n, folds or (n if n <= MOST_FOLDS else _FOLDS))
    fold_of = np.empty(n, np.int64)
    order = np.arange(n) if wanted == n else np.random.Generator(np.random.PCG64(seed)).permutation(n)
    fold_of[order] = np.arange(n) % wanted
    return fold_of


FoldModel = tuple[LabelModel, NDArray[np.int64], NDArray[np.int32]]
Models = dict[tuple[str, int], FoldModel]


@dataclass(frozen=True, eq=False)
class _Training:
    """What the models of all folds are fitted to, and what a type needs."""

    atlas: Atlas
    cells: TrainingCells
    labels: _Labels
    fold_of: NDArray[np.int64]
    min_donors: int
    min_cells: int


def _fit(training: _Training, threads: int, progress: Progress) -> Models:
    """Fit a model for each level and fold, in threads or on the atlas's cluster.

    Returns
    -------
    dict
        Of level and fold: the model, the code of each of its types, and the place of each token among its genes.
    """
    jobs = [(level, fold) for level in training.labels.levels for fold in range(int(training.fold_of.max()) + 1)]
    progress.start("models", len(jobs), "models")
    cluster = training.atlas.reader.resources.cluster
    with one_blas_thread(_NEEDED_BY):
        made = spread(_fit_fold, (training,), jobs, threads, cluster, told=lambda _: progress.advance(1), apart=True)
        found = {job: model for job, model in zip(jobs, made, strict=True) if model is not None}
    progress.finish()
    return found


def _fit_fold(training: _Training, job: tuple[str, int]) -> FoldModel | None:
    """Fit the model of a level and fold, on the cells of the other folds' donors; none where fewer than two types can.

    Folds run side by side, each with one thread of BLAS, and no sum depends on the number of threads.
    """
    level, fold = job
    cells, (codes, types) = training.cells, training.labels.levels[level]
    own = codes[cells.cells]
    known = (training.fold_of[cells.donor] != fold) & (own >= 0)
    needed = max(1, training.min_donors - 1), training.min_cells
    enough = _enough(own[known], cells.donor[known], len(types), *needed)
    if len(enough) < 2:
        return None
    place = np.full(len(types), -1)
    place[enough] = np.arange(len(enough))
    rows = np.flatnonzero(known & (np.where(own >= 0, place[own], -1) >= 0))
    with one_blas_thread(_NEEDED_BY):
        rows = rows[without_contradicted(training.atlas, cells, rows, place[own[rows]], len(enough), *needed)]
        model, column = fit_label_model(training.atlas, cells, rows, place[own[rows]], [types[k] for k in enough])
    return model, enough, column


def _enough(
    codes: NDArray[np.int64], donors: NDArray[np.int64], n_types: int, min_donors: int, min_cells: int
) -> NDArray[np.int64]:
    """Types that as many training donors and cells have."""
    pairs = np.unique(codes * (donors.max(initial=0) + 1) + donors) // (donors.max(initial=0) + 1)
    n_donors = np.bincount(pairs, minlength=n_types)
    return np.flatnonzero((n_donors >= min_donors) & (np.bincount(codes, minlength=n_types) >= min_cells))


def _judge(
    atlas: Atlas, labels: _Labels, fold_of: NDArray[np.int64], models: Models, threads: int, progress: Progress
) -> pd.DataFrame:
    """Let every cell be judged by the models that have not seen its donor, in one pass."""
    n = atlas.n_obs
    kept = {level: _unjudged(n) for level in labels.levels}
    cell_fold = np.where(labels.donors >= 0, fold_of[labels.donors], -1)
    progress.start("label check", n, "cells")
    with one_blas_thread(_NEEDED_BY):
        judge = partial(_judge_block, labels, cell_fold, models)
        for rows, found in BlockReader(atlas, values="per_10k").spread(judge, threads, advance=progress.advance):
            for level, judged in found.items():
                for whole, part in zip(kept[level], judged, strict=True):
                    whole[rows] = part
    progress.finish()
    named = pd.CategoricalDtype(sorted({name for _, types in labels.levels.values() for name in types}))
    tables = [_level_table(atlas, level, labels, named, *values) for level, values in kept.items()]
    return pd.concat(tables, ignore_index=True)


Judged = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _unjudged(n: int) -> Judged:
    """Code of the predicted type, p of the label and of that type, entropy: of cells that nobody has judged."""
    return np.full(n, -1, np.int64), np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)


def _judge_block(labels: _Labels, cell_fold: NDArray[np.int64], models: Models, block: Block) -> dict[str, Judged]:
    """Judge the cells of a block, by level; see `_unjudged`."""
    own = slice(block.start, block.start + block.n_cells)
    found = {level: _unjudged(block.n_cells) for level in labels.levels}
    for fold in np.unique(cell_fold[own]):
        rows = np.flatnonzero(cell_fold[own] == fold)
        for level, (predicted, p_label, p_predicted, spread_out) in found.items():
            if (level, int(fold)) not in models:
                continue
            model, types, column = models[level, int(fold)]
            with one_blas_thread(_NEEDED_BY):
                p = probabilities(model.scores(block, rows, column))
            best = p.argmax(axis=1)
            predicted[rows], p_predicted[rows] = types[best], p[np.arange(len(rows)), best]
            spread_out[rows] = entropy(p)
            place = np.full(len(labels.levels[level][1]), -1)
            place[types] = np.arange(len(types))
            label = labels.levels[level][0][own][rows]
            mine = np.where(label >= 0, place[label], -1)
            p_label[rows] = np.where(mine >= 0, p[np.arange(len(rows)), mine], np.nan)
    return found


def _level_table(
    atlas: Atlas, level: str, labels: _Labels, named: pd.CategoricalDtype, predicted: NDArray[np.int64],
    p_label: NDArray[np.float64], p_predicted: NDArray[np.float64], spread: NDArray[np.float64],
) -> pd.DataFrame:  # fmt: skip
    codes, types = labels.levels[level]
    # as they are stored, so that whoever reads them finds the same types alike
    p_label, p_predicted = (p.astype(np.float32).astype(np.float64) for p in (p_label, p_predicted))
    judged = np.where(np.isnan(p_label), -1, codes)
    called = confident_calls(judged, predicted, p_label, p_predicted, len(types))
    alike = alike_types(judged, called, labels.donors, len(types))
    flagged = flag_labels(judged, called, alike)
    rank = rank_labels(codes, predicted, p_label, p_predicted, flagged, alike)
    place = np.append(named.categories.get_indexer(pd.Index(types)), -1)  # the last is that of no type
    return pd.DataFrame({
        "cell_id": atlas.obs_names.astype(str).to_numpy(object), "level": level,
        "label": pd.Categorical.from_codes(place[codes], dtype=named),
        "predicted": pd.Categorical.from_codes(place[predicted], dtype=named),
        "p_label": p_label.astype(np.float32), "p_predicted": p_predicted.astype(np.float32),
        "entropy": spread.astype(np.float32), "flagged": flagged,
        "rank": pd.arrays.IntegerArray(rank.astype(np.int32), rank == 0),
    })  # fmt: skip
