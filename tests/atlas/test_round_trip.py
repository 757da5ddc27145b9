"""build, then export to AnnData: equal to the source as anndata reads it, X to the last bit."""

import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from anndata.tests.helpers import assert_equal
from scipy import sparse

from titin.builder import BuildReport, build
from titin.dataset.spill import Spill
from titin.exporter import export

KINDS = {
    "celltypist_sample_559x32786": "counts",
    "glioblastoma_lemur_5000x300": "counts",
    "heart_pseudobulk_mofacell_66x29126": "counts",
    "hsmm_human_skeletal_myoblast_fpkm": "real",
    "human_liver_cellxgene_146x33452": "log1p",
    "oligodendroglioma_infercnv": "real",
    "pbmc4k_soupx_2170x33694": "counts",
    "pbmc_3tech_symphony_1200x1767": "log1p",
}
LIVER = "human_liver_cellxgene_146x33452"
# one of each kind; datasets of others are compared with their sources by tests of `check`
QUICK = (LIVER, "heart_pseudobulk_mofacell_66x29126", "hsmm_human_skeletal_myoblast_fpkm")
CONTAINERS = ("h5ad", "zarr2", "zarr3")
N_CELLS, N_GENES = 60, 25


def read(path: Path) -> ad.AnnData:
    return ad.read_zarr(path) if path.suffix == ".zarr" else ad.read_h5ad(path)


def write(atlas: ad.AnnData, folder: Path, container: str) -> Path:
    """Write as anndata would, with every encoding that it knows."""
    version = int(container[-1]) if container != "h5ad" else 2
    with (
        warnings.catch_warnings(),
        ad.settings.override(allow_write_nullable_strings=True, zarr_write_format=version),
    ):
        warnings.simplefilter("ignore")  # of the writer, about defaults to come
        if container == "h5ad":
            atlas.write_h5ad(folder / "source.h5ad", convert_strings_to_categoricals=False)
            return folder / "source.h5ad"
        atlas.write_zarr(folder / "source.zarr", convert_strings_to_categoricals=False)
        return folder / "source.zarr"


def assert_same_matrix(found: Any, source: Any) -> None:
    """Equal to the last bit; a dense matrix is still dense, a sparse one is CSR."""
    assert found.dtype == source.dtype
    assert found.shape == source.shape
    if not sparse.issparse(source):
        assert isinstance(found, np.ndarray)
        assert found.tobytes() == np.ascontiguousarray(source).tobytes()
        return
    assert isinstance(found, sparse.csr_matrix)
    assert found.has_canonical_format
    expected = source.tocsr().copy()
    expected.sort_indices()
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.data.tobytes() == expected.data.tobytes()


def assert_same_frame(found: pd.DataFrame, source: pd.DataFrame) -> None:
    assert_equal(found, source, exact=True)
    assert list(found.columns) == list(source.columns)
    assert found.dtypes.tolist() == source.dtypes.tolist()  # of categories: the same ones, in the same order
    assert found.index.dtype == source.index.dtype
    assert found.index.name == source.index.name


def assert_same_parts(found: ad.AnnData, source: ad.AnnData, var: pd.DataFrame | None = None) -> None:
    assert_same_frame(found.obs, source.obs)
    assert_same_frame(found.var, source.var if var is None else var)
    assert sorted(found.obsm) == sorted(source.obsm)
    for key, value in source.obsm.items():
        assert type(found.obsm[key]) is type(value)
        if isinstance(value, pd.DataFrame):
            assert_same_frame(found.obsm[key], value)
        else:
            assert found.obsm[key].dtype == value.dtype
            np.testing.assert_array_equal(found.obsm[key], value)
    assert_same_uns(found.uns, source.uns)
    assert not found.layers
    assert found.raw is None


def assert_same_uns(found: Any, source: Any) -> None:
    found, source = map(text_as_objects, (found, source))
    assert type(found) is type(source)
    if isinstance(source, dict):
        assert sorted(found) == sorted(source)
        for key, value in source.items():
            assert_same_uns(found[key], value)
    elif isinstance(source, np.ndarray | np.generic | float):
        assert np.asarray(found).dtype == np.asarray(source).dtype
        np.testing.assert_array_equal(found, source)
    else:
        assert_equal(found, source, exact=True)


def text_as_objects(value: Any) -> Any:
    """Arrays of text, which anndata gives in one dtype from HDF5 and in another from zarr, in one."""
    is_text = isinstance(value, np.ndarray) and value.dtype == np.dtypes.StringDType()
    return value.astype(object) if is_text else value


def assert_comes_back(
    source: Path, folder: Path, *, to: tuple[str, ...] = ("h5ad", "zarr"), **options: Any
) -> BuildReport:
    """Build, export and compare; return what the build reported."""
    report = build(source, folder / "dataset", memory="512MiB", **options)
    expected = read(source)
    for name in to:
        found = read(export(report.path, name, folder / f"back.{name}", memory="512MiB"))
        assert_same_matrix(found.X, expected.X)
        assert_same_parts(found, expected)
    return report


# real files


def test_every_real_file_is_tested(shared):
    assert sorted(path.stem for path in (shared / "data/h5ad").glob("*.h5ad")) == sorted(KINDS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in KINDS]
)
def test_real_file_in_many_buckets(name, shared, tmp_path, cut):
    cut(values=60_000, cells=64)
    report = assert_comes_back(shared / f"data/h5ad/{name}.h5ad", tmp_path)
    assert report.manifest.kind == KINDS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_real_file_unshuffled(name, shared, tmp_path):
    report = assert_comes_back(shared / f"data/h5ad/{name}.h5ad", tmp_path, to=("h5ad",), shuffle=False)
    assert report.manifest.kind == KINDS[name]
    source_rows = pq.read_table(report.path / report.manifest.layout.expression, columns=["source_row"])
    assert source_rows.column(0).to_pylist() == list(range(report.manifest.n_cells))


def test_liver_is_normalised_to_1500_of_a_total_taken_before_genes_were_removed(shared, tmp_path):
    source = shared / f"data/h5ad/{LIVER}.h5ad"
    manifest = build(source, tmp_path / "liver").manifest
    assert manifest.recovery["target_sum"] == 1500.0
    assert manifest.recovery["target_of"] == "obs/nCount_RNA"
    assert manifest.recovery["witness"] == "layers/counts"
    assert 0 < manifest.recovery["worst_ulp"] <= 2
    assert manifest.left_out == {"layers/counts": "witness for count recovery; not stored"}


def test_liver_counts_are_those_of_its_layer(shared, tmp_path):
    source = shared / f"data/h5ad/{LIVER}.h5ad"
    build(source, tmp_path / "liver")
    found = ad.read_h5ad(export(tmp_path / "liver", "h5ad", tmp_path / "counts.h5ad", counts=True))
    layer = ad.read_h5ad(source).layers["counts"]
    layer.data = np.rint(layer.data)  # the layer was made from X; it is within 5e-4 of integers
    assert_same_matrix(found.X, layer.astype(np.uint32))


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind == "real"])
def test_values_without_integers_behind_them_are_said_to_be_so(name, shared, tmp_path):
    manifest = build(shared / f"data/h5ad/{name}.h5ad", tmp_path / "dataset").manifest
    assert manifest.notes[0].startswith("no integer counts lie behind the values; they are stored as they are")
    tried = {"counts", "log1p", "log1p of base 2", "log1p of base 10", "normalized"}
    assert set(manifest.recovery["refused"]) == tried
    for cells in manifest.recovery["refused"].values():
        assert cells
        assert all(cell in manifest.notes[0] for cell in cells)


# the demo


@pytest.mark.parametrize("shuffle", [True, False])
def test_demo(demo, tmp_path, shuffle):
    to = ("h5ad", "zarr") if shuffle else ("h5ad",)
    assert_comes_back(demo.atlas, tmp_path, to=to, shuffle=shuffle, preset="muscle", donors=demo.donors)


def test_sharded_demo(sharded, tmp_path):
    assert len(sharded.manifest.shards(sharded.manifest.layout.expression)) > 1
    found = read(export(sharded.dataset, "h5ad", tmp_path / "back.h5ad"))
    assert_same_matrix(found.X, sharded.source().X)
    assert_same_parts(found, sharded.source())


def test_demo_counts_come_back_from_its_values(demo, tmp_path):
    found = ad.read_h5ad(export(demo.dataset, "h5ad", tmp_path / "counts.h5ad", counts=True))
    source = demo.source()
    total = source.obs["n_counts"].to_numpy(np.float64)
    expected = source.X.astype(np.float64)
    expected.data = np.rint(np.expm1(expected.data) * np.repeat(total, np.diff(expected.indptr)) / 1e4)
    assert_same_matrix(found.X, expected.astype(np.uint32))
    np.testing.assert_array_equal(np.asarray(found.X.sum(axis=1)).ravel(), total)


def test_blocks_buckets_and_strips_do_not_change_a_byte(demo, tmp_path, monkeypatch):
    from titin.resources import Resources

    buckets = []
    make = Spill.__init__

    def record(self: Spill, path: Path, n_buckets: int) -> None:
        buckets.append(n_buckets)
        make(self, path, n_buckets)

    monkeypatch.setattr(Spill, "__init__", record)
    monkeypatch.setattr(Resources, "bucket_values", property(lambda _: 9_000))
    monkeypatch.setattr(Resources, "scan_values", property(lambda _: 5_000))
    settings = {"preset": "muscle", "texts": False, "donors": demo.donors}
    again = build(demo.atlas, tmp_path / "again", **settings, memory="512MiB").path
    assert max(buckets) > 1
    names = sorted(path.name for path in demo.dataset.iterdir())
    assert sorted(path.name for path in again.iterdir()) == names
    assert [name for name in names if (again / name).read_bytes() != (demo.dataset / name).read_bytes()] == []


# generated atlases


def counts(dtype: Any = "float32") -> np.ndarray:
    """Dense counts with an empty cell and a gene nobody expresses."""
    dense = np.random.default_rng(0).poisson(0.7, (N_CELLS, N_GENES)).astype(dtype)
    dense[3] = 0
    dense[:, 4] = 0
    return dense


def log_normalised(dtype: Any = "float32") -> np.ndarray:
    dense = counts("float64")
    return np.log1p(dense / np.maximum(dense.sum(axis=1, keepdims=True), 1) * 1e4).astype(dtype)


def fractions(dtype: Any = "float32") -> np.ndarray:
    """Values with no integers behind them."""
    return (log_normalised("float64") * np.random.default_rng(1).random((N_CELLS, N_GENES))).astype(dtype)


def with_value(dense: np.ndarray, value: float) -> np.ndarray:
    dense[0, 0] = value
    return dense


def small_atlas(X: Any = None) -> ad.AnnData:
    obs = pd.DataFrame(index=[f"cell-{i}" for i in range(N_CELLS)])
    var = pd.DataFrame(index=[f"gene-{i}" for i in range(N_GENES)])
    return ad.AnnData(sparse.csr_matrix(counts()) if X is None else X, obs=obs, var=var)


MATRICES = {
    **{f"dense {t}": (counts(t), "counts") for t in ("bool", "uint8", "int32", "int64", "float32", "float64")},
    **{f"csr {t}": (sparse.csr_matrix(counts(t)), "counts") for t in ("int16", "uint32", "int64", "float64")},
    **{f"csc {t}": (sparse.csc_matrix(counts(t)), "counts") for t in ("uint8", "int64", "float32")},
    "dense log1p float32": (log_normalised(), "log1p"),
    "dense log1p float64": (log_normalised("float64"), "log1p"),
    "csr log1p float32": (sparse.csr_matrix(log_normalised()), "log1p"),
    "csc log1p float64": (sparse.csc_matrix(log_normalised("float64")), "log1p"),
    "dense real float16": (fractions("float16"), "real"),
    "csr real float32": (sparse.csr_matrix(fractions()), "real"),
    "csc real float64": (sparse.csc_matrix(fractions("float64")), "real"),
    "count past 16 bits": (sparse.csr_matrix(with_value(counts(), 70_000)), "counts"),
    "count past 32 bits": (sparse.csr_matrix(with_value(counts("int64"), 2**40)), "real"),
    "nothing expressed": (sparse.csr_matrix((N_CELLS, N_GENES), dtype="float32"), "counts"),
}


QUICK_UNSHUFFLED = {"dense float32", "csr int64", "csr log1p float32", "csc real float64", "nothing expressed"}
SLOW_SHUFFLED = {"dense int32", "dense float64", "csr uint32", "csr float64", "csc int64", "dense log1p float64"}
QUICK_OF = {True: MATRICES.keys() - SLOW_SHUFFLED, False: QUICK_UNSHUFFLED}


@pytest.mark.parametrize(("name", "shuffle"), [
    pytest.param(name, shuffle, marks=[] if name in QUICK_OF[shuffle] else pytest.mark.slow)
    for name in MATRICES for shuffle in (True, False)
])  # fmt: skip
def test_matrix(name, shuffle, tmp_path, cut):
    cut(values=200, cells=7)
    X, kind = MATRICES[name]
    source = write(small_atlas(X), tmp_path, "h5ad")
    report = assert_comes_back(source, tmp_path, to=("h5ad", "zarr") if shuffle else ("h5ad",), shuffle=shuffle)
    assert report.manifest.kind == kind


@pytest.mark.parametrize(("name", "container"), [
    pytest.param(name, container, marks=[] if (row + column) % 2 == 0 else pytest.mark.slow)
    for row, name in enumerate(["dense float32", "csr float64", "csc uint8", "csc log1p float64"])
    for column, container in enumerate(["zarr2", "zarr3"])
])  # fmt: skip
def test_matrix_in_zarr(name, container, tmp_path, cut):
    cut(values=200, cells=7)
    assert_comes_back(write(small_atlas(MATRICES[name][0]), tmp_path, container), tmp_path)


def test_one_cell_and_one_gene(tmp_path):
    for shape in ((1, 3), (3, 1), (1, 1)):
        folder = tmp_path / f"{shape}"
        folder.mkdir()
        atlas = ad.AnnData(sparse.csr_matrix(np.arange(1.0, 1 + np.prod(shape), dtype="float32").reshape(shape)))
        assert_comes_back(write(atlas, folder, "h5ad"), folder)


def test_stored_zeros_are_dropped_and_unsorted_genes_sorted_and_both_are_noted(tmp_path):
    X = sparse.csr_matrix(
        (np.array([2, 0, 1, 3], "float32"), np.array([4, 1, 0, 2]), np.array([0, 3, 4])), shape=(2, 5)
    )
    source = tmp_path / "source.h5ad"
    with h5py.File(source, "w") as file:
        ad.io.write_elem(file, "/", ad.AnnData(X))
    manifest = build(source, tmp_path / "dataset").manifest
    assert "1 explicitly stored zeros were dropped" in manifest.notes
    assert "1 cells had their genes in no ascending order; they were sorted" in manifest.notes
    found = ad.read_h5ad(export(tmp_path / "dataset", "h5ad", tmp_path / "back.h5ad"))
    X.eliminate_zeros()
    assert_same_matrix(found.X, X)


@pytest.mark.parametrize("to", ["h5ad", "zarr"])
@pytest.mark.parametrize("choice", [{"layer": "counts"}, {"layer": "dense"}, {"raw": True}], ids=str)
def test_layer_and_raw(choice, to, tmp_path):
    atlas = small_atlas(sparse.csr_matrix(log_normalised()))
    atlas.layers["counts"] = sparse.csc_matrix(counts("int32"))
    atlas.layers["dense"] = fractions()
    wide = np.hstack([counts(), counts()[:, :3] + 1])
    names = pd.DataFrame({"length": np.arange(N_GENES + 3)}, index=[f"raw-{i}" for i in range(N_GENES + 3)])
    atlas.raw = ad.AnnData(sparse.csr_matrix(wide), obs=atlas.obs, var=names)
    source = write(atlas, tmp_path, "h5ad")
    build(source, tmp_path / "dataset", **choice)
    found, expected = read(export(tmp_path / "dataset", to, tmp_path / f"back.{to}")), read(source)
    assert_same_matrix(found.X, expected.raw.X if "raw" in choice else expected.layers[choice["layer"]])
    assert_same_parts(found, expected, expected.raw.var if "raw" in choice else None)


def columns() -> dict[str, Any]:
    """A column of every dtype that obs may have."""
    n = np.arange(N_CELLS)
    half = ["b", "a"] * (N_CELLS // 2)
    numbers = {t: n.astype(t) for t in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}
    floats = {t: (n / 3).astype(t) for t in ("float16", "float32", "float64")}
    nullable = {
        t: pd.array([pd.NA, *n[1:]], dtype=t)
        for t in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float32", "Float64")
    }
    return numbers | floats | nullable | {
        "bool": n % 2 == 0,
        "boolean": pd.array([pd.NA, *(n[1:] % 2 == 0)], dtype="boolean"),
        "boolean without missing": pd.array(n % 2 == 0, dtype="boolean"),
        "not a number": np.where(n % 3, n, np.nan),
        "infinite": np.array([np.inf, -np.inf, -0.0, *n[3:]]),
        "text": np.array([f"é {i}, \"x\"" for i in n], dtype=object),
        "text, empty": np.array([""] * N_CELLS, dtype=object),
        "text with missing": pd.array([pd.NA, *n[1:].astype(str)], dtype="string"),
        "text, nullable": pd.array(n.astype(str), dtype="string"),
        "category": pd.Categorical(half),
        "category, unsorted": pd.Categorical(half, categories=["b", "a"]),
        "category, ordered, unused, missing": pd.Categorical(
            [None, *half[1:]], categories=["z", "b", "a", "c"], ordered=True
        ),
        "category of numbers": pd.Categorical([3, 1] * (N_CELLS // 2), categories=[9, 3, 1]),
        "category of fractions": pd.Categorical([0.5, 1.5] * (N_CELLS // 2), categories=[1.5, 0.5]),
        "category of booleans": pd.Categorical([True, False] * (N_CELLS // 2)),
        "category, empty": pd.Categorical([None] * N_CELLS, categories=[]),
        "datetime": pd.date_range("2020-01-01", periods=N_CELLS),
        "datetime in a zone": pd.date_range("2020-01-01", periods=N_CELLS, tz="Europe/Berlin"),
        "duration": pd.to_timedelta(n, unit="s"),
        # names that the dataset has taken
        "cell_id": n.astype(str).astype(object), "Cell_ID": n, "source_row": n[::-1].copy(), "counts": n, "genes": n,
        "age": pd.Categorical(["15-20"] * N_CELLS), "age_numeric": np.where(n % 2, n, np.nan),
        "a column, with: odd characters": n, "x.length": n,
    }  # fmt: skip


# kinds of columns that anndata 0.12 cannot write; a later one may
UNWRITABLE = {"Float32", "Float64", "datetime", "datetime in a zone", "duration"}


def writable(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Only the columns that this anndata writes."""
    kept = []
    for position in range(frame.shape[1]):
        with h5py.File(folder / "column.h5", "w") as file, ad.settings.override(allow_write_nullable_strings=True):
            try:
                ad.io.write_elem(file, "frame", frame.iloc[:, [position]])
                kept.append(position)
            except Exception:
                assert frame.columns[position] in UNWRITABLE
    return frame.iloc[:, kept]


@pytest.mark.parametrize(
    ("container", "to"),
    [
        ("h5ad", "zarr"),
        ("zarr3", "h5ad"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("h5ad", "h5ad"), ("zarr2", "zarr"))),
    ],
)
def test_columns_of_every_dtype(container, to, tmp_path, cut):
    cut(values=200, cells=7)
    atlas = small_atlas()
    atlas.obs = writable(pd.DataFrame(columns(), index=atlas.obs_names), tmp_path)
    atlas.var = atlas.obs.iloc[:N_GENES].set_axis(atlas.var_names)
    atlas.obs.index.name, atlas.var.index.name = "barcode", "gene id"
    report = assert_comes_back(write(atlas, tmp_path, container), tmp_path, to=(to,))
    assert report.manifest.left_out == {}


@pytest.mark.parametrize("name", ["cell_id", "index", "genes", "token", "gene", "gene_ids"])
def test_names_of_the_index(name, tmp_path):
    atlas = small_atlas()
    atlas.obs.index.name = atlas.var.index.name = name
    assert_comes_back(write(atlas, tmp_path, "h5ad"), tmp_path)


def test_columns_of_genes_that_the_dataset_has_too(tmp_path):
    atlas = small_atlas()
    expressed = (counts() != 0).sum(axis=0)
    atlas.var["gene_ids"] = [f"ENSG{i:011}" for i in range(N_GENES)]
    atlas.var["gene"] = atlas.var_names.to_numpy()
    atlas.var["n_cells"] = expressed.astype("int32")  # the same numbers, in another type
    atlas.var["n_counts"] = expressed  # not the same
    atlas.var["mean"] = counts().mean(axis=0)
    atlas.var["Token"] = np.arange(N_GENES)
    assert_comes_back(write(atlas, tmp_path, "h5ad"), tmp_path)


def test_stable_ids_as_names_of_genes(tmp_path):
    atlas = small_atlas()
    atlas.var_names = [f"ENSG{i:011}" for i in range(N_GENES)]
    atlas.var["feature_name"] = pd.Categorical([f"SYM{i // 2}" for i in range(N_GENES)])  # symbols occur twice
    assert_comes_back(write(atlas, tmp_path, "h5ad"), tmp_path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_embeddings(container, tmp_path, cut):
    cut(values=200, cells=7)
    rng = np.random.default_rng(0)
    atlas = small_atlas()
    atlas.obsm = {
        "X_umap": rng.random((N_CELLS, 2)).astype("float32"),
        "X umap": rng.random((N_CELLS, 2)),  # would make the same file name
        "X_UMAP": rng.random((N_CELLS, 1)),  # the same where case does not count
        "whole": rng.integers(-5, 5, (N_CELLS, 3)),
        "half": rng.random((N_CELLS, 3)).astype("float16"),
        "flags": rng.random((N_CELLS, 2)) < 0.5,
        "missing": np.where(rng.random((N_CELLS, 2)) < 0.5, np.nan, 1.5),
        "frame": pd.DataFrame(
            {"x": np.arange(N_CELLS), "cell_id": pd.Categorical(["a", "b"] * (N_CELLS // 2)), "t": ["é"] * N_CELLS},
            index=atlas.obs_names,
        ),
    }
    report = assert_comes_back(write(atlas, tmp_path, container), tmp_path)
    files = [entry["file"].lower() for entry in report.manifest.obsm.values()]
    assert len(set(files)) == len(files) == len(atlas.obsm)


def test_what_is_no_embedding_is_named(tmp_path):
    atlas = small_atlas()
    atlas.obsm = {"cube": np.ones((N_CELLS, 2, 2)), "sparse": sparse.csr_matrix(counts()), "X_pca": counts()[:, :2]}
    report = build(write(atlas, tmp_path, "h5ad"), tmp_path / "dataset")
    assert sorted(report.manifest.left_out) == ["obsm/cube", "obsm/sparse"]
    assert list(ad.read_h5ad(export(report.path, "h5ad", tmp_path / "back.h5ad")).obsm) == ["X_pca"]


@pytest.mark.parametrize("container", CONTAINERS)
def test_unstructured_metadata(container, tmp_path):
    atlas = small_atlas()
    atlas.uns = {
        "a": {"b": {"c": {"d": 1, "text": "é"}, "empty": {}}, "none": None},
        "array": np.arange(6, dtype="int8").reshape(2, 3),
        "colors": np.array(["#ff0000", "#00ff00"], dtype=object),
        "float": 1.5, "nan": np.nan, "true": True, "float32": np.float32(2.5), "big": 2**53 + 1,
        "not finite": np.array([np.inf, -np.inf, np.nan], dtype="float32"),
        "frame": pd.DataFrame({"n": [1, 2], "label": pd.Categorical(["x", "y"], ["y", "x"])}, index=["p", "q"]),
        "records": np.array([(1, 2.0), (3, 4.5)], dtype=[("n", "int32"), ("x", "float64")]),
        "sparse": sparse.csr_matrix(np.eye(3)),
        "category": pd.Categorical(["u", None]), "nullable": pd.array([1, None], dtype="Int64"),
        "__types__": {"looks like": "the format's own key"},
    }  # fmt: skip
    report = assert_comes_back(write(atlas, tmp_path, container), tmp_path)
    assert report.manifest.left_out == {}


def test_tenx(tmp_path):
    matrix = sparse.csr_matrix(counts("int32"))
    source = tmp_path / "filtered_feature_bc_matrix.h5"
    with h5py.File(source, "w") as file:
        file.attrs["chemistry_description"] = "Single Cell 3' v3"
        group = file.create_group("matrix")
        group["barcodes"] = np.array([f"ACGT{i}-1" for i in range(N_CELLS)], dtype="S")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = np.array([N_GENES, N_CELLS], "int32")
        group["features/id"] = np.array([f"ENSG{i:011}" for i in range(N_GENES)], dtype="S")
        group["features/name"] = np.array([f"SYM{i}" for i in range(N_GENES)], dtype="S")
        group["features/feature_type"] = np.array(["Gene Expression"] * N_GENES, dtype="S")
        group["features/genome"] = np.array(["GRCh38"] * N_GENES, dtype="S")
    build(source, tmp_path / "dataset")
    for to in ("h5ad", "zarr"):
        found = read(export(tmp_path / "dataset", to, tmp_path / f"back.{to}"))
        assert_same_matrix(found.X, matrix)
        assert list(found.obs_names) == [f"ACGT{i}-1" for i in range(N_CELLS)]
        assert list(found.var_names) == [f"SYM{i}" for i in range(N_GENES)]
        assert found.var["gene_ids"].tolist() == [f"ENSG{i:011}" for i in range(N_GENES)]
        assert list(found.var) == ["gene_ids", "feature_types", "genome"]
        assert found.uns["chemistry_description"] == "Single Cell 3' v3"
