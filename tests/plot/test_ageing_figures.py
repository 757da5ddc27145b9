import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend
from matplotlib.text import Text

from titin.errors import TitinError
from titin.plot import (
    alt_text,
    composition_by_age,
    dot_plot,
    fibre_types,
    forest,
    heat_map,
    ma_plot,
    noted,
    pseudotime,
    ridge,
    synthetic_note,
    to_png,
    to_svg,
    variance_parts,
    volcano,
)

GENES = pd.DataFrame({
    "gene": ["A", "B", "C", "D", "E"], "log2_fold_change": [2.0, -1.5, 0.1, 0.4, np.nan],
    "p_value": [1e-6, 1e-4, 0.8, 0.03, 0.5], "adj_p_value": [5e-6, 2e-4, 0.8, 0.06, 0.6],
    "mean_log_cpm": [5.0, 6.0, 7.0, 8.0, 9.0],
})  # fmt: skip
DONORS = pd.DataFrame({
    "donor": ["a", "b", "c"], "age": [60.0, 20.0, np.nan], "n_typed": [100, 50, 7], "type_1": [0.5, 0.25, 0.1],
    "hybrid": [0.25, 0.25, 0.2], "type_2": [0.25, 0.5, 0.7],
})  # fmt: skip


def dots_of(axes):
    return {c.get_label(): c.get_offsets() for c in axes.collections if len(c.get_offsets())}


def test_a_volcano_has_what_is_significant_in_colour_and_named():
    axes = volcano(GENES, n_labels=2, highlight=["C"])
    found = dots_of(axes)
    assert found["up (1)"].tolist() == [[2.0, 6.0]]
    assert found["down (1)"].tolist() == [[-1.5, 4.0]]
    assert len(found["not significant (2)"]) == 2
    assert {text.get_text() for text in axes.texts} == {"A", "B", "C"}
    line = next(line for line in axes.lines if list(line.get_ydata()) == [4.0, 4.0])
    assert line.get_linestyle() != "-"
    assert "1 genes up and 1 down" in alt_text(axes)


def test_a_p_of_zero_is_drawn_above_all_others():
    axes = volcano(GENES.assign(p_value=[0.0, 1e-4, 0.8, 0.03, 0.5]), n_labels=0)
    assert dots_of(axes)["up (1)"][0, 1] == pytest.approx(5.0)


def test_an_ma_plot_has_means_across():
    found = dots_of(ma_plot(GENES))
    assert found["up (1)"].tolist() == [[5.0, 2.0]]
    assert found["not significant (2)"][:, 0].tolist() == [7.0, 8.0]


def test_names_do_not_cover_each_other():
    many = pd.DataFrame({"gene": [f"GENE{i}" for i in range(12)], "log2_fold_change": np.linspace(1, 1.1, 12),
                         "p_value": 1e-6 * (1 + np.arange(12) / 100), "adj_p_value": 1e-3})  # fmt: skip
    axes = volcano(many, n_labels=12)
    axes.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line to the dot
    assert len(boxes) > 2
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_dots_have_the_area_of_the_fraction_and_the_colour_of_the_mean():
    table = pd.DataFrame({"gene": ["A", "A", "B"], "type": ["x", "y", "x"], "mean": [1.0, 2.0, 3.0],
                          "fraction": [0.5, 1.0, 0.0]})  # fmt: skip
    axes = dot_plot(table, x="gene", y="type")
    cloud = axes.collections[0]
    assert cloud.get_offsets().tolist() == [[0, 0], [0, 1], [1, 0]]
    assert cloud.get_sizes().tolist() == [70.0, 140.0, 0.0]
    assert cloud.get_array().tolist() == [1.0, 2.0, 3.0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["x", "y"]


def test_a_heat_map_is_centred_marked_and_blank_where_nothing_is_known():
    table = pd.DataFrame([[1.0, -2.0], [np.nan, 0.5]], index=["a", "b"], columns=["x", "y"])
    axes = heat_map(table, centre=0, marks=table.abs() > 1.5)
    image = axes.images[0]
    assert image.get_array().mask.tolist() == [[False, False], [True, False]]
    assert image.norm.vmin == -image.norm.vmax
    assert [list(axes.lines[0].get_xdata()), list(axes.lines[0].get_ydata())] == [[1], [0]]


def test_ridges_stand_in_order_with_n_and_median():
    table = pd.DataFrame({"donor": ["a"] * 50 + ["b"] * 30, "score": [*np.linspace(0, 1, 50), *np.linspace(2, 3, 30)],
                          "sex": ["F"] * 50 + ["M"] * 30})  # fmt: skip
    axes = ridge(table, group="donor", value="score", color="sex", order=["b", "a"])
    assert [t.get_text() for t in axes.get_yticklabels()] == ["b  n = 30", "a  n = 50"]
    assert axes.lines[0].get_xdata() == pytest.approx([2.5, 0.5])
    assert len(axes.collections) == 2
    peak = axes.collections[0].get_paths()[0].vertices
    assert peak[peak[:, 1].argmin(), 0] == pytest.approx(2.5, abs=0.5)


def test_fibres_stand_by_age_and_sum_to_a_hundred():
    axes = fibre_types(DONORS)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["b\n20", "a\n60", "c"]
    heights = {c.get_label(): [p.get_height() for p in c.patches] for c in axes.containers}
    assert heights["type 1"] == pytest.approx([25, 50, 10])
    assert np.sum(list(heights.values()), axis=0) == pytest.approx([100, 100, 100])
    assert [t.get_text().strip() for t in axes.texts] == ["50", "100", "7"]


def test_shares_of_few_fibres_are_pale():
    axes = fibre_types(DONORS, least=20)
    assert [[bar.get_alpha() for bar in part.patches] for part in axes.containers] == [[None, None, 0.35]] * 3
    assert [t.get_text() for t in axes.get_legend().get_texts()][-1] == "pale: fewer than 20 typed"
    assert len(fibre_types(DONORS).get_legend().get_texts()) == 3


def test_composition_has_a_panel_a_type_with_a_dot_a_donor():
    rows = [
        (kind, 0.1 * k + 0.001 * age, age, "FM"[age % 2]) for k, kind in enumerate("xyz") for age in (20, 31, 55, 70)
    ]
    table = pd.DataFrame(rows, columns=["cell_type", "fraction", "age", "sex"])
    axes = composition_by_age(table, color="sex", columns=2)
    panels = axes.child_axes
    assert [panel.get_title(loc="left") for panel in panels] == ["z", "y", "x"]
    dots = np.concatenate([line.get_xydata() for line in panels[0].lines if line.get_marker() == "o"])
    assert dots[np.argsort(dots[:, 0]), 1] == pytest.approx([22.0, 23.1, 25.5, 27.0])
    assert all(panel.get_legend() is None for panel in panels)
    assert "n = 4" in panels[2].get_xlabel()


def test_effects_with_intervals_are_filled_where_clear():
    table = pd.DataFrame({"name": ["a", "b"], "effect": [0.5, -0.1], "ci_low": [0.3, -0.3], "ci_high": [0.7, 0.1],
                          "n_donors": [12, 11], "adj_p_value": [0.01, 0.5]})  # fmt: skip
    axes = forest(table, label="name")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a  (n = 12)", "b  (n = 11)"]
    assert axes.lines[0].get_xdata().tolist() == [0.5, -0.1]
    assert [list(line.get_xdata()) for line in axes.lines[1:3]] == [[0.3, 0.7], [-0.3, 0.1]]
    assert axes.lines[3].get_xydata().tolist() == [[0.5, 0.0]]


def test_markers_along_pseudotime_are_means_of_bins_over_the_highest():
    time = np.arange(100) / 99
    table = pd.DataFrame({"pseudotime": time, "PAX7": 1 - time, "MYOG": 2 * time})
    axes = pseudotime(table, markers=["PAX7", "MYOG"], bins=4)
    early, late = axes.lines
    assert late.get_ydata()[-1] == early.get_ydata()[0] == 1
    assert late.get_ydata()[0] == pytest.approx(time[:25].mean() / time[75:].mean())
    with pytest.raises(TitinError, match="3 cells are too few for 24 bins"):
        pseudotime(table.iloc[:3], markers=["PAX7"])


def test_parts_of_the_variance_have_quartiles_and_means():
    table = pd.DataFrame({"cell type": [0.0, 0.2, 0.4, 0.6, 0.8], "age": [0.0, 0.0, 0.0, 0.0, 0.1]})
    axes = variance_parts(table, terms=["cell type", "age"])
    box = axes.containers[0].patches[0]
    assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((20, 60))
    assert axes.lines[-1].get_xdata() == pytest.approx([40, 2])
    assert [t.get_text() for t in axes.texts] == ["40.0 %", "2.0 %"]


def test_all_figures_take_the_five_keywords_and_write_files(tmp_path):
    from titin.plot import new_axes

    axes = new_axes((4, 3))
    assert volcano(GENES, ax=axes, title="T", palette={"up": "#123456"}, save=tmp_path / "v.svg") is axes
    assert axes.get_title(loc="left") == "T"
    assert (tmp_path / "v.svg").stat().st_size > 1000
    figure = heat_map(pd.DataFrame([[1.0]]), figsize=(3, 2)).figure
    assert figure.get_size_inches().tolist() == [3, 2]
    assert to_png(fibre_types(DONORS)).startswith(b"\x89PNG")
    assert b"<svg" in to_svg(forest(GENES.assign(low=0, high=1), label="gene", effect="log2_fold_change", low="low",
                                    high="high", n=None))  # fmt: skip


@pytest.mark.parametrize(
    "draw",
    [
        lambda: volcano(GENES.drop(columns="p_value")),
        lambda: volcano(GENES.iloc[4:]),
        lambda: heat_map(pd.DataFrame([[np.nan]])),
        lambda: fibre_types(DONORS.assign(type_1=np.nan)),
        lambda: ridge(pd.DataFrame({"a": [None], "b": [1.0]}), group="a", value="b"),
        lambda: dot_plot(pd.DataFrame({"a": [], "b": [], "mean": [], "fraction": []}), x="a", y="b"),
        lambda: composition_by_age(pd.DataFrame({"cell_type": [], "fraction": [], "age": []})),
    ],
)
def test_missing_columns_and_empty_tables_are_told(draw):
    with pytest.raises(TitinError):
        draw()


def test_one_effect_does_not_squash_the_others():
    table = pd.DataFrame({"name": [f"s{i}" for i in range(20)], "effect": [0.1] * 19 + [30.0]})
    table = table.assign(ci_low=table["effect"] - 0.1, ci_high=table["effect"] + 0.1, n_donors=9)
    axes = forest(table, label="name")
    assert axes.get_xlim()[1] < 1.5
    assert [line.get_xydata().tolist()[0][1] for line in axes.lines if line.get_marker() == ">"] == [19]
    assert [text.get_text() for text in axes.texts] == ["+30"]
    calm = forest(table.head(19), label="name")
    assert not calm.texts
    assert all(line.get_marker() not in ("<", ">") for line in calm.lines)


def test_a_donor_of_few_cells_is_marked_and_steers_neither_line_nor_axis():
    table = pd.DataFrame({"cell_type": "FB", "age": [20.0, 30, 40, 50, 60, 70],
                          "fraction": [0.1, 0.11, 0.12, 0.13, 0.14, 0.9],
                          "n_cells": [3000, 2500, 4000, 3500, 2800, 24]})  # fmt: skip
    axes = composition_by_age(table, n_cells="n_cells", columns=1)
    panel = axes.child_axes[0]
    assert panel.get_ylim()[1] < 25
    solid, marked = panel.lines[0], next(line for line in panel.lines if line.get_marker() == "^")
    assert solid.get_ydata() == pytest.approx([10, 11, 12, 13, 14])
    assert marked.get_markerfacecolor() == "none"
    fitted = next(line for line in panel.lines if line.get_linestyle() == "-")
    assert np.ptp(np.diff(fitted.get_ydata())) == pytest.approx(0, abs=1e-9)
    assert fitted.get_ydata()[-1] == pytest.approx(14)
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["fewer than 290 cells"]
    plain = composition_by_age(table.head(5), n_cells="n_cells", columns=1)
    assert plain.get_legend() is None


def test_a_marker_of_next_to_no_cell_is_named_and_not_drawn():
    time = np.arange(480) / 479
    table = pd.DataFrame({"pseudotime": time, "PAX7": 1 - time, "MYOD1": np.where(np.arange(480) == 100, 0.5, 0.0)})
    axes = pseudotime(table, markers=["PAX7", "MYOD1"])
    assert [len(line.get_xdata()) for line in axes.lines] == [24, 0]
    assert [t.get_text() for t in axes.get_legend().get_texts()][1] == "MYOD1 (in too few cells)"
    assert "MYOD1" not in alt_text(axes)


def test_blank_is_told_from_zero():
    table = pd.DataFrame([[0.0, np.nan], [1.0, 0.5]], index=["a", "b"], columns=["x", "y"])
    axes = heat_map(table, missing="not evaluable")
    assert axes.patch.get_hatch()
    assert "not evaluable" in {t.get_text() for legend in axes.findobj(Legend) for t in legend.get_texts()}
    assert not heat_map(table.fillna(0.0)).patch.get_hatch()
    dots = pd.DataFrame({"gene": ["A", "B"], "type": "x", "mean": [0.0, 1.0], "fraction": [0.0, 0.001]})
    drawn = dot_plot(dots, x="gene", y="type")
    assert drawn.collections[0].get_sizes().tolist() == [0.0, 3.0]
    assert drawn.lines[0].get_xydata().tolist() == [[0.0, 0.0]]


def test_lines_to_names_do_not_cross():
    rng = np.random.default_rng(0)
    for _ in range(10):
        many = pd.DataFrame({"gene": [f"GENE{i}" for i in range(15)], "log2_fold_change": rng.normal(0, 1, 15),
                             "p_value": 10.0 ** -rng.uniform(4, 6, 15), "adj_p_value": 1e-3})  # fmt: skip
        axes = volcano(many, n_labels=15)
        for side in ("left", "right"):
            notes = sorted((text.xy[1], text.xy[1] + text.get_position()[1] * np.ptp(axes.get_ylim()) / 72
                            / axes.get_window_extent().height * axes.figure.dpi)
                           for text in axes.texts if (text.get_ha() == "right") == (side == "left"))  # fmt: skip
            written = [place for _, place in notes]
            assert written == sorted(written)


def test_figures_of_made_up_data_say_so():
    with noted(synthetic_note("Drawn.")):
        made = heat_map(pd.DataFrame([[1.0]]))
    assert [text.get_text() for text in made.figure.texts] == ["synthetic data"]
    with noted(synthetic_note(None)):
        assert not heat_map(pd.DataFrame([[1.0]])).figure.texts
