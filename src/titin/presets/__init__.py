"""What is known of an atlas beforehand, as data: one TOML file a preset, with its gene sets beside it."""

from titin.presets.gmt import GeneSet, parse_gmt, read_gmt
from titin.presets.preset import (
    MARKERS,
    Preset,
    choose_preset,
    make_preset,
    preset_names,
    preset_of,
    read_preset,
    record_preset,
    shared_presets,
)
from titin.presets.sections import CardTexts, ExpectedAgeing, FibreTyping, LabelPattern, StemCellStates

__all__ = [
    "MARKERS",
    "CardTexts",
    "ExpectedAgeing",
    "FibreTyping",
    "GeneSet",
    "LabelPattern",
    "Preset",
    "StemCellStates",
    "choose_preset",
    "make_preset",
    "parse_gmt",
    "preset_names",
    "preset_of",
    "read_gmt",
    "read_preset",
    "record_preset",
    "shared_presets",
]
