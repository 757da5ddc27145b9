"""The page in a real browser shows what the dataset holds, cell by cell."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from window import Window, names_of

import titin
from demo_dataset import Demo

KEY = "X_umap"


def points(atlas: titin.Atlas) -> np.ndarray:
    return np.asarray(atlas.obsm[KEY])[:, :2]


def inside(corners: list[list[float]], xy: np.ndarray) -> np.ndarray:
    """Even-odd rule, by numpy."""
    found = np.zeros(len(xy), bool)
    for (x1, y1), (x2, y2) in zip(corners, [*corners[-1:], *corners[:-1]], strict=True):
        crossed = (y1 > xy[:, 1]) != (y2 > xy[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            found ^= crossed & (xy[:, 0] < (x2 - x1) * (xy[:, 1] - y1) / (y2 - y1) + x1)
    return found


def test_the_page_asks_its_own_server_only_and_says_nothing(window: Window, served) -> None:
    window.open(served.address)
    window.run("titin.colour({gene: 'XIST'})")
    assert window.foreign(served.address) == []
    assert window.said == []
    assert "1,300 cells" in window.page.inner_text("#facts")


def test_labels_are_those_of_obs(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    for column in ("annotation_level0", "DonorID", "Sex"):
        window.run("name => titin.colour({obs: name})", column)
        counted = {
            row.query_selector(".pick").inner_text(): int(row.query_selector(".number").inner_text().replace(",", ""))
            for row in window.page.query_selector_all("#legend .row")
        }
        assert counted == atlas.obs[column].astype(str).value_counts().to_dict()
        codes = pd.Series(window.values()).astype(int)
        assert pd.crosstab(codes, atlas.obs[column].astype(str).to_numpy()).gt(0).to_numpy().sum() == codes.nunique()


def test_numbers_are_those_of_obs(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    column = next(name for name in atlas.obs if atlas.obs[name].dtype.kind == "f")
    window.run("name => titin.colour({obs: name})", column)
    np.testing.assert_array_equal(window.values(), atlas.obs[column].to_numpy())


def test_a_gene_is_coloured_by_its_values_in_every_cell(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    detected = np.argsort(-atlas.var["n_cells"].to_numpy())
    for gene in [atlas.var_names[detected[k]] for k in (0, 5, 100, -1)]:
        window.run("gene => titin.setState({colours: [{gene}]})", gene)
        np.testing.assert_allclose(window.values(), atlas[gene].to_numpy(), rtol=2e-6)
        window.run("gene => titin.setState({colours: [{gene}], unit: 'counts'})", gene)
        np.testing.assert_array_equal(window.values(), atlas.counts[:, gene].toarray().ravel())


def test_a_set_of_genes_is_the_mean_of_their_z_scores(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    genes = list(atlas.var_names[np.argsort(-atlas.var["n_cells"].to_numpy())[:3]])
    window.run("genes => titin.colour({genes})", genes)
    values = np.column_stack([atlas[gene] for gene in genes]).astype(float)
    expected = ((values - values.mean(axis=0)) / values.std(axis=0)).mean(axis=1)
    np.testing.assert_allclose(window.values(), expected, atol=1e-5)


def test_a_polygon_counts_cells_donors_and_types(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    xy, rng = points(atlas), np.random.default_rng(0)
    for _ in range(5):
        corners = (xy.mean(axis=0) + 2 * xy.std(axis=0) * rng.normal(size=(7, 2))).tolist()
        found = window.run("polygon => titin.select({polygon})", corners)
        mask = inside(corners, xy)
        assert found["cells"] == mask.sum()
        assert found["donors"] == atlas.obs["DonorID"][mask].nunique()
        types = atlas.obs["annotation_level0"][mask].value_counts()
        assert found["types"] == types[types > 0].to_dict()


def test_a_condition_selects_cells(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    label = atlas.obs["annotation_level0"].value_counts().index[0]
    found = window.run("label => titin.select({where: [{column: 'annotation_level0', is: [label]}]})", label)
    mask = atlas.obs["annotation_level0"] == label
    assert (found["cells"], found["types"]) == (mask.sum(), {label: mask.sum()})
    number = next(name for name in atlas.obs if atlas.obs[name].dtype.kind == "f")
    low, high = atlas.obs[number].quantile([0.2, 0.7])
    found = window.run("where => titin.select({where: [where]})", {"column": number, "from": low, "to": high})
    assert found["cells"] == atlas.obs[number].between(low, high).sum()


def test_a_range_of_numbers_is_kept(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    column = next(name for name in atlas.obs if atlas.obs[name].dtype.kind == "f")
    window.run("name => titin.colour({obs: name})", column)
    low = float(atlas.obs[column].median())
    window.page.fill("#legend input[aria-label=from]", str(low))
    window.page.click("#legend form button")
    window.until("titin.state().where.length === 1")
    assert window.run("titin.state()")["where"] == [{"column": column, "from": low}]
    kept = (atlas.obs[column] >= low).sum()
    window.until("text => document.querySelector('#card-title').textContent.startsWith(text)", f"{kept:,} cells of ")


def test_long_legends_are_searched(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    types = atlas.obs["annotation_level0"].astype(str).unique()
    assert len(types) > 20
    window.page.fill("#legend .sift", "mf")
    shown = [row.inner_text() for row in window.page.query_selector_all("#legend .row:not([hidden]) .pick")]
    assert sorted(shown) == sorted(name for name in types if "mf" in name.lower())


def test_a_lasso_by_hand_selects_what_it_encloses(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    box = window.page.query_selector("#map canvas").bounding_box()
    window.page.click("#mode-lasso")
    x, y, mouse = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, window.page.mouse
    mouse.move(x - 200, y - 150)
    mouse.down()
    for dx, dy in ((200, -150), (220, 160), (-180, 140)):
        mouse.move(x + dx, y + dy, steps=5)
    mouse.up()
    window.until("titin.state().selection !== null")
    corners = window.run("titin.state()")["selection"]["polygon"]
    mask = inside(corners, points(atlas))
    assert 0 < mask.sum() < len(mask)
    window.until("text => document.querySelector('#card-title').textContent.startsWith(text)",
                 f"{mask.sum():,} cells of ")  # fmt: skip
    window.page.click("#clear")
    window.until("titin.state().selection === null")


STATES = [
    {},
    {"colours": [{"gene": "XIST"}], "unit": "counts"},
    {"colours": [{"obs": "Sex"}, {"gene": "XIST"}, {"genes": ["XIST", "MALAT1"]}, {"obs": "DonorID"}]},
    {"where": [{"column": "Sex", "not": ["F"]}], "view": {"x": 0.1 + 0.2, "y": -1 / 3, "zoom": 2.5}},
    {"selection": {"polygon": [[0.1, 1e-7], [3, 0.3], [-2.5, 7]]}},
    {"selection": {"where": [{"column": "Sex", "is": ["M"]}]}},
]


def test_the_address_holds_the_state_exactly(window: Window, hosted: str) -> None:
    window.open(hosted)
    for state in STATES:
        window.run("state => titin.setState(state)", state)
        set_, address = window.run("titin.state()"), window.run("location.href")
        for key, value in state.items():
            assert set_[key] == value
        again = Window(window.page.context.new_page()).open(address)
        assert again.run("titin.state()") == set_, state
        again.page.close()


def test_back_and_forward_work(window: Window, hosted: str) -> None:
    window.open(hosted)
    first = window.run("titin.state()")
    window.run("titin.colour({gene: 'XIST'})")
    second = window.run("titin.state()")
    window.page.go_back()
    window.until("'obs' in titin.state().colours[0]")
    assert window.run("titin.state()") == first
    window.page.go_forward()
    window.until("'gene' in titin.state().colours[0]")
    assert window.run("titin.state()") == second


def saved(window: Window, button: str) -> bytes:
    window.page.click("#share summary")
    with window.page.expect_download() as coming:
        window.page.click(button)
    return Path(coming.value.path()).read_bytes()


def test_tables_that_are_saved_hold_the_data(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    window.run("titin.setState({colours: [{gene: 'XIST'}], where: [{column: 'Sex', is: ['F']}]})")
    shown = (atlas.obs["Sex"] == "F").to_numpy()
    text = saved(window, "#save-cells").decode()
    about = json.loads(text.splitlines()[0].removeprefix("# "))
    assert (about["dataset"], about["cells"]) == (atlas.manifest.prefix, shown.sum())
    assert about["donors"] == atlas.obs["DonorID"][shown].nunique()
    assert about["source_sha256"] == atlas.manifest.source["sha256"]
    assert about["where"] == [{"column": "Sex", "is": ["F"]}]
    table = pd.read_csv(io.StringIO(text), skiprows=1)
    assert list(table["cell_id"]) == list(atlas.obs_names[shown])
    np.testing.assert_allclose(table["XIST"], atlas["XIST"][shown], rtol=2e-6)
    np.testing.assert_allclose(table.iloc[:, 1:3], points(atlas)[shown], rtol=1e-6)
    rows = list(csv.DictReader(saved(window, "#save-table").decode().splitlines()[1:]))
    expected = atlas["XIST"][shown].groupby(atlas.obs["annotation_level0"][shown].astype(str).to_numpy())
    assert {row["annotation_level0"]: int(row["cells"]) for row in rows} == expected.size().to_dict()
    for row in rows:
        group = expected.get_group(row["annotation_level0"])
        assert float(row["mean"]) == pytest.approx(group.mean(), rel=1e-5)
        assert float(row["share_with_counts"]) == pytest.approx((group > 0).mean())


def test_rows_of_the_table_may_be_donors(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    window.run("titin.colour({gene: 'XIST'})")
    window.page.select_option("#group", "DonorID")
    window.until("document.querySelector('#card-table th').textContent === 'DonorID'")
    cells = "row => [...row.children].map(cell => cell.innerText)"
    heads, *lines = window.run(f"[...document.querySelectorAll('#card-table tr')].map({cells})")
    assert heads == ["DonorID", "cells", "with counts", "mean"]
    expected = atlas["XIST"].groupby(atlas.obs["DonorID"].astype(str).to_numpy())
    assert {line[0]: int(line[1]) for line in lines} == expected.size().to_dict()
    for line in lines:
        assert float(line[3]) == pytest.approx(expected.mean()[line[0]], rel=6e-3)
    rows = list(csv.DictReader(saved(window, "#save-table").decode().splitlines()[1:]))
    assert {row["DonorID"]: int(row["cells"]) for row in rows} == expected.size().to_dict()


def test_pictures_that_are_saved_say_what_they_show(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    image = Image.open(io.BytesIO(saved(window, "#save-png")))
    assert image.size[0] > 1200
    assert np.asarray(image.convert("L")).std() > 5
    tree = ET.fromstring(saved(window, "#save-svg"))
    texts = [found.text for found in tree.iter("{http://www.w3.org/2000/svg}text")]
    types = set(atlas.obs["annotation_level0"].astype(str))
    assert types <= set(texts)
    assert any(atlas.manifest.prefix in text and "1,300 cells of 17 donors" in text for text in texts)
    about = json.loads(tree.find("{http://www.w3.org/2000/svg}metadata").text)
    assert about["source_sha256"] == atlas.manifest.source["sha256"]


def test_python_that_is_copied_finds_the_same_cells(window: Window, hosted: str, mapped: Demo, tmp_path: Path) -> None:
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    (tmp_path / "data").symlink_to(mapped.dataset)
    window.open(hosted)
    for state in STATES:
        window.run("state => titin.setState(state)", state)
        window.run("navigator.clipboard.writeText('')")
        if not window.page.is_visible("#copy-python"):
            window.page.click("#share summary")
        window.page.click("#copy-python")
        window.until("navigator.clipboard.readText().then(text => text !== '')")
        assert "copied" in window.page.inner_text("#status")
        code = window.run("navigator.clipboard.readText()")
        expected = window.run("titin.select(titin.state().selection)")["cells"]
        made = names_of(code, tmp_path)
        assert [made["cells"].sum(), len(made["values"])] == [expected] * 2, state


def test_hidden_labels_are_filtered_and_come_back(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    window.run("titin.colour({obs: 'Sex'})")
    before = window.drawn()
    window.page.uncheck("#legend .row:first-child input")
    window.until("titin.state().where.length === 1")
    label = window.run("titin.state()")["where"][0]["not"][0]
    kept = (atlas.obs["Sex"].astype(str) != label).sum()
    window.until("n => document.querySelector('#card-title').textContent.startsWith(n)", f"{kept:,} ")
    assert 0 < window.drawn() < before
    window.page.click("#conditions .remove")
    window.until("titin.state().where.length === 0")
    assert window.drawn() == before
