"""AnnData's layout of a file, the same in HDF5 and zarr, old and new: what is X, what is kept, what is left out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from titin.errors import SourceError
from titin.source import _tables, _witness
from titin.source._elements import CellArrays, open_obsm, read_uns
from titin.source._matrix import is_absent, open_matrix
from titin.source._reading import is_group, members, reading
from titin.source._stored import StoredMatrix
from titin.source.base import Source

_KNOWN = frozenset({"X", "obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns", "raw"})
_LEGACY_RAW = frozenset({"raw.X", "raw.var", "raw.varm"})
_NOT_KEPT = {"obsp": "pairwise between cells; not kept", "varp": "pairwise between genes; not kept"}


@dataclass
class _File:
    """The root of an AnnData file, and where its parts are."""

    path: Path
    root: Any

    def __post_init__(self) -> None:
        with reading(self.path, "the root"):
            self.top = members(self.root)
            layers = self.root["layers"] if "layers" in self.top else None
            self.layers = members(layers) if layers is not None and is_group(layers) else []
            self.raw = self._find_raw()

    def _find_raw(self) -> dict[str, Any]:
        """Parts of raw: a group, or before anndata 0.7 elements named ``raw.X``; empty if there is none."""
        if "raw" in self.top and is_group(self.root["raw"]):
            group = self.root["raw"]
            parts = {name: group[name] for name in members(group)}
        else:
            parts = {name.removeprefix("raw."): self.root[name] for name in self.top if name in _LEGACY_RAW}
        return parts if "X" in parts and "var" in parts and not is_absent(parts["X"]) else {}

    def node(self, place: str) -> Any:
        """Return an element that is listed; a link to nowhere is still an error."""
        with reading(self.path, place):
            return self.root[place]

    @property
    def has_X(self) -> bool:  # noqa: N802
        """Whether there is an X that is not None."""
        return "X" in self.top and not is_absent(self.node("X"))

    def alternatives(self) -> str:
        """Say what --layer and --raw could choose."""
        options = [f"--layer {name}" for name in self.layers] + (["--raw"] if self.raw else [])
        return f"This file offers {', '.join(options)}." if options else "It has no layers and no raw either."


def open_anndata(
    path: Path,
    file_format: Literal["h5ad", "zarr"],
    root: Any,
    *,
    layer: str | None,
    raw: bool,
    release: Callable[[], None],
) -> Source:
    """Open an AnnData file whose root group is given.

    Parameters
    ----------
    path, file_format
        The file and what to call its format.
    root
        HDF5 or zarr group.
    layer, raw
        What X is, instead of X.
    release
        Closes the file.

    Returns
    -------
    Source
        With obs, var and uns in memory, matrices and obsm on disk.
    """
    file = _File(path, root)
    _check_is_anndata(file)
    X, var_place, var_node = _choose(file, layer, raw)
    left_out: dict[str, str] = {}
    obs = _tables.read_table(path, file.node("obs"), "obs")
    var = _tables.read_table(path, var_node, var_place)
    uns = read_uns(file.node("uns"), left_out) if "uns" in file.top else {}
    if not is_group(file.node("obs")):
        _tables.restore_legacy_categories((obs, var), uns)
    check_source(path, X, obs, var, var_place)
    obsm = open_obsm(path, file.node("obsm"), len(obs), left_out) if "obsm" in file.top else CellArrays({})
    counts = _find_counts(file, X, var.index, left_out) if layer is None and not raw else None
    _note_left_out(file, layer, raw, left_out)
    return Source(path, file_format, X, counts, obs, var, obsm, uns, dict(sorted(left_out.items())), release)


def _check_is_anndata(file: _File) -> None:
    if "obs" in file.top and "var" in file.top:
        return
    if "mod" in file.top:
        hint = "It looks like MuData: write the modality you want as an .h5ad file with mdata['rna'].write_h5ad(...)."
    else:
        hint = "Formats that are read: AnnData .h5ad and .zarr, 10x Genomics .h5 (CellRanger 2 and later)."
    found = ", ".join(file.top[:6]) or "nothing"
    raise SourceError(f"{file.path} is not AnnData: it has no obs and var (found: {found})", hint)


def _choose(file: _File, layer: str | None, raw: bool) -> tuple[StoredMatrix, str, Any]:
    """Return the matrix that was asked for, and the place and element of its genes."""
    var = file.node("var")
    if raw:
        if not file.raw:
            raise SourceError(f"{file.path} has no raw", "Leave --raw away, or choose another file.")
        return open_matrix(file.path, file.raw["X"], "raw/X"), "raw/var", file.raw["var"]
    if layer is not None:
        if layer not in file.layers:
            there = f"Layers in this file: {', '.join(file.layers)}." if file.layers else "This file has no layers."
            raise SourceError(f"{file.path} has no layer {layer!r}", there)
        return open_matrix(file.path, file.node(f"layers/{layer}"), f"layers/{layer}"), "var", var
    if not file.has_X:
        raise SourceError(f"{file.path} has no X", file.alternatives())
    return open_matrix(file.path, file.node("X"), "X"), "var", var


def check_source(path: Path, X: StoredMatrix, obs: pd.DataFrame, var: pd.DataFrame, var_place: str = "var") -> None:
    """Refuse what no dataset can hold: no cells, no genes, tables of other lengths, bad names or columns."""
    for n, what in ((len(obs), "cells"), (len(var), "genes")):
        if n == 0:
            raise SourceError(f"{path} has no {what}: {X.name} is {X.shape[0]:,} × {X.shape[1]:,}", "Nothing to build.")
    if X.shape != (len(obs), len(var)):
        raise SourceError(
            f"{path}: {X.name} is {X.shape[0]:,} × {X.shape[1]:,}, "
            f"but obs has {len(obs):,} rows and {var_place} {len(var):,}",
            "The file is inconsistent; write it anew from the AnnData object.",
        )
    _tables.check_names(path, obs.index, "cell")
    _tables.check_names(path, var.index, "gene")
    _tables.check_columns(path, obs, "obs")
    _tables.check_columns(path, var, var_place)


def _find_counts(file: _File, X: StoredMatrix, genes: pd.Index, left_out: dict[str, str]) -> StoredMatrix | None:
    """Return the first matrix of counts beside X; whatever was looked at is noted in ``left_out``."""
    for name in _witness.count_layers(file.layers):
        place = f"layers/{name}"
        try:
            counts, left_out[place] = _witness.from_layer(X, open_matrix(file.path, file.node(place), place))
        except SourceError as error:  # X itself is fine
            counts, left_out[place] = None, f"cannot be read ({error.args[0]})"
        if counts is not None:
            return counts
    if not file.raw:
        return None
    try:
        raw = open_matrix(file.path, file.raw["X"], "raw/X")
        raw_genes = _tables.read_table(file.path, file.raw["var"], "raw/var").index
        counts, left_out["raw"] = _witness.from_raw(X, genes, raw, raw_genes)
    except SourceError as error:
        counts, left_out["raw"] = None, f"cannot be read ({error.args[0]})"
    return counts


def _note_left_out(file: _File, layer: str | None, raw: bool, left_out: dict[str, str]) -> None:
    """Name everything else in the file."""

    def note(place: str, reason: str) -> None:
        left_out.setdefault(place, reason)

    if layer is not None or raw:
        chosen = "raw" if raw else f"layers/{layer}"
        if file.has_X:
            note("X", f"{chosen} was chosen; a dataset holds one matrix")
    if raw:
        note("var", "raw was chosen, which has its own genes")
    elif file.raw:
        note("raw", "a dataset holds one matrix; --raw chooses this one")
    for name in file.layers:
        if name != layer:
            note(f"layers/{name}", "a dataset holds one matrix; --layer chooses another")
    for table in ("obs", "var"):
        for column in _tables.unlisted_columns(file.node(table)):
            note(f"{table}/{column}", "not among the columns that the table lists")
    for group in ("varm", "obsp", "varp"):
        for key in members(file.node(group)) if group in file.top else []:
            note(f"{group}/{key}", _NOT_KEPT.get(group, "arrays of genes are not kept"))
    for part, node in file.raw.items():
        if part not in ("X", "var"):
            for key in members(node):
                note(f"raw/{part}/{key}", "arrays of genes are not kept")
    for name in file.top:
        if name not in _KNOWN and not (name in _LEGACY_RAW and file.raw):
            note(name, "not a part of AnnData that is known")
    if "raw" in file.top and not file.raw and not is_absent(file.node("raw")):
        note("raw", "it has no X and var")
