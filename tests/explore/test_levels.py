"""Pages of what changes with age by another level of cell types: its numbers are Python's, and the address keeps it."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from window import NARROW_AND_WIDE, Window, static_host

import titin
from demo_dataset import Demo
from titin.ageing import composition, differential_expression, pseudobulk, write_ageing_tables
from titin.explore import write_site

CLOSE = {"rtol": 1e-6, "atol": 1e-9}
FINE = "annotation_level2"
TABLES = "[...document.querySelectorAll('#sheet table')].map(one => one.textContent)"


@pytest.fixture(scope="module")
def leveled(mapped: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A site that holds the coarsest level and the finest, its address, and what Python says by the finest."""
    first = write_site(mapped.dataset, tmp_path_factory.mktemp("leveled") / "first").path / "data"
    atlas = write_ageing_tables(first, levels=[0, FINE])
    site = write_site(first, first.parents[1] / "site").path
    sums = pseudobulk(atlas)
    with static_host(site) as address:
        yield SimpleNamespace(
            address=address, site=site, expression=differential_expression(sums, cell_type_level=FINE),
            composition=composition(atlas, cell_type_level=FINE), genes=sums.genes,
            sums=sums.aggregate(["protocol", FINE, "donor", "age"]),
            cut=differential_expression(sums).settings["age_cut"],
        )  # fmt: skip


def clearest(found: SimpleNamespace) -> str:
    return str(found.expression.table.sort_values("p_value").iloc[0]["gene"])


def by_level(window: Window, leveled: SimpleNamespace, more: str = "") -> None:
    window.open(f"{leveled.address}#level={FINE}{more}")
    assert window.run("titin.state().level") == FINE


def test_a_card_by_a_finer_level_is_python_s(window: Window, leveled: SimpleNamespace) -> None:
    by_level(window, leveled)
    gene = clearest(leveled)
    card = window.run("gene => titin.card(gene)", gene)
    shown = {(one["type"], one["protocol"]): one["change"] for one in card["tested"] if one["change"]}
    expected = leveled.expression.table.query("gene == @gene")
    assert set(shown) == set(zip(expected["cell_type"], expected["protocol"], strict=True))
    for row in expected.itertuples():
        change = shown[row.cell_type, row.protocol]
        told = [change[name] for name in ("mean", "effect", "low", "high", "p", "adjusted")]
        known = [row.mean_log_cpm, row.log2_fold_change, row.ci_low, row.ci_high, row.p_value, row.adj_p_value]
        np.testing.assert_allclose(told, known, **CLOSE)
    token = list(leveled.genes["gene"]).index(gene)
    dots = pd.DataFrame(card["dots"])
    assert dots["type"].tolist() == leveled.sums.groups[FINE].tolist()
    np.testing.assert_array_equal(dots["own"], leveled.sums.counts[:, [token]].toarray().ravel())
    np.testing.assert_array_equal(dots["detected"], leveled.sums.detected[:, [token]].toarray().ravel())


@pytest.mark.parametrize("split", [False, True])
def test_dots_by_a_finer_level_are_means_over_donors(window: Window, leveled: SimpleNamespace, split: bool) -> None:
    by_level(window, leveled)
    tokens, sums = [0, 9, 120], leveled.sums
    asked = [[str(leveled.genes["gene"][token]) for token in tokens], "nuclei", split]
    rows = window.run("asked => titin.dots(...asked).then(found => found.dots)", asked)
    groups = sums.groups.assign(age=np.where(sums.groups["age"] < leveled.cut, "young", "old") if split else "")
    chosen = groups[(groups["protocol"] == "nuclei") & (groups["n_cells"] >= 10)]
    expected = chosen.groupby([FINE, "age"]).groups
    assert {(row[0]["type"], row[0]["age"]) for row in rows} == set(expected)
    counts, totals = sums.counts[:, tokens].toarray(), np.asarray(sums.counts.sum(axis=1)).ravel()
    levels = np.log2(counts / totals[:, None] * 1e6 + 1)
    shares = sums.detected[:, tokens].toarray() / sums.groups["n_cells"].to_numpy()[:, None]
    for row in rows:
        at = expected[row[0]["type"], row[0]["age"]]
        assert row[0]["donors"] == len(at)
        np.testing.assert_allclose([dot["mean"] for dot in row], levels[at].mean(axis=0), **CLOSE)
        np.testing.assert_allclose([dot["share"] for dot in row], shares[at].mean(axis=0), **CLOSE)


def test_a_heat_map_by_a_finer_level_is_of_its_donors(window: Window, leveled: SimpleNamespace) -> None:
    by_level(window, leveled)
    sums = leveled.sums
    groups = sums.groups[(sums.groups["protocol"] == "nuclei") & (sums.groups["n_cells"] >= 10)]
    kind = groups[FINE].value_counts().index[0]
    own = groups[groups[FINE] == kind].sort_values(["age", "donor"])
    asked = [[str(leveled.genes["gene"][4])], "nuclei", kind]
    (row,) = window.run("asked => titin.heat(...asked)", asked)
    assert [cell["donor"] for cell in row] == own["donor"].tolist()
    totals = np.asarray(sums.counts.sum(axis=1)).ravel()
    counts = sums.counts[:, [4]].toarray().ravel()
    np.testing.assert_allclose([cell["level"] for cell in row], np.log2(counts / totals * 1e6 + 1)[own.index], **CLOSE)


def test_volcanoes_and_fractions_by_a_finer_level_are_python_s(window: Window, leveled: SimpleNamespace) -> None:
    by_level(window, leveled)
    table = leveled.expression.table
    assert len(leveled.expression.tests)
    for number, test in enumerate(leveled.expression.tests):
        shown = pd.DataFrame(window.run("number => titin.changes(number)", number)).set_index("id").sort_index()
        own = table[(table["cell_type"] == test["cell_type"]) & (table["protocol"] == test["protocol"])]
        expected = own.set_index("gene_id").sort_index()
        assert shown.index.tolist() == expected.index.tolist()
        for mine, known in (("effect", "log2_fold_change"), ("p", "p_value"), ("adjusted", "adj_p_value")):
            np.testing.assert_allclose(shown[mine], expected[known], **CLOSE)
    charts = window.run("titin.composition().then(found => found.charts)")
    tests = {(one["type"], one["protocol"]): one["test"] for one in charts if one["test"]}
    expected = leveled.composition.table
    assert set(tests) == set(zip(expected["cell_type"], expected["protocol"], strict=True))
    for row in expected.itertuples():
        told = [tests[row.cell_type, row.protocol][name] for name in ("fold", "low", "high", "p", "mean")]
        known = [row.fold_change, row.fold_change_low, row.fold_change_high, row.p_value, row.mean_fraction]
        np.testing.assert_allclose(told, known, **CLOSE)


@pytest.mark.parametrize("page", [
    "gene", "changes", *(pytest.param(page, marks=pytest.mark.slow) for page in ("composition", "dots")),
])  # fmt: skip
def test_the_level_is_chosen_on_every_page_and_kept_in_the_address(
    window: Window, leveled: SimpleNamespace, page: str
) -> None:
    window.open(f"{leveled.address}#page={page}&card={clearest(leveled)}")
    window.until("document.querySelector('#type-level') !== null")
    assert window.run("[...document.querySelector('#type-level').options].map(one => one.value)") == [
        "annotation_level0", FINE,
    ]  # fmt: skip
    before = window.run(TABLES)
    window.page.focus("#type-level")
    window.page.select_option("#type-level", FINE)
    window.until("titin.state().level === 'annotation_level2'")
    assert f"level={FINE}" in window.page.url
    assert window.run(TABLES) != before
    assert window.run("document.activeElement.id") == "type-level"
    window.page.reload()
    window.until("document.querySelector('#type-level')?.value === 'annotation_level2'")
    window.page.go_back()
    window.until("document.querySelector('#type-level')?.value === 'annotation_level0'")
    assert window.run(TABLES) == before


def test_a_type_of_another_level_is_let_go(window: Window, leveled: SimpleNamespace) -> None:
    by_level(window, leveled, "&page=changes")
    window.until("document.querySelector('#comparison') !== null")
    last = window.run("document.querySelector('#comparison').options.length") - 1
    window.page.select_option("#comparison", str(last))
    window.until("titin.state().comparison !== null")
    window.page.select_option("#type-level", "annotation_level0")
    window.until("titin.state().level === 'annotation_level0'")
    assert window.run("titin.state().comparison") is None


def test_cells_of_a_finer_type_are_selected_by_it(window: Window, leveled: SimpleNamespace) -> None:
    by_level(window, leveled, "&page=composition")
    window.until("document.querySelector('#sheet td button, #sheet th button') !== null")
    window.page.click("#sheet th button >> nth=0")
    window.until("titin.state().page === 'map'")
    (condition,) = window.run("titin.state().selection.where")
    assert condition["column"] == FINE
    assert condition["is"][0] in set(leveled.sums.groups[FINE])


def test_a_level_that_is_not_held_is_passed_over(window: Window, leveled: SimpleNamespace, hosted: str) -> None:
    window.open(f"{leveled.address}#page=composition&level=annotation_level1")
    window.until("document.querySelector('#type-level') !== null")
    assert window.run("[titin.state().level, document.querySelector('#type-level').value]") == [
        None,
        "annotation_level0",
    ]
    window.open(f"{hosted}#page=composition&level={FINE}")
    window.until("document.querySelector('#sheet h2') !== null")
    assert window.run("[titin.state().level, document.querySelector('#type-level')]") == [None, None]


def test_nothing_of_a_level_is_read_before_it_is_shown(window: Window, leveled: SimpleNamespace) -> None:
    window.open(f"{leveled.address}#page=composition")
    window.until("document.querySelector('#type-level') !== null")
    assert not [url for url in window.requests if "_ageing_level_2_" in url]
    window.page.select_option("#type-level", FINE)
    window.until("titin.state().level === 'annotation_level2'")
    assert [url for url in window.requests if "_ageing_level_2_groups" in url]
    assert not [url for url in window.requests if "_ageing_level_2_by_gene" in url]


def test_the_choice_is_accessible(window: Window, leveled: SimpleNamespace) -> None:
    window.page.set_viewport_size(NARROW_AND_WIDE[0])
    by_level(window, leveled, "&page=dots")
    window.until("document.querySelector('#type-level') !== null")
    for size in NARROW_AND_WIDE:
        assert window.fits(size)
        assert window.inaccessible() == []


def test_a_dataset_from_before_levels_were_named_is_shown(window: Window, mapped: Demo, tmp_path: Path) -> None:
    site = write_site(mapped.dataset, tmp_path / "site").path
    manifest = titin.open(site / "data").manifest
    text = (site / "data" / "titin.json").read_text("utf-8")
    assert '"ageing": {' in text
    (site / "data" / "titin.json").write_text(text.replace('"ageing": {', '"later": {'), "utf-8")
    with static_host(site) as address:
        window.open(f"{address}#page=composition")
        window.until("document.querySelector('#sheet .key') !== null")
        assert window.run("titin.composition().then(found => found.charts.length)") > 0
    assert list(manifest.ageing) == ["annotation_level0"]
