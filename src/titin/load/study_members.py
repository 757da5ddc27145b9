"""The datasets that are trained on as one: each opened, and which of its cells and genes take part."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas, AtlasView, open_atlas
from titin.dataset import layout
from titin.errors import TitinError
from titin.masking import mask

Dataset = Atlas | AtlasView | str | PathLike[str]
NAME_EACH = 'name them: {"one": dataset, "other": dataset}'


class NamedGenes(NamedTuple):
    """Names of genes in var, and their symbols and ids."""

    names: pd.Index
    named: pd.DataFrame


@dataclass(frozen=True, eq=False)
class StudyMember:
    """A dataset of several.

    Attributes
    ----------
    atlas
        With all of its cells and genes.
    rows, columns
        Positions of the cells (ascending) and genes that take part; all where None.
    inner
        The studies that it is made of; empty where it is one.
    """

    atlas: Atlas
    rows: NDArray[np.int64] | None
    columns: NDArray[np.int64] | None
    inner: tuple[str, ...]

    @property
    def n_cells(self) -> int:
        """Number of the cells that take part."""
        return self.atlas.n_obs if self.rows is None else len(self.rows)

    def labels(self) -> NDArray[np.object_] | None:
        """Study of each cell, where there are several."""
        if not self.inner:
            return None
        column = self.atlas.roles["study"]
        labels: NDArray[np.object_] = self.atlas.cell_columns([column], self.rows)[column].astype(str).to_numpy(object)
        return labels

    def genes(self) -> NamedGenes:
        """The genes that take part, in the order of var."""
        axis = self.atlas.reader.genes
        named = pd.DataFrame({layout.GENE: axis.symbols, layout.GENE_IDS: axis.ids}, dtype=object)
        if self.columns is None:
            return NamedGenes(axis.index, named)
        return NamedGenes(axis.index[self.columns], named.iloc[self.columns].reset_index(drop=True))

    def var(self) -> pd.DataFrame:
        """Metadata of the genes that take part."""
        return self.atlas.var if self.columns is None else self.atlas.var.iloc[self.columns]

    def measured(self) -> dict[str, NDArray[np.bool_]]:
        """By study that it is made of (``""`` where these are not told apart), which of the genes it measured."""
        if not self.atlas.manifest.studies:
            return {}
        whole = self.atlas.measured
        own = whole if self.columns is None else whole.iloc[self.columns]
        by_study: dict[str, NDArray[np.bool_]] = {study: own[study].to_numpy(bool) for study in self.inner}
        by_all = np.logical_and.reduce(own.to_numpy(bool), axis=1)
        return by_study or {"": by_all}

    def table(self) -> pd.DataFrame:
        """Obs, rows in any order, without what has a place of its own in the whole: ages in years, and the study."""
        obs, derived = self.atlas.obs, set(self.atlas.cells.derived_names.values())
        gone = {*derived, *([self.atlas.roles["study"]] if self.inner else [])}
        return obs[[name for name in obs.columns if name not in gone]]

    def roles(self) -> dict[str, Any]:
        """Column of each role; of ``cell_type`` those that there are."""
        known = set(self.table().columns)
        return {
            role: [one for one in column if one in known] if isinstance(column, list) else
            column if column in known else None
            for role, column in self.atlas.roles.items() if role != "study"
        }  # fmt: skip

    def derived(self) -> pd.DataFrame:
        """Ages in years that titin has put beside obs, of the cells that take part, numbered from 0."""
        own = self.atlas.cells.derived
        return (own if self.rows is None else own.iloc[self.rows]).reset_index(drop=True)


def refuse_namesakes(names: Sequence[str]) -> None:
    """Refuse studies of one name.

    Raises
    ------
    TitinError
        If there are several.
    """
    name, n = Counter(names).most_common(1)[0]
    if n > 1:
        raise TitinError(f"{n} studies are called {name!r}", NAME_EACH)


def open_members(datasets: Mapping[str, Dataset] | Sequence[Dataset]) -> dict[str, StudyMember]:
    """The datasets by name."""
    if isinstance(datasets, str | PathLike) or not isinstance(datasets, Mapping | Sequence):
        raise TitinError("several datasets are a sequence, or a dict by name", NAME_EACH)
    given: list[Any] = list(datasets.values()) if isinstance(datasets, Mapping) else list(datasets)
    if len(given) < 2:
        raise TitinError("there are not two datasets", "give one dataset as such: titin.Loader(dataset)")
    members = [_member(one) for one in given]
    names = list(map(str, datasets)) if isinstance(datasets, Mapping) else [_name(one.atlas) for one in members]
    if not all(name.strip() for name in names):
        raise TitinError("a study has no name", NAME_EACH)
    refuse_namesakes(names)
    contents = Counter(_content(one.atlas) for one in members)
    same = [name for name, one in zip(names, members, strict=True) if contents[_content(one.atlas)] > 1]
    if same:
        raise TitinError(f"{' and '.join(same)} are one and the same", "give each dataset once")
    return dict(zip(names, members, strict=True))


def _member(dataset: Dataset) -> StudyMember:
    rows = columns = None
    if isinstance(dataset, AtlasView):
        rows, columns, atlas = dataset.rows, dataset.columns, dataset.atlas
    else:
        atlas = dataset if isinstance(dataset, Atlas) else open_atlas(dataset)
    if atlas.whole is not atlas:  # blocks are decoded with all of their genes
        names = atlas.var_names if columns is None else atlas.var_names[columns]
        atlas = atlas.whole
        columns = atlas.gene_positions(names.tolist())
    if rows is not None:
        rows = np.sort(np.asarray(rows, np.int64))
        if len(np.unique(rows)) != len(rows):
            raise TitinError(f"a part of {atlas.store.name} has a cell twice", "name each cell once")
    return StudyMember(atlas, rows, columns, _inner_studies(atlas))


def _inner_studies(atlas: Atlas) -> tuple[str, ...]:
    """The studies that a dataset is made of; none where its column is gone, or says what is none."""
    known, column = list(atlas.manifest.studies), str(atlas.manifest.roles.get("study"))
    if not known or column not in atlas.obs:
        return ()
    labels = set(atlas.cell_columns([column])[column].astype(str))
    return tuple(known) if labels <= set(known) else ()


def _name(atlas: Atlas) -> str:
    return Path(mask(atlas.store.name.rstrip("/"))).name


def _content(atlas: Atlas) -> tuple[str, ...]:
    """What is the same of two datasets that are one and the same."""
    manifest = atlas.manifest
    return tuple(str(manifest.files[name]["sha256"]) for name in manifest.shards(manifest.layout.expression))
