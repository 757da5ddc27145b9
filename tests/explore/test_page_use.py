"""The page is used by keyboard, on phones, in the dark, and by people who do not see it."""

import re

import numpy as np
import pytest
from window import AXE, Window

import titin
from demo_dataset import Demo


def test_the_keyboard_is_enough(window: Window, hosted: str, atlas: titin.Atlas) -> None:
    window.open(hosted)
    keys = window.page.keyboard
    keys.press("/")
    keys.type("xist")
    window.page.wait_for_selector("#suggestion-0")
    keys.press("Enter")
    window.until("titin.state().colours[0].gene === 'XIST'")
    left = {"search", "beside", "column", "projection", "unit", "CANVAS", "mode-lasso", "zoom-all"}
    window.run("document.activeElement.blur()")
    for _ in range(250):  # a legend of many labels may still be there, with two stops each
        keys.press("Tab")
        left.discard(window.run("document.activeElement.id || document.activeElement.tagName"))
        if not left:
            break
    assert left == set()
    window.page.focus("#map canvas")
    keys.press("+")
    keys.press("ArrowLeft")
    assert window.run("titin.state()")["view"]["zoom"] == pytest.approx(1.4)
    keys.press("0")
    assert window.run("titin.state()")["view"] is None
    window.page.select_option("#column", "Sex")
    window.until("titin.state().colours[0].obs === 'Sex'")
    window.page.focus("#legend .row:first-child .pick")
    keys.press("Enter")
    window.until("titin.state().selection !== null")
    label = window.run("titin.state()")["selection"]["where"][0]["is"][0]
    n = (atlas.obs["Sex"].astype(str) == label).sum()
    window.until("n => document.querySelector('#map-text').textContent.includes(n)", f"{n:,} cells of")
    keys.press("Escape")
    window.until("titin.state().selection === null")


def test_no_link_holds_the_token(window: Window, mapped: Demo) -> None:
    pytest.importorskip("uvicorn", reason="needs the extra explore")
    from titin.explore import ExplorerServer

    server = ExplorerServer(mapped.dataset, "0.0.0.0")
    server.start()
    try:
        port, token = re.fullmatch(r"http://[^/]+:(\d+)/\?token=(.+)", server.address).groups()
        window.open(f"http://127.0.0.1:{port}/?token={token}")
        window.run("titin.colour({gene: 'XIST'})")
        assert token not in window.run("location.href")
        window.open(f"http://127.0.0.1:{port}/")
        assert not any(token in url for url in window.requests[1:])
    finally:
        server.stop()


@pytest.mark.parametrize(("typed", "first"), [
    ("XIS", "XIST"), ("Sex", "Sex"), ("ENSG00000229807", "XIST"), ("XIST MALAT1, NOGENE", "Mean of 2 genes"),
    pytest.param("xist", "XIST", marks=pytest.mark.slow), pytest.param("XIZT", "XIST", marks=pytest.mark.slow),
])  # fmt: skip
def test_what_is_typed_is_found(window: Window, hosted: str, typed: str, first: str) -> None:
    window.open(hosted)
    window.page.fill("#search", typed)
    window.page.wait_for_selector("#suggestion-0")
    assert window.page.inner_text("#suggestion-0").split("\n")[0].startswith(first)


def test_genes_stand_side_by_side_and_move_together(window: Window, hosted: str) -> None:
    window.open(hosted)
    window.page.check("#beside")
    for n, gene in enumerate(("XIST", "MALAT1", "CKM"), 2):
        window.page.fill("#search", gene)
        window.page.wait_for_selector("#suggestion-0")
        window.page.keyboard.press("Enter")
        window.until("n => titin.state().colours.length === n", n)
    window.until("document.querySelectorAll('.panel h3').length === 4")
    titles = [title.inner_text() for title in window.page.query_selector_all(".panel h3")]
    assert titles[1:] == ["XIST", "MALAT1", "CKM"]
    assert window.page.locator("#chips .chip").count() == 4
    window.page.click("#chips .chip:nth-child(2) .remove")
    window.until("titin.state().colours.length === 3")


@pytest.mark.parametrize(("width", "dark"), [
    pytest.param(360, False, id="360-light"), pytest.param(2560, True, id="2560-dark"),
    pytest.param(360, True, id="360-dark", marks=pytest.mark.slow),
    pytest.param(2560, False, id="2560-light", marks=pytest.mark.slow),
])  # fmt: skip
def test_nothing_is_wider_than_the_screen(window: Window, hosted: str, width: int, dark: bool) -> None:
    window.page.set_viewport_size({"width": width, "height": 800})
    window.page.emulate_media(color_scheme="dark" if dark else "light")
    window.open(hosted)
    for colour in ({"obs": "annotation_level0"}, {"gene": "XIST"}):
        window.run("colour => titin.colour(colour)", colour)
        for own in (width, 400, 1400):
            assert window.fits({"width": own, "height": 800})
    background = window.run("getComputedStyle(document.body).backgroundColor")
    assert (np.mean([int(part) for part in background[4:-1].split(",")]) < 60) == dark
    assert window.said == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(window: Window, hosted: str, dark: bool) -> None:
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm ci in web/")
    window.page.set_viewport_size({"width": 400, "height": 800})
    window.page.emulate_media(color_scheme="dark" if dark else "light")
    window.open(hosted)
    for width in (400, 1400):
        assert window.fits({"width": width, "height": 800})
        for state in ({}, {"colours": [{"gene": "XIST"}, {"obs": "Sex"}], "where": [{"column": "Sex", "is": ["F"]}]}):
            window.run("state => titin.setState(state)", state)
            assert window.inaccessible() == []
