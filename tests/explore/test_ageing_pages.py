"""The pages of a gene, of what changes and of the composition: the numbers of Python, on donors."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from unknown_gene import forget_a_gene
from window import NARROW_AND_WIDE, Window, static_host

import titin
from demo_dataset import Demo
from titin.ageing import composition, differential_expression, pseudobulk
from titin.ageing.verdict import say_genes
from titin.dataset.manifest import Manifest
from titin.explore import write_site
from titin.explore.page import INDEX

CLOSE = {"rtol": 1e-6, "atol": 1e-9}


@pytest.fixture(scope="module")
def found(mapped: Demo) -> SimpleNamespace:
    """What Python says of the dataset."""
    atlas = titin.open(mapped.dataset)
    sums = pseudobulk(atlas).aggregate(["protocol", "annotation_level0", "donor", "age"])
    return SimpleNamespace(expression=differential_expression(atlas), composition=composition(atlas), sums=sums)


def clearest(found: SimpleNamespace) -> pd.Series:
    return found.expression.table.sort_values("p_value").iloc[0]


def test_a_gene_card_has_the_tests_of_python(window: Window, hosted: str, found: SimpleNamespace) -> None:
    window.open(hosted)
    genes = [clearest(found)["gene"], *found.expression.table["gene"].unique()[[3, 40]]]
    for gene in genes:
        card = window.run("gene => titin.card(gene)", gene)
        shown = {(one["type"], one["protocol"]): one["change"] for one in card["tested"] if one["change"]}
        expected = found.expression.table[found.expression.table["gene"] == gene]
        assert set(shown) == set(zip(expected["cell_type"], expected["protocol"], strict=True))
        for row in expected.itertuples():
            change = shown[row.cell_type, row.protocol]
            told = [change[name] for name in ("mean", "effect", "low", "high", "p", "adjusted")]
            known = [row.mean_log_cpm, row.log2_fold_change, row.ci_low, row.ci_high, row.p_value, row.adj_p_value]
            np.testing.assert_allclose(told, known, **CLOSE)


def test_its_dots_are_sums_of_donors(window: Window, hosted: str, found: SimpleNamespace, atlas: titin.Atlas) -> None:
    window.open(hosted)
    gene = clearest(found)["gene"]
    token = list(pseudobulk(atlas).genes["gene"]).index(gene)
    dots = pd.DataFrame(window.run("gene => titin.card(gene)", gene)["dots"])
    groups = found.sums.groups
    assert dots["donor"].tolist() == groups["donor"].tolist()
    assert dots["type"].tolist() == groups["annotation_level0"].tolist()
    assert dots["cells"].tolist() == groups["n_cells"].tolist()
    np.testing.assert_array_equal(dots["own"], found.sums.counts[:, [token]].toarray().ravel())
    np.testing.assert_array_equal(dots["detected"], found.sums.detected[:, [token]].toarray().ravel())
    # the mean of the dots that are compared is what the test says it is
    for row in found.expression.table.query("gene == @gene").itertuples():
        own = dots[(dots["type"] == row.cell_type) & (dots["protocol"] == row.protocol) & dots["compared"]]
        assert len(own) == row.n_donors
        assert own["value"].mean() == pytest.approx(row.mean_log_cpm, rel=1e-9)


def test_a_volcano_has_every_gene_of_a_comparison(window: Window, hosted: str, found: SimpleNamespace) -> None:
    window.open(hosted)
    for number, test in enumerate(found.expression.tests):
        shown = pd.DataFrame(window.run("number => titin.changes(number)", number)).set_index("id").sort_index()
        table = found.expression.table
        own = (table["cell_type"] == test["cell_type"]) & (table["protocol"] == test["protocol"])
        expected = table[own].set_index("gene_id").sort_index()
        assert shown.index.tolist() == expected.index.tolist()
        for mine, known in (("effect", "log2_fold_change"), ("p", "p_value"), ("adjusted", "adj_p_value")):
            np.testing.assert_allclose(shown[mine], expected[known], **CLOSE)


def test_fractions_are_of_donors_and_their_tests_python_s(window: Window, hosted: str, found: SimpleNamespace) -> None:
    window.open(hosted)
    page = window.run("""() => titin.composition().then(found => found.charts)""")
    tests = {(one["type"], one["protocol"]): one["test"] for one in page if one["test"]}
    expected = found.composition.table
    assert set(tests) == set(zip(expected["cell_type"], expected["protocol"], strict=True))
    for row in expected.itertuples():
        test = tests[row.cell_type, row.protocol]
        told = [test[name] for name in ("fold", "low", "high", "p", "mean")]
        known = [row.fold_change, row.fold_change_low, row.fold_change_high, row.p_value, row.mean_fraction]
        np.testing.assert_allclose(told, known, **CLOSE)
    groups = found.sums.groups
    totals = groups.groupby(["protocol", "donor"])["n_cells"].sum()
    for one in page:
        of = groups[(groups["annotation_level0"] == one["type"]) & (groups["protocol"] == one["protocol"])]
        cells = of.groupby("donor")["n_cells"].sum()
        for dot in one["dots"]:
            expected_share = cells.get(dot["donor"], 0) / totals[one["protocol"], dot["donor"]]
            assert dot["fraction"] == pytest.approx(expected_share, rel=1e-9)


@pytest.mark.parametrize("split", [False, True])
def test_a_dot_plot_is_of_means_over_donors(
    window: Window, hosted: str, found: SimpleNamespace, atlas: titin.Atlas, split: bool
) -> None:
    window.open(hosted)
    sums, cut = found.sums, found.expression.settings["age_cut"]
    genes = pseudobulk(atlas).genes["gene"]
    tokens = [0, 9, 120]
    asked = [[str(genes[token]) for token in tokens], "nuclei", split]
    rows = window.run("asked => titin.dots(...asked).then(found => found.dots)", asked)
    groups = sums.groups.assign(age=np.where(sums.groups["age"] < cut, "young", "old") if split else "")
    groups = groups[(groups["protocol"] == "nuclei") & (groups["n_cells"] >= 10)]
    known = set(zip(groups["annotation_level0"], groups["age"], strict=True))
    assert {(row[0]["type"], row[0]["age"]) for row in rows} == known
    for row in rows:
        own = groups.index[(groups["annotation_level0"] == row[0]["type"]) & (groups["age"] == row[0]["age"])]
        totals = np.asarray(sums.counts[own].sum(axis=1)).ravel()
        for dot, token in zip(row, tokens, strict=True):
            counts, detected = (one[own][:, [token]].toarray().ravel() for one in (sums.counts, sums.detected))
            assert dot["donors"] == len(own)
            assert dot["mean"] == pytest.approx(np.log2(counts / totals * 1e6 + 1).mean(), rel=1e-9)
            assert dot["share"] == pytest.approx((detected / groups.loc[own, "n_cells"]).mean(), rel=1e-9)


def test_a_dot_plot_takes_a_list_and_says_what_it_has_not_found(
    window: Window, hosted: str, found: SimpleNamespace
) -> None:
    window.open(f"{hosted}#page=dots")
    window.until("document.querySelector('#dot-genes') !== null")
    names = [str(name) for name in found.expression.table["gene"].unique()[:4]]
    window.page.fill("#dot-genes", f"{' '.join(names)} NO-SUCH-GENE")
    window.page.keyboard.press("Enter")
    window.until("document.querySelector('#sheet').textContent.includes('Not found: NO-SUCH-GENE')")
    heads = [head.inner_text() for head in window.page.query_selector_all("[aria-label='Genes by type'] thead th")]
    assert window.run("titin.state()")["dots"] == [*names, "NO-SUCH-GENE"]
    assert len(heads) == 2 + len(names)


def test_from_the_genes_that_change_to_the_donors_to_the_map(
    window: Window, hosted: str, found: SimpleNamespace
) -> None:
    window.open(hosted)
    window.page.click("#page-changes")
    window.until("document.querySelector('#sheet .scroll .link') !== null")
    verdict = window.page.inner_text("#sheet .verdict")
    assert verdict == f"{say_genes(found.expression.table, found.expression.settings)}."
    gene = window.page.inner_text("#sheet .scroll .link >> nth=0")
    window.page.click("#sheet .scroll .link >> nth=0")
    window.until("titin.state().page === 'gene'")
    window.until("gene => document.querySelector('#sheet h2').textContent.startsWith(gene)", gene)
    window.until("document.querySelectorAll('#sheet .chart circle').length > 3")
    with window.page.expect_download() as saved:
        window.page.click("#sheet .chart + button >> nth=0")
    assert saved.value.path().read_text("utf-8").startswith("<svg")
    window.page.click("text=Show on the map")
    window.until("titin.state().page === 'map'")
    window.until("document.querySelector('#sheet').hidden")
    window.page.go_back()
    window.until("titin.state().page === 'gene'")
    assert window.said == []


def test_a_page_has_an_address_and_is_found_by_keyboard(window: Window, hosted: str, found: SimpleNamespace) -> None:
    gene = clearest(found)["gene"]
    window.open(f"{hosted}#page=gene&card={gene}")
    window.until("gene => document.querySelector('#sheet h2')?.textContent.startsWith(gene)", gene)
    window.page.keyboard.press("/")
    other = found.expression.table["gene"].unique()[5]
    window.page.keyboard.type(str(other))
    window.until("document.querySelectorAll('#suggestions li').length > 0")
    window.page.keyboard.press("Enter")
    window.until("gene => document.querySelector('#sheet h2').textContent.startsWith(gene)", str(other))
    assert window.run("titin.state()")["page"] == "gene"


def test_a_card_takes_two_requests_after_the_first(window: Window, hosted: str, found: SimpleNamespace) -> None:
    window.open(hosted)
    genes = found.expression.table["gene"].unique()
    window.run("gene => titin.card(gene)", str(genes[0]))
    before = window.run("titin.traffic()")["requests"]
    window.run("gene => titin.card(gene)", str(genes[1]))
    assert window.run("titin.traffic()")["requests"] - before <= 2


def test_a_gene_without_counts_is_no_zero(window: Window, mapped: Demo, tmp_path: Path) -> None:
    """As one that not all studies measured: its lists are empty."""
    site = write_site(mapped.dataset, tmp_path / "site").path
    gene = forget_a_gene(site / "data", 5)
    with static_host(site) as address:
        window.open(f"{address}#page=gene&card={gene}")
        window.until("document.querySelector('#sheet .verdict') !== null")
        assert window.page.inner_text("#sheet .verdict").startswith("Not evaluable: no cell has a count of this gene")
        assert window.page.query_selector_all("#sheet circle") == []
        means = window.run("""gene => titin.dots([gene], 'nuclei', false).then(
            found => found.dots.map(row => row[0].mean))""", gene)  # fmt: skip
        assert np.isnan(means).all()


@pytest.mark.parametrize("page", ["changes", "composition", "gene", "dots"])
def test_pages_fit_and_are_accessible(window: Window, hosted: str, found: SimpleNamespace, page: str) -> None:
    window.page.set_viewport_size(NARROW_AND_WIDE[0])
    window.open(f"{hosted}#page={page}&card={clearest(found)['gene']}")
    window.until("document.querySelector('#sheet h2') !== null")
    for size in NARROW_AND_WIDE:
        assert window.fits(size)
        assert window.inaccessible() == []
    assert window.foreign(hosted) == []


def test_without_ages_the_pages_say_so(window: Window, mapped: Demo, tmp_path: Path) -> None:
    site = write_site(mapped.dataset, tmp_path / "site").path
    strip(site / "data")
    with static_host(site) as address:
        window.open(f"{address}#page=changes")
        window.until("document.querySelector('#sheet .verdict') !== null")
        assert window.page.inner_text("#sheet .verdict") == "This dataset does not hold what changes with age"
        assert "titin age tables" in window.page.inner_text("#sheet .hint")


def strip(dataset: Path) -> None:
    manifest = Manifest.read(dataset)
    for name in [name for names in manifest.ageing_files.values() for name in names]:
        (dataset / name).unlink()
        del manifest.files[name]
    manifest.ageing = {}
    manifest.write(dataset)


def test_names_that_would_be_obeyed_are_text(window: Window, mapped: Demo, tmp_path: Path) -> None:
    """What the tables tell in words is somebody else's."""
    site = write_site(mapped.dataset, tmp_path / "site").path
    manifest = Manifest.read(site / "data")
    path = site / "data" / manifest.ageing_files["annotation_level0"].groups
    table = pq.read_table(path)
    told: dict[str, Any] = json.loads(table.schema.metadata[b"titin.ageing"])
    evil = "<img src=x onerror=alert(1)>"
    told["expression"] |= {"verdict": evil, "left_out": [evil]}
    told["expression"]["tests"][0]["notes"] = [evil]
    told["expression"]["skipped"] = [{"protocol": evil, "cell_type": evil, "reason": evil, "n_cells": 3}]
    metadata = {**table.schema.metadata, b"titin.ageing": json.dumps(told).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    manifest.files[path.name]["bytes"] = path.stat().st_size
    manifest.write(site / "data")
    with static_host(site) as address:
        window.open(f"{address}#page=changes")
        window.until("document.querySelector('#sheet .verdict') !== null")
        assert evil in window.page.inner_text("#sheet")
        assert window.run("document.querySelectorAll('#sheet img').length") == 0
    assert window.said == []


def test_a_site_finds_what_changes_by_itself(mapped: Demo, tmp_path: Path) -> None:
    site = write_site(mapped.dataset, tmp_path / "first").path
    strip(site / "data")
    done = write_site(site / "data", tmp_path / "second")
    manifest = Manifest.read(done.path / "data")
    assert done.no_ageing == ""
    assert set(manifest.ageing_files["annotation_level0"]) <= set(manifest.files)
    assert (done.path / INDEX).is_file()


def test_a_site_of_a_dataset_without_ages_says_why(tmp_path: Path) -> None:
    obs = pd.DataFrame({"donor": ["A", "B"] * 15}, index=[f"c{i}" for i in range(30)])
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(2.0, (30, 20)).astype("f4"))
    ad.AnnData(counts, obs, pd.DataFrame(index=[f"G{i}" for i in range(20)])).write_h5ad(tmp_path / "a.h5ad")
    titin.build(tmp_path / "a.h5ad", tmp_path / "dataset", tissue="t", method="m", roles={"donor": "donor"})
    done = write_site(tmp_path / "dataset", tmp_path / "site")
    assert "no ages" in done.no_ageing
    manifest = Manifest.read(done.path / "data")
    assert manifest.ageing == {}


def test_the_map_below_a_card_is_drawn_when_it_is_seen_again(
    window: Window, hosted: str, found: SimpleNamespace
) -> None:
    window.open(hosted)
    genes = [str(gene) for gene in found.expression.table["gene"].unique()[:3]]
    window.run("card => titin.setState({page: 'gene', card})", genes[0])
    window.until("document.querySelectorAll('#sheet circle').length > 0")
    window.run("""() => {
        window.draws = 0;
        const own = WebGL2RenderingContext.prototype.drawElements;
        WebGL2RenderingContext.prototype.drawElements = function (...how) {
            window.draws += 1;
            return own.apply(this, how);
        };
    }""")
    window.run("card => titin.setState({page: 'gene', card})", genes[1])
    window.until("gene => document.querySelector('#sheet h2').textContent.startsWith(gene)", genes[1])
    window.run("new Promise((done) => setTimeout(done, 400))")
    assert window.run("window.draws") == 0
    window.run("gene => titin.setState({page: 'map', colours: [{gene}]})", genes[2])
    window.until("window.draws > 0")
    assert window.page.inner_text("#legend-title").startswith(genes[2])
