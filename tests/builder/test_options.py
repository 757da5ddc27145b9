"""Presets and the choices beside them."""

import json
from pathlib import Path

import pytest

from titin.builder.options import Options, make_options
from titin.dataset.layout import ROLES
from titin.errors import TitinError
from titin.presets import Preset, read_preset


def test_without_a_preset_only_what_was_chosen():
    options = make_options(None, {"donor": "patient", "age": None, "cell_type": []}, seed=3, shuffle=False)
    assert options == Options(roles={"donor": "patient"}, seed=3, shuffle=False)
    assert make_options() == Options()


def test_the_muscle_preset():
    options = make_options("muscle")
    assert (options.tissue, options.method) == ("skeletal_muscle", "10x")
    assert {*options.roles, "study"} == set(ROLES)  # the one that no atlas has of itself
    assert options.roles["donor"] == "DonorID"


def test_choices_win_over_the_preset():
    options = make_options("muscle", {"donor": "patient", "sex": None}, tissue="heart", method=None, seed=1)
    assert (options.tissue, options.method, options.seed) == ("heart", "10x", 1)
    assert (options.roles["donor"], options.roles["sex"]) == ("patient", "Sex")
    assert read_preset("muscle").build.roles["donor"] == "DonorID"


def test_no_such_preset():
    with pytest.raises(TitinError, match="there is no preset 'heart'") as error:
        make_options("heart")
    assert "muscle" in error.value.hint


@pytest.mark.parametrize("change", [
    {"layer": "counts"}, {"raw": True}, {"make_unique": True}, {"obs": ["a"]}, {"no_obs": ["a"]}, {"obsm": ["a"]},
    {"no_obsm": ["a"]}, {"layers": ["a"]}, {"with_raw": True}, {"keep_all": True}, {"modalities": ["a"]},
    {"tissue": "x"}, {"method": "x"}, {"seed": 1}, {"shuffle": False}, {"roles": {"donor": "x"}},
    {"donors": Path("x.csv")}, {"allow_negative": True}, {"project": ["pca"]},
    {"preset": Preset(markers={"B cell": ("CD79A",)})}, {"texts": False},
])  # fmt: skip
def test_every_option_decides(change):
    assert Options(**change).deciding() != Options().deciding()


@pytest.mark.parametrize("cell_type", [["a", "b"], ("a", "b")])
def test_what_decides_is_the_same_after_a_way_through_json(cell_type):
    deciding = Options(roles={"cell_type": cell_type}, donors=Path("a/b.csv")).deciding()
    assert json.loads(json.dumps(deciding)) == deciding
