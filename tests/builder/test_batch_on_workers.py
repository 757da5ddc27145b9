"""A batch on the workers of a Dask cluster: the datasets and the table of one here, whoever is lost meanwhile."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

from titin.builder import BatchJob, BatchOutcome, build, build_many
from titin.builder.workspace import is_being_built
from titin.cli import main
from titin.demo import write_demo_atlas

distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")
psutil = pytest.importorskip("psutil")  # which comes with it

HEADER = "source,output,cell_type,seed,no-shuffle,donors,no-obs,preset"
ROWS = {
    "a.h5ad,out/a,annotation_level0;annotation_level1,3,yes,,,": "built",
    "none.h5ad,none/x,,,,,,": "failed",  # which the batch sees by itself
    "b.h5ad,b,,,,ages.csv,Age_group,./own.toml": "built",
    "text.h5ad,text,,,,,,": "failed",
}
MADE_BY_HAND = ["a.h5ad", "ages.csv", "b.h5ad", "m.csv", "own.toml", "text.h5ad"]


@pytest.fixture(scope="module")
def sources(made_once: Callable[..., Path]) -> Path:
    def make(folder: Path) -> None:
        for seed, name in enumerate("ab"):
            write_demo_atlas(folder / f"{name}.h5ad", n_cells=2_000, n_genes=150, seed=seed)

    return made_once("batch_on_workers", make)


@pytest.fixture
def folder(sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in "ab":
        shutil.copy(sources / f"{name}.h5ad", tmp_path)
    with h5py.File(sources / "b.h5ad") as file:
        donors = file["obs/DonorID/categories"].asstr()[:]
    (tmp_path / "ages.csv").write_text("donor,age\n" + "".join(f"{name},33\n" for name in donors))
    (tmp_path / "own.toml").write_text('[build]\ntissue = "mine"\n')
    (tmp_path / "text.h5ad").write_text("no atlas")
    (tmp_path / "m.csv").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def batch(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, list[dict[str, Any]]]:
    """Exit code, and what is told of each row but for times and memory."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main(["batch", "m.csv", "--json", "-q", *arguments])
    rows = json.loads(capsys.readouterr().out)["rows"]
    return done.value.code, [{k: v for k, v in row.items() if k not in ("seconds", "peak_bytes")} for row in rows]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tasks_left(client: Any) -> list[str]:
    def left() -> list[str]:
        return [str(key) for key in client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))]

    wait_for(lambda: not left())
    return left()


def wait_for(happened: Callable[[], object], seconds: float = 120) -> Any:
    until = time.monotonic() + seconds
    while not (found := happened()) and time.monotonic() < until:
        time.sleep(0.005)
    return found


def builders() -> Iterator[Any]:
    """Processes that build a dataset, of this test's workers."""
    for process in psutil.Process().children(recursive=True):
        try:
            if "titin.builder.batch_worker" in process.cmdline():
                yield process
        except psutil.Error:
            pass


def none_builds() -> bool:
    return bool(wait_for(lambda: not list(builders())))


def job(name: str = "a") -> BatchJob:
    return BatchJob(Path(f"{name}.h5ad"), Path(name), {"project": []})


@pytest.mark.parametrize("n_rows", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_datasets_and_outcomes_are_those_of_a_batch_here(
    n_rows: int, folder: Path, workers: Any, client: Any, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    rows = dict(list(ROWS.items())[:n_rows])
    (folder / "m.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    here = batch(capsys, "--at-once", "2")
    expected = tree(folder)
    written = [name for name in ("out", "b") if (folder / name).exists()]
    for name in written:
        shutil.rmtree(folder / name)
    monkeypatch.setenv("TITIN_CLUSTER", workers.scheduler_address)
    code, found = batch(capsys)
    assert [row["outcome"] for row in found] == list(rows.values()), found
    assert (code, json.loads(json.dumps(found).replace(f"{folder}/", ""))) == here
    assert tree(folder) == expected
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MADE_BY_HAND, *written])
    again = [row["outcome"] for row in batch(capsys)[1]]
    assert again == [outcome.replace("built", "skipped") for outcome in rows.values()]
    assert tree(folder) == expected
    assert tasks_left(client) == []


def stopped_in_the_middle(output: Path) -> Any:
    """The process that builds a dataset, stopped while it files cells; its lock is tried while it cannot take it."""
    hidden = output.parent / f".{output.name}.titin-build"
    assert wait_for(hidden.exists)
    builder = next(builders())
    builder.suspend()
    while not (is_being_built(output) and any((hidden / "work").glob("*"))):
        assert not output.exists()
        builder.resume()
        time.sleep(0.02)
        builder.suspend()
    return builder


def is_told_to_end(process: Any) -> bool:
    """Whether a stopped process will find SIGTERM when it goes on."""
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    waiting = next(line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:"))
    return bool(int(waiting, 16) >> (signal.SIGTERM - 1) & 1)


class Middle(threading.Thread):
    """Does something to the worker and the process that build a dataset, stopped in the middle of it."""

    def __init__(self, output: Path, act: Callable[[Any, Any], None]) -> None:
        super().__init__(daemon=True)
        self.output, self.act, self.acted = output, act, False

    def run(self) -> None:
        builder = stopped_in_the_middle(self.output)
        try:
            self.act(builder.parent(), builder)
            self.acted = True
        finally:
            with contextlib.suppress(psutil.Error):
                builder.resume()


def holders(folder: Path) -> set[str]:
    return {path.read_text() for path in folder.glob(".*/holder")}


@pytest.mark.slow
def test_what_a_killed_worker_was_building_is_built_again(folder: Path, client: Any) -> None:
    build("a.h5ad", "here", project=())

    def kill(worker: Any, builder: Any) -> None:
        first = holders(folder)
        worker.kill()
        assert wait_for(lambda: holders(folder) - first)  # another has taken over, and waits for what still is there
        assert builder.status() == psutil.STATUS_STOPPED
        builder.resume()

    middle = Middle(folder / "a", kill)
    middle.start()
    (there,) = build_many([job()], cluster=client)
    middle.join()
    assert middle.acted
    assert (there.outcome, there.why) == ("built", None)
    assert tree(folder / "a") == tree(folder / "here")
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MADE_BY_HAND, "a", "here"])
    assert none_builds()
    assert tasks_left(client) == []


@pytest.mark.slow
def test_of_two_builds_as_a_worker_was_taken_for_lost_one_waits(folder: Path, client: Any) -> None:
    """It hangs, and so does not hear of it; the process that it has started goes on, and ends first."""
    build("a.h5ad", "here", project=())
    hanging = []

    def forget(worker: Any, builder: Any) -> None:
        first, pid = holders(folder), worker.pid
        (address,) = [name for name, own in client.run(os.getpid).items() if own == pid]
        worker.suspend()
        hanging.append(worker)

        async def remove(dask_scheduler: Any) -> None:
            await dask_scheduler.remove_worker(address, stimulus_id="test", close=False)

        client.run_on_scheduler(remove)
        assert wait_for(lambda: holders(folder) - first)
        builder.resume()

    middle = Middle(folder / "a", forget)
    middle.start()
    try:
        (there,) = build_many([job()], cluster=client)
    finally:
        middle.join()
        for worker in hanging:
            worker.resume()
    assert middle.acted
    assert (there.outcome, there.why) == ("built", None)
    assert tree(folder / "a") == tree(folder / "here")
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MADE_BY_HAND, "a", "here"])
    assert none_builds()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_batch_that_is_ended_ends_its_builds(
    number: signal.Signals, folder: Path, workers: Any, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "m.csv").write_text("source,output\na.h5ad,a\n")
    command = ["batch", "m.csv", "-q", "--json", "--cluster", workers.scheduler_address]
    running = subprocess.Popen(
        [sys.executable, "-m", "titin", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    builder = stopped_in_the_middle(folder / "a")
    running.send_signal(number)
    assert wait_for(lambda: is_told_to_end(builder))
    if number == signal.SIGKILL:
        running.wait()
    else:
        assert running.poll() is None  # it waits for the build to end
    builder.resume()
    _, said = running.communicate(timeout=60)
    assert running.returncode == (130 if number == signal.SIGINT else -number), said
    assert none_builds()
    assert tasks_left(client) == []
    left = sorted(path.name for path in folder.iterdir() if path.name not in MADE_BY_HAND)
    assert ".a.titin-build" in left  # for --resume, as of a build
    assert len(left) == (1 if number == signal.SIGINT else 2)  # and the folder of a batch that could not remove it
    main([*command, "--resume"])
    assert json.loads(capsys.readouterr().out)["built"] == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MADE_BY_HAND, "a"])


BLIND = {
    "a source": (
        "from titin.source.inventory import Inventory\n"
        "def blind(self, look=Inventory._look):\n"
        "    if self.path.name == 'b.h5ad':\n        raise FileNotFoundError('no such file')\n"
        "    return look(self)\n"
        "Inventory._look = blind\n",
        "does not see .*/b.h5ad as the machine of the batch does: no such file",
    ),
    "an output": (
        "import titin.builder.batch_on_workers as own\n"
        "own._text = lambda path, text=own._text: '' if path.parent.name.startswith('.b.') else text(path)\n",
        "does not see .*, where b is to be built",
    ),
}


@pytest.mark.parametrize("what", [*BLIND])
@pytest.mark.slow
def test_a_row_that_a_worker_does_not_see_fails_alone(what: str, folder: Path, tmp_path: Path) -> None:
    code, said = BLIND[what]
    (tmp_path / "prepared.py").write_text(code)
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", empty.scheduler_address, "--no-nanny",
                   "--no-dashboard", "--nthreads", "1", "--preload", str(tmp_path / "prepared.py"),
                   "--local-directory", str(tmp_path / "scratch")]  # fmt: skip
        worker = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with distributed.Client(empty, set_as_default=False) as own:
                outcomes = build_many([job("b"), job("a")], cluster=own)
                (address,) = own.nthreads()
        finally:
            worker.kill()
            worker.wait()
    assert [one.outcome for one in outcomes] == ["failed", "built"]
    assert str(outcomes[0].why).startswith(f"worker {address} does not see ")
    assert re.search(said, str(outcomes[0].why))
    assert not (folder / "b").exists()
    assert [path.name for path in folder.glob(".*")] == []


def test_rows_that_nobody_is_left_for_fail_with_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titin.cluster._PATIENCE", 0.3)
    monkeypatch.setattr("titin.cluster._LOOK", 0.2)
    outcomes: list[BatchOutcome] = []
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as few,
        distributed.Client(few, set_as_default=False) as own,
    ):
        leaving = Middle(folder / "a", lambda _, builder: (few.scale(0), wait_for(lambda: is_told_to_end(builder))))
        leaving.start()
        outcomes = build_many([job("a"), job("b")], cluster=own)
        leaving.join()
    assert leaving.acted
    assert [one.outcome for one in outcomes] == ["failed", "failed"]
    assert all("all workers of" in str(one.why) for one in outcomes)
    assert none_builds()
    assert not {"a", "b"} & {path.name for path in folder.iterdir()}
