"""10x Genomics .h5: the matrices that CellRanger writes, genes × cells by column, hence cells × genes by row."""

import shlex
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from titin.dataset.manifest import MODALITIES
from titin.errors import SourceError
from titin.source.anndata_layout import EXPRESSION, check_source
from titin.source.base import Source
from titin.source.budget import Budget
from titin.source.choice import Choice
from titin.source.compressed import CSRMatrix
from titin.source.gaps import Gaps
from titin.source.inventory import Inventory
from titin.source.matrices import ChosenColumns, open_vectors
from titin.source.names import cells_by_name, genes_by_name
from titin.source.reading import is_group, members, reading
from titin.source.stored import StoredMatrix
from titin.source.strings import decode, is_text, read_text

_MODALITIES = {EXPRESSION: "rna", "Antibody Capture": "prot", "Peaks": "atac"}  # as MuData calls them
_TARGETS = "target_sets"
_TAGS = "_all_tag_keys"  # names of the other columns
_MARKS = frozenset({"barcodes", "shape"})
_MANY_BARCODES, _FEW_GENES = 50_000, 50  # barcodes of a run, and genes in half of them, of droplets without a cell
_PARTS = _MARKS | {"data", "indices", "indptr", "features", "genes", "gene_names"}


def is_tenx(file: h5py.File) -> bool:
    """Whether an HDF5 file has the layout of CellRanger, 3 and later or before."""
    return "obs" not in file and bool(_genomes(file))


def _genomes(file: h5py.File) -> list[str]:
    """Names of the groups that hold a matrix: ``matrix``, or before CellRanger 3 one a genome."""
    groups = ((name, file.get(name)) for name in members(file))
    return [name for name, group in groups if isinstance(group, h5py.Group) and set(members(group)) >= _MARKS]


def open_tenx(inventory: Inventory, file: h5py.File, gaps: Gaps, choice: Choice, budget: Budget) -> Source:
    """Open a 10x Genomics file that is open already; closing the source closes it.

    Parameters
    ----------
    inventory, file, gaps
        The file, and what it lacks.
    choice
        ``layer`` is the genome, where a file from before CellRanger 3 holds several; there is no raw.
    """
    path = inventory.path
    if choice.raw:
        raise SourceError(f"{path} is a 10x Genomics file and has no raw", "Leave --raw away.")
    if choice.layers or choice.with_raw:
        said = f"{path} is a 10x Genomics file and has no layers and no raw"
        raise SourceError(said, "Leave --layers and --with-raw away.")
    genomes = _genomes(file)
    genome = _choose_genome(path, genomes, choice.layer)
    gaps.check_array(genome)
    group = file[genome]
    left_out = {name: "another genome; --layer chooses it" for name in genomes if name != genome}
    left_out |= {name: "not a part of the 10x format that is known" for name in members(file) if name not in genomes}
    left_out |= {f"{genome}/{key}": "not a part of the 10x format that is known" for key in _unknown(group)}
    with reading(path, f"{genome}/barcodes"):
        barcodes = _column(group["barcodes"], budget)
    var = _read_genes(path, group, genome, left_out, budget)
    X = _open_matrix(path, group, genome, budget)
    columns = _expression_only(path, var, left_out)
    whole, features = X, var
    if columns is not None and X.shape[1] == len(var):
        X, var = ChosenColumns(X, columns), var.iloc[columns].copy()
    var, symbols = _named(var, choice.make_unique)
    obs = pd.DataFrame(index=pd.Index(barcodes, dtype=object))
    obs.columns = obs.columns.astype(str)
    choice.columns(path, [], left_out)
    choice.keys(path, [], left_out)
    check_source(path, X, obs, var)
    notes = [*_note_droplets(path, X), *_note_features(var)]
    obs = cells_by_name(path, obs, choice.make_unique, notes)
    var, own_names = genes_by_name(path, var, choice.make_unique, notes)
    symbols = symbols or (own_names["column"] if own_names else None)
    source = Source(
        inventory, "10x", X, None, obs, var, {}, _attributes(file), left_out, notes, symbols, own_names,
        _release=file.close,
    )  # fmt: skip
    source.parts = _other_types(source, whole, features, choice)
    return source


def _other_types(source: Source, whole: StoredMatrix, features: pd.DataFrame, choice: Choice) -> dict[str, Source]:
    """What else was measured of the cells, a modality a type of feature."""
    types = features["feature_types"] if "feature_types" in features else pd.Series(dtype=object)
    others = {modality_of(str(kind)): kind for kind in types.unique() if kind != EXPRESSION}
    known = list(others) if (types == EXPRESSION).any() else []
    parts: dict[str, Source] = {}
    for name in choice.other_modalities(source.path, known):
        columns, notes = np.flatnonzero(types == others[name]), list[str]()
        var, symbols = _named(features.iloc[columns], choice.make_unique)
        var, own = genes_by_name(source.path, var, choice.make_unique, notes)
        parts[f"{MODALITIES}{name}"] = source.with_matrix(
            ChosenColumns(whole, columns), var=var, notes=notes, genes=None, own_names=own,
            symbols=symbols or (own["column"] if own else None),
        )  # fmt: skip
        del source.left_out[str(others[name])]
    return parts


def modality_of(feature_type: str) -> str:
    """What MuData calls the modality of a type of feature.

    Examples
    --------
    >>> modality_of("Antibody Capture"), modality_of("CRISPR Guide Capture")
    ('prot', 'CRISPR Guide Capture')
    """
    return _MODALITIES.get(feature_type, feature_type)


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


def _column(dataset: Any, budget: Budget) -> np.ndarray:
    budget.claim(dataset, dataset.name.lstrip("/"))
    values = read_text(dataset) if is_text(dataset) else dataset[()]
    return np.asarray(values)


def _read_genes(path: Path, group: Any, genome: str, left_out: dict[str, str], budget: Budget) -> pd.DataFrame:
    """Return one row a feature, with columns ``gene_symbols`` and ``gene_ids`` first."""
    with reading(path, f"{genome}/features" if "features" in group else f"{genome}/genes"):
        if "features" not in group:
            table = {"gene_symbols": _column(group["gene_names"], budget), "gene_ids": _column(group["genes"], budget)}
            return pd.DataFrame(table).assign(genome=genome)
        features = group["features"]
        table = {"gene_symbols": _column(features["name"], budget), "gene_ids": _column(features["id"], budget)}
        n_features = len(table["gene_ids"])
        for name in members(features):
            place = f"{genome}/features/{name}"
            if name == _TARGETS and is_group(features[name]):
                table |= _target_sets(features[name], n_features, place, left_out, budget)
            elif is_group(features[name]) or features[name].shape != (n_features,) or features[name].dtype.names:
                if name != _TAGS:
                    left_out[place] = f"not one value for each of {n_features:,} features; not kept"
            elif name not in ("name", "id"):
                table["feature_types" if name == "feature_type" else name] = _column(features[name], budget)
        return pd.DataFrame(table)


def _target_sets(
    group: Any, n_features: int, place: str, left_out: dict[str, str], budget: Budget
) -> dict[str, np.ndarray]:
    """Return for each set of probes or baits which features it aims at; the file lists their positions."""
    columns = {}
    for name in members(group):
        positions = _column(group[name], budget) if not is_group(group[name]) else np.array("a group")
        if positions.dtype.kind in "iu" and positions.ndim == 1 and (positions < n_features).all():
            columns[name] = np.zeros(n_features, bool)
            columns[name][positions] = True
        else:
            left_out[f"{place}/{name}"] = "not a list of positions of features; not kept"
    return columns


def _named(var: pd.DataFrame, make_unique: bool) -> tuple[pd.DataFrame, str | None]:
    """Make symbols the index; where a symbol is missing or occurs twice, the ids, and name the symbols' column."""
    usable = make_unique or (var["gene_symbols"].is_unique and bool((var["gene_symbols"] != "").all()))
    index, kept = ("gene_symbols", "gene_ids") if usable else ("gene_ids", "gene_symbols")
    rest = [name for name in var.columns if name not in ("gene_symbols", "gene_ids")]
    named = var[[kept, *rest]].set_axis(pd.Index(var[index].to_numpy(), dtype=object), axis=0)
    return named, None if usable else "gene_symbols"


def _expression_only(path: Path, var: pd.DataFrame, left_out: dict[str, str]) -> np.ndarray | None:
    """Return which features are gene expression, where a file holds other types too."""
    types = var["feature_types"].value_counts(sort=False) if "feature_types" in var else pd.Series(dtype=int)
    if len(types) < 2:
        return None
    if EXPRESSION not in types.index:
        raise SourceError(
            f"{path} holds {', '.join(types.index)}, none of which is {EXPRESSION}",
            "Write the feature type you want as an .h5ad file.",
        )
    for name, n in types.items():
        if name != EXPRESSION:
            option = f"--modalities {shlex.quote(modality_of(str(name)))}"
            left_out[str(name)] = f"{n:,} features that are not {EXPRESSION}; {option} keeps them apart"
    return np.flatnonzero(var["feature_types"] == EXPRESSION)


def _note_droplets(path: Path, X: StoredMatrix) -> list[str]:
    """Say so where the file seems to hold every barcode and not the cells alone."""
    lengths = X.stored_by_cell()
    few = lengths is not None and len(lengths) > _MANY_BARCODES and bool(np.median(lengths) < _FEW_GENES)
    if not few and not path.name.startswith("raw_"):
        return []
    return [
        f"{X.shape[0]:,} barcodes: this looks like raw_feature_bc_matrix.h5, most of whose droplets are empty; "
        "filtered_feature_bc_matrix.h5 of the same run has the cells"
    ]


def _note_features(var: pd.DataFrame) -> list[str]:
    types = [str(kind) for kind in var["feature_types"].unique()] if "feature_types" in var else []
    return [f"the features are {types[0]}, not {EXPRESSION}"] if len(types) == 1 and types[0] != EXPRESSION else []


def _open_matrix(path: Path, group: Any, genome: str, budget: Budget) -> StoredMatrix:
    with reading(path, genome):
        n_genes, n_cells = (int(n) for n in _column(group["shape"], budget))
    return CSRMatrix(path, genome, (n_cells, n_genes), *open_vectors(path, group, genome, budget), budget.shelf)


def _attributes(file: h5py.File) -> dict[str, Any]:
    """Return what CellRanger notes about the file: chemistry, version, libraries."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return np.array([plain(v) for v in value.tolist()], dtype=object) if value.dtype.kind in "SO" else value
        return decode(value) if isinstance(value, bytes) else value

    return {name: plain(value) for name, value in file.attrs.items() if not isinstance(value, h5py.Empty)}
