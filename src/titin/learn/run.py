"""The benchmark: tasks × splits × models of a dataset, run fold by fold, resumable, scored by donors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.atlas import Atlas, open_atlas
from titin.dataset.leftovers import clear
from titin.dataset.swap import scratch
from titin.errors import OutputError, TitinError
from titin.learn.benchmark_run import BenchmarkRun, say_permutations, start_run
from titin.learn.boards import read_board, restore_rows, write_board
from titin.learn.folds import SPLITS, Split, freeze, make_splits
from titin.learn.models import Model, find_models
from titin.learn.plan import (
    BenchmarkJob,
    NotEvaluated,
    curve_jobs,
    make_jobs,
    models_for,
    say_not_evaluated,
    say_once,
    unseen_donors,
)
from titin.learn.run_folds import run_jobs
from titin.learn.tasks import Rules
from titin.plot import noted, synthetic_note
from titin.presets import Preset
from titin.progress import Progress
from titin.resources import make_resources
from titin.study.conditions import Where
from titin.study.design import Study
from titin.study.gaps import say_left_out

MEMORY = "2GiB"


@dataclass(frozen=True)
class Benchmark:
    """What was run.

    Attributes
    ----------
    folder
        Where the results are.
    scores
        One row a task, split, model and score; see `titin.learn.scoring.score_jobs`.
    comparisons
        Pairs of models on the same task and split: difference of errors by donor, p.
    told
        Sentences: who takes no part, what cannot be evaluated, confounders, what did not converge.
    ran, kept
        Folds that were run, and folds found from before.
    not_evaluated
        What gave no predictions: models of which nothing could be learnt, or that crashed, with the reason.
    cells_left_out, donors_left_out
        Cells that take no part at all, by what they lack, and donors of whom no cell is left.
    """

    folder: Path
    scores: pd.DataFrame
    comparisons: pd.DataFrame
    told: tuple[str, ...]
    ran: int
    kept: int
    not_evaluated: tuple[NotEvaluated, ...] = ()
    cells_left_out: dict[str, int] = field(default_factory=dict)
    donors_left_out: tuple[str, ...] = ()

    @property
    def crashed(self) -> bool:
        """Whether a model raised an error."""
        return any(entry.crashed for entry in self.not_evaluated)


def run_benchmark(
    dataset: Atlas | str | Path,
    output: str | Path | None = None,
    *,
    tasks: Sequence[str] = (),
    models: Sequence[str | Model] = (),
    splits: Sequence[str] = (),
    seed: int = 0,
    permutations: int = 1000,
    learning_curve: bool = False,
    clustering: bool = False,
    figures: bool = True,
    rules: Rules | None = None,
    force: bool = False,
    gene_sets: Mapping[str, Iterable[str]] | None = None,
    where: Where | Mapping[str, Any] | Sequence[str] | None = None,
    save_clock: str | Path | None = None,
    preset: Preset | str | Path | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    cluster: Any = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Run models on tasks of a dataset with donors held out, and write predictions, scores and a leaderboard.

    Parameters
    ----------
    dataset
        A dataset folder, or an open one.
    output
        Folder of the results, by default ``DATASET.benchmark`` beside the dataset. Folds that are in it, made of the
        same, are kept, and so are the rows of earlier runs; see `titin.learn.boards`.
    tasks
        Names as for `titin.learn.find_tasks`; those by default where none is given.
    models
        Names as for `titin.learn.find_models`, or records; those by default where none is given. Baselines are always
        run.
    splits
        Names of splits; ``leave_one_donor_out`` and ``random_leaky`` where none is given.
    seed
        Of folds, pseudocells, models and intervals.
    permutations
        Of donors within sex and protocol, for the test of each model; models that fit several targets are fitted to
        each.
    learning_curve
        Also train on fewer donors.
    clustering
        Also cluster the projections of the dataset.
    figures
        Draw figures.
    rules
        What a class needs to be evaluated.
    force
        Run everything anew: earlier results are removed.
    gene_sets
        Symbols by name: sets that the genes of models of age are held against, besides the bundled ones.
    where
        Cells that take part, all where not given: conditions such as ``["sex=M"]``, see `titin.study.conditions`.
    save_clock
        File to write the best clock of age of this run to, see `titin.learn.Clock`; with ``force`` it is replaced.
    preset
        What is known of the atlas beforehand; that of the dataset where not given. An open dataset has its own.
    threads, memory
        As for `titin.open`; 2 GiB where not given.
    cluster
        As for `titin.open`: its workers run the folds. An open dataset has its own.

    Raises
    ------
    TitinError
        If a task, model or split is not known, or the results are of other splits; if the cluster is lost, or a model
        cannot be sent there.
    OutputError
        If the folder holds files that are no benchmark's.
    MemoryLimitError
        If the chosen genes of all cells do not fit.
    """
    progress = progress or Progress()
    threads = make_resources(threads).threads
    atlas = _opened(dataset, memory, threads, preset, cluster)
    folder = Path(output) if output is not None else _beside(atlas)
    if save_clock is not None and Path(save_clock).exists() and not force:
        raise OutputError(f"{save_clock} is there already", "give --force to replace it, or another name")
    conditions = Where.of(where)
    run = start_run(atlas, folder, tasks, seed, permutations, rules or Rules(), threads, progress, conditions)
    atlas = run.atlas
    every, lacking = make_splits(run.design, seed)
    _make_folder(folder, force)
    digest = freeze(every, folder / SPLITS, run.chosen_by)
    jobs, missing = _plan(run, every, models, splits)
    told = [*_say_data(run), *(lacking if not every else []), *missing]
    told += [note for entry in run.checked.values() for note in entry.notes]
    if learning_curve:
        jobs += curve_jobs(jobs, run.checked, run.design, seed)
    ran, kept = run_jobs(run, jobs)
    told += unseen_donors(jobs, run.checked, run.units, run.design)
    earlier, reasons, said = _restore(run, jobs, every)
    told += [*said, *say_permutations(run, [*earlier, *jobs])]
    run.not_evaluated.sort(key=lambda entry: (entry.task, entry.split, entry.level, entry.model, entry.donors))
    told += say_not_evaluated(run.not_evaluated)
    from titin.learn.results import write_results

    tasks, reasons = list(run.checked), [*reasons, *run.not_evaluated]
    new, jobs = jobs, [*earlier, *jobs]
    write_board(folder, jobs, reasons)
    with noted(synthetic_note(atlas.synthetic)):
        scores, comparisons = write_results(run.store, jobs, run.folds, run.checked, run.design,
                                            _facts(run, digest, reasons), say_once([*told, *run.notes], tasks), seed,
                                            atlas.preset, run.dealt, figures=figures)  # fmt: skip
    if len(scores):
        from titin.learn.ageing_genes import check_biology

        check_biology(atlas, run.store, jobs, run.folds, scores, seed, gene_sets)
    if save_clock is not None:
        told.append(_save_clock(run, new, scores, Path(save_clock)))
    if clustering:
        from titin.learn.clustering import write_clustering

        write_clustering(atlas, run.design, run.store, seed=seed, figures=figures)
    return Benchmark(
        folder, scores, comparisons, tuple(say_once([*told, *run.notes], tasks)), ran, kept, tuple(run.not_evaluated),
        run.complete.cells_left_out, tuple(run.complete.donors_left_out),
    )  # fmt: skip


def _opened(
    dataset: Atlas | str | Path, memory: int | str | None, threads: int, preset: Preset | str | Path | None,
    cluster: Any,
) -> Atlas:  # fmt: skip
    if not isinstance(dataset, Atlas):
        return open_atlas(dataset, memory=memory or MEMORY, threads=threads, preset=preset, cluster=cluster)
    if cluster is not None:
        raise TitinError("an open dataset has a cluster of its own, or none", "give it to titin.open")
    return dataset


def _plan(
    run: BenchmarkRun, every: Mapping[str, Split], models: Sequence[str | Model], splits: Sequence[str]
) -> tuple[list[BenchmarkJob], list[str]]:
    """What is to be run, and sentences on what of it cannot be."""
    chosen, without = models_for(find_models(models), run.design)
    jobs, missing = make_jobs(list(run.checked.values()), every, chosen, splits)
    if jobs and models:
        used = {job.model.name for job in jobs}
        missing += [f"{m.name}: for none of these tasks" for m in chosen if not m.baseline and m.name not in used]
    return jobs, [*without, *missing]


def _say_data(run: BenchmarkRun) -> list[str]:
    """Sentences on the dataset: how it was made, what is amiss with it, and who takes no part."""
    atlas, complete = run.atlas, run.complete
    seen = atlas.manifest.what_models_see
    made_up = [] if atlas.synthetic is None else [f"these data are synthetic. {atlas.synthetic}".rstrip(". ")]
    return [*made_up, *Study.of(atlas).warnings, *atlas.not_comparable, *([seen] if seen else []),
            *say_left_out(complete.cells_left_out, complete.donors_left_out)]  # fmt: skip


def _restore(
    run: BenchmarkRun, jobs: Sequence[BenchmarkJob], every: Mapping[str, Split]
) -> tuple[list[BenchmarkJob], list[NotEvaluated], list[str]]:
    """Jobs of earlier runs that still hold, what of them was not evaluated, and sentences on those that do not."""
    rows, reasons = read_board(run.store.folder)
    earlier, said = restore_rows(rows, jobs, lambda row: run.job_of(row, every), run.is_whole)
    places = {(job.task.name, job.split.name, job.model.name) for job in earlier}
    return earlier, [entry for entry in reasons if (entry.task, entry.split, entry.model) in places], said


def _facts(run: BenchmarkRun, digest: str, reasons: Sequence[NotEvaluated]) -> dict[str, Any]:
    """How the results were made."""
    return {
        "splits_sha256": digest,
        "seed": run.seed,
        "permutations": run.permutations,
        "dataset": run.atlas.store.name.rstrip("/").rsplit("/", 1)[-1],
        "where": run.chosen_by,
        "cells_left_out": run.complete.cells_left_out,
        "donors_left_out": run.complete.donors_left_out,
        "not_evaluated": [asdict(entry) for entry in reasons],
    }


def _beside(atlas: Atlas) -> Path:
    try:
        folder = atlas.folder.absolute()
    except TitinError as error:
        raise TitinError(
            "the dataset is not on this machine", "say with --output where the results are to be"
        ) from error
    return folder.with_name(f"{folder.name}.benchmark")


def _make_folder(folder: Path, force: bool) -> None:
    """Make the folder, or take the one of an earlier benchmark: as it is, or empty with ``force``."""
    clear(folder, below=True)  # of a benchmark that was killed
    if folder.exists() and not (folder.is_dir() and ((folder / SPLITS).is_file() or not any(folder.iterdir()))):
        raise OutputError(f"{folder} is there and is not of an earlier benchmark", "give another --output")
    if force and folder.is_dir():
        with scratch(folder) as place:  # moved first, so that a kill leaves all of it or nothing
            folder.rename(place / "old")
    folder.mkdir(parents=True, exist_ok=True)


def _save_clock(run: BenchmarkRun, jobs: Sequence[BenchmarkJob], scores: pd.DataFrame, path: Path) -> str:
    """Train the best of this run's clocks on all donors, write it, and say so in a sentence.

    Raises
    ------
    TitinError
        If none of the models that were run on age can be made a clock.
    """
    from titin.learn.clock import Clock
    from titin.learn.clock_training import can_be_clock

    of_age = [job for job in jobs if job.task.kind == "regression" and job.task.name.startswith("age_")
              and job.split.name == "leave_one_donor_out" and not job.model.baseline]  # fmt: skip
    errors = scores[(scores["metric"] == "mae") & (scores["of"] == "donor")].set_index(["task", "split", "model"])
    found = {job.model.name: errors["value"].get((job.task.name, job.split.name, job.model.name), np.nan)
             for job in of_age if can_be_clock(job.model)}  # fmt: skip
    found = {name: error for name, error in found.items() if np.isfinite(error)}
    if not found:
        raise TitinError("--save-clock: no model of age was evaluated that a clock can be made of",
                         "run --task age with ridge, ridge_by_type, elastic_net or pls")  # fmt: skip
    best = min(found, key=lambda name: found[name])
    job = next(job for job in of_age if job.model.name == best)
    clock = Clock(job.model, seed=run.seed)
    clock.fit(run.atlas, task=job.task.name, where=run.where, rules=run.rules, chosen_of=list(found),
              threads=run.threads, progress=run.progress)  # fmt: skip
    clock.save(path, force=True)
    return f"the clock {best} is in {path}" + (f", chosen of {len(found)} for its error" if len(found) > 1 else "")
