"""Presets: what they may say, what is wrong with one, and how a dataset keeps its own."""

import json
import re
import shutil
from pathlib import Path

import pytest

from minimal_manifest import minimal_manifest
from titin.atlas import open_atlas
from titin.dataset.manifest import Manifest
from titin.errors import TitinError
from titin.features import gene_sets
from titin.presets import CardTexts, Preset, make_preset, preset_names, preset_of, read_preset, record_preset

FIBRES = {"type_1_gene": "A", "type_2a_gene": "B", "type_2x_gene": "C", "labels": {"match": "x"},
          "type_1_labels": {"match": "x"}, "type_2_labels": {"match": "x"}}  # fmt: skip


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_of_titin_can_be_read_and_written(name):
    preset = read_preset(name)
    assert preset.name == name
    assert make_preset(json.loads(json.dumps(preset.document()))) == preset
    assert re.fullmatch("[0-9a-f]{64}", preset.digest)
    assert record_preset(preset) == {"name": name, "sha256": preset.digest}
    assert preset.build.roles


@pytest.mark.parametrize("name", preset_names())
def test_what_a_preset_names_it_has(name):
    preset, sets = read_preset(name), gene_sets(read_preset(name))
    if preset.stem_cells:
        assert {*preset.stem_cells.states, preset.stem_cells.resting} <= set(sets)
        assert {preset.stem_cells.first_gene, preset.stem_cells.last_gene} <= set(preset.stem_cells.markers)
    for found in preset.sets.values():
        assert found.genes
        assert found.source


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"colour": "red"}, "mine.toml: there is no key 'colour'"),
        ({"card": {"color": "red"}}, "mine.toml: there is no key 'card.color'"),
        ({"card": {"tags": "one"}}, "mine.toml: card.tags is text, not a list"),
        ({"card": {"tags": [1]}}, r"mine.toml: card.tags\[1\] is a number, not text"),
        ({"card": {"links": [{"name": 3}]}}, r"mine.toml: card.links\[1\].name is a number, not text"),
        ({"card": []}, "mine.toml: card is a list, not a table"),
        ({"pretty_name": "Ours"}, "mine.toml: there is no key 'pretty_name'"),
        ({"shared": 1}, "mine.toml: shared is a number, not true or false"),
        ({"build": {"roles": {"donor": 3}}}, "mine.toml: build.roles.donor is a number, not text"),
        ({"build": {"roles": {"cell_type": ["a", 1]}}}, r"mine.toml: build.roles.cell_type\[2\] is a number"),
        ({"build": {"roles": {"patient": "a"}}}, "mine.toml: build.roles.patient is no role"),
        ({"gene_sets": [{"licence": "MIT"}]}, r"mine.toml: the key 'gene_sets\[1\].file' is missing"),
        ({"lineages": [{"name": "a"}]}, r"mine.toml: the key 'lineages\[1\].types' is missing"),
        ({"colours": {"FB": "red"}}, "mine.toml: colours.FB is 'red', not a colour"),
        ({"markers": {"FB": "DCN"}}, "mine.toml: markers.FB is text, not a list"),
        ({"fibres": {**FIBRES, "labels": {"match": "("}}}, "mine.toml: fibres.labels.match is no regular expression"),
        ({"fibres": {k: v for k, v in FIBRES.items() if k != "type_1_gene"}}, "'fibres.type_1_gene' is missing"),
        ({"stem_cells": "MuSC"}, "mine.toml: stem_cells is text, not a table"),
        ({"ageing": {"genes": {"CDKN1A": "more"}}}, "mine.toml: ageing.genes.CDKN1A is 'more'"),
        ({"learn": {"ratios": [["A"]]}}, r"mine.toml: learn.ratios\[1\] has 1 entries, not 2"),
    ],
    ids=str,
)
def test_a_preset_with_mistakes_names_file_and_key(document, message):
    with pytest.raises(TitinError, match=message) as error:
        make_preset(document, "mine.toml")
    assert error.value.hint


def test_texts_of_the_card_at_the_top_are_told_where_they_belong():
    with pytest.raises(TitinError) as error:
        make_preset({"study": {"name": "S"}})
    assert error.value.hint == "texts of the card stand under [card]: card.study"


@pytest.mark.parametrize("text", ["= 1", "a = \xff", '[[gene_sets]]\nfile = "none.gmt"\n'])
def test_a_file_that_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(TitinError, match=r"bad\.toml.* cannot be read"):
        read_preset(path)


def test_the_default_keys_are_left_out_of_the_document():
    assert Preset().document() == {}
    assert make_preset({}) == Preset()
    assert record_preset(Preset()) == {}


@pytest.fixture
def mine(tmp_path) -> Path:
    """A preset of one's own, with a file of gene sets beside it."""
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "types.gmt").write_text("markers_FB\tFibroblasts\tDCN\tCOL1A1\n")
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[gene_sets]]\nfile = "sets/types.gmt"\nlicence = "MIT"\nsource = "ours"\n'
        '[markers]\n"B cell" = ["CD79A"]\n[card]\npretty_name = "Ours"\n'
    )
    return path


def test_gene_sets_beside_the_file_and_in_it(mine):
    preset = read_preset(mine)
    assert {name: found.genes for name, found in preset.sets.items()} == {
        "markers_FB": ("DCN", "COL1A1"), "markers_B cell": ("CD79A",),
    }  # fmt: skip
    assert (preset.sets["markers_FB"].source, preset.sets["markers_FB"].licence) == ("ours", "MIT")
    markers = [name for name in gene_sets(preset) if name.startswith("markers_")]
    assert markers == ["markers_FB", "markers_B cell"]  # and not those that stand in where a preset has none
    assert {"SenMayo", "sex_male"} <= set(gene_sets(preset))
    assert len([name for name in gene_sets(Preset(name="bare")) if name.startswith("markers_")]) == 33


def _manifest(folder: Path, **changes: object) -> Manifest:
    minimal_manifest(**changes).write(folder)
    return Manifest.read(folder)


def test_a_preset_of_ones_own_is_read_from_the_manifest_without_its_file(mine, tmp_path):
    preset = read_preset(mine)
    kept = json.loads(json.dumps(record_preset(preset)))
    mine.unlink()
    shutil.rmtree(tmp_path / "sets")
    again = preset_of(_manifest(tmp_path, preset=kept))
    assert again == preset
    assert again.digest == preset.digest == kept["sha256"]
    assert again.sets == preset.sets


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({"preset": None, "license": None}, Preset()),
        ({"preset": "muscle", "license": None}, read_preset("muscle")),
        ({"preset": {"pretty_name": "Ours"}, "license": None}, Preset(card=CardTexts(pretty_name="Ours"))),
        (None, Preset()),
    ],
    ids=["none", "by name", "in full", "before cards"],
)
def test_datasets_built_before_say_it_among_the_choices_of_the_card(tmp_path, card, expected):
    assert preset_of(_manifest(tmp_path, settings={"seed": 0, "shuffle": True, "card": card})) == expected


def test_a_preset_that_this_titin_lacks(tmp_path):
    with pytest.raises(TitinError, match="the dataset's preset 'heart' is not known") as error:
        preset_of(_manifest(tmp_path, preset={"name": "heart", "sha256": "0" * 64}))
    assert "--preset" in error.value.hint


def test_an_atlas_has_the_preset_it_was_opened_with(mine, tmp_path):
    _manifest(tmp_path, preset=record_preset(read_preset("muscle")))
    assert open_atlas(tmp_path).preset == read_preset("muscle")
    assert open_atlas(tmp_path, preset=mine).preset == read_preset(mine)
    assert open_atlas(tmp_path, preset=Preset()).preset == Preset()
    with pytest.raises(TitinError, match="there is no preset 'none such'"):
        open_atlas(tmp_path, preset="none such")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "a{0,500}a{0,500}$", "(?:x+x+)+y"])
def test_no_pattern_of_a_preset_takes_long_over_a_label(pattern):
    """Patterns over which an engine that goes back would sit for ever."""
    preset = make_preset({"fibres": {**FIBRES, "labels": {"match": pattern}}})
    assert preset.fibres.labels.fits("a" * 200_000 + "b") in (True, False)


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<=a)b", r"(a)\1", "((a{100}){100}){100}", "("])
def test_patterns_that_could_take_long_are_refused_with_their_key(pattern):
    with pytest.raises(TitinError, match=r"fibres\.labels\.match is no regular expression"):
        make_preset({"fibres": {**FIBRES, "labels": {"match": pattern}}})


def test_a_manifest_names_a_preset_of_titin_and_no_file(mine, tmp_path):
    for name in (str(mine), "../mine.toml", "heart"):
        manifest = _manifest(tmp_path, settings={"seed": 0, "shuffle": True, "card": {"preset": name}})
        with pytest.raises(TitinError, match="is not known to this titin"):
            preset_of(manifest)
