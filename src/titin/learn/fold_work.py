"""Folds of a benchmark as work that is done anywhere: in a thread of this process, or on the workers of a cluster."""

import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from titin.blas import one_blas_thread
from titin.errors import DatasetError, TitinError
from titin.extras import require
from titin.learn.cells import Gathered
from titin.learn.fitting import FoldResult, fit_features, run_fold
from titin.learn.folds import Fold, Split
from titin.learn.models import Model
from titin.learn.permutations import DonorPermutations
from titin.learn.plan import BenchmarkJob
from titin.learn.tasks import Level, Task

_LONGEST = 300  # of what an error says
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Failure:
    """Why a model has no result of a fold.

    Attributes
    ----------
    reason
        In words.
    crashed
        Whether the model raised an error, other than where nothing can be learnt of these units.
    """

    reason: str
    crashed: bool = False


@dataclass(frozen=True, eq=False)
class SharedFold:
    """Jobs on the same fold with the same features, which are then made once; by their places among all jobs."""

    jobs: tuple[int, ...]
    fold: Fold


class FoldWork:
    """What the folds of a run have in common; pickled for the workers of a cluster, and sent there once.

    Parameters
    ----------
    jobs
        All of them.
    gathered
        Units × genes by level.
    dealt
        For each job the values of donors, permuted, where its model is fitted to them, too.
    seed
        For whatever is random.
    """

    def __init__(
        self, jobs: Sequence[BenchmarkJob], gathered: Mapping[str, Gathered],
        dealt: Sequence[DonorPermutations | None], seed: int,
    ) -> None:  # fmt: skip
        self.gathered, self.dealt, self.seed = gathered, dealt, seed
        self._jobs: Sequence[BenchmarkJob] | None = jobs
        self._packed: list[tuple[Task, Split, Level, tuple[str, bytes]]] = []

    @property
    def jobs(self) -> Sequence[BenchmarkJob]:
        """All jobs; on a worker models are made when the first is asked for.

        Raises
        ------
        TitinError
            If a worker cannot make one.
        """
        if self._jobs is None:
            self._jobs = [BenchmarkJob(task, split, _unpack(*model), level)
                          for task, split, level, model in self._packed]  # fmt: skip
        return self._jobs

    def __getstate__(self) -> dict[str, Any]:
        packed = [(job.task, job.split, job.level, _pack(job.model)) for job in self.jobs]
        return self.__dict__ | {"_jobs": None, "_packed": packed}

    def results(self, shared: SharedFold) -> Iterator[tuple[int, FoldResult | Failure]]:
        """Run models on a fold, whose features they share. What one of them cannot do is its own failure.

        Yields
        ------
        int, FoldResult or Failure
            Place of the job, and what it gives.

        Raises
        ------
        DatasetError, OSError, MemoryError
            Which are no fault of a model.
        """
        first = self.jobs[shared.jobs[0]]
        data, fold = self.gathered[first.level], shared.fold
        features = _attempt(partial(fit_features, first.model.features, data, fold, first.task, first.model.max_units))
        for place in shared.jobs:
            if isinstance(features, Failure):
                yield place, features
                continue
            model, task, dealt = self.jobs[place].model, self.jobs[place].task, self.dealt[place]
            yield place, _attempt(partial(run_fold, model, task, data, fold, features, seed=self.seed, dealt=dealt))


def run_on_worker(work: FoldWork, shared: SharedFold) -> list[tuple[int, FoldResult | Failure]]:
    """Run models on a fold, as `FoldWork.results`, whole and side by side with others."""
    with side_by_side():
        return list(work.results(shared))


@contextmanager
def side_by_side() -> Iterator[None]:
    """One thread a fold, as folds wait for each other less than threads of one do; without what is noted of results.

    Which models did not converge, scikit-learn would warn of as well.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), one_blas_thread("a benchmark", None):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _attempt(work: Callable[[], _Made]) -> _Made | Failure:
    """Do a part of a fold, or say why it cannot be done."""
    try:
        return work()
    except (DatasetError, OSError, MemoryError):
        raise
    except TitinError as error:
        return Failure(str(error.args[0]))
    except Exception as error:
        return Failure(f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}", crashed=True)


def _pack(model: Model) -> tuple[str, bytes]:
    """Name and pickle of a model, which may be of a notebook.

    Raises
    ------
    TitinError
        If it cannot be pickled.
    """
    cloudpickle = require("cloudpickle", "a cluster")
    try:
        return model.name, cloudpickle.dumps(model)
    except Exception as error:
        raise TitinError(
            f"the model {model.name} cannot be sent to a cluster, as it cannot be pickled: {error}",
            "have it open files and take locks in its fit, or run it without a cluster",
        ) from error


def _unpack(name: str, data: bytes) -> Model:
    try:
        model: Model = pickle.loads(data)  # noqa: S301 - a worker runs what its scheduler sends, this included
    except (ImportError, AttributeError) as error:
        raise TitinError(
            f"a worker cannot make the model {name}: {error}", "install what it is of where the workers run, too"
        ) from error
    return model
