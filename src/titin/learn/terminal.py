"""What a benchmark did, and what there is to choose from, for terminals and as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.atlas import open_atlas
from titin.learn.folds import make_splits
from titin.learn.leaderboard import METRIC_NAMES
from titin.learn.models import CLASS_FEATURES, FEATURES, all_models
from titin.learn.plan import say_classes
from titin.learn.run import Benchmark
from titin.learn.scoring import headline
from titin.learn.tasks import check_task, find_tasks
from titin.learn.units import leave_out_incomplete
from titin.study.design import atlas_design
from titin.study.gaps import say_left_out
from titin.text import table
from titin.visible import visible


def describe(benchmark: Benchmark) -> str:
    """What a run found, in lines for a terminal: a table a task and split, the best model first; then what to know."""
    lines: list[str] = []
    alone: list[str] = []
    for (task, split), mine in benchmark.scores.groupby(["task", "split"], sort=False):
        if "@" in str(split):  # of a learning curve
            continue
        if mine["baseline"].all():
            alone.append(f"{task}, {split}")
        else:
            lines += [*_board(str(task), str(split), mine), ""]
    if alone:
        lines += [visible(f"baselines alone, as no model that was asked for could be run: {'; '.join(alone)}"), ""]
    if benchmark.told:
        lines += ["what to know", *(f"· {visible(sentence)}" for sentence in benchmark.told), ""]
    ran = f"{benchmark.ran} folds run, {benchmark.kept} kept from before"
    return "\n".join([*lines, ran, f"wrote {visible(benchmark.folder / 'leaderboard.md')}"])


def _board(task: str, split: str, scores: pd.DataFrame) -> list[str]:
    """The scores of one task and split, the best first."""
    metric = "mae" if "mae" in set(scores["metric"]) else None
    of = "donor" if "donor" in set(scores["of"]) else "unit"
    metric = metric or ("balanced_accuracy" if of == "donor" else "macro_f1")
    shown = scores[(scores["of"] == of) & (scores["metric"] == metric)]
    shown = shown.sort_values("value", ascending=metric == "mae", kind="stable")
    unit = " in years" if metric == "mae" and task.startswith("age_") else ""
    leaky = "  LEAKY: of donors that were seen, no performance" if bool(scores["leaky"].iloc[0]) else ""
    rows = [(row["model"], _number(row["value"]), f"{_number(row['low'])} to {_number(row['high'])}",
             "baseline" if row["baseline"] else "") for row in shown.to_dict("records")]  # fmt: skip
    name = METRIC_NAMES.get(metric, metric)
    title = f"{task}, {split}: {name}{unit} by {of}, {int(shown['n_donors'].max())} donors{leaky}"
    return [visible(title), table(("model", name, "95 % interval", ""), rows, indent=2)]


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "–"


def document(benchmark: Benchmark) -> dict[str, Any]:
    """What a run did, as JSON: the scores as in ``scores.json``."""
    found: dict[str, Any] = json.loads((benchmark.folder / "scores.json").read_text("utf-8"))
    return {**found, "ran": benchmark.ran, "kept": benchmark.kept, "path": str(benchmark.folder)}


def list_choices(dataset: str | Path) -> dict[str, Any]:
    """Tasks, models, features and splits for a dataset, and what cannot be evaluated."""
    design, complete = leave_out_incomplete(atlas_design(open_atlas(dataset)))
    names = [] if not any(str(c).startswith("cell_type_") for c in design) else ["cell_type"]
    tasks = {task.name: task for task in [*find_tasks(design), *find_tasks(design, [*names, "age_numeric", "age_bin",
                                                                                    "chemistry"])]}  # fmt: skip
    checked = [check_task(task, design) for task in tasks.values()]
    splits, told = make_splits(design)
    return {
        "schema_version": 1,
        "tasks": [{"name": e.task.name, "description": e.task.description, "evaluable": not e.problem,
                   "scored": "{} by {}".format(*reversed(headline(e.task))), "not_evaluable": e.not_evaluable,
                   "told": say_classes(e), "notes": list(e.notes)} for e in checked],
        "models": [{"name": m.name, "kinds": list(m.kinds), "features": m.features, "baseline": m.baseline,
                    "default": m.default, "needs": m.needs} for m in all_models().values()],
        "features": [*FEATURES, *CLASS_FEATURES, "X_… (a projection of the dataset: transductive)", "loader"],
        "splits": list(splits),
        "told": [*say_left_out(complete.cells_left_out, complete.donors_left_out), *told],
    }  # fmt: skip


def describe_choices(choices: dict[str, Any]) -> str:
    """Lines for a terminal of `list_choices`."""
    lines = ["tasks"]
    for task in choices["tasks"]:
        lines.append(f"  {task['name']}: {task['description']}" + ("" if task["evaluable"] else " – not evaluable"))
        lines += [f"    · {sentence}" for sentence in [*task["told"], *task["notes"]]]
    models = [(model["name"], model["features"], "/".join(model["kinds"]),
               "baseline" if model["baseline"] else "" if model["default"] else "when named")
              for model in choices["models"]]  # fmt: skip
    lines += ["", table(("model", "features", "kinds", ""), models), ""]
    lines += [f"features: {', '.join(choices['features'])}", f"splits: {', '.join(choices['splits']) or 'none'}"]
    return "\n".join([*lines, *choices["told"]])
