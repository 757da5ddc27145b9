"""What all tests share: slow ones on demand, things made once for all workers, files that lie beside the repository."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from titin.builder import options

# kernels are compiled within the first example, and no test is about time
settings.register_profile("titin", deadline=None)
settings.load_profile("titin")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that are marked slow, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is slow, unless it is asked for."""
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


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
def no_projections() -> Iterator[None]:
    """Projections take seconds that few tests have a use for: those that do ask for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "DEFAULT_PROJECTIONS", ())
        patch.setenv("TITIN_PROJECT", "none")  # of processes that tests start
        yield
