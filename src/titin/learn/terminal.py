"""What a benchmark did, and what there is to choose from, for terminals and as JSON."""

import json
from pathlib import Path
from typing import Any

from titin.atlas import open_atlas
from titin.learn.folds import make_splits
from titin.learn.models import CLASS_FEATURES, FEATURES, all_models
from titin.learn.run import Benchmark
from titin.learn.scoring import headline
from titin.learn.tasks import check_task, find_tasks
from titin.study.design import atlas_design
from titin.text import table


def describe(benchmark: Benchmark) -> str:
    """What a run did and found, in lines for a terminal."""
    lines = [f"{benchmark.ran} folds run, {benchmark.kept} kept from before", *(f"· {s}" for s in benchmark.told)]
    scores = benchmark.scores
    for (task, split), mine in scores.groupby(["task", "split"], sort=False):
        name = "mae" if "mae" in set(mine["metric"]) else None
        of = "donor" if "donor" in set(mine["of"]) else "unit"
        metric = name or ("balanced_accuracy" if of == "donor" else "macro_f1")
        shown = mine[(mine["of"] == of) & (mine["metric"] == metric)].sort_values("value", ascending=metric != "mae")
        if "@" in str(split) or shown.empty:
            continue
        leaky = "  LEAKY" if bool(mine["leaky"].iloc[0]) else ""
        rows = [(row["model"], f"{row['value']:.3f}", f"{row['low']:.3f} to {row['high']:.3f}",
                 "baseline" if row["baseline"] else "") for row in shown.to_dict("records")]  # fmt: skip
        scored = table(("model", metric, "interval", ""), rows, indent=2)
        lines += ["", f"{task}, {split}: {metric} by {of}{leaky}", scored]
    return "\n".join([*lines, "", f"wrote {benchmark.folder / 'leaderboard.md'}"])


def document(benchmark: Benchmark) -> dict[str, Any]:
    """What a run did, as JSON: the scores as in ``scores.json``."""
    found: dict[str, Any] = json.loads((benchmark.folder / "scores.json").read_text("utf-8"))
    return {**found, "ran": benchmark.ran, "kept": benchmark.kept, "path": str(benchmark.folder)}


def list_choices(dataset: str | Path) -> dict[str, Any]:
    """Tasks, models, features and splits for a dataset, and what cannot be evaluated."""
    design = atlas_design(open_atlas(dataset))
    names = [] if not any(str(c).startswith("cell_type_") for c in design) else ["cell_type"]
    tasks = {task.name: task for task in [*find_tasks(design), *find_tasks(design, [*names, "age_numeric", "age_bin",
                                                                                    "chemistry"])]}  # fmt: skip
    checked = [check_task(task, design) for task in tasks.values()]
    splits, told = make_splits(design)
    return {
        "schema_version": 1,
        "tasks": [{"name": e.task.name, "description": e.task.description, "evaluable": not e.problem,
                   "scored": "{} by {}".format(*reversed(headline(e.task))), "not_evaluable": e.not_evaluable,
                   "notes": list(e.notes)} for e in checked],
        "models": [{"name": m.name, "kinds": list(m.kinds), "features": m.features, "baseline": m.baseline,
                    "default": m.default, "needs": m.needs} for m in all_models().values()],
        "features": [*FEATURES, *CLASS_FEATURES, "X_… (a projection of the dataset: transductive)", "loader"],
        "splits": list(splits),
        "told": told,
    }  # fmt: skip


def describe_choices(choices: dict[str, Any]) -> str:
    """Lines for a terminal of `list_choices`."""
    lines = ["tasks"]
    for task in choices["tasks"]:
        lines.append(f"  {task['name']}: {task['description']}" + ("" if task["evaluable"] else " – not evaluable"))
        lines += [f"    · {sentence}" for sentence in [*task["not_evaluable"], *task["notes"]]]
    models = [(model["name"], model["features"], "/".join(model["kinds"]),
               "baseline" if model["baseline"] else "" if model["default"] else "when named")
              for model in choices["models"]]  # fmt: skip
    lines += ["", table(("model", "features", "kinds", ""), models), ""]
    lines += [f"features: {', '.join(choices['features'])}", f"splits: {', '.join(choices['splits']) or 'none'}"]
    return "\n".join([*lines, *choices["told"]])
