import io
import struct
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from titin.errors import TitinError
from titin.plot import THEMES, alt_text, category_palette, embedding, new_axes, stacked_bars, theme, to_png, to_svg
from titin.plot.colour_spaces import rgb
from titin.plot.style import SMALL, text_colors

TABLE = pd.DataFrame({"UMAP1": [0.0, 1.0, 5.0], "UMAP2": [0.0, 3.0, 1.0], "type": ["a", "b", "b"]})


def draw(**more):
    return embedding(TABLE, x="UMAP1", y="UMAP2", color="type", **more)


def contrast(one, other):
    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_neutral_ink_reads_on_light_and_dark_pages():
    ink = THEMES["neutral"].ink
    assert contrast(ink, "#ffffff") >= 4.5
    assert contrast(ink, "#0d1117") >= 4
    for name in ("light", "dark"):
        assert contrast(THEMES[name].ink, THEMES[name].background) >= 7


def test_a_theme_holds_for_the_figures_made_inside():
    with theme("dark"):
        inside = draw(title="types")
    outside = draw(title="types")
    assert inside.xaxis.label.get_color() == THEMES["dark"].ink
    assert outside.xaxis.label.get_color() == THEMES["neutral"].ink
    assert text_colors(inside) == ("#ffffff", "#000000")
    assert text_colors(outside) == ("#1a1a1a", "#ffffff")


def test_an_unknown_theme_is_refused():
    with pytest.raises(TitinError, match="no theme 'sepia'"), theme("sepia"):
        pass


def test_all_type_has_eight_points_or_more():
    many = pd.DataFrame({"donor": list("abcdefgh"), "type": list("xyxyzzxx")})
    for axes in (draw(title="types", labels=True), stacked_bars(many, group="donor", part="type", title="cells")):
        from matplotlib.text import Text

        sizes = {t.get_fontsize() for t in axes.figure.findobj(Text) if t.get_text() and t.get_visible()}
        assert min(sizes) >= SMALL == 8


def test_png_is_transparent_says_what_it_shows_and_is_the_same_each_time():
    axes = draw()
    data = to_png(axes)
    image = Image.open(io.BytesIO(data))
    assert image.size == (748, 604)
    assert image.convert("RGBA").getpixel((0, 0))[3] == 0
    assert image.text["Description"] == alt_text(axes)
    assert data == to_png(draw())


def test_png_on_the_background_of_its_theme():
    with theme("dark"):
        data = to_png(draw())
    assert Image.open(io.BytesIO(data)).convert("RGBA").getpixel((1, 1)) == (0x0D, 0x11, 0x17, 255)


def test_png_has_the_size_asked_for_and_the_figure_keeps_its_own():
    axes = draw(figsize=(4, 3))
    before = axes.figure.dpi
    width, height = struct.unpack(">II", to_png(axes, dpi=72)[16:24])
    assert (width, height) == (288, 216)
    assert axes.figure.dpi == before


def test_svg_has_text_as_text_and_is_the_same_each_time():
    data = to_svg(draw(title="by type"))
    assert b">by type<" in data
    assert data.count(b"<image") == 1
    assert data == to_svg(draw(title="by type"))


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_save_writes_by_suffix(tmp_path, suffix, start):
    draw(save=tmp_path / f"map.{suffix}")
    assert (tmp_path / f"map.{suffix}").read_bytes().startswith(start)


def test_save_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(TitinError, match=r"\.bmp"):
        draw(save=tmp_path / "map.bmp")


def test_importing_plot_does_not_import_matplotlib():
    code = "import sys, titin.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_new_axes_have_no_box():
    axes = new_axes((3, 3))
    assert [axes.spines[s].get_visible() for s in ("left", "bottom", "top", "right")] == [True, True, False, False]
    assert category_palette([]) == {}


def test_no_two_categories_share_a_colour_in_the_file_and_a_colour_bar_is_smooth():
    """Forty types and a bar of 256 steps in a picture of 256 colours."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(40), 60)
    xy = rng.normal(0, 0.25, (len(codes), 2)) + 3 * np.column_stack([codes % 8, codes // 8])
    table = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "type": codes.astype(str)})
    table["age"] = rng.uniform(0, 1, len(codes))
    with theme("light"):
        by_type = embedding(table, x="x", y="y", color="type", labels=False)
        by_age = embedding(table, x="x", y="y", color="age")
    pixels = np.asarray(Image.open(io.BytesIO(to_png(by_type))).convert("RGB")).reshape(-1, 3)
    shown = {tuple(color) for color in np.unique(pixels, axis=0).tolist()}
    names = sorted(table["type"].unique())
    wanted = np.rint(rgb(list(category_palette(names).values())) * 255).astype(int).tolist()
    assert len({*map(tuple, wanted)}) == 40
    assert {*map(tuple, wanted)} <= shown
    picture = np.asarray(Image.open(io.BytesIO(to_png(by_age))).convert("RGB")).astype(int)
    box = by_age.figure.axes[1].get_window_extent()
    bar = picture[int(len(picture) - box.y1) + 2 : int(len(picture) - box.y0) - 2, int((box.x0 + box.x1) / 2)]
    assert len(np.unique(bar, axis=0)) > 100
    assert np.abs(np.diff(bar, axis=0)).max() <= 16
