"""A small dataset to explore, and the server of it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from window import ARGUMENTS, CHROMIUM, Window, static_host

import titin
from demo_dataset import Demo, demo
from titin.ageing import write_ageing_tables
from titin.builder import add_embeddings
from titin.dataset.manifest import Manifest
from titin.explore import write_site
from titin.explore.page import BUNDLE

__all__ = ["demo"]


@pytest.fixture(scope="session")
def mapped(demo: Demo) -> Demo:
    """The demo with two projections, and what changes with age."""
    add_embeddings(demo.dataset, ["pca"], pca={"n_comps": 3}, force=True)
    write_ageing_tables(titin.open(demo.dataset))
    return Demo(demo.folder, demo.dataset, Manifest.read(demo.dataset))


@pytest.fixture
def served(mapped: Demo) -> Iterator["ExplorerServer"]:  # noqa: F821 - imported where starlette is there
    """A server of it on a thread."""
    pytest.importorskip("starlette", reason="needs the extra explore")
    pytest.importorskip("uvicorn", reason="needs the extra explore")
    from titin.explore import ExplorerServer

    server = ExplorerServer(mapped.dataset)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless browser, where there is one and the page is built; where TITIN_NEEDS_BROWSER is set, there must be."""
    missing = pytest.fail if os.environ.get("TITIN_NEEDS_BROWSER") else pytest.skip
    try:
        import playwright.sync_api as playwright
    except ImportError:
        missing("needs the package playwright")
    if CHROMIUM is None:
        missing("needs a chromium on the path (apt: chromium)")
    if not (BUNDLE / "explorer.js").is_file():
        missing("the explorer's page is not built: python hatch_build.py")
    with playwright.sync_playwright() as found:
        shown = found.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield shown
        shown.close()


@pytest.fixture
def window(browser: Any) -> Iterator[Window]:
    """A new window without history."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    yield Window(context.new_page())
    context.close()


@pytest.fixture(scope="session")
def site(mapped: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the dataset."""
    return write_site(mapped.dataset, tmp_path_factory.mktemp("hosted") / "site").path


@pytest.fixture(scope="session")
def hosted(site: Path) -> Iterator[str]:
    """The site on a plain server that answers ranges and refuses preflights."""
    with static_host(site) as address:
        yield address


@pytest.fixture(scope="session")
def atlas(mapped: Demo) -> titin.Atlas:
    """The dataset, opened."""
    return titin.open(mapped.dataset)
