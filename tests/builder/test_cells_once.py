"""What grows with cells stands in memory once, and what is made of it is the same."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin import shelf
from titin.builder.ages import CellMetadata
from titin.builder.cell_table import make_cell_table
from titin.builder.metadata import _EmbeddingRows
from titin.builder.opening import keep_numbers, let_go_of_cells, open_chosen
from titin.builder.options import make_options
from titin.dataset import sorted_rows
from titin.dataset.tables import encode_table
from titin.shelf import Shelf
from titin.source.names import Names


@pytest.mark.parametrize("on_disk", [False, True])
@given(n=st.integers(1, 40), dtype=st.sampled_from(["f2", "f4", "f8", "i4", "u1", "?"]), step=st.integers(1, 17),
       seed=st.integers(0, 9), turned=st.booleans())  # fmt: skip
def test_an_embedding_by_parts_is_the_embedding_whole(
    n: int, dtype: str, step: int, seed: int, turned: bool, on_disk: bool, tmp_path_factory
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 3)).astype(dtype)
    values = np.asfortranarray(values) if turned else values
    if values.dtype.kind == "f":
        values[rng.integers(n), 1] = np.nan
    ids, order = pa.array([f"cell{i}" for i in range(n)]), rng.permutation(n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_rows, "_LEAST", 0)
        patch.setattr(sorted_rows, "_RUN_BYTES", 300)
        patch.setattr(shelf, "_LEAST", 0)
        place = Shelf(tmp_path_factory.getbasetemp() if on_disk else None)
        rows = _EmbeddingRows(values, ["x", "y", "z"], ids, "barcode", order, place)
    frame = pd.DataFrame(values, columns=["x", "y", "z"], index=pd.Index(ids.to_pylist(), name="barcode"))
    whole, records = encode_table(frame, index_name="cell_id")
    parts = pa.concat_tables([rows.slice(at, step) for at in range(0, n, step)])
    assert rows.records == records
    assert rows.num_rows == n
    assert parts.schema.equals(whole.schema)
    assert parts.equals(whole.take(pa.array(order)))


@pytest.fixture
def atlas(tmp_path):
    rng = np.random.default_rng(3)
    X = sparse.random(60, 20, 0.4, format="csr", dtype=np.float32, random_state=3)
    X.data = np.ceil(9 * X.data)
    names = pd.Index([f"AAC{i}-1" for i in range(60)], name="barcode")
    obs = pd.DataFrame({"donor": pd.Categorical([f"d{i % 4}" for i in range(60)]), "n": np.arange(60)}, index=names)
    obsm = {"X_pca": rng.normal(size=(60, 5)).astype(np.float32), "flags": rng.random((60, 2)) > 0.5}
    path = tmp_path / "a.h5ad"
    ad.AnnData(X, obs, pd.DataFrame(index=[f"G{i}" for i in range(20)]), obsm=obsm).write_h5ad(path)
    return path


def test_a_table_on_disk_is_the_table(atlas, tmp_path, monkeypatch) -> None:
    source, choices = open_chosen(atlas, make_options(), 2**30)
    with source:
        names, numbers = source.obs.index.to_list(), source.obs["n"].tolist()
        genes = pa.table({"gene": source.var.index.to_list(), "gene_ids": source.var.index.to_list()})
        known = CellMetadata(source.obs, choices, {}, genes, make_options())
        cells = make_cell_table(known, np.arange(60)[::-1])
        monkeypatch.setattr(shelf, "_LEAST", 0)
        kept = make_cell_table(known, np.arange(60)[::-1], Shelf(tmp_path))
        keep_numbers(source, kept)
        assert kept.rows.equals(cells.rows)
        assert kept.label_table.equals(cells.label_table)
        assert (kept.records, kept.labels, kept.described) == (cells.records, cells.labels, cells.described)
        assert source.obs.index.to_list() == names
        assert source.obs.index.name == "barcode"
        assert {name: source.obs[name].tolist() for name in source.obs} == {"n": numbers}
        let_go_of_cells(source)
        assert len(source.obs) == 0


@given(st.lists(st.one_of(st.text("ab", max_size=2), st.none()), max_size=40), st.booleans())
def test_names_that_repeat_are_found_whatever_holds_them(names: list[str | None], arrow: bool) -> None:
    array = pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(names, pa.string())]))
    found = Names.of(pd.Index(array) if arrow else pd.Index(names, dtype=object), "cell")
    assert found.missing.tolist() == [i for i, name in enumerate(names) if not name]
    repeated = [name for i, name in enumerate(names) if name and name in names[:i]]
    assert found.repeated.to_list() == list(dict.fromkeys(repeated))


def test_what_was_built_is_the_source(atlas, tmp_path) -> None:
    titin.build(atlas, tmp_path / "d", project=(), keep_all=True)
    one, other = ad.read_h5ad(atlas), titin.open(tmp_path / "d").to_anndata()
    other = other[one.obs_names]
    assert other.obs.index.equals(one.obs.index)
    assert other.obs.index.name == "barcode"
    assert other.obs["donor"].tolist() == one.obs["donor"].tolist()
    for key, values in one.obsm.items():
        assert other.obsm[key].dtype == values.dtype
        assert np.array_equal(other.obsm[key], values)


@pytest.mark.parametrize(("name", "options"), [
    ("a.h5ad", {}), ("a.h5ad", {"keep_all": True, "layers": ["log"], "roles": {"age": "years"}}),
    ("a.zarr", {"roles": {"age": "years"}}),
], ids=["text", "all", "zarr"])  # fmt: skip
def test_a_build_from_mapped_files_is_that_from_memory(tmp_path, monkeypatch, name, options) -> None:
    monkeypatch.setattr("titin.dataset.tables.DICTIONARY_LEVELS", 3)  # so that donors are stored as text
    rng = np.random.default_rng(5)
    n = 1_500
    X = sparse.random(n, 30, 0.3, format="csr", dtype=np.float32, random_state=4)
    X.data = np.ceil(5 * X.data)
    obs = pd.DataFrame({
        "donor": [f"d{i % 4}" if i % 7 else None for i in range(n)],
        "age": [f"{20 + 10 * (i % 4)}-year-old" for i in range(n)],
        "cell_type": pd.Categorical(rng.choice(["T", "B", None], n)), "free text": [f"text {i}" for i in range(n)],
        "n_counts": np.asarray(X.sum(axis=1)).ravel(), "masked": pd.array([1, None, 3] * (n // 3), "Int16"),
        "flag": rng.random(n) < 0.5, "number": np.arange(n), "small": np.arange(n).astype("u1"),
        "years": np.where(np.arange(n) % 3, 20.0 + 10 * (np.arange(n) % 4), -1),
        "measured": rng.normal(size=n).astype("f4"),
    }, index=[f"cell-{i}" for i in range(n)])  # fmt: skip
    layers = {"log": X.log1p()}
    frame = pd.DataFrame({"x": rng.normal(size=n), "kind": pd.Categorical(rng.choice(["p", "q"], n))}, index=obs.index)
    obsm = {"X_pca": rng.normal(size=(n, 5)).astype(np.float32), "X_umap": rng.normal(size=(n, 2)), "X_frame": frame}
    var = pd.DataFrame(index=[f"G{i}" for i in range(30)])
    source = tmp_path / name
    adata = ad.AnnData(X, obs, var, obsm=obsm, layers=layers)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of anndata, over zarr's versions
        adata.write_h5ad(source) if source.suffix == ".h5ad" else adata.write_zarr(source)
    wanted = titin.build(source, tmp_path / "memory", project=(), **options)
    monkeypatch.setattr(shelf, "_LEAST", 0)
    monkeypatch.setattr(shelf, "WORTH_A_FILE", 1_000)
    monkeypatch.setattr(sorted_rows, "_LEAST", 0)
    monkeypatch.setattr(sorted_rows, "RUN", 400)
    monkeypatch.setattr("titin.dataset.store.RANGE", 300)
    monkeypatch.setattr("titin.dataset.store._RANGES_HELD", 2)
    found = titin.build(source, tmp_path / "mapped", project=(), **options)
    names = {path.name for path in found.path.iterdir()}
    assert names == {path.name for path in wanted.path.iterdir()}
    for file in names:
        assert (found.path / file).read_bytes() == (wanted.path / file).read_bytes(), file
    assert {path.name for path in tmp_path.iterdir()} == {name, "memory", "mapped"}
