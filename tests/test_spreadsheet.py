"""CSV for people: no cell that a spreadsheet would compute, and nothing lost."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titin.report.render import Files
from titin.results import Result
from titin.spreadsheet import neutral, neutral_table, restored, restored_table

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
FIRST = SIGNS + "\t\r\n"
FORMULAS = [
    "=1+1", "=cmd|'/c calc'!A0", "+1+cmd", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)", "\t=1", "\r=1", "\n=1", " =1",
    "\u00a0=1", "'=1", "''-x", "=", "-", "+", "@", "=HYPERLINK(\"http://x\")", "\uff1d1+1", "\x00=1", "\ufeff=1", "--5",
    "+-5", "-5 to 3",
]  # fmt: skip
PLAIN = ["", "CD4+ T", "a=b", "'", "'quoted'", "-5", "+5", "-5.25", "-.5", "1e-9", "-1E+9", "5", "0x1", "a-b", "1+1"]
texts = st.one_of(st.sampled_from(FORMULAS + PLAIN), st.text(alphabet=FIRST + "'1a, \";", max_size=6), st.text())


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet computes a cell: by what it begins with, blanks and marks aside, if it is no number."""
    try:
        float(cell)
    except ValueError:
        return bool(cell) and (cell[0] in FIRST or cell.lstrip(" \u00a0\u200b\ufeff\x00")[:1] in set(SIGNS))
    return False


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text(text: str) -> None:
    assert neutral(text) == f"'{text}"
    assert restored(neutral(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_and_numbers_in_text_stay(text: str) -> None:
    assert neutral(text) == text


@given(texts)
def test_no_text_is_computed_and_none_is_lost(text: str) -> None:
    assert not is_formula(neutral(text))
    assert restored(neutral(text)) == text


def test_numbers_dates_and_missing_values_are_left_alone() -> None:
    table = pd.DataFrame({
        "-n": [-1.5, np.nan], "i": [-1, 2], "when": pd.to_datetime(["2024-01-02", None]), "b": [True, False],
        "=c": pd.Categorical(["-a", None]), "o": ["=x", None], "k": pd.Categorical([-1, 2]),
    })  # fmt: skip
    safe = neutral_table(table)
    assert list(safe) == ["'-n", "i", "when", "b", "'=c", "o", "k"]
    for name in ("i", "when", "b", "k"):
        pd.testing.assert_series_equal(safe[name], table[name])
    assert safe["'=c"].tolist() == ["'-a", None] or safe["'=c"].isna().tolist() == [False, True]
    assert list(restored_table(safe)) == list(table)
    assert neutral_table(pd.DataFrame()).empty


entries = st.tuples(texts.map(lambda text: text.replace("\x00", "")), st.floats(allow_nan=False))
headings = texts.filter(lambda text: text.strip() and "\x00" not in text)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(entries, min_size=1, max_size=5), st.lists(headings, min_size=2, max_size=2, unique=True))
def test_every_csv_for_people(tmp_path: Path, rows: list[tuple[str, float]], names: list[str]) -> None:
    rows = [(text.encode("utf-8", "ignore").decode(), number) for text, number in rows]
    names = [f"{name.encode('utf-8', 'ignore').decode()}{i}" for i, name in enumerate(names)]
    table = pd.DataFrame(rows, columns=names)
    result = Result(table)
    result.write(tmp_path / "result.csv", force=True)
    pd.testing.assert_frame_equal(Result.read(tmp_path / "result.csv").table, table)
    Files(tmp_path / "x_files").write_table("of people", table)
    for path in (tmp_path / "result.csv", tmp_path / "x_files" / "of_people.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert len(cells) == 2 * (len(rows) + 1)
        assert [cell for cell in cells if is_formula(cell)] == []
