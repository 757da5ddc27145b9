"""Files and folders that are no source are named for what they are, with what would do in their place."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from source_files import random_counts, small_atlas, write

from titin.errors import SourceError
from titin.source import open_source


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as error:
        open_source(path)
    assert str(path) in error.value.args[0]
    assert error.value.hint
    return f"{error.value.args[0]}\n{error.value.hint}"


def fill(*parts: str, **attributes: object) -> Callable[[h5py.File], None]:
    def into(file: h5py.File) -> None:
        for part in parts:
            if part.endswith("/"):
                file.create_group(part)
            else:
                file[part] = np.arange(3)
        file.attrs.update(attributes)

    return into


HDF5 = {
    "molecule_info": (fill("barcode_idx", "barcodes", "count", "feature_idx", "gem_group", "library_idx", "umi",
                           "features/id", "metrics_json"), ("molecule_info", "filtered_feature_bc_matrix.h5")),
    "old molecule_info": (fill("barcode", "gene", "umi", "genome", "reads"), ("molecule_info", "filtered_feature_bc")),
    "loom": (fill("matrix", "row_attrs/Gene", "col_attrs/CellID", "layers/", "row_graphs/"), ("loom", "read_loom")),
    "h5seurat": (fill("assays/RNA/features", "cell.names", "meta.data/_index", "reductions/", project="x"),
                 ("h5Seurat", "SeuratDisk")),
    "h5mu": (fill("obs/_index", "var/_index", "obsm/", "mod/rna/X", "mod/atac/X"), ("mod/rna", "no obs and var")),
    "analysis.h5": (fill("clustering/a", "differential_expression/a", "pca/a", "tsne/a"), ("analysis.h5", "filtered_")),
    "gef": (fill("geneExp/bin1/expression", "wholeExp/bin1"), ("Stereo-seq", "stereopy")),
    "matlab": (fill("#refs#/a", "data"), ("MATLAB", "write_h5ad")),
    "weights": (fill("model_weights/dense", "optimizer_weights/"), ("neural network", ".h5ad")),
    "10x without its group": (fill("barcodes", "data", "indices", "indptr", "shape"), ("10x", "matrix")),
    "interrupted": (fill("X", "obs/_index"), ("without var", "interrupted")),
    "interrupted before obs": (fill("X", "var/_index"), ("without obs", "interrupted")),
    "AnnData inside": (fill("rna/obs/_index", "rna/var/_index", "atac/obs/_index"), ("inside it, in rna",)),
    "anndata 0.4": (fill("X", "smp", "var", "add/"), ("before 0.5", "anew")),
    "something": (fill("temperatures"), ("temperatures", "10x Genomics .h5")),
    "nothing": (fill(), ("found: nothing", "10x Genomics .h5")),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".h5", ".h5ad"])
@pytest.mark.parametrize(("make", "says"), HDF5.values(), ids=HDF5)
def test_hdf5_that_is_something_else(tmp_path, make, says, suffix):
    path = tmp_path / f"file{suffix}"
    with h5py.File(path, "w") as file:
        make(file)
    said = refusal(path)
    assert all(word in said for word in says), said
    assert "download" not in said
    assert "damaged" not in said


def test_tables_of_pandas(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("df").attrs["pandas_type"] = "frame"
    assert "read_hdf" in refusal(tmp_path / "a.h5")


def packed(how: str, content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    if how == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(fileobj=out, mode="w:gz" if how == "tar.gz" else "w") as archive:
            for name, data in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


MTX = b"%%MatrixMarket matrix coordinate integer general\n"
CELLRANGER = {"outs/raw_feature_bc_matrix.h5": b"x", "outs/filtered_feature_bc_matrix.h5": b"y"}
BYTES = {
    "empty": (b"", "empty"),
    "a web page": (b"<!DOCTYPE html><html><body>404", "web page"),
    "a web page too": (b"<html>\n<head>", "web page"),
    "an error in XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied', "XML"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "git lfs pull"),
    "mtx": (MTX, "read_10x_mtx"),
    "mtx.gz": (gzip.compress(MTX, mtime=0), "read_10x_mtx"),
    "rds": (gzip.compress(b"X\n\x00\x00\x00\x03", mtime=0), "anndataR"),
    "RData": (gzip.compress(b"RDX3\nX\n", mtime=0), "anndataR"),
    "qs": (b"\x0b\x0e\x0a\x0c\x00\x01", "qs"),
    "npy": (b"\x93NUMPY\x01\x00", "NumPy"),
    "parquet": (b"PAR1\x15\x04", "read_parquet"),
    "pickle": (pickle.dumps({"a": 1}), "pickle"),
    "csv": (b",gene1,gene2\ncell1,0,1\n", "read_csv"),
    "bzip2": (b"BZh91AY", "bunzip2"),
    "xz": (b"\xfd7zXZ\x00", "unxz"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", "unzstd"),
    "gzip of something": (gzip.compress(b"\x89HDF\r\n\x1a\n", mtime=0), "gunzip"),
    "half a gzip": (gzip.compress(bytes(range(256)) * 9, mtime=0)[:40], "download it again"),
    "tar of CellRanger": (packed("tar", CELLRANGER), "outs/filtered_feature_bc_matrix.h5"),
    "tar.gz of CellRanger": (packed("tar.gz", CELLRANGER), "outs/filtered_feature_bc_matrix.h5"),
    "zip of h5ad": (packed("zip", {"read me": b"", "data/atlas.h5ad": b"x"}), "data/atlas.h5ad"),
    "tar of mtx": (packed("tar.gz", {"a/matrix.mtx.gz": b"x", "a/barcodes.tsv.gz": b"y"}), "read_10x_mtx"),
    "zip of a folder with zarr": (packed("zip", {"a.zarr/.zgroup": b"{}"}), ".zarr.zip"),
    "Excel": (packed("zip", {"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "Excel"),
    "bytes": (bytes([1, 2, 3, 250]) * 40, "damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), BYTES.values(), ids=BYTES)
def test_files_that_are_no_hdf5(tmp_path, content, says):
    path = tmp_path / "atlas.h5ad"
    path.write_bytes(content)
    said = refusal(path)
    assert "is not an HDF5 file" in said
    assert says in said


@pytest.mark.parametrize(
    "name", ["a.cloupe", "a.qs", "a.rda", "a.RData", "a.Rds", "a.txt.gz", "a.xlsx", "a.csv.bz2", "a.parquet", "a.bam"]
)
def test_other_suffixes(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x01\x02\x03")
    assert "files are not read" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["a.loom", "a.csv", "a.h5seurat", "a.h5mu", "noext", "a.hdf5"])
def test_what_is_in_a_file_counts_and_not_its_name(tmp_path, name):
    path = write(small_atlas(), tmp_path / "a", "h5ad").rename(tmp_path / name)
    with open_source(path) as source:
        assert source.format == "h5ad"


def test_a_zipped_zarr_store_by_any_name(tmp_path):
    folder = write(small_atlas(), tmp_path / "a", "zarr2")
    with zipfile.ZipFile(tmp_path / "store.zip", "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder).as_posix())
    with open_source(tmp_path / "store.zip") as source:
        assert source.format == "zarr"
        assert source.obs.shape[0] == 40


FOLDERS = {
    "titin's own": (["titin.json"], "titin.open"),
    "SOMA": (["__tiledb_group.tdb", "obs/x"], "TileDB-SOMA"),
    "mtx": (["matrix.mtx.gz", "barcodes.tsv.gz", "features.tsv.gz"], "read_10x_mtx"),
    "CellRanger's outs": (["raw_feature_bc_matrix.h5", "filtered_feature_bc_matrix.h5", "web_summary.html"],
                          "filtered_feature_bc_matrix.h5"),
    "CellRanger's run": (["outs/filtered_feature_bc_matrix.h5", "outs/molecule_info.h5"],
                         "outs/filtered_feature_bc_matrix.h5"),
    "a folder around an h5ad": (["atlas.h5ad", "readme.txt"], "atlas.h5ad"),
    "a folder around mtx": (["filtered_feature_bc_matrix/matrix.mtx.gz"], "read_10x_mtx"),
    "nothing": ([], "10x Genomics .h5"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "says"), FOLDERS.values(), ids=FOLDERS)
def test_folders(tmp_path, files, says):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    said = refusal(folder)
    assert "is a folder, but not a zarr store" in said
    assert says in said


def test_spatialdata(tmp_path):
    root = zarr.open_group(tmp_path / "s.zarr", mode="w", zarr_format=2)
    root.create_group("images")
    root.create_group("tables/table")
    said = refusal(tmp_path / "s.zarr")
    assert "SpatialData" in said
    assert "tables/table" in said


def test_a_matrix_that_lies_the_other_way(tmp_path):
    path = write(anndata.AnnData(sp.csr_matrix(random_counts())), tmp_path / "a", "h5ad")
    with h5py.File(path, "r+") as file:
        file.move("obs", "kept")
        file.move("var", "obs")
        file.move("kept", "var")
    assert "genes × cells: write it transposed" in refusal(path)
