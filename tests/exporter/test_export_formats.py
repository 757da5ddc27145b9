"""The other ways out: Matrix Market, wide tables, compressed and backed AnnData; and what an export refuses."""

import gzip
import shutil
import subprocess
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from scipy.io import mmread

from titin.builder import build
from titin.errors import DatasetError, OutputError, TitinError
from titin.exporter import export
from titin.exporter import export as export_function


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """A float64 atlas of counts in which two genes share a symbol, and its dataset."""
    folder = tmp_path_factory.mktemp("twins")
    rng = np.random.default_rng(0)
    dense = rng.poisson(1.0, (12, 6)).astype("float64")
    var = pd.DataFrame(
        {"feature_name": ["ACTA1", "TBCE", "MYH7", "TBCE", "PAX7", "cell_id"]},
        index=[f"ENSG{i:011}" for i in range(6)],
    )
    atlas = ad.AnnData(dense, obs=pd.DataFrame(index=[f"cell-{i}" for i in range(12)]), var=var)
    atlas.write_h5ad(folder / "atlas.h5ad", convert_strings_to_categoricals=False)
    return build(folder / "atlas.h5ad", folder / "dataset").path, dense


@pytest.fixture(scope="module")
def exported(demo, tmp_path_factory):
    """The demo as AnnData again, by format."""
    folder = tmp_path_factory.mktemp("exported")
    return {to: export(demo.dataset, to, folder / f"back.{to}") for to in ("h5ad", "zarr")}


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def members(path: Path) -> int:
    """How many gzip members a file is made of."""
    import zlib

    data, n = path.read_bytes(), 0
    while data:
        unpack = zlib.decompressobj(wbits=31)
        unpack.decompress(data)
        data, n = unpack.unused_data, n + 1
    return n


# Matrix Market


@pytest.mark.filterwarnings("ignore:The default value for `spmatrix`:DeprecationWarning")  # scanpy's own use
@pytest.mark.parametrize("counts", [None, True, False])
def test_mtx_reads_as_scanpy_reads_it(demo, tmp_path, cut, counts):
    cut(values=20_000)
    folder = export(demo.dataset, "mtx", tmp_path / "matrix", counts=counts)
    assert sorted(path.name for path in folder.iterdir()) == ["barcodes.tsv.gz", "features.tsv.gz", "matrix.mtx.gz"]
    source = demo.source()
    found = mmread(folder / "matrix.mtx.gz", spmatrix=False)
    assert found.shape == (source.n_vars, source.n_obs)  # genes × cells
    found = found.T.tocsr()
    found.sort_indices()
    np.testing.assert_array_equal(found.indptr, source.X.indptr)
    np.testing.assert_array_equal(found.indices, source.X.indices)
    if counts is False:
        assert found.data.astype("float32").tobytes() == source.X.data.tobytes()
    else:
        assert found.dtype.kind == "i"
        np.testing.assert_array_equal(np.asarray(found.sum(axis=1)).ravel(), source.obs["n_counts"])


def test_mtx_names_cells_and_genes_in_the_order_of_the_source(demo, tmp_path):
    folder = export(demo.dataset, "mtx", tmp_path / "matrix")
    source = demo.source()
    assert lines(folder / "barcodes.tsv.gz") == source.obs_names.tolist()
    features = [line.split("\t") for line in lines(folder / "features.tsv.gz")]
    assert [f[0] for f in features] == source.var["ENSEMBL"].tolist()
    assert [f[1] for f in features] == source.var_names.tolist()
    assert {f[2] for f in features} == {"Gene Expression"}


def test_mtx_of_several_gzip_members_reads_whole(demo, tmp_path, cut):
    whole = export(demo.dataset, "mtx", tmp_path / "whole") / "matrix.mtx.gz"
    cut(values=20_000)
    parts = export(demo.dataset, "mtx", tmp_path / "parts") / "matrix.mtx.gz"
    assert members(parts) > members(whole) == 2  # the head, and one block
    assert lines(parts) == lines(whole)


def test_mtx_begins_as_the_format_says_and_holds_an_entry_a_line(demo, tmp_path):
    text = lines(export(demo.dataset, "mtx", tmp_path / "matrix") / "matrix.mtx.gz")
    manifest = demo.manifest
    assert text[0] == "%%MatrixMarket matrix coordinate integer general"
    assert text[1] == f"{manifest.n_genes} {manifest.n_cells} {manifest.nnz}"
    assert len(text) == 2 + manifest.nnz
    cells = [int(line.split(" ")[1]) for line in text[2:]]
    assert cells == sorted(cells)
    assert (min(cells), max(cells)) == (1, manifest.n_cells)


def test_mtx_of_counts_and_of_real_values(twins, tmp_path):
    dataset, dense = twins
    found = mmread(export(dataset, "mtx", tmp_path / "counts") / "matrix.mtx.gz", spmatrix=False)
    np.testing.assert_array_equal(found.toarray(), dense.T)
    real = ad.AnnData(sparse.csr_matrix(dense / 7 + (dense > 0)))
    real.write_h5ad(tmp_path / "real.h5ad")
    assert build(tmp_path / "real.h5ad", tmp_path / "real").manifest.kind == "real"
    path = export(tmp_path / "real", "mtx", tmp_path / "values") / "matrix.mtx.gz"
    assert lines(path)[0] == "%%MatrixMarket matrix coordinate real general"
    assert mmread(path, spmatrix=False).T.toarray().tobytes() == real.X.toarray().tobytes()


def test_mtx_reads_in_r(demo, tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("needs Rscript")
    has_matrix = subprocess.run(["Rscript", "-e", "library(Matrix)"], capture_output=True, check=False)
    if has_matrix.returncode:
        pytest.skip("needs the R package Matrix")
    folder = export(demo.dataset, "mtx", tmp_path / "matrix")
    script = f'm <- Matrix::readMM("{folder}/matrix.mtx.gz"); cat(dim(m), sum(m))'
    found = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True).stdout.split()
    source = demo.source()
    assert [int(found[0]), int(found[1])] == [source.n_vars, source.n_obs]
    assert float(found[2]) == source.obs["n_counts"].sum()


# wide


@pytest.mark.parametrize("counts", [True, False])
def test_wide_is_the_matrix_in_pandas_and_polars(demo, tmp_path, cut, counts):
    cut(values=20_000)
    path = export(demo.dataset, "wide", tmp_path / "wide.parquet", counts=counts)
    source = demo.source()
    expected = source.X.toarray()
    if counts:
        total = source.obs["n_counts"].to_numpy(np.float64)[:, None]
        expected = np.rint(np.expm1(expected.astype("float64")) * total / 1e4).astype("float32")
    table = pd.read_parquet(path)
    assert table.index.tolist() == source.obs_names.tolist()
    assert table.columns.tolist() == source.var_names.tolist()
    assert set(table.dtypes) == {np.dtype("float32")}
    assert np.ascontiguousarray(table.to_numpy()).tobytes() == expected.tobytes()
    frame = pl.read_parquet(path)
    assert frame.columns == ["cell_id", *source.var_names]
    assert frame["cell_id"].to_list() == source.obs_names.tolist()
    np.testing.assert_array_equal(frame.drop("cell_id").to_numpy(), expected)


def test_wide_has_the_genes_asked_for_in_the_order_asked_for(demo, tmp_path):
    source = demo.source()
    stable_id = source.var["ENSEMBL"].iloc[5]
    path = export(demo.dataset, "wide", tmp_path / "wide.parquet", genes=["MYH7", stable_id, "PAX7", "MYH7"])
    table = pd.read_parquet(path)
    assert table.columns.tolist() == ["MYH7", stable_id, "PAX7"]
    columns = [source.var_names.get_loc("MYH7"), 5, source.var_names.get_loc("PAX7")]
    np.testing.assert_array_equal(table.to_numpy(), source.X[:, columns].toarray())
    assert pd.read_parquet(path, columns=["PAX7"]).index.tolist() == source.obs_names.tolist()


def test_wide_of_float64_keeps_it_and_names_genes_that_share_a_symbol_by_their_ids(twins, tmp_path):
    dataset, dense = twins
    table = pd.read_parquet(export(dataset, "wide", tmp_path / "wide.parquet"))
    ids = [f"ENSG{i:011}" for i in range(6)]
    assert table.columns.tolist() == ["ACTA1", ids[1], "MYH7", ids[3], "PAX7", ids[5]]  # cell_id is taken, too
    assert set(table.dtypes) == {np.dtype("float64")}
    np.testing.assert_array_equal(table.to_numpy(), dense)


def test_wide_asks_which_of_the_genes_with_one_symbol(twins, tmp_path):
    dataset, dense = twins
    with pytest.raises(TitinError, match="2 genes have the symbol 'TBCE'") as error:
        export(dataset, "wide", tmp_path / "wide.parquet", genes=["TBCE"])
    assert error.value.hint == "name one by its id: ENSG00000000001, ENSG00000000003"
    table = pd.read_parquet(export(dataset, "wide", tmp_path / "wide.parquet", genes=["ENSG00000000003"]))
    np.testing.assert_array_equal(table["ENSG00000000003"], dense[:, 3])


def test_wide_names_a_gene_that_is_not_there_and_the_nearest_that_are(demo, tmp_path):
    with pytest.raises(TitinError, match="the dataset has no gene 'MYH77'") as error:
        export(demo.dataset, "wide", tmp_path / "wide.parquet", genes=["PAX7", "MYH77"])
    assert "MYH7" in error.value.hint
    assert list(tmp_path.iterdir()) == []


def test_wide_refuses_more_than_memory_holds(demo, tmp_path, monkeypatch):
    import titin.resources

    monkeypatch.setattr(titin.resources, "DEFAULT_MEMORY", 1_000_000)
    with pytest.raises(TitinError, match=r"a table of 1,300 cells × 600 genes takes") as error:
        export(demo.dataset, "wide", tmp_path / "wide.parquet")
    assert "--genes" in error.value.hint
    assert "--memory" in error.value.hint
    assert list(tmp_path.iterdir()) == []
    assert export(demo.dataset, "wide", tmp_path / "wide.parquet", memory="1GiB").exists()


# AnnData


def test_h5ad_backed(demo, exported):
    source = demo.source()
    atlas = ad.read_h5ad(exported["h5ad"], backed="r")
    try:
        assert atlas.isbacked
        assert (atlas.X[100:200] != source.X[100:200]).nnz == 0
        chosen = source.obs["Sex"] == source.obs["Sex"].iloc[0]
        assert (atlas[chosen.to_numpy()].to_memory().X != source[chosen].X).nnz == 0
    finally:
        atlas.file.close()


def test_dense_h5ad_backed(twins, tmp_path):
    dataset, dense = twins
    atlas = ad.read_h5ad(export(dataset, "h5ad", tmp_path / "back.h5ad"), backed="r")
    try:
        np.testing.assert_array_equal(atlas.X[3:7], dense[3:7])
    finally:
        atlas.file.close()


def test_zarr_lazily(demo, exported):
    import zarr
    from anndata.io import sparse_dataset

    group = zarr.open_group(str(exported["zarr"]), mode="r")
    assert group.metadata.zarr_format == 2  # which every release of anndata reads
    assert (sparse_dataset(group["X"])[100:200] != demo.source().X[100:200]).nnz == 0


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("storage", ["sparse", "dense"])
def test_compression_of_h5ad(demo, twins, tmp_path, compression, storage):
    dataset = demo.dataset if storage == "sparse" else twins[0]
    path = export(dataset, "h5ad", tmp_path / "back.h5ad", compression=compression)
    with h5py.File(path) as file:
        arrays = [file["X"]] if storage == "dense" else [file[f"X/{part}"] for part in ("data", "indices", "indptr")]
        assert [array.compression for array in arrays] == [compression] * len(arrays)
    expected = demo.source().X.toarray() if storage == "sparse" else twins[1]
    found = ad.read_h5ad(path).X
    np.testing.assert_array_equal(found.toarray() if storage == "sparse" else found, expected)


@pytest.mark.parametrize("to", ["h5ad", "zarr"])
def test_an_export_builds_to_the_same_bytes(demo, exported, tmp_path, to):
    again = build(exported[to], tmp_path / "again", preset="muscle", donors=demo.donors)
    parquet = sorted(name for name in demo.manifest.files if name.endswith(".parquet"))
    assert sorted(name for name in again.manifest.files if name.endswith(".parquet")) == parquet
    assert [n for n in parquet if again.manifest.files[n] != demo.manifest.files[n]] == []


def test_counts_of_an_export_build_to_the_same_counts(demo, tmp_path):
    source = export(demo.dataset, "h5ad", tmp_path / "counts.h5ad", counts=True)
    again = build(source, tmp_path / "again", preset="muscle", donors=demo.donors)
    assert again.manifest.kind == "counts"
    for name in (demo.manifest.layout.expression, demo.manifest.layout.expression_by_gene):
        one, other = (pq.read_table(folder / name, columns=["counts"]) for folder in (demo.dataset, again.path))
        assert one.column("counts").equals(other.column("counts"))


# what is refused, and what is left when something fails


FORMATS = {"h5ad": "back.h5ad", "zarr": "back.zarr", "mtx": "back", "wide": "back.parquet"}


@pytest.mark.parametrize("to", FORMATS)
def test_existing_output_is_replaced_only_with_force(twins, tmp_path, to):
    dataset, _ = twins
    target = tmp_path / FORMATS[to]
    target.write_text("precious")
    with pytest.raises(OutputError, match="exists already") as error:
        export(dataset, to, target)
    assert "--force" in error.value.hint
    assert target.read_text() == "precious"
    assert export(dataset, to, target, force=True) == target
    assert target.is_dir() == (to in ("zarr", "mtx"))
    first = sorted(path.name for path in tmp_path.rglob("*"))
    export(dataset, to, target, force=True)  # a folder over a folder, too
    assert sorted(path.name for path in tmp_path.rglob("*")) == first
    assert [path.name for path in tmp_path.iterdir()] == [FORMATS[to]]


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("to", FORMATS)
def test_a_failure_leaves_the_old_output(twins, tmp_path, monkeypatch, to, kind):
    dataset, _ = twins

    def fail(*_, **__):
        raise RuntimeError("halfway")
        yield

    monkeypatch.setattr("titin.exporter.job.source_blocks", fail)
    target = tmp_path / FORMATS[to]
    if kind == "folder":
        target.mkdir()
        (target / ".zgroup").touch()  # of an earlier export
    old = target / "old" if kind == "folder" else target
    old.write_text("precious")
    with pytest.raises(RuntimeError, match="halfway"):
        export(dataset, to, target, force=True)
    assert old.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("to", FORMATS)
def test_a_folder_that_is_no_earlier_export_is_never_replaced(twins, tmp_path, to):
    dataset, _ = twins
    target = tmp_path / "thesis"
    target.mkdir()
    assert export(dataset, to, target, genes=None, force=True) == target  # an empty one may be
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    target.mkdir()
    (target / "chapter1.tex").write_text("precious")
    with pytest.raises(OutputError, match="not an earlier export; it will not be touched"):
        export(dataset, to, target, force=True)
    assert (target / "chapter1.tex").read_text() == "precious"
    with pytest.raises(OutputError, match="not an earlier export; it will not be touched"):
        export(dataset, to, dataset, force=True)  # least of all the dataset itself
    assert (dataset / "titin.json").exists()


def test_a_full_disk_says_so_and_leaves_nothing(twins, tmp_path, monkeypatch):
    dataset, _ = twins

    def fail(*_, **__):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr("titin.exporter.job.source_blocks", fail)
    with pytest.raises(OutputError, match=r"the disk of .* is full"):
        export(dataset, "wide", tmp_path / "wide.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        ("loom", {}, "there is no export to 'loom'"),
        ("h5ad", {"genes": ["MYH7"]}, "--genes belongs to --format wide"),
        ("zarr", {"compression": "gzip"}, "--compression belongs to --format h5ad"),
        ("wide", {"threads": 0}, "0 threads"),
        ("wide", {"memory": "a lot"}, "not an amount of memory"),
    ],
)
def test_wrong_use(twins, tmp_path, to, options, message):
    dataset, _ = twins
    with pytest.raises(TitinError, match=message) as error:
        export(dataset, to, tmp_path / "output", **options)
    assert error.value.hint
    assert list(tmp_path.iterdir()) == []


def test_counts_of_real_values_are_refused(tmp_path):
    values = np.random.default_rng(0).random((4, 9))
    ad.AnnData(sparse.csr_matrix(values)).write_h5ad(tmp_path / "real.h5ad")
    build(tmp_path / "real.h5ad", tmp_path / "real")
    with pytest.raises(TitinError, match="this dataset has no counts"):
        export(tmp_path / "real", "h5ad", tmp_path / "back.h5ad", counts=True)


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="is not a titin dataset"):
        export(tmp_path, "h5ad", tmp_path / "back.h5ad")


@pytest.mark.parametrize("file", ["expression", "sample_metadata", "feature_metadata", "unstructured_metadata"])
@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_a_damaged_dataset_is_named_by_its_file(demo, tmp_path, file, damage):
    folder = tmp_path / "dataset"
    shutil.copytree(demo.dataset, folder)
    path = folder / getattr(demo.manifest.layout, file)
    path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match=path.name):
        export(folder, "h5ad", tmp_path / "back.h5ad")
    assert [found.name for found in tmp_path.iterdir()] == ["dataset"]


def test_the_default_output_is_named_after_the_dataset(twins, tmp_path, monkeypatch):
    dataset, _ = twins
    monkeypatch.chdir(tmp_path)
    found = {to: str(export(dataset, to, genes=["MYH7"] if to == "wide" else None)) for to in FORMATS}
    assert found == {
        "h5ad": "atlas_scrna.h5ad",
        "zarr": "atlas_scrna.zarr",
        "mtx": "atlas_scrna_mtx",
        "wide": "atlas_scrna_wide.parquet",
    }


def test_export_is_a_name_of_the_package():
    import titin

    assert titin.export is export_function
