"""The report in headless Chromium: nothing is asked for, nothing fails, nothing is wider than the screen."""

import io
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, DRIVER, browser
from PIL import Image

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (apt: chromium-driver)"
)

# what a reader would find broken: pictures that did not load, headings and paragraphs that lie on each other, or text
# that reaches beyond the screen
FAULTS = """
const faults = [];
if (document.documentElement.scrollWidth > window.innerWidth + 1) faults.push("wider than the screen");
for (const image of document.images) {
  image.loading = "eager";
  if (!image.complete || !image.naturalWidth) faults.push("picture " + image.alt);
}
const shown = [...document.querySelectorAll("h1,h2,h3,p,figcaption,summary,.tile,.plot,nav li")]
  .map(e => [e, e.getBoundingClientRect()]).filter(([e, r]) => r.width && r.height && e.checkVisibility());
for (const [e, r] of shown) if (r.right > window.innerWidth + 1 || r.left < -1)
  faults.push("beyond the screen: " + e.textContent.slice(0, 40));
for (let i = 0; i < shown.length; i++) for (let j = i + 1; j < Math.min(i + 40, shown.length); j++) {
  const [a, p] = shown[i], [b, q] = shown[j];
  if (a.contains(b) || b.contains(a)) continue;
  const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
  const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
  if (wide > 2 && high > 2)
    faults.push(a.textContent.slice(0, 30) + " / " + b.textContent.slice(0, 30));
}
return faults;
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_the_page_loads_whole_and_asks_for_nothing(window, demo, width, dark):
    report = Path(demo[0]["path"])
    window.open(report, width=width, dark=dark)
    assert window.requests() == [report.as_uri()]
    assert window.console() == []
    assert window.run("return window.innerWidth") == width
    assert window.run(FAULTS) == []
    pixels = np.asarray(Image.open(io.BytesIO(window.picture())).convert("L"))
    background = np.median(pixels)
    assert (background < 60) == dark
    assert (np.abs(pixels.astype(int) - background) > 60).mean() > 0.02


FOLDED = "return [...document.querySelectorAll('details')].filter(e => !e.lastElementChild.checkVisibility()).length"


def test_paper_shows_what_is_folded_on_screens(window, demo):
    window.open(Path(demo[0]["path"]), width=1000)
    assert window.run(FOLDED) > 5
    window.open(Path(demo[0]["path"]), width=1000, paper=True)
    assert window.run(FOLDED) == 0
    assert window.run(FAULTS) == []
