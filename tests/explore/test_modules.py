"""Modules of the page that can be told right from wrong without a browser: run by node, where there is one."""

import gzip

import numpy as np
import pytest
from page_modules import run

from titin.explore.page import BUNDLE, FILES


def least_distance(colours: list[list[float]]) -> float:
    """Between any two points of OKLab."""
    points = np.array(colours)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    return float(apart[np.triu_indices(len(points), 1)].min())


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("n", "least"), [(8, 0.18), (20, 0.12), (36, 0.09)])
def test_colours_of_labels_are_told_apart(n: int, least: float, dark: bool) -> None:
    """A hundredth of OKLab is about what can just be seen between two fields side by side."""
    grey = f"m.oklab(m.neutral({str(dark).lower()}))"
    colours = run(
        "palette.js", f"m.labelColours({n}, {str(dark).lower()}).map(c => m.oklab(m.oklch(...c))).concat([{grey}])"
    )
    assert least_distance(colours) >= least


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_subtypes_keep_the_hue_of_their_type(dark: bool) -> None:
    flag = str(dark).lower()
    for type_, *own in run("palette.js", f"m.labelColours(8, {flag}).map(c => [c, ...m.subtypeColours(c, 4, {flag})])"):
        for _, chroma, hue in own:
            assert chroma == type_[1]
            assert abs(hue - type_[2]) <= 9
        lightness = [colour[0] for colour in own]
        assert np.diff(lightness).min() > 0.07
        assert 0.4 < min(lightness) < max(lightness) < 0.93


def test_cells_that_lie_on_each_other_are_dense() -> None:
    expression = """(() => {
        const xy = new Float32Array(2000);
        for (let i = 0; i < 990; i++) [xy[2 * i], xy[2 * i + 1]] = [(i % 30) / 300, Math.floor(i / 30) / 300];
        for (let i = 990; i < 1000; i++) [xy[2 * i], xy[2 * i + 1]] = [5 + i - 990, 9];
        return [...m.densityOf(xy, 1000, { x: 0, y: 0, width: 14, height: 9 })];
    })()"""
    density = np.array(run("density.js", expression))
    assert density[:990].max() == 255
    assert density[990:].max() < 60
    assert run(
        "density.js", "[...m.densityOf(new Float32Array([NaN, NaN, 1, 1]), 2, {x: 1, y: 1, width: 0, height: 0})]"
    )


def test_cells_with_higher_values_are_drawn_later() -> None:
    layer = "{bins: [0, 9, 3, 0, 200, 7], shades: [2, 2, 2, 1, 2, 0], rising: true, base: %s}"
    orders = [run("renderer.js", f"[...m.drawingOrder({layer % base}, 6)]") for base in ("false", "true")]
    assert orders == [[3, 0, 2, 1, 4], [2, 1, 4]]  # faint ones first; on a ground only those with a value


def test_the_page_is_small_and_names_what_is_in_it() -> None:
    if BUNDLE.parent.name != "explore" or not (BUNDLE / "explorer.js").is_file():
        pytest.skip("the explorer's page is not built: python hatch_build.py")
    assert sum(len(gzip.compress((BUNDLE / name).read_bytes())) for name in FILES) <= 150_000
    licences = (BUNDLE / "LICENSES.txt").read_text("utf-8")
    assert "hyparquet" in licences
    assert "fzstd" in licences
