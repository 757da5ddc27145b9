"""The benchmark: tasks × splits × models of a dataset, run fold by fold, resumable, scored by donors."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.atlas import Atlas, open_atlas
from titin.cluster import spread
from titin.dataset.leftovers import clear
from titin.dataset.swap import scratch
from titin.errors import OutputError, TitinError
from titin.learn.boards import Row, read_board, restore_rows, write_board
from titin.learn.cells import WHOLE_CELLS, Gathered, gather_moments, gather_units
from titin.learn.fitting import FoldResult
from titin.learn.fold_work import Failure, FoldWork, SharedFold, run_on_worker, side_by_side
from titin.learn.folds import SPLITS, Fold, Split, fewer_donors, freeze, make_splits
from titin.learn.models import CLASS_FEATURES, Model, TrainingContext, find_models
from titin.learn.permutations import STRATA, DonorPermutations, donor_strata
from titin.learn.plan import (
    BenchmarkJob,
    NotEvaluated,
    genes_needed,
    make_jobs,
    models_for,
    plan_folds,
    say_not_evaluated,
    say_once,
    unseen_donors,
)
from titin.learn.store import ResultStore, key_of, sums_of
from titin.learn.tasks import Eligibility, Rules, Task, check_task, find_tasks
from titin.learn.units import BenchmarkUnits, make_units, read_design
from titin.parallel import ordered_map
from titin.plot import noted, synthetic_note
from titin.presets import Preset
from titin.progress import Progress
from titin.resources import make_resources
from titin.study.conditions import Where
from titin.study.design import OBS, Study, add_obs_column
from titin.study.gaps import Complete, say_left_out

MEMORY = "2GiB"
_FEW = 1000  # arrangements of donors, below which the least p that there can be is told
_VERSION = 6  # of what results are made by: one more where the same key would give other numbers


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


@dataclass
class _BenchmarkRun:
    """Everything a run holds on to."""

    atlas: Atlas
    design: pd.DataFrame
    checked: dict[str, Eligibility]
    store: ResultStore
    seed: int
    threads: int
    permutations: int
    progress: Progress
    identity: str
    rules: Rules
    where: Where = field(default_factory=Where)
    units: dict[str, BenchmarkUnits] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: Complete = field(default_factory=lambda: Complete(np.ones(0, bool)))
    not_evaluated: list[NotEvaluated] = field(default_factory=list)
    _folds: dict[tuple[str, str, str], list[Fold]] = field(default_factory=dict)
    _dealt: dict[str, DonorPermutations | None] = field(default_factory=dict)

    @property
    def chosen_by(self) -> list[str]:
        """Conditions by which cells were chosen, as text."""
        return [str(condition) for condition in self.where.conditions]

    def check(self, names: Sequence[str]) -> dict[str, Eligibility]:
        """Tasks by their names, and what of them can be evaluated; columns of obs are added to the design."""
        for name in names:
            if name.startswith(OBS) and name not in self.design:
                self.design = add_obs_column(self.design, self.atlas.cell_columns(), name.removeprefix(OBS))
        return {task.name: check_task(task, self.design, self.rules) for task in find_tasks(self.design, names)}

    def dealt(self, task: Task) -> DonorPermutations | None:
        """Values of donors, permuted within sex and protocol; None where donors are not what is predicted."""
        if task.name not in self._dealt:
            self._dealt[task.name] = self._deal(task)  # whole, as folds run in threads
        return self._dealt[task.name]

    def _deal(self, task: Task) -> DonorPermutations | None:
        cells = self.design[self.checked[task.name].usable]
        if not task.of_donor or not len(cells):
            return None
        by_donor = cells.groupby(cells["donor"].astype(str))[task.column]
        values = by_donor.median() if task.kind == "regression" else by_donor.first().astype(str)
        strata = donor_strata(cells, [name for name in STRATA if name != task.column])
        return DonorPermutations.of_donors(values, strata.loc[values.index], self.permutations, self.seed)

    def folds(self, job: BenchmarkJob) -> list[Fold]:
        key = job.task.name, job.split.name, job.level
        if key not in self._folds:
            if job.level not in self.units:
                self.units[job.level] = make_units(self.design, job.level, seed=self.seed)
            self._folds[key], told = plan_folds(job, self.checked[job.task.name], self.units[job.level])
            self.not_evaluated += told
        return self._folds[key]

    def key(self, job: BenchmarkJob, fold: Fold) -> str:
        return key_of(
            version=_VERSION, dataset=self.identity, task=asdict(job.task), split=job.split.digest, fold=fold.number,
            model=job.model.name, features=job.model.features, level=job.level, max_units=job.model.max_units,
            seed=self.seed, permutations=self.permutations if self.refitted(job) else 0, rules=asdict(self.rules),
        )  # fmt: skip

    def refitted(self, job: BenchmarkJob) -> bool:
        """Whether the model is fitted to permuted values as well."""
        return bool(job.split.name == "leave_one_donor_out" and job.task.of_donor and job.model.several
                    and self.permutations)  # fmt: skip

    def job_of(self, row: Row, splits: Mapping[str, Split]) -> BenchmarkJob | None:
        """The job of a row of an earlier run; None where there is no such task or split."""
        try:
            self.checked = {**self.check([row.task]), **self.checked}
        except TitinError:
            return None
        name, _, size = row.split.partition("@")
        entry = self.checked.get(row.task)
        if entry is None or entry.problem or name not in splits:
            return None
        split = splits[name]
        if size:
            donors = self.design[entry.usable].drop_duplicates("donor")
            split = fewer_donors(split, [int(size)], donors, self.seed)[0] if size.isdecimal() else split
        return BenchmarkJob(entry.task, split, row.model, row.level)

    def is_whole(self, job: BenchmarkJob) -> bool:
        """Whether there are predictions of a job, all that there are made of the same as this run's."""
        here = [self.done(job, fold) for fold in self.folds(job)
                if self.store.path(job.task.name, job.split.name, job.model.name, fold.number).exists()]  # fmt: skip
        return bool(here) and all(here)

    def done(self, job: BenchmarkJob, fold: Fold) -> bool:
        path = self.store.path(job.task.name, job.split.name, job.model.name, fold.number)
        return self.store.has(path, self.key(job, fold))


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
    if isinstance(dataset, Atlas):
        if cluster is not None:
            raise TitinError("an open dataset has a cluster of its own, or none", "give it to titin.open")
        atlas = dataset
    else:
        atlas = open_atlas(dataset, memory=memory or MEMORY, threads=threads, preset=preset, cluster=cluster)
    folder = Path(output) if output is not None else _beside(atlas)
    if save_clock is not None and Path(save_clock).exists() and not force:
        raise OutputError(f"{save_clock} is there already", "give --force to replace it, or another name")
    conditions = Where.of(where)
    run = _start(atlas, folder, tasks, seed, permutations, rules or Rules(), threads, progress, conditions)
    atlas = run.atlas
    every, told = make_splits(run.design, seed)
    _make_folder(folder, force)
    digest = freeze(every, folder / SPLITS, run.chosen_by)
    chosen, without = models_for(find_models(models), run.design)
    jobs, missing = make_jobs(list(run.checked.values()), every, chosen, splits)
    if jobs and models:
        used = {job.model.name for job in jobs}
        missing += [f"{m.name}: for none of these tasks" for m in chosen if not m.baseline and m.name not in used]
    seen = atlas.manifest.what_models_see
    made_up = [] if atlas.synthetic is None else [f"these data are synthetic. {atlas.synthetic}".rstrip(". ")]
    told = [
        *made_up, *Study.of(atlas).warnings, *atlas.not_comparable, *([seen] if seen else []),
        *say_left_out(run.complete.cells_left_out, run.complete.donors_left_out),
        *(told if not every else []), *without, *missing, *(note for e in run.checked.values() for note in e.notes),
    ]  # fmt: skip
    if learning_curve:
        jobs += _curve(jobs, run)
    ran, kept = _run_jobs(run, jobs)
    told += unseen_donors(jobs, run.checked, run.units, run.design)
    rows, reasons = read_board(folder)
    earlier, said = restore_rows(rows, jobs, lambda row: run.job_of(row, every), run.is_whole)
    told += [*said, *_say_permutations(run, [*earlier, *jobs])]
    places = {(job.task.name, job.split.name, job.model.name) for job in earlier}
    reasons = [entry for entry in reasons if (entry.task, entry.split, entry.model) in places]
    run.not_evaluated.sort(key=lambda entry: (entry.task, entry.split, entry.level, entry.model, entry.donors))
    told += say_not_evaluated(run.not_evaluated)
    from titin.learn.results import write_results

    tasks = list(run.checked)
    facts = {
        "splits_sha256": digest,
        "seed": seed,
        "permutations": permutations,
        "dataset": atlas.store.name.rstrip("/").rsplit("/", 1)[-1],
        "where": run.chosen_by,
        "cells_left_out": run.complete.cells_left_out,
        "donors_left_out": run.complete.donors_left_out,
        "not_evaluated": [asdict(entry) for entry in [*reasons, *run.not_evaluated]],
    }
    jobs = [*earlier, *jobs]
    write_board(folder, jobs, [*reasons, *run.not_evaluated])
    with noted(synthetic_note(atlas.synthetic)):
        scores, comparisons = write_results(run.store, jobs, run.folds, run.checked, run.design, facts,
                                            say_once([*told, *run.notes], tasks), seed, atlas.preset, run.dealt,
                                            figures=figures)  # fmt: skip
    if len(scores):
        from titin.learn.ageing_genes import check_biology

        check_biology(atlas, run.store, jobs, run.folds, scores, seed, gene_sets)
    if save_clock is not None:
        told.append(_save_clock(run, jobs[len(earlier) :], scores, Path(save_clock)))
    if clustering:
        from titin.learn.clustering import write_clustering

        write_clustering(atlas, run.design, run.store, seed=seed, figures=figures)
    return Benchmark(
        folder, scores, comparisons, tuple(say_once([*told, *run.notes], tasks)), ran, kept, tuple(run.not_evaluated),
        run.complete.cells_left_out, tuple(run.complete.donors_left_out),
    )  # fmt: skip


def _start(
    atlas: Atlas, folder: Path, tasks: Sequence[str], seed: int, permutations: int, rules: Rules, threads: int,
    progress: Progress, where: Where,
) -> _BenchmarkRun:  # fmt: skip
    design, complete = read_design(atlas, where)
    atlas = atlas.comparable(complete.rows)
    run = _BenchmarkRun(atlas, design, {}, ResultStore(folder), seed, threads, permutations, progress,
                        key_of(files=sums_of(atlas.manifest), preset=_seen(atlas.preset), where=str(where)), rules,
                        complete=complete, where=where)  # fmt: skip
    run.checked = run.check(tasks)
    return run


def _say_permutations(run: _BenchmarkRun, jobs: Sequence[BenchmarkJob]) -> list[str]:
    """Sentences on donors whose values no permutation within sex and protocol moves."""
    told = []
    for task in dict.fromkeys(job.task for job in jobs if not job.split.leaky):
        dealt = run.dealt(task)
        if dealt is None or not len(dealt.dealt.T):
            continue
        within = " and ".join(name for name in STRATA if name in run.design and name != task.column)
        if not dealt.can_move:
            told.append(f"{task.name}: no two donors of one {within} differ: no p by permutation")
        elif dealt.alone:
            told.append(f"{task.name}: p permutes donors within {within}, where nobody is like "
                        f"{', '.join(dealt.alone)}, who cannot be moved")  # fmt: skip
        if 1 < dealt.arrangements < _FEW:
            told.append(f"{task.name}: donors can be permuted in {dealt.arrangements:,.0f} ways only: p can be no "
                        f"smaller than {1 / dealt.arrangements:.2g}")  # fmt: skip
    return told


def _seen(preset: Preset) -> dict[str, Any]:
    """What models see of a preset."""
    return {"sets": {name: found.genes for name, found in preset.sets.items()}, "learn": asdict(preset.learn)}


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


def _save_clock(run: _BenchmarkRun, jobs: Sequence[BenchmarkJob], scores: pd.DataFrame, path: Path) -> str:
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


def _curve(jobs: Sequence[BenchmarkJob], run: _BenchmarkRun) -> list[BenchmarkJob]:
    """Jobs on fewer donors, for models that are no baselines, where one donor is left out."""
    made = []
    cache: dict[tuple[str, int], list[Split]] = {}
    for job in jobs:
        if job.split.name != "leave_one_donor_out" or job.model.baseline:
            continue
        usable = run.design[run.checked[job.task.name].usable]
        donors = usable.drop_duplicates("donor")
        sizes = [size for size in (4, 8, 12, 16, 24, 32, 64) if size < len(donors) - 1]
        key = (job.task.name, len(donors))
        if key not in cache:
            cache[key] = fewer_donors(job.split, sizes, donors, run.seed)
        made += [BenchmarkJob(job.task, split, job.model, job.level) for split in cache[key]]
    return made


def _run_jobs(run: _BenchmarkRun, jobs: Sequence[BenchmarkJob]) -> tuple[int, int]:
    """Run what is not there yet; folds run, folds kept."""
    planned = [(job, run.folds(job)) for job in jobs]
    total = sum(len(folds) for _, folds in planned)
    pending = [(job, [fold for fold in folds if not run.done(job, fold)]) for job, folds in planned]
    pending = [(job, folds) for job, folds in pending if folds]
    n_pending = sum(len(folds) for _, folds in pending)
    if not pending:
        return 0, total
    for job, _ in pending:
        _need_library(job)
    whole = WHOLE_CELLS if any(job.model.features.partition(":")[0] in CLASS_FEATURES for job, _ in pending) else 0
    moments = gather_moments(run.atlas, run.design, threads=run.threads, whole_cells=whole, progress=run.progress)
    levels: dict[str, BenchmarkUnits] = {job.level: run.units[job.level] for job, _ in pending}
    genes = genes_needed(pending, levels, run.atlas, moments)
    gathered = gather_units(moments, run.atlas, {level: (units, genes[level]) for level, units in levels.items()},
                            threads=run.threads, progress=run.progress)  # fmt: skip
    run.progress.start("folds", n_pending, "folds")
    for done in _run_folds(run, pending, gathered):
        run.progress.advance(done)
    run.progress.finish()
    return n_pending, total - n_pending


def _run_folds(
    run: _BenchmarkRun, pending: Sequence[tuple[BenchmarkJob, Sequence[Fold]]], gathered: dict[str, Gathered]
) -> Iterator[int]:
    """Run folds in threads, or on the workers of the atlas's cluster; yield numbers of those whose results are kept."""
    jobs, cluster = [job for job, _ in pending], run.atlas.reader.resources.cluster
    dealt = [run.dealt(job.task) if run.refitted(job) else None for job in jobs]
    work, together = FoldWork(jobs, gathered, dealt, run.seed), _together(pending)
    if cluster is not None:
        found = spread(run_on_worker, (work,), together, run.threads, cluster, apart=True)
        for shared, results in zip(together, found, strict=True):
            for place, result in results:
                _keep(run, jobs[place], shared.fold, result)
            yield len(shared.jobs)
        return

    def run_here(shared: SharedFold) -> int:
        for place, result in work.results(shared):
            _keep(run, jobs[place], shared.fold, result)
        return len(shared.jobs)

    with side_by_side():
        yield from ordered_map(run_here, together, run.threads)


def _together(pending: Sequence[tuple[BenchmarkJob, Sequence[Fold]]]) -> list[SharedFold]:
    """Jobs on the same fold with the same features."""
    groups: dict[tuple[Any, ...], tuple[list[int], Fold]] = {}
    for place, (job, folds) in enumerate(pending):
        for fold in folds:
            of = (job.task.name, job.split.name, job.level, fold.number, job.model.features, job.model.max_units)
            groups.setdefault(of, ([], fold))[0].append(place)
    return [SharedFold(tuple(places), fold) for places, fold in groups.values()]


def _keep(run: _BenchmarkRun, job: BenchmarkJob, fold: Fold, result: FoldResult | Failure) -> None:
    """Write what a model did on a fold, and note what is to be told of it."""
    if isinstance(result, Failure):
        obs = run.units[job.level].obs
        donors = () if job.split.leaky else sorted(set(obs["donor"].iloc[fold.test].astype(str)))
        run.not_evaluated.append(NotEvaluated(job.task.name, job.split.name, job.level, job.model.name, tuple(donors),
                                              result.reason, result.crashed))  # fmt: skip
        return
    if result.limit is not None:
        named = f"{job.task.name}, {job.split.name}, {job.model.name}"
        run.notes.append(f"{named} did not converge in {result.limit} iterations")
    if result.tunes_across_donors:
        run.notes.append(f"{job.model.name} chooses its parameters on folds that share donors: it is fitted too "
                         "closely; give its search a splitter by groups, such as GroupKFold")  # fmt: skip
    where, key = (job.task.name, job.split.name, job.model.name, fold.number), run.key(job, fold)
    for table, kind in ((result.genes, "genes"), (result.permuted, "permuted")):
        if table is not None:
            run.store.write(table, run.store.path(*where, kind), key)
    run.store.write(result.predictions, run.store.path(*where), key)


def _need_library(job: BenchmarkJob) -> None:
    """Refuse a model whose library is not installed before anything is computed.

    Raises
    ------
    TitinError
        As the model says it.
    """
    try:
        job.model.estimator(TrainingContext(job.task, ["a"], 2))
    except TitinError:
        raise
    except Exception:  # a fault of the model itself: it fails in its own fold, where that is recorded
        return
