import itertools

import numpy as np
import pandas as pd
import pytest

from titin.errors import TitinError
from titin.plot import alt_text, density, embedding, embedding_panels, new_axes, resolve_palette, to_png
from titin.plot.colour_spaces import rgb
from titin.plot.palettes import MISSING, palette_of


def clouds(n_types, n=2000, *, seed=0, apart=12.0):
    """A table of cells in as many clouds as there are types, on a grid."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_types, n)
    side = int(np.ceil(np.sqrt(n_types)))
    xy = rng.normal(0, 1, (n, 2)) + apart * np.column_stack([codes % side, codes // side])
    names = [f"type {i:02d}" for i in range(n_types)]
    return pd.DataFrame({"UMAP1": xy[:, 0], "UMAP2": xy[:, 1], "type": pd.Categorical.from_codes(codes, names)})


def draw(table, **more):
    return embedding(table, x="UMAP1", y="UMAP2", **more)


def image(axes):
    return axes.images[0].get_array()


def pixel(axes, x, y):
    left, right, bottom, top = axes.images[0].get_extent()
    height, width = image(axes).shape[:2]
    return image(axes)[int((y - bottom) / (top - bottom) * height), int((x - left) / (right - left) * width)]


def bytes_of(color):
    return np.rint(rgb(color)[0] * 255).astype(int).tolist()


def test_a_cell_is_painted_where_it_lies_in_the_colour_of_its_category():
    table = pd.DataFrame({"UMAP1": [0.0, 10.0, 10.0], "UMAP2": [0.0, 0.0, 5.0], "kind": ["a", "b", "b"]})
    axes = draw(table, color="kind", palette={"a": "#ff0000", "b": "#0000ff"})
    assert pixel(axes, 0, 0).tolist() == [255, 0, 0, 255]
    assert pixel(axes, 10, 0).tolist() == pixel(axes, 10, 5).tolist() == [0, 0, 255, 255]
    assert pixel(axes, 5, 2.5)[3] == 0


def test_the_highest_cell_is_up_on_the_screen():
    table = pd.DataFrame({"UMAP1": [0.0, 0.0], "UMAP2": [0.0, 4.0]})
    axes = draw(table)
    assert axes.images[0].origin == "lower"
    bottom, top = axes.get_ylim()
    assert bottom < 0 < 4 < top


def test_one_unit_is_as_long_up_as_across():
    axes = draw(clouds(4).assign(UMAP2=lambda t: t["UMAP2"] / 20))
    left, right, bottom, top = axes.images[0].get_extent()
    height, width = image(axes).shape[:2]
    assert (right - left) / width == pytest.approx((top - bottom) / height)
    assert axes.get_aspect() == 1


@pytest.mark.parametrize("missing", [np.nan, None])
def test_cells_without_a_value_lie_beneath_in_grey(missing):
    table = pd.DataFrame({"UMAP1": [0.0, 0.0, 9.0], "UMAP2": [0.0, 0.0, 0.0], "kind": ["a", missing, missing]})
    for seed in range(5):
        axes = draw(table, color="kind", palette={"a": "#ff0000"}, seed=seed)
        assert pixel(axes, 0, 0)[:3].tolist() == [255, 0, 0]
        assert pixel(axes, 9, 0)[:3].tolist() == bytes_of(MISSING)
    assert "2 without one in grey" in alt_text(axes)
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a  1", "not known  2"]


def test_neither_of_two_mixed_categories_hides_the_other():
    rng = np.random.default_rng(0)
    n = 20_000
    table = pd.DataFrame(
        {"UMAP1": rng.normal(size=n), "UMAP2": rng.normal(size=n), "sex": ["F"] * (n // 2) + ["M"] * (n // 2)}
    )
    picture = image(draw(table, color="sex", palette={"F": "#ff0000", "M": "#0000ff"})).astype(int)
    solid = picture[..., 3] == 255
    red = (picture[solid][:, 0] > picture[solid][:, 2]).mean()
    assert 0.45 < red < 0.55


def test_the_order_of_rows_does_not_matter_to_who_is_seen_but_the_seed_is_all_there_is():
    table = clouds(3)
    assert np.array_equal(image(draw(table, color="type")), image(draw(table, color="type")))
    assert not np.array_equal(
        image(draw(table.assign(UMAP1=0.0, UMAP2=table["UMAP2"] % 1), color="type", seed=1)),
        image(draw(table.assign(UMAP1=0.0, UMAP2=table["UMAP2"] % 1), color="type", seed=2)),
    )


def test_few_categories_have_a_legend_with_n_in_their_colours_and_no_names_on_the_map():
    table = clouds(6)
    axes = draw(table, color="type")
    assert list(axes.texts) == []
    handles = axes.get_legend().legend_handles
    names = [f"type {i:02d}" for i in range(6)]
    sizes = table["type"].value_counts()
    assert [h.get_label() for h in handles] == [f"{name}  {sizes[name]}" for name in names]
    assert [h.get_color() for h in handles] == list(resolve_palette(names, None).values())


def test_many_separate_categories_are_named_on_the_map_and_counted_in_the_legend():
    table = clouds(36)
    axes = draw(table, color="type", figsize=(8.6, 5.6))
    assert {t.get_text() for t in axes.texts} == set(table["type"].cat.categories)
    sizes = table["type"].value_counts()
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [f"type {i:02d}  {sizes[f'type {i:02d}']}"
                                                                     for i in range(36)]  # fmt: skip
    for note in axes.texts:
        mine = table.loc[table["type"] == note.get_text(), ["UMAP1", "UMAP2"]].to_numpy()
        assert (abs(mine - note.xy).sum(axis=1) == 0).any(), "a name points at a cell of its type"


@pytest.mark.parametrize("width", [2.8, 4.0])
def test_a_legend_leaves_room_for_the_map_and_stays_in_the_figure(width):
    table = clouds(17)
    table["donor"] = np.random.default_rng(1).permutation(table["type"].to_numpy())
    axes = draw(table, color="donor", figsize=(width, 0.85 * width))
    axes.figure.draw_without_rendering()
    whole = axes.figure.bbox
    key = axes.get_legend().get_window_extent()
    assert axes.get_window_extent().width > 0.3 * whole.width
    assert key.y0 >= -1
    assert key.x1 <= whole.x1 + 1


def test_mixed_categories_have_a_legend_up_to_twenty():
    table = clouds(16)
    shuffled = table.assign(donor=np.random.default_rng(1).permutation(table["type"].to_numpy()))
    axes = draw(shuffled, color="donor")
    assert list(axes.texts) == []
    assert len(axes.get_legend().get_texts()) == 16


@pytest.mark.parametrize(
    ("n_types", "width", "apart"), [(36, 5.2, 12.0), (36, 3.0, 2.0), (82, 5.2, 1.0), (82, 3.0, 0.0)]
)
def test_names_never_touch_nor_leave_the_axes(n_types, width, apart):
    axes = draw(clouds(n_types, 4000, apart=apart), color="type", figsize=(width, width), labels=True)
    renderer = axes.figure.canvas.get_renderer()
    axes.figure.draw_without_rendering()
    boxes = [note.get_window_extent(renderer) for note in axes.texts]
    assert len(boxes) > 5
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    frame = axes.get_window_extent(renderer)
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)


def test_the_largest_categories_are_named_first_where_there_is_no_room():
    table = clouds(82, 4000, apart=0.0)
    axes = draw(table, color="type", figsize=(2.2, 2.2))
    named = {t.get_text() for t in axes.texts}
    assert 0 < len(named) < 82
    assert table["type"].value_counts().index[0] in named


def test_numbers_have_a_colour_bar_with_the_name_and_the_range():
    table = clouds(2).assign(age=np.linspace(19, 74, 2000))
    axes = draw(table, color="age", palette="cividis")
    bar = axes.figure.axes[1]
    assert bar.get_ylabel() == "age"
    assert bar.get_ylim() == (19, 74)
    assert alt_text(axes) == "Map of 2,000 cells by UMAP1 and UMAP2, coloured by age: from 19 to 74."


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_constant_or_unknown_number_is_drawn(value):
    axes = draw(clouds(2).assign(gene=value), color="gene")
    assert image(axes)[..., 3].max() == 255


def test_true_and_false_are_categories():
    axes = draw(clouds(2).assign(doublet=lambda t: t["UMAP1"] > 3), color="doublet")
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["False  956", "True  1,044"]


def test_cells_without_coordinates_are_counted():
    table = clouds(2)
    table.loc[:9, "UMAP1"] = np.nan
    assert draw(table).get_xlabel() == "UMAP1   (n = 1,990, 10 without coordinates)"


def test_a_picture_does_not_grow_with_the_cells():
    small, large = (image(draw(clouds(4, n))).nbytes for n in (1000, 200_000))
    assert large < 1.2 * small


def test_drawing_on_given_axes_leaves_the_figure_alone():
    axes = new_axes((6, 3))
    assert draw(clouds(2), ax=axes, title="by type", color="type") is axes
    assert axes.get_title("left") == "by type"
    assert axes.figure.get_size_inches().tolist() == [6, 3]


def test_pyplot_knows_nothing_of_it():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    to_png(draw(clouds(2), color="type"))
    assert plt.get_fignums() == before


def test_density_counts_every_cell_once():
    table = clouds(5, 3000)
    axes = density(table, x="UMAP1", y="UMAP2", bins=50)
    counts = image(axes)
    assert counts.sum() == 3000
    assert max(counts.shape) == 50
    assert counts.mask.any()
    assert axes.images[0].norm.vmin == 1
    assert f"at most {int(counts.max())} in one" in alt_text(axes)


def test_what_is_not_there_is_said():
    with pytest.raises(TitinError, match="no column 'donor'"):
        draw(clouds(2), color="donor")
    with pytest.raises(TitinError, match="no cell has coordinates"):
        draw(clouds(2).assign(UMAP1=np.nan))


def test_one_cell_is_a_map():
    axes = draw(pd.DataFrame({"UMAP1": [3.0], "UMAP2": [4.0], "type": ["a"]}), color="type")
    assert pixel(axes, 3, 4)[3] == 255


def test_a_name_stands_on_cells_of_its_own_or_nowhere():
    """Three cells of a rare type in the midst of others, whose name would cover only cells of others."""
    table = clouds(22, 6000, apart=9.0)
    middle = table[table["type"] == "type 05"][["UMAP1", "UMAP2"]].mean()
    rare = pd.DataFrame({"UMAP1": middle["UMAP1"] + np.array([0, 0.01, 0.02]), "UMAP2": middle["UMAP2"]})
    rare["type"] = "rare"
    table = pd.concat([table.astype({"type": str}), rare], ignore_index=True)
    axes = draw(table, color="type", figsize=(8.6, 5.6))
    named = {t.get_text() for t in axes.texts}
    assert "rare" not in named
    assert "type 05" in named
    assert "rare  3" in {t.get_text() for t in axes.get_legend().get_texts()}
    assert not axes.lines, "no lines lead from names to elsewhere"


def test_no_two_of_two_hundred_categories_share_a_colour():
    colors = list(resolve_palette([f"t{i}" for i in range(200)], None).values())
    assert len(set(colors)) == 200
    own = palette_of(pd.Series([f"t{i}" for i in range(60)]), {"t3": colors[0]})
    assert len(set(own.values())) == 60


def test_many_donors_have_a_panel_each_with_n():
    table = clouds(17).rename(columns={"type": "donor"})
    axes = embedding_panels(table, x="UMAP1", y="UMAP2", by="donor", order=[f"type {i:02d}" for i in range(16, -1, -1)])
    sizes = table["donor"].value_counts()
    assert [panel.get_title(loc="left") for panel in axes.child_axes] == [
        f"type {i:02d}, n = {sizes[f'type {i:02d}']}" for i in range(16, -1, -1)
    ]
    picture = axes.child_axes[0].images[0].get_array()
    solid = picture[..., 3] == 255
    blue = (picture[solid][:, 2].astype(int) - picture[solid][:, 0] > 100).mean()
    assert 0.01 < blue < 0.25
