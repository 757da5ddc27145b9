"""Colours of categories and of numbers: the same for the same names in every figure."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from titin.plot.colour_spaces import from_lch, hexadecimal
from titin.study.vocabulary import PROTOCOL_WORDS, plain, sex_of

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
