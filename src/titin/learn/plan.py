"""Which model is run on which task, split and fold, and which genes that takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from titin.atlas import Atlas
from titin.errors import TitinError
from titin.learn.cells import Moments, Positions
from titin.learn.folds import DEFAULT, Fold, Split
from titin.learn.models import Model, make_features
from titin.learn.tasks import Eligibility, Level, Task
from titin.learn.units import BenchmarkUnits


@dataclass(frozen=True)
class BenchmarkJob:
    """A model on a task and a split, on units of a level."""

    task: Task
    split: Split
    model: Model
    level: Level


FoldsOf = Callable[[BenchmarkJob], Sequence[Fold]]


def models_for(models: Sequence[Model], design: pd.DataFrame) -> tuple[list[Model], list[str]]:
    """Leave out models that go by a column which the dataset does not have, and say so in sentences."""
    without = [model for model in models if model.column and model.column not in design]
    return [m for m in models if m not in without], [f"{m.name}: the dataset has no {m.column}" for m in without]


def make_jobs(
    checked: Sequence[Eligibility], splits: Mapping[str, Split], models: Sequence[Model], names: Sequence[str]
) -> tuple[list[BenchmarkJob], list[str]]:
    """List what is to be run, and say in sentences what cannot be.

    Parameters
    ----------
    checked
        The tasks.
    splits
        All there are.
    models
        To run on whichever tasks they suit.
    names
        Of splits; where none is given, leave one donor out and the leaky split.

    Raises
    ------
    TitinError
        If there is no such split.
    """
    for name in names:
        if name not in splits:
            raise TitinError(f"there is no split {name!r}", f"splits of this dataset: {', '.join(splits) or 'none'}")
    chosen = [splits[name] for name in (names or DEFAULT) if name in splits]
    jobs, told = [], []
    for eligibility in checked:
        task = eligibility.task
        begins = "" if eligibility.problem else f"{task.name}: "
        told += [f"{begins}{sentence}" for sentence in eligibility.not_evaluable]
        suited = [model.for_task(task) for model in models if model.suits(task)]
        if not eligibility.problem and not suited:
            told.append(f"{task.name}: none of the models is for it")
        for split in chosen if not eligibility.problem else []:
            if split.column and split.column == task.column:
                told.append(f"{task.name}: {split.name} trains on one class alone")
                continue
            jobs += [BenchmarkJob(task, split, model, level_of(model, task, split)) for model in suited]
    return jobs, told


def level_of(model: Model, task: Task, split: Split) -> Level:
    """What a model sees units of: what it says, unless that makes no sense for the task or the split."""
    if model.level is None or (model.level in ("donor", "pseudobulk") and not task.of_donor):
        return task.level
    # a random split of donors holds donors out: to be leaky, it must be one of smaller units
    return task.level if split.leaky and model.level == "donor" else model.level


def usable_units(eligibility: Eligibility, units: BenchmarkUnits) -> np.ndarray:
    """Mask of the units that have a cell which can be used; all cells of a unit are alike in what decides it."""
    mask = np.zeros(len(units), bool)
    cells = np.flatnonzero((units.of_cell >= 0) & eligibility.usable)
    mask[units.of_cell[cells]] = True
    known = units.obs[eligibility.task.column].notna() if eligibility.task.column in units.obs else False
    return np.asarray(mask & known, bool)


def folds_of(job: BenchmarkJob, eligibility: Eligibility, units: BenchmarkUnits) -> list[Fold]:
    """Return the folds of a job; those that would train on one class or value alone are left out."""
    column = units.obs[job.task.column] if job.task.column in units.obs else pd.Series(dtype=object)
    folds = job.split.apply(units.obs, usable_units(eligibility, units))
    return [fold for fold in folds if column.iloc[fold.train].nunique() > 1]


def genes_needed(
    jobs: Sequence[tuple[BenchmarkJob, Sequence[Fold]]],
    units: Mapping[str, BenchmarkUnits],
    atlas: Atlas,
    moments: Moments,
) -> dict[str, Positions]:
    """Genes that some fold of some job needs, by level, ascending."""
    found: dict[str, list[Positions]] = {level: [np.zeros(0, np.int64)] for level in units}
    seen: set[tuple[str, bytes]] = set()
    for job, folds in jobs:
        if job.model.features == "loader":
            continue
        for fold in folds:
            groups = moments.mask(units[job.level].obs.iloc[fold.train])
            known = (f"{job.level} {job.model.features}", groups.tobytes())
            if known not in seen:
                seen.add(known)
                found[job.level].append(make_features(job.model.features).select(atlas, moments, groups))
    return {level: np.unique(np.concatenate(parts)) for level, parts in found.items()}


def unseen_donors(
    jobs: Sequence[BenchmarkJob],
    checked: Mapping[str, Eligibility],
    units: Mapping[str, BenchmarkUnits],
    design: pd.DataFrame,
) -> list[str]:
    """Sentences on donors that have no unit of the level that a task is done on."""
    told = []
    for task, level in dict.fromkeys((job.task, job.level) for job in jobs if job.level in units):
        usable = design.loc[checked[task.name].usable, "donor"].astype(str)
        lacking = sorted(set(usable) - set(units[level].obs["donor"].astype(str)))
        if lacking:
            told.append(f"{task.name}: too few cells of one type for a {level}, so not predicted: {', '.join(lacking)}")
    return told
