"""The page shows no zero where a study did not measure a gene."""

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from window import Window, static_host

import titin
from titin.ageing import compare_selections
from titin.ageing.linear_models import adjust
from titin.explore import write_site

LACKED = {"Lund": ["G0", "G1", "G2", "G3"], "Kiel": ["G30", "G31"]}
N_GENES, N_CELLS = 40, 240


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, each without some of the genes, joined by all of them."""
    folder, rng = tmp_path_factory.mktemp("joined"), np.random.default_rng(2)
    for name, lacked in LACKED.items():
        genes = [f"G{i}" for i in range(N_GENES) if f"G{i}" not in lacked]
        counts = rng.poisson(1.2, (N_CELLS, len(genes))).astype(np.float32)
        obs = pd.DataFrame({
            "kind": rng.choice(["a", "b"], N_CELLS), "donor": rng.choice([f"{name}1", f"{name}2"], N_CELLS),
        }, index=[f"{name}{i}" for i in range(N_CELLS)])  # fmt: skip
        obs.loc[obs["donor"] == f"{name}1", "kind"] = f"only {name}"
        var = pd.DataFrame({"gene_ids": [f"ENSG{int(gene[1:]):011d}" for gene in genes]}, index=genes)
        ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=var).write_h5ad(folder / f"{name}.h5ad")
        titin.build(folder / f"{name}.h5ad", folder / name, roles={"cell_type": ["kind"], "donor": "donor"}, project=[])
    titin.merge([folder / name for name in LACKED], folder / "both", join="outer")
    titin.add_embeddings(folder / "both", ["pca"], pca={"n_comps": 2})
    return folder / "both"


@pytest.fixture(scope="module")
def address(joined: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its page on a plain server."""
    site = write_site(joined, tmp_path_factory.mktemp("hosted") / "site").path
    with static_host(site) as found:
        yield found


@pytest.mark.parametrize("gene", ["G2", "G31", "G20"])
def test_values_are_missing_where_a_gene_was_not_measured(
    window: Window, address: str, joined: Path, gene: str
) -> None:
    atlas = titin.open(joined)
    window.open(address)
    window.run("gene => titin.colour({gene})", gene)
    wanted = atlas[gene].where(atlas.measured_in(gene)).to_numpy()
    assert np.isnan(wanted).sum() == (0 if gene == "G20" else N_CELLS)
    np.testing.assert_array_equal(np.array(window.values(), float), wanted)
    legend = window.page.inner_text("#legend")
    some = (wanted > 0).sum()
    assert f"{some:,} cells ({round(100 * some / (~np.isnan(wanted)).sum())} %) have some" in legend
    assert ("not measured in 240 cells: no zero" in legend) == (gene != "G20")
    assert window.said == []


def test_means_and_shares_are_of_the_cells_that_measured(window: Window, address: str, joined: Path) -> None:
    atlas = titin.open(joined)
    window.open(address)
    window.run("titin.colour({gene: 'G31'})")
    values = atlas["G31"].where(atlas.measured_in("G31"))
    by_kind = values.groupby(atlas.cell_columns("kind")["kind"].astype(str).to_numpy())
    rows = {row.query_selector("th").inner_text(): [cell.inner_text() for cell in row.query_selector_all("td")]
            for row in window.page.query_selector_all("#card-table tbody tr")}  # fmt: skip
    assert set(rows) == {"a", "b", "only Lund", "only Kiel"}
    assert rows["only Kiel"][-2:] == ["–", "–"]
    for kind in ("a", "b", "only Lund"):
        own = by_kind.get_group(kind)
        assert int(rows[kind][0]) == len(own)
        assert rows[kind][-2] == f"{round(100 * (own.dropna() > 0).mean()):.0f} %"
        assert float(rows[kind][-1]) == pytest.approx(own.mean(), rel=5e-3)


def test_unmeasured_cells_have_a_colour_of_their_own(window: Window, address: str) -> None:
    window.open(address)
    window.run("titin.colour({gene: 'G31'})")
    swatches = [
        window.run("one => one.style.background", one) for one in window.page.query_selector_all("#legend .swatch")
    ]
    assert len(set(swatches)) == 2
    with window.page.expect_download() as told:
        window.page.click("#share summary")
        window.page.click("#save-svg")
    assert "not measured in 240 cells" in Path(told.value.path()).read_text()


def test_a_set_is_of_the_genes_that_all_measured(window: Window, address: str, joined: Path) -> None:
    atlas = titin.open(joined)
    window.open(address)
    window.run("titin.colour({genes: ['G10', 'G31', 'G11']})")
    values = np.column_stack([atlas[gene] for gene in ("G10", "G11")]).astype(float)
    expected = ((values - values.mean(axis=0)) / values.std(axis=0)).mean(axis=1)
    np.testing.assert_allclose(window.values(), expected, atol=1e-5)
    assert "mean z of 2 of 3 genes, others not measured by all studies" in window.page.inner_text("#legend-title")
    refused = window.run("titin.colour({genes: ['G1', 'G31']}).then(() => '', (error) => error.message)")
    assert refused == "None of these genes was measured by all studies"
    assert "none of these genes" in window.message().lower()


def test_the_code_has_the_same_values(
    window: Window, address: str, joined: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atlas = titin.open(joined)
    monkeypatch.setattr(titin, "open", lambda _: atlas)
    window.open(address)
    for colour in ({"gene": "G31"}, {"genes": ["G10", "G31", "G11"]}):
        window.run("colour => titin.colour(colour)", colour)
        window.run("""() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }""")
        window.run("document.querySelector('#copy-python').click()")
        window.until("window.copied !== undefined")
        code = window.run("const copied = window.copied; delete window.copied; copied")
        known: dict[str, object] = {}
        exec(code, known)
        found = np.asarray(known["values"], float)
        if "gene" in colour:
            np.testing.assert_array_equal(found, np.array(window.values(), float))
        else:
            assert found.shape == (2 * N_CELLS, 2)


def test_violins_are_of_donors_whose_study_measured(window: Window, address: str, joined: Path) -> None:
    window.open(address)
    found = window.run("titin.violins(['G31', 'G20'], {grouping: 'all'})")["charts"]
    assert [[one["donor"] for one in chart["donors"]] for chart in found] == [
        ["Lund1", "Lund2"], ["Kiel1", "Kiel2", "Lund1", "Lund2"],
    ]  # fmt: skip
    assert [chart["lacking"] for chart in found] == [["Kiel"], []]
    window.run("titin.setState({page: 'violins', dots: ['G31'], grouping: 'all'})")
    window.until("document.querySelectorAll('#sheet .violin').length === 2")
    assert "G31 was not measured by Kiel: no zero, and no violin." in window.page.inner_text("#violin-notes")


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `joined`, of six donors a study, each with cells of both kinds."""
    folder, rng = tmp_path_factory.mktemp("peopled"), np.random.default_rng(3)
    for name, lacked in LACKED.items():
        genes = [f"G{i}" for i in range(N_GENES) if f"G{i}" not in lacked]
        counts = rng.poisson(rng.lognormal(0.3, 0.6, len(genes)), (N_CELLS, len(genes))).astype(np.float32)
        donor = np.arange(N_CELLS) % 6 + 1
        obs = pd.DataFrame({"kind": rng.choice(["a", "b"], N_CELLS), "donor": [f"{name}{one}" for one in donor]},
                           index=[f"{name}{i}" for i in range(N_CELLS)])  # fmt: skip
        ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes)).write_h5ad(
            folder / f"{name}.h5ad")  # fmt: skip
        titin.build(folder / f"{name}.h5ad", folder / name, roles={"cell_type": ["kind"], "donor": "donor"}, project=[])
    titin.merge([folder / name for name in LACKED], folder / "both", join="outer")
    titin.add_embeddings(folder / "both", ["pca"], pca={"n_comps": 2})
    return folder / "both"


def by_donor(atlas: titin.Atlas, gene: str, cells: np.ndarray) -> pd.Series:
    """Log2 of 1 + counts per million counts of the genes that all studies measured, by donor that measured the gene."""
    total = np.asarray(atlas.comparable().counts[:, :].sum(axis=1)).ravel()
    mine = cells & np.asarray(atlas.measured_in(gene), bool)
    donors = atlas.cell_columns(["donor"])["donor"].astype(str).to_numpy()[mine]
    own = pd.DataFrame({"own": atlas.counts[:, [gene]].toarray().ravel()[mine], "total": total[mine]})
    sums = own.groupby(donors).sum()
    return np.log2(1 + sums["own"] / sums["total"] * 1e6)


COMPARED = [
    ("kind=a", "kind=b", "paired"),
    ("donor=Lund1,Lund2,Lund3,Kiel1,Kiel2,Kiel3", "donor!=Lund1,Lund2,Lund3,Kiel1,Kiel2,Kiel3", "between"),
]


@pytest.mark.parametrize(("a", "b", "kind"), COMPARED, ids=["paired", "between"])
def test_a_gene_is_compared_over_the_donors_whose_study_measured_it(
    window: Window, peopled: Path, tmp_path: Path, a: str, b: str, kind: str
) -> None:
    atlas = titin.open(peopled)
    genes = ["G2", "G31", "G20", "G7"]
    with static_host(write_site(peopled, tmp_path / "site").path) as address:
        window.open(f"{address}#page=sets")
        for side, text in (("a", a), ("b", b)):
            window.run("([side, filter]) => titin.keep(side, {filter})", [side, text])
        found = window.run("genes => titin.compare(genes)", genes)
        window.run("tested => titin.setState({...titin.state(), tested})", genes)
        window.until("document.querySelectorAll('#compared .chart svg').length === 3")
        told = window.page.inner_text("#compared")
    assert found["left"] == []
    rows = {row["gene"]["symbol"]: row for row in found["found"]}
    sides = [np.isin(np.arange(atlas.n_obs), atlas.query(text).rows) for text in (a, b)]
    expected = {}
    for gene in genes:
        x, y = (by_donor(atlas, gene, cells) for cells in sides)
        assert len(x) == (6 if kind == "paired" else 3) * (1 if gene in ("G2", "G31") else 2)
        test = stats.ttest_rel(x, y) if kind == "paired" else stats.ttest_ind(x, y, equal_var=False)
        interval = test.confidence_interval()
        expected[gene] = [x.mean(), y.mean(), x.mean() - y.mean(), interval.low, interval.high, test.pvalue]
        row = rows[gene]
        assert row["plan"]["kind"] == kind
        assert row["plan"]["a"] == sorted(x.index)
        assert row["lacking"] == {"G2": ["Lund"], "G31": ["Kiel"]}.get(gene, [])
        names = ("meanA", "meanB", "difference", "low", "high", "p")
        np.testing.assert_allclose([row[name] for name in names], expected[gene], rtol=1e-6, atol=1e-9)
    adjusted = adjust(np.array([expected[gene][-1] for gene in genes]))
    np.testing.assert_allclose([rows[gene]["adjusted"] for gene in genes], adjusted, rtol=1e-6)
    assert "counts per million are of the 34 of 40 genes that all have" in told
    assert "Not measured by Kiel, of which nothing is known: compared over donors whose study has measured it." in told
    assert ("6 donors with both A and B" if kind == "paired" else "3 donors of A against 3 donors of B") in told
    assert window.said == []


def test_genes_whose_donors_are_too_few_are_said(window: Window, peopled: Path, tmp_path: Path) -> None:
    with static_host(write_site(peopled, tmp_path / "site").path) as address:
        window.open(f"{address}#page=sets")
        for side, text in (("a", "donor=Kiel1,Kiel2,Kiel3,Kiel4"), ("b", "donor=Lund1,Lund2,Lund3,Kiel5,Kiel6")):
            window.run("([side, filter]) => titin.keep(side, {filter})", [side, text])
        found = window.run("titin.compare(['G20', 'G2', 'G31'])")
        window.run("titin.setState({...titin.state(), tested: ['G20', 'G2', 'G31']})")
        window.until("document.querySelectorAll('#compared .left').length === 2")
        told = [one.inner_text() for one in window.page.query_selector_all("#compared .left")]
    assert [row["gene"]["symbol"] for row in found["found"]] == ["G20"]
    assert told[0].startswith("G2: not measured by Lund, and not compared over the other donors: too few donors")
    assert told[1].startswith("G31: not measured by Kiel, and not compared over the other donors: A has no cells")


def test_all_genes_are_compared_by_those_that_all_studies_measured(joined: Path) -> None:
    atlas = titin.open(joined)
    side = np.asarray(atlas.obsm["X_pca"])[:, 0] <= 0
    found = compare_selections(atlas, side, ~side)
    assert found.tests[0]["kind"] == "paired"
    assert set(found.table["gene"]) == {f"G{i}" for i in range(N_GENES)} - {*LACKED["Lund"], *LACKED["Kiel"]}
