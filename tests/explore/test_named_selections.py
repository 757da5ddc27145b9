"""Selections under names: in the address, the legend, the tables, the exports, and taken again."""

import json
from pathlib import Path

import pytest
from window import Window

WOMEN, MEN = 'Sex == "F"', 'Sex == "M"'


def kept(window: Window, hosted: str) -> None:
    """Women and men as A and B, on the page of selections."""
    window.open(f"{hosted}#page=sets")
    for side, text in (("a", WOMEN), ("b", MEN)):
        window.run("([side, filter]) => titin.keep(side, {filter})", [side, text])
    window.until("document.querySelector('#name-b') !== null")


def name(window: Window, side: str, text: str) -> None:
    window.page.fill(f"#name-{side}", text)
    window.page.press(f"#name-{side}", "Enter")
    window.until("([side, text]) => titin.state()[side].name === text", [side, text])
    window.until("text => document.querySelector('#sheet').textContent.includes(`(${text})`)", text)


def test_sides_have_names_wherever_they_are_told(window: Window, hosted: str) -> None:
    kept(window, hosted)
    name(window, "a", "the women")
    name(window, "b", "the men")
    window.until("document.querySelector('#tested-genes') !== null")
    window.page.fill("#tested-genes", "XIST")
    window.page.press("#tested-genes", "Enter")
    window.until("document.querySelectorAll('#compared .chart svg').length === 2")
    text = window.page.inner_text("#sheet")
    assert "A (the women): 417 cells of 7 donors" in text
    assert "A (the women) against B (the men), on donors" in text
    heads = [one.inner_text() for one in window.page.query_selector_all("[aria-label='Donors by protocol'] th")]
    assert heads[1:3] == ["cells of A (the women)", "donors of A (the women)"]
    assert "higher in A (the women)" in text
    assert "B (the men)" in window.run("document.querySelector('#compared .chart svg').textContent")
    with window.page.expect_download() as saved:
        window.page.click("#compared .scroll ~ button >> nth=0")
    about = json.loads(saved.value.path().read_text("utf-8").splitlines()[0][1:])
    assert (about["a"], about["b"]) == ({"filter": WOMEN, "name": "the women"}, {"filter": MEN, "name": "the men"})
    assert window.said == []


def test_a_name_is_part_of_the_address_and_can_be_taken_away(window: Window, hosted: str) -> None:
    kept(window, hosted)
    name(window, "a", "  the women ".strip())
    again = Window(window.page.context.new_page()).open(window.page.url)
    assert again.run("titin.state()") == window.run("titin.state()")
    window.page.fill("#name-a", " ")
    window.page.press("#name-a", "Enter")
    window.until("titin.state().a.name === undefined")
    assert window.run("titin.state().a") == {"filter": WOMEN}


def test_saved_selections_are_listed_and_taken_again(window: Window, hosted: str) -> None:
    kept(window, hosted)
    window.page.click("#save-a")
    assert "Give it a name first" in window.page.inner_text("#sheet")
    window.page.fill("#name-a", "women")
    window.page.click("#save-a")
    window.until("titin.state().saved.length === 1 && titin.state().a.name === 'women'")
    window.run("titin.setState({...titin.state(), selection: {filter: 'age > 60'}})")
    window.until("document.querySelector('#name-selection') !== null")
    window.page.fill("#name-selection", "seniors")
    window.page.click("#save-selection")
    window.until("document.querySelectorAll('[aria-label=\"Saved selections\"] tbody tr').length === 2")
    rows = window.run("""[...document.querySelectorAll('[aria-label="Saved selections"] tbody tr')].map(
        row => [...row.children].slice(0, 3).map(cell => cell.innerText))""")  # fmt: skip
    assert [row[0] for row in rows] == ["women", "seniors"]
    assert rows[0][1:] == ["417", WOMEN]
    window.page.click("[aria-label='As B: seniors']")
    window.until("titin.state().b.name === 'seniors'")
    again = Window(window.page.context.new_page()).open(window.page.url)
    assert again.run("titin.state().saved") == [
        {"filter": WOMEN, "name": "women"}, {"filter": "age > 60", "name": "seniors"},
    ]  # fmt: skip
    violins = again.run("titin.violins(['XIST'], {grouping: 'sets', each: true})")["charts"]
    assert {one["label"] for one in violins} == {"A (women)", "B (seniors)", "women", "seniors"}
    window.page.click("[aria-label='Forget: women']")
    window.until("titin.state().saved.length === 1")
    assert window.said == []


def test_the_legend_lists_what_is_kept_and_selects_it(window: Window, hosted: str) -> None:
    kept(window, hosted)
    name(window, "a", "women")
    window.page.click("#page-map")
    window.until("document.querySelectorAll('#kept .row').length === 2")
    rows = [one.inner_text().replace("\n", " ") for one in window.page.query_selector_all("#kept .row")]
    assert rows[0].startswith("A: women")
    assert rows[1].startswith(f"B: {MEN}")
    window.page.click("#kept .row button >> nth=0")
    window.until("titin.state().selection?.name === 'women'")
    window.until("document.querySelector('#card-note').textContent === 'selected: women'")
    with window.page.expect_download() as saved:
        window.page.click("#share summary")
        window.page.click("#save-svg")
    assert "“women”, 417 selected cells" in Path(saved.value.path()).read_text("utf-8")


def test_names_that_make_no_sense_are_passed_over(window: Window, hosted: str) -> None:
    saved = [{"filter": WOMEN}, {"filter": WOMEN, "name": 7}, {"filter": "nosuch=1", "name": "gone"}, 3,
             {"filter": WOMEN, "name": "x" * 500}, {"filter": MEN, "name": "<img src=x>"}]  # fmt: skip
    window.open(f"{hosted}#page=sets")
    window.run("saved => { location.hash = `page=sets&saved=${encodeURIComponent(JSON.stringify(saved))}`; }", saved)
    window.until("titin.state().saved.length === 2")
    assert [one["name"] for one in window.run("titin.state().saved")] == ["x" * 60, "<img src=x>"]
    window.until("document.querySelectorAll('[aria-label=\"Saved selections\"] tbody tr').length === 2")
    assert window.run("document.querySelectorAll('#sheet img').length") == 0


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_it_fits_and_is_accessible(window: Window, hosted: str, scheme: str) -> None:
    window.page.emulate_media(color_scheme=scheme)
    kept(window, hosted)
    window.page.fill("#name-a", "women of all ages and of every protocol that there is")
    window.page.click("#save-a")
    window.until("document.querySelector('[aria-label=\"Saved selections\"] tbody tr') !== null")
    for width, page in ((1200, "sets"), (360, "sets"), (360, "map")):
        window.page.set_viewport_size({"width": width, "height": 800})
        window.run("page => titin.setState({...titin.state(), page})", page)
        window.until("page => document.querySelector(`#page-${page}`).getAttribute('aria-current') === 'page'", page)
        assert window.run("document.documentElement.scrollWidth") <= width
        assert window.inaccessible() == []
