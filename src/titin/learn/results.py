"""What a benchmark leaves behind for people and machines: scores, comparisons, the leaderboard, figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from titin.dataset.manifest import write_json
from titin.learn.leaderboard import write_leaderboard
from titin.learn.metrics import donor_errors
from titin.learn.plan import BenchmarkJob, FoldsOf
from titin.learn.scoring import SCORE_COLUMNS, compare, parents, score_job
from titin.learn.store import ResultStore
from titin.learn.tasks import Eligibility
from titin.presets import Preset


def write_results(
    store: ResultStore, jobs: Sequence[BenchmarkJob], folds_of: FoldsOf, checked: Mapping[str, Eligibility],
    design: pd.DataFrame, facts: dict[str, Any], told: Sequence[str], seed: int, preset: Preset, *,
    figures: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Score every job; write scores (Parquet, JSON), comparisons (Parquet), the leaderboard and figures.

    Returns
    -------
    DataFrame, DataFrame
        Scores and comparisons.
    """
    rows: list[dict[str, Any]] = []
    compared: list[pd.DataFrame] = []
    by_place: dict[tuple[str, str], list[BenchmarkJob]] = {}
    for job in jobs:
        by_place.setdefault((job.task.name, job.split.name), []).append(job)
    for (task, split), together in by_place.items():
        errors = {}
        above = parents(together[0].task, design)
        for job in together:
            numbers = [fold.number for fold in folds_of(job)]
            table = store.read(task, split, job.model.name, numbers)
            permuted = store.read(task, split, job.model.name, numbers, "permuted")
            rows += score_job(job, table, permuted, parent=above, permutations=facts["permutations"], seed=seed)
            if not job.split.leaky and not table.empty:
                errors[job.model.name] = donor_errors(table, job.task.kind)
        paired = compare(errors, seed)
        compared += [paired.assign(task=task, split=split)] if len(paired) else []
    scores = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    comparisons = pd.concat(compared, ignore_index=True) if compared else compare({}).assign(task="", split="")
    store.write(scores, store.folder / "scores.parquet")
    store.write(comparisons, store.folder / "comparisons.parquet")
    tasks = [_task_document(eligibility) for eligibility in checked.values()]
    write_json(store.folder / "scores.json", {
        "schema_version": 1, **facts, "tasks": tasks, "told": list(dict.fromkeys(told)), "scores": _records(scores),
        "comparisons": _records(comparisons)})  # fmt: skip
    write_leaderboard(store, scores, comparisons, checked, facts, list(dict.fromkeys(told)))
    if figures and len(scores):
        from titin.learn.figures import draw_figures

        draw_figures(store, jobs, folds_of, scores, design, preset)
    return scores, comparisons


def _task_document(eligibility: Eligibility) -> dict[str, Any]:
    return {
        "name": eligibility.task.name,
        "description": eligibility.task.description,
        "kind": eligibility.task.kind,
        "evaluable": not eligibility.problem,
        "not_evaluable": eligibility.not_evaluable,
        "notes": list(eligibility.notes),
        "classes": _records(eligibility.classes),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them: no NaN."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
            for row in rows]  # fmt: skip
