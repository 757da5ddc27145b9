"""10x Genomics .h5: the matrices that CellRanger writes, genes × cells by column, hence cells × genes by row."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from titin.errors import SourceError
from titin.source.anndata_layout import check_source
from titin.source.base import Source
from titin.source.matrices import ChosenColumns, CSRMatrix
from titin.source.reading import members, reading
from titin.source.stored import StoredMatrix, open_vector

_EXPRESSION = "Gene Expression"
_MARKS = frozenset({"barcodes", "shape"})
_PARTS = _MARKS | {"data", "indices", "indptr", "features", "genes", "gene_names"}


def is_tenx(file: h5py.File) -> bool:
    """Whether an HDF5 file has the layout of CellRanger, 3 and later or before."""
    return "obs" not in file and bool(_genomes(file))


def _genomes(file: h5py.File) -> list[str]:
    """Names of the groups that hold a matrix: ``matrix``, or before CellRanger 3 one a genome."""
    groups = ((name, file.get(name)) for name in members(file))
    return [name for name, group in groups if isinstance(group, h5py.Group) and set(members(group)) >= _MARKS]


def open_tenx(path: Path, file: h5py.File, *, layer: str | None, raw: bool) -> Source:
    """Open a 10x Genomics file that is open already; closing the source closes it.

    Parameters
    ----------
    path, file
        The file.
    layer
        The genome, where a file from before CellRanger 3 holds several.
    raw
        Must be false: there is no raw.
    """
    if raw:
        raise SourceError(f"{path} is a 10x Genomics file and has no raw", "Leave --raw away.")
    genomes = _genomes(file)
    genome = _choose_genome(path, genomes, layer)
    group = file[genome]
    left_out = {name: "another genome; --layer chooses it" for name in genomes if name != genome}
    left_out |= {name: "not a part of the 10x format that is known" for name in members(file) if name not in genomes}
    left_out |= {f"{genome}/{key}": "not a part of the 10x format that is known" for key in _unknown(group)}
    with reading(path, f"{genome}/barcodes"):
        barcodes = _column(group["barcodes"])
    var = _read_genes(path, group, genome)
    X = _open_matrix(path, group, genome)
    columns = _expression_only(path, var, left_out)
    if columns is not None and X.shape[1] == len(var):
        X, var = ChosenColumns(X, columns), var.iloc[columns].copy()
    var = _named(var)
    obs = pd.DataFrame(index=pd.Index(barcodes, dtype=object))
    obs.columns = obs.columns.astype(str)
    check_source(path, X, obs, var)
    return Source(path, "10x", X, None, obs, var, {}, _attributes(file), left_out, file.close)


def _choose_genome(path: Path, genomes: list[str], layer: str | None) -> str:
    if layer is None and len(genomes) > 1:
        raise SourceError(
            f"{path} holds {len(genomes)} genomes: {', '.join(genomes)}", f"Choose one, e.g. --layer {genomes[0]}."
        )
    if layer is not None and layer not in genomes:
        raise SourceError(f"{path} has no layer {layer!r}", f"This 10x file holds {', '.join(genomes)}.")
    return genomes[0] if layer is None else layer


def _unknown(group: Any) -> list[str]:
    return sorted(set(members(group)) - _PARTS)


def _column(dataset: Any) -> np.ndarray:
    values = dataset.asstr()[()] if dataset.dtype.kind in "SO" else dataset[()]
    return np.asarray(values, dtype=object if dataset.dtype.kind in "SO" else None)


def _read_genes(path: Path, group: Any, genome: str) -> pd.DataFrame:
    """Return one row a feature, with columns ``gene_symbols`` and ``gene_ids`` first."""
    with reading(path, f"{genome}/features" if "features" in group else f"{genome}/genes"):
        if "features" not in group:
            table = {"gene_symbols": _column(group["gene_names"]), "gene_ids": _column(group["genes"])}
            return pd.DataFrame(table).assign(genome=genome)
        features = group["features"]
        table = {"gene_symbols": _column(features["name"]), "gene_ids": _column(features["id"])}
        rest = [name for name in members(features) if name not in ("name", "id", "_all_tag_keys")]
        for name in rest:
            table["feature_types" if name == "feature_type" else name] = _column(features[name])
        return pd.DataFrame(table)


def _named(var: pd.DataFrame) -> pd.DataFrame:
    """Make symbols the index; where a symbol is missing or occurs twice, the ids."""
    usable = var["gene_symbols"].is_unique and bool((var["gene_symbols"] != "").all())
    index, kept = ("gene_symbols", "gene_ids") if usable else ("gene_ids", "gene_symbols")
    rest = [name for name in var.columns if name not in ("gene_symbols", "gene_ids")]
    return var[[kept, *rest]].set_axis(pd.Index(var[index].to_numpy(), dtype=object), axis=0)


def _expression_only(path: Path, var: pd.DataFrame, left_out: dict[str, str]) -> np.ndarray | None:
    """Return which features are gene expression, where a file holds other types too."""
    types = var["feature_types"].value_counts(sort=False) if "feature_types" in var else pd.Series(dtype=int)
    if len(types) < 2:
        return None
    if _EXPRESSION not in types.index:
        raise SourceError(
            f"{path} holds {', '.join(types.index)}, none of which is {_EXPRESSION}",
            "Write the feature type you want as an .h5ad file.",
        )
    for name, n in types.items():
        if name != _EXPRESSION:
            left_out[str(name)] = f"{n:,} features that are not {_EXPRESSION}; not kept"
    return np.flatnonzero(var["feature_types"] == _EXPRESSION)


def _open_matrix(path: Path, group: Any, genome: str) -> StoredMatrix:
    with reading(path, genome):
        n_genes, n_cells = (int(n) for n in group["shape"][()])
        parts = {part: group[part] for part in ("indptr", "indices", "data")}
    indptr, indices, data = (open_vector(path, node, f"{genome}/{part}") for part, node in parts.items())
    return CSRMatrix(path, genome, (n_cells, n_genes), indptr, indices, data)


def _attributes(file: h5py.File) -> dict[str, Any]:
    """Return what CellRanger notes about the file: chemistry, version, libraries."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return np.array([plain(v) for v in value.tolist()], dtype=object) if value.dtype.kind in "SO" else value
        return value.decode() if isinstance(value, bytes) else value

    return {name: plain(value) for name, value in file.attrs.items() if not isinstance(value, h5py.Empty)}
