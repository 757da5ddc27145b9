"""A small demo dataset, the same in shards, and a way to make much of little: tiny blocks."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import pytest

from titin.builder import Progress, build
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.dataset.manifest import Manifest
from titin.demo import make_demo
from titin.demo.atlas import ATLAS, DONORS
from titin.resources import Resources

Cut = Callable[..., None]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: of anndata's own tests, whose helpers are used here")


@dataclass(frozen=True)
class Demo:
    """A built dataset and what it was built from."""

    folder: Path  # holds the atlas and the donor table
    dataset: Path
    manifest: Manifest

    @property
    def atlas(self) -> Path:
        """The source file."""
        return self.folder / ATLAS

    @property
    def donors(self) -> Path:
        """The donor table."""
        return self.folder / DONORS

    def source(self) -> ad.AnnData:
        """The source, a new object each time."""
        return ad.read_h5ad(self.atlas)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo with more cells than a row group holds and more genes than the panel holds."""
    folder = tmp_path_factory.mktemp("demo")
    report = make_demo(folder, n_cells=1300, n_genes=600, seed=0, force=False, progress=Progress())
    return Demo(folder, report.path, report.manifest)


@pytest.fixture(scope="session")
def sharded(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The same atlas, its files cut into shards after 16 kB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "ROW_GROUP_CELLS", 256)
        patch.setattr(layout, "ROW_GROUP_NONZEROS", 20_000)
        patch.setattr(layout, "TABLE_ROW_GROUP_ROWS", 500)
        patch.setattr(layout, "PANEL_ROW_GROUP_CELLS", 256)
        patch.setitem(ParquetFile.__init__.__kwdefaults__, "shard_bytes", 16_000)
        folder = tmp_path_factory.mktemp("sharded") / "dataset"
        report = build(demo.atlas, folder, preset="muscle", donors=demo.donors)
    return Demo(demo.folder, report.path, report.manifest)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Ask for small blocks, buckets and strips (``values``), and for small row groups (``cells``)."""

    def cut(values: int, cells: int = layout.ROW_GROUP_CELLS) -> None:
        monkeypatch.setattr(Resources, "scan_values", property(lambda _: values))
        monkeypatch.setattr(Resources, "bucket_values", property(lambda _: values))
        monkeypatch.setattr(layout, "ROW_GROUP_CELLS", cells)
        monkeypatch.setattr(layout, "PANEL_ROW_GROUP_CELLS", 3 * cells // 2)
        monkeypatch.setattr(layout, "ROW_GROUP_NONZEROS", max(1, values // 4))

    return cut


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library `datasets`, which must not look for anything outside."""
    with pytest.MonkeyPatch.context() as patch:
        home = str(tmp_path_factory.mktemp("hf_home"))
        for name, value in (("HF_HUB_OFFLINE", "1"), ("HF_HOME", home), ("HF_HUB_DISABLE_TELEMETRY", "1")):
            patch.setitem(os.environ, name, value)
        library = pytest.importorskip("datasets", reason="needs `pip install datasets`")
        # if another test imported it before, its settings were read then
        patch.setattr(library.config, "HF_DATASETS_CACHE", home)
        patch.setattr(library.config, "HF_HUB_OFFLINE", True)
        library.disable_progress_bars()
        yield library
