"""Gene sets that come with the package, each with its source and licence."""

import csv
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from titin.presets import MARKERS, GeneSet, Preset, parse_gmt, read_gmt, shared_presets

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["MARKERS", "GeneSet", "gene_sets", "read_gmt"]


def gene_sets(preset: Preset | None = None) -> dict[str, GeneSet]:
    """Return the gene sets that fit an atlas, by name; they are read when first asked for.

    Parameters
    ----------
    preset
        Of the atlas (`titin.Atlas.preset`); its sets come first. Where it has none, or is not given, those of titin's
        presets whose sets are shared stand in.

    Returns
    -------
    dict
        ``markers_<type>`` for the cell types of the preset (33 without one), and what else it has;
        then those for every tissue: ``sex_male`` and ``sex_female``; sets of ageing and senescence (``SenMayo``,
        ``GenAge_human``, ``CellAge…``, ``HAGR_ageing_up`` and ``…_down``); the cell cycle, and parts of Hallmark and
        Reactome. ``SOURCES.md`` beside the files lists them all.

    Examples
    --------
    >>> len(gene_sets()["SenMayo"]), gene_sets()["SenMayo"].licence
    (125, 'CC-BY-4.0')
    >>> gene_sets()["markers_T-cell"].genes
    ('CD3D', 'CD3E', 'IL7R')
    """
    if preset is not None and preset.sets:
        own = preset.sets
    else:
        own = {name: found for shared in shared_presets() for name, found in shared.sets.items()}
    return {**own, **{name: found for name, found in _general().items() if name not in own}}


@cache
def _general() -> dict[str, GeneSet]:
    folder: Traversable = files("titin.features") / "data"
    rows = csv.DictReader((folder / "sources.tsv").read_text(encoding="utf-8").splitlines(), delimiter="\t")
    sets: dict[str, GeneSet] = {}
    for row in rows:
        text = (folder / row["file"]).read_text(encoding="utf-8")
        sets |= parse_gmt(text, row["file"], row["source"], row["licence"])
    return sets
