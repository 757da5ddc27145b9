"""What is to be predicted, as records: a benchmark's tasks, and how a dataset comes by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from titin.errors import TitinError
from titin.learn.design import CELL_TYPE, OBS, levels_of

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
_BINS = "age in coarse bins: under 30, 30 to 44, 45 to 64, 65 and over"
_OF_AGE: dict[str, Any] = {"of_donor": True, "features": "centred"}

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("age_years", "age_years", "regression", "pseudocell", "exact age, years", **_OF_AGE),
        Task("age_numeric", "age_numeric", "regression", "pseudocell", _BIN_MIDDLES, **_OF_AGE),
        Task("young_old", "young_old", "classification", "pseudocell", "younger than 45 years, or not", **_OF_AGE),
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
    >>> table = pd.DataFrame({"age_numeric": [17.5], "cell_type_0": ["MuSC"]})
    >>> [task.name for task in find_tasks(table, ["age", "cell_type"])]
    ['age_numeric', 'cell_type_0']
    """
    exact = "age_years" if "age_years" in design else "age_numeric"
    levels = [cell_type_task(i) for i in range(len(levels_of(design)))]
    known = TASKS | {task.name: task for task in levels}
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
