"""Markers by type on the page of a list of genes: what Python finds from the same sums, and what the list does."""

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from page_modules import run
from scipy import sparse
from unknown_gene import forget_a_gene
from window import NARROW_AND_WIDE, Window, static_host

import titin
from demo_dataset import Demo
from titin.ageing import pseudobulk
from titin.explore import write_site

FEWEST, CELLS = 3, 10
ROWS = "[...document.querySelectorAll('#markers tbody tr')].map(row => [...row.children].map(one => one.textContent))"


def known_markers(dataset: Path, protocol: str, level: str) -> dict[str, pd.DataFrame]:
    """By type of enough donors: difference, other type, donors, level and share of each gene above all other types."""
    atlas = titin.open(dataset)
    columns = ["protocol", level, "donor"]
    sums = pseudobulk(atlas).aggregate(columns)
    genes = list(pseudobulk(atlas).genes["gene_id"])
    own = ((sums.groups["protocol"] == protocol) & (sums.groups["n_cells"] >= CELLS)).to_numpy()
    counts = sums.counts.toarray()[own].astype(float)
    groups = sums.groups[own]
    index = pd.MultiIndex.from_frame(groups[[level, "donor"]])
    levels = pd.DataFrame(np.log2(1 + counts * 1e6 / counts.sum(axis=1)[:, None]), index, genes)
    shares = pd.DataFrame(sums.detected.toarray()[own] / groups[["n_cells"]].to_numpy(), index, genes)
    donors = groups.groupby(level, observed=True)["donor"].nunique()
    found = {}
    for mine in donors.index[donors >= FEWEST]:
        differences = {}
        for other in donors.index[donors >= FEWEST].drop(mine):
            both = levels.loc[mine].index.intersection(levels.loc[other].index)
            if len(both) >= FEWEST:
                differences[other] = (levels.loc[mine].loc[both] - levels.loc[other].loc[both]).mean()
        if differences:
            table = pd.DataFrame(differences)
            table = pd.DataFrame({"difference": table.min(axis=1), "other": table.idxmin(axis=1)})
            table["level"], table["share"] = levels.loc[mine].mean(), shares.loc[mine].mean()
            means = {name: one.groupby(level=0).mean() for name, one in (("level", levels), ("share", shares))}
            for name, one in means.items():
                table[f"other_{name}"] = [one.loc[other, gene] for gene, other in table["other"].items()]
            table["donors"] = [len(levels.loc[mine].index.intersection(levels.loc[o].index)) for o in table["other"]]
            found[mine] = table[table["difference"] > 0]
    return found


def assert_markers_are(shown: list[dict[str, Any]], expected: pd.DataFrame) -> None:
    table = pd.DataFrame(shown).set_index("id")
    kept, near = expected[expected["difference"] > 1e-9].index, expected.index
    assert set(kept) <= set(table.index) <= set(near)
    expected = expected.loc[table.index]
    for mine, name in (("difference", "difference"), ("level", "level"), ("share", "share"),
                       ("otherLevel", "other_level"), ("otherShare", "other_share")):  # fmt: skip
        np.testing.assert_allclose(table[mine], expected[name], rtol=1e-9, atol=1e-9)
    assert table["other"].tolist() == expected["other"].tolist()
    assert table["donors"].tolist() == expected["donors"].tolist()
    assert all(a >= b for a, b in pairwise(table["difference"]))


@pytest.mark.parametrize("protocol", ["cells", "nuclei"])
def test_markers_are_those_that_python_finds(window: Window, hosted: str, mapped: Demo, protocol: str) -> None:
    window.open(hosted)
    expected = known_markers(mapped.dataset, protocol, "annotation_level0")
    assert len(expected) >= 2
    for cell_type, table in expected.items():
        assert_markers_are(window.run("asked => titin.markers(...asked)", [protocol, cell_type]), table)
    assert window.said == []


def test_a_planted_marker_leads_and_a_type_of_two_donors_is_refused(window: Window, tmp_path: Path) -> None:
    """Where T has a gene in every donor, B in two donors alone, and rare is in two donors."""
    rng, donors, genes = np.random.default_rng(0), 6, 40
    cells = [(donor, kind) for donor in range(donors) for kind in ("T", "B", "NK") for _ in range(15)]
    cells += [(donor, "rare") for donor in range(2) for _ in range(15)]
    donor, kind = (np.array(one) for one in zip(*cells, strict=True))
    counts = rng.poisson(2.0, (len(cells), genes))
    counts[kind == "T", 7] += 30
    counts[kind == "rare", 7] += 300
    counts[(kind == "B") & (donor < 2), 8] += 30
    obs = pd.DataFrame({"donor": [f"D{one}" for one in donor], "age": 20.0 + 9 * donor, "cell_type": kind},
                       index=[f"c{i}" for i in range(len(cells))])  # fmt: skip
    var = pd.DataFrame(index=[f"G{i}" for i in range(genes)])
    adata = ad.AnnData(sparse.csr_matrix(counts.astype("f4")), obs, var)
    adata.obsm["X_umap"] = rng.normal(size=(len(cells), 2))
    adata.write_h5ad(tmp_path / "a.h5ad")
    titin.build(tmp_path / "a.h5ad", tmp_path / "dataset", tissue="t", method="m",
                roles={"donor": "donor", "age": "age", "cell_type": ["cell_type"]})  # fmt: skip
    site = write_site(tmp_path / "dataset", tmp_path / "site").path
    with static_host(site) as address:
        window.open(f"{address}#page=dots&type=rare")
        found = window.run("titin.markers('all', 'T')")
        assert (found[0]["symbol"], found[0]["donors"], found[0]["share"]) == ("G7", donors, 1)
        assert found[0]["difference"] > 3
        assert "rare" not in {one["other"] for one in found}
        assert window.run("titin.markers('all', 'rare')") is None
        window.until("document.querySelector('#find-markers') !== null")
        window.page.click("#find-markers")
        window.until("document.querySelector('#markers .verdict') !== null")
        assert window.page.inner_text("#markers .verdict").startswith("Not evaluable: fewer than 3 donors")
        window.page.select_option("#heat-type", "T")
        window.until("document.querySelector('#markers tbody') !== null")
        assert window.page.inner_text("#markers tbody th >> nth=0") == "G7"
        assert "fewer than 3 donors have both: rare" in window.page.inner_text("#markers")
    assert window.said == []


def test_genes_of_which_nothing_is_known_are_no_markers(window: Window, mapped: Demo, tmp_path: Path) -> None:
    expected = known_markers(mapped.dataset, "cells", "annotation_level0")
    cell_type = max(expected, key=lambda one: len(expected[one]))
    names = pseudobulk(titin.open(mapped.dataset)).genes
    token = list(names["gene_id"]).index(expected[cell_type]["difference"].idxmax())
    site = write_site(mapped.dataset, tmp_path / "site").path
    forget_a_gene(site / "data", token)
    with static_host(site) as address:
        window.open(address)
        found = {one["token"] for one in window.run("type => titin.markers('cells', type)", cell_type)}
        assert found
        assert token not in found


def opened(window: Window, hosted: str, cell_type: str, scheme: str = "light") -> None:
    window.page.emulate_media(color_scheme=scheme)
    window.open(hosted)
    window.run("type => titin.setState({page: 'dots', protocol: 'cells', type})", cell_type)
    window.until("document.querySelector('#find-markers') !== null")
    window.page.focus("#find-markers")
    window.page.keyboard.press("Enter")
    window.until("document.querySelectorAll('#markers tbody tr').length > 0")


@pytest.fixture(scope="module")
def markers(mapped: Demo) -> pd.DataFrame:
    """Of muscle stem cells."""
    return known_markers(mapped.dataset, "cells", "annotation_level0")["MuSC"]


def test_the_list_is_sorted_by_any_column_and_by_keyboard(window: Window, hosted: str, markers: pd.DataFrame) -> None:
    opened(window, hosted, "MuSC")
    first = markers.sort_values("difference", ascending=False).index[0]
    names = symbols(window)
    assert window.run(ROWS)[0][0] == names[first]
    window.page.focus("#sort-share")
    for direction in ("descending", "ascending"):
        window.page.keyboard.press("Enter")
        assert window.run("document.activeElement.id") == "sort-share"
        sorts = "[...document.querySelectorAll('#markers th[aria-sort]')].map(e => e.getAttribute('aria-sort'))"
        assert window.run(sorts) == [direction]
        assert len(window.run(ROWS)) == min(100, len(markers))
        extreme = markers["share"].max() if direction == "descending" else markers["share"].min()
        leading = window.run(ROWS)[0][0]
        share = next(markers.loc[gene, "share"] for gene, name in names.items() if name == leading)
        assert share == pytest.approx(extreme)


def symbols(window: Window) -> dict[str, str]:
    """Symbols by id, as the page has them."""
    found = window.run("titin.markers('cells', 'MuSC')")
    return {one["id"]: one["symbol"] for one in found}


def test_a_click_fills_the_list_of_genes(window: Window, hosted: str, markers: pd.DataFrame) -> None:
    opened(window, hosted, "MuSC")
    window.page.click("#take-markers")
    shown = [row[0] for row in window.run(ROWS)]
    window.until("names => titin.state().dots.join() === names.join()", shown[:20])
    window.until("name => document.querySelector('#dot-genes').value.startsWith(name)", shown[0])
    window.page.focus("#markers tbody tr:nth-child(25) button")
    own = window.run("document.activeElement.id")
    window.page.keyboard.press("Enter")
    window.until("names => titin.state().dots.join() === names.join()", [*shown[:20], shown[24]])
    window.until("name => document.querySelector('#dot-genes').value.endsWith(name)", shown[24])
    assert window.run("document.activeElement.id") == own
    assert window.said == []


def test_the_csv_has_all_of_them(window: Window, hosted: str, markers: pd.DataFrame) -> None:
    opened(window, hosted, "MuSC")
    with window.page.expect_download() as saved:
        window.page.click("#markers button:text('Save table (CSV)')")
    text = saved.value.path().read_text("utf-8-sig")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    table = pd.DataFrame(rows).set_index("gene_id")
    expected = markers.loc[table.index]
    assert len(table) >= (markers["difference"] > 1e-9).sum()
    np.testing.assert_allclose(table["log2_above_highest_other"].astype(float), expected["difference"], rtol=1e-9)
    np.testing.assert_allclose(table["share_of_cells"].astype(float), expected["share"], rtol=1e-9)
    assert table["highest_other_type"].tolist() == expected["other"].tolist()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_it_fits_and_is_accessible(window: Window, hosted: str, scheme: str) -> None:
    window.page.set_viewport_size(NARROW_AND_WIDE[0])
    opened(window, hosted, "MuSC", scheme)
    for size in NARROW_AND_WIDE:
        assert window.fits(size)
        assert window.inaccessible() == []
    assert window.foreign(hosted) == []


def test_what_cannot_be_read_is_said_and_can_be_tried_again(window: Window, hosted: str) -> None:
    window.open(hosted)
    window.run("titin.setState({page: 'dots', protocol: 'cells', type: 'MuSC'})")
    window.until("document.querySelector('#find-markers') !== null")
    window.page.route("**/*_ageing_by_gene.parquet", lambda route: route.abort())
    window.page.click("#find-markers")
    window.until("document.querySelector('#markers .verdict') !== null")
    assert "cannot be reached" in window.page.inner_text("#markers")
    window.page.unroute("**/*_ageing_by_gene.parquet")
    window.page.click("#find-markers")
    window.until("document.querySelectorAll('#markers tbody tr').length > 0")


@pytest.mark.parametrize("type_", ["'A'", "'none'"])
def test_types_without_others_have_no_list(type_: str) -> None:
    found = "{few: [], types: [{type: 'A', shared: [5], differences: [NaN]}]}"
    assert run("markers.js", f"m.markersOf({found}, {type_})") is None
