"""Labels as literal text: what a category, a column or a gene is called stands in a figure as it is.

matplotlib takes text between two ``$`` for mathematics, leaves names that begin with ``_`` out of legends, and warns of
every letter that a font lacks.
"""

import textwrap
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from titin.visible import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colorbar import Colorbar
    from matplotlib.legend import Legend
    from matplotlib.text import Text

LONGEST = 80  # letters of a name
_LONGEST_TEXT = 300  # of a title or a label, which may hold several names
_LETTERS = 60  # of a line of a title


def shorten(name: object, most: int = LONGEST) -> str:
    """A name for a figure: nothing hidden in it, and of a very long one its beginning and end.

    Examples
    --------
    >>> shorten("T cell"), shorten("AAAA" * 100, 9)
    ('T cell', 'AAAA…AAAA')
    """
    text = visible(name, keep="\n")
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - (most - 1) // 2 :]}"


def make_literal(text: "Text", label: object = None, most: int = _LONGEST_TEXT) -> None:
    """Have a text of a figure say what it holds, or ``label``, letter by letter."""
    text.set_parse_math(False)
    text.set_usetex(False)
    shown = shorten(text.get_text() if label is None else label, most)
    if text.get_wrap() and shown.count("$") > 1:  # matplotlib measures what it wraps as mathematics nevertheless
        text.set_wrap(False)
        shown = textwrap.fill(shown, _LETTERS)
    text.set_text(shown)


def make_all_literal(axes: "Axes") -> None:
    """`make_literal` of all texts on an Axes, in its legend and its insets, but for tick labels.

    Those are numbers, which matplotlib writes, or names, which `name_ticks` writes.
    """
    for text in _texts(axes):
        make_literal(text)


def _texts(axes: Any) -> Iterator["Text"]:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.legend import Legend
    from matplotlib.text import Text

    for child in axes.get_children():
        if isinstance(child, Text):
            yield child
        elif isinstance(child, Axis):
            yield child.label
        elif isinstance(child, Legend):
            yield from (child.get_title(), *child.get_texts())
        elif isinstance(child, Axes):
            yield from _texts(child)


def name_ticks(axis: "Axis", at: Iterable[Any], names: Iterable[object], *, rotation: float = 0) -> None:
    """Set ticks, and the name of each beside it."""
    axis.set_ticks(list(at), [shorten(name) for name in names], rotation=rotation, parse_math=False, usetex=False)


def name_color_bar(bar: "Colorbar", name: object, **look: Any) -> None:
    """Write beside a colour bar what its colours are."""
    bar.set_label(shorten(name), parse_math=False, usetex=False, **look)


def make_legend(axes: "Axes", handles: list[Any], title: object = None, **look: Any) -> "Legend":
    """Make a legend of handles with their own labels, also of those that begin with ``_``."""
    legend = axes.legend(handles, [str(i) for i in range(len(handles))], title="" if title is None else "-", **look)
    for text, handle in zip(legend.get_texts(), handles, strict=True):
        make_literal(text, handle.get_label(), LONGEST)
    if title is not None:
        make_literal(legend.get_title(), title, LONGEST)
    return legend


@contextmanager
def quiet() -> Iterator[None]:
    """Draw without a warning for each letter that the font lacks, or for names that leave the plot no room."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r".*(constrained_layout not applied|axes sizes collapsed)")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support .* natively")
        yield
