"""The words of sex and protocol, and that every room understands the same ones."""

import numpy as np
import pandas as pd
import pytest

from titin.learn import design_table
from titin.plot.palettes import role_color
from titin.study.roles import find_roles
from titin.study.vocabulary import PROTOCOL_WORDS, protocol_of, sex_of

FEMALE = ["F", "f", "female", "Female", "FEMALE", " females", "woman", "women", "Women", "girl", "PATO:0000383"]
MALE = ["M", "m", "male", "Male", "MALE", "males ", "man", "men", "Men", "boy", "PATO:0000384"]
NEITHER = ["unknown", "", "nan", None, np.nan, "XX", "mixed", "fm", "FB", "mf", "femal", 1, True]


@pytest.mark.parametrize(("words", "sex"), [(FEMALE, "F"), (MALE, "M"), (NEITHER, None)])
def test_sexes(words, sex):
    assert [sex_of(word) for word in words] == [sex] * len(words)


@pytest.mark.parametrize(
    ("words", "colour", "name"), [(FEMALE, role_color("F"), "female"), (MALE, role_color("M"), "male")]
)
def test_every_room_knows_every_word_of_a_sex(words, colour, name):
    assert colour is not None
    assert {role_color(word) for word in words} == {colour}
    assert set(design_table(pd.DataFrame({"sex": words}), {"sex": "sex"})["sex"]) == {name}


def test_what_is_no_word_of_a_sex_stays_as_it_stands_and_unknown_is_missing():
    sexes = pd.DataFrame({"sex": ["other", "unknown", "F", None]})
    assert list(design_table(sexes, {"sex": "sex"})["sex"].astype(object)) == ["other", np.nan, "female", np.nan]


@pytest.mark.parametrize(("words", "protocol"), [
    (["cell", "Cells", "single cell", "single-cell", "scRNA-seq", "sc", "10x single-cell RNA", "scRNAseq v3"], "cells"),
    (["nucleus", "Nuclei", "single-nucleus", "snRNA-seq", "sn", "frozen nuclei", "snRNAseq v2"], "nuclei"),
    (["3' v2", "10x", "batch1", "", None, "multiome"], None),
])  # fmt: skip
def test_protocols(words, protocol):
    assert [protocol_of(word) for word in words] == [protocol] * len(words)


@pytest.mark.parametrize("word", PROTOCOL_WORDS)
def test_the_words_of_a_protocol_tell_its_column_and_have_its_colour(word):
    assert find_roles(pd.DataFrame({"batch": [word]}), {})["protocol"] == "batch"
    assert role_color(word) == role_color(protocol_of(word)) is not None
