"""The report in headless Chromium: nothing is asked for, nothing fails, nothing is wider than the screen."""

import io
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, DRIVER, browser
from PIL import Image
from scipy import sparse

import titin
from titin.report import write_report

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


@pytest.mark.parametrize(("width", "dark"), [
    pytest.param(1400, False, id="1400-light"), pytest.param(400, True, id="400-dark"),
    pytest.param(1400, True, id="1400-dark", marks=pytest.mark.slow),
    pytest.param(400, False, id="400-light", marks=pytest.mark.slow),
])  # fmt: skip
def test_the_page_loads_whole_and_asks_for_nothing(window, demo, width, dark):
    report = Path(demo[0]["path"])
    window.open(report, width=width, dark=dark)
    assert window.requests() == [report.as_uri()]
    assert window.console() == []
    assert window.run("return window.innerWidth") == width
    assert window.run(FAULTS) == []
    pixels = np.asarray(Image.open(io.BytesIO(window.picture())).convert("L"))
    background = pixels[0, 0]  # of the page; figures are dark on white on either
    assert (background < 60) == dark
    assert (np.abs(pixels.astype(int) - int(background)) > 60).mean() > 0.02


FOLDED = "return [...document.querySelectorAll('details')].filter(e => !e.lastElementChild.checkVisibility()).length"


def test_paper_shows_what_is_folded_on_screens(window, demo):
    window.open(Path(demo[0]["path"]), width=1000)
    assert window.run(FOLDED) > 5
    window.open(Path(demo[0]["path"]), width=1000, paper=True)
    assert window.run(FOLDED) == 0
    assert window.run(FAULTS) == []


ASK = """
const field = document.getElementById("gene-field");
field.value = arguments_; field.dispatchEvent(new Event("input"));
const out = document.getElementById("gene-answer");
return [out.querySelectorAll("tbody tr").length, out.textContent, document.getElementById("gene-search").hidden];
"""


def test_a_gene_is_found_by_its_name_in_any_case(window, demo):
    window.open(Path(demo[0]["path"]), width=400)
    known = json.loads(window.run("return document.getElementById('gene-document').textContent"))
    gene, rows = next(iter(known["genes"].items()))
    n, said, hidden = window.run(ASK.replace("arguments_", json.dumps(f" {gene.lower()} ")))
    assert (n, hidden) == (len(rows), False)
    assert said.startswith(f"{gene}: its clearest comparisons.")
    assert known["places"][rows[0][0]] in said
    n, said, _ = window.run(ASK.replace("arguments_", json.dumps(gene[:2])))
    assert n == 0
    assert said.startswith("Genes that begin so: ")
    assert window.run(ASK.replace("arguments_", json.dumps("<b>no such gene")))[1].startswith("No gene of that name")
    assert window.run(ASK.replace("arguments_", '""'))[:2] == [0, ""]
    assert window.run(FAULTS) == []
    assert window.console() == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1400, 400])
def test_long_names_do_not_break_the_page(window, tmp_path, width):
    rng = np.random.default_rng(0)
    long = "a_cell_type_of_which_somebody_wrote_down_everything_that_was_known_" * 3
    obs = pd.DataFrame({
        "donor": [f"donor_{'x' * 90}_{i % 12}" for i in range(480)], "age": [20.0 + 5 * (i % 12) for i in range(480)],
        "cell_type": [(f"{long}1", f"{long}2")[i // 12 % 2] for i in range(480)],
    }, index=[f"c{i}" for i in range(480)])  # fmt: skip
    genes = [f"{'GENE' * 40}{i}" for i in range(80)]
    source = ad.AnnData(sparse.csr_matrix(rng.poisson(3.0, (480, 80)).astype(np.float32)), obs=obs,
                        var=pd.DataFrame(index=genes), obsm={"X_umap": rng.normal(size=(480, 2))})  # fmt: skip
    source.write_h5ad(tmp_path / "source.h5ad")
    titin.build(tmp_path / "source.h5ad", tmp_path / f"dataset_{'w' * 120}", tissue="toy", method="x")
    report = write_report(tmp_path / f"dataset_{'w' * 120}", tmp_path / "report.html")
    window.open(report.path, width=width)
    assert window.run(FAULTS) == []
