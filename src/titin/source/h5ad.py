"""AnnData in HDF5 (.h5ad)."""

from pathlib import Path
from typing import Any

import h5py

from titin.errors import SourceError
from titin.source.anndata_layout import open_anndata
from titin.source.base import Source
from titin.source.reading import DAMAGED, reading

_HDF5_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})  # those that come with HDF5 and h5py: gzip … scale-offset, lzf


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, with the compression filters that it needs.

    Raises
    ------
    SourceError
        If it is no HDF5 file, ends early or is being written.
    """
    if not h5py.is_hdf5(path):
        raise SourceError(f"{path} is not an HDF5 file", _hint_of(path))
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = str(error).splitlines()[0]
        if "truncated" in reason:
            raise SourceError(f"{path} is truncated: it ends before its last part ({reason})", DAMAGED) from error
        if "lock" in reason or "already open" in reason:
            hint = "Close the program that writes it; after a crash, h5clear -s may help."
            raise SourceError(f"{path} is being written by another program ({reason})", hint) from error
        raise SourceError(f"{path} cannot be opened ({reason})", DAMAGED) from error
    try:
        with reading(path, "the list of its parts"):
            if file.visititems(_needs_plugin):
                import hdf5plugin  # noqa: F401 - importing it registers its filters
    except SourceError:
        file.close()
        raise
    return file


def _hint_of(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        return "It is empty; copy or download it again."
    if start[:2] == b"\x1f\x8b":
        return "It is compressed with gzip; unpack it first with gunzip."
    if start == b"PK\x03\x04":
        return "It is a zip archive; unpack it first, or name it .zarr.zip if it holds a zarr store."
    return DAMAGED


def _needs_plugin(_name: str, node: Any) -> bool | None:
    """Stop the visit (with True) at the first dataset whose filter h5py does not bring."""
    if not isinstance(node, h5py.Dataset):
        return None
    plist = node.id.get_create_plist()
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    return True if filters - _HDF5_FILTERS else None


def open_h5ad(path: Path, file: h5py.File, *, layer: str | None, raw: bool) -> Source:
    """Open AnnData in an HDF5 file that is open already; closing the source closes it."""
    return open_anndata(path, "h5ad", file, layer=layer, raw=raw, release=file.close)
