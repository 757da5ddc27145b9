"""What a run of the benchmark holds on to: tasks and their folds, keys of what is kept, and what is to be told."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titin.atlas import Atlas
from titin.errors import TitinError
from titin.learn.boards import Row
from titin.learn.folds import Fold, Split, fewer_donors
from titin.learn.permutations import STRATA, DonorPermutations, donor_strata
from titin.learn.plan import BenchmarkJob, NotEvaluated, plan_folds
from titin.learn.store import ResultStore, key_of, sums_of
from titin.learn.tasks import Eligibility, Rules, Task, check_task, find_tasks
from titin.learn.units import BenchmarkUnits, make_units, read_design
from titin.presets import Preset
from titin.progress import Progress
from titin.study.conditions import Where
from titin.study.design import OBS, add_obs_column
from titin.study.gaps import Complete

_FEW = 1000  # arrangements of donors, below which the least p that there can be is told
_VERSION = 6  # of what results are made by: one more where the same key would give other numbers


@dataclass
class BenchmarkRun:
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
        """Folds of a job in which something can be learnt, planned once; units are made where they are missing."""
        key = job.task.name, job.split.name, job.level
        if key not in self._folds:
            if job.level not in self.units:
                self.units[job.level] = make_units(self.design, job.level, seed=self.seed)
            self._folds[key], told = plan_folds(job, self.checked[job.task.name], self.units[job.level])
            self.not_evaluated += told
        return self._folds[key]

    def key(self, job: BenchmarkJob, fold: Fold) -> str:
        """What the predictions of a fold are made of, as a checksum."""
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
        """Whether there are predictions of a fold, made of the same as this run's."""
        path = self.store.path(job.task.name, job.split.name, job.model.name, fold.number)
        return self.store.has(path, self.key(job, fold))


def start_run(
    atlas: Atlas, folder: Path, tasks: Sequence[str], seed: int, permutations: int, rules: Rules, threads: int,
    progress: Progress, where: Where,
) -> BenchmarkRun:  # fmt: skip
    """Open a run: the cells that take part, compared where they are of several studies, and the tasks on them."""
    design, complete = read_design(atlas, where)
    atlas = atlas.comparable(complete.rows)
    run = BenchmarkRun(atlas, design, {}, ResultStore(folder), seed, threads, permutations, progress,
                        key_of(files=sums_of(atlas.manifest), preset=_seen(atlas.preset), where=str(where)), rules,
                        complete=complete, where=where)  # fmt: skip
    run.checked = run.check(tasks)
    return run


def _seen(preset: Preset) -> dict[str, Any]:
    """What models see of a preset."""
    return {"sets": {name: found.genes for name, found in preset.sets.items()}, "learn": asdict(preset.learn)}


def say_permutations(run: BenchmarkRun, jobs: Sequence[BenchmarkJob]) -> list[str]:
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
