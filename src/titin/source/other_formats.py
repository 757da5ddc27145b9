"""Files and folders that are no source: what each is, and what would do in its place."""

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from titin.errors import SourceError
from titin.source.reading import DAMAGED, attribute, members

FORMATS = "Formats that are read: AnnData .h5ad and .zarr, 10x Genomics .h5."

_IN_R = "Convert it in R, for example with the package anndataR or zellkonverter."
_MTX = "Convert it with scanpy.read_10x_mtx(folder).write_h5ad(...), or give CellRanger's .h5 file."
_FILTERED = "filtered_feature_bc_matrix.h5"
_SUFFIXES = {
    ".loom": "Convert it with anndata.io.read_loom(...).write_h5ad(...).",
    ".rds": _IN_R, ".rdata": _IN_R, ".rda": _IN_R, ".qs": _IN_R, ".qs2": _IN_R, ".robj": _IN_R,
    ".h5seurat": "Convert it in R with SeuratDisk::Convert(..., dest = 'h5ad').",
    ".csv": "Convert it with anndata.io.read_csv(...).write_h5ad(...).",
    ".tsv": "Convert it with anndata.io.read_text(...).write_h5ad(...).",
    ".txt": "Convert it with anndata.io.read_text(...).write_h5ad(...).",
    ".xlsx": "Convert it with anndata.io.read_excel(..., sheet=...).write_h5ad(...).",
    ".parquet": "Read it with pandas.read_parquet, make an AnnData of it, and convert that with write_h5ad(...).",
    ".mtx": _MTX,
    ".cloupe": f"Loupe's own files hold no matrix that others read: write CellRanger's {_FILTERED} in its place.",
    ".vloupe": "Loupe's own files hold no matrix that others read: write CellRanger's .h5 file in its place.",
    ".bam": f"Those are reads; CellRanger writes {_FILTERED} from them.",
    ".fastq": f"Those are reads; CellRanger writes {_FILTERED} from them.",
}  # fmt: skip


def refuse_by_name(path: Path) -> None:
    """Refuse a file that is no HDF5 and whose suffix is that of another format.

    Raises
    ------
    SourceError
    """
    name = path.name.lower()
    for packed in (".gz", ".bz2", ".xz", ".zst"):
        name = name.removesuffix(packed)
    suffix = Path(name).suffix
    if suffix in _SUFFIXES:
        raise SourceError(f"{path}: {suffix} files are not read. {FORMATS}", _SUFFIXES[suffix])


def hint_of_file(path: Path) -> str:
    """Say what a file is that is no HDF5, by how it begins, and what to do."""
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        return "It is empty; copy or download it again."
    if start[257:262] == b"ustar":
        return _hint_of_archive("tar archive", _names_in_tar(path))
    if start.startswith(b"PK\x03\x04"):
        return _hint_of_archive("zip archive", _names_in_zip(path))
    if start.startswith(b"\x1f\x8b"):
        return _hint_of_gzip(path)
    for magic, hint in _BEGINNINGS:
        if start.startswith(magic):
            return hint
    if _is_text(start):
        first = start.decode("utf-8", "replace").splitlines()[0][:60]
        return (
            f"It is text that begins {first!r}. A table is converted with anndata.io.read_csv(...).write_h5ad(...); "
            "if it should be HDF5, it is damaged: copy or download it again."
        )
    return DAMAGED


_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"<!DOCTYPE", "It is a web page: download the file itself, not the page about it."),
    (b"<!doctype", "It is a web page: download the file itself, not the page about it."),
    (b"<html", "It is a web page: download the file itself, not the page about it."),
    (b"<HTML", "It is a web page: download the file itself, not the page about it."),
    (b"<?xml", "It is XML, perhaps what a server says of an error: download the file itself."),
    (b"version https://git-lfs", "It is a pointer of Git LFS: fetch the file itself with git lfs pull."),
    (b"%%MatrixMarket", f"It is Matrix Market. {_MTX}"),
    (b"RDX", f"It is an R workspace. {_IN_R}"),
    (b"X\n", f"It is an R object. {_IN_R}"),
    (b"A\n", f"It is an R object. {_IN_R}"),
    (b"\x0b\x0e\x0a\x0c", f"It is an R object of the package qs. {_IN_R}"),
    (b"\x93NUMPY", "It is a NumPy array: make an AnnData of it, and write that with write_h5ad(...)."),
    (b"PAR1", _SUFFIXES[".parquet"]),
    (b"\x80", "It may be a Python pickle: load it with the program that wrote it, and write it with write_h5ad(...)."),
    (b"BZh", "It is compressed with bzip2; unpack it first with bunzip2."),
    (b"\xfd7zXZ", "It is compressed with xz; unpack it first with unxz."),
    (b"\x28\xb5\x2f\xfd", "It is compressed with zstd; unpack it first with unzstd."),
    (b"7z\xbc\xaf", "It is a 7-zip archive; unpack it first."),
    (b"SQLite format 3", "It is an SQLite database, which holds no matrix that is read."),
    (b"%PDF", "It is a PDF document."),
    (b"BAM\x01", _SUFFIXES[".bam"]),
)


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in start) and b"\x7f" not in start


def _hint_of_gzip(path: Path) -> str:
    try:
        with gzip.open(path) as file:
            start = file.read(512)
    except (OSError, EOFError, zlib.error):
        return "It is compressed with gzip, but damaged; download it again, and unpack it with gunzip."
    if start[257:262] == b"ustar":
        return _hint_of_archive("tar archive compressed with gzip", _names_in_tar(path))
    inside = next((hint for magic, hint in _BEGINNINGS if start.startswith(magic)), "")
    return inside or "It is compressed with gzip; unpack it first with gunzip."


def _names_in_tar(path: Path) -> list[str]:
    names: list[str] = []
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                names.append(member.name)
                if len(names) == 1000:  # the first will do, of an archive of any size
                    break
    except (OSError, EOFError, tarfile.TarError, zlib.error):
        pass
    return names


def _names_in_zip(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []


def _hint_of_archive(what: str, names: Sequence[str]) -> str:
    hint = f"It is a {what}; unpack it first"
    marks = (".zgroup", "zarr.json", ".zmetadata")
    if any(name.rpartition("/")[2] in marks for name in names):
        return f"{hint}, or name it .zarr.zip if it holds a zarr store."
    wanted = _best(names)
    if wanted:
        return f"{hint}, and give {wanted} of it."
    if any(name.rpartition("/")[2] in ("matrix.mtx", "matrix.mtx.gz") for name in names):
        return f"{hint}. It holds .mtx files: {_MTX}"
    if any(name.startswith("xl/") for name in names):
        return f"It is an Excel workbook. {_SUFFIXES['.xlsx']}"
    return f"{hint}, or name it .zarr.zip if it holds a zarr store." if "zip" in what else f"{hint}."


def _best(names: Sequence[str]) -> str:
    """The file to take of several: an .h5ad, else the filtered matrix of CellRanger."""
    for end in (".h5ad", _FILTERED, "filtered_gene_bc_matrices_h5.h5", "feature_bc_matrix.h5"):
        found = next((name for name in names if name.endswith(end)), "")
        if found:
            return found
    return ""


def hint_of_folder(path: Path) -> str:
    """Say what a folder is that is no zarr store, and what to do."""
    names = sorted(child.relative_to(path).as_posix() for child in _some_below(path))
    if "titin.json" in names:
        return "titin has built it already: open it with titin.open(...), or give the file that it was built from."
    if any(name in names for name in ("__tiledb_group.tdb", "__group", "__schema")):
        return "It is a TileDB-SOMA store: write it as .h5ad with tiledbsoma.io.to_h5ad."
    if {"matrix.mtx", "matrix.mtx.gz"} & set(names):
        beside = _best([child.name for child in sorted(path.parent.iterdir()) if child.is_file()])
        given = f" ({beside} lies beside it)" if beside.endswith("matrix.h5") else ""
        return f"It looks like a 10x folder of .mtx files; give the .h5 file of CellRanger instead{given}. {_MTX}"
    wanted = _best(names)
    if wanted:
        return f"Give the file in it: {path / wanted}."
    deep = next((name for name in names if name.endswith(("matrix.mtx", "matrix.mtx.gz"))), "")
    if deep:
        return f"It holds a folder of .mtx files. {_MTX}"
    return f"Give an .h5ad file, an AnnData .zarr folder or a 10x Genomics .h5 file. {FORMATS}"


def _some_below(path: Path) -> list[Path]:
    """What lies in a folder, and in the folders in it, down to where CellRanger puts its results."""
    found = list(path.iterdir())
    for child in found[:200]:
        if child.is_dir():
            found += list(child.iterdir())[:200]
    return found


# what HDF5 files hold that are neither AnnData nor a 10x matrix: which parts tell, what it is, what would do
_Names = frozenset[str]
_HDF5: tuple[tuple[Callable[[Any, _Names], bool], str, str], ...] = (
    (
        lambda _, names: {"barcode_idx", "umi"} <= names or {"barcode", "umi", "gene"} <= names,
        "the molecules of CellRanger (molecule_info.h5), each with its barcode and UMI, not a matrix",
        f"Give the matrix that CellRanger wrote beside it: {_FILTERED}.",
    ),
    (
        lambda _, names: {"matrix", "row_attrs", "col_attrs"} <= names,
        "a loom file",
        _SUFFIXES[".loom"],
    ),
    (
        lambda _, names: {"assays", "cell.names"} <= names or {"assays", "meta.data"} <= names,
        "an h5Seurat file",
        _SUFFIXES[".h5seurat"],
    ),
    (
        lambda _, names: {"clustering", "differential_expression"} <= names or {"pca", "tsne", "clustering"} <= names,
        "the secondary analysis of CellRanger (analysis.h5), not a matrix",
        f"Give {_FILTERED} of the same run.",
    ),
    (
        lambda _, names: bool({"geneExp", "cellBin", "wholeExp"} & names),
        "a GEF file of Stereo-seq",
        "Convert it with stereopy: stereo.io.read_gef(...), then stereo_to_anndata(..., output='....h5ad').",
    ),
    (
        lambda file, names: "pandas_type" in file.attrs or any(
            hasattr(file[name], "attrs") and "pandas_type" in file[name].attrs for name in names
        ),
        "tables that pandas wrote (HDFStore)",
        "Read them with pandas.read_hdf(...), make an AnnData of them, and write that with write_h5ad(...).",
    ),
    (
        lambda _, names: bool({"smp", "_smp"} & names),
        "an AnnData of before 0.5, with smp in the place of obs",
        "Open it with anndata 0.6, which knows both, and write it anew.",
    ),
    (
        lambda _, names: "#refs#" in names,
        "a MATLAB file",
        "Read it in Python with h5py, make an AnnData of it, and write that with write_h5ad(...).",
    ),
    (
        lambda _, names: bool({"model_weights", "optimizer_weights"} & names),
        "perhaps the weights of a neural network",
        FORMATS,
    ),
    (
        lambda _, names: {"barcodes", "indptr"} <= names,
        "the inside of a 10x matrix without the group around it",
        "Give CellRanger's own file, in which these parts lie in a group called matrix.",
    ),
)  # fmt: skip


def check_is_anndata(path: Path, root: Any) -> None:
    """Refuse an HDF5 file or zarr store that is not AnnData, and say what it is.

    Raises
    ------
    SourceError
    """
    top = members(root)
    names = frozenset(top)
    if "mod" in names and "X" not in names:
        modalities = members(root["mod"])
        wanted = "rna" if "rna" in modalities or not modalities else modalities[0]
        raise SourceError(
            f"{path} is not AnnData but MuData, with the modalities {', '.join(modalities) or 'none'}",
            f"Write it as an .h5mu file, mdata.write(...), or the modality you want as .h5ad: mdata[{wanted!r}].",
        )
    if {"obs", "var"} <= names:
        return
    found = ", ".join(top[:6]) or "nothing"
    tables = members(root["tables"]) if "tables" in names and hasattr(root["tables"], "keys") else []
    if tables or attribute(root, "spatialdata_attrs"):
        inside = ", ".join(f"{path / 'tables' / name}" for name in tables[:3]) or "none"
        raise SourceError(f"{path} is not AnnData but SpatialData", f"Give one of its tables: {inside}.")
    for tells, what, hint in _HDF5:
        if tells(root, names):
            raise SourceError(f"{path} holds {what}", hint)
    if {"obs", "X"} <= names or {"var", "X"} <= names:
        lost = "var" if "obs" in names else "obs"
        hint = "Write the file anew from the AnnData object; one that was interrupted while it was written lacks parts."
        raise SourceError(f"{path} is AnnData without {lost} (found: {found})", hint)
    inner = [name for name in top if hasattr(root[name], "keys") and {"obs", "var"} <= set(members(root[name]))]
    hint = "Formats that are read: AnnData .h5ad and .zarr, 10x Genomics .h5 (CellRanger 2 and later)."
    if inner:
        hint = f"AnnData lies inside it, in {', '.join(inner[:5])}: write that as an .h5ad file of its own, " + (
            f"or give {path / inner[0]}." if path.is_dir() else "with anndata.io.read_elem(file[...])."
        )
    raise SourceError(f"{path} is not AnnData: it has no obs and var (found: {found})", hint)
