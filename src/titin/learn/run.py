"""The benchmark: tasks × splits × models of a dataset, run fold by fold, resumable, scored by donors."""

import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from titin.atlas import Atlas, open_atlas
from titin.errors import OutputError, TitinError
from titin.learn.cells import WHOLE_CELLS, Gathered, gather_moments, gather_units
from titin.learn.fitting import fit_features, run_fold
from titin.learn.folds import SPLITS, Fold, Split, fewer_donors, freeze, make_splits
from titin.learn.models import CLASS_FEATURES, Model, find_models
from titin.learn.plan import BenchmarkJob, folds_of, genes_needed, make_jobs, models_for, unseen_donors
from titin.learn.store import ResultStore, key_of
from titin.learn.tasks import Eligibility, Rules, check_task, find_tasks
from titin.learn.units import BenchmarkUnits, make_units
from titin.parallel import ordered_map
from titin.presets import Preset
from titin.progress import Progress
from titin.resources import make_resources
from titin.study.design import OBS, add_obs_column, atlas_design

MEMORY = "2GiB"
_VERSION = 4  # of what results are made by: one more where the same key would give other numbers


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
        Sentences: what cannot be evaluated, confounders, what did not converge.
    ran, kept
        Folds that were run, and folds found from before.
    """

    folder: Path
    scores: pd.DataFrame
    comparisons: pd.DataFrame
    told: tuple[str, ...]
    ran: int
    kept: int


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
    units: dict[str, BenchmarkUnits] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _folds: dict[tuple[str, str, str], list[Fold]] = field(default_factory=dict)

    def folds(self, job: BenchmarkJob) -> list[Fold]:
        key = job.task.name, job.split.name, job.level
        if key not in self._folds:
            if job.level not in self.units:
                self.units[job.level] = make_units(self.design, job.level, seed=self.seed)
            self._folds[key] = folds_of(job, self.checked[job.task.name], self.units[job.level])
        return self._folds[key]

    def key(self, job: BenchmarkJob, fold: Fold) -> str:
        return key_of(
            version=_VERSION, dataset=self.identity, task=asdict(job.task), split=job.split.digest, fold=fold.number,
            model=job.model.name, features=job.model.features, level=job.level, max_units=job.model.max_units,
            seed=self.seed, permutations=self.permutations_of(job), rules=asdict(self.rules),
        )  # fmt: skip

    def permutations_of(self, job: BenchmarkJob) -> int:
        once = not job.split.leaky and job.split.name == "leave_one_donor_out" and job.task.of_donor
        return self.permutations if once and job.model.several else 0

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
    preset: Preset | str | Path | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Run models on tasks of a dataset with donors held out, and write predictions, scores and a leaderboard.

    Parameters
    ----------
    dataset
        A dataset folder, or an open one.
    output
        Folder of the results, by default ``DATASET.benchmark`` beside the dataset. Folds that are in it, made of the
        same, are kept.
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
        Of donors, for the test of each model; models that fit several targets are fitted to each.
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
    preset
        What is known of the atlas beforehand; that of the dataset where not given. An open dataset has its own.
    threads, memory
        As for `titin.open`; 2 GiB where not given.

    Raises
    ------
    TitinError
        If a task, model or split is not known, or the results are of other splits.
    OutputError
        If the folder holds files that are no benchmark's.
    MemoryLimitError
        If the chosen genes of all cells do not fit.
    """
    progress = progress or Progress()
    threads = make_resources(threads).threads
    if isinstance(dataset, Atlas):
        atlas = dataset
    else:
        atlas = open_atlas(dataset, memory=memory or MEMORY, threads=threads, preset=preset)
    folder = Path(output) if output is not None else _beside(atlas)
    run = _start(atlas, folder, tasks, seed, permutations, rules or Rules(), threads, progress)
    every, told = make_splits(run.design, seed)
    _make_folder(folder, force)
    digest = freeze(every, folder / SPLITS)
    chosen, without = models_for(find_models(models), run.design)
    jobs, missing = make_jobs(list(run.checked.values()), every, chosen, splits)
    if jobs and models:
        used = {job.model.name for job in jobs}
        missing += [f"{m.name}: for none of these tasks" for m in chosen if not m.baseline and m.name not in used]
    told = [*(told if not every else []), *without, *missing, *(note for e in run.checked.values() for note in e.notes)]
    if learning_curve:
        jobs += _curve(jobs, run)
    ran, kept = _run_jobs(run, jobs)
    told += unseen_donors(jobs, run.checked, run.units, run.design)
    from titin.learn.results import write_results

    facts = {
        "splits_sha256": digest,
        "seed": seed,
        "permutations": permutations,
        "dataset": atlas.store.name.rstrip("/").rsplit("/", 1)[-1],
    }
    scores, comparisons = write_results(run.store, jobs, run.folds, run.checked, run.design, facts,
                                        [*told, *dict.fromkeys(run.notes)], seed, atlas.preset,
                                        figures=figures)  # fmt: skip
    if len(scores):
        from titin.learn.ageing_genes import check_biology

        check_biology(atlas, run.store, jobs, run.folds, scores, seed, gene_sets)
    if clustering:
        from titin.learn.clustering import write_clustering

        write_clustering(atlas, run.design, run.store, seed=seed, figures=figures)
    return Benchmark(folder, scores, comparisons, tuple(dict.fromkeys([*told, *run.notes])), ran, kept)


def _start(
    atlas: Atlas, folder: Path, tasks: Sequence[str], seed: int, permutations: int, rules: Rules, threads: int,
    progress: Progress,
) -> _BenchmarkRun:  # fmt: skip
    design = atlas_design(atlas)
    for name in tasks:
        if name.startswith(OBS):
            design = add_obs_column(design, atlas.cell_columns(), name.removeprefix(OBS))
    checked = {task.name: check_task(task, design, rules) for task in find_tasks(design, tasks)}
    files = {name: entry.get("sha256") for name, entry in atlas.manifest.files.items() if name.endswith(".parquet")}
    return _BenchmarkRun(atlas, design, checked, ResultStore(folder), seed, threads, permutations, progress,
                key_of(files=files, preset=_seen(atlas.preset)), rules)  # fmt: skip


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
    if folder.exists() and not (folder.is_dir() and ((folder / SPLITS).is_file() or not any(folder.iterdir()))):
        raise OutputError(f"{folder} is there and is not of an earlier benchmark", "give another --output")
    if force and folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


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
    from threadpoolctl import threadpool_limits

    whole = WHOLE_CELLS if any(job.model.features.partition(":")[0] in CLASS_FEATURES for job, _ in pending) else 0
    moments = gather_moments(run.atlas, run.design, threads=run.threads, whole_cells=whole, progress=run.progress)
    levels: dict[str, BenchmarkUnits] = {job.level: run.units[job.level] for job, _ in pending}
    genes = genes_needed(pending, levels, run.atlas, moments)
    gathered = gather_units(moments, run.atlas, {level: (units, genes[level]) for level, units in levels.items()},
                            threads=run.threads, progress=run.progress)  # fmt: skip
    run.progress.start("folds", n_pending, "folds")
    with _told_in_notes(), threadpool_limits(1):  # side by side, folds wait for each other less than threads of one do
        for done in ordered_map(lambda group: _run_together(run, group, gathered), _together(pending), run.threads):
            run.progress.advance(done)
    run.progress.finish()
    return n_pending, total - n_pending


@contextmanager
def _told_in_notes() -> Iterator[None]:
    """Leave out scikit-learn's warnings of what is found in each result and noted: which models did not converge."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _together(pending: Sequence[tuple[BenchmarkJob, Sequence[Fold]]]) -> list[list[tuple[BenchmarkJob, Fold]]]:
    """Jobs on the same fold with the same features, which are then made once."""
    groups: dict[tuple[Any, ...], list[tuple[BenchmarkJob, Fold]]] = {}
    for job, folds in pending:
        for fold in folds:
            of = (job.task.name, job.split.name, job.level, fold.number, job.model.features, job.model.max_units)
            groups.setdefault(of, []).append((job, fold))
    return list(groups.values())


def _run_together(run: _BenchmarkRun, together: list[tuple[BenchmarkJob, Fold]], gathered: dict[str, Gathered]) -> int:
    """Run models on a fold, whose features they share; how many."""
    job, fold = together[0]
    data = gathered[job.level]
    features = fit_features(job.model.features, data, fold, job.task, job.model.max_units)
    for job, fold in together:
        result = run_fold(job.model, job.task, data, fold, features, seed=run.seed,
                          permutations=run.permutations_of(job))  # fmt: skip
        if result.limit is not None:
            named = f"{job.task.name}, {job.split.name}, {job.model.name}"
            run.notes.append(f"{named} did not converge in {result.limit} iterations")
        where, key = (job.task.name, job.split.name, job.model.name, fold.number), run.key(job, fold)
        for table, kind in ((result.genes, "genes"), (result.permuted, "permuted")):
            if table is not None:
                run.store.write(table, run.store.path(*where, kind), key)
        run.store.write(result.predictions, run.store.path(*where), key)
    return len(together)
