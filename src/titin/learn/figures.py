"""Draws the figures of a benchmark from its predictions and scores."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from titin.dataset.swap import whole
from titin.learn import metrics
from titin.learn.leaderboard import leak_gap, ranked
from titin.learn.plan import BenchmarkJob, FoldsOf
from titin.learn.scoring import classes_of, headline, parents
from titin.learn.store import ResultStore, shares_of
from titin.presets import Preset

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEWEST = 20  # units of a bin of confidence that is drawn


def draw_figures(
    store: ResultStore, jobs: Sequence[BenchmarkJob], folds_of: FoldsOf, scores: pd.DataFrame,
    design: pd.DataFrame, preset: Preset,
) -> list[str]:  # fmt: skip
    """Draw what there is to draw into ``figures/``; the names of the files.

    Types stand by lineage where the preset has lineages, else under their parent or by name.
    """
    drawn: list[str] = []

    def keep(axes: "Axes", name: str) -> None:
        from titin.plot import to_png

        path = store.folder / "figures" / f"{name}.png"
        with whole(path) as file:
            file.write_bytes(to_png(axes))
        drawn.append(path.name)

    for task_name in dict.fromkeys(job.task.name for job in jobs):
        mine = [job for job in jobs if job.task.name == task_name]
        of_task = scores[scores["task"] == task_name]
        held = of_task[of_task["split"] == "leave_one_donor_out"]
        if len(held):
            _draw_best(store, mine, folds_of, held, design, preset, keep)
        _draw_comparisons(mine, of_task, keep)
    return drawn


def _draw_best(
    store: ResultStore, jobs: Sequence[BenchmarkJob], folds_of: FoldsOf, held: pd.DataFrame,
    design: pd.DataFrame, preset: Preset, keep: Callable[["Axes", str], None],
) -> None:  # fmt: skip
    """Figures of the best model that is no baseline."""
    from titin.plot import learning

    task = jobs[0].task
    models = ranked(task, held)
    models = models[~models["baseline"].astype(bool)]
    tables = {}
    for name in models["model"]:
        job = next(j for j in jobs if j.model.name == name and j.split.name == "leave_one_donor_out")
        tables[name] = store.read(task.name, job.split.name, name, [fold.number for fold in folds_of(job)])
    if not tables:
        return
    best, table = next(iter(tables.items()))
    if task.kind == "regression":
        if task.of_donor:
            donors = metrics.donor_predictions(table)
            sexes = design.drop_duplicates("donor").set_index("donor")["sex"] if "sex" in design else None
            if sexes is not None:
                donors["sex"] = donors["donor"].map({str(k): v for k, v in sexes.items()}).astype(object)
            colour = "sex" if sexes is not None and donors["sex"].notna().all() else None
            axes = learning.predicted_against_actual(donors, color=colour, title=f"{task.name}: {best}")
            keep(axes, f"{task.name}_predicted_against_actual")
        return
    classes = classes_of(table)
    counts = pd.DataFrame(metrics.confusion(table["true"], table["predicted"], classes), classes, classes)
    above = parents(task, design)
    if above is None and preset.lineages and task.name.startswith("cell_type"):
        above = {name: preset.lineage_of(name) for name in classes}
    keep(learning.confusion_matrix(counts, lineage=above, title=f"{task.name}: {best}"), f"{task.name}_confusion")
    bins = []
    for name, predictions in tables.items():
        shares = shares_of(predictions, classes)
        if shares is not None:
            table = metrics.calibration(predictions["true"], shares, classes)
            bins.append(table[table["n"] >= min(_FEWEST, table["n"].max())].assign(model=name))
    if bins:
        axes = learning.reliability(pd.concat(bins, ignore_index=True), title=f"{task.name}: reliability")
        keep(axes, f"{task.name}_reliability")


def _draw_comparisons(jobs: Sequence[BenchmarkJob], scores: pd.DataFrame, keep: Callable[["Axes", str], None]) -> None:
    """Leak gap and learning curve, where there is one."""
    from titin.plot import learning

    task = jobs[0].task
    of, metric = headline(task)
    gap = leak_gap(task, scores)
    if len(gap):
        keep(learning.leak_gap(gap, metric=metric, title=f"{task.name}: leak gap"), f"{task.name}_leak_gap")
    curve = scores[(scores["metric"] == metric) & (scores["of"] == of) & ~scores["baseline"].astype(bool)]
    n_donors = int(scores["n_donors"].max()) if len(scores) else 0
    size = curve["split"].str.extract(r"^leave_one_donor_out(?:@(\d+))?$")[0]
    whole = curve["split"] == "leave_one_donor_out"
    curve = curve.assign(donors=size.where(~whole, str(n_donors - 1)))[size.notna() | whole]
    if (curve["split"] != "leave_one_donor_out").any():
        curve = curve.assign(donors=curve["donors"].astype(int))
        axes = learning.learning_curve(curve, metric=metric, title=f"{task.name}: learning curve")
        keep(axes, f"{task.name}_learning_curve")
