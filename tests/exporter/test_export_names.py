"""Every export is read back by those who read such files, whatever the names in it, or is refused in words."""

import gzip
import io
import runpy
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scanpy as sc
import zarr
from anndata.io import read_elem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.check.comparison import frame_difference
from titin.check.trees import tree_difference
from titin.errors import TitinError
from titin.exporter import export
from titin.exporter.anndata_file import write_element, write_table
from titin.exporter.names import check_keys, check_lines, check_table

# name of a column: whether HDF5 (h5ad) and zarr can hold it
COLUMNS = {
    "a/b": (True, True), "a/b/c": (True, True), "/a": (False, False), "a/": (False, False), "a//b": (False, False),
    "a/./b": (False, False), "a/../b": (True, False), "": (False, False), ".": (False, False), "..": (True, False),
    "a\nb": (True, True), "a\tb": (True, True), 'a"b': (True, True), "a,b": (True, True), "=1+1": (True, True),
    " ": (True, True), "é中": (True, True), "x" * 300: (True, False), "a\0b": (False, False), "_index": (False, False),
    ".zattrs": (True, False), ".zgroup": (True, False), "zarr.json": (True, False), "A": (True, True),
    "a\\b": (True, True), "\\": (True, False), "%2F": (True, True), "categories": (True, True), "~": (True, True),
}  # fmt: skip


def frame(*names: str) -> pd.DataFrame:
    """A column of each sort in turn, numbers, text and labels, under names."""
    columns = [np.array([1.5, 2.0]), np.array(["x", "y"], object), pd.Categorical(["p", "q"])]
    data = {i: columns[i % 3] for i in range(len(names))}
    return pd.DataFrame(data, index=["c1", "c2"]).set_axis(pd.Index(names, dtype=object), axis=1)


def refusal(check: Callable[..., None], *arguments: Any) -> str | None:
    """Say why names are refused; None if they are not."""
    try:
        check(*arguments)
    except TitinError as refused:
        return str(refused)
    return None


def group(to: str, folder: Path) -> Any:
    """A new root of a file."""
    if to == "h5ad":
        return h5py.File.in_memory()
    shutil.rmtree(folder / "zarr", ignore_errors=True)
    return zarr.open_group(str(folder / "zarr"), mode="w", zarr_format=2)


def written(table: pd.DataFrame, to: str, folder: Path) -> pd.DataFrame:
    """What anndata reads of a table that was exported."""
    check_table(table, "obs", to)
    root = group(to, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_table(root, "obs", table, to)
        found = read_elem(root["obs"])
    assert sorted(root) == ["obs"]
    return found


@pytest.mark.parametrize("to", ["h5ad", "zarr"])
@pytest.mark.parametrize("name", COLUMNS, ids=ascii)
def test_a_column_of_any_name_is_read_back_or_refused(name: str, to: str, tmp_path: Path) -> None:
    table = frame("a", name, "last") if name in ("A", "=1+1") else frame("first", name, "last")
    if not COLUMNS[name][to == "zarr"]:
        with pytest.raises(TitinError, match=f"in obs cannot be written to {to}: ") as refused:
            written(table, to, tmp_path)
        assert repr(name)[:50] in str(refused.value)
        return
    found = written(table, to, tmp_path)
    assert found.columns.tolist() == table.columns.tolist()
    for column in table:
        assert found[column].tolist() == table[column].tolist()
        assert isinstance(found[column].dtype, pd.CategoricalDtype) == isinstance(
            table[column].dtype, pd.CategoricalDtype
        )


PIECES = st.lists(st.sampled_from(["a", "B", "b", "/", "\\", ".", " ", "\n", "é", "codes", "categories", "x" * 200]),
                  max_size=4).map("".join)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(PIECES, min_size=1, max_size=5, unique=True), to=st.sampled_from(["h5ad", "zarr"]))
def test_columns_of_any_names_together_are_read_back_or_refused(names: list[str], to: str, tmp_path: Path) -> None:
    table = frame(*names)
    if refusal(check_table, table, "obs", to):
        return
    found = written(table, to, tmp_path)
    assert found.columns.tolist() == names
    assert all(found[name].tolist() == table[name].tolist() for name in names)


@pytest.mark.parametrize("to", ["h5ad", "zarr"])
@pytest.mark.parametrize("names", [["B/T", "B"], ["B", "B/codes"], ["_index/x"], ["a/b/c", "x", "a/b"]], ids=str)
def test_a_column_that_would_lie_in_another_is_refused(names: list[str], to: str) -> None:
    assert "is in its place" in str(refusal(check_table, frame(*names), "obs", to))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.lists(PIECES, min_size=1, max_size=4, unique=True), to=st.sampled_from(["h5ad", "zarr"]))
def test_keys_of_any_names_are_read_back_or_refused(keys: list[str], to: str, tmp_path: Path) -> None:
    uns = {"above": {key: np.arange(3) for key in keys}}
    if refusal(check_keys, uns, "uns", to):
        return
    root = group(to, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_element(root, "uns", uns, "uns", to)
        assert tree_difference(read_elem(root["uns"]), uns) is None


def test_what_anndata_cannot_write_is_named(tmp_path: Path) -> None:
    with pytest.raises(TitinError, match=r"^column 'when' of obs cannot be written to h5ad: ") as refused:
        written(pd.DataFrame({"when": pd.to_datetime(["2020", "2021"])}, index=["a", "b"]), "h5ad", tmp_path)
    assert refused.value.hint == "export in another format"


LINES = st.text(st.sampled_from(list("aZ0 /=#'é-.:|\\;")), min_size=1, max_size=6) | st.text(min_size=1, max_size=6)


@given(st.lists(LINES, min_size=1, max_size=5))
def test_lines_that_are_written_are_read_back_by_scanpys_and_rs_way(names: list[str]) -> None:
    if refusal(check_lines, names, "barcode", "barcodes.tsv.gz", ["\t", ",", '"']):
        return
    text = "".join(f"{name}\n" for name in names)
    assert text.split("\n")[:-1] == names  # R's readLines
    found = pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=False)
    assert found[0].tolist() == names


# whole datasets


BARCODES = ["a/b", "=1+1", "é中", "x" * 300, "a'b", "A", "a", "..", ".", " lead", "#1", "AAAC-1"]
GENES = ["MYH7", "a/b", "=SUM(A1)", "g,1", "é", "y" * 300, "A", "a", "cell_id", ".."]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    return dataset_of(tmp_path_factory.mktemp("hostile"), BARCODES, GENES)


def dataset_of(
    folder: Path, barcodes: list[str], genes: list[str], dtype: str = "float32", dense: bool = False
) -> tuple[Path, np.ndarray]:
    counts = np.random.default_rng(0).poisson(1.0, (len(barcodes), len(genes))).astype(dtype)
    obs = pd.DataFrame({"pct/total": np.linspace(0, 1, len(barcodes)), "B/T": pd.Categorical(["B", "T"] * 6)}
                       if len(barcodes) == 12 else {}, index=barcodes)  # fmt: skip
    var = pd.DataFrame({"mean/all": counts.mean(axis=0, dtype="f8")}, index=genes)
    X = counts if dense else sparse.csr_matrix(counts.astype("float32"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of slashes
        ad.AnnData(X, obs, var).write_h5ad(folder / "atlas.h5ad")
    if dtype == "float16" and not dense:
        with h5py.File(folder / "atlas.h5ad", "r+") as file:
            data = file["X/data"][()]
            del file["X/data"]
            file["X"].create_dataset("data", data=data.astype("float16"))
    return titin.build(folder / "atlas.h5ad", folder / "dataset", project=[], threads=1).path, counts


@pytest.mark.parametrize("to", ["h5ad", "zarr"])
def test_anndata_reads_hostile_names_back(hostile: tuple[Path, np.ndarray], tmp_path: Path, to: str) -> None:
    path = export(hostile[0], to, tmp_path / f"back.{to}", threads=1)
    found = ad.read_h5ad(path) if to == "h5ad" else ad.read_zarr(path)
    source = ad.read_h5ad(hostile[0].with_name("atlas.h5ad"))
    assert frame_difference(found.obs, source.obs) is None
    assert frame_difference(found.var, source.var) is None
    np.testing.assert_array_equal(found.X.toarray(), hostile[1])


def test_wide_tables_as_text_are_read_back(hostile: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    columns = [*(name for name in GENES if name != "cell_id"), "gene_cell_id"]
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t"), (".CSV", ","), (".csv.gz", ","), (".tsv.gz", "\t")):
        path = export(hostile[0], "wide", tmp_path / f"wide{suffix}", threads=1)
        table = pd.read_csv(path, sep=delimiter, index_col=0)
        assert table.index.tolist() == BARCODES
        assert sorted(table.columns) == sorted(columns)
        expected = hostile[1][:, [GENES.index(c.removeprefix("gene_cell_id") or "cell_id") for c in table.columns]]
        np.testing.assert_array_equal(table.to_numpy(np.float32), expected)
        assert pl.read_csv(path, separator=delimiter)["cell_id"].to_list() == BARCODES
    parquet = pd.read_parquet(export(hostile[0], "wide", tmp_path / "wide.parquet", threads=1))
    assert sorted(parquet.columns) == sorted(columns)


def test_compressed_text_is_the_text_and_the_same_each_time(hostile: tuple[Path, Any], tmp_path: Path) -> None:
    paths = [export(hostile[0], "wide", tmp_path / name, threads=1) for name in ("a.csv.gz", "b.csv.gz", "a.csv")]
    assert gzip.decompress(paths[0].read_bytes()) == paths[2].read_bytes()
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_text_holds_every_bit_and_quotes_what_parts_lines(tmp_path: Path) -> None:
    barcodes = ["a\nb", 'q"q', "a,b", "a\tb", "plain", "c\r\nd"]
    values = np.random.default_rng(1).gamma(1, 1, (6, 3))
    ad.AnnData(values, pd.DataFrame(index=barcodes), pd.DataFrame(index=["g\n1", 'g"2', "g,3"])).write_h5ad(
        tmp_path / "atlas.h5ad"
    )
    dataset = titin.build(tmp_path / "atlas.h5ad", tmp_path / "dataset", project=[], threads=1).path
    for suffix, delimiter in ((".csv", ","), (".tsv", "\t")):
        path = export(dataset, "wide", tmp_path / f"wide{suffix}", threads=1)
        with path.open(newline="") as file:
            table = pd.read_csv(file, sep=delimiter, index_col=0, float_precision="round_trip")
        assert table.index.tolist() == barcodes
        assert table.columns.tolist() == ["g\n1", 'g"2', "g,3"]
        assert table.to_numpy().tobytes() == values.tobytes()
    with pytest.raises(TitinError, match=r"barcode 'a\\nb' \(number 0\) cannot be written to barcodes.tsv.gz"):
        export(dataset, "mtx", tmp_path / "mtx", threads=1)
    assert not (tmp_path / "mtx").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # scanpy's own use
def test_scanpy_reads_a_10x_folder_of_such_names(tmp_path: Path) -> None:
    genes = [name for name in GENES if name != "=SUM(A1)"]
    dataset, counts = dataset_of(tmp_path, BARCODES, genes)
    found = sc.read_10x_mtx(export(dataset, "mtx", tmp_path / "mtx", threads=1))
    assert found.obs_names.tolist() == BARCODES
    assert found.var_names.tolist() == genes
    np.testing.assert_array_equal(found.X.toarray(), counts)


@pytest.mark.parametrize("bad", ["a\nb", "a\tb", "a,b", '"a', "a\rb", "  "], ids=ascii)
def test_a_barcode_that_parts_a_line_is_refused_by_name(bad: str, tmp_path: Path) -> None:
    with pytest.raises(TitinError, match=r"barcode .* cannot be written to barcodes\.tsv\.gz") as refused:
        check_lines(["fine", bad], "barcode", "barcodes.tsv.gz", ["\t", ",", '"'])
    assert repr(bad) in str(refused.value)
    assert "number 1" in str(refused.value)


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "sparse"])
@pytest.mark.parametrize("to", ["h5ad", "zarr"])
def test_half_precision_is_read_back(dense: bool, to: str, tmp_path: Path) -> None:
    dataset, counts = dataset_of(tmp_path, [f"c{i}" for i in range(9)], ["g1", "g2", "g3"], "float16", dense)
    path = export(dataset, to, tmp_path / f"back.{to}", threads=1)
    X = (ad.read_h5ad(path) if to == "h5ad" else ad.read_zarr(path)).X
    np.testing.assert_array_equal(X if dense else X.toarray(), counts)


@pytest.mark.parametrize(("to", "name", "said"), [
    ("wide", "x.h5ad", "give --format h5ad"), ("h5ad", "x.csv", "give --format wide"), ("zarr", "x.h5ad", "h5ad"),
    ("wide", "x.xlsx", "end in .parquet or .csv.gz or .tsv.gz or .csv or .tsv"),
    ("wide", "x.csv.bz2", "end in .parquet"), ("h5ad", "x.csv.gz", "give --format wide"), ("h5ad", "x.npz", "in .h5ad"),
    ("h5ad", "x.h5", "end in .h5ad"), ("mtx", "x.zarr", "give --format zarr"), ("h5ad", "x.loom", "end in .h5ad"),
])  # fmt: skip
def test_a_suffix_of_another_format_is_refused(
    hostile: tuple[Path, Any], tmp_path: Path, to: str, name: str, said: str
):
    with pytest.raises(TitinError) as refused:
        export(hostile[0], to, tmp_path / name)
    assert said in str(refused.value.hint)
    assert list(tmp_path.iterdir()) == []


# every example of a file that people have


@pytest.fixture(scope="session")
def case(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("cases") / "cases"
    shutil.copytree(shared / "data" / "cases", folder)
    folder.chmod(0o755)

    def make(name: str) -> Path:
        sys.path.insert(0, str(folder))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                runpy.run_path(str(folder / f"{name}.py"), run_name="__main__")
        finally:
            sys.path.remove(str(folder))
        return folder / f"{name}.h5ad"

    return make


CASES = (
    "01_seuratdisk_var_unencoded", "09_log2_scran", "10_cpm_not_logged", "18_slashes", "26_cellxgene_ids",
    "29_design_traps", "32_uns_odd", "41_seurat_v5_metadata", "43_few_units", "44_missing_labels", "45_protocol_na",
    "47_role_traps", "49_age_numeric_other_unit",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_case_is_read_back(name: str, case: Callable[[str], Path], tmp_path: Path) -> None:
    source = case(name)
    if not source.is_file():
        pytest.skip(f"{name} makes no .h5ad of its name")
    try:
        dataset = titin.build(source, tmp_path / "dataset", project=[], threads=1).path
    except TitinError as refused:
        pytest.skip(f"not built: {refused}")
    atlas = titin.open(dataset)
    rows = np.argsort(atlas.store.column(atlas.manifest.layout.expression, "source_row").to_numpy())
    own = [record["name"] for record in atlas.manifest.obs["columns"][1:]]
    for to in ("h5ad", "zarr"):
        path = tmp_path / f"back.{to}"
        if why := refusal(export, dataset, to, path):
            assert f"cannot be written to {to}" in why
            assert name == "18_slashes"  # whose obsm has a key that anndata cannot read
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ad.read_h5ad(path) if to == "h5ad" else ad.read_zarr(path)
        assert frame_difference(found.obs, atlas.obs[own].iloc[rows]) is None
        assert found.var.columns.tolist() == atlas.var.columns.tolist()
        X = found.X.toarray() if sparse.issparse(found.X) else found.X
        np.testing.assert_array_equal(X, atlas.X[:].toarray()[rows])
        if to == "h5ad":
            assert tree_difference(dict(found.uns), dict(atlas.uns)) is None
    folder = export(dataset, "mtx", tmp_path / "mtx", threads=1)
    with gzip.open(folder / "barcodes.tsv.gz", "rt") as file:
        assert file.read().split("\n")[:-1] == atlas.obs_names[rows].tolist()
