"""The dataset card, Croissant, licence, and the way to the Hub."""

from titin.presets.preset import Preset, preset_names, read_preset
from titin.publish.card import Written, card, refresh_card, write_card
from titin.publish.licence import check_licence
from titin.publish.upload import Publication, RefusedError, publish

__all__ = [
    "Preset",
    "Publication",
    "RefusedError",
    "Written",
    "card",
    "check_licence",
    "preset_names",
    "publish",
    "read_preset",
    "refresh_card",
    "write_card",
]
