"""What a benchmark leaves behind for people and machines: scores, comparisons, the leaderboard, figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from titin.learn.boards import common_donors
from titin.learn.leaderboard import write_leaderboard
from titin.learn.metrics import donor_errors
from titin.learn.permutations import DonorPermutations
from titin.learn.plan import BenchmarkJob, FoldsOf
from titin.learn.scoring import BEST_P, SCORE_COLUMNS, Scored, best_of_several, compare, parents, score_job
from titin.learn.store import ResultStore
from titin.learn.tasks import Eligibility, Task
from titin.presets import Preset
from titin.results import write_document


def write_results(
    store: ResultStore, jobs: Sequence[BenchmarkJob], folds_of: FoldsOf, checked: Mapping[str, Eligibility],
    design: pd.DataFrame, facts: dict[str, Any], told: Sequence[str], seed: int, preset: Preset,
    dealt: Callable[[Task], DonorPermutations | None], *, figures: bool = True,
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
        numbers = [[fold.number for fold in folds_of(job)] for job in together]
        tables = [store.read(task, split, job.model.name, own) for job, own in zip(together, numbers, strict=True)]
        common = common_donors([job.level for job in together], tables)
        above = parents(together[0].task, design)
        permutations = dealt(together[0].task)
        scored: dict[str, Scored] = {}
        errors: dict[str, pd.Series] = {}
        for job, own, whole in zip(together, numbers, tables, strict=True):
            table = _of_donors(whole, common)
            permuted = _of_donors(store.read(task, split, job.model.name, own, "permuted"), common)
            one = score_job(job, table, permuted, parent=above, dealt=permutations, seed=seed)
            rows += one.rows
            if not job.model.baseline:
                scored[job.model.name] = one
            if not job.split.leaky and not table.empty:
                errors[job.model.name] = donor_errors(table, job.task.kind)
        rows += _best_row(scored)
        paired = compare(errors, seed)
        compared += [paired.assign(task=task, split=split)] if len(paired) else []
    scores = pd.DataFrame(rows, columns=list(SCORE_COLUMNS))
    comparisons = pd.concat(compared, ignore_index=True) if compared else compare({}).assign(task="", split="")
    store.write(scores, store.folder / "scores.parquet")
    store.write(comparisons, store.folder / "comparisons.parquet")
    tasks = [_task_document(eligibility) for eligibility in checked.values()]
    write_document(store.folder / "scores.json", {
        "schema_version": 1, **facts, "tasks": tasks, "told": list(told), "scores": scores.to_dict("records"),
        "comparisons": comparisons.to_dict("records")})  # fmt: skip
    write_leaderboard(store, scores, comparisons, checked, facts, told)
    if figures and len(scores):
        from titin.learn.figures import draw_figures

        draw_figures(store, jobs, folds_of, scores, design, preset)
    return scores, comparisons


def _of_donors(table: pd.DataFrame, donors: set[str]) -> pd.DataFrame:
    return table[table["donor"].astype(str).isin(donors)].reset_index(drop=True) if len(table) else table


def _best_row(scored: Mapping[str, Scored]) -> list[dict[str, Any]]:
    """The score of the best of several models that says how probable so good a best one is by chance."""
    found = best_of_several(scored)
    if found is None:
        return []
    best, p = found
    unknown = float("nan")
    facts = {"of": "donor", "metric": BEST_P, "value": p, "low": unknown, "high": unknown}
    return [{**scored[best].rows[0], **facts}]


def _task_document(eligibility: Eligibility) -> dict[str, Any]:
    return {
        "name": eligibility.task.name,
        "description": eligibility.task.description,
        "kind": eligibility.task.kind,
        "evaluable": not eligibility.problem,
        "not_evaluable": eligibility.not_evaluable,
        "notes": list(eligibility.notes),
        "classes": eligibility.classes.to_dict("records"),
    }
