"""A small dataset to explore, and the server of it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from window import ARGUMENTS, CHROMIUM, Window, static_host

import titin
from demo_dataset import Demo, MadeOnce, demo
from titin.ageing import write_ageing_tables
from titin.builder import add_embeddings
from titin.dataset.manifest import Manifest
from titin.explore import write_site
from titin.explore.page import BUNDLE

__all__ = ["demo"]


@pytest.fixture(scope="session")
def mapped(demo: Demo, made_once: MadeOnce) -> Demo:
    """The demo with two projections, and what changes with age."""

    def make(folder: Path) -> None:
        dataset = Path(shutil.copytree(demo.folder, folder, dirs_exist_ok=True)) / demo.dataset.name
        add_embeddings(dataset, ["pca"], pca={"n_comps": 3}, force=True)
        write_ageing_tables(titin.open(dataset))

    folder = made_once("mapped", make)
    return Demo(folder, folder / demo.dataset.name, Manifest.read(folder / demo.dataset.name))


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


@pytest.fixture(scope="session")
def profile(browser: Any) -> Iterator[Any]:
    """What all windows are opened in, beside one that stays: a profile of its own for each would take half a second."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    context.new_page()
    yield context
    context.close()


@pytest.fixture
def window(profile: Any) -> Iterator[Window]:
    """A new window without history, and nothing that another has left: no cookie, no permission, nothing cached."""
    page = profile.new_page()
    protocol = profile.new_cdp_session(page)
    protocol.send("Network.clearBrowserCache")
    protocol.detach()
    yield Window(page)
    for opened in profile.pages[1:]:
        opened.close()
    profile.clear_cookies()
    profile.clear_permissions()


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
