"""Which model is run on which task, split and fold, and which genes that takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from titin.atlas import Atlas
from titin.errors import TitinError
from titin.learn.cells import Moments, Positions
from titin.learn.folds import DEFAULT, Fold, Split, fewer_donors
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


@dataclass(frozen=True)
class NotEvaluated:
    """A part of a benchmark that gave no predictions, and why.

    Attributes
    ----------
    task, split, level
        Of what.
    model
        Which model; empty where it is so of all on this level.
    donors
        That would have been predicted.
    reason
        In words.
    crashed
        Whether the model raised an error, other than where nothing can be learnt of these units.
    """

    task: str
    split: str
    level: str
    model: str
    donors: tuple[str, ...]
    reason: str
    crashed: bool = False


def say_not_evaluated(entries: Sequence[NotEvaluated]) -> list[str]:
    """Say what gave no predictions: a sentence for each reason, without its full stop."""
    told: dict[tuple[str, str, bool], dict[str, set[str]]] = {}
    for entry in entries:
        place = f"{entry.task}, {entry.split}, {entry.model or f'{entry.level}s'}"
        told.setdefault((place, entry.reason, entry.crashed), {}).setdefault("donors", set()).update(entry.donors)
    by_reason: dict[tuple[str, bool, tuple[str, ...]], list[str]] = {}
    for (place, reason, crashed), found in told.items():
        by_reason.setdefault((reason, crashed, tuple(sorted(found["donors"]))), []).append(place)
    return [f"{'; '.join(places)}: {'failed' if crashed else 'not evaluable'}{_of_donors(donors)}: {reason}"
            for (reason, crashed, donors), places in by_reason.items()]  # fmt: skip


def _of_donors(donors: Sequence[str]) -> str:
    if not donors:
        return ""
    more = f" and {len(donors) - _NAMED} more" if len(donors) > _NAMED else ""
    return f" with {', '.join(donors[:_NAMED])}{more} held out"


_NAMED = 6  # most donors in a sentence
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
        told += say_classes(eligibility)
        suited = [model.for_task(task) for model in models if model.suits(task)]
        if not eligibility.problem and not suited:
            told.append(f"{task.name}: none of the models is for it")
        for split in chosen if not eligibility.problem else []:
            if split.column and split.column == task.column:
                told.append(f"{task.name}: {split.name} trains on one class alone")
                continue
            jobs += [BenchmarkJob(task, split, model, level_of(model, task, split)) for model in suited]
    return jobs, told


def curve_jobs(
    jobs: Sequence[BenchmarkJob], checked: Mapping[str, Eligibility], design: pd.DataFrame, seed: int
) -> list[BenchmarkJob]:
    """Jobs on fewer donors, for models that are no baselines, where one donor is left out."""
    made = []
    cache: dict[tuple[str, int], list[Split]] = {}
    for job in jobs:
        if job.split.name != "leave_one_donor_out" or job.model.baseline:
            continue
        usable = design[checked[job.task.name].usable]
        donors = usable.drop_duplicates("donor")
        sizes = [size for size in (4, 8, 12, 16, 24, 32, 64) if size < len(donors) - 1]
        key = (job.task.name, len(donors))
        if key not in cache:
            cache[key] = fewer_donors(job.split, sizes, donors, seed)
        made += [BenchmarkJob(job.task, split, job.model, job.level) for split in cache[key]]
    return made


def say_classes(eligibility: Eligibility) -> list[str]:
    """Say that a task, or which of its classes, cannot be evaluated: one sentence, or none.

    Examples
    --------
    >>> reasons = [f"{name}: 9 cells of 2 donors: not evaluable" for name in "AB"]
    >>> classes = pd.DataFrame({"class": ["A", "B"], "evaluable": False, "reason": reasons})
    >>> task = Task("label", "label", "classification", "cell", "a label")
    >>> say_classes(Eligibility(task, np.zeros(0, bool), classes))
    ['label: 2 classes are not evaluable: A: 9 cells of 2 donors, B: 9 cells of 2 donors']
    """
    few = eligibility.not_evaluable
    if eligibility.problem or not few:
        return few
    if len(few) == 1:
        return [f"{eligibility.task.name}: {few[0]}"]
    named = ", ".join(reason.removesuffix(": not evaluable") for reason in few[:_NAMED])
    more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
    return [f"{eligibility.task.name}: {len(few)} classes are not evaluable: {named}{more}"]


def say_once(sentences: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """Say what is so of several tasks once, with all of them before it; in the order of the first of each.

    Examples
    --------
    >>> say_once(["sex: it is small", "all is well", "age: it is small", "all is well"], ["age", "sex"])
    ['sex, age: it is small', 'all is well']
    """
    of: dict[str, list[str]] = {}
    for sentence in sentences:
        name = next((task for task in tasks if sentence.startswith(f"{task}: ")), "")
        mine = of.setdefault(sentence.removeprefix(f"{name}: ") if name else sentence, [])
        mine += [name] if name and name not in mine else []
    return [f"{', '.join(names)}: {rest}" if names else rest for rest, names in of.items()]


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


def plan_folds(
    job: BenchmarkJob, eligibility: Eligibility, units: BenchmarkUnits
) -> tuple[list[Fold], list[NotEvaluated]]:
    """Make the folds of a job, and say which of them nothing can be learnt or predicted in.

    Donors that have no unit to be predicted are told of by `unseen_donors`.
    """
    column = units.obs[job.task.column] if job.task.column in units.obs else pd.Series(dtype=object)
    folds: list[Fold] = []
    reasons: dict[str, list[str]] = {}
    for fold in job.split.divide(units.obs, usable_units(eligibility, units)):
        if not len(fold.test):
            continue
        n_values = column.iloc[fold.train].nunique()
        if n_values > 1:
            folds.append(fold)
            continue
        donors = [] if job.split.leaky else sorted(set(units.obs["donor"].iloc[fold.test].astype(str)))
        kind = "value" if job.task.kind == "regression" else "class"
        n = len(fold.train)
        reason = f"one {kind} in training ({n:,} {job.level}{'s' * (n != 1)})" if n else f"no {job.level} to train on"
        reasons.setdefault(reason, []).extend(donors)
    if not folds and not reasons:
        n = int(usable_units(eligibility, units).sum())
        reasons[f"{n or 'no'} {job.level}{'s' * (n != 1)} that can be used"] = []
    return folds, [NotEvaluated(job.task.name, job.split.name, job.level, "", tuple(sorted(set(donors))), reason)
                   for reason, donors in reasons.items()]  # fmt: skip


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
                try:
                    found[job.level].append(make_features(job.model.features).select(atlas, moments, groups))
                except (ValueError, ArithmeticError, IndexError):  # told of where the fold is run, which fails likewise
                    continue
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
