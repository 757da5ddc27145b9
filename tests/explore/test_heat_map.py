"""The heat map of the page of a list of genes: donors of one type, as Python finds them."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from page_modules import run
from unknown_gene import forget_a_gene
from window import NARROW_AND_WIDE, Window, static_host

import titin
from demo_dataset import Demo
from titin.ageing import pseudobulk
from titin.explore import write_site

TOKENS = [0, 9, 120]
EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(scope="module")
def levels(mapped: Demo) -> pd.DataFrame:
    """Log2 of 1 + counts per million, and share of cells; a row a donor, protocol and type of ten cells or more."""
    atlas = titin.open(mapped.dataset)
    sums = pseudobulk(atlas).aggregate(["protocol", "annotation_level0", "donor", "age"])
    counts = sums.counts.toarray().astype(float)
    found = pd.DataFrame(np.log2(counts / counts.sum(axis=1, keepdims=True) * 1e6 + 1),
                         columns=list(pseudobulk(atlas).genes["gene"]))  # fmt: skip
    names = ["protocol", "annotation_level0", "donor", "age", "n_cells"]
    shares = pd.DataFrame(sums.detected.toarray() / sums.groups[["n_cells"]].to_numpy(), columns=found.columns)
    both = pd.concat({"level": found, "share": shares}, axis=1)
    both.index = pd.MultiIndex.from_frame(sums.groups[names])
    return both[both.index.get_level_values("n_cells") >= 10]


def largest(levels: pd.DataFrame) -> tuple[str, str]:
    """The protocol and type of most donors."""
    return levels.groupby(level=["protocol", "annotation_level0"]).size().idxmax()


def test_each_cell_is_the_level_of_a_donor_and_its_z_score(window: Window, hosted: str, levels: pd.DataFrame) -> None:
    window.open(hosted)
    genes = [str(levels["level"].columns[token]) for token in TOKENS]
    for (protocol, cell_type), own in levels.groupby(level=["protocol", "annotation_level0"]):
        rows = window.run("asked => titin.heat(...asked)", [genes, protocol, cell_type])
        ordered = own.sort_index(level=["age", "donor"])
        for gene, row in zip(genes, rows, strict=True):
            assert [one["donor"] for one in row] == ordered.index.get_level_values("donor").tolist()
            assert [one["cells"] for one in row] == ordered.index.get_level_values("n_cells").tolist()
            expected = ordered["level"][gene]
            np.testing.assert_allclose([one["level"] for one in row], expected, **EXACT)
            np.testing.assert_allclose([one["share"] for one in row], ordered["share"][gene], **EXACT)
            scores = (expected - expected.mean()) / expected.std(ddof=1) if len(row) >= 3 else expected * np.nan
            if expected.nunique() == 1:
                scores = expected * np.nan
            np.testing.assert_allclose([one["z"] for one in row], scores, **EXACT)


@pytest.mark.parametrize("values", ["[1, 2]", "[2, 2, 2]", "[0.1, 0.1, 0.1, 0.1]", "[]"])
def test_a_z_score_needs_three_donors_that_differ(values: str) -> None:
    assert run("heatmap.js", f"m.standardised({values}).every(Number.isNaN)") is True


def test_a_type_is_chosen_and_kept_in_the_address(window: Window, hosted: str, levels: pd.DataFrame) -> None:
    genes = [str(levels["level"].columns[token]) for token in TOKENS]
    protocol, first = largest(levels)
    types = levels.xs(protocol, level="protocol").groupby(level="annotation_level0").size()
    other = str(types.drop(first).idxmax())
    window.open(hosted)
    window.run("asked => titin.setState({page: 'dots', dots: asked[0], protocol: asked[1]})", [genes, protocol])
    window.until("document.querySelector('#heat-type') !== null")
    window.page.select_option("#heat-type", other)
    window.until("n => document.querySelectorAll('#sheet .tile').length === n", len(genes) * int(types[other]))
    before = window.run("[...document.querySelectorAll('#sheet .tile')].map(one => one.getAttribute('fill'))")
    window.page.focus("#heat-scaled")
    window.page.keyboard.press("Space")
    window.until("titin.state().scaled")
    fills = "[...document.querySelectorAll('#sheet .tile')].map(one => one.getAttribute('fill')).join()"
    window.until(f"before => {fills} !== before.join()", before)
    assert window.run("document.activeElement.id") == "heat-scaled"
    address = window.page.url
    again = Window(window.page.context.new_page()).open(address)
    again.until("document.querySelectorAll('#sheet .tile').length")
    assert again.page.input_value("#heat-type") == other
    assert again.page.is_checked("#heat-scaled")
    assert window.said == again.said == []


def test_table_and_csv_have_the_numbers_of_the_figure(
    window: Window, hosted: str, levels: pd.DataFrame, tmp_path: Path
) -> None:
    protocol, cell_type = largest(levels)
    gene = str(levels["level"].columns[TOKENS[1]])
    own = levels.xs((protocol, cell_type)).sort_index(level=["age", "donor"])["level"][gene]
    window.open(hosted)
    window.run("asked => titin.setState({page: 'dots', dots: [asked[0]], protocol: asked[1], type: asked[2]})",
               [gene, protocol, cell_type])  # fmt: skip
    window.until("document.querySelectorAll('#sheet .tile').length")
    cells = "[...document.querySelectorAll('[aria-label=\"Genes by donor\"] tbody td')].map(one => one.textContent)"
    assert window.run(cells) == [f"{value:.2f}" for value in own]
    with window.page.expect_download() as saved:
        window.page.click("#sheet button:text('Save table (CSV)') >> nth=1")
    text = saved.value.path().read_text("utf-8-sig")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert [row["donor"] for row in rows] == own.index.get_level_values("donor").tolist()
    np.testing.assert_allclose([float(row["log2_cpm_plus_1"]) for row in rows], own, **EXACT)
    with window.page.expect_download() as figure:
        window.page.click("#sheet button:text('Save figure (SVG)') >> nth=1")
    assert figure.value.path().read_text("utf-8").count('class="tile"') == len(own)


def test_a_gene_of_which_nothing_is_known_has_no_level(window: Window, mapped: Demo, tmp_path: Path) -> None:
    site = write_site(mapped.dataset, tmp_path / "site").path
    gene = forget_a_gene(site / "data", 5)
    with static_host(site) as address:
        window.open(f"{address}#page=dots&dots=%5B%22{gene}%22%5D")
        window.until("document.querySelectorAll('#sheet .tile').length")
        assert set(window.run("[...document.querySelectorAll('#sheet .tile')].map(e => e.getAttribute('fill'))")) == {
            "none"
        }
        shown = "[...document.querySelectorAll('[aria-label=\"Genes by donor\"] td')].map(one => one.textContent)"
        assert set(window.run(shown)) == {"–"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_accessible(window: Window, hosted: str, levels: pd.DataFrame, scheme: str) -> None:
    window.page.emulate_media(color_scheme=scheme)
    window.page.set_viewport_size(NARROW_AND_WIDE[0])
    gene = levels["level"].columns[TOKENS[0]]
    window.open(f"{hosted}#page=dots&dots=%5B%22{gene}%22%5D&scaled=z")
    window.until("document.querySelectorAll('#sheet .tile').length")
    for size in NARROW_AND_WIDE:
        assert window.fits(size)
        assert window.inaccessible() == []
