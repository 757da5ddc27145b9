"""The page of a static Space, served as files, on a dataset that has been published to a Hub on this machine."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from window import Window, static_host

import titin
from demo_dataset import Demo
from fakehub import State, serve
from hub_worker import REPO, Worker, environment
from titin.explore.page import BUNDLE

SPACE = "me/cells"
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Published:
    """The Hub, what was published to it, and the address where the Space's files are served."""

    hub: State
    address: str
    space: str
    public: titin.Atlas  # the same copy, made here


@pytest.fixture(scope="module")
def published(mapped: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    pytest.importorskip("huggingface_hub", reason="needs `pip install huggingface_hub`")
    if not (BUNDLE / "explorer.js").is_file():
        pytest.skip("the explorer's page is not built: python hatch_build.py")
    folder = tmp_path_factory.mktemp("space")
    with serve() as (address, hub):
        worker = Worker(environment(address, folder / "home"))
        try:
            done: dict[str, Any] = worker(mapped.dataset, space=SPACE, licence="cc-by-4.0")
        finally:
            worker.process.kill()
            worker.process.communicate()
        assert done.get("space"), done
        files = folder / "files"
        files.mkdir()
        for name, file in hub.spaces[SPACE].files().items():
            (files / name).write_bytes(file.data)
        data = folder / "data"
        data.mkdir()
        for name, file in hub.repos[REPO].files().items():
            (data / name).write_bytes(file.data)
        with static_host(files) as space:
            yield Published(hub, address, space, titin.open(data))


@pytest.fixture
def shown(published: Published, window: Window) -> Iterator[Window]:
    """The page of the Space; what it asks of the Hub is remembered from here on."""
    published.hub.requests.clear()
    published.hub.asked_by_pages.clear()
    yield window.open(published.space)
    assert window.said == []


def test_it_shows_the_published_cells_and_genes(shown: Window, published: Published) -> None:
    atlas = published.public
    for gene in ("XIST", "MYH7"):
        shown.run("gene => titin.colour({gene})", gene)
        np.testing.assert_allclose(shown.values(), atlas[gene], rtol=2e-6)
    column = atlas.manifest.roles["cell_type"]
    name = column[0] if isinstance(column, list) else column
    shown.run("obs => titin.colour({obs})", name)
    codes = np.asarray(shown.values())
    labels = atlas.cell_columns([name])[name].astype(str).to_numpy()
    assert len(set(zip(codes, labels, strict=True))) == len(set(labels))


def test_it_reads_parts_of_the_repository_without_preflight_or_token(shown: Window, published: Published) -> None:
    shown.run("titin.colour({gene: 'XIST'})")
    hub, files = published.hub, published.hub.repos[REPO].files()
    assert {method for method, _ in hub.requests} == {"GET"}  # OPTIONS would be here
    asked = {path.removeprefix(f"/datasets/{REPO}/resolve/main/"): span for path, span, _ in hub.asked_by_pages}
    assert set(asked) <= set(files)
    assert "titin.json" in asked
    assert {name for name in asked if name.endswith(".parquet")}
    assert all(span for name, span in asked.items() if name.endswith(".parquet"))
    assert {token for _, _, token in hub.asked_by_pages} == {None}
    origins = {re.match(r"https?://[^/]+", url)[0] for url in shown.requests if not url.startswith(("data:", "blob:"))}
    assert origins == {published.address, published.space.rstrip("/")}


def test_it_shows_ages_as_they_were_published(shown: Window, published: Published, mapped: Demo) -> None:
    atlas = published.public
    assert "age_years" in titin.open(mapped.dataset).obs
    assert "age_years" not in atlas.obs
    told = shown.page.inner_text("body")
    assert "age_years" not in told
    ages = set(atlas.ages.dropna())
    dots = shown.run("gene => titin.card(gene)", "MYH7")["dots"]
    assert {dot["age"] for dot in dots if dot["age"] is not None} <= ages
    assert dots
