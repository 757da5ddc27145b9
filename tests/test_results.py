"""Results are read back as they were written, with all that they say of themselves."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from same_results import assert_equal
from titin.errors import OutputError, TitinError
from titin.results import Result


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Measured(Result):
    """A result with a second table and fields of its own."""

    donors: pd.DataFrame
    counts: dict[str, int]
    left_out: list[dict[str, str]]


TABLES = {
    "numbers": pd.DataFrame({"a": [1.5, np.nan, np.inf, -np.inf, 1e-300, 0.1], "n": np.arange(6)}),
    "small numbers": pd.DataFrame({"f": np.float32([0.1, np.nan]), "i": np.int8([-1, 2]), "b": [True, False]}),
    "text": pd.DataFrame({"t": ["x", "", None, 'quoted "u",\n', "nan", "NA", "1"]}),
    "categories": pd.DataFrame({"c": pd.Categorical(["b", "a", None, "b"], ["unused", "b", "a"])}),
    "no rows": pd.DataFrame(columns=["x", "y"]),
    "named index": pd.DataFrame({"score": [0.25, 4.0]}, index=pd.Index(["c0", "c1"], name="cell_id")),
    "missing text only": pd.DataFrame({"t": pd.Series([None, None], dtype=object)}),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("name", TABLES)
def test_any_table_is_read_back_as_it_was(tmp_path, name, ending):
    made = Measured(TABLES[name], donors=TABLES["numbers"], settings={"n": np.int64(3), "x": np.nan, "of": ("a", "b")},
                    counts={"a": 1}, left_out=[{"reason": "none"}])  # fmt: skip
    paths = made.write(tmp_path / "deep" / f"found.{ending}")
    assert [path.name for path in paths] == [f"found.{ending}", f"found_donors.{ending}", "found.json"]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == sorted(path.name for path in paths)
    assert_equal(made, Measured.read(paths[0]))
    assert_equal(made, Measured.read(paths[-1]))
    assert made.settings == {"n": 3, "x": None, "of": ["a", "b"]}


def test_nothing_is_replaced_unless_told_to(tmp_path):
    first, second = Result(TABLES["numbers"]), Result(TABLES["text"])
    first.write(tmp_path / "a.csv")
    with pytest.raises(OutputError, match=r"a\.csv is there already"):
        second.write(tmp_path / "a.csv")
    with pytest.raises(OutputError, match=r"a\.json is there already"):
        second.write(tmp_path / "a.parquet")
    assert_equal(Result.read(tmp_path / "a.csv"), first)
    second.write(tmp_path / "a.csv", force=True)
    assert_equal(Result.read(tmp_path / "a.csv"), second)


def test_what_cannot_be_read_is_told(tmp_path):
    made = Measured(TABLES["numbers"], donors=TABLES["text"], counts={}, left_out=[])
    path = made.write(tmp_path / "m.parquet")[0]
    assert isinstance(Result.read(path), Measured)  # the JSON says what it is
    with pytest.raises(TitinError, match=r"ends neither in \.parquet nor in \.csv"):
        made.write(tmp_path / "m.txt")
    with pytest.raises(TitinError, match="is no table but dict"):
        Result({})
    TABLES["numbers"].to_parquet(tmp_path / "bare.parquet")
    with pytest.raises(TitinError, match=r"bare\.parquet has no bare\.json beside it, which says how it was made"):
        Result.read(tmp_path / "bare.parquet")
    Result(TABLES["text"]).write(tmp_path / "other.parquet")
    with pytest.raises(TitinError, match="holds Result, not Measured"):
        Measured.read(tmp_path / "other.parquet")
    (tmp_path / "other.parquet").write_bytes(path.read_bytes())
    with pytest.raises(TitinError, match="has 6 rows, not the 7 that were written with it"):
        Result.read(tmp_path / "other.parquet")
    (tmp_path / "m_donors.parquet").unlink()
    with pytest.raises(TitinError, match="cannot be read"):
        Measured.read(path)
