"""Small datasets, and a Hub for them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo_dataset import small_shards
from fakehub import State, serve
from hub_worker import Worker, environment
from titin.builder import Progress, build
from titin.demo import make_demo
from titin.demo.atlas import ATLAS
from titin.publish import write_card


@pytest.fixture(scope="session")
def demo(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Folder with the atlas; the dataset of 1,100 cells is in ``skeletal_muscle_10x``."""

    def make(folder: Path) -> None:
        make_demo(folder, n_cells=1100, n_genes=400, seed=0, force=False, progress=Progress())

    return made_once("published", make)


@pytest.fixture(scope="session")
def built(demo: Path) -> Path:
    """The demo's dataset; not to be changed."""
    return demo / "skeletal_muscle_10x"


@pytest.fixture(scope="session")
def sharded(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same atlas in shards; not to be changed."""
    with small_shards():
        folder = tmp_path_factory.mktemp("sharded") / "skeletal_muscle_10x"
        build(demo / ATLAS, folder, preset="muscle", donors=demo / "donors.csv", project=())
    return folder


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[str, State]]:
    with serve() as hub:
        yield hub


@pytest.fixture
def hub(running: tuple[str, State]) -> Iterator[State]:
    """An empty Hub."""
    yield running[1]
    running[1].reset()


@pytest.fixture(scope="module")
def settings(running: tuple[str, State], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of the processes."""
    return environment(running[0], tmp_path_factory.mktemp("hf_home"))


@pytest.fixture(scope="module")
def dataset(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a card and a licence."""
    folder = Path(shutil.copytree(built, tmp_path_factory.mktemp("licensed") / built.name))
    write_card(folder, licence="cc-by-4.0", images=False)
    return folder


@pytest.fixture(scope="module")
def publish(settings: dict[str, str]) -> Iterator[Worker]:
    worker = Worker(settings)
    yield worker
    worker.process.kill()
    worker.process.communicate()
