import numpy as np
import pytest

from titin.plot.colour_spaces import difference, from_lch, hexadecimal, lab, rgb, separation

# pairs and differences published with the formula (Sharma, Wu and Dalal 2005, table 1)
PUBLISHED = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (50.0, 3.1736, 0.5854), 1.0000),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("one", "other", "expected"), PUBLISHED)
def test_difference_is_that_published_with_the_formula(one, other, expected):
    assert difference(np.array(one), np.array(other)) == pytest.approx(expected, abs=1e-4)
    assert difference(np.array(other), np.array(one)) == pytest.approx(expected, abs=1e-4)


def test_lab_of_white_and_of_the_primaries():
    assert lab(rgb("#ffffff"))[0] == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(rgb("#ff0000"))[0] == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert lab(rgb("#0000ff"))[0] == pytest.approx([32.30, 79.19, -107.86], abs=0.05)


def test_hexadecimal_undoes_rgb():
    colours = ["#0072b2", "#000000", "#fedcba"]
    assert hexadecimal(rgb(colours)) == colours


def test_greys_stay_grey_without_red_or_green_cones():
    greys = rgb(["#333333", "#999999"])
    for vision in ("protanopia", "deuteranopia"):
        assert lab(greys, vision) == pytest.approx(lab(greys), abs=0.5)


def test_red_and_green_come_near_each_other_without_red_or_green_cones():
    pair = ["#c03020", "#607000"]
    both = separation(pair)[0, 1]
    assert both < 0.5 * separation(pair, ["normal"])[0, 1]


def test_from_lch_keeps_lightness_and_hue_where_the_screen_cannot_show_the_chroma():
    seen = lab(from_lch([40.0, 78.0], 120.0, [200.0, 300.0]))
    assert seen[:, 0] == pytest.approx([40, 78], abs=0.5)
    assert np.rad2deg(np.arctan2(seen[:, 2], seen[:, 1])) % 360 == pytest.approx([200, 300], abs=2)
