"""Cells are compared with their source range by range, from mapped files: as if all were in memory at once."""

import mmap
import tempfile
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from titin import shelf
from titin.builder import build
from titin.check import run, validate
from titin.check.comparison import differing, frame_difference
from titin.check.dataset import CheckedDataset
from titin.check.source_rows import SourceNames, SourceRows
from titin.dataset import sorted_rows, store
from titin.dataset.binary_rows import array_of, binary_rows
from titin.shelf import Shelf
from titin.source import open_source

N = 130


def _kinds() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    text = rng.choice(["x", "y", "zz"], N)
    holes = rng.random(N) < 0.2
    columns: dict[str, Any] = {
        "float": np.where(holes, np.nan, rng.normal(size=N)).astype("f4"),
        "zero": np.zeros(N),
        "integer": rng.integers(-9, 9, N),
        "small": rng.integers(0, 200, N).astype("u1"),
        "flag": rng.random(N) < 0.5,
        "holed integer": pd.arrays.IntegerArray(rng.integers(0, 9, N), holes),
        "holed flag": pd.arrays.BooleanArray(rng.random(N) < 0.5, holes),
        "text": np.where(holes, None, text),
        "own text": np.array([f"of {i}" for i in range(N)], object),
        "labels": pd.Categorical(np.where(holes, None, text)),
        "ordered": pd.Categorical(text, ["zz", "x", "never", "y"], ordered=True),
        "numbered": pd.Categorical(rng.integers(0, 4, N), [3, 0, 1, 2]),
    }
    return pd.DataFrame(columns, index=[f"AAC{i:03}-1" for i in range(N)])


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    folder, rng = tmp_path_factory.mktemp("ranges"), np.random.default_rng(1)
    X = sparse.random(N, 8, 0.6, format="csr", dtype=np.float32, random_state=1)
    X.data = np.ceil(9 * X.data)
    obs = _kinds()
    frame = pd.DataFrame({"a": rng.normal(size=N), "b": pd.Categorical(rng.choice(["p", "q"], N))}, index=obs.index)
    obsm = {"X_pca": rng.normal(size=(N, 5)).astype("f4"), "X_two": rng.integers(0, 9, (N, 2)), "X_frame": frame}
    atlas = ad.AnnData(X, obs, pd.DataFrame(index=[f"G{i}" for i in range(8)]), obsm=obsm)
    atlas.write_h5ad(folder / "a.h5ad")
    return build(folder / "a.h5ad", folder / "dataset", project=(), threads=1).path, folder / "a.h5ad"


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    """Ranges of a few cells, and everything on the disk."""
    monkeypatch.setattr(shelf, "_LEAST", 0)
    monkeypatch.setattr(sorted_rows, "_LEAST", 0)
    monkeypatch.setattr(sorted_rows, "RUN", 23)
    monkeypatch.setattr(store, "RANGE", 37)
    monkeypatch.setattr(store.Store.ranges, "__defaults__", (37,))


@pytest.fixture(scope="module")
def opened(built):
    dataset, path = built
    place = Shelf(Path(tempfile.gettempdir()))
    with open_source(path, arrow_names=True, shelf=place) as source:
        yield CheckedDataset(dataset, source=source, threads=1, shelf=place)


def _other(frame: pd.DataFrame, place: int, row: int) -> pd.DataFrame:
    """The frame with one value changed: to another that is there, or to what is missing."""
    changed = frame.copy()
    column = changed.iloc[:, place]
    different = [value for value in column.dropna().unique() if pd.isna(column.iloc[row]) or value != column.iloc[row]]
    if frame.columns[place] == "zero":
        different = [-0.0]
    changed.iloc[row, place] = different[0] if different else None
    return changed


@given(place=st.integers(0, 11), row=st.integers(0, N - 1))
def test_one_value_of_any_column_is_found_as_in_whole_frames(opened, place: int, row: int) -> None:
    records, file = opened.manifest.obs["columns"][1:], opened.layout.sample_metadata
    theirs, every = opened.source.obs, range(12)
    own = theirs.set_axis(pd.Index(theirs.index.astype(object), name=theirs.index.name), axis=0)
    assert opened.beside_source.table_difference(file, records, theirs, every, lambda: opened.source_names) is None
    changed = _other(theirs, place, row)
    found = opened.beside_source.table_difference(file, records, changed, every, lambda: opened.source_names)
    assert found == frame_difference(own, changed.set_axis(own.index, axis=0))
    assert f"column {theirs.columns[place]}, cell or gene AAC{row:03}-1 (source row {row:,})" in found.where
    assert found.message.startswith("1 values differ")


@given(key=st.sampled_from(["X_pca", "X_two"]), n=st.integers(0, 3), seed=st.integers(0, 99))
def test_values_of_embeddings_are_found_as_in_whole_arrays(opened, key: str, n: int, seed: int) -> None:
    rng, theirs = np.random.default_rng(seed), np.array(opened.source.obsm[key])
    ours = theirs.copy()
    for row in rng.integers(0, N, n):
        theirs[row, rng.integers(theirs.shape[1])] += 1
    found, differ = opened.beside_source.array_difference(key, theirs), differing(ours, theirs)
    if not differ.any():
        assert found is None
        return
    row, column = np.argwhere(differ)[0]
    assert found.message == (f"{differ.sum()} values differ; the first is {ours[row, column]}, "
                             f"not {theirs[row, column]}")  # fmt: skip
    assert found.where == f", dimension {column + 1}, source row {row}"


@given(place=st.integers(0, 1), row=st.integers(0, N - 1), renamed=st.booleans())
def test_one_value_of_a_table_in_obsm_is_found(opened, place: int, row: int, renamed: bool) -> None:
    entry, theirs = opened.manifest.obsm["X_frame"], opened.source.obsm["X_frame"]
    own = theirs.set_axis(pd.Index(theirs.index.astype(object), name=theirs.index.name), axis=0)
    changed = own.rename(index={own.index[row]: "another"}) if renamed else _other(own, place, row)
    found, file, records = [], entry["file"], entry["columns"][1:]
    for frame in (theirs, changed):
        names = SourceNames(frame.index, opened.source_rows)
        found.append(opened.beside_source.table_difference(file, records, frame, range(2), lambda own=names: own))
    assert found == [None, frame_difference(own, changed)]
    assert found[1] is not None


@given(seed=st.integers(0, 99), n=st.integers(0, 4))
def test_names_are_found_as_in_whole_lists(opened, seed: int, n: int) -> None:
    rng, names = np.random.default_rng(seed), opened.source.obs.index.to_numpy(object).copy()
    wrong = np.unique(rng.integers(0, N, n))
    names[wrong] = [f"other {i}" for i in wrong]
    rows, file = SourceRows(opened.atlas.store, opened.shelf), opened.layout.sample_metadata
    own = SourceNames(pd.Index(names), rows).differing(opened.atlas.store, file, "cell_id")
    found = {int(rows.numbers[first + at]): (ours[at].as_py(), theirs[at].as_py())
             for first, places, ours, theirs in own for at in places.tolist()}  # fmt: skip
    assert found == {i: (f"AAC{i:03}-1", f"other {i}") for i in wrong.tolist()}


@given(numbers=st.lists(st.integers(-1, 6), min_size=1, max_size=6))
def test_the_first_row_that_is_wrong_is_the_first_again_or_beyond(numbers: list[int]) -> None:
    rows = SourceRows.__new__(SourceRows)
    rows.numbers = np.array(numbers, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "RANGE", 2)
        found = rows.first_wrong
    wrong = [at for at, n in enumerate(numbers) if not 0 <= n < len(numbers) or n in numbers[:at]]
    assert found == (wrong[0] if wrong else None)
    assert rows.of(1, 3)[1].tolist() == [n for n in numbers[1:4] if 0 <= n < len(numbers)]


def test_a_good_dataset_is_found_equal_from_mapped_files_and_nothing_stays(built, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sources = []

    def keep(*args: Any, **options: Any) -> Any:
        sources.append(open_source(*args, **options))
        return sources[-1]

    monkeypatch.setattr(run, "open_source", keep)
    report = validate(built[0], source=built[1], checks=["source", "integrity"], threads=1)
    assert [(r.check.name, f.message) for r, f in report.findings("error")] == []
    assert {r.check.name: r.status for r in report.results if r.check.name.startswith("source.")} | {
        "source.arrays": "skipped"} == {f"source.{name}": "passed" for name in (
            "sha256", "order", "matrix", "obs", "var", "obsm", "uns")} | {"source.arrays": "skipped"}  # fmt: skip
    obs = sources[0].obs
    assert pa.types.is_string(obs.index.dtype.pyarrow_dtype)
    assert _lies_on_disk(obs["float"].to_numpy())
    assert _lies_on_disk(obs["labels"].array.codes)
    with open_source(built[1], arrow_names=True, shelf=Shelf(tmp_path)) as source:
        frame = source.obsm["X_frame"]
        assert pa.types.is_string(frame.index.dtype.pyarrow_dtype)
        assert _lies_on_disk(frame["a"].to_numpy())
    assert list(tmp_path.iterdir()) == []


def _lies_on_disk(values: Any) -> bool:
    while isinstance(values, np.ndarray) and values.base is not None:
        values = values.base
    return isinstance(values.obj if isinstance(values, memoryview) else values, mmap.mmap)


@given(dtype=st.sampled_from(["f2", "f8", "i1", "?", "u4"]), shape=st.tuples(st.integers(0, 9), st.integers(1, 5)))
def test_rows_as_bytes_are_the_rows(dtype: str, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    rows, order = binary_rows(values), np.random.default_rng(1).permutation(shape[0])
    assert array_of(rows, dtype, shape[1]).tolist() == values.tolist()
    assert array_of(rows[2:], dtype, shape[1]).tolist() == values[2:].tolist()
    taken = pa.chunked_array([rows[:3], rows[3:]]).take(pa.array(order))
    assert array_of(taken, dtype, shape[1]).tolist() == values[order].tolist()
    if shape[0] > 1 and shape[1] > 1:
        with pytest.raises(ValueError, match="do not lie one after another"):
            binary_rows(np.asfortranarray(values))
