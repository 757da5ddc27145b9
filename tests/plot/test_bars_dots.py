import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress

from titin.errors import TitinError
from titin.plot import alt_text, dots, stacked_bars, trend

CELLS = pd.DataFrame({
    "donor": ["d1"] * 6 + ["d2"] * 3 + ["d3"] + [None],
    "type": ["FB"] * 4 + ["T"] * 2 + ["FB", "T", "T", "T", "FB"],
})  # fmt: skip
DONORS = pd.DataFrame({
    "donor": list("abcdefg"), "age": [20.0, 25, 30, 55, 60, 70, np.nan],
    "group": ["young"] * 3 + ["old"] * 4, "score": [1.0, 2.0, 4.0, 5.0, 5.5, np.nan, 9.0], "sex": list("FMMFMFM"),
})  # fmt: skip


def heights(axes):
    return {c.get_label(): [round(float(p.get_height()), 6) for p in c.patches] for c in axes.containers}


def test_bars_count_cells_and_stand_on_each_other():
    axes = stacked_bars(CELLS, group="donor", part="type")
    assert heights(axes) == {"FB": [4, 1, 0], "T": [2, 2, 1]}
    fb, t = axes.containers
    assert [p.get_y() for p in t.patches] == [p.get_height() for p in fb.patches]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["d1", "d2", "d3"]
    assert [text.get_text().strip() for text in axes.texts] == ["6", "3", "1"]


def test_shares_sum_to_a_hundred_and_keep_the_totals():
    axes = stacked_bars(CELLS, group="donor", part="type", share=True)
    assert np.sum(list(heights(axes).values()), axis=0) == pytest.approx([100, 100, 100])
    assert heights(axes)["FB"] == pytest.approx([200 / 3, 100 / 3, 0])
    assert [text.get_text().strip() for text in axes.texts] == ["6", "3", "1"]


def test_groups_come_in_the_order_asked_for_and_one_without_cells_is_empty():
    axes = stacked_bars(CELLS, group="donor", part="type", order=["d3", "d4", "d1"])
    assert heights(axes) == {"FB": [0, 0, 4], "T": [1, 0, 2]}


def test_amounts_are_summed():
    table = pd.DataFrame({"donor": ["a", "a", "b"], "kind": ["x", "x", "y"], "amount": [1.5, 2.0, 3.0]})
    axes = stacked_bars(table, group="donor", part="kind", value="amount")
    assert heights(axes) == {"x": [3.5, 0], "y": [0, 3.0]}
    assert axes.get_ylabel() == "amount"


def test_the_legend_names_the_largest_part_first():
    table = pd.DataFrame({"donor": "a", "type": ["few"] * 2 + ["many"] * 5})
    axes = stacked_bars(table, group="donor", part="type")
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["many", "few"]


def test_nothing_to_count_is_said():
    with pytest.raises(TitinError, match="no row has both donor and type"):
        stacked_bars(CELLS.tail(1), group="donor", part="type")


def test_dots_are_the_values_the_line_is_the_median_and_n_is_said():
    axes = dots(DONORS, group="group", value="score", order=["young", "old"])
    points, young, old = axes.lines
    assert sorted(points.get_ydata()) == [1, 2, 4, 5, 5.5, 9]
    assert young.get_ydata().tolist() == [2, 2]
    assert old.get_ydata().tolist() == [5.5, 5.5]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["young\nn = 3", "old\nn = 3"]
    assert (abs(points.get_xdata() - np.rint(points.get_xdata())) < 0.3).all()
    assert alt_text(axes) == "Dots of score by group: young (n = 3), old (n = 3); medians 2, 5.5."


def test_dots_of_a_colour_are_a_line_each():
    axes = dots(DONORS, group="group", value="score", color="sex", order=["young", "old"])
    assert [line.get_label() for line in axes.lines[:2]] == ["F", "M"]
    assert [len(line.get_ydata()) for line in axes.lines[:2]] == [2, 4]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["F", "M"]


def test_trend_is_the_least_squares_line_with_the_interval_of_its_mean():
    axes = trend(DONORS, x="age", y="score")
    known = DONORS.dropna(subset=["age", "score"])
    fit = linregress(known["age"], known["score"])
    points, line = axes.lines
    assert len(points.get_ydata()) == 5
    x, y = line.get_data()
    assert y == pytest.approx(fit.intercept + fit.slope * x)
    assert axes.get_xlabel() == "age   (n = 5)"
    band = axes.collections[0].get_paths()[0].vertices
    at_zero_distance = band[np.isclose(band[:, 0], x[np.argmin(abs(x - known["age"].mean()))])]
    residual = known["score"] - fit.intercept - fit.slope * known["age"]
    half = 3.182446 * np.sqrt((residual**2).sum() / 3 / 5)  # Student's t, 3 degrees of freedom
    assert np.ptp(at_zero_distance[:, 1]) / 2 == pytest.approx(half, rel=0.01)


@pytest.mark.parametrize("rows", [DONORS.head(2), DONORS.head(3).assign(age=30.0)])
def test_no_line_where_none_can_be_fitted(rows):
    axes = trend(rows, x="age", y="score")
    assert len(axes.lines) == 1
    assert not axes.collections
