"""Common to all figures: colours that suit the page, axes, and files."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titin.dataset.swap import whole
from titin.errors import TitinError
from titin.extras import check_installed
from titin.plot.words import make_all_literal, make_legend, make_literal, quiet
from titin.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL, MEDIUM, LARGE = 8.0, 9.0, 10.5  # points
DPI = 144


@dataclass(frozen=True)
class Theme:
    """Colours of what is not data.

    Attributes
    ----------
    ink
        Of text and axes.
    background
        Of the figure; ``none`` lets the page through.
    """

    ink: str
    background: str = "none"


# the grey of "neutral" has a contrast of 4.5 on white and of 4.2 on near-black: for pictures that cannot know the page
THEMES = {"neutral": Theme("#767676"), "light": Theme("#1f2328", "#ffffff"), "dark": Theme("#e6edf3", "#0d1117")}
_theme: ContextVar[Theme] = ContextVar("theme", default=THEMES["neutral"])
_note: ContextVar[str] = ContextVar("note", default="")
_NOTE_INCHES = 0.17


@contextmanager
def theme(name: str) -> Iterator[Theme]:
    """Draw the figures made inside for one kind of page.

    Parameters
    ----------
    name
        ``neutral`` (transparent, grey ink: reads on light and dark pages), ``light`` or ``dark``.

    Raises
    ------
    TitinError
        If there is no such theme.

    Examples
    --------
    >>> from titin.plot import theme
    >>> with theme("dark") as colours:
    ...     colours.background
    '#0d1117'
    """
    if name not in THEMES:
        raise TitinError(f"there is no theme {name!r}", f"themes: {', '.join(THEMES)}")
    token = _theme.set(THEMES[name])
    try:
        yield THEMES[name]
    finally:
        _theme.reset(token)


@contextmanager
def noted(text: str) -> Iterator[None]:
    """Have the figures made inside say something in their corner, such as that the data are synthetic; empty: nothing.

    Examples
    --------
    >>> from titin.plot import new_axes, noted
    >>> with noted("synthetic data"):
    ...     figure = new_axes((3, 2)).figure
    >>> [text.get_text() for text in figure.texts]
    ['synthetic data']
    """
    token = _note.set(text)
    try:
        yield
    finally:
        _note.reset(token)


def synthetic_note(about: str | None) -> str:
    """What figures of a dataset say in their corner, by `titin.Atlas.synthetic`."""
    return "" if about is None else "synthetic data"


def new_axes(figsize: tuple[float, float]) -> "Axes":
    """Make a figure with one Axes in the current theme, apart from pyplot; a notebook shows it all the same.

    Parameters
    ----------
    figsize
        Width and height, inches.
    """
    check_installed("matplotlib", "a figure")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from titin.plot.shown_axes import ShownAxes

    figure = Figure(figsize=figsize, dpi=DPI, layout="constrained", facecolor=_theme.get().background)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(axes_class=ShownAxes, facecolor="none")
    apply_theme(axes)
    if _note.get():
        engine: Any = figure.get_layout_engine()
        engine.set(rect=(0, 0, 1, 1 - _NOTE_INCHES / figsize[1]))
        make_literal(figure.text(0.995, 0.995, _note.get(), ha="right", va="top", fontsize=SMALL, style="italic",
                                 color=_theme.get().ink))  # fmt: skip
    return axes


def apply_theme(axes: "Axes") -> None:
    """Give an Axes the ink and the type of the current theme."""
    ink = _theme.get().ink
    for side, spine in axes.spines.items():
        spine.set_color(ink)
        spine.set_visible(side in ("left", "bottom"))
    axes.tick_params(colors=ink, labelsize=SMALL, width=0.8, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(ink)
        label.set_fontsize(MEDIUM)


def ink_of(axes: "Axes") -> Any:
    """Colour of the text of an Axes, ours or a user's: that of its axis labels."""
    return axes.xaxis.label.get_color()


def text_colors(axes: "Axes") -> tuple[str, str]:
    """Colours of text that stands on data, and of its halo: light on dark where the ink is light."""
    from matplotlib.colors import to_rgb

    light = sum(to_rgb(ink_of(axes))) / 3 > 0.6
    return ("#ffffff", "#000000") if light else ("#1a1a1a", "#ffffff")


def finish(axes: "Axes", *, title: str | None, alt: str, save: Path | str | None) -> "Axes":
    """End a figure: its title, its description for those who cannot see it, its file if one is asked for.

    Parameters
    ----------
    axes
        What was drawn on.
    title
        None for none.
    alt
        Kept as the label of the Axes, from where `to_png` and `alt_text` have it.
    save
        A file ending in ``.png``, ``.svg`` or ``.pdf``.
    """
    if title:
        set_title(axes, title)
    make_all_literal(axes)
    axes.set_label(visible(alt))
    if save is not None:
        save_figure(axes, save)
    return axes


def set_title(axes: "Axes", title: str) -> None:
    """Write a title over an Axes, at the left, in its ink."""
    make_literal(axes.set_title(title, loc="left", fontsize=LARGE, color=ink_of(axes), wrap=True))


def alt_text(axes: "Axes") -> str:
    """Describe a figure in words with numbers, for those who cannot see it."""
    return str(axes.get_label())


def style_legend(axes: "Axes", handles: list[Any], *, title: str | None = None) -> None:
    """Put a legend to the right of an Axes, in its ink, in as many columns as its height asks for."""
    height = axes.get_window_extent().height / figure_of(axes).dpi * 72
    rows = max(1, int(height / (1.4 * SMALL)) - (title is not None))
    legend = make_legend(
        axes, handles, title, ncols=-(-len(handles) // rows), loc="upper left", bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0, frameon=False, fontsize=SMALL, title_fontsize=SMALL, labelcolor=ink_of(axes),
        handletextpad=0.4, handlelength=1.4, columnspacing=1.0, labelspacing=0.35, alignment="left",
    )  # fmt: skip
    legend.get_title().set_color(ink_of(axes))


def figure_of(axes: "Axes") -> "Figure":
    """The figure that an Axes is on, at the top of its subfigures."""
    figure: Any = axes.get_figure(root=True)
    return figure  # type: ignore[no-any-return]


def to_png(axes: "Axes", *, dpi: int = DPI, colors: int | None = 256) -> bytes:
    """Draw the figure of an Axes as PNG.

    Parameters
    ----------
    axes
        From any of the figures.
    dpi
        Pixels an inch.
    colors
        Most colours of the picture, which makes point clouds a third as large; None keeps all. Those that cover most
        of it, such as the colours of categories and the steps of a colour bar, are kept exactly.

    Returns
    -------
    bytes
        The same for a figure drawn anew; its ``Description`` is the text of `alt_text`.
    """
    from PIL import Image, PngImagePlugin

    pixels = _pixels(figure_of(axes), dpi)
    image = Image.fromarray(pixels) if colors is None else _with_palette(pixels, colors)
    about = PngImagePlugin.PngInfo()
    about.add_itxt("Description", alt_text(axes))
    packed = io.BytesIO()
    image.save(packed, "PNG", optimize=True, dpi=(dpi, dpi), pnginfo=about)
    return packed.getvalue()


def _pixels(figure: "Figure", dpi: int) -> Any:
    """RGBA of a figure, drawn once: ``savefig`` draws twice."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    own = isinstance(figure.canvas, FigureCanvasAgg)
    canvas: Any = figure.canvas if own else FigureCanvasAgg(figure)
    before = figure.dpi
    figure.set_dpi(dpi)
    try:
        with quiet():
            canvas.draw()
        return np.array(canvas.buffer_rgba())
    finally:
        figure.set_dpi(before)


def _with_palette(pixels: Any, colors: int) -> Any:
    """A picture of at most so many colours: those of areas as they are, others (edges) as the nearest of those kept."""
    import numpy as np
    from PIL import Image
    from scipy.spatial import KDTree

    packed = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    found, places = np.unique(packed, return_inverse=True)
    places = places.reshape(packed.shape)
    if len(found) > colors:
        area = np.bincount(places[:, 1:][places[:, 1:] == places[:, :-1]], minlength=len(found))
        largest = np.argsort(-area, kind="stable")
        exact, rest = np.split(largest, [colors * 3 // 4])
        few = Image.fromarray(found[rest].view(np.uint8).reshape(1, -1, 4))
        few = few.quantize(colors - len(exact), method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        more = np.ascontiguousarray(few.convert("RGBA")).view(np.uint32).ravel()
        kept = np.unique(np.concatenate([found[exact], more]))
        places, found = KDTree(_seen(kept)).query(_seen(found))[1][places], kept
    image = Image.fromarray(places.astype(np.uint8), "P")
    rgba = found.view(np.uint8).reshape(-1, 4)
    opaque = bool((rgba[:, 3] == 255).all())
    image.putpalette((rgba[:, :3] if opaque else rgba).tobytes(), "RGB" if opaque else "RGBA")
    return image


def _seen(packed: Any) -> Any:
    """RGBA as it is seen: what is transparent has no colour."""
    import numpy as np

    rgba = packed.view(np.uint8).reshape(-1, 4).astype(float)
    return np.column_stack([rgba[:, :3] * rgba[:, 3:] / 255, rgba[:, 3]])


def to_svg(axes: "Axes") -> bytes:
    """Draw the figure of an Axes as SVG, text as text, point clouds as embedded pictures; the same bytes each time."""
    import matplotlib as mpl

    drawn = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "titin"}), quiet():
        figure_of(axes).savefig(drawn, format="svg", metadata={"Date": None, "Description": alt_text(axes)})
    return drawn.getvalue()


def save_figure(axes: "Axes", path: Path | str) -> None:
    """Write the figure of an Axes to a file, by its suffix.

    Raises
    ------
    TitinError
        If the suffix is none of ``.png``, ``.svg`` and ``.pdf``.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise TitinError(f"figures are not written as {path.suffix or 'files without a suffix'} ({path})",
                         "end the name in .png, .svg or .pdf")  # fmt: skip
    with whole(path) as file, quiet():
        if path.suffix == ".pdf":
            figure_of(axes).savefig(file, metadata={"CreationDate": None})
        else:
            file.write_bytes(to_png(axes) if path.suffix == ".png" else to_svg(axes))
