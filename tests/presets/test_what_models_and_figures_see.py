"""What models and figures take from a preset."""

from types import SimpleNamespace

import pandas as pd
import pytest

from titin.learn.features import RATIOS, MarkerRatios
from titin.plot import category_palette
from titin.plot.palettes import CATEGORIES, palette_of
from titin.presets import Preset, make_preset, read_preset


@pytest.mark.parametrize(
    ("preset", "first"),
    [
        (Preset(), []),
        (read_preset("muscle"), ["MYH7/MYH2", "MYH7/MYH1", "MYH1/MYH2", "PAX7/MYOG"]),
        (read_preset("liver"), ["CYP2E1/HAL", "ALB/KRT19", "JCHAIN/MS4A1"]),
    ],
    ids=["none", "muscle", "liver"],
)
def test_ratios_of_the_preset_come_before_those_of_every_tissue(preset, first):
    maker = MarkerRatios().fit(SimpleNamespace(atlas=SimpleNamespace(preset=preset)), None)
    assert maker.names == [*first, *(f"{a}/{b}" for a, b in RATIOS)]


def test_lineages_are_what_labels_begin_with():
    muscle = read_preset("muscle")
    labels = ["MF-IIsc(fg)", "MuSC", "EnFB", "SMC", "mSchwann", "NK-cell", "RBC"]
    lineages = ["fibres", "stem cells", "fibroblasts", "vessels", "nerve", "immune", "other"]
    assert [muscle.lineage_of(label) for label in labels] == lineages
    assert Preset().lineage_of("MuSC") == "other"


def test_types_have_the_colours_of_the_preset_and_others_colours_that_are_free():
    types = pd.Series(["a", "b", "c", "b"], dtype="category")
    assert palette_of(types, {}) is None
    assert palette_of(types, {"d": "#123456"}) is None
    preset = make_preset({"colours": {"b": CATEGORIES[0], "d": "#123456"}})
    assert palette_of(types, preset.colours) == {"a": CATEGORIES[1], "b": CATEGORIES[0], "c": CATEGORIES[2]}
    assert list(category_palette(["a", "b", "c"]).values()) == list(CATEGORIES[:3])
