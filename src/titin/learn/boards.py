"""Boards: what stands side by side in a leaderboard is of the same donors, and rows of earlier runs stay.

``board.json`` lists the rows of a folder of results. A run adds its own, replaces those that it has made anew, and
keeps those whose predictions were made of the same dataset, split, seed and rules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from titin.dataset.shapes import ShapeError, flag, list_of, one_of, optional, record, text, whole
from titin.dataset.strict_json import read_json
from titin.dataset.swap import write_json
from titin.errors import TitinError
from titin.learn.models import Model
from titin.learn.plan import BenchmarkJob, NotEvaluated
from titin.learn.tasks import Kind, Level

BOARD = "board.json"
_LEVEL = one_of(*get_args(Level))
_MODEL = {"name": text(), "kinds": list_of(one_of(*get_args(Kind))), "features": text(), "level": optional(_LEVEL),
          "baseline": flag, "several": flag, "max_units": optional(whole())}  # fmt: skip
_ROW = record({"task": text(), "split": text(), "level": _LEVEL, "model": record(_MODEL)})
_REASON = record({"task": text(), "split": text(), "level": text(), "model": text(), "donors": list_of(text()),
                  "reason": text(), "crashed": flag})  # fmt: skip
_SHAPE = record({"rows": list_of(_ROW), "not_evaluated": list_of(_REASON)})


@dataclass(frozen=True)
class Row:
    """A row of a board: a model on a task and a split."""

    task: str
    split: str
    level: Level
    model: Model

    @property
    def place(self) -> tuple[str, str, str]:
        """What a later row replaces it by."""
        return self.task, self.split, self.model.name


def read_board(folder: Path) -> tuple[list[Row], list[NotEvaluated]]:
    """Read the rows of a folder of results, and what gave none; nothing where there is no board.

    The models of the rows cannot be fitted: what they were made by is not written down.

    Raises
    ------
    TitinError
        If there is one that cannot be read.
    """
    path = folder / BOARD
    try:
        document = read_json(path)
        _SHAPE(document)
    except FileNotFoundError:
        return [], []
    except (OSError, ValueError, ShapeError) as error:
        raise TitinError(f"{path} holds no rows of a board: {error}", "remove it, or run with --force") from error
    rows = [Row(row["task"], row["split"], row["level"], _restored(row["model"])) for row in document["rows"]]
    names = [one.name for one in fields(NotEvaluated)]
    return rows, [NotEvaluated(**{**{name: entry[name] for name in names}, "donors": tuple(entry["donors"])})
                  for entry in document["not_evaluated"]]  # fmt: skip


def write_board(folder: Path, jobs: Sequence[BenchmarkJob], not_evaluated: Sequence[NotEvaluated]) -> None:
    """Write the rows of a folder of results."""
    rows = [{"task": job.task.name, "split": job.split.name, "level": job.level,
             "model": {name: getattr(job.model, name) for name in _MODEL}} for job in jobs]  # fmt: skip
    reasons = [asdict(entry) for entry in not_evaluated if entry.model]
    write_json(folder / BOARD, {"schema_version": 1, "rows": rows, "not_evaluated": reasons})


def _restored(told: Mapping[str, Any]) -> Model:
    def make() -> Any:
        raise TitinError(f"the model {told['name']} is known by its results alone", "name it with --model")

    return Model(**{**{name: told[name] for name in _MODEL}, "kinds": tuple(told["kinds"]), "make": make})


def common_donors(levels: Sequence[Level], tables: Sequence[pd.DataFrame]) -> set[str]:
    """Donors that all rows of a board are scored on: those whom some model of every level of units has predicted.

    A donor with few cells has no pseudocell, but is a donor all the same: baselines predict it, and models do not.

    Parameters
    ----------
    levels, tables
        What each row of one task and split is of, and its predictions; without rows where there are none.
    """
    by_level: dict[str, set[str]] = {}
    for level, table in zip(levels, tables, strict=True):
        if len(table):
            by_level.setdefault(level, set()).update(table["donor"].astype(str))
    return set.intersection(*by_level.values()) if by_level else set()


def restore_rows(
    rows: Sequence[Row], jobs: Sequence[BenchmarkJob], find: Callable[[Row], BenchmarkJob | None],
    is_whole: Callable[[BenchmarkJob], bool],
) -> tuple[list[BenchmarkJob], list[str]]:  # fmt: skip
    """Choose the rows of earlier runs that stay beside those of this one, and say so in sentences.

    Parameters
    ----------
    rows
        Of earlier runs.
    jobs
        Of this run, which replace rows of the same task, split and model.
    find
        The job of a row, or None where the dataset has no such task or split any more.
    is_whole
        Whether the predictions of a job are there, made of the same as this run would make them of.
    """
    mine = {(job.task.name, job.split.name, job.model.name) for job in jobs}
    kept: list[BenchmarkJob] = []
    said: dict[bool, list[str]] = {True: [], False: []}
    for row in rows:
        if row.place in mine:
            continue
        job = find(row)
        good = job is not None and is_whole(job)
        kept += [job] if job is not None and good else []
        if not row.model.baseline and "@" not in row.split:
            said[good].append(f"{row.model.name} ({row.task}, {row.split})")
    told = [f"rows of earlier runs stay: {', '.join(said[True])}"] if said[True] else []
    if said[False]:
        told.append("rows of earlier runs are left out, as they were made of another dataset, seed, rules or number of "
                    f"permutations; run them again: {', '.join(said[False])}")  # fmt: skip
    return kept, told
