"""Pictures for the card: the cells on a map, by type and by age."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from titin.dataset import layout
from titin.dataset.ages import parse_age
from titin.publish.facts import Facts

_PREFERRED = ("umap", "tsne")
_BINS = 20  # most ages to tell apart by colour


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def choose_map(facts: Facts) -> str | None:
    """Key of the embedding to draw: a map if there is one, else whichever has two dimensions; None without any."""
    keys = [key for key, entry in facts.manifest.obsm.items() if len(entry["columns"]) > 2]
    for wanted in _PREFERRED:
        for key in keys:
            if wanted in key.lower():
                return key
    return keys[0] if keys else None


def draw_previews(facts: Facts, folder: Path) -> list[str]:
    """Draw up to two pictures into a folder; return their names.

    By the coarsest cell type and by age, on one embedding; none where there is no embedding.
    """
    from titin.plot import embedding

    key = choose_map(facts)
    if key is None:
        return []
    entry = facts.manifest.obsm[key]
    names = [name for name in facts.schema(entry["file"]).names if name != layout.CELL_ID][:2]
    places = facts.table(entry["file"], names)
    drawn = []
    for column, palette in _colours(facts):
        if column in names:
            continue
        name = f"preview_{_safe(key)}_{_safe(column)}.png"
        table = places.assign(**{column: facts.obs[column].to_numpy()})
        embedding(table, x=names[0], y=names[1], color=column, palette=palette, title=column, save=folder / name)
        drawn.append(name)
    return drawn


def _colours(facts: Facts) -> Iterator[tuple[str, dict[Any, str] | None]]:
    """Columns to colour by: the coarsest cell type, and ages as labels from young to old."""
    from titin.plot import ordered_palette

    for column in facts.cell_types[:1]:
        yield column, None
    label = facts.column("age")
    if label is None or pd.api.types.is_numeric_dtype(facts.obs[label]) or facts.obs[label].nunique() > _BINS:
        return
    values = facts.obs[label].dropna().unique()
    yield label, ordered_palette(sorted(values, key=lambda value: (parse_age(value), str(value))))


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)
