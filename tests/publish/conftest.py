"""Small datasets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from titin.builder import Progress, build
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.demo import make_demo
from titin.demo.atlas import ATLAS


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "ROW_GROUP_CELLS", 256)
        patch.setattr(layout, "ROW_GROUP_NONZEROS", 20_000)
        patch.setattr(layout, "TABLE_ROW_GROUP_ROWS", 500)
        patch.setattr(layout, "PANEL_ROW_GROUP_CELLS", 256)
        patch.setitem(ParquetFile.__init__.__kwdefaults__, "shard_bytes", 16_000)
        folder = tmp_path_factory.mktemp("sharded") / "skeletal_muscle_10x"
        build(demo / ATLAS, folder, preset="muscle", donors=demo / "donors.csv", project=())
    return folder
