"""What is to be predicted, as records: a benchmark's tasks, and how a dataset comes by them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.errors import TitinError
from titin.study.design import CELL_TYPE, OBS, YOUNG_OLD, design_cut, levels_of

Kind = Literal["regression", "classification"]
Level = Literal["cell", "pseudocell", "pseudobulk", "donor"]


@dataclass(frozen=True)
class Task:
    """One thing to predict.

    Attributes
    ----------
    name
        As on the command line and in the leaderboard.
    column
        Of the design table: what is predicted.
    kind
        ``regression`` or ``classification``.
    level
        What a model predicts it of, unless the model says otherwise: cells, or pseudocells of one donor and type.
    description
        For people.
    of_donor
        Whether it is a fact about the donor, so that donors, not cells, are scored.
    shared
        Score it only within cell types that have every class: types found in one class alone give it away.
    features
        What models see that do not ask for other features.
    default
        Whether it is run when no task is named.
    """

    name: str
    column: str
    kind: Kind
    level: Level
    description: str
    of_donor: bool = False
    shared: bool = False
    features: str = "pca"
    default: bool = True


_BIN_MIDDLES = "age, years; the middle of a bin where ages come in bins"
_HALVES = "young or old, on which side of the widest gap in the donors' ages"
_BINS = "age in coarse bins: under 30, 30 to 44, 45 to 64, 65 and over"
_OF_AGE: dict[str, Any] = {"of_donor": True, "features": "centred"}

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("age_years", "age_years", "regression", "pseudocell", "exact age, years", **_OF_AGE),
        Task("age_numeric", "age_numeric", "regression", "pseudocell", _BIN_MIDDLES, **_OF_AGE),
        Task(YOUNG_OLD, YOUNG_OLD, "classification", "pseudocell", _HALVES, **_OF_AGE),
        Task("age_bin", "age_bin", "classification", "pseudocell", _BINS, **_OF_AGE, default=False),
        Task("sex", "sex", "classification", "pseudocell", "sex of the donor", of_donor=True, features="centred_all"),
        Task(
            "protocol", "protocol", "classification", "pseudocell", "cells or nuclei, within shared cell types",
            shared=True,
        ),
        Task(
            "chemistry", "chemistry", "classification", "pseudocell", "chemistry, within shared cell types",
            shared=True, default=False,
        ),
    )
}  # fmt: skip


def cell_type_task(level: int) -> Task:
    """Make the task of a level of annotation, 0 the coarsest; only that one is run when no task is named."""
    name = f"{CELL_TYPE}{level}"
    return Task(
        name, name, "classification", "cell", f"cell type, level {level}", features="class_genes", default=level == 0
    )


def find_tasks(design: pd.DataFrame, names: Sequence[str] = ()) -> list[Task]:
    """Return the tasks that are named, or those that are run when none is.

    Parameters
    ----------
    design
        From `design_table`; with a column ``obs:NAME`` for a task of that name.
    names
        Of tasks; ``age`` is ``age_years`` where it is known, else ``age_numeric``; ``cell_type`` is all levels.

    Raises
    ------
    TitinError
        If there is no such task.

    Examples
    --------
    >>> table = pd.DataFrame({"age_numeric": [17.5], "cell_type_0": ["B cell"]})
    >>> [task.name for task in find_tasks(table, ["age", "cell_type"])]
    ['age_numeric', 'cell_type_0']
    """
    exact = "age_years" if "age_years" in design else "age_numeric"
    levels = [cell_type_task(i) for i in range(len(levels_of(design)))]
    known = TASKS | {task.name: task for task in levels}
    if (cut := design_cut(design)) is not None:
        known[YOUNG_OLD] = replace(known[YOUNG_OLD], description=f"younger than {cut:g} years, or not")
    if not names:
        inexact = "age_numeric" if exact == "age_years" else "age_years"
        found = [task for task in known.values() if task.default and task.name != inexact]
        return found if levels else [*found, cell_type_task(0)]
    chosen: list[Task] = []
    for name in names:
        if name == "cell_type":
            chosen += levels or [cell_type_task(0)]
        elif name.startswith(OBS):
            chosen.append(_obs_task(design, name))
        elif (name := exact if name == "age" else name) in known:
            chosen.append(known[name])
        else:
            raise TitinError(f"there is no task {name!r}", f"tasks: age, cell_type, {', '.join(known)}, obs:COLUMN")
    return list(dict.fromkeys(chosen))


def _obs_task(design: pd.DataFrame, name: str) -> Task:
    column = design[name]
    of_donor = "donor" in design and bool((design.groupby("donor", observed=True)[name].nunique() <= 1).all())
    kind: Kind = "regression" if pd.api.types.is_numeric_dtype(column) else "classification"
    level: Level = "pseudocell" if of_donor else "cell"
    features = "class_genes" if (kind, level) == ("classification", "cell") else "pca"
    described = f"column {name.removeprefix(OBS)!r} of obs"
    return Task(name, name, kind, level, described, of_donor=of_donor, features=features)


CLASS_COLUMNS = ("class", "n_cells", "n_donors", "evaluable", "reason")


@dataclass(frozen=True)
class Rules:
    """What a class, or a task, needs.

    Attributes
    ----------
    min_donors
        Donors with the class: with one held out, two are left to learn from.
    min_cells
        Cells of the class, over all donors.
    """

    min_donors: int = 3
    min_cells: int = 20


@dataclass(frozen=True)
class Eligibility:
    """What of a task can be evaluated.

    Attributes
    ----------
    task
        The task.
    usable
        bool, one a cell: has a donor and a class that can be evaluated (or a number), in a type that counts.
    classes
        One row a class, the largest first: ``class``, ``n_cells``, ``n_donors``, ``evaluable``, ``reason``.
    problem
        Why nothing can be evaluated; empty if something can.
    notes
        What readers of the scores must know, such as confounders.
    """

    task: Task
    usable: NDArray[np.bool_] = field(repr=False)
    classes: pd.DataFrame
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def not_evaluable(self) -> list[str]:
        """A sentence for the task, or for each of its classes, that cannot be evaluated."""
        if self.problem:
            return [self.problem]
        return self.classes.loc[~self.classes["evaluable"].astype(bool), "reason"].tolist()


def check_task(task: Task, design: pd.DataFrame, rules: Rules | None = None) -> Eligibility:
    """Decide what of a task can be evaluated.

    Parameters
    ----------
    task
        The task.
    design
        From `titin.learn.design_table`.
    rules
        `Rules` with their defaults where not given.
    """
    rules = rules or Rules()
    none = np.zeros(len(design), bool)
    empty = pd.DataFrame(columns=list(CLASS_COLUMNS))
    if "donor" not in design:
        return Eligibility(task, none, empty, f"{task.name}: no column says which donor a cell is of: not evaluable")
    if task.column not in design or not design[task.column].notna().any():
        return Eligibility(task, none, empty, f"{task.name}: the dataset has no {task.column}: not evaluable")
    known = (design["donor"].notna() & design[task.column].notna()).to_numpy()
    found = (_check_numbers if task.kind == "regression" else _check_classes)(task, design, known, rules)
    lacking = int((design["donor"].notna() & design[task.column].isna()).sum())
    if not lacking or found.problem:
        return found
    return replace(found, notes=(*found.notes, f"{task.name}: {_count(lacking, 'cell')} without it take no part"))


def _check_numbers(task: Task, design: pd.DataFrame, known: NDArray[np.bool_], rules: Rules) -> Eligibility:
    cells = design[known]
    n_donors, n_values = cells["donor"].nunique(), cells[task.column].nunique()
    problem = ""
    if n_donors < rules.min_donors:
        problem = f"{task.name}: {_count(n_donors, 'donor')} with a known value: not evaluable"
    elif n_values < 2:
        problem = f"{task.name}: every donor has the same value: not evaluable"
    empty = pd.DataFrame(columns=list(CLASS_COLUMNS))
    return Eligibility(task, known & (not problem), empty, problem, tuple(_confounders(task, cells)))


def _check_classes(task: Task, design: pd.DataFrame, known: NDArray[np.bool_], rules: Rules) -> Eligibility:
    notes = []
    if task.shared and "cell_type_0" in design:
        shared, note = _shared_types(task, design[known], rules)
        notes.append(note)
        all_notes = (*notes, *_confounders(task, design[known]))
        if not shared:
            empty = pd.DataFrame(columns=list(CLASS_COLUMNS))
            return Eligibility(task, known & False, empty, f"{note}: not evaluable", all_notes[1:])
        known = known & design["cell_type_0"].isin(shared).to_numpy()
    cells = design[known]
    classes = count_classes(task, cells, rules)
    good = classes.loc[classes["evaluable"], "class"]
    problem = ""
    if len(good) < 2:
        reasons = "; ".join(classes.loc[~classes["evaluable"], "reason"])
        one = "there is one class only" if len(classes) == 1 else "fewer than two classes can be evaluated"
        problem = f"{task.name}: {reasons or f'{one}: not evaluable'}"
    usable = known & design[task.column].isin(good).to_numpy() & (not problem)
    return Eligibility(task, usable, classes, problem, (*notes, *_confounders(task, cells)))


def count_classes(task: Task, cells: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return a row for each class of a task: cells, donors, and whether these are enough."""
    table = pd.DataFrame({"class": cells[task.column].astype(str), "donor": cells["donor"].astype(str)})
    grouped = table.groupby("class")["donor"].agg(n_cells="size", n_donors="nunique").reset_index()
    grouped = grouped.sort_values(["n_cells", "class"], ascending=[False, True], ignore_index=True)
    enough = (grouped["n_donors"] >= rules.min_donors) & (grouped["n_cells"] >= rules.min_cells)
    reasons = [
        "" if good else _reason(task, str(name), int(n_cells), int(n_donors))
        for good, name, n_cells, n_donors in zip(
            enough, grouped["class"], grouped["n_cells"], grouped["n_donors"], strict=True
        )
    ]
    return grouped.assign(evaluable=enough, reason=reasons)


def _reason(task: Task, name: str, n_cells: int, n_donors: int) -> str:
    if task.of_donor:
        return f"{n_donors} {name} donor{'s' * (n_donors != 1)}: not evaluable"
    return f"{name}: {_count(n_cells, 'cell')} of {_count(n_donors, 'donor')}: not evaluable"


def _shared_types(task: Task, cells: pd.DataFrame, rules: Rules) -> tuple[list[str], str]:
    """Types in which each class has enough cells and donors, and a sentence about them."""
    kinds = cells[task.column].nunique()
    grouped = cells.groupby(["cell_type_0", task.column], observed=True)["donor"].agg(["size", "nunique"])
    enough = (grouped["size"] >= rules.min_cells) & (grouped["nunique"] >= rules.min_donors)
    n_good = enough.groupby(level=0, observed=True).sum()
    # two of the classes make a type worth having; a class that no such type has is told of as not evaluable
    shared = sorted(map(str, n_good.index[n_good >= min(2, max(kinds, 2))]))
    total = cells["cell_type_0"].nunique()
    if not shared:
        return [], f"{task.name}: no cell type has {rules.min_cells} cells of {rules.min_donors} donors in two classes"
    return shared, f"{task.name} is scored within {len(shared)} of {total} cell types, those that two classes have"


def _confounders(task: Task, cells: pd.DataFrame) -> list[str]:
    """Sentences on what else tells the classes apart."""
    notes = []
    for one, other in (("protocol", "chemistry"), ("chemistry", "protocol")):
        if task.column == one and other in cells and (told := _one_each(cells, one, other)):
            notes.append(f"{one} is confounded with {other} ({told}): no model can tell which of them it has learnt")
    if task.column.startswith(("age", "young")) and {"sex", "young_old"} <= set(cells.columns):
        arms = cells.groupby("protocol", observed=True) if "protocol" in cells else [("all", cells)]
        for arm, of_arm in arms:
            donors = of_arm.drop_duplicates("donor").dropna(subset=["sex", "young_old"])
            for group, of_group in donors.groupby("young_old", observed=True):
                if len(of_group) > 1 and of_group["sex"].nunique() == 1 and donors["sex"].nunique() > 1:
                    where = f" in {arm}" if "protocol" in cells else ""
                    notes.append(
                        f"all {len(of_group)} {group} donors{where} are {of_group['sex'].iloc[0]}: sex and age are "
                        "confounded"
                    )
    return notes


def _one_each(cells: pd.DataFrame, one: str, other: str) -> str:
    """Say which value of another column each class has, if no two share one."""
    pairs = cells[[one, other]].dropna().drop_duplicates()
    if pairs[one].nunique() < 2 or pairs[other].duplicated().any():
        return ""
    found = pairs.groupby(one, observed=True)[other].agg(lambda values: " and ".join(sorted(map(str, values))))
    return ", ".join(f"{name}: {values}" for name, values in found.items())


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"
