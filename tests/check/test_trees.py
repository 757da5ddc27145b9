"""uns of every type that a file can hold equals what the dataset gives back, and one changed leaf is found."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata.io import read_elem, write_elem
from good_datasets import small_atlas
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from titin.builder import build
from titin.check import validate
from titin.check.trees import tree_difference
from titin.dataset.unstructured import decode_uns, encode_uns
from titin.resources import DEFAULT_MEMORY
from titin.source.budget import Budget
from titin.source.elements import read_uns

# What scanpy, anndata and users put there.

FRAME = pd.DataFrame(
    {"label": pd.Categorical(["x", None, "y"], categories=["y", "x", "z"]), "value": [1.0, np.nan, -0.0],
     "flag": pd.array([True, None, False], "boolean"), "number": pd.array([1, None, 3], "Int64"),
     "text": ["a", "nan", ""]}, index=["r1", "r2", "r3"],
)  # fmt: skip
VALUES: dict[str, Any] = {
    "names": np.rec.fromarrays([np.array(["MYH7", "nan", ""], object), np.array(["nan"] * 3, object)], names="0,1"),
    "scores": np.rec.fromarrays([np.array([1.0, np.nan, -np.inf], "f4"), np.array([-0.0, 0, np.nan])], names="a,b"),
    "number": 3, "real": 0.1, "negative zero": -0.0, "not a number": float("nan"), "yes": np.bool_(True),
    "text": "nan", "empty text": "", "none": None, "bytes": np.array([b"a", b"nan"]), "complex": np.array([1 + 2j, 0]),
    "empty": np.array([]), "empty mapping": {}, "one value": np.array(2.5), "big endian": np.arange(6, dtype=">i4"),
    "half": np.array([0.1, np.nan], "f2"), "wide": np.arange(12.0).reshape(3, 4), "colors": np.array(["#fff", "#000"]),
    "csr": sp.csr_matrix(np.eye(3)), "csc": sp.csc_matrix(np.eye(3, dtype="f4")), "category": FRAME["label"].array,
    "nullable": pd.array([1, None, 3], "Int64"), "nullable flag": pd.array([True, None], "boolean"), "frame": FRAME,
    "t~x": 1, "~1": {"~0": np.arange(2)}, "nested": {"inner": {"frame": FRAME, "none": None, "b": np.array([True])}},
    "rank": {"params": {"groupby": "cell_type", "use_raw": True, "layer": None, "method": "t-test"}},
}  # fmt: skip


def written(uns: dict[str, Any], store: str) -> dict[str, Any]:
    """What a source gives of uns that anndata wrote."""
    with h5py.File.in_memory() as file:
        root = file if store == "h5ad" else zarr.open_group(zarr.storage.MemoryStore(), mode="w", zarr_format=2)
        write_elem(root, "uns", uns)
        lost: dict[str, str] = {}
        found = read_uns(root["uns"], lost, Budget(Path("none"), DEFAULT_MEMORY))
        assert lost == {}
        assert tree_difference(found, read_elem(root["uns"])) is None
        return found


def stored(uns: dict[str, Any]) -> dict[str, Any]:
    """What a dataset gives back."""
    document, lost = encode_uns(uns)
    assert lost == {}
    return decode_uns(json.loads(json.dumps(document, allow_nan=False)))


NOT_IN_ZARR = ("names", "scores", "complex", "bytes")  # which anndata does not write there


@pytest.mark.parametrize(("name", "store"), [
    (name, store) for name in VALUES for store in ("h5ad", "zarr") if store == "h5ad" or name not in NOT_IN_ZARR
])  # fmt: skip
def test_a_value_of_any_type_is_equal_to_what_is_stored_of_it(name: str, store: str) -> None:
    theirs = written({name: VALUES[name]}, store)
    assert tree_difference(stored(theirs), theirs) is None


def changes(value: Any) -> Iterator[Any]:
    """Yield values that differ from one in one thing: an element, the type, the length, what is missing."""
    if isinstance(value, dict):
        yield {**value, "one more": 1}
        yield from ({k: v for k, v in value.items() if k != key} for key in value)
        for key, part in value.items():
            yield from ({**value, key: changed} for changed in changes(part))
    elif isinstance(value, pd.DataFrame):
        yield from _changed_frames(value)
    elif isinstance(value, pd.Categorical):
        yield from (value.as_ordered(), value.astype(object), value.add_categories("one more"))
        yield from _turned(value)
    elif isinstance(value, pd.api.extensions.ExtensionArray):
        yield from (value[:-1], value.astype(object))
        yield from _turned(value)
        if value.isna().any() and not value.isna().all():
            yield value.fillna(value[~value.isna()][0])
    elif hasattr(value, "indptr"):
        yield from (value.astype("c16"), value[:-1], value.toarray())
        yield from (type(value)(value.shape, dtype=value.dtype) for _ in range(value.nnz > 0))
    elif isinstance(value, np.ndarray):
        yield from _changed_arrays(value)
    else:
        yield from ([value], {"value": value}, None if value is not None else "None", f"{value}!")
        if isinstance(value, float):
            yield -value if value == value else 0.0


def _turned(value: Any) -> Iterator[Any]:
    """Yield it the other way round, where that is another."""
    if not value[::-1].equals(value):
        yield value[::-1]


def _changed_frames(value: pd.DataFrame) -> Iterator[pd.DataFrame]:
    yield value.assign(**{"one more": 1})
    yield value[value.columns[::-1]]
    if len(value):
        yield value.rename(index={value.index[0]: "other"})
        yield value[:-1]
    for name in value:
        yield value.drop(columns=name)
        for turned in _turned(value[name].array):
            yield value.assign(**{name: turned})
        if value[name].dtype != object:
            yield value.assign(**{name: value[name].astype(object)})


def _changed_arrays(value: np.ndarray) -> Iterator[Any]:
    yield from (value.tolist(), value[None])
    if value.dtype.names:
        yield np.asarray(value) if isinstance(value, np.recarray) else value.view(np.recarray)
        for name in value.dtype.names:
            for changed in _changed_elements(np.asarray(value[name])):
                other = value.copy()
                other[name] = changed
                yield other
        return
    yield value.astype(object if value.dtype != object else "U9")
    yield from _changed_elements(value)


def _changed_elements(value: np.ndarray) -> Iterator[np.ndarray]:
    for at in np.ndindex(value.shape):
        other = value.copy()
        kind = value.dtype.kind
        if kind in "fc":
            other[at] = 7 if np.isnan(value[at]) else np.nan
        elif kind == "b":
            other[at] = not value[at]
        else:
            with np.errstate(over="ignore"):
                other[at] = value[at] + (1 if kind in "iu" else type(value[at])(b"!" if kind == "S" else "!"))
        if not np.array_equal(other, value):  # text of a fixed length has no room for one more letter
            yield other
        if kind == "f" and value[at] == 0:
            zero = value.copy()
            zero[at] = -value[at]
            yield zero


@pytest.mark.parametrize("name", VALUES)
def test_one_changed_leaf_of_any_type_is_found(name: str) -> None:
    theirs = written({"above": {name: VALUES[name]}}, "h5ad")
    (key,) = theirs["above"]
    for changed in changes(theirs["above"][key]):
        found = tree_difference({"above": {key: changed}}, theirs)
        assert found is not None, changed
        place, said = found
        assert place.startswith("above/" + name.replace("~", "~0"))
        assert said


# The same for whatever hypothesis thinks of.

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="/\x00", exclude_categories=("Cs",)), min_size=1).filter(
    lambda key: key != "."  # which to HDF5 is the group itself
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cs",)), max_size=5)
NUMBERS = hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.floating_dtypes(sizes=(16, 32, 64))
SHAPES = hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=3)
ARRAYS = hnp.arrays(NUMBERS, SHAPES)
RECORDS = st.builds(
    lambda names, values: np.rec.fromarrays([np.array(names, object), values[: len(names)]], names=["0", "T/B"]),
    st.lists(TEXT, min_size=1, max_size=3), hnp.arrays(np.float32, 3),
)  # fmt: skip
FRAMES = st.builds(
    lambda n, values, labels: pd.DataFrame(
        {"a": values[:n], "b": pd.Categorical(labels[:n])}, index=[f"r{i}" for i in range(n)]),
    st.integers(0, 3), hnp.arrays(np.float64, 3), st.lists(st.sampled_from(["x", "nan", None]), min_size=3, max_size=3),
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXT | ARRAYS | RECORDS | FRAMES
    | st.lists(TEXT, min_size=1, max_size=3).map(lambda items: np.array(items, object))
    | hnp.arrays(np.float64, (3, 2)).map(sp.csr_matrix)
    | st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=3).map(lambda items: pd.array(items, "Int64"))
)  # fmt: skip
TREES = st.dictionaries(KEYS, st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=3)), max_size=3)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, st.data())
def test_whatever_anndata_writes_is_equal_and_a_change_is_found(uns: dict[str, Any], data: st.DataObject) -> None:
    theirs = written(uns, "h5ad")
    ours = stored(theirs)
    assert tree_difference(ours, theirs) is None
    if theirs:
        key = data.draw(st.sampled_from(sorted(theirs)))
        if options := list(changes(theirs[key]))[:20]:
            changed = data.draw(st.sampled_from(range(len(options))))
            assert tree_difference({**ours, key: options[changed]}, theirs) is not None


def test_a_key_that_was_left_out_may_be_missing_whatever_its_name() -> None:
    class Odd:
        pass

    uns = {"a/b": {"c~d": Odd(), "e": 1}, "f": 2}
    document, lost = encode_uns(uns)
    assert tree_difference(decode_uns(document), uns, {path.removeprefix("/") for path in lost}) is None
    assert tree_difference(decode_uns(document), uns) == ("a~1b/c~0d", "it is missing")


def test_a_dataset_of_such_uns_is_validated_against_its_source(tmp_path: Path) -> None:
    atlas = small_atlas("counts")
    atlas.uns = VALUES
    atlas.write_h5ad(tmp_path / "atlas.h5ad")
    dataset = build(tmp_path / "atlas.h5ad", tmp_path / "dataset", project=[], threads=1).path

    def found(source: str) -> list[str]:
        report = validate(dataset, source=tmp_path / source, checks=["source.uns"], threads=1)
        return [f"{finding.where}: {finding.message}" for _, finding in report.findings()]

    assert found("atlas.h5ad") == []
    scores = VALUES["scores"].copy()
    scores["b"][2] = 1
    atlas.uns = {**VALUES, "scores": scores}
    atlas.write_h5ad(tmp_path / "changed.h5ad")
    (message,) = found("changed.h5ad")
    assert "scores: field b: 1 of 3 values differ; the first, at 2, is np.float64(nan), not np.float64(1.0)" in message
