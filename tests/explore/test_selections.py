"""Selections A and B: kept, joined, and compared on donors with the numbers of Python."""

import csv
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from window import AXE, Window, names_of, static_host

import titin
from demo_dataset import Demo
from titin.ageing.linear_models import adjust
from titin.explore import write_site

CLOSE = {"rtol": 1e-6, "atol": 1e-9}
WORDS = [
    'Sex == "F" and age_years > 60', "sex=female", "age=20..40", "not (sex=M or age > 60)", "batch != nuclei",
    "protocol=single cell and annotation_level0 in [MF-I, MuSC]", "n_counts>=1000 or n_genes<100", "donor=339C,343B",
    '`10X_version` == "3\'v2"', "annotation_level0=FB and not DonorID in (339C, 362C)",
]  # fmt: skip


def keep(window: Window, a: str, b: str) -> None:
    for side, text in (("a", a), ("b", b)):
        window.run("([side, filter]) => titin.keep(side, {filter})", [side, text])


def compare(window: Window, genes: Any) -> dict[str, Any]:
    return window.run("genes => titin.compare(genes)", genes)


def chosen(atlas: titin.Atlas, text: str) -> np.ndarray:
    """Marks of the cells of an expression."""
    marks = np.zeros(atlas.n_obs, bool)
    rows = atlas.query(text).rows
    marks[slice(None) if rows is None else rows] = True
    return marks


def by_hand(atlas: titin.Atlas, genes: list[str], a: np.ndarray, b: np.ndarray, protocol: str) -> pd.DataFrame:
    """Tests over donors, by pandas and scipy."""
    obs = atlas.obs.assign(total=np.asarray(atlas.counts[:, :].sum(axis=1)).ravel())
    obs["side"] = np.where(a, "a", np.where(b, "b", ""))
    obs[genes] = atlas.counts[:, genes].toarray()
    own = obs[(obs["batch"] == protocol) & (obs["side"] != "")]
    groups = own.groupby([own["side"], own["DonorID"].astype(str)])
    sums = groups[["total", *genes]].sum()[groups.size() >= 10]
    levels = np.log2(1 + sums[genes].div(sums["total"], axis=0) * 1e6)
    of_a, of_b = (levels.xs(side) if side in levels.index.levels[0] else levels.iloc[:0] for side in "ab")
    both = of_a.index.intersection(of_b.index)
    rows = []
    for gene in genes:
        if len(both) >= 3:
            x, y = of_a.loc[both, gene], of_b.loc[both, gene]
            found = stats.ttest_rel(x, y)
        else:
            x, y = of_a.drop(both, errors="ignore")[gene], of_b.drop(both, errors="ignore")[gene]
            found = stats.ttest_ind(x, y, equal_var=False)
        interval = found.confidence_interval()
        rows.append([x.mean(), y.mean(), x.mean() - y.mean(), interval.low, interval.high, found.df, found.pvalue])
    columns = ["meanA", "meanB", "difference", "low", "high", "df", "p"]
    table = pd.DataFrame(rows, index=genes, columns=columns)
    return table.assign(adjusted=adjust(table["p"].to_numpy()))


def shown(found: dict[str, Any], protocol: str) -> pd.DataFrame:
    rows = [{**row, "gene": row["gene"]["symbol"]} for row in found["found"] if row["protocol"] == protocol]
    return pd.DataFrame(rows).set_index("gene")


def test_an_expression_selects_the_cells_of_python(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    for text in WORDS:
        found = window.run("filter => titin.select({filter})", text)
        marks = chosen(atlas, text)
        assert 0 < marks.sum() < len(marks), text
        assert found["cells"] == marks.sum(), text
        assert found["donors"] == atlas.obs["DonorID"][marks].nunique()


MISREAD = [
    ("Sexx = F", "There is no column “Sexx”", "did you mean Sex?"),
    ("Sex = X", "No cell has “X” in “Sex”", "it has F, M"),
    ("annotation_level0 = MUSC", "No cell has “MUSC”", "did you mean MuSC?"), ("Sex > 3", "compares no numbers", ""),
    ("n_counts = many", "holds numbers, and “many” is none", ""),
    ("alert(1)", "“alert(1)” is no condition", "COLUMN=VALUE"),
]  # fmt: skip


def test_what_is_not_understood_is_said_and_changes_nothing(window: Window, hosted: str) -> None:
    window.open(hosted)
    before = window.run("titin.state()")
    for text, *told in MISREAD:
        window.page.fill("#words", text)
        window.page.press("#words", "Enter")
        message = window.message()
        assert all(part in message for part in told), message
        window.page.click("#message button")
        assert window.run("titin.state()") == before


def test_selections_are_joined(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    keep(window, "sex=F", "batch=cells")
    a, b = chosen(atlas, "sex=F"), chosen(atlas, "batch=cells")
    for word, marks in (("and", a & b), ("or", a | b), ("without", a & ~b)):
        selection = window.run("join => ({join, of: [titin.state().a, titin.state().b]})", word)
        assert window.run("selection => titin.select(selection)", selection)["cells"] == marks.sum()
        nested = {"join": "without", "of": [{"filter": "sex=F or sex=M"}, selection]}
        assert window.run("selection => titin.select(selection)", nested)["cells"] == (~marks).sum()


def test_an_outline_is_kept_for_every_projection(window: Window, hosted: str) -> None:
    window.open(hosted)
    corners = [[-50, -50], [0, -50], [0, 50], [-50, 50]]
    cells = window.run("polygon => titin.select({polygon})", corners)["cells"]
    window.page.click("#keep-a")
    window.until("titin.state().a !== null")
    assert window.run("titin.state()")["a"] == {"polygon": corners, "projection": "X_umap"}
    window.run("titin.setState({...titin.state(), projection: 'X_pca', selection: titin.state().a})")
    window.until("n => document.querySelector('#card-title').textContent.startsWith(n)", f"{cells:,} cells of ")


def test_what_is_hidden_is_not_kept(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    window.run("titin.setState({where: [{column: 'Sex', is: ['F']}], selection: {filter: 'batch=cells'}})")
    window.page.click("#keep-b")
    window.until("titin.state().b !== null")
    found = window.run("titin.select(titin.state().b)")
    assert found["cells"] == chosen(atlas, "sex=F and batch=cells").sum()


def test_nothing_is_not_kept(window: Window, hosted: str) -> None:
    window.open(hosted)
    window.page.click("#keep-a")
    assert "No cells are selected" in window.message()
    assert window.run("titin.state()")["a"] is None


def test_the_address_holds_both_selections(window: Window, hosted: str) -> None:
    window.open(hosted)
    outline = {"polygon": [[0.1, 1e-7], [3, 0.3], [-2.5, 7]], "projection": "X_pca"}
    a = {"join": "without", "of": [{"filter": 'Sex == "F"'}, outline]}
    b = {"where": [{"column": "Sex", "is": ["M"]}]}
    state = {"page": "sets", "a": a, "b": b, "tested": ["XIST", "CKM"]}
    window.run("state => titin.setState(state)", state)
    set_, address = window.run("titin.state()"), window.run("location.href")
    assert {key: set_[key] for key in state} == state
    again = Window(window.page.context.new_page()).open(address)
    assert again.run("titin.state()") == set_


def test_an_address_with_what_is_not_there_opens_without_it(window: Window, hosted: str) -> None:
    gone = '{"filter":"no_such_column=1"}'
    deep = '{"join":"and","of":[' * 40 + "1" + ",1]}" * 40
    window.open(f"{hosted}#a={gone}&b={deep}&selection=%7B%22filter%22%3A%22((%22%7D&tested=7&page=sets")
    state = window.run("titin.state()")
    kept = {key: state[key] for key in ("a", "b", "selection", "tested", "page")}
    assert kept == {"a": None, "b": None, "selection": None, "tested": [], "page": "sets"}
    assert window.said == []


def test_an_entry_that_is_gone_is_said_where_it_is_asked_for(window: Window, hosted: str) -> None:
    gone = "%7B%22filter%22%3A%22Sex%3DX%22%7D"
    window.open(f"{hosted}#selection={gone}&a={gone}&page=sets")
    assert "No cell has “X” in “Sex”" in window.message()
    assert window.run("titin.state()")["selection"] is None
    window.until("document.querySelector('#sheet [role=alert].verdict') !== null")
    assert "No cell has “X” in “Sex”" in window.page.inner_text("#sheet .verdict")
    window.page.click("#message button")
    window.page.fill("#words-a", "sex=F")
    window.page.press("#words-a", "Enter")
    window.until("document.querySelector('#sheet h3').textContent.startsWith('A: 417 cells of 7 donors')")


PAIRS = [
    ("sex=F", "sex=M", "between"), ("annotation_level0=FB,MuSC", "annotation_level0!=FB,MuSC", "paired"),
    ("age > 50", "age < 50", "between"),
]  # fmt: skip


def test_a_comparison_is_of_donors_and_python_s(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    detected = atlas.var_names[np.argsort(-atlas.var["n_cells"].to_numpy())]
    genes = ["XIST", "MYH7", *(name for name in detected[[0, 20, 60, 200, -1]] if name not in ("XIST", "MYH7"))]
    for a, b, kind in PAIRS:
        keep(window, a, b)
        found = compare(window, genes)
        assert found["refusal"] is None
        compared = [plan for plan in found["plans"] if plan["kind"]]
        assert {plan["kind"] for plan in compared} == {kind}
        for protocol in (plan["protocol"] for plan in compared):
            expected, table = (
                by_hand(atlas, genes, chosen(atlas, a), chosen(atlas, b), protocol),
                shown(found, protocol),
            )
            known = expected["p"].notna()
            assert table.loc[~known, "p"].isna().all()
            for column in ("meanA", "meanB", "difference"):
                np.testing.assert_allclose(table.loc[genes, column], expected[column], **CLOSE)
            for column in ("low", "high", "df", "p", "adjusted"):
                np.testing.assert_allclose(table.loc[genes, column][known], expected[column][known], **CLOSE)


def test_what_was_planted_is_found_on_its_side(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    truth = atlas.uns["truth"]
    keep(window, "sex=F", "sex=M")
    for protocol in ("cells", "nuclei"):
        row = shown(compare(window, ["XIST"]), protocol).loc["XIST"]
        assert row["difference"] > 5
        assert row["adjusted"] < 0.01
    keep(window, "annotation_level0=FB", "annotation_level0!=FB")
    markers = [name for name in truth["markers"]["FB"] if name in atlas.var_names]
    table = shown(compare(window, markers), "cells")
    assert (table["difference"] > 1).all()
    assert (table["adjusted"] < 0.05).any()
    keep(window, "age > 50", "age < 50")
    planted = {
        name: effect for name, effect in truth["age_log_fold_change"].items() if atlas.var["n_cells"][name] > 130
    }
    table = shown(compare(window, list(planted)), "nuclei")
    clear = table[table["p"] < 0.01]
    assert len(clear) > 3
    assert (np.sign(clear["difference"]) == [np.sign(planted[name]) for name in clear.index]).all()


REFUSED = [
    ("donor=339C", "donor=343B", "1 (339C) with A alone"), ("sex=F", "age > 50", "A and B overlap: "),
    ("donor=339C and annotation_level0=MF-I", "donor=339C and annotation_level0=FB", "of one donor, 339C"),
    ("batch=cells", "batch=nuclei", "A lies in the protocol cells, B in nuclei"),
    ("sex=F and sex=M", "sex=M", "A has no cells"),
    ("donor=339C,343B", "donor=362C,367C,583B", "2 (339C, 343B) with A alone"),
]  # fmt: skip


def test_what_cannot_be_compared_is_refused_in_words(window: Window, hosted: str) -> None:
    window.open(f"{hosted}#page=sets")
    for a, b, told in REFUSED:
        keep(window, a, b)
        window.until("text => document.querySelector('#sheet').textContent.includes(text)", told)
        found = compare(window, ["XIST"])
        assert found["found"] == []
        assert found["refusal"] or not any(plan["kind"] for plan in found["plans"])
        assert window.page.query_selector("#tested-genes") is None


def test_counts_without_a_column_of_totals_are_summed(window: Window, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    counts = rng.poisson(rng.lognormal(0, 1, 40), (400, 40)).astype("f4")
    obs = pd.DataFrame({
        "donor": [f"D{i % 5}" for i in range(400)], "kind": np.where(np.arange(400) % 2, "x", "y"),
    }, index=[f"c{i}" for i in range(400)])  # fmt: skip
    obs.loc[obs["donor"] == "D4", "donor"] = "pooled"  # who is no donor
    adata = ad.AnnData(sparse.csr_matrix(counts), obs, pd.DataFrame(index=[f"G{i}" for i in range(40)]))
    adata.obsm["X_umap"] = rng.normal(size=(400, 2))
    adata.write_h5ad(tmp_path / "a.h5ad")
    titin.build(tmp_path / "a.h5ad", tmp_path / "dataset", method="m", roles={"cell_type": ["kind"], "donor": "donor"})
    atlas = titin.open(tmp_path / "dataset")
    assert atlas.manifest.kind == "counts"
    atlas.obs = atlas.obs.assign(batch="all", DonorID=atlas.obs["donor"].astype(str))
    with static_host(write_site(tmp_path / "dataset", tmp_path / "site").path) as address:
        window.open(address)
        keep(window, "kind=x", "kind=y")
        found = compare(window, ["G1", "G2"])
    assert found["sides"]["unnamed"] == 80
    assert [len(plan["a"]) for plan in found["plans"]] == [4]
    named = (atlas.obs["donor"] != "pooled").to_numpy()
    marks = [(atlas.obs["kind"] == one).to_numpy() & named for one in "xy"]
    expected, table = by_hand(atlas, ["G1", "G2"], *marks, "all"), shown(found, "all")
    for column in expected:
        np.testing.assert_allclose(table[column], expected[column], **CLOSE)


def test_donors_and_protocols_may_be_numbered(window: Window, tmp_path: Path) -> None:
    rng, n = np.random.default_rng(9), 480
    obs = pd.DataFrame({"donor": np.arange(n) % 4 + 1, "run": np.arange(n) // 240, "kind": rng.choice(["x", "y"], n)},
                       index=[f"c{i}" for i in range(n)])  # fmt: skip
    adata = ad.AnnData(sparse.csr_matrix(rng.poisson(2, (n, 30)).astype("f4")), obs,
                       pd.DataFrame(index=[f"G{i}" for i in range(30)]))  # fmt: skip
    adata.obsm["X_umap"] = rng.normal(size=(n, 2))
    adata.write_h5ad(tmp_path / "a.h5ad")
    roles = {"cell_type": ["kind"], "donor": "donor", "protocol": "run"}
    titin.build(tmp_path / "a.h5ad", tmp_path / "dataset", method="m", roles=roles)
    with static_host(write_site(tmp_path / "dataset", tmp_path / "site").path) as address:
        window.open(address)
        window.until("document.querySelector('#card-title').innerText.includes('4 donors')")
        assert window.run("titin.select({filter: 'donor=2,3 and run=0'})")["donors"] == 2
        keep(window, "kind=x", "kind=y")
        found = compare(window, ["G1"])
    assert [(plan["protocol"], plan["kind"], plan["a"]) for plan in found["plans"]] == [
        (run, "paired", ["1", "2", "3", "4"]) for run in ("0", "1")
    ]


def test_donors_and_types_of_either_side_are_counted(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(f"{hosted}#page=sets")
    keep(window, "sex=F", "age > 50")  # which overlap
    window.until("document.querySelectorAll('#sheet [aria-label=Types] tbody tr').length > 0")
    a, b = chosen(atlas, "sex=F"), chosen(atlas, "age > 50")
    for label, column in (("Donors by protocol", "batch"), ("Types", "annotation_level0")):
        rows = window.run("""label => [...document.querySelectorAll(`#sheet [aria-label="${label}"] tbody tr`)].map(
            row => [...row.children].map(cell => cell.innerText.replaceAll(',', '')))""", label)  # fmt: skip
        names = atlas.obs[column].astype(str)
        assert {row[0] for row in rows} == set(names[a | b])
        for row in rows:
            own = names == row[0]
            numbers = [(marks & own).sum() for marks in (a, b)]
            donors = [atlas.obs["DonorID"][marks & own].nunique() for marks in (a, b)]
            expected = [numbers[0], donors[0], numbers[1], donors[1]]
            told = [*row[1:5]] if label != "Types" else [row[1], row[3], row[4], row[6]]
            assert [int(one) for one in told] == expected


def test_the_panel_is_compared_and_saved(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(f"{hosted}#page=sets")
    keep(window, "sex=F", "sex=M")
    window.until("document.querySelector('#compare-panel') !== null")
    window.page.click("#compare-panel")
    window.until("document.querySelectorAll('#compared .chart svg').length === 2", seconds=60)
    assert window.run("titin.state()")["tested"] == "panel"
    with window.page.expect_download() as saved:
        window.page.click("#compared .scroll ~ button >> nth=0")
    rows = list(csv.DictReader(saved.value.path().read_text("utf-8").splitlines()[1:]))
    genes = [row["gene"] for row in rows]
    assert len(genes) == len(set(genes)) == len(atlas.manifest.panel["genes"])
    protocol = rows[0]["protocol"]
    some = genes[:3] + genes[100:103]
    expected = by_hand(atlas, some, chosen(atlas, "sex=F"), chosen(atlas, "sex=M"), protocol)
    table = pd.DataFrame(rows).set_index("gene").loc[some]
    np.testing.assert_allclose(table["p_value"].astype(float), expected["p"], **CLOSE)
    p = pd.to_numeric(pd.Series([row["p_value"] for row in rows])).to_numpy()
    adjusted = pd.to_numeric(pd.Series([row["adj_p_value"] for row in rows])).to_numpy()
    np.testing.assert_allclose(adjusted, adjust(p), **CLOSE)
    assert window.said == []


def test_it_is_done_by_keyboard(window: Window, hosted: str) -> None:
    window.open(hosted)
    keys = window.page.keyboard
    window.page.focus("#words")
    keys.type("sex=F")
    keys.press("Enter")
    window.until("titin.state().selection !== null")
    for side in "ab":
        window.page.focus(f"#keep-{side}")
        keys.press("Enter")
        window.until(f"titin.state().{side} !== null")
    assert "kept as B" in window.page.inner_text("#status")
    window.page.focus("#page-sets")
    keys.press("Enter")
    window.until("document.querySelector('#sheet .verdict')?.textContent.startsWith('A and B overlap')")
    window.page.fill("#words-b", "sex=M")
    keys.press("Enter")
    window.until("document.querySelector('#tested-genes') !== null")
    assert window.run("document.activeElement.id") == "words-b"  # where one was
    window.page.focus("#tested-genes")
    keys.type("XIST, nosuchgene")
    keys.press("Enter")
    window.until("document.querySelectorAll('#compared .chart circle').length > 6")
    assert "Not found: nosuchgene" in window.page.inner_text("#sheet")
    window.page.focus("#join")
    keys.press("Enter")
    window.until("titin.state().b.join === 'without'")
    window.page.go_back()
    window.until("titin.state().b.filter === 'sex=M'")


def test_the_page_fits_and_is_accessible(window: Window, hosted: str) -> None:
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm ci in web/")
    window.open(f"{hosted}#page=sets&tested=%5B%22XIST%22%2C%22CKM%22%5D")
    keep(window, "annotation_level0=FB,MuSC", "annotation_level0!=FB,MuSC")
    for width, dark in ((360, False), (1200, True), (360, True), (1200, False)):
        window.page.set_viewport_size({"width": width, "height": 800})
        window.page.emulate_media(color_scheme="dark" if dark else "light")
        window.until("document.querySelectorAll('#compared .chart polyline').length > 5")
        assert window.run("document.documentElement.scrollWidth") <= width
        assert window.inaccessible() == []
    assert window.foreign(hosted) == []
    assert window.said == []


def test_a_joined_selection_is_copied_as_python(
    window: Window, served: Any, mapped: Demo, tmp_path: Path, atlas: titin.Atlas
) -> None:
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.open(served.address)
    outline = {"polygon": [[-50, -50], [5, -50], [5, 50], [-50, 50]], "projection": "X_umap"}
    joined = {"join": "without", "of": [outline, {"filter": "sex=F and age > 60"}]}
    where = [{"column": "batch", "is": ["cells"]}]
    window.run("state => titin.setState(state)", {"selection": joined, "where": where})
    expected = int(window.page.inner_text("#card-title").split(" ")[0].replace(",", ""))
    window.page.click("#share summary")
    window.page.click("#copy-python")
    window.until("document.querySelector('#status').textContent.includes('Python')")
    code = window.run("navigator.clipboard.readText()")
    made = names_of(code, tmp_path)
    assert [made["cells"].sum(), len(made["values"])] == [expected] * 2
