"""The distance between two colours as people see them, with full colour vision and with a deficiency of it."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from titin.plot.labels import densest, separateness, write_labels
from titin.plot.style import SMALL, figure_of, ink_of, style_legend
from titin.plot.words import name_color_bar, shorten
from titin.study.vocabulary import PROTOCOL_WORDS, plain, sex_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Colours = NDArray[np.float64]

# Machado, Oliveira and Fernandes 2009, severity 1: linear RGB as it is seen without red or green cones
VISIONS: dict[str, Colours] = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(axis=1)  # D65


def rgb(colours: "ArrayLike") -> Colours:
    """Red, green and blue (float64, 0 … 1, sRGB) of colours given as ``#rrggbb``; shape ``(n, 3)``."""
    texts = np.atleast_1d(np.asarray(colours, str))
    return np.array([[int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)] for text in texts.tolist()])


def hexadecimal(colours: Colours) -> list[str]:
    """Write sRGB colours (0 … 1, shape ``(n, 3)``) as ``#rrggbb``."""
    bytes_ = np.clip(np.rint(colours * 255), 0, 255).astype(int)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in bytes_.tolist()]


def lab(colours: Colours, vision: str = "normal") -> Colours:
    """CIE L*a*b* (D65) of sRGB colours as seen with one kind of vision.

    Parameters
    ----------
    colours
        sRGB, 0 … 1, shape ``(n, 3)``.
    vision
        ``normal``, ``protanopia`` or ``deuteranopia``, simulated after Machado, Oliveira and Fernandes (2009).

    Returns
    -------
    ndarray
        Lightness 0 … 100, a and b, float64, shape ``(n, 3)``.
    """
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISIONS[vision].T, 0, 1)
    x, y, z = _cube(seen @ _TO_XYZ.T / _WHITE).T
    return np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _cube(t: Colours) -> Colours:
    return np.asarray(np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29))


def from_lch(lightness: ArrayLike, chroma: ArrayLike, hue: ArrayLike) -> Colours:
    """SRGB of CIE lightness, chroma and hue (degrees); chroma is lowered where the screen cannot show it.

    Returns
    -------
    ndarray
        0 … 1, shape ``(n, 3)``.
    """
    light, strength, angle = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(v, float)) for v in (lightness, chroma, hue))
    )
    angle = np.deg2rad(angle)
    result, done = np.zeros((len(light), 3)), np.zeros(len(light), bool)
    for share in np.linspace(1, 0, 41):
        a, b = strength * share * np.cos(angle), strength * share * np.sin(angle)
        shown = _from_lab(np.column_stack([light, a, b]))
        fits = ~done & ((shown > -1e-6) & (shown < 1 + 1e-6)).all(axis=1)
        result[fits] = shown[fits]
        done |= fits
    return np.clip(result, 0, 1)


def _from_lab(colours: Colours) -> Colours:
    y = (colours[:, 0] + 16) / 116
    t = np.column_stack([y + colours[:, 1] / 500, y, y - colours[:, 2] / 200])
    xyz = np.where(t > 6 / 29, t**3, 3 * (6 / 29) ** 2 * (t - 4 / 29)) * _WHITE
    linear = xyz @ np.linalg.inv(_TO_XYZ).T
    gamma = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, gamma))


def difference(one: Colours, other: Colours) -> Colours:
    """CIEDE2000 difference of colours in L*a*b*; about 1 is just noticeable, 10 is seen at a glance.

    Parameters
    ----------
    one, other
        L*a*b*, shapes ``(…, 3)`` that broadcast.

    Notes
    -----
    Sharma, Wu and Dalal (2005), Color Research and Application 30:21; without the parametric factors (all 1).
    """
    light1, a1, b1 = np.moveaxis(np.asarray(one, float), -1, 0)
    light2, a2, b2 = np.moveaxis(np.asarray(other, float), -1, 0)
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * _saturation(mean)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.rad2deg(np.arctan2(b1, a1)) % 360, np.rad2deg(np.arctan2(b2, a2)) % 360
    coloured = c1 * c2 > 0
    turn = np.where(coloured, (h2 - h1 + 180) % 360 - 180, 0.0)
    d_light, d_chroma, d_hue = light2 - light1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.deg2rad(turn / 2))
    light, chroma = (light1 + light2) / 2, (c1 + c2) / 2
    hue = np.where(coloured, (h1 + ((h2 - h1 + 180) % 360 - 180) / 2) % 360, h1 + h2)
    weight = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.2 * _cos(4 * hue - 63)
    s_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_chroma, s_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    rotation = -2 * _saturation(chroma) * np.sin(np.deg2rad(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    x, y, z = d_light / s_light, d_chroma / s_chroma, d_hue / s_hue
    return np.asarray(np.sqrt(x**2 + y**2 + z**2 + rotation * y * z))


def _saturation(chroma: Colours) -> Colours:
    return np.sqrt(chroma**7 / (chroma**7 + 25.0**7))


def _cos(degrees: Colours) -> Colours:
    return np.cos(np.deg2rad(degrees))


def separation(colours: ArrayLike, visions: ArrayLike = tuple(VISIONS)) -> Colours:
    """Smallest CIEDE2000 difference of each pair of colours over several kinds of vision.

    Parameters
    ----------
    colours
        ``#rrggbb``, n of them.
    visions
        Names from `VISIONS`.

    Returns
    -------
    ndarray
        float64, shape ``(n, n)``, 0 on the diagonal.

    Examples
    --------
    >>> bool(separation(["#0072b2", "#d55e00"])[0, 1] > 40)
    True
    """
    values = rgb(colours)
    seen = [lab(values, vision) for vision in np.atleast_1d(np.asarray(visions)).tolist()]
    return np.asarray(np.min([difference(each[:, None], each[None]) for each in seen], axis=0))


Palette = Mapping[Any, str] | Sequence[str] | str

MISSING = "#b3b3b3"

# Okabe and Ito's colours, without black and yellow, which cannot be seen on a dark or a white page; each further one
# is the screen colour furthest (CIEDE2000, with normal vision and without red or green cones) from all before it, from
# white and from the grey of missing values
CATEGORIES = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#a6212c", "#006464", "#a6d390", "#b10b64",
    "#7a7aff", "#6fd3de", "#e94e64", "#4e0bff", "#856485", "#bc370b", "#6f7a4e", "#c89090", "#436443", "#de9059",
    "#d300b1", "#85d3b1", "#7a4eff", "#435985", "#00b1bc", "#d3c864", "#009b2c", "#6f90d3", "#4ed3ff", "#a6b185",
    "#64d3c8", "#905959", "#904e6f", "#a61685", "#f44e9b", "#439090", "#f4bc00", "#8500c8", "#ffb1b1", "#b143d3",
)  # fmt: skip

SEQUENTIAL = "viridis"
AGE = "cividis"
DIVERGING = "RdBu_r"

_ROLES = {"F": "#e07fb2", "M": "#0060a0", "cells": "#e69f00", "nuclei": "#006464", "young": "#56b4e9", "old": "#a6212c"}
_AGES = {"young": "young", "younger": "young", "old": "old", "older": "old", "aged": "old"}
_LIGHTEST, _DARKEST = 78.0, 40.0


def role_color(name: object) -> str | None:
    """Colour of a sex, a protocol, or of young and old; None for any other name.

    Examples
    --------
    >>> role_color("F") == role_color("female"), role_color("nucleus") == role_color("nuclei"), role_color("FB")
    (True, True, None)
    """
    word = plain(name)
    return _ROLES.get(sex_of(name) or PROTOCOL_WORDS.get(word) or _AGES.get(word) or "")


def category_palette(categories: Iterable[Hashable]) -> dict[Any, str]:
    """Give each category a colour.

    Up to 40 categories have colours of their own; any two of the first 8 differ by at least 12 CIEDE2000, any two of
    the first 36 by at least 5, also to those without red or green cones. The latter is as far apart as so many colours
    can be, and too near to be named from a legend: label such plots.

    Parameters
    ----------
    categories
        In the order to be shown. If all of them are names that `role_color` knows, they have the colours it gives.

    Returns
    -------
    dict
        ``#rrggbb`` by category, in that order.
    """
    names = list(dict.fromkeys(categories))
    roles = [role_color(name) for name in names]
    if all(roles) and len(set(roles)) == len(names):
        return dict(zip(names, [str(color) for color in roles], strict=True))
    return dict(zip(names, distinct_colors(len(names)), strict=True))


def distinct_colors(n: int, taken: Iterable[str] = ()) -> list[str]:
    """As many colours, no two alike: those of `CATEGORIES`, and then shades between them.

    Parameters
    ----------
    n
        How many.
    taken
        ``#rrggbb`` that others have.

    Returns
    -------
    list of str
        ``#rrggbb``.
    """
    used = {color.lower() for color in taken}
    found = [color for color in CATEGORIES if color not in used][:n]
    used.update(found)
    turn = 0
    while len(found) < n:  # round the circle of hues by the golden angle, in three lightnesses
        color = hexadecimal(from_lch((35.0, 55.0, 72.0)[turn % 3], 45, 137.508 * turn))[0]
        turn += 1
        if color not in used:
            found.append(color)
            used.add(color)
    return found


def lineage_palette(parents: Mapping[Hashable, Hashable]) -> dict[Any, str]:
    """Give children of one parent shades of one hue; for up to a dozen parents, beyond which hues are too near.

    Parameters
    ----------
    parents
        Parent of each category, in the order to be shown.

    Returns
    -------
    dict
        ``#rrggbb`` by category. Parents are spread round the circle of hues in order of appearance; a parent's
        children go from dark to light, and a little round the circle.
    """
    families: dict[Hashable, list[Hashable]] = {}
    for child, parent in parents.items():
        families.setdefault(parent, []).append(child)
    hues = 20 + 360 * np.arange(len(families)) / max(1, len(families))
    palette: dict[Any, str] = {}
    # neighbours on the circle start from opposite ends, so that lone children differ in more than their hue
    for i, (hue, children) in enumerate(zip(hues, families.values(), strict=True)):
        if len(children) == 1:
            light, turn = np.array([(46.0, 64.0, 76.0)[i % 3]]), np.zeros(1)
        else:
            light = np.linspace(_DARKEST, _LIGHTEST, len(children))
            turn = np.linspace(-0.3, 0.3, len(children)) * 360 / max(3, len(families))
        palette |= dict(zip(children, hexadecimal(from_lch(light, 68, hue + turn)), strict=True))
    return {child: palette[child] for child in parents}


def ordered_palette(categories: Iterable[Hashable], colormap: str = AGE) -> dict[Any, str]:
    """Give ordered categories, such as age bins, steps of a sequential colour map.

    Parameters
    ----------
    categories
        From lowest to highest.
    colormap
        A name that matplotlib knows.

    Returns
    -------
    dict
        ``#rrggbb`` by category. The ends of the map are left out, as they vanish on black or white pages.
    """
    from matplotlib import colormaps

    names = list(dict.fromkeys(categories))
    steps = np.array([0.5]) if len(names) == 1 else np.linspace(0.08, 0.92, len(names))
    return dict(zip(names, hexadecimal(colormaps[colormap](steps)[:, :3]), strict=True))


def palette_of(values: "pd.Series[Any]", colours: Mapping[str, str]) -> dict[Any, str] | None:
    """Colours of a column's categories where some have one of their own; None where none has.

    Parameters
    ----------
    values
        The column.
    colours
        ``#rrggbb`` by category. The others have those of `category_palette`, as far as these are free.
    """
    names = values.astype("category").cat.remove_unused_categories().cat.categories.tolist()
    own = {name: colours[str(name)] for name in names if str(name) in colours}
    if not own:
        return None
    others = [name for name in names if name not in own]
    return own | dict(zip(others, distinct_colors(len(others), own.values()), strict=True))


def resolve_palette(
    categories: Sequence[Hashable], palette: Palette | None, *, ordered: bool = False
) -> dict[Any, str]:
    """Colour of each category under the keyword ``palette`` of the figures.

    Parameters
    ----------
    categories
        In the order to be shown.
    palette
        Colours by category (those without one are grey), a sequence of colours taken in turn, the name of a colour map
        of matplotlib, or None for `category_palette`, or for `ordered_palette` where the categories are ordered.
    ordered
        Whether they are.
    """
    if isinstance(palette, str):
        return ordered_palette(categories, palette)
    if isinstance(palette, Mapping):
        return {name: palette.get(name, MISSING) for name in categories}
    if palette is not None:
        return {name: palette[i % len(palette)] for i, name in enumerate(categories)}
    return ordered_palette(categories) if ordered else category_palette(categories)


KEY_ENTRIES = 12  # up to here a legend is read at a glance
LEGEND_ENTRIES = 20  # up to here it is bearable, where categories have no place of their own to be named at
MOST_ENTRIES = 60  # that a legend has
_SEPARATE = 0.4  # separateness from which a category has a place of its own
_SAID = 8  # categories that the text for those who cannot see a figure counts


def is_number(values: pd.Series) -> bool:
    """Whether a column is drawn as numbers; true and false are categories."""
    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


class Plain:
    """One colour for all.

    Attributes
    ----------
    rows
        Red, green, blue of each cell (uint8), here and in the other classes.
    known
        Cells that have a value; the others are grey.
    said
        What the alternative text says of them.
    """

    def __init__(self, n: int, palette: Palette | None) -> None:
        self.rows = np.tile(_bytes([palette if isinstance(palette, str) else CATEGORIES[0]]), (n, 1))
        self.known, self.said = np.ones(n, bool), ""

    def explain(self, axes: "Axes") -> None:
        """There is nothing to explain."""


class NumberColors:
    """A colour map over numbers."""

    def __init__(self, values: pd.Series, palette: Palette | None) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        numbers = values.to_numpy(np.float64, na_value=np.nan)
        self.known = np.isfinite(numbers)
        low, high = (0.0, 1.0) if not self.known.any() else (float(f(numbers[self.known])) for f in (np.min, np.max))
        self.name, self.map = str(values.name), palette if isinstance(palette, str) else SEQUENTIAL
        self.norm = Normalize(low, high if high > low else low + 1)
        shades = colormaps[self.map](self.norm(np.where(self.known, numbers, low)))[:, :3]
        self.rows = np.rint(shades * 255).astype(np.uint8)
        self.rows[~self.known] = _bytes([MISSING])
        absent = int((~self.known).sum())
        self.said = f"from {low:g} to {high:g}" + (f", {absent:,} cells without a value in grey" if absent else "")

    def explain(self, axes: "Axes") -> None:
        """Draw the colour bar."""
        from matplotlib.cm import ScalarMappable

        color_bar(axes, ScalarMappable(self.norm, self.map), self.name)


class Categories:
    """A colour for each category."""

    def __init__(
        self, values: pd.Series, palette: Palette | None, xy: NDArray[np.float64], labels: bool | None
    ) -> None:
        categorical = values.astype("category").cat.remove_unused_categories()
        categories = categorical.cat.categories.tolist()
        chosen = resolve_palette(categories, palette, ordered=bool(categorical.cat.ordered))
        self.codes: NDArray[np.int64] = np.asarray(categorical.cat.codes, np.int64)
        self.known = self.codes >= 0
        self.rows = _bytes([*chosen.values(), MISSING])[self.codes]
        self.name, self.names, self.colors = str(values.name), [shorten(c) for c in categories], list(chosen.values())
        self.counts = np.bincount(self.codes[self.known], minlength=len(categories))
        self.absent, self.xy, self.labels = int((~self.known).sum()), xy, labels
        self.by_size: list[int] = np.argsort(-self.counts, kind="stable").tolist()

    @property
    def said(self) -> str:
        """The largest categories, with their cells."""
        most = ", ".join(f"{self.names[i]} {self.counts[i]:,}" for i in self.by_size[:_SAID])
        more = f" and {len(self.names) - _SAID} more" if len(self.names) > _SAID else ""
        return f"{len(self.names)} categories, {most}{more}" + (
            f"; {self.absent:,} without one in grey" if self.absent else ""
        )

    def explain(self, axes: "Axes") -> None:
        """Write a legend of all with their cells, the largest where there are too many, and names on the map."""
        labelled = [f"{name}  {n:,}" for name, n in zip(self.names, self.counts.tolist(), strict=True)]
        room = min(MOST_ENTRIES, _room_of_legend(axes, labelled))
        named = sorted(self.by_size[: room if len(labelled) <= room else room - 1])
        entries = [(labelled[i], self.colors[i]) for i in named]
        if len(named) < len(labelled):
            rest = [i for i in self.by_size if i not in named]
            entries.append((f"and {len(rest)} more  {int(self.counts[rest].sum()):,}", "none"))
        if self.absent:
            entries.append((f"not known  {self.absent:,}", MISSING))
        if entries:
            _legend(axes, entries, f"{self.name}, n")
        if self._on_map():
            anchors = densest(self.xy, self.codes, len(self.names))[self.by_size]
            names = [self.names[i] for i in self.by_size]
            write_labels(axes, names, anchors, (self.xy, self.codes, self.by_size))

    def _on_map(self) -> bool:
        n = len(self.names)
        if self.labels is not None:
            return self.labels
        return n > LEGEND_ENTRIES or (n > KEY_ENTRIES and separateness(self.xy, self.codes, n) >= _SEPARATE)


def _room_of_legend(axes: "Axes", labels: Sequence[str]) -> int:
    """Entries of a legend that has half the width of the figure, and at least one column of as many as stand in it."""
    figure = figure_of(axes)
    rows = max(1, int(axes.get_window_extent().height / figure.dpi * 72 / (1.4 * SMALL)) - 2)
    column = 0.6 * SMALL / 72 * max(map(len, labels), default=1) + 0.35
    return rows * max(1, int(0.5 * figure.get_figwidth() / column))


def color_bar(axes: "Axes", mappable: Any, title: str) -> None:
    """Draw a colour bar to the right."""
    bar = figure_of(axes).colorbar(mappable, ax=axes, shrink=0.6, aspect=18, pad=0.02)
    ink = ink_of(axes)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=ink, labelsize=SMALL, length=2)
    name_color_bar(bar, title, fontsize=SMALL, color=ink)


def _legend(axes: "Axes", entries: list[tuple[str, str]], title: str) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linestyle="", marker="o", markersize=5, color=c, label=name) for name, c in entries]
    style_legend(axes, handles, title=title)


def _bytes(colors: Sequence[str]) -> NDArray[np.uint8]:
    return np.rint(rgb(colors) * 255).astype(np.uint8)
