"""Labels are literal text: whatever a category, a column or a gene is called, every figure says it and is drawn."""

import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.text import Text
from PIL import Image

from titin import plot
from titin.plot import learning
from titin.plot.words import LONGEST, shorten

HOSTILE = {
    "all at once": "_$\\frac{$ x^2 $\\a_b$ 骨 % {0} \x1b[2J <b>\\",
    "mathtext": r"$\alpha$-actin $\frac{1}$", "one dollar": "5 $ a cell", "broken": r"$\frac{$ and $",
    "escaped": r"\$x\$", "backslash": "a\\b\\", "underscore": "_hidden", "two": "__x__", "caret": "x^2_i",
    "percent": "100 % %s %(n)d {} {0}", "nolegend": "_nolegend_", "child": "_child0", "line": "one\ntwo",
    "CJK": "骨格筋 細胞", "emoji": "👩\u200d🔬 🧬", "right to left": "خلية عضلية", "bidi": "abc\u202edef",
    "control": "a\x1b[2J\x00b", "tab": "a\tb", "markup": "<b>&amp;</b>", "quotes": "\"'`", "blank": " ",
    "brace": "{", "TeX": r"\textbf{x}~#&", "comma": "a,b;c", "number": "1e5",
    "long": "very long name of a cell type " * 100, "word": "W" * 3000, "combining": "e\u0301\u0323" * 5,
}  # fmt: skip
N = 40
_random = np.random.default_rng(0)
NUMBERS = _random.normal(size=(N, 3))
SHARES = _random.dirichlet([2, 2, 2], N)


def two(name: str) -> np.ndarray:
    """Two categories in turn, the first of that name."""
    return np.array([name, "other"], object)[np.arange(N) % 2]


def cells(name: str) -> pd.DataFrame:
    return pd.DataFrame({"x": NUMBERS[:, 0], name: NUMBERS[:, 1], f"{name}2": two(name), "v": abs(NUMBERS[:, 2]) + 0.1})


def many(name: str) -> pd.DataFrame:
    """Cells of 25 categories, each a cloud, so that names stand on the map."""
    kind = np.arange(N * 5) % 25
    places = np.column_stack([kind % 5, kind // 5]) * 10 + _random.normal(size=(N * 5, 2))
    labels = np.array([name, *(f"type {i}" for i in range(1, 25))], object)[kind]
    return pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "c": labels})


def donors(name: str) -> pd.DataFrame:
    table = pd.DataFrame({"donor": [f"{name}{i}" for i in range(N)], "age": np.linspace(20, 80, N), "n_typed": 9})
    return table.assign(type_1=SHARES[:, 0], hybrid=SHARES[:, 1], **{name: SHARES[:, 2]})


def genes(name: str) -> pd.DataFrame:
    p = np.linspace(1e-6, 0.9, N)
    named = [name, *(f"G{i}" for i in range(1, N))]
    return pd.DataFrame({"gene": named, "log2_fold_change": NUMBERS[:, 0], "p_value": p, "adj_p_value": p,
                         "mean_log_cpm": NUMBERS[:, 1]})  # fmt: skip


def effects(name: str) -> pd.DataFrame:
    middle = NUMBERS[:5, 0]
    return pd.DataFrame({"set": [name, "b", "c", "d", "e"], name: middle, "ci_low": middle - 1, "ci_high": middle + 1,
                         "n_donors": 5, "adj_p_value": 0.01})  # fmt: skip


def grid(name: str) -> pd.DataFrame:
    return pd.DataFrame({"g": [name, name, "b", "b"], "t": [name, "u", name, "u"], "mean": [1.0, 2, 3, 4],
                         "fraction": [0.1, 0.5, 0.7, 1]})  # fmt: skip


def scored(name: str) -> pd.DataFrame:
    return pd.DataFrame({
        "true": [20.0, 40, 60], "predicted": [25.0, 45, 50], "low": [20.0, 40, 45], "high": [30.0, 50, 55],
        "sex": [name, "F", name], "model": [name, "b", name], "confidence": [0.2, 0.5, 0.9],
        "accuracy": [0.1, 0.6, 0.8], "n": 9, "donors": [3, 5, 7], "value": [0.1, 0.2, 0.3],
        "held_out": [0.1, 0.2, 0.3], "leaky": [0.5, 0.6, 0.7],
    })  # fmt: skip


def counted(name: str) -> pd.DataFrame:
    return pd.DataFrame([[5, 1], [2, 7]], index=[name, "b"], columns=[name, "b"])


# each figure with a name in every place that a user's text can reach, and how often it must be read there
FIGURES: dict[str, tuple[Callable[[str], Axes], int]] = {
    "embedding": (lambda n: plot.embedding(cells(n), x="x", y=n, color=f"{n}2", title=n), 3),
    "embedding_number": (lambda n: plot.embedding(cells(n), x="x", y="v", color=n, title=n), 2),
    "embedding_labels": (lambda n: plot.embedding(many(n), x="x", y="y", color="c", title=n, labels=True), 1),
    "embedding_panels": (lambda n: plot.embedding_panels(cells(n), x="x", y="v", by=f"{n}2", title=n), 1),
    "density": (lambda n: plot.density(cells(n), x="x", y=n, title=n), 2),
    "dots": (lambda n: plot.dots(cells(n), group=f"{n}2", value=n, color=f"{n}2", title=n), 4),
    "trend": (lambda n: plot.trend(cells(n), x="x", y=n, color=f"{n}2", title=n), 3),
    "stacked_bars": (lambda n: plot.stacked_bars(cells(n), group=f"{n}2", part=f"{n}2", value="v", title=n), 3),
    "ridge": (lambda n: plot.ridge(cells(n), group=f"{n}2", value=n, color=f"{n}2", xlabel=n, title=n), 4),
    "composition_by_age": (lambda n: plot.composition_by_age(
        cells(n).assign(fraction=0.2), cell_type=f"{n}2", age="v", color=f"{n}2", title=n), 3),
    "dot_plot": (lambda n: plot.dot_plot(grid(n), x="g", y="t", color_label=n, size_label=n, title=n), 5),
    "heat_map": (lambda n: plot.heat_map(counted(n), label=n, x_label=n, y_label=n, title=n), 6),
    "forest": (lambda n: plot.forest(effects(n), label="set", effect=n, xlabel=n, title=n), 3),
    "fibre_types": (lambda n: plot.fibre_types(donors(n), parts=("type_1", "hybrid", n), title=n), 3),
    "pseudotime": (lambda n: plot.pseudotime(cells(n), time="v", markers=[n], bins=8, title=n), 2),
    "variance_parts": (lambda n: plot.variance_parts(donors(n), terms=["type_1", n], title=n), 2),
    "volcano": (lambda n: plot.volcano(genes(n), xlabel=n, title=n), 3),
    "ma_plot": (lambda n: plot.ma_plot(genes(n), ylabel=n, title=n), 3),
    "activity_by_age": (lambda n: plot.activity_by_age(
        pd.DataFrame({"cell_type": [n, "b"] * 6, "age": np.arange(12.0), "mean": 1.0}), label=n, title=n), 3),
    "regulator_network": (lambda n: plot.regulator_network(
        pd.DataFrame({"regulator": [n, "b"], "target": ["c", n], "weight": [1, -2]}), label=n, title=n), 5),
    "predicted_against_actual": (lambda n: learning.predicted_against_actual(scored(n), color="sex", title=n), 2),
    "confusion_matrix": (lambda n: learning.confusion_matrix(counted(n), title=n), 3),
    "reliability": (lambda n: learning.reliability(scored(n), title=n), 2),
    "learning_curve": (lambda n: learning.learning_curve(scored(n), metric=n, title=n), 3),
    "leak_gap": (lambda n: learning.leak_gap(scored(n), metric=n, title=n), 3),
}  # fmt: skip


def texts(axes: Axes) -> Iterator[Text]:
    yield from (text for text in axes.get_figure(root=True).findobj(Text) if text.get_text())


def read(axes: Axes) -> list[str]:
    """What stands in a figure when it is drawn."""
    return [text.get_text() for text in texts(axes)]


def squeezed(text: str) -> str:
    """Without what figures may write otherwise: blanks for underscores."""
    return " ".join(text.replace("_", " ").split())


def check(figure: str, name: str) -> None:
    draw, times = FIGURES[figure]
    axes = draw(name)
    png = plot.to_png(axes)
    with Image.open(io.BytesIO(png)) as picture:
        assert max(picture.size) < 6000
        assert picture.info["Description"] == plot.alt_text(axes)
    said = read(axes)
    wanted = squeezed(shorten(name))
    beginning = squeezed(shorten(name)[: LONGEST // 2 - 8])  # longer texts are cut in their middle
    found = [text for text in said if wanted in squeezed(text) or (len(name) > LONGEST and beginning in squeezed(text))]
    assert len(found) >= times, (found, said)
    for text in texts(axes):
        if any(letter in text.get_text() for letter in "$\\_^") and "mathdefault" not in text.get_text():
            assert not text.get_parse_math() or "$" not in text.get_text(), text
    drawn = ElementTree.fromstring(plot.to_svg(axes))
    assert drawn.tag.endswith("svg")


def test_every_figure_is_tried() -> None:
    every = {name: getattr(plot, name) for name in plot.__all__} | vars(learning)
    drawn = {name for name, one in every.items() if "save" in (getattr(one, "__kwdefaults__", None) or {})}
    assert drawn - {"finish"} <= set(FIGURES)


@pytest.mark.parametrize(("figure", "kind"), [
    *((figure, "all at once") for figure in FIGURES),
    *(pytest.param(figure, "long", marks=[] if at % 3 == 0 else pytest.mark.slow)
      for at, figure in enumerate(list(FIGURES)[::2])),
])  # fmt: skip
def test_a_label_is_read_as_it_is(figure: str, kind: str) -> None:
    check(figure, HOSTILE[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("figure", FIGURES)
def test_every_label_in_every_figure(figure: str, kind: str) -> None:
    check(figure, HOSTILE[kind])


@pytest.mark.slow
@pytest.mark.parametrize("figure", FIGURES)
@settings(max_examples=12, deadline=None)
@given(st.text("$\\_^{}%&#~ ab\n", min_size=1, max_size=14))
def test_any_label_in_every_figure(figure: str, name: str) -> None:
    check(figure, name)


def test_what_a_user_has_set_for_mathematics_changes_nothing() -> None:
    with mpl.rc_context({"text.usetex": True, "text.parse_math": True}):
        axes = plot.dots(cells("$x$"), group="$x$2", value="$x$", title="$x$")
        assert not any(text.get_usetex() for text in texts(axes) if "$x$" in text.get_text())


def test_a_legend_has_every_entry() -> None:
    axes = plot.trend(cells("_hidden"), x="x", y="v", color="_hidden2")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["_hidden", "other"]
    assert axes.get_legend().get_title().get_text() == "_hidden2"


def test_letters_that_a_font_lacks_are_no_storm_of_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = plot.stacked_bars(cells("骨格筋"), group="骨格筋2", part="骨格筋2", title="骨格筋 🧬")
        plot.to_png(axes)
        plot.to_svg(axes)


def test_numbers_of_an_axis_are_still_written_by_matplotlib() -> None:
    """On a logarithmic scale as powers of ten, which are mathematics."""
    axes = plot.density(cells("a"), x="x", y="a")
    plot.to_png(axes)
    image: Any = axes.images[0]
    numbers = image.colorbar.ax.get_yticklabels()
    assert any("mathdefault" in label.get_text() and label.get_parse_math() for label in numbers)
