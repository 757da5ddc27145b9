"""What all tests share: slow ones on demand, things made once for all workers, files that lie beside the repository."""

import fcntl
import gc
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# threads of a library that have nothing to do sleep at once, or they would keep the processor from other tests; how
# many there are is left as it is. Read when the libraries are loaded, here and in processes that tests start
os.environ |= {"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"}

import pytest
from hypothesis import settings

from command_line import Outcome, Run
from titin.builder import options
from titin.check import viewer_rules
from titin.cli import main
from titin.cluster import Cluster, disconnect
from titin.explore import page

# kernels are compiled within the first example, and no test is about time
settings.register_profile("titin", deadline=None)
settings.load_profile("titin")
_BEGUN = time.monotonic()
gc.disable()  # until all tests are found: what is made on the way stays
# a shell starts what it sends to the background with this ignored, and so do all that are started in turn
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that are marked slow, too")
    parser.addoption("--long", action="store_true", help="run those of many trials, marked long, too (hours)")
    parser.addoption("--within", type=float, metavar="MINUTES", help="skip, and name, the tests not begun by then")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Half as many workers again as processors: a third of the time is waited for what tests start, serve or cut."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # as xdist has it
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + (processors + 1) // 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is slow or long, unless it is asked for."""
    for mark in ("slow", "long"):
        left = [] if config.getoption(f"--{mark}") else [item for item in items if item.get_closest_marker(mark)]
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if not item.get_closest_marker(mark)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave modules and tests out of what Python's collector goes through: all last as long as the run."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is too late, instead of being ended in the middle with nothing said."""
    minutes = item.config.getoption("--within")
    if minutes is not None and time.monotonic() - _BEGUN > 60 * minutes:
        pytest.skip(f"{item.nodeid} was not begun within {minutes:g} minutes")


@pytest.fixture
def titin(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command line in an empty folder, with no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TITIN_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str | Path) -> Outcome:
        capfd.readouterr()
        code: Any = 0
        try:
            main([str(a) for a in arguments])
        except SystemExit as done:
            code = done.code or 0
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Give a folder that is filled once for all workers of a run, as a copy of one's own.

    ``made_once(name, fill)``: the first to ask for a name fills the folder, others wait for that.
    """
    base = tmp_path_factory.getbasetemp()
    common = (base.parent if base.name.startswith("popen-") else base) / "made"
    common.mkdir(exist_ok=True)

    def give(name: str, fill: Callable[[Path], object]) -> Path:
        whole, own = common / name, tmp_path_factory.mktemp(name)
        with (common / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                begun = common / f"{name}.begun"
                shutil.rmtree(begun, ignore_errors=True)  # of a worker that failed at it
                begun.mkdir()
                fill(begun)
                begun.rename(whole)
        shutil.copytree(whole, own, dirs_exist_ok=True)
        return own

    return give


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared files beside the repository."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the shared files, which would lie in {folder}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def page_of_the_explorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Files in the place of the explorer's where these are not built; tests that run the page skip then."""
    with pytest.MonkeyPatch.context() as patch:
        if not page.BUNDLE.is_dir():
            folder = tmp_path_factory.mktemp("bundle")
            for name in page.FILES:
                (folder / name).write_text("not built\n")
            patch.setattr(page, "BUNDLE", folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_projections() -> Iterator[None]:
    """Projections take seconds that few tests have a use for: those that do ask for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "DEFAULT_PROJECTIONS", ())
        patch.setenv("TITIN_PROJECT", "none")  # of processes that tests start
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Nothing is waited for until it is on the disk: power is cut in processes of their own, which watch that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: os.fstat(handle) and None)  # which handles that are closed refuse
        yield


@pytest.fixture(scope="session", autouse=True)
def datasets_server() -> Iterator[None]:
    """Full validations ask the library `datasets` in forks of one process, not in a new one each."""
    from datasets_server import Server

    server = Server()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(viewer_rules, "_run", lambda asked, _, home: server.run(viewer_rules._SCRIPT, asked, home))
        yield
    server.close()


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    """Two processes of one thread each, of a Dask cluster; no thread of it runs on beside tests of other modules."""
    distributed = pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")
    import dask

    patient = {"distributed.deploy.lost-worker-timeout": "10 minutes"}  # that one has to come back which was killed
    with (
        dask.config.set(patient),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as running,
    ):
        yield running
        disconnect()


@pytest.fixture(scope="module")
def client(workers: Any) -> Iterator[Any]:
    """A client of `workers`."""
    distributed = pytest.importorskip("distributed")
    with distributed.Client(workers, set_as_default=False) as own:
        yield own


class Losses:
    """Kills a worker of a cluster when the first item of a pass is done.

    Attributes
    ----------
    passes
        Names of those that were begun.
    at
        Which of them is disturbed.
    killed
        Whether one was.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.prepare(0)

    def prepare(self, at: int) -> None:
        """Wait until all workers are there that were killed before, and count passes anew."""
        self._client.wait_for_workers(2, timeout=600)
        self.passes: list[str] = []
        self.at, self.killed = at, False

    def kill(self) -> None:
        """Kill a worker, once."""
        if not self.killed:
            os.kill(next(iter(self._client.run(os.getpid).values())), signal.SIGKILL)
        self.killed = True


@pytest.fixture
def losses(client: Any, monkeypatch: pytest.MonkeyPatch) -> Losses:
    """A worker of `client` is killed in the middle of the first pass over a matrix, or of another."""
    own, whole = Losses(client), Cluster.map

    def lossy(self: Cluster, function: Any, *given: Any, **named: Any) -> Any:
        number, told = len(own.passes), named.pop("told", lambda _: None)
        own.passes.append(function.__name__)

        def done(item: Any) -> None:
            if number == own.at:
                own.kill()
            told(item)

        return whole(self, function, *given, told=done, **named)

    monkeypatch.setattr(Cluster, "map", lossy)
    return own
