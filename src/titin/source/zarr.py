"""AnnData in zarr, version 2 or 3, as a folder or a zip file."""

from pathlib import Path

from titin.errors import SourceError
from titin.source.anndata_layout import open_anndata
from titin.source.base import Source
from titin.source.reading import reading

_MARKS = (".zgroup", "zarr.json", ".zmetadata")


def is_zarr(path: Path) -> bool:
    """Whether a folder is the root of a zarr group."""
    return any((path / mark).is_file() for mark in _MARKS)


def open_zarr(path: Path, *, layer: str | None, raw: bool) -> Source:
    """Open AnnData in a zarr folder or zip file.

    Raises
    ------
    SourceError
        If it is not zarr, not AnnData, or damaged.
    """
    import zarr

    if path.is_dir() and not is_zarr(path):
        raise SourceError(f"{path} is a folder, but not a zarr store", _hint_of(path))
    with reading(path, "the root"):
        store = zarr.storage.ZipStore(path) if path.is_file() else zarr.storage.LocalStore(path, read_only=True)
        root = zarr.open_group(store, mode="r")
    try:
        return open_anndata(path, "zarr", root, layer=layer, raw=raw, release=store.close)
    except BaseException:
        store.close()
        raise


def _hint_of(path: Path) -> str:
    if any((path / name).exists() for name in ("matrix.mtx", "matrix.mtx.gz")):
        return "It looks like a 10x folder of .mtx files; give the .h5 file of CellRanger instead."
    inside = [child.name for child in sorted(path.iterdir()) if child.is_dir() and is_zarr(child)]
    if inside:
        return f"Zarr stores inside: {', '.join(inside[:5])}."
    return "Give an .h5ad file, an AnnData .zarr folder or a 10x Genomics .h5 file."
