"""obs and var survive as Arrow tables, through Parquet and in any row order, and any reader reads them."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from titin.dataset.tables import (
    DICTIONARY_LEVELS,
    decode_table,
    encode_table,
    pandas_metadata,
    with_pandas_index,
)
from titin.errors import DatasetError, SourceError

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "h5ad"


def through_parquet(table: pa.Table, index: str = "cell_id") -> pa.Table:
    """Write row groups of three rows, each from a batch with a dictionary of its own, and read them back."""
    schema = with_pandas_index(table.schema, index)
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        size = max(3, len(table) // 5)
        for start in range(0, max(len(table), 1), size):
            columns = []
            for column in table.slice(start, size).columns:
                whole = column.combine_chunks()
                own = pa.types.is_dictionary(whole.type) and not whole.type.ordered
                columns.append(whole.dictionary_decode().dictionary_encode() if own else whole)
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return pq.read_table(buffer)


def assert_survives(frame: pd.DataFrame, **options) -> list[dict]:
    table, records = encode_table(frame, index_name="cell_id", **options)
    records = json.loads(json.dumps(records, allow_nan=False))
    assert table.column_names == [record["column"] for record in records]
    assert len({name.casefold() for name in table.column_names}) == table.num_columns
    rows = np.random.default_rng(0).permutation(len(frame))
    for stored, expected in [
        (table, frame),
        (through_parquet(table), frame),
        (through_parquet(table.take(pa.array(rows, pa.int64()))), frame.iloc[rows]),
    ]:
        restored = decode_table(stored, records)
        pd.testing.assert_frame_equal(restored, expected, check_exact=True, check_freq=False)
        assert list(restored.dtypes) == list(expected.dtypes)
        for position in range(expected.shape[1]):
            assert_same_missing(restored.iloc[:, position], expected.iloc[:, position])
    return records


def assert_same_missing(restored: pd.Series, expected: pd.Series) -> None:
    if expected.dtype == object:
        mine, theirs = (["NA" if v is pd.NA else str(v) for v in s[s.isna()]] for s in (restored, expected))
        assert mine == theirs


def frame_of(values: object, name: object = "x", **kwargs) -> pd.DataFrame:
    series = pd.Series(values, **kwargs)
    index = pd.Index([f"cell{i}" for i in range(len(series))], dtype=object)
    return pd.DataFrame({name: series.set_axis(index)})


COLUMNS = {
    "bool": pd.Series([True, False, True, False]),
    **{f"{k}int{b}": pd.Series([0, 1, 100, 7], dtype=f"{k}int{b}") for k in ("", "u") for b in (8, 16, 32, 64)},
    "uint64 top": pd.Series([2**64 - 1, 0, 1, 2**53 + 1], dtype="uint64"),
    "int64 ends": pd.Series([-(2**63), 2**63 - 1, 0, 1], dtype="int64"),
    "float16": pd.Series([0.1, np.nan, -np.inf, 65504], dtype="float16"),
    "float32": pd.Series([0.1, np.nan, np.inf, -0.0], dtype="float32"),
    "float64": pd.Series([0.1, np.nan, 5e-324, -0.0], dtype="float64"),
    **{f"{k}Int{b}": pd.Series([1, None, 100, 0], dtype=f"{k}Int{b}") for k in ("", "U") for b in (8, 16, 32, 64)},
    "Float32": pd.Series([0.1, None, 2, 3], dtype="Float32"),
    "Float64": pd.Series(pd.arrays.FloatingArray(np.array([0.1, np.nan, 2, 3]), np.array([False, False, True, False]))),
    "boolean": pd.Series([True, None, False, None], dtype="boolean"),
    "text": pd.Series(["a", "", "ä\n", "a"], dtype=object),
    "text None": pd.Series(["a", None, "b", None], dtype=object),
    "text NaN": pd.Series(["a", np.nan, "nan", "None"], dtype=object),
    "text NA": pd.Series(["a", pd.NA, "b", pd.NA], dtype=object),
    "all None": pd.Series([None] * 4, dtype=object),
    "all NaN": pd.Series([np.nan] * 4, dtype=object),
    "string python": pd.Series(["a", None, "", "b"], dtype="string[python]"),
    "string pyarrow": pd.Series(["a", None, "", "b"], dtype="string[pyarrow]"),
    "str python": pd.Series(["a", None, "", "b"], dtype=pd.StringDtype("python", na_value=np.nan)),
    "str pyarrow": pd.Series(["a", None, "", "b"], dtype=pd.StringDtype("pyarrow", na_value=np.nan)),
    "M8[ns]": pd.Series(np.array(["2020-01-01T01:02:03.123456789", "NaT", "1970-01-01", "1700-01-01"], "M8[ns]")),
    **{
        f"M8[{unit}]": pd.Series(np.array(["2020-02-29", "NaT", "0001-01-01", "9999-12-31"], f"M8[{unit}]"))
        for unit in ("s", "ms", "us")
    },
    "M8 UTC": pd.Series(pd.to_datetime(["2020-01-01", None, "2021-01-01", "2022-01-01"]).tz_localize("UTC")),
    "M8 Berlin s": pd.Series(
        pd.to_datetime(["2020-10-25 00:30", None, "2020-10-25 01:30", "2022-07-01 00:00"]).as_unit("s")
        .tz_localize("UTC").tz_convert("Europe/Berlin")
    ),
    "M8 +01:00": pd.Series(pd.to_datetime(["2020-01-01", None, "2021-01-01", "2022-01-01"]).tz_localize("+01:00")),
    **{f"m8[{u}]": pd.Series(np.array([1, "NaT", -5, 2**40], f"m8[{u}]")) for u in ("s", "ms", "us", "ns")},
    "labels": pd.Series(pd.Categorical(["b", "a", None, "b"])),
    "labels reversed": pd.Series(pd.Categorical(["b", "a", None, "b"], categories=["b", "a"])),
    "labels unused": pd.Series(pd.Categorical(["b", "a", None, "b"], categories=["z", "b", "a", "y"])),
    "labels unused sorted": pd.Series(pd.Categorical(["b", "a", None, "b"], categories=["0", "a", "b", "c"])),
    "labels ordered": pd.Series(pd.Categorical(["old", "young", None, "old"], ["young", "old"], ordered=True)),
    "labels missing": pd.Series(pd.Categorical([None] * 4, categories=["q"])),
    "labels none": pd.Series(pd.Categorical([None] * 4, categories=pd.Index([], dtype=object))),
    "labels string": pd.Series(pd.Categorical(pd.array(["b", None, "a", "b"], dtype="string[pyarrow]"))),
    "labels int": pd.Series(pd.Categorical([3, 1, None, 3], categories=[3, 1, 2])),
    "labels int8": pd.Series(pd.Categorical([3, 1, None, 3], categories=np.array([1, 3], np.int8))),
    "labels Int64": pd.Series(pd.Categorical(pd.array([3, 1, None, 3], dtype="Int64"))),
    "labels float": pd.Series(pd.Categorical([0.1, np.inf, None, 2.0], categories=[np.inf, 0.1, 2.0, -np.inf])),
    "labels float32": pd.Series(pd.Categorical.from_codes([1, 0, -1, 1], categories=np.array([0.1, 2], np.float32))),
    "labels bool": pd.Series(pd.Categorical([True, None, False, True])),
    "labels bool one": pd.Series(pd.Categorical([True, None, True, True], categories=[True, False])),
    "labels time": pd.Series(pd.Categorical(np.array(["2021-01-01", "NaT", "2020-01-01", "2021-01-01"], "M8[s]"))),
    "labels time zone": pd.Series(
        pd.Categorical(
            pd.to_datetime(["2021-01-01", None, "2020-01-01", "2021-01-01"]).tz_localize("Europe/Berlin"),
            categories=pd.to_datetime(["2021-01-01", "2020-01-01", "2019-01-01"]).tz_localize("Europe/Berlin"),
        )
    ),
    "labels duration": pd.Series(pd.Categorical(pd.to_timedelta([3, 1, None, 3], unit="s"))),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_column_survives(name):
    frame = frame_of(COLUMNS[name], name)
    assert_survives(frame)
    assert_survives(frame.iloc[:0])


def test_wide_frame_survives():
    index = pd.Index(["AAC", "AAG", "AAT", "ACA"], dtype=object, name="barcode")
    assert_survives(pd.DataFrame({name: series.set_axis(index) for name, series in COLUMNS.items()}))


def test_no_columns_survive():
    assert_survives(pd.DataFrame(index=pd.Index(["a", "b"], dtype=object)))


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["a", "b"], dtype=object, name="cell_id"),
        pd.Index(["a", "b"], dtype="string", name=0),
        pd.Index(["a", "b"], dtype=pd.StringDtype("pyarrow", na_value=np.nan)),
        pd.CategoricalIndex(["b", "a"], categories=["b", "a", "c"], name="x"),
    ],
    ids=["object", "string", "str", "category"],
)
def test_index_survives(index):
    frame = pd.DataFrame({"n": [1, 2]}, index=index)
    assert_survives(frame)
    table, _ = encode_table(frame, index_name="cell_id")
    assert table.schema.field(0) == pa.field("cell_id", pa.string())
    assert table["cell_id"].null_count == 0


@pytest.mark.parametrize("index", [["a", None], [1, 2], [1.5, 2.5]], ids=["missing", "numbers", "floats"])
def test_index_must_be_text(index):
    with pytest.raises(SourceError, match=r"index \(cell_id\) holds .*\nGive each row a name"):
        encode_table(pd.DataFrame({"n": [1, 2]}, index=index), index_name="cell_id")


def test_index_of_several_levels_is_refused():
    index = pd.MultiIndex.from_tuples([("a", "b")])
    with pytest.raises(SourceError, match="several levels"):
        encode_table(pd.DataFrame({"n": [1]}, index=index), index_name="cell_id")


def test_colliding_names():
    names = [
        "cell_id", "source_cell_id", "Cell_ID", "genes", "Counts", "Age", "age", "AGE", "", 3, 2.5, None, True,
        "x" * 600, "x" * 600 + "y", "__index_level_0__", "ß", "SS", "fine",
    ]  # fmt: skip
    frame = pd.DataFrame(np.arange(2 * len(names)).reshape(2, -1), index=["a", "b"])
    frame.index = pd.Index(["a", "b"], dtype=object)
    frame.columns = pd.Index(names, dtype=object)
    records = assert_survives(frame, reserved=["genes", "counts"])
    stored = [record["column"] for record in records]
    assert stored[:10] == [
        "cell_id", "source_cell_id_2", "source_cell_id", "source_Cell_ID_3", "source_genes", "source_Counts", "Age",
        "source_age", "source_AGE_2", "source_unnamed",
    ]  # fmt: skip
    assert stored[-1] == "fine"
    assert all(0 < len(name) < 500 for name in stored)


def test_repeated_names_survive():
    frame = pd.DataFrame([[1, "a"], [2, "b"]], index=pd.Index(["a", "b"], dtype=object))
    frame.columns = pd.Index(["x", "x"], dtype=object, name="columns")
    assert_survives(frame)


@pytest.mark.parametrize(
    "labels", [pd.RangeIndex(2), pd.Index([3, 1]), pd.Index([0.5, 1]), pd.Index(["p", "q"], dtype="string")], ids=str
)
def test_kinds_of_column_labels_survive(labels):
    frame = pd.DataFrame([[1, 2], [3, 4]], index=pd.Index(["a", "b"], dtype=object), columns=labels)
    assert_survives(frame)


def test_column_labels_that_are_tuples_are_refused():
    frame = frame_of([1, 2], "x")
    frame.columns = pd.Index([frozenset("x")], dtype=object)
    with pytest.raises(SourceError, match="no name of a column"):
        encode_table(frame, index_name="cell_id")


@pytest.mark.parametrize(
    ("values", "example"),
    [
        (["a", 3, "b"], r"3 \(int\) among text"),
        ([True, None], r"True \(bool\)"),
        ([{"a": 1}], r"\{'a': 1\} \(dict\)"),
        ([b"a"], r"b'a' \(bytes\)"),
        (["a", ["b"]], r"\['b'\] \(list\) among text"),
        (["a", pd.NaT], r"NaT \(NaTType\) among text"),
    ],
)
def test_other_objects_are_refused(values, example):
    with pytest.raises(SourceError, match=rf"column 'donor' holds {example}\n.*astype") as error:
        encode_table(frame_of(values, "donor", dtype=object), index_name="cell_id")
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    "values",
    [
        pd.period_range("2020-01", periods=2, freq="M"),
        pd.interval_range(0, 2),
        np.array([1 + 2j, 0]),
        pd.Categorical(pd.interval_range(0, 2)),
        pd.Categorical(["a", 3]),
        pd.array([1, 2], dtype=pd.ArrowDtype(pa.int64())),
        np.array(["a", "\ud800"], dtype=object),
    ],
    ids=["period", "interval", "complex", "cut", "mixed labels", "arrow", "surrogate"],
)
def test_other_dtypes_are_refused(values):
    with pytest.raises(SourceError, match=r"column 'x' holds .+\nText, numbers"):
        encode_table(frame_of(values, dtype=values.dtype), index_name="cell_id")


def test_missing_column_is_named():
    table, records = encode_table(frame_of([1, 2], "n"), index_name="cell_id")
    with pytest.raises(DatasetError, match="lacks the columns n"):
        decode_table(table.drop_columns("n"), records)


def test_mixed_missing_markers_become_the_most_frequent():
    table, records = encode_table(frame_of(["a", None, np.nan, None], dtype=object), index_name="cell_id")
    assert list(decode_table(table, records)["x"]) == ["a", None, None, None]


def test_further_columns_are_passed_over():
    frame = frame_of([1, 2], "n")
    table, records = encode_table(frame, index_name="cell_id")
    pd.testing.assert_frame_equal(decode_table(table.append_column("age_numeric", [[1, 2]]), records), frame)


def test_categories_are_listed_only_where_they_must():
    def record(values, **kwargs):
        return encode_table(frame_of(pd.Categorical(values, **kwargs)), index_name="cell_id")[1][1]

    assert record(["b", "a"])["categories"] == "sorted"
    assert record(["b", "a"], categories=["b", "a"])["categories"] == ["b", "a"]
    assert record(["b"], categories=["a", "b", "c"]) | {"unused": ["a", "c"], "categories": "sorted"} == record(
        ["b"], categories=["a", "b", "c"]
    )
    assert record([2.0, np.inf], categories=[np.inf, 2.0])["categories"] == ["Infinity", 2.0]
    many = [f"barcode{i:06d}" for i in range(50_000)]
    assert len(json.dumps(record(many))) < 300


def test_stored_types():
    frame = frame_of(pd.Categorical(["b", "a"]), "label").assign(
        text=["a", "b"], flag=[True, False], many=pd.Categorical([3, 4]), nothing=np.array([None, None], object)
    )
    table, _ = encode_table(frame, index_name="cell_id")
    assert [str(t) for t in table.schema.types] == [
        "string", "dictionary<values=string, indices=int32, ordered=0>", "string", "bool", "int64", "string",
    ]  # fmt: skip
    barcodes = [f"barcode{i:06d}" for i in range(DICTIONARY_LEVELS + 1)]
    table, _ = encode_table(frame_of(pd.Categorical(barcodes)), index_name="cell_id")
    assert table.schema.field("x").type == pa.string()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
dtypes = st.sampled_from(
    ["int8", "uint16", "int64", "uint64", "float32", "float64", "bool", "Int32", "UInt8", "boolean"]
)


@st.composite
def columns(draw, rows: int) -> pd.Series:
    kind = draw(st.sampled_from(["number", "text", "category", "time"]))
    if kind == "number":
        dtype = draw(dtypes)
        info = np.iinfo(dtype.lower()) if "int" in dtype.lower() else None
        item = (
            st.integers(int(info.min), int(info.max)) if info
            else st.booleans() if "bool" in dtype else st.floats(width=int(dtype[5:]))
        )  # fmt: skip
        item = st.none() | item if dtype[0].isupper() or dtype == "boolean" else item
        return pd.Series(draw(st.lists(item, min_size=rows, max_size=rows)), dtype=dtype)
    if kind == "time":
        times = st.datetimes().map(np.datetime64) | st.just(np.datetime64("NaT", "us"))
        return pd.Series(np.array(draw(st.lists(times, min_size=rows, max_size=rows)), dtype="M8[us]"))
    marker = draw(st.sampled_from([None, np.nan, pd.NA]))
    values = draw(st.lists(texts | st.just(marker), min_size=rows, max_size=rows))
    if kind == "text":
        dtype = draw(st.sampled_from([object, "string[python]", "string[pyarrow]"]))
        return pd.Series(values, dtype=dtype)
    extra = draw(st.lists(texts, max_size=3))
    levels = draw(st.permutations(sorted({v for v in [*values, *extra] if isinstance(v, str)})))
    levels = sorted(levels) if draw(st.booleans()) else levels
    return pd.Series(pd.Categorical(values, pd.Index(levels, dtype=object), ordered=draw(st.booleans())))


@st.composite
def frames(draw) -> pd.DataFrame:
    rows = draw(st.integers(0, 12))
    index = pd.Index(draw(st.lists(texts, min_size=rows, max_size=rows)), dtype=object, name=draw(st.none() | texts))
    labels = draw(st.lists(texts | st.sampled_from(["cell_id", "Age", "age"]), max_size=4))
    frame = pd.DataFrame({i: draw(columns(rows)).set_axis(index) for i in range(len(labels))}, index=index)
    frame.columns = pd.Index(labels, dtype=object)
    return frame


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(frames())
def test_any_frame_survives(frame):
    assert_survives(frame)


# ---- other readers ----


@pytest.fixture
def parquet(tmp_path) -> Path:
    frame = pd.DataFrame(
        {
            "cell_type": pd.Categorical(["MuSC", "Type I", "MuSC"], categories=["Type I", "MuSC"], ordered=True),
            "donor": pd.Series(["Y1", "O1", None], dtype=object),
            "n_genes": pd.Series([3, None, 5], dtype="Int32"),
            "doublet": pd.Series([True, None, False], dtype="boolean"),
            "score": pd.Series([0.5, None, 1.5], dtype="Float64"),
            "note": pd.Series(["x", None, "y"], dtype="string"),
            "sampled": pd.to_datetime(["2020-01-01", None, "2021-01-01"]).as_unit("ns").tz_localize("Europe/Berlin"),
            "fraction": np.array([0.25, np.nan, 1.0], np.float32),
            "n": np.array([1, 2, 3], np.uint16),
        },
    ).set_axis(pd.Index(["AAC", "AAG", "AAT"], dtype=object))
    table, _ = encode_table(frame, index_name="cell_id")
    genes = pa.array([[0, 4], [], [1]], pa.list_(pa.uint16()))
    table = table.append_column("genes", genes)
    pq.write_table(table.cast(with_pandas_index(table.schema, "cell_id")), tmp_path / "cells.parquet", row_group_size=2)
    return tmp_path / "cells.parquet"


def test_pandas_reads_the_index_and_dtypes(parquet):
    frame = pd.read_parquet(parquet)
    assert list(frame.index) == ["AAC", "AAG", "AAT"]
    assert frame.index.name == "cell_id"
    expected = {
        "cell_type": "category", "n_genes": "Int32", "doublet": "boolean", "score": "Float64", "note": "string",
        "sampled": "datetime64[ns, Europe/Berlin]", "fraction": "float32", "n": "uint16", "genes": "object",
    }  # fmt: skip
    assert {name: str(frame[name].dtype) for name in expected} == expected
    assert list(frame["cell_type"].cat.categories) == ["Type I", "MuSC"]
    assert [list(tokens) for tokens in frame["genes"]] == [[0, 4], [], [1]]
    assert list(frame["donor"].isna()) == [False, False, True]


def test_pandas_selects_columns(parquet):
    frame = pd.read_parquet(parquet, columns=["genes", "n_genes"])
    assert list(frame.columns) == ["genes", "n_genes"]
    assert list(frame.index) == ["AAC", "AAG", "AAT"]
    assert str(frame["n_genes"].dtype) == "Int32"


def test_other_readers_see_a_first_column(parquet):
    import duckdb
    import polars

    names = pq.read_schema(parquet).names
    assert names[0] == "cell_id"
    assert not any(name.startswith("__index") for name in names)
    expected = {"cell_id": ["AAC", "AAG", "AAT"], "cell_type": ["MuSC", "Type I", "MuSC"], "n_genes": [3, None, 5]}
    assert pq.read_table(parquet, columns=[*expected]).to_pydict() == expected
    frame = polars.read_parquet(parquet)
    assert frame.columns == names
    assert frame.select(polars.col(*expected).cast(polars.String)).to_dict(as_series=False)["n_genes"] == [
        "3",
        None,
        "5",
    ]
    assert frame["genes"].to_list() == [[0, 4], [], [1]]
    relation = duckdb.sql(f"select * from read_parquet('{parquet}')")
    assert relation.columns == names
    assert relation.select("cell_id, cell_type, n_genes").fetchall() == list(zip(*expected.values(), strict=True))


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_it(parquet, streaming, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    rows = list(
        datasets.load_dataset(
            "parquet", data_files=str(parquet), split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
        )
    )
    assert next(iter(rows[0])) == "cell_id"
    assert [row["cell_id"] for row in rows] == ["AAC", "AAG", "AAT"]
    assert [row["cell_type"] for row in rows] == ["MuSC", "Type I", "MuSC"]
    assert [row["genes"] for row in rows] == [[0, 4], [], [1]]
    assert [row["n_genes"] for row in rows] == [3, None, 5]


def test_pandas_metadata_is_the_same_bytes_everywhere():
    schema = pa.schema(
        [
            ("cell_id", pa.string()),
            pa.field("n", pa.int32(), metadata={"pandas_dtype": "Int32"}),
            ("label", pa.dictionary(pa.int32(), pa.string())),
            ("genes", pa.list_(pa.uint16())),
            ("sampled", pa.timestamp("us")),
        ],
        metadata={"huggingface": "{}"},
    )
    document = json.loads(pandas_metadata(schema, "cell_id")[b"pandas"])
    assert document["index_columns"] == ["cell_id"]
    assert [(c["pandas_type"], c["numpy_type"]) for c in document["columns"]] == [
        ("unicode", "object"), ("int32", "Int32"), ("categorical", "int32"), ("list[uint16]", "object"),
        ("datetime", "datetime64[us]"),
    ]  # fmt: skip
    assert document["creator"] == {"library": "titin", "version": "1"}
    assert with_pandas_index(schema, "cell_id").metadata[b"huggingface"] == b"{}"


# ---- real files ----


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.h5ad")) or [None], ids=lambda path: path.stem if path else "-")
@pytest.mark.filterwarnings("ignore")
def test_real_files_survive(path):
    if path is None:
        pytest.skip(f"no sample files in {SAMPLES}")
    import h5py
    from anndata.io import read_elem

    with h5py.File(path) as file:
        for name in ("obs", "var"):
            records = assert_survives(read_elem(file[name]), reserved=["genes", "counts", "levels"])
            assert len(json.dumps(records)) < 1_000_000
