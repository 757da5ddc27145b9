"""What is known of an atlas beforehand, as data."""

from titin.presets.preset import Preset, preset_names, read_preset

__all__ = ["Preset", "preset_names", "read_preset"]
