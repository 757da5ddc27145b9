"""Pages about a hostile dataset in headless Chromium: no script ran, nothing was asked for, no element is foreign."""

import contextlib
from pathlib import Path

import pytest
from browser import CHROMIUM, DRIVER, browser

from hostile_words import FOLDER, TAGS, build, run

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (apt: chromium-driver)"
)


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 5])
def test_nothing_runs_in_a_page(tmp_path: Path, start: int) -> None:
    with contextlib.chdir(tmp_path):
        build(start)
        run("validate", FOLDER, "--level", "quick")
        run("report", FOLDER)
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) == 2
    with browser(tmp_path) as session:
        for page in pages:
            session.open(page, width=1000)
            assert session.run("return typeof owned") == "undefined"
            found = session.run("return [...document.querySelectorAll('*')].map(e => e.localName)")
            assert set(found) <= TAGS
            links = "return [...document.links].map(a => { a.target = '_self'; return a.protocol + a.hash })"
            assert all(link == "file:" or link.startswith("file:#") for link in session.run(links))
            session.run("document.querySelectorAll('a').forEach(a => a.dispatchEvent(new Event('mouseover')))")
            assert session.run("return typeof owned") == "undefined"
            assert set(session.requests()) <= {page.as_uri()}
            assert session.console() == []
