import numpy as np
import pytest

from titin.plot import category_palette, lineage_palette, ordered_palette, resolve_palette, role_color
from titin.plot.colour_spaces import lab, rgb, separation
from titin.plot.palettes import CATEGORIES, MISSING


def smallest(colours):
    apart = separation(colours)
    return apart[~np.eye(len(apart), dtype=bool)].min()


@pytest.mark.parametrize(("n", "least"), [(8, 12.0), (12, 11.0), (20, 8.0), (36, 5.0), (40, 5.0)])
def test_categories_differ_for_every_kind_of_vision(n, least):
    assert smallest(list(category_palette(range(n)).values())) >= least


def test_neighbours_differ_more_than_any_two_must():
    apart = separation(CATEGORIES[:36])
    assert min(apart[i, i + 1] for i in range(35)) >= 10


def test_categories_stand_out_from_white_black_and_missing():
    for ground, least in (("#ffffff", 10), ("#0d1117", 10), (MISSING, 5)):
        apart = separation([ground, *CATEGORIES])[0, 1:]
        assert apart.min() >= least, ground


def test_roles_have_their_colours_everywhere():
    assert category_palette(["M", "F"]) == {"M": role_color("male"), "F": role_color("female")}
    assert category_palette(["nucleus", "cell"]) == {"nucleus": role_color("nuclei"), "cell": role_color("cells")}
    assert role_color("single nucleus") == role_color("nuclei") != role_color("cells")
    assert role_color("fibroblast") is None


@pytest.mark.parametrize("pair", [("F", "M"), ("cells", "nuclei"), ("young", "old")])
def test_the_two_of_a_role_differ_for_every_kind_of_vision(pair):
    assert smallest([role_color(name) for name in pair]) >= 20


def test_one_unknown_name_among_roles_makes_them_plain_categories():
    assert list(category_palette(["F", "M", "unknown"]).values()) == list(CATEGORIES[:3])


def test_two_spellings_of_a_role_do_not_share_a_colour():
    palette = category_palette(["F", "female"])
    assert palette["F"] != palette["female"]


def test_children_share_a_hue_and_go_from_dark_to_light():
    parents = {"T": "immune", "B": "immune", "NK": "immune", "FB": "stroma", "SMC": "stroma"}
    palette = lineage_palette(parents)
    assert list(palette) == list(parents)
    seen = dict(zip(palette, lab(rgb(list(palette.values()))), strict=True))
    hue = {name: np.rad2deg(np.arctan2(b, a)) % 360 for name, (_, a, b) in seen.items()}
    within = max(abs((hue[a] - hue[b] + 180) % 360 - 180) for a in ("T", "B", "NK") for b in ("T", "B", "NK"))
    between = min(abs((hue[a] - hue[b] + 180) % 360 - 180) for a in ("T", "B", "NK") for b in ("FB", "SMC"))
    assert within < between
    assert seen["T"][0] < seen["B"][0] < seen["NK"][0]
    assert smallest(list(palette.values())) >= 8


def test_ordered_palettes_grow_lighter():
    palette = ordered_palette(["15-20", "20-25", "50-55", "70-75"])
    lightness = lab(rgb(list(palette.values())))[:, 0]
    assert (np.diff(lightness) > 10).all()
    assert len(ordered_palette(["one"])) == 1


def test_palette_keyword_takes_a_mapping_a_sequence_a_name_or_nothing():
    names = ["a", "b", "c"]
    assert resolve_palette(names, {"a": "#111111"}) == {"a": "#111111", "b": MISSING, "c": MISSING}
    assert resolve_palette(names, ["#111111", "#222222"]) == {"a": "#111111", "b": "#222222", "c": "#111111"}
    assert resolve_palette(names, "viridis") == ordered_palette(names, "viridis")
    assert resolve_palette(names, None) == category_palette(names)
    assert resolve_palette(names, None, ordered=True) == ordered_palette(names)


@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_ordered_colours_are_as_many_as_their_categories(n):
    assert list(ordered_palette(range(n))) == list(range(n))
