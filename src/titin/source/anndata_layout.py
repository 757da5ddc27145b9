"""The parts of an AnnData file, in HDF5 or zarr: which is X, what witnesses its counts, what is left out."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from titin.dataset.manifest import LAYERS, RAW, RAW_VARM
from titin.errors import SourceError
from titin.source.base import Matrix, Source
from titin.source.beside import open_arrays
from titin.source.budget import Budget
from titin.source.choice import LEFT_OUT, NOT_CHOSEN, Choice
from titin.source.elements import names_in, read_uns
from titin.source.gaps import Gaps
from titin.source.inventory import Inventory
from titin.source.matrices import is_absent, open_matrix
from titin.source.names import cells_by_name, check_columns, genes_by_name
from titin.source.obsm import CellArrays, open_obsm
from titin.source.other_formats import check_is_anndata
from titin.source.reading import is_group, members, reading
from titin.source.stored import StoredMatrix
from titin.source.tables import read_table, restore_legacy_categories, unlisted_columns
from titin.source.witness import count_layers, from_layer, from_raw

EXPRESSION = "Gene Expression"  # type of the features that are genes, as 10x Genomics calls it
_KNOWN = frozenset({"X", "obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns", "raw"})
_LEGACY_RAW = frozenset({"raw.X", "raw.var", "raw.varm"})
_BESIDE = {
    "varm": "arrays of genes",
    "obsp": "pairwise between cells",
    "varp": "pairwise between genes",
}  # what --keep-all keeps


@dataclass
class _File:
    """The root of an AnnData file, and where its parts are."""

    path: Path
    root: Any
    budget: Budget
    gaps: Gaps

    def __post_init__(self) -> None:
        with reading(self.path, "the root"):
            self.top = members(self.root)
            layers = self.root["layers"] if "layers" in self.top else None
            self.layers = names_in(layers) if layers is not None and is_group(layers) else []
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

    def matrix(self, place: str, node: Any) -> StoredMatrix:
        """Open a matrix, of which nothing is missing that cannot be zeros."""
        self.gaps.check_pointers(place)
        matrix = open_matrix(self.path, node, place, self.budget)
        self.gaps.check_matrix(place, getattr(matrix, "indptr", None))
        return matrix

    @property
    def has_X(self) -> bool:  # noqa: N802
        """Whether there is an X that is not None."""
        return "X" in self.top and not is_absent(self.node("X"))

    def alternatives(self) -> str:
        """Say what --layer and --raw could choose."""
        options = [f"--layer {name}" for name in self.layers] + (["--raw"] if self.raw else [])
        return f"This file offers {', '.join(options)}." if options else "It has no layers and no raw either."


def open_anndata(
    inventory: Inventory,
    file_format: Literal["h5ad", "zarr", "h5mu"],
    root: Any,
    gaps: Gaps,
    choice: Choice,
    budget: Budget,
    release: Callable[[], None] | None,
    place: str = "",
) -> Source:
    """Open an AnnData file whose root group is given.

    Parameters
    ----------
    inventory, file_format
        The file and what to call its format.
    root
        HDF5 or zarr group.
    gaps
        What of it is not stored.
    choice
        What of it is read.
    budget
        Asked before anything is read whole.
    release
        Closes the file.
    place
        Where the root group lies in the file, for messages.

    Returns
    -------
    Source
        With obs, var and uns in memory, matrices and obsm on disk.
    """
    path = inventory.path / place
    with reading(path, "the root"):
        gaps.check_metadata()
        check_is_anndata(path, root)
    file = _File(path, root, budget, gaps)
    layer, raw = choice.layer, choice.raw
    X, var_place, var_node = _choose(file, layer, raw)
    left_out: dict[str, str] = {}
    notes: list[str] = []

    def chosen(names: list[str]) -> list[str]:
        return choice.columns(path, names, left_out)

    obs = read_table(path, file.node("obs"), "obs", budget, notes, chosen, gaps)
    var = read_table(path, var_node, var_place, budget, notes, gaps=gaps)
    gaps.check_rest("uns")
    with reading(path, "uns"):
        uns = read_uns(file.node("uns"), left_out, budget) if "uns" in file.top else {}
    if not is_group(file.node("obs")):
        restore_legacy_categories((obs, var), uns)
    check_source(path, X, obs, var, var_place)
    obs = cells_by_name(path, obs, choice.make_unique, notes)
    keyed, own_names = genes_by_name(path, var, choice.make_unique, notes)
    obsm_node = file.node("obsm") if "obsm" in file.top else {}
    obsm = open_obsm(path, obsm_node, len(obs), choice, left_out, budget, gaps)
    counts = _find_counts(file, X, var.index, left_out) if layer is None and not raw else None
    _note_left_out(file, layer, raw, left_out)
    source = Source(
        inventory, file_format, X, counts, obs, keyed, obsm, uns, {}, notes,
        own_names["column"] if own_names else None, own_names, partial(_read_skipped, file, obs, left_out),
        _release=release,
    )  # fmt: skip
    source.parts = _open_parts(file, source, choice)
    source.arrays = _open_arrays(file, source, choice, left_out)
    source.notes += note_other_features(source.var)
    source.notes += gaps.notes()
    source.left_out = {place: reason for place, reason in sorted(left_out.items())
                       if place not in source.parts and place not in source.arrays}  # fmt: skip
    return source


def note_other_features(var: pd.DataFrame) -> list[str]:
    """Say so where a matrix of genes holds features of other types, as 10x files that were read whole do."""
    types = var["feature_types"].astype("string").value_counts() if "feature_types" in var else pd.Series(dtype=int)
    others = [f"{n:,} {name}" for name, n in types.items() if name != EXPRESSION]
    if EXPRESSION not in types.index or not others:
        return []
    return [f"not all of X are genes: {', '.join(others)} are among them, and count in each total; give the 10x .h5 or "
            "an .h5mu to keep them apart"]  # fmt: skip


def _open_parts(file: _File, source: Source, choice: Choice) -> dict[str, Source]:
    """The matrices that are read beside X."""
    parts: dict[str, Source] = {}
    for name in choice.beside(file.path, file.layers):
        place = f"{LAYERS}{name}"
        matrix = file.matrix(place, file.node(place))
        if matrix.shape != source.X.shape:
            raise SourceError(f"{file.path}: {place} is {_size(matrix)}, and {source.X.name} {_size(source.X)}",
                              "Keep other layers: name them with --layers.")  # fmt: skip
        parts[place] = source.with_matrix(matrix)
    if choice.with_raw or (choice.keep_all and file.raw and not choice.raw):
        if not file.raw:
            raise SourceError(f"{file.path} has no raw", "Leave --with-raw away.")
        parts[RAW] = _open_raw(file, source, choice)
    return parts


def _open_arrays(file: _File, source: Source, choice: Choice, left_out: dict[str, str]) -> CellArrays:
    """What is read of varm, obsp and varp, and of varm of raw where that is kept; of another X's genes it is not."""
    if not choice.keep_all:
        return CellArrays({})
    n_cells, n_genes = source.X.shape
    rows = {"obsp": n_cells} if choice.raw else {"obsp": n_cells, "varm": n_genes, "varp": n_genes}
    nodes = {name: (file.node(name), n) for name, n in rows.items() if name in file.top}
    if RAW in source.parts and "varm" in file.raw:
        nodes[RAW_VARM] = (file.raw["varm"], source.parts[RAW].X.shape[1])
    return open_arrays(file.path, nodes, left_out, file.budget, file.gaps)


def _open_raw(file: _File, source: Source, choice: Choice) -> Source:
    matrix, notes = file.matrix("raw/X", file.raw["X"]), list[str]()
    var = read_table(file.path, file.raw["var"], "raw/var", file.budget.anew(), notes, gaps=file.gaps)
    check_source(file.path, matrix, source.obs, var, "raw/var")
    var, own = genes_by_name(file.path, var, choice.make_unique, notes)
    symbols = own["column"] if own else None
    return source.with_matrix(matrix, var=var, notes=notes, genes=None, symbols=symbols, own_names=own)


def _size(matrix: Matrix) -> str:
    return f"{matrix.shape[0]:,} × {matrix.shape[1]:,}"


def _read_skipped(file: _File, obs: pd.DataFrame, left_out: dict[str, str]) -> pd.DataFrame:
    """Columns of obs that are there and were not chosen; those that cannot be read are none."""
    skipped, budget = pd.DataFrame(index=obs.index), file.budget.anew()
    for place, reason in left_out.items():
        name = place.removeprefix("obs/")
        if name != place and reason in (NOT_CHOSEN, LEFT_OUT):
            with suppress(SourceError):
                skipped[name] = _read_column(file, name, budget).set_axis(obs.index)
    return skipped


def _read_column(file: _File, name: str, budget: Budget) -> pd.Series:
    column: pd.Series = read_table(file.path, file.node("obs"), "obs", budget, None, lambda _: [name])[name]
    return column


def _choose(file: _File, layer: str | None, raw: bool) -> tuple[StoredMatrix, str, Any]:
    """Return the matrix that was asked for, and the place and element of its genes."""
    var = file.node("var")
    if raw:
        if not file.raw:
            raise SourceError(f"{file.path} has no raw", "Leave --raw away, or choose another file.")
        return file.matrix("raw/X", file.raw["X"]), "raw/var", file.raw["var"]
    if layer is not None:
        if layer not in file.layers:
            there = f"Layers in this file: {', '.join(file.layers)}." if file.layers else "This file has no layers."
            raise SourceError(f"{file.path} has no layer {layer!r}", there)
        return file.matrix(f"layers/{layer}", file.node(f"layers/{layer}")), "var", var
    if not file.has_X:
        raise SourceError(f"{file.path} has no X", file.alternatives())
    return file.matrix("X", file.node("X")), "var", var


def check_source(path: Path, X: StoredMatrix, obs: pd.DataFrame, var: pd.DataFrame, var_place: str = "var") -> None:
    """Refuse what no dataset can hold: no cells, no genes, tables of other lengths, bad columns."""
    for n, what in ((len(obs), "cells"), (len(var), "genes")):
        if n == 0:
            raise SourceError(f"{path} has no {what}: {X.name} is {X.shape[0]:,} × {X.shape[1]:,}", "Nothing to build.")
    if X.shape != (len(obs), len(var)):
        turned = X.shape == (len(var), len(obs))
        raise SourceError(
            f"{path}: {X.name} is {X.shape[0]:,} × {X.shape[1]:,}, "
            f"but obs has {len(obs):,} rows and {var_place} {len(var):,}",
            "It lies genes × cells: write it transposed."
            if turned
            else "The file is inconsistent; write it anew from the AnnData object.",
        )
    check_columns(path, obs, "obs")
    check_columns(path, var, var_place)


def _find_counts(file: _File, X: StoredMatrix, genes: pd.Index, left_out: dict[str, str]) -> StoredMatrix | None:
    """Return the first matrix of counts beside X; whatever was looked at is noted in ``left_out``."""
    for name in count_layers(file.layers):
        place = f"layers/{name}"
        try:
            counts, left_out[place] = from_layer(X, file.matrix(place, file.node(place)))
        except SourceError as error:  # X itself is fine
            counts, left_out[place] = None, f"cannot be read ({error.args[0]})"
        if counts is not None:
            return counts
    if not file.raw:
        return None
    try:
        raw = file.matrix("raw/X", file.raw["X"])
        raw_genes = read_table(file.path, file.raw["var"], "raw/var", file.budget, None, lambda _: [], file.gaps).index
        counts, left_out["raw"] = from_raw(X, genes, raw, raw_genes)
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
            note("X", f"{chosen} was chosen for X")
    if raw:
        note("var", "raw was chosen, which has its own genes")
    elif file.raw:
        note("raw", "kept by --with-raw; --raw takes it for X")
    for name in file.layers:
        if name != layer:
            note(f"layers/{name}", "kept by --layers; --layer takes it for X")
    for table in ("obs", "var"):
        for column in unlisted_columns(file.node(table)):
            note(f"{table}/{column}", "not among the columns that the table lists")
    for group, what in _BESIDE.items():
        with reading(file.path, group):
            for key in names_in(file.node(group)) if group in file.top else []:
                note(f"{group}/{key}", f"{what}; kept by --keep-all")
    for part, node in file.raw.items():
        if part not in ("X", "var"):
            for key in members(node):
                note(f"raw/{part}/{key}", "arrays of genes; kept by --keep-all")
    for name in file.top:
        if name not in _KNOWN and not (name in _LEGACY_RAW and file.raw):
            note(name, "not a part of AnnData that is known")
    if "raw" in file.top and not file.raw and not is_absent(file.node("raw")):
        note("raw", "it has no X and var")
