"""No text of a stranger keeps a regular expression busy: each takes a time in proportion to the text."""

import re
import time
import warnings

import pandas as pd
import pytest

from patterns import UNITS, Used, hostile_texts, used_patterns
from titin.publish.privacy import find_identifiers
from titin.study.age_grammar import read_age
from titin.study.roles import choose_roles
from titin.study.vocabulary import is_missing_word


def test_patterns_are_found_in_the_code() -> None:
    places = {used.where.partition(":")[0].rpartition(".")[0] for used in used_patterns()}
    assert len(used_patterns()) > 75
    assert {"titin.publish.privacy", "titin.study.age_grammar", "study/candidates"} <= places


def slowest(used: Used, length: int, bearable: float) -> tuple[float, str]:
    """Seconds that a pattern takes at most over texts of a length, and how that text looks; stops when told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ask = getattr(re.compile(used.pattern, used.flags), used.way)
    worst = (0.0, "")
    for text in hostile_texts(used.pattern, length):
        began = time.process_time()
        ask(text)
        taken = time.process_time() - began
        if taken > bearable:  # once more: something else may have been in the way
            began = time.process_time()
            ask(text)
            taken = min(taken, time.process_time() - began)
        worst = max(worst, (taken, f"{text[:20]!r}…{text[-5:]!r}"))
        if taken > bearable:
            break
    return worst


LENGTHS = [
    pytest.param((40, 300, 1500), 0.025, id="short"),
    pytest.param((40, 1000, 30_000), 0.1, id="long", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("lengths", "bearable"), LENGTHS)
def test_no_pattern_backtracks(lengths: tuple[int, ...], bearable: float) -> None:
    found = []
    for used in used_patterns():
        for length in lengths:  # growing: one that takes for ever is found while that is still short
            taken, text = slowest(used, length, bearable)
            if taken > bearable:
                found.append((str(used), used.way, length, round(taken, 3), text))
                break
    assert found == []


def test_a_pattern_that_backtracks_would_be_found() -> None:
    for pattern, way in ((r"(a+)+b", "fullmatch"), (r"\s*\d+\s*[-]\s*x", "search"), (r"[\d,]+ cells", "search"),
                         (r"(\w+\s?)*:", "fullmatch"), (r".*\d+[a-z]?\s+(\w+\s+){1,3}st", "fullmatch")):  # fmt: skip
        assert any(slowest(Used("here", pattern, 0, way), n, 0.004)[0] > 0.004 for n in (22, 40, 300, 1500)), pattern


@pytest.mark.parametrize("length", [2000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_names_and_labels_of_any_length_are_judged_soon(length: int) -> None:
    """As column names, labels and keys, through whatever looks at them."""
    for unit in UNITS:
        for before in ("", "1", "1-2", "+1 ", "1 a "):
            text = before + unit * (length // len(unit)) + "\n!x"
            obs = pd.DataFrame({"donor": ["a", "b"] * 5, "age": [text, "45"] * 5, text: ["1", text] * 5})
            began = time.process_time()
            read_age(text)
            is_missing_word(text, "age")
            choose_roles(obs, {})
            find_identifiers(obs, {text: {text: text}}, donor="donor")
            assert time.process_time() - began < 0.5 + length / 100_000, (before, unit)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 5000 + "th decade", "1e999", "0x" + "f" * 5000, "1" + "," * 5000])
def test_numbers_of_any_length_are_no_ages(number: str) -> None:
    assert read_age(number).low is None
