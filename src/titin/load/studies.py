"""Several datasets as one to train on: their genes matched, their columns of obs aligned, and nothing copied."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas import Atlas
from titin.atlas.axes import GeneFinder
from titin.atlas.selection import Positions, UnknownNameError, resolve
from titin.dataset import layout
from titin.errors import TitinError
from titin.load import kernels as _kernels
from titin.load.loads import LoadedDataset, columns_of_tokens, mode_of
from titin.load.study_members import Dataset, open_members, refuse_namesakes
from titin.study.alignment import Alignment, align, free_name
from titin.study.design import Study
from titin.study.gene_aliases import GeneAliases, aliases_of_var, read_gene_aliases
from titin.study.gene_matching import MatchedGenes, match_genes
from titin.study.joined_columns import join_columns
from titin.study.merged_roles import age_units, merge_roles

STUDY = "study"


class Studies:
    """Several datasets as one to train on; only what is asked for is read, and nothing is copied.

    Genes are matched as `titin.merge` matches them: by stable id, whatever its version, else by symbol or alias.
    Columns of obs are one if they have one name or one role, and values of one kind; labels have the categories of all.
    Donors and samples that studies call alike are different ones. The cells of one dataset come after those of another;
    positions count over all.

    Parameters
    ----------
    datasets
        Two at least: folders, URLs, `titin.Atlas`, or parts of one (``atlas[cells, genes]``); by name, or as a
        sequence, where each is called after its folder. The studies of a dataset that is made of several are each a
        study.
    join
        ``inner`` for the genes that all studies measured, ``outer`` for those of any: `measured` then says which study
        measured which, as a zero of a gene that was not measured says nothing.
    gene_aliases
        Table of other names of genes, as for `titin.merge`.

    Attributes
    ----------
    studies
        Names of the studies.
    measured
        DataFrame of bool, genes × studies.
    roles
        Column of `obs` of each role, a list for ``cell_type``; the role ``study`` has a column of the study's name.
    notes
        What people should know of the genes and columns that could not be matched.

    Raises
    ------
    TitinError
        If there are not two datasets, two studies have one name, a dataset comes twice, or no gene is in all studies.

    Examples
    --------
    >>> studies = Studies({"Lund": "lund", "Kiel": "kiel"}, join="outer")  # doctest: +SKIP
    >>> splitter = LeaveOneDonorOut.from_atlas(studies)  # doctest: +SKIP
    >>> for train, test in splitter.split():  # doctest: +SKIP
    ...     loader = titin.Loader(studies, cells=train, weights="equal")
    """

    def __init__(
        self, datasets: Mapping[str, Dataset] | Sequence[Dataset], join: Literal["inner", "outer"] = "inner", *,
        gene_aliases: str | PathLike[str] | None = None,
    ) -> None:  # fmt: skip
        if join not in ("inner", "outer"):
            raise TitinError(f"genes cannot be joined by {join!r}", "give inner or outer")
        self.join = join
        self._members = open_members(datasets)
        self._firsts = np.cumsum([0, *(member.n_cells for member in self._members.values())])
        self.studies, self._study_codes = self._find_studies()
        aliases = None if gene_aliases is None else read_gene_aliases(Path(gene_aliases))
        self._genes, self.measured = self._match(aliases)
        self._alignment, self._study_column, self.roles, self._made, notes = self._align()
        self.notes = [*self._genes.notes, *self._alignment.notes, *notes]
        self.cells = _JointCells(self._derived())

    def __repr__(self) -> str:
        return f"Studies {', '.join(self.studies)}: {self.n_obs:,} cells × {self.n_vars:,} genes ({self.join})"

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return int(self._firsts[-1])

    @property
    def n_vars(self) -> int:
        """Number of genes."""
        return len(self._genes.names)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self.n_obs, self.n_vars

    @cached_property
    def obs_names(self) -> pd.Index:
        """Names of the cells; with that of their study at the end, where two studies have names in common."""
        own = [member.atlas.obs_names if member.rows is None else member.atlas.obs_names[member.rows]
               for member in self._members.values()]  # fmt: skip
        names = pd.Index(np.concatenate([one.astype(str).to_numpy(object) for one in own]), dtype=object)
        if not names.is_unique:
            studies = np.array(self.studies, object)[self._study_codes]
            names = pd.Index(names.to_numpy(object) + "-" + studies, dtype=object)
        named: pd.Index = names.rename(own[0].name)
        return named

    @cached_property
    def var_names(self) -> pd.Index:
        """Names of the genes: of each as the first study calls it that measured it."""
        return pd.Index(self._genes.names, dtype=object)

    @property
    def var(self) -> pd.DataFrame:
        """Symbol (``gene``) and stable id (``gene_ids``) of each gene."""
        return self._genes.genes.set_axis(self.var_names, axis=0)

    @cached_property
    def obs(self) -> pd.DataFrame:
        """Metadata of all cells; what a study has not is missing."""
        return self.cell_columns()

    @property
    def column_names(self) -> list[str]:
        """Names of the columns of `obs`."""
        names = [*self._alignment.groups, *self._made, *self.cells.derived_names.values()]
        return [*dict.fromkeys(names), self._study_column]

    def cell_columns(self, names: str | Sequence[str] | None = None, cells: Any = None) -> pd.DataFrame:
        """Columns of `obs`, of all cells or of some; see `titin.Atlas.cell_columns`.

        Raises
        ------
        UnknownNameError
            If there is no such column.
        SelectionError
            If ``cells`` says what is no cell.
        """
        wanted = self.column_names if names is None else [names] if isinstance(names, str) else list(names)
        if unknown := [name for name in wanted if name not in self.column_names]:
            known = ", ".join(self.column_names)
            raise UnknownNameError(f"no study's obs has a column {unknown[0]!r}", f"columns: {known}")
        table = pd.DataFrame({name: self._column(name) for name in wanted}, index=range(self.n_obs))
        table = table.set_axis(self.obs_names, axis=0)
        return table if cells is None else table.take(self.cell_positions(cells))

    def cell_positions(self, cells: Any = None) -> Positions:
        """Positions (int64) of cells given by slice, positions, mask or names, in that order.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        found = resolve(cells, self.n_obs, "cell", lambda: self.obs_names, self._find_cells)
        return np.arange(self.n_obs) if found is None else found

    def gene_positions(self, genes: Any = None) -> Positions:
        """Positions (int64) of genes given by slice, positions, mask or names (as in var, symbols or ids).

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        found = resolve(genes, self.n_vars, "gene", lambda: self.var_names, self._finder.find_all)
        return np.arange(self.n_vars) if found is None else found

    def refuse_unlike(self, column: str) -> None:
        """Refuse a column that is not one over all studies, though several have one of that name or role.

        Raises
        ------
        TitinError
            If it is one.
        """
        why = self._alignment.unlike.get(column)
        if why:
            raise TitinError(
                f"obs column {column!r} is not one over all studies: {why}",
                "give that column values of one kind in all of the datasets, or leave it out of obs=",
            )

    def datasets(self, values: str, genes: NDArray[np.int64]) -> list[LoadedDataset]:
        """The datasets for a loader that hands out some genes.

        Parameters
        ----------
        values
            As for `titin.Loader`.
        genes
            Positions of the genes, each once, in the order of the columns.

        Raises
        ------
        TitinError
            If there are no such values in one of the datasets, or they are of different kinds.
        """
        modes = {name: mode_of(member.atlas.manifest, values) for name, member in self._members.items()}
        if values != "counts":
            self._refuse_unlike_values(modes)
        column = np.full(self.n_vars, -1, np.int32)
        column[genes] = np.arange(len(genes), dtype=np.int32)
        found = []
        for (name, member), first in zip(self._members.items(), self._firsts[:-1].tolist(), strict=True):
            places = self._genes.places[name]
            measured = np.flatnonzero(places >= 0)
            own = np.full(member.atlas.n_vars, -1, np.int32)
            at = places[measured] if member.columns is None else member.columns[places[measured]]
            own[at] = column[measured]
            found.append(
                LoadedDataset(member.atlas, columns_of_tokens(member.atlas, own), modes[name], first, member.rows)
            )
        return found

    def blocks(self, block_cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Dataset of each cell (int64), and which run of so many neighbouring cells of a dataset it is in (int64)."""
        dataset = np.repeat(np.arange(len(self._members)), np.diff(self._firsts))
        runs, first = [], 0
        for member in self._members.values():
            rows = np.arange(member.n_cells) if member.rows is None else member.rows
            runs.append(first + rows // block_cells)
            first += member.atlas.n_obs // block_cells + 1
        return dataset, np.concatenate(runs)

    def _refuse_unlike_values(self, modes: Mapping[str, int]) -> None:
        kinds = {name: str(member.atlas.manifest.value_kind) for name, member in self._members.items()}
        alike = {"lognorm of counts" if modes[name] == _kernels.LOGNORM else kind for name, kind in kinds.items()}
        if len(alike) > 1:
            said = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
            raise TitinError(
                f"the values of the studies are of different kinds: {said}",
                'values="counts" hands out the integer counts of all, where all have them',
            )

    def _find_studies(self) -> tuple[list[str], NDArray[np.int64]]:
        """Names of the studies, and which each cell is of."""
        names, codes = list[str](), list[NDArray[np.int64]]()
        for name, member in self._members.items():
            own = list(member.inner) or [name]
            labels = member.labels()
            codes.append(len(names) + (np.zeros(member.n_cells, np.int64) if labels is None
                                       else pd.Index(own).get_indexer(pd.Index(labels)).astype(np.int64)))  # fmt: skip
            names += own
        refuse_namesakes(names)
        return names, np.concatenate(codes)

    def _match(self, aliases: GeneAliases | None) -> tuple[MatchedGenes, pd.DataFrame]:
        """The genes, and which study measured which."""
        own = {name: member.genes() for name, member in self._members.items()}
        of_var = aliases_of_var((member.var(), own[name].named) for name, member in self._members.items())
        matched = match_genes(own, self.join, aliases=[known for known in (aliases, of_var) if known])
        columns = {}
        for name, member in self._members.items():
            places = matched.places[name]
            for study, known in (member.measured() or {name: np.ones(len(own[name].names), bool)}).items():
                columns[study or name] = (places >= 0) & known[places]
        measured = pd.DataFrame(columns, index=pd.Index(matched.names, dtype=object))
        kept = measured.all(axis=1).to_numpy() if self.join == "inner" else np.ones(len(measured), bool)
        if not kept.any():
            raise TitinError(f"no gene was measured by all of {', '.join(columns)}", 'take join="outer"')
        if not kept.all():
            matched.notes.append(f"{int((~kept).sum()):,} genes were not measured by all studies and are left out")
            matched.names = [name for name, own in zip(matched.names, kept, strict=True) if own]
            matched.genes = matched.genes[kept].reset_index(drop=True)
            matched.places = {name: places[kept] for name, places in matched.places.items()}
        return matched, measured[kept]

    def _align(self) -> tuple[Alignment, str, dict[str, Any], dict[str, pd.Series], list[str]]:
        """Which columns are one, the column of the study, roles, columns made of several, and notes."""
        tables = {name: member.table() for name, member in self._members.items()}
        units = age_units(member.atlas.manifest.derived for member in self._members.values())
        roles = merge_roles({name: member.roles() for name, member in self._members.items()}, units)
        alignment = align(tables, "obs", roles.renamed)
        self._alignment = alignment
        named = {column for column in (roles.columns["donor"], roles.columns["sample"]) if column in alignment.groups}
        sizes = {name: member.n_cells for name, member in self._members.items()}
        made = roles.made(sizes, {name: self._aligned(name) for name in named})
        study = free_name(STUDY, [*alignment.groups, *made])
        roles.finish(study, alignment)
        return alignment, study, roles.columns, made, roles.notes

    def _column(self, name: str) -> pd.Series:
        """A column of all cells, numbered from 0."""
        if name == self._study_column:
            return pd.Series(pd.Categorical.from_codes(self._study_codes, pd.Index(self.studies, dtype=object)))
        if name in self._made:
            return self._made[name]
        stored = {shown: own for own, shown in self.cells.derived_names.items()}
        return self.cells.derived[stored[name]] if name in stored else self._aligned(name)

    def _aligned(self, name: str) -> pd.Series:
        own = self._alignment.groups[name]
        return join_columns([
            member.atlas.cell_columns([own[of]], member.rows)[own[of]] if of in own else member.n_cells
            for of, member in self._members.items()
        ])  # fmt: skip

    def _derived(self) -> tuple[pd.DataFrame, dict[str, str]]:
        """Ages in years that titin has put beside obs, of all cells, and what they are called in obs."""
        own = {name: member.derived() for name, member in self._members.items()}
        columns = list(dict.fromkeys(column for table in own.values() for column in table.columns))
        joined = {
            column: join_columns([table[column] if column in table else len(table) for table in own.values()])
            for column in columns
        }
        taken = [*self._alignment.groups, *self._made]
        names = {column: column if column not in taken else free_name(f"titin_{column}", taken) for column in columns}
        return pd.DataFrame(joined, index=range(self.n_obs)), names

    def _find_cells(self, names: Sequence[Any]) -> Positions:
        places = self.obs_names.get_indexer(pd.Index(names, dtype=object))
        lost = np.flatnonzero(places < 0)
        if len(lost):
            raise UnknownNameError(f"no study has a cell {names[lost[0]]!r}", "cells are named as in studies.obs_names")
        return places.astype(np.int64)

    @cached_property
    def _finder(self) -> GeneFinder:
        genes = self._genes.genes
        return GeneFinder(genes[layout.GENE].tolist(), genes[layout.GENE_IDS].tolist(), self._genes.names)


def study_of(atlas: Atlas | Studies) -> Study:
    """Cells and donors of a dataset, or of several as one."""
    if isinstance(atlas, Atlas):
        return Study.of(atlas)
    return Study(atlas.obs, atlas.roles, atlas.cells.derived)


class _JointCells:
    """Ages in years that titin has put beside obs, of the cells of all datasets, and their names in obs."""

    def __init__(self, derived: tuple[pd.DataFrame, dict[str, str]]) -> None:
        self.derived, self.derived_names = derived
