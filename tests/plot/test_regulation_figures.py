"""Figures of regulators: colours are means, dots are donors, edges are drawn with their sign and size."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import PathPatch

from titin.errors import TitinError
from titin.plot import activity_by_age, alt_text, regulator_network, theme, to_png

AGES = [20.0, 25, 30, 60, 70, 80]
DONORS = pd.DataFrame({
    "cell_type": ["B"] * 6 + ["T"] * 3, "age": [*AGES, 20, 25, 30],
    "mean": [-1.0, -2, -3, 1, 2, 3, 0.5, 0.25, 0.0],
})  # fmt: skip
EDGES = pd.DataFrame({
    "regulator": ["A", "A", "A", "B", "B"], "target": ["x", "y", "z", "z", "A"], "weight": [2.0, -1.0, 0.5, 1.0, -2.0],
})  # fmt: skip


def edges_of(axes):
    return {patch.get_label(): patch for patch in axes.patches if isinstance(patch, PathPatch)}


def test_ground_is_the_mean_of_donors_of_like_age_and_each_donor_is_a_dot():
    axes = activity_by_age(DONORS)
    mesh, dots = axes.collections
    np.testing.assert_allclose(mesh.get_array().filled(9), [[-2, 2], [0.25, 9]])
    edges = mesh.get_coordinates()[0, :, 0]
    assert edges[1] == 45.0
    assert edges[0] < 20
    assert edges[2] > 80
    np.testing.assert_array_equal(dots.get_offsets()[:, 0], DONORS["age"])
    np.testing.assert_array_equal(dots.get_array(), DONORS["mean"])
    assert dots.get_clim() == mesh.get_clim() == (-mesh.get_clim()[1], mesh.get_clim()[1])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["B  (n = 6)", "T  (n = 3)"]
    assert axes.patch.get_hatch()
    assert "2 rows by age, 20 to 80 years in 2 bins, and 9 dots" in alt_text(axes)


def test_nothing_is_cut_off_at_the_edge():
    for draw in (lambda: activity_by_age(DONORS, label="activity of IL1RN"), lambda: regulator_network(EDGES)):
        axes = draw()
        figure = axes.get_figure()
        figure.canvas.draw()
        box, page = axes.get_tightbbox(), figure.bbox
        legend = axes.get_legend().get_window_extent()
        assert min(box.x0, legend.x0) >= page.x0 - 1
        assert max(box.x1, legend.x1) <= page.x1 + 1


def test_rows_stand_in_the_order_that_is_asked_for_and_others_are_left_out():
    axes = activity_by_age(DONORS, order=["T"])
    mesh, dots = axes.collections
    np.testing.assert_allclose(mesh.get_array(), [[0.25]])
    assert len(dots.get_offsets()) == 3
    assert not axes.patch.get_hatch()


def test_donors_of_one_age_do_not_cover_each_other():
    axes = activity_by_age(DONORS.assign(age=40.0).head(3))
    heights = axes.collections[1].get_offsets()[:, 1]
    assert len(set(heights)) == 3
    assert np.abs(heights).max() < 0.5


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("BT"), st.floats(0, 110), st.floats(-9, 9)), min_size=1, max_size=40))
def test_every_donor_lies_in_the_bin_that_its_value_counts_in(rows):
    table = pd.DataFrame(rows, columns=["cell_type", "age", "mean"])
    mesh = activity_by_age(table).collections[0]
    edges, means = mesh.get_coordinates()[0, :, 0], mesh.get_array()
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= 7
    places = list(dict.fromkeys(table["cell_type"]))
    for i, name in enumerate(places):
        own = table[table["cell_type"] == name]
        for j in range(len(edges) - 1):
            last = j == len(edges) - 2
            inside = own[(own["age"] >= edges[j]) & ((own["age"] < edges[j + 1]) | last)]
            if inside.empty:
                assert means[i, j] is np.ma.masked
            else:
                assert means[i, j] == pytest.approx(inside["mean"].mean())


@pytest.mark.parametrize(("draw", "said"), [
    (lambda: activity_by_age(DONORS.assign(age=np.nan)), "no row has cell_type, age and mean"),
    (lambda: activity_by_age(DONORS, value="none"), "the table has no column 'none'"),
    (lambda: regulator_network(EDGES.assign(weight=0.0)), "no edge has a weight"),
    (lambda: regulator_network(EDGES, weight="none"), "the table has no column 'none'"),
    (lambda: regulator_network(pd.DataFrame({"regulator": "A", "target": [f"g{i}" for i in range(201)], "weight": 1})),
     "201 edges of 1 regulators are too many to be told apart"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_said(draw, said):
    with pytest.raises(TitinError, match=said):
        draw()


def test_edges_say_sign_by_colour_and_line_and_size_by_width():
    axes = regulator_network(EDGES)
    drawn = edges_of(axes)
    assert list(drawn) == ["A → x", "A → y", "A → z", "B → z", "B → A"]
    for positive, negative in (("A → x", "A → y"), ("B → z", "B → A")):
        assert drawn[positive].get_linestyle() == "-"
        assert drawn[negative].get_linestyle() != "-"
        assert drawn[positive].get_edgecolor() != drawn[negative].get_edgecolor()
    widths = [drawn[name].get_linewidth() for name in ("A → z", "A → y", "A → x")]
    assert np.diff(widths)[1] == pytest.approx(2 * np.diff(widths)[0])  # of sizes 0.5, 1, 2
    assert drawn["A → x"].get_linewidth() == drawn["B → A"].get_linewidth()
    assert [text.get_text() for text in axes.texts] == ["A", "B", "A", "x", "y", "z"]
    assert "2 regulators and 4 targets: 3 edges that activate, 2 that repress" in alt_text(axes)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["activates", "represses", "weight 2", "weight 0.5"]


def test_the_drawing_is_the_same_whatever_the_order_of_the_rows():
    first, again = regulator_network(EDGES), regulator_network(EDGES.iloc[::-1])
    for name, patch in edges_of(first).items():
        np.testing.assert_array_equal(patch.get_path().vertices, edges_of(again)[name].get_path().vertices)
    assert to_png(first) == to_png(regulator_network(EDGES))


def test_regulators_that_share_no_target_are_drawn_without_a_crossing():
    mixed = pd.DataFrame([(r, f"{g}{r}", 1.0) for g in range(5) for r in "CAB"],
                         columns=["regulator", "target", "weight"])  # fmt: skip
    ends = np.array([patch.get_path().vertices[[0, -1], 1] for patch in edges_of(regulator_network(mixed)).values()])
    order = np.argsort(ends[:, 0])
    assert (np.diff(ends[order, 1]) > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABCDEF"), st.sampled_from("uvwxyz"), st.floats(0.1, 5)), min_size=1))
def test_names_stand_a_row_apart_whatever_is_shared(rows):
    axes = regulator_network(pd.DataFrame(rows, columns=["regulator", "target", "weight"]))
    for side in ("right", "left"):
        heights = sorted(text.xy[1] for text in axes.texts if text.get_ha() == side)
        assert (np.diff(heights) > 1 - 1e-9).all()
        low, high = sorted(axes.get_ylim())
        assert low < heights[0]
        assert heights[-1] < high


def test_names_are_read_on_light_and_dark_pages():
    for name, ink in (("light", "#1f2328"), ("dark", "#e6edf3")):
        with theme(name):
            axes = regulator_network(EDGES)
        assert {text.get_color() for text in axes.texts} == {ink}
