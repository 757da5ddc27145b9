"""A small demo dataset, and a way to make much of little: tiny blocks. For the rooms that read whole datasets."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import pytest

from titin.builder import Progress
from titin.dataset import layout
from titin.dataset.arrow import ParquetFile
from titin.dataset.manifest import Manifest
from titin.demo import make_demo
from titin.demo.atlas import ATLAS, DONORS
from titin.resources import Resources

Cut = Callable[..., None]
MadeOnce = Callable[[str, Callable[[Path], object]], Path]


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
def demo(made_once: MadeOnce) -> Demo:
    """The demo with more cells than a row group holds and more genes than the panel holds."""

    def make(folder: Path) -> None:
        make_demo(folder, n_cells=1300, n_genes=600, seed=0, force=False, progress=Progress())

    folder = made_once("demo", make)
    dataset = folder / "skeletal_muscle_10x"
    return Demo(folder, dataset, Manifest.read(dataset))


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


@contextmanager
def small_shards() -> Iterator[None]:
    """Build small row groups, and files that are cut into shards after 16 kB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "ROW_GROUP_CELLS", 256)
        patch.setattr(layout, "ROW_GROUP_NONZEROS", 20_000)
        patch.setattr(layout, "TABLE_ROW_GROUP_ROWS", 500)
        patch.setattr(layout, "PANEL_ROW_GROUP_CELLS", 256)
        patch.setitem(ParquetFile.__init__.__kwdefaults__, "shard_bytes", 16_000)
        yield
