"""Figures, one function each: a tidy table in, matplotlib Axes out.

Every figure takes these five keywords, and means the same by them:

``ax``
    An Axes to draw on; a figure of its own, apart from pyplot and in the current `theme`, if None.
``figsize``
    Width and height of that figure, inches; unused with ``ax``.
``palette``
    Colours: by category, in turn, or the name of a colour map; None for the one that fits (see `resolve_palette`).
``title``
    Over the figure, at the left; None for none.
``save``
    A file to write as well: ``.png``, ``.svg`` or ``.pdf``.

All other arguments but the table are keywords, too. Columns are given by name, a missing one is a `TitinError`. Donors
are dots, with n beside them. Type has 8 points or more. What a figure shows is also said in words (`alt_text`).
matplotlib is imported when something is drawn, not before.
"""

from titin.plot.ageing import fibre_types, forest, pseudotime, variance_parts
from titin.plot.atlas_figures import AtlasFigures
from titin.plot.composition import composition_by_age, ridge, stacked_bars
from titin.plot.dots import dots, trend
from titin.plot.embedding import density, embedding
from titin.plot.matrix import dot_plot, heat_map
from titin.plot.palettes import category_palette, lineage_palette, ordered_palette, resolve_palette, role_color
from titin.plot.panels import embedding_panels
from titin.plot.regulation import activity_by_age, regulator_network
from titin.plot.style import (
    THEMES,
    alt_text,
    finish,
    ink_of,
    new_axes,
    noted,
    save_figure,
    style_legend,
    synthetic_note,
    theme,
    to_png,
    to_svg,
)
from titin.plot.volcano import ma_plot, volcano

__all__ = [
    "THEMES",
    "AtlasFigures",
    "activity_by_age",
    "alt_text",
    "category_palette",
    "composition_by_age",
    "density",
    "dot_plot",
    "dots",
    "embedding",
    "embedding_panels",
    "fibre_types",
    "finish",
    "forest",
    "heat_map",
    "ink_of",
    "lineage_palette",
    "ma_plot",
    "new_axes",
    "noted",
    "ordered_palette",
    "pseudotime",
    "regulator_network",
    "resolve_palette",
    "ridge",
    "role_color",
    "save_figure",
    "stacked_bars",
    "style_legend",
    "synthetic_note",
    "theme",
    "to_png",
    "to_svg",
    "trend",
    "variance_parts",
    "volcano",
]
