from pathlib import Path

import pytest

import titin.features
import titin.presets
from titin.errors import TitinError
from titin.features import gene_sets, read_gmt

_WITH_SETS = ((titin.features, "data"), (titin.presets, "muscle"))


def test_the_bundled_sets_have_their_published_sizes():
    sizes = {name: len(found) for name, found in gene_sets().items()}
    expected = {"SenMayo": 125, "GenAge_human": 307, "CellAge": 866, "sex_male": 7, "sex_female": 1}
    assert {name: sizes[name] for name in expected} == expected
    assert sum(name.startswith("markers_") for name in sizes) == 33


def test_every_set_names_its_source_and_licence_and_repeats_no_gene():
    notices = (Path(room.__file__).parent / part / "SOURCES.md" for room, part in _WITH_SETS)
    notice = "".join(path.read_text(encoding="utf-8") for path in notices)
    for name, found in gene_sets().items():
        assert found.name == name
        assert found.description
        assert found.source
        assert found.licence in {"Apache-2.0", "CC-BY-3.0", "CC-BY-4.0", "MIT"}
        assert len(set(found.genes)) == len(found.genes)
        assert name in notice or name.startswith("markers_")


def test_the_parts_of_cellage_lie_in_the_whole():
    sets = gene_sets()
    parts = set(sets["CellAge_induces"].genes) | set(sets["CellAge_inhibits"].genes)
    assert parts < set(sets["CellAge"].genes)


def test_a_caller_cannot_change_the_bundled_sets():
    gene_sets().clear()
    assert "SenMayo" in gene_sets()


def test_read_gmt_keeps_order_and_drops_repeats_and_blanks(tmp_path):
    file = tmp_path / "sets.gmt"
    file.write_text("second\thttp://x\tTTN\tMYH7\tTTN\t\n\nfirst\t\tACTA1\r\n", encoding="utf-8")
    found = read_gmt(file)
    assert list(found) == ["second", "first"]
    assert found["second"].genes == ("TTN", "MYH7")
    assert found["first"].genes == ("ACTA1",)
    assert found["second"].description == "http://x"
    assert found["second"].licence == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("only a name\n", "line 1: a gene set needs"),
        ("a\td\tTTN\nb\td\t\n", "line 2: a gene set needs"),
        ("a\td\tTTN\na\td\tTTN\n", "line 2: the name 'a' is used twice"),
    ],
)
def test_read_gmt_says_which_line_is_wrong(tmp_path, text, complaint):
    file = tmp_path / "sets.gmt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TitinError, match=complaint):
        read_gmt(file)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_read_gmt_refuses_what_is_no_text_file(tmp_path, content):
    file = tmp_path / "sets.gmt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TitinError, match=r"sets\.gmt: cannot be read"):
        read_gmt(file)
