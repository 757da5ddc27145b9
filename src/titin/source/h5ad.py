"""AnnData in HDF5 (.h5ad)."""

import h5py

from titin.errors import SourceError
from titin.extras import require
from titin.source.anndata_layout import open_anndata
from titin.source.base import Source
from titin.source.budget import Budget
from titin.source.choice import Choice
from titin.source.gaps import Gaps
from titin.source.inventory import Inventory
from titin.source.other_formats import hint_of_file, refuse_by_name
from titin.source.reading import DAMAGED
from titin.source.references import check_references

_HDF5_FILTERS = frozenset({1, 2, 3, 4, 5, 6, 32000})  # those that come with HDF5 and h5py: gzip … scale-offset, lzf


def open_hdf5(inventory: Inventory) -> tuple[h5py.File, Gaps]:
    """Open an HDF5 file for reading, with the compression filters that it needs, and find the gaps in it.

    Raises
    ------
    SourceError
        If it is no HDF5 file, ends early, is being written, or leads to other files that are not to be followed.
    """
    path = inventory.path
    if not h5py.is_hdf5(path):
        refuse_by_name(path)
        raise SourceError(f"{path} is not an HDF5 file", hint_of_file(path))
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
        structure = check_references(path, file, inventory)
        if structure.filters - _HDF5_FILTERS:
            require("hdf5plugin", f"the compression of {path}")  # importing it registers its filters
    except BaseException:
        file.close()
        raise
    return file, Gaps(path, structure.gaps, aliased=structure.aliased)


def open_h5ad(inventory: Inventory, file: h5py.File, gaps: Gaps, choice: Choice, budget: Budget) -> Source:
    """Open AnnData in an HDF5 file that is open already; closing the source closes it."""
    return open_anndata(inventory, "h5ad", file, gaps, choice=choice, budget=budget, release=file.close)
