"""MuData in HDF5 (.h5mu): the modality of genes as X, the others beside it where they are of the same cells."""

import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import pandas as pd

from titin.dataset.manifest import MODALITIES
from titin.errors import SourceError
from titin.source.anndata_layout import open_anndata
from titin.source.base import Source
from titin.source.budget import Budget
from titin.source.choice import Choice
from titin.source.gaps import Gaps
from titin.source.inventory import Inventory
from titin.source.reading import is_group, members, reading
from titin.source.tables import read_table

_OF_GENES = ("rna", "gex", "gene_expression")  # what modalities of genes are called, the most usual first
_TOGETHER = "of all modalities together; not kept"


def is_h5mu(file: h5py.File) -> bool:
    """Whether an HDF5 file has the layout of MuData."""
    names = members(file)
    return "mod" in names and "X" not in names and is_group(file["mod"]) and bool(members(file["mod"]))


def open_h5mu(inventory: Inventory, file: h5py.File, gaps: Gaps, choice: Choice, budget: Budget) -> Source:
    """Open MuData in an HDF5 file that is open already; closing the source closes it.

    The cells are those of the modality of genes, whose obs also has the columns that the file keeps for all modalities.

    Raises
    ------
    SourceError
        If no modality is one of genes, or one that was asked for is not there or of other cells.
    """
    path = inventory.path
    modalities = members(file["mod"])
    genes = _of_genes(path, modalities)
    others = [name for name in modalities if name != genes]
    of_genes = replace(choice, obs=None, no_obs=(), modalities=())
    source = _open(inventory, file, genes, gaps, of_genes, budget, file.close)
    obs = _with_common_columns(source, file, modalities, budget, gaps)
    kept = choice.columns(path, [str(name) for name in obs.columns], source.left_out)
    source.obs, source.skipped_obs = obs[kept], partial(obs.drop, columns=kept)
    for part in source.parts.values():
        part.obs = source.obs
    asked = choice.other_modalities(path, others)
    for name in others:
        if name in asked:
            _add(source, name, _open(inventory, file, name, gaps, Choice(make_unique=choice.make_unique), budget))
        else:
            source.left_out[f"{MODALITIES}{name}"] = f"--modalities {shlex.quote(name)} keeps it"
    _note_common(file, modalities, source.left_out)
    return source


def _of_genes(path: Path, modalities: list[str]) -> str:
    known = {name.lower(): name for name in modalities}
    found = [known[name] for name in _OF_GENES if name in known]
    if not found and len(modalities) > 1:
        raise SourceError(
            f"{path} has the modalities {', '.join(modalities)}, none of which is called rna",
            "Call that of the genes rna: mdata.mod['rna'] = mdata.mod.pop(...), or write it as an .h5ad file.",
        )
    return found[0] if found else modalities[0]


def _open(
    inventory: Inventory, file: h5py.File, name: str, gaps: Gaps, choice: Choice, budget: Budget, release: Any = None
) -> Source:
    place = f"{MODALITIES}{name}"
    return open_anndata(inventory, "h5mu", file["mod"][name], gaps.below(place), choice=choice, budget=budget,
                        release=release, place=place)  # fmt: skip


def _with_common_columns(
    source: Source, file: h5py.File, modalities: list[str], budget: Budget, gaps: Gaps
) -> pd.DataFrame:
    """Obs of the modality of genes, and the columns for all modalities; copies of columns of one are passed over."""
    obs = source.obs
    if "obs" not in members(file):
        return obs
    starts = tuple(f"{name}:" for name in modalities)

    def chosen(names: list[str]) -> list[str]:
        return [name for name in names if name not in obs.columns and not name.startswith(starts)]

    common = read_table(source.path, file["obs"], "obs", budget.anew(), source.notes, chosen, gaps)
    if not common.index.is_unique or not obs.index.isin(common.index).all():
        source.left_out |= {f"obs/{name}": "of other cells than the genes are" for name in common.columns}
        return obs
    return pd.concat([obs, common.loc[obs.index]], axis=1)


def _add(source: Source, name: str, other: Source) -> None:
    """Keep another modality, whose cells have to be those of the genes."""
    place = f"{MODALITIES}{name}"
    if not other.obs.index.equals(source.obs.index):
        same = set(other.obs.index) == set(source.obs.index)
        raise SourceError(
            f"{source.path}: {place} has {'the cells of the genes in another order' if same else 'other cells'}",
            "Keep the cells that all have, in one order: muon.pp.intersect_obs(mdata).",
        )
    other.X.name = f"{place}/X"
    source.parts[place] = source.with_matrix(
        other.X, counts=other.counts, var=other.var, notes=other.notes, genes=None, symbols=other.symbols,
        own_names=other.own_names,
    )  # fmt: skip
    tables = {"obs": list(other.obs.columns), "obsm": list(other.obsm), "uns": list(other.uns)}
    lost = {f"{part}/{key}": "of one modality alone; not kept" for part, keys in tables.items() for key in keys}
    source.left_out |= {f"{place}/{key}": reason for key, reason in (lost | other.left_out).items()}


def _note_common(file: h5py.File, modalities: list[str], left_out: dict[str, str]) -> None:
    """Name what the file holds of all modalities together, but for what says which cells are in which."""
    for part in ("obsm", "varm", "obsp", "varp", "uns"):
        if part not in members(file) or not is_group(file[part]):
            continue
        with reading(Path(file.filename), part):
            for key in members(file[part]):
                if key not in modalities:
                    left_out[f"{part}/{key} of all"] = _TOGETHER
