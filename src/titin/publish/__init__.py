"""The dataset card, Croissant, licence, and the way to the Hub."""

from titin.publish.card import card
from titin.publish.licence import check_licence
from titin.publish.preset import Preset, preset_names, read_preset
from titin.publish.to_hub import Publication, RefusedError, publish
from titin.publish.write import Written, refresh_card, write_card

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
