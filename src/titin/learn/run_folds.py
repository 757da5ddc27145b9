"""The folds of a benchmark that are not there yet: run in threads or on a cluster, and kept as each is done."""

from collections.abc import Iterator, Sequence
from typing import Any

from titin.cluster import spread
from titin.errors import TitinError
from titin.learn.benchmark_run import BenchmarkRun
from titin.learn.cells import WHOLE_CELLS, Gathered, gather_moments, gather_units
from titin.learn.fitting import FoldResult
from titin.learn.fold_work import Failure, FoldWork, SharedFold, run_on_worker, side_by_side
from titin.learn.folds import Fold
from titin.learn.models import CLASS_FEATURES, TrainingContext
from titin.learn.plan import BenchmarkJob, NotEvaluated, genes_needed
from titin.learn.units import BenchmarkUnits
from titin.parallel import ordered_map


def run_jobs(run: BenchmarkRun, jobs: Sequence[BenchmarkJob]) -> tuple[int, int]:
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
    run: BenchmarkRun, pending: Sequence[tuple[BenchmarkJob, Sequence[Fold]]], gathered: dict[str, Gathered]
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


def _keep(run: BenchmarkRun, job: BenchmarkJob, fold: Fold, result: FoldResult | Failure) -> None:
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
