"""Violins by donor: the values of cells as numpy and scipy find them distributed, donors by age, protocols apart."""

import csv
import json
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from page_modules import run
from scipy import sparse, stats
from window import NARROW_AND_WIDE, Window, static_host

import titin
from titin.explore import write_site
from titin.study.ages import age_cut, donor_ages
from titin.study.design import Study

GENES = ["MYH7", "CDKN1A", "PAX7"]
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(scope="module")
def ages(atlas: titin.Atlas) -> pd.Series:
    """Years by donor."""
    study = Study.of(atlas)
    return donor_ages(study.ages, study.values("donor"))


def of_group(atlas: titin.Atlas, gene: str, chart: dict[str, Any], column: str) -> pd.Series:
    """Values of the cells of a chart, by donor."""
    obs = atlas.cell_columns([column, "batch", "DonorID"])
    mine = ((obs[column].astype(str) == chart["label"]) & (obs["batch"].astype(str) == chart["protocol"])).to_numpy()
    return pd.Series(np.asarray(atlas[gene], float)[mine], index=obs["DonorID"].astype(str).to_numpy()[mine])


def same(chart: dict[str, Any], values: pd.Series, ages: pd.Series) -> None:
    """Every donor, and every number of it."""
    order = sorted(values.index.unique(), key=lambda donor: (ages[donor], donor))
    assert [violin["donor"] for violin in chart["donors"]] == order
    for violin in chart["donors"]:
        own = values.loc[[violin["donor"]]].to_numpy()
        assert (violin["cells"], violin["age"]) == (len(own), ages[violin["donor"]])
        np.testing.assert_allclose(violin["quantiles"], np.quantile(own, [0, 0.25, 0.5, 0.75, 1]), **CLOSE)
        np.testing.assert_allclose([violin["mean"], violin["share"]], [own.mean(), (own > 0).mean()], **CLOSE)
        assert violin["few"] == (len(own) < 10)
        if len(own) < 10:
            np.testing.assert_allclose(violin["values"], np.sort(own), **CLOSE)
        assert (violin["density"] is None) == (len(own) < 10 or np.ptp(own) == 0)
        if violin["density"]:
            at = np.linspace(own.min(), own.max(), 64)
            np.testing.assert_allclose(violin["density"]["at"], at, **CLOSE)
            np.testing.assert_allclose(violin["density"]["height"], stats.gaussian_kde(own)(at), rtol=1e-5, atol=1e-6)


def test_each_violin_is_the_distribution_of_a_donor(
    window: Window, hosted: str, atlas: titin.Atlas, ages: pd.Series
) -> None:
    window.open(hosted)
    found = window.run("names => titin.violins(names, {each: true})", GENES)
    kinds = atlas.cell_columns(["annotation_level0", "batch"]).astype(str)
    places = set(kinds.itertuples(index=False, name=None))
    assert {(one["label"], one["protocol"]) for one in found["charts"]} == places
    assert len(found["charts"]) == len(GENES) * len(places)
    assert any(violin["few"] for one in found["charts"] for violin in one["donors"])
    for chart in found["charts"]:
        same(chart, of_group(atlas, chart["gene"]["symbol"], chart, "annotation_level0"), ages)
    assert found["cut"] == age_cut(ages)


def test_cells_are_grouped_by_any_column_or_by_selections(
    window: Window, hosted: str, atlas: titin.Atlas, ages: pd.Series
) -> None:
    window.open(hosted)
    found = window.run("names => titin.violins(names, {grouping: {column: 'Sex'}, label: 'F', unit: 'log'})", GENES[:1])
    assert {one["label"] for one in found["charts"]} == {"F"}
    for chart in found["charts"]:
        same(chart, of_group(atlas, GENES[0], chart, "Sex"), ages)
    window.run("titin.keep('a', {filter: 'sex=M'})")
    window.run("titin.keep('b', {filter: 'sex=F'})")
    sets = window.run("names => titin.violins(names, {grouping: 'sets'})", GENES[:1])["charts"]
    assert [one for one in sets if one["label"] == "B"] == [{**one, "label": "B"} for one in found["charts"]]
    hidden = "({grouping: 'all', where: [{column: 'Sex', is: ['F']}]})"
    shown = window.run(f"names => titin.violins(names, {hidden})", GENES[:1])["charts"]
    assert [one["donors"] for one in shown] == [one["donors"] for one in found["charts"]]


def test_counts_are_shown_on_demand(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    found = window.run("titin.violins(['CDKN1A'], {grouping: 'all', unit: 'counts'})")
    assert found["unit"] == "counts"
    counts = atlas.counts[:, ["CDKN1A"]].toarray().ravel()
    obs = atlas.cell_columns(["batch", "DonorID"]).astype(str)
    for chart in found["charts"]:
        for violin in chart["donors"]:
            mine = ((obs["batch"] == chart["protocol"]) & (obs["DonorID"] == violin["donor"])).to_numpy()
            np.testing.assert_array_equal(violin["quantiles"], np.quantile(counts[mine], [0, 0.25, 0.5, 0.75, 1]))


def opened(window: Window, hosted: str, scheme: str = "light") -> None:
    window.page.emulate_media(color_scheme=scheme)
    window.open(hosted)
    window.run("dots => titin.setState({page: 'violins', dots, label: 'MuSC'})", GENES)
    window.until("document.querySelectorAll('#sheet .violin').length > 0")


def test_the_picture_and_the_csv_have_every_donor(window: Window, hosted: str) -> None:
    opened(window, hosted)
    charts = window.run("names => titin.violins(names, {label: 'MuSC'})", GENES)["charts"]
    violins = [violin for one in charts for violin in one["donors"]]
    few = sum(violin["few"] for violin in violins)
    assert window.run("document.querySelectorAll('#sheet .few').length") == few > 0
    assert window.run("document.querySelectorAll('#sheet .violin').length") == len(violins) - few
    window.page.click("#sheet summary")
    window.until(
        "n => document.querySelectorAll('[aria-label=\"Violins by donor\"] tbody tr').length === n", len(violins)
    )
    with window.page.expect_download() as saved:
        window.page.click("#sheet button:text('Save table (CSV)')")
    about, *lines = saved.value.path().read_text("utf-8").splitlines()
    assert json.loads(about[1:])["grouping"] == {"column": "annotation_level0"}
    rows = list(csv.DictReader(lines))
    assert [float(row["median"]) for row in rows] == [violin["quantiles"][2] for violin in violins]
    assert [row["too_few_cells"] for row in rows] == [str(violin["few"]).lower() for violin in violins]
    assert {row["young_old"] for row in rows} == {"young", "old"}
    with window.page.expect_download() as saved:
        window.page.click("#sheet .chart + button")
    assert saved.value.path().read_text("utf-8").startswith("<svg")


def test_what_is_chosen_is_in_the_address(window: Window, hosted: str) -> None:
    opened(window, hosted)
    window.page.select_option("#violin-group", "each")
    window.until("titin.state().each")
    window.page.select_option("#violin-grouping", label="Sex")
    window.until("titin.state().grouping.column === 'Sex' && !titin.state().each")
    window.page.select_option("#violin-group", "1")
    window.until("titin.state().label !== null")
    window.page.fill("#violin-genes", "MYH7 NO-SUCH-GENE")
    window.page.press("#violin-genes", "Enter")
    window.until("document.querySelector('#violin-notes')?.textContent.includes('Not found: NO-SUCH-GENE')")
    state = window.run("titin.state()")
    again = Window(window.page.context.new_page()).open(window.page.url)
    assert again.run("titin.state()") == state
    again.until("document.querySelectorAll('#sheet .violin').length > 0")
    assert again.page.input_value("#violin-group") == "1"
    assert window.said == again.said == []


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_it_fits_and_is_accessible(window: Window, hosted: str, scheme: str) -> None:
    window.page.set_viewport_size(NARROW_AND_WIDE[0])
    opened(window, hosted, scheme)
    for size in NARROW_AND_WIDE:
        assert window.fits(size)
        assert window.inaccessible() == []
    assert window.foreign(hosted) == []


def test_without_donors_or_ages_the_page_says_so(window: Window, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    obs = pd.DataFrame({"who": rng.choice(["D1", "D2"], 60)}, index=[f"c{i}" for i in range(60)])
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(2, (60, 20)).astype("f4")), obs,
                       pd.DataFrame(index=[f"G{i}" for i in range(20)]))  # fmt: skip
    adata.obsm["X_umap"] = rng.normal(size=(60, 2))
    adata.write_h5ad(tmp_path / "a.h5ad")
    for name, roles in (("without", {}), ("ageless", {"donor": "who"})):
        titin.build(tmp_path / "a.h5ad", tmp_path / name, method="m", roles=roles)
        site = write_site(tmp_path / name, tmp_path / f"site_{name}").path
        with static_host(site) as address:
            window.open(f"{address}#page=violins&dots=%5B%22G1%22%5D&grouping=%22all%22")
            window.until("document.querySelector('#sheet h2, #sheet .verdict') !== null")
            if name == "without":
                assert window.page.inner_text("#sheet .verdict").startswith("This dataset has no donors")
            else:
                window.until("document.querySelectorAll('#sheet .violin').length === 2")
                assert window.run("titin.violins(['G1'])")["cut"] is None


def test_young_and_old_are_parted_as_in_python() -> None:
    rng = np.random.default_rng(5)
    studies = [rng.integers(0, 12, n).tolist() for n in range(1, 14) for _ in range(30)]
    studies += [rng.uniform(0, 90, n).tolist() for n in range(1, 14) for _ in range(5)]
    cuts = run("donorages.js", "data.map(m.ageCut)", studies)
    assert cuts == [age_cut(pd.Series(years, dtype=float)) for years in studies]
    assert {one is None for one in cuts} == {True, False}
