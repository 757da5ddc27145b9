"""Folds of a benchmark on the workers of a Dask cluster: the files of threads, whoever is lost meanwhile."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import Ridge

import titin
from titin.cli import main
from titin.errors import TitinError
from titin.learn import Model, run_benchmark
from titin.learn.fold_work import FoldWork
from titin.progress import Progress

distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")

ASKED: dict[str, Any] = {
    "tasks": ["age_years", "sex"], "models": ["ridge", "logistic"], "splits": ["leave_one_donor_out"],
    "permutations": 20, "figures": False,
}  # fmt: skip
FEW: dict[str, Any] = {"tasks": ["age_years"], "splits": ["random_leaky"], "permutations": 5, "figures": False}


class Counting(Progress):
    """How many folds are told to be done; at one of them something happens."""

    def __init__(self, at: int = -1, then: Any = None) -> None:
        self.at, self.then, self.step, self.done, self.expected = at, then, "", 0, 0

    def start(self, name: str, total: int, unit: str) -> None:
        self.step = name
        if name == "folds":
            self.expected = total

    def advance(self, amount: int) -> None:
        if self.step != "folds":
            return
        self.done += amount
        if self.then is not None and self.done >= self.at:
            then, self.then = self.then, None
            then()


def kill_one(client: Any) -> None:
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results_of(folder: Path) -> dict[str, bytes]:
    """All but the description of the run, which tells of the time."""
    return {name: data for name, data in files_of(folder).items() if name.startswith("predictions/")}


def test_files_are_those_of_threads_whoever_is_lost(client: Any, demo: Any, tmp_path: Path) -> None:
    done = run_benchmark(demo, tmp_path / "threads", threads=2, **ASKED)
    killing = Counting(4, lambda: kill_one(client))
    found = run_benchmark(demo.folder, tmp_path / "cluster", cluster=client, progress=killing, **ASKED)
    assert killing.then is None
    assert found.ran == done.ran == killing.done == killing.expected > 50
    here, there = results_of(tmp_path / "threads"), results_of(tmp_path / "cluster")
    assert any("permuted" in name for name in here)
    assert here.keys() == there.keys()
    assert [name for name, data in here.items() if there[name] != data] == []
    assert found.scores.equals(done.scores)
    assert sorted(found.told) == sorted(done.told)
    assert files_of(tmp_path / "threads").keys() == files_of(tmp_path / "cluster").keys()
    assert [path.name for path in tmp_path.rglob(".*")] == []


@pytest.mark.slow
def test_files_of_every_model_are_those_of_threads(demo: Any, tmp_path: Path) -> None:
    """On a worker of two threads, that work on what they share."""
    asked = {"tasks": ["age_years", "cell_type_0"], "splits": ["random_leaky"], "permutations": 0, "figures": False}
    run_benchmark(demo, tmp_path / "threads", threads=2, **asked)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as one,
        distributed.Client(one, set_as_default=False) as client,
    ):
        run_benchmark(demo.folder, tmp_path / "cluster", cluster=client, **asked)
    here, there = results_of(tmp_path / "threads"), results_of(tmp_path / "cluster")
    assert {"boosting", "ridge_by_type", "elastic_net", "pls"} <= {name.split("/")[3] for name in here}
    assert here.keys() == there.keys()
    assert [name for name, data in here.items() if there[name] != data] == []


def test_an_address_and_the_command_do_the_same(
    workers: Any, demo: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    atlas = titin.open(demo.folder, cluster=workers.scheduler_address)
    run_benchmark(demo, tmp_path / "threads", models=["ridge"], threads=2, **FEW)
    run_benchmark(atlas, tmp_path / "open", models=["ridge"], **FEW)
    main(["bench", str(demo.folder), "-o", str(tmp_path / "command"), "--task", "age_years", "--split", "random_leaky",
          "--model", "ridge", "--permutations", "5", "--no-figures", "-q",
          "--cluster", workers.scheduler_address])  # fmt: skip
    capsys.readouterr()
    with pytest.raises(TitinError, match="an open dataset has a cluster of its own"):
        run_benchmark(demo, tmp_path / "none", cluster=workers.scheduler_address)
    here = results_of(tmp_path / "threads")
    assert here
    assert here == results_of(tmp_path / "open") == results_of(tmp_path / "command")


def test_what_is_interrupted_is_gone_on_with(client: Any, demo: Any, tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_benchmark(demo.folder, tmp_path / "b", cluster=client, models=["ridge"], progress=Counting(9, stop), **FEW)
    half = results_of(tmp_path / "b")
    assert half
    resumed = run_benchmark(demo.folder, tmp_path / "b", threads=2, models=["ridge"], **FEW)
    assert resumed.ran > 0 < resumed.kept
    whole = run_benchmark(demo.folder, tmp_path / "whole", threads=2, models=["ridge"], **FEW)
    assert resumed.ran + resumed.kept == whole.ran
    assert results_of(tmp_path / "b") == results_of(tmp_path / "whole")


def test_models_of_a_notebook_go_along(client: Any, demo: Any, tmp_path: Path) -> None:
    class Nearly(Ridge):
        """Of a function, as of a notebook: no worker can import it."""

    def fails() -> Any:
        raise ValueError("not today")

    models = [Model("nearly", lambda: Nearly(2.0), kinds=("regression",)), Model("bad", fails, kinds=("regression",))]
    found = run_benchmark(demo.folder, tmp_path / "cluster", cluster=client, models=models, **FEW)
    told = {(entry.model, entry.reason, entry.crashed) for entry in found.not_evaluated}
    assert told == {("bad", "ValueError: not today", True)}
    run_benchmark(demo.folder, tmp_path / "threads", threads=2, models=models, **FEW)
    assert results_of(tmp_path / "cluster") == results_of(tmp_path / "threads")


def test_models_that_cannot_be_sent_are_named(client: Any, demo: Any, tmp_path: Path) -> None:
    lock = threading.Lock()
    model = Model("locked", lambda: Ridge(lock is None), kinds=("regression",))
    with pytest.raises(TitinError, match="the model locked cannot be sent to a cluster, as it cannot be pickled"):
        run_benchmark(demo.folder, tmp_path / "b", cluster=client, models=[model], **FEW)
    assert results_of(tmp_path / "b") == {}


def test_models_that_workers_cannot_import_are_named(
    client: Any, demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models_of_mine.py").write_text("from sklearn.linear_model import Ridge as Mine\n"
                                                "def make():\n    return Mine()\n")  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TitinError, match="a worker cannot make the model models_of_mine:make: No module") as caught:
        run_benchmark(demo.folder, tmp_path / "b", cluster=client, models=["models_of_mine:make"], **FEW)
    assert caught.value.hint == "install what it is of where the workers run, too"
    sys.modules.pop("models_of_mine", None)


def test_a_large_thing_is_sent_in_pieces_and_given_up(
    client: Any, demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = time.monotonic() + 30
    while any(client.processing().values()) and time.monotonic() < end:  # what tests before this have given up
        time.sleep(0.05)
    client.run(forget)
    monkeypatch.setattr("titin.tasks._PIECE", 10_000)
    run_benchmark(demo.folder, tmp_path / "cluster", cluster=client, models=["ridge"], **FEW)
    run_benchmark(demo.folder, tmp_path / "threads", threads=1, models=["ridge"], **FEW)
    assert results_of(tmp_path / "cluster") == results_of(tmp_path / "threads")
    assert set(client.run(kept_work).values()) == {0}


def forget() -> None:
    from titin.tasks import _kept

    _kept.clear()


def kept_work() -> int:
    from titin.tasks import _kept

    return sum(isinstance(own, FoldWork) for own in _kept.values())
