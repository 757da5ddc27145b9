"""Open a source of any format that is read."""

import os
from pathlib import Path

from titin.errors import SourceError
from titin.source.base import Source

_FORMATS = "Formats that are read: AnnData .h5ad and .zarr, 10x Genomics .h5."
_CONVERT = {
    ".loom": "Convert it with anndata.io.read_loom(...).write_h5ad(...).",
    ".rds": "Convert it in R, for example with the package anndataR or zellkonverter.",
    ".rdata": "Convert it in R, for example with the package anndataR or zellkonverter.",
    ".h5seurat": "Convert it in R with SeuratDisk::Convert(..., dest = 'h5ad').",
    ".h5mu": "Write the modality you want as .h5ad: mudata.read(...)['rna'].write_h5ad(...).",
    ".csv": "Convert it with anndata.io.read_csv(...).write_h5ad(...).",
    ".tsv": "Convert it with anndata.io.read_text(...).write_h5ad(...).",
    ".txt": "Convert it with anndata.io.read_text(...).write_h5ad(...).",
    ".mtx": "Convert it with scanpy.read_10x_mtx(folder).write_h5ad(...), or give CellRanger's .h5 file.",
}


def open_source(path: str | Path, *, layer: str | None = None, raw: bool = False) -> Source:
    """Open an atlas; its format is told from its content.

    Parameters
    ----------
    path
        AnnData ``.h5ad``, AnnData ``.zarr`` (version 2 or 3, a folder or a zip file), or 10x Genomics ``.h5``.
    layer
        Take this layer for X (of a 10x file from before CellRanger 3: the genome).
    raw
        Take raw/X for X, and its genes.

    Returns
    -------
    Source
        With obs, var and uns in memory, matrices and obsm on disk until asked for.

    Raises
    ------
    SourceError
        If the file is missing, damaged, of another format, or holds what no dataset can hold: no cells, no genes,
        repeated or missing names, columns of mixed objects.

    Examples
    --------
    >>> with open_source("atlas.h5ad") as source:  # doctest: +SKIP
    ...     for block in source.X.blocks(max_bytes=32 << 20, scratch=Path("scratch")):
    ...         print(block.start, block.n_cells)
    """
    path = Path(path)
    if layer is not None and raw:
        raise SourceError(f"{path}: --layer and --raw cannot both be X", "Give one of them.")
    if not path.exists():
        raise SourceError(f"{path} does not exist", "Check the name and the folder.")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path} may not be read by you", "Ask for the permission, or copy it.")
    if path.is_dir() or path.suffixes[-2:] == [".zarr", ".zip"]:
        from titin.source.zarr import open_zarr

        return open_zarr(path, layer=layer, raw=raw)
    _refuse_other_formats(path)
    return _open_hdf5(path, layer, raw)


def _refuse_other_formats(path: Path) -> None:
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix in _CONVERT:
        raise SourceError(f"{path}: {suffix} files are not read. {_FORMATS}", _CONVERT[suffix])


def _open_hdf5(path: Path, layer: str | None, raw: bool) -> Source:
    from titin.source.h5ad import open_h5ad, open_hdf5
    from titin.source.tenx import is_tenx, open_tenx

    file = open_hdf5(path)
    try:
        open_format = open_tenx if is_tenx(file) else open_h5ad
        return open_format(path, file, layer=layer, raw=raw)
    except BaseException:
        file.close()
        raise
