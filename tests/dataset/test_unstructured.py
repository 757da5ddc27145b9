"""uns survives as strict JSON, reads as one expects, and says what it cannot carry."""

import datetime
import json
from collections import OrderedDict, namedtuple
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem, write_elem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from titin.dataset.unstructured import TYPES, decode_uns, encode_uns

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "h5ad"


def carried(uns: dict, *, sort_keys: bool = False) -> dict:
    """Go through the text of a JSON file."""
    document, left_out = encode_uns(uns)
    assert left_out == {}
    text = json.dumps(document, allow_nan=False, sort_keys=sort_keys)
    assert text == json.dumps(encode_uns(uns)[0], allow_nan=False, sort_keys=sort_keys)
    return decode_uns(json.loads(text))


def assert_same(restored, expected):
    """Same types, dtypes, shapes, values and bits (but for the payload of NaN), at any depth."""
    assert type(restored) is type(expected)
    match expected:
        case dict():
            assert len(restored) == len(expected)
            for (key, value), (other_key, other) in zip(restored.items(), expected.items(), strict=True):
                assert_same(key, other_key)
                assert_same(value, other)
        case list() | tuple():
            assert len(restored) == len(expected)
            for value, other in zip(restored, expected, strict=True):
                assert_same(value, other)
        case np.ma.MaskedArray():
            for part in ("data", "mask", "fill_value"):
                assert_same(np.asarray(getattr(restored, part)), np.asarray(getattr(expected, part)))
        case np.ndarray() | np.generic():
            assert restored.dtype == expected.dtype
            assert restored.shape == expected.shape
            if expected.dtype.names is not None:
                for name in expected.dtype.names:
                    assert_same(np.asarray(restored[name]), np.asarray(expected[name]))
            elif expected.dtype == object:
                assert_same(list(restored.flat), list(expected.flat))
            else:
                np.testing.assert_array_equal(restored, expected)
                if expected.dtype.kind in "fc":
                    assert (np.signbit(restored.real) == np.signbit(expected.real))[~np.isnan(expected)].all()
        case pd.DataFrame():
            pd.testing.assert_frame_equal(restored, expected, check_exact=True)
        case pd.Series():
            pd.testing.assert_series_equal(restored, expected, check_exact=True)
        case pd.Index():
            pd.testing.assert_index_equal(restored, expected, exact=True)
        case pd.api.extensions.ExtensionArray():
            pd.testing.assert_extension_array_equal(restored, expected, check_exact=True)
        case _ if sparse.issparse(expected):
            for part in ("data", "indices", "indptr"):
                assert_same(getattr(restored, part), getattr(expected, part))
            assert restored.shape == expected.shape
        case float() | complex():
            assert repr(restored) == repr(expected)
        case _:
            assert restored is expected or restored == expected


rng = np.random.default_rng(0)
names = np.rec.fromarrays(
    [np.array(["PAX7", "MYF5"], object), np.array(["MYH7", "ACTN3"], object)], names=["MuSC", "Type I"]
)
scores = np.array([(0.1, -0.0), (np.nan, np.inf)], dtype=[("MuSC", "<f4"), ("Type I", "<f8")])
many_indices = sparse.csr_matrix(np.array([[0, 1.5, 0], [2, 0, 0]], np.float32))
many_indices.indices, many_indices.indptr = many_indices.indices.astype(np.int64), many_indices.indptr.astype(np.int64)

VALUES = {
    "none": None,
    "true": True,
    "integer": 2**70,
    "negative zero": -0.0,
    "nan": float("nan"),
    "infinities": [float("inf"), -float("inf"), 0.1],
    "text": "NaN",
    "text with anything": "ä\n\"'\\/~\x00",
    "bytes": b"\x00\xff a",
    "complex": complex(float("nan"), -0.0),
    "empty dict": {},
    "empty list": [],
    "empty tuple": (),
    "nested": {"a": {"b": [{"c": (1, [np.float32(0.1)])}]}},
    "list of lists": [[1, 2], [], ["x", None]],
    "keys": {1: "a", "1": "b", 2.5: "c", None: "d", (1, "x"): "e", True + 1: "f", np.int64(7): "g", b"k": np.ones(1)},
    "awkward keys": {"a/b": np.ones(1), "a~b": {"/": (1,)}, "": {"": b""}, "~1": 1.0, "0": {"1": (2,)}},
    "inner types": {TYPES: np.ones(2), "x": np.zeros(1)},
    **{f"scalar {t}": np.dtype(t).type(1) for t in ("bool", "i1", "u8", "f2", "f4", "f8", "c8", "c16")},
    "scalar nan": np.float32("nan"),
    "scalar text": np.str_("abc"),
    "scalar bytes": np.bytes_(b"abc"),
    "scalar time": np.datetime64("2020-01-01T00:00:00", "s"),
    "scalar NaT": np.timedelta64("NaT", "ms"),
    "scalar record": scores[0],
    **{
        f"array {t}": np.array([[0, 1, 3], [4, 1, 0]], t)
        for t in ("bool", "i1", "u2", "i8", "f2", "f4", "f8", "c8", ">f4", ">i2")
    },
    "array of odd floats": np.array([[np.nan, -np.inf], [-0.0, 5e-324]]),
    "array of odd halves": np.array([np.nan, np.inf, -np.inf, 0.1], np.float16),
    "array of odd complex": np.array([complex(np.nan, 1), complex(-0.0, -np.inf)], np.complex64),
    "array of large integers": np.array([2**64 - 1, 0], np.uint64),
    "array 0-d": np.array(0.1, np.float32),
    "array 0-d nan": np.array(np.nan),
    "array 0-d text": np.array("x"),
    "array 0-d object": np.array(None, dtype=object),
    "array 0-d bytes": np.array(b"x"),
    **{f"array empty {s}": np.zeros(s, np.float32) for s in ((0,), (0, 3), (3, 0), (2, 0, 2))},
    **{f"array empty {t}": np.zeros((0, 2), t) for t in ("U3", "S2", "c8", "M8[ns]", "O")},
    "array 3-d": rng.normal(size=(2, 3, 4)).astype(np.float32),
    "array Fortran": np.asfortranarray(rng.normal(size=(2, 3))),
    "array strided": np.arange(10)[::-3],
    "array of fixed text": np.array([["a", ""], ["ä", "abc"]]),
    "array of bytes": np.array([b"a", b"\xff\x80"]),
    "array of times": np.array(["2020-01-01", "NaT"], "M8[ns]"),
    "array of days": np.array(["2020-01-01", "NaT"], "M8[D]"),
    "array of durations": np.array([[1, "NaT"]], "m8[us]"),
    "array of text": np.array(["a", "b", ""], object),
    "array of text and missing": np.array(["a", None, np.nan, pd.NA, pd.NaT, 3, 2.5, True], object),
    "array of text 2-d": np.array([["a", "b"], ["c", None]], object),
    "array of arrays": np.array([np.ones(2), np.zeros(3), None], object),
    "array of lists": np.array([[1, 2], None, {"a": (1,)}], object),
    "rank_genes_groups": {"names": names, "scores": scores, "params": {"groupby": "cell_type", "use_raw": True}},
    "structured with subarrays": np.zeros(2, [("a", "<f4", (3,)), ("b", [("c", "U2"), ("d", "i1")])]),
    "structured and padded": np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "structured and empty": np.zeros((0, 2), [("a", "O"), ("b", "M8[s]")]),
    "masked": np.ma.MaskedArray([[1.5, np.nan], [3, 4]], [[False, True], [False, False]]),
    "masked integers": np.ma.MaskedArray([1, 2], [True, False], fill_value=7, dtype=np.int16),
    "categorical": pd.Categorical(["b", None, "a"], categories=["b", "z", "a"], ordered=True),
    "categorical sorted": pd.Categorical(["b", None, "a"]),
    "nullable integers": pd.array([1, None, 2**53 + 1], dtype="Int64"),
    "nullable booleans": pd.array([True, None], dtype="boolean"),
    "nullable floats": pd.arrays.FloatingArray(np.array([0.1, np.nan, 1], "f4"), np.array([False, False, True])),
    "nullable text": pd.array(["a", None, "NaN"], dtype="string"),
    "time zone": pd.to_datetime(["2020-01-01", None]).as_unit("ns").tz_localize("Europe/Berlin").array,
    "series": pd.Series([1.5, np.nan], index=pd.Index(["a", "b"], dtype=object, name="gene"), name="lfc"),
    "series of objects": pd.Series(["a", 3, None], index=[2, 1, 0], dtype=object),
    "index": pd.Index([3, 1], name="n"),
    "index of text": pd.Index(["a", "b"], dtype=object),
    "frame": pd.DataFrame(
        {
            "gene": pd.Series(["PAX7", None], dtype=object),
            "lfc": np.array([0.1, np.inf], np.float32),
            "label": pd.Categorical(["x", None]),
            "n": pd.array([1, None], dtype="UInt8"),
        }
    ).set_axis(pd.Index(["a", "b"], dtype=object, name="row")),
    "frame with odd columns": pd.DataFrame([[1, 2.5, "x"]], columns=pd.Index(["a", "a", 3], dtype=object), index=[5]),
    "frame without columns": pd.DataFrame(index=pd.Index(["a"], dtype=object), columns=pd.Index([], dtype=object)),
    **{
        f"sparse {cls.__name__}": cls(np.array([[0, np.nan, 0], [2, 0, 0]], np.float32))
        for cls in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.csc_array)
    },
    "sparse empty": sparse.csr_matrix((0, 5), dtype=np.int8),
    "sparse with explicit zeros, unsorted": sparse.csr_matrix((np.array([0.0, 1]), np.array([2, 0]), np.array([0, 2]))),
    "sparse with long indices": many_indices,
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_value_survives(name):
    value = VALUES[name]
    assert_same(carried({"key": value})["key"], value)
    assert_same(carried({"deep": [{"key": (value,)}]}), {"deep": [{"key": (value,)}]})
    box = np.array([value, "x", None], dtype=object) if not isinstance(value, list | tuple) else np.array([1], object)
    assert_same(carried({"objects": box})["objects"], box)


def test_everything_at_once_and_with_sorted_keys():
    assert_same(carried(VALUES), VALUES)
    restored = carried({"rank": VALUES["rank_genes_groups"], "frame": VALUES["frame"]}, sort_keys=True)
    assert_same(restored["rank"]["names"], names)
    assert_same(restored["frame"], VALUES["frame"])


def test_document_reads_as_expected():
    uns = {
        "pca": {"params": {"zero_center": True}, "variance": np.array([500.5, 3.25], np.float32)},
        "neighbors": {"params": {"n_neighbors": np.int64(15), "method": "umap"}},
        "cell_type_colors": np.array(["#1f77b4", "#ff7f0e"], object),
        "markers": pd.DataFrame({"gene": ["PAX7"], "lfc": [2.5]}, index=["a"]),
        "rank_genes_groups": {"scores": np.array([(1.5, np.nan)], [("MuSC", "<f4"), ("Type I", "<f4")])},
    }
    document, left_out = encode_uns(uns)
    types = document.pop(TYPES)
    assert left_out == {}
    assert document == {
        "pca": {"params": {"zero_center": True}, "variance": [500.5, 3.25]},
        "neighbors": {"params": {"n_neighbors": 15, "method": "umap"}},
        "cell_type_colors": ["#1f77b4", "#ff7f0e"],
        "markers": {"index": ["a"], "columns": ["gene", "lfc"], "data": [["PAX7"], [2.5]], "names": [None, None]},
        "rank_genes_groups": {"scores": {"MuSC": [1.5], "Type I": ["NaN"]}},
    }
    assert types["/pca/variance"] == {"type": "array", "dtype": "float32", "shape": [2]}
    assert types["/neighbors/params/n_neighbors"] == {"type": "array", "dtype": "int64"}
    assert "/pca" not in types


def test_plain_metadata_is_left_as_it_is():
    uns = {"title": "Muscle", "schema": {"version": [1, 2.5, None, "x"]}}
    assert encode_uns(uns) == (uns, {})
    assert encode_uns({}) == ({}, {})
    assert decode_uns({}) == {}


def test_reserved_key_survives_at_the_top():
    uns = {TYPES: {"/x": {"type": "array"}}, f"_{TYPES}": 1, f"___{TYPES}": np.ones(1), "x": (1,), f"a{TYPES}": 2}
    document, _ = encode_uns(uns)
    assert document[f"_{TYPES}"] == {"/x": {"type": "array"}}
    assert_same(carried(uns), uns)
    assert carried({TYPES: "plain"}) == {TYPES: "plain"}


Pair = namedtuple("Pair", "a b")


def test_subclasses_become_their_base():
    uns = OrderedDict(pair=Pair(1, 2), inner=OrderedDict(a=1), matrix=np.ones((1, 2)).view(np.matrix))
    assert_same(carried(uns), {"pair": (1, 2), "inner": {"a": 1}, "matrix": np.ones((1, 2))})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "builtins.object"),
        ({1, 2}, "builtins.set"),
        (anndata.AnnData(np.ones((2, 2))), "AnnData"),
        (datetime.date(2020, 1, 1), "datetime.date"),
        (sparse.coo_matrix(np.eye(2)), "coo_matrix"),
        (np.longdouble(1), "longdouble"),
        (np.zeros(2, np.longdouble), "ndarray"),
        (np.zeros(2, "V3"), "ndarray"),
        (pd.period_range("2020", periods=2, freq="M"), "period"),
        (pd.MultiIndex.from_tuples([("a", 1)]), "several levels"),
        ([1, [object()]], "at is a|/x/1/0 is a builtins.object"),
        (np.array([1, object()], object), "/x/1 is a builtins.object"),
        (np.ma.MaskedArray([object()], [False], object), "builtins.object"),
        (pd.DataFrame({"a": [{1}, 2]}), "builtins.set"),
        (pd.Series(pd.interval_range(0, 2)), "interval"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_carried_is_named(value, reason):
    uns = {"x": value, "ok": np.ones(2), "inner": {"x": value, "a": (1,)}}
    document, left_out = encode_uns(uns)
    assert left_out.keys() == {"/x", "/inner/x"}
    assert pd.Series(left_out["/x"]).str.contains(reason, regex=True).all()
    assert_same(decode_uns(json.loads(json.dumps(document, allow_nan=False))), {"ok": np.ones(2), "inner": {"a": (1,)}})
    assert not any("/x" in pointer for pointer in document[TYPES])


def test_awkward_arrays_are_named():
    awkward = pytest.importorskip("awkward")
    assert encode_uns({"x": awkward.Array([[1], []])})[1].keys() == {"/x"}


def test_a_key_that_cannot_be_carried_is_named():
    document, left_out = encode_uns({frozenset({1}): np.ones(1), "a": 1})
    assert document == {"a": 1}
    assert "its key" in left_out["/frozenset({1})"]


def test_a_dropped_entry_takes_its_inner_notes_along():
    document, left_out = encode_uns({"x": [{"gone": object(), "kept": (1,)}, object()], "y": {"z": object()}})
    assert document == {"y": {}}
    assert left_out.keys() == {"/x", "/y/z"}


# ---- whatever h5ad holds ----


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")
def test_what_h5ad_holds_survives(tmp_path):
    keys = [
        "none", "true", "text", "empty dict", "array of odd floats", "array of text", "array 3-d", "array of bytes",
        "rank_genes_groups", "nullable integers", "nullable booleans", "categorical", "sparse csr_matrix",
        "sparse csc_array", "scalar f4", "scalar bool", "array 0-d", "array 0-d text",
    ]  # fmt: skip
    frame = VALUES["frame"].assign(gene=np.array(["PAX7", "MYF5"], object))
    uns = {name: VALUES[name] for name in keys} | {"frame": frame, "float": 0.1, "integer": 3, "list": ["a", "b"]}
    with h5py.File(tmp_path / "source.h5ad", "w") as file:
        write_elem(file, "uns", uns)
        source = read_elem(file["uns"])
    assert source.keys() == uns.keys()
    restored = carried(source)
    assert_same(restored, source)
    atlas = anndata.AnnData(np.ones((1, 1), np.float32), uns=restored)
    atlas.write_h5ad(tmp_path / "export.h5ad")
    again = anndata.read_h5ad(tmp_path / "export.h5ad").uns
    assert_same({name: again[name] for name in source}, source)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.h5ad")) or [None], ids=lambda path: path.stem if path else "-")
@pytest.mark.filterwarnings("ignore")
def test_real_files_survive(path):
    if path is None:
        pytest.skip(f"no sample files in {SAMPLES}")
    with h5py.File(path) as file:
        uns = read_elem(file["uns"]) if "uns" in file else {}
        frames = {name: read_elem(file[name]) for name in ("obs", "var")}
    assert_same(carried(uns), uns)
    assert_same(carried(frames), frames)


# ---- any metadata ----

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
plain_text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3)
array_dtypes = (
    hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes()
    | hnp.floating_dtypes(sizes=(16, 32, 64)) | hnp.complex_number_dtypes(sizes=(64, 128))
    | hnp.unicode_string_dtypes(max_len=4) | hnp.byte_string_dtypes(max_len=4)
    | st.sampled_from(["M8[D]", "M8[s]", "M8[ns]", "m8[h]", "m8[us]", ">M8[ms]"]).map(np.dtype)
)  # fmt: skip
arrays = hnp.arrays(
    array_dtypes | hnp.array_dtypes(array_dtypes, max_size=3), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)
)
text_arrays = st.lists(texts | st.none() | st.floats(), max_size=4).map(
    lambda items: np.fromiter(items, dtype=object, count=len(items))
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=4) | st.complex_numbers()
    | st.floats(width=32).map(np.float32) | st.integers(0, 255).map(np.uint8) | plain_text.map(np.str_)
)  # fmt: skip
keys = texts | st.sampled_from([TYPES, f"_{TYPES}", "a/b", "~0"]) | st.integers() | st.tuples(st.integers(), texts)
metadata = st.recursive(
    scalars | arrays | text_arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.dictionaries(keys, metadata, max_size=5))
def test_any_metadata_survives(uns):
    assert_same(carried(uns), uns)
