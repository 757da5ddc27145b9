"""Open a source of any format that is read."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from titin.errors import SourceError
from titin.extras import check_installed
from titin.files import NotRegularError, check_regular
from titin.resources import DEFAULT_MEMORY
from titin.source.base import Source
from titin.source.choice import Choice
from titin.source.inventory import Inventory

if TYPE_CHECKING:
    from titin.shelf import Shelf
    from titin.source.budget import Budget


def open_source(
    path: str | Path,
    *,
    layer: str | None = None,
    raw: bool = False,
    make_unique: bool = False,
    obs: Sequence[str] | None = None,
    no_obs: Sequence[str] = (),
    obsm: Sequence[str] | None = None,
    no_obsm: Sequence[str] = (),
    layers: Sequence[str] = (),
    with_raw: bool = False,
    modalities: Sequence[str] = (),
    keep_all: bool = False,
    follow_links: bool = False,
    memory: int = DEFAULT_MEMORY,
    arrow_names: bool = False,
    shelf: "Shelf | None" = None,
) -> Source:
    """Open an atlas; its format is told from its content.

    Parameters
    ----------
    path
        AnnData ``.h5ad``, AnnData ``.zarr`` (version 2 or 3, a folder or a zip file), MuData ``.h5mu``, or 10x Genomics
        ``.h5``.
    layer
        Take this layer for X (of a 10x file from before CellRanger 3: the genome).
    raw
        Take raw/X for X, and its genes.
    make_unique
        Append ``-1``, ``-2``, … to names of cells and genes that repeat, as anndata does, instead of refusing them.
    obs, no_obs
        Columns of obs to read, all where not given; and columns not to read.
    obsm, no_obsm
        Likewise the keys of obsm.
    layers
        Layers to read beside X, by name, or ``all``.
    with_raw
        Read raw/X and its genes beside X.
    modalities
        Other modalities of a MuData or 10x file to read beside that of genes, by name, or ``all``.
    keep_all
        Read arrays of genes (varm) and what lies between cells or genes (obsp, varp), too, and where none are named,
        all layers, raw and all modalities that there are.
    follow_links
        Read what the source draws from other files (symbolic links in a zarr folder; external links, external storage
        and virtual datasets of HDF5) instead of refusing it. That ``path`` itself is a link is nothing unusual.
    memory
        Bytes; what declares to need more, and is not of a file large enough to hold so much, is not read.
    arrow_names
        Give names of cells as text of Arrow where the file has them as text: a fifth of the memory of Python's.
    shelf
        Where columns of obs are put away as they are read; in memory where not given.

    Returns
    -------
    Source
        With obs, var and uns in memory, matrices and obsm on disk until asked for.

    Raises
    ------
    SourceError
        If the file is missing, damaged, of another format, draws on other files, or holds what no dataset can hold: no
        cells, no genes, repeated or missing names, columns of mixed objects. Or if it declares more than the memory can
        hold, or a column or key that was named is not there.

    Examples
    --------
    >>> with open_source("atlas.h5ad") as source:  # doctest: +SKIP
    ...     for block in source.X.blocks(max_bytes=32 << 20, scratch=Path("scratch")):
    ...         print(block.start, block.n_cells)
    """
    path = Path(path)
    choice = Choice(layer, raw, make_unique, obs, no_obs, obsm, no_obsm, layers, with_raw, modalities, keep_all)
    if layer is not None and raw:
        raise SourceError(f"{path}: --layer and --raw cannot both be X", "Give one of them.")
    check_there(path)
    check_installed("anndata", "reading a source")
    from titin.source.budget import Budget
    from titin.source.reading import reading

    if path.is_dir():
        from titin.source.zarr import check_is_store

        check_is_store(path)
    else:
        try:
            check_regular(path)
        except NotRegularError as error:
            raise SourceError(str(error), "Save its content as a file, and give that.") from None
    inventory = Inventory(path, follow_links=follow_links)
    with reading(path, "what it holds"):  # whatever libraries raise at any part of it
        source = _open(inventory, choice, Budget(path, memory, arrow_names=arrow_names, shelf=shelf))
    if inventory.links:
        places = sorted(inventory.links)
        first = ", ".join(f"{place} ({inventory.links[place]})" for place in places[:3])
        source.notes.append(f"links to other files were followed ({len(places):,}): {first}{', …' * (len(places) > 3)}")
    return source


def check_there(path: Path) -> None:
    """Refuse a source that is not there, or that nobody lets this user read.

    Raises
    ------
    SourceError
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist", "Check the name and the folder.")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path} may not be read by you", "Ask for the permission, or copy it.")


def _open(inventory: Inventory, choice: Choice, budget: "Budget") -> Source:
    if inventory.path.is_dir() or _is_zipped_zarr(inventory.path):
        from titin.source.zarr import open_zarr

        return open_zarr(inventory, choice, budget)
    return _open_hdf5(inventory, choice, budget)


def _is_zipped_zarr(path: Path) -> bool:
    if path.suffixes[-2:] == [".zarr", ".zip"]:
        return True
    from titin.source.zarr import MARKS

    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return not set(MARKS).isdisjoint(archive.namelist())
    except zipfile.BadZipFile:
        return False


def _open_hdf5(inventory: Inventory, choice: Choice, budget: "Budget") -> Source:
    from titin.source.h5ad import open_h5ad, open_hdf5
    from titin.source.h5mu import is_h5mu, open_h5mu
    from titin.source.tenx import is_tenx, open_tenx

    file, gaps = open_hdf5(inventory)
    try:
        open_format = open_h5mu if is_h5mu(file) else open_tenx if is_tenx(file) else open_h5ad
        return open_format(inventory, file, gaps, choice, budget)
    except BaseException:
        file.close()
        raise
