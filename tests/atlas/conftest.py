"""A small demo dataset, the same in shards, and a way to make much of little: tiny blocks."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo_dataset import Cut, Demo, MadeOnce, cut, demo, small_shards
from titin.builder import build
from titin.dataset.manifest import Manifest

__all__ = ["Cut", "Demo", "cut", "datasets", "demo", "sharded"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: of anndata's own tests, whose helpers are used here")


@pytest.fixture(scope="session")
def sharded(demo: Demo, made_once: MadeOnce) -> Demo:
    """The same atlas, its files cut into shards after 16 kB."""

    def make(folder: Path) -> None:
        with small_shards():
            build(demo.atlas, folder / "dataset", preset="muscle", donors=demo.donors)

    dataset = made_once("sharded", make) / "dataset"
    return Demo(demo.folder, dataset, Manifest.read(dataset))


@pytest.fixture(scope="module")
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
