"""The two axes of a dataset: its cells and its genes, their names and where they stand."""

import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.atlas.orders import check_tokens, gene_order
from titin.atlas.selection import Positions, SelectionError, UnknownNameError, resolve
from titin.atlas.tables import decode, read_derived, read_obs, read_obs_names
from titin.dataset import layout
from titin.dataset.store import Store


class CellAxis:
    """Every cell in the dataset's order, with its metadata.

    Parameters
    ----------
    store
        Read when asked.

    Attributes
    ----------
    chosen
        bool a cell: those that analyses are to take, all where None; the matrix is all the same.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.chosen: NDArray[np.bool_] | None = None

    @cached_property
    def obs(self) -> pd.DataFrame:
        """Metadata of the cells; whoever has it may have brought it into another order, or put another in its place."""
        obs = read_obs(self.store)
        for stored, name in self.derived_names.items():
            obs[name] = self.derived[stored].array
        if "names" in self.__dict__:
            obs.index = self.names  # one Index for both, which equals itself without a look at the names
        self.__dict__["names"] = obs.index
        return obs

    @cached_property
    def derived(self) -> pd.DataFrame:
        """What titin has added to the table of cells, under its own names, in the dataset's order."""
        return read_derived(self.store)

    @property
    def derived_names(self) -> dict[str, str]:
        """Name in `obs` of each derived column: its own, or ``titin_…`` where the source has a column of that name."""
        manifest = self.store.manifest
        taken = {record["name"] for record in manifest.obs["columns"][1:]}
        return {name: _free_name(name, taken) for name in manifest.derived}

    @cached_property
    def names(self) -> pd.Index:
        """Names of the cells, in the dataset's order."""
        return read_obs_names(self.store)

    def columns(self, names: str | Sequence[str] | None, cells: Any) -> pd.DataFrame:
        """Columns of `obs` in the dataset's order; see `Atlas.cell_columns`."""
        return _ordered_columns(self.obs, self.names, names, self.find(cells))

    def check_index(self, labels: Any) -> None:
        """Refuse a Series that is numbered from 0 while `obs` has lost the names of its cells: it may come from there.

        Raises
        ------
        SelectionError
            If it is one; see `Atlas.cell_columns`.
        """
        if isinstance(labels, pd.Series) and isinstance(labels.index, pd.RangeIndex) and "obs" in self.__dict__:
            _rows_of_cells(self.obs, self.names)

    def find(self, cells: Any) -> Positions | None:
        """Positions of cells given by slice, positions, mask or names, in that order; None for all of them.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        self.check_index(cells)
        n_cells = self.store.manifest.n_cells
        return resolve(cells, n_cells, "cell", lambda: self.names, lambda names: _find_cells(names, self.names))

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "chosen": self.chosen}


def _free_name(name: str, taken: Collection[Any]) -> str:
    return _free_name(f"titin_{name}", taken) if name in taken else name


def _find_cells(names: Sequence[Any], index: pd.Index) -> Positions:
    """Positions of cells by name.

    Raises
    ------
    UnknownNameError
        Naming the first that is not there.
    """
    places = index.get_indexer(pd.Index(names, dtype=object if len(names) == 0 else None))
    missing = np.flatnonzero(places < 0)
    if len(missing):
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise UnknownNameError(
            f"the dataset has no cell {names[missing[0]]!r}{more}", "cells are named as in atlas.obs_names"
        )
    return places.astype(np.int64)


def _ordered_columns(
    obs: pd.DataFrame, cells: pd.Index, names: str | Sequence[str] | None, wanted: Positions | None
) -> pd.DataFrame:
    """Columns of a table of cells, which may have been reordered, by positions in the dataset.

    Parameters
    ----------
    obs
        One row a cell, in any order.
    cells
        Names of all cells, in the dataset's order.
    names
        Columns; all where not given.
    wanted
        Positions in the dataset of the cells wanted; all where not given.

    Raises
    ------
    UnknownNameError
        If there is no such column.
    SelectionError
        If the index of ``obs`` lacks the name of a wanted cell.
    """
    columns = list(obs.columns) if names is None else [names] if isinstance(names, str) else list(names)
    unknown = [name for name in columns if name not in obs.columns]
    if unknown:
        known = ", ".join(map(str, obs.columns))
        raise UnknownNameError(f"obs has no column {unknown[0]!r}", f"columns of obs: {known or 'none'}")
    rows = _rows_of_cells(obs, cells, wanted)
    table = obs.loc[:, columns]
    return table if rows is None else table.take(rows)


def _rows_of_cells(obs: pd.DataFrame, cells: pd.Index, wanted: Positions | None = None) -> Positions | None:
    """Row of ``obs`` of each wanted cell, as for `_ordered_columns`; None for all rows as they are.

    Raises
    ------
    SelectionError
        If the index of ``obs`` lacks the name of a wanted cell.
    """
    if obs.index.equals(cells):
        return wanted
    names = cells if wanted is None else cells[wanted]
    rows = obs.index.get_indexer(names) if obs.index.is_unique else np.full(len(names), -1)
    lost = int((rows < 0).sum())
    if lost:
        raise SelectionError(
            f"it cannot be told which cells the rows of atlas.obs are of: of {len(names):,} cells asked for, {lost:,} "
            "are not once in its index, which was reset or changed, or rows were dropped",
            "change a copy (atlas.obs.copy()), and choose cells by cells=…; to restore obs, open the dataset again",
        )
    return rows.astype(np.int64)


class GeneAxis:
    """Every gene in the source's order, found by name in var, symbol or id.

    Parameters
    ----------
    store
        Read once, here.

    Attributes
    ----------
    index
        As that of var.
    token
        int64, the token of each gene.
    symbols, ids
        Of each gene; a symbol may be that of several.
    n_cells, mean
        Cells that express it (int64); mean of the source's values over all cells (float64).
    """

    def __init__(self, store: Store) -> None:
        record = store.manifest.var["columns"][0]
        index = record["column"]
        file = store.manifest.layout.feature_metadata
        detection = store.manifest.layout.detection
        columns = [layout.GENE, layout.GENE_IDS, layout.TOKEN, layout.SOURCE_COLUMN, layout.N_CELLS, layout.MEAN]
        table = store.table(file, list(dict.fromkeys([*columns, index])))
        check_tokens(store, file, store.numbers(file, layout.TOKEN, pa.int32(), table.column(layout.TOKEN)))
        self.token: NDArray[np.int64] = gene_order(store, table)
        n_cells = table.column(layout.N_CELLS) if detection == file else store.column(detection, layout.N_CELLS)
        table = table.take(self.token)
        self.n_cells: NDArray[np.int64] = store.numbers(
            detection, layout.N_CELLS, pa.int64(), n_cells, least=0, most=store.manifest.n_cells
        )[self.token]
        self.mean: NDArray[np.float64] = store.numbers(file, layout.MEAN, pa.float64(), table.column(layout.MEAN))
        self.index = decode(store, file, table, [record]).index
        self.symbols: list[str] = store.texts(file, layout.GENE, table.column(layout.GENE))
        self.ids: list[str] = store.texts(file, layout.GENE_IDS, table.column(layout.GENE_IDS))
        self._finder: GeneFinder | None = None

    def __len__(self) -> int:
        return len(self.token)

    @property
    def names(self) -> pd.Index:
        """Names of the genes, in the source's order."""
        return self.index

    def find(self, genes: Any) -> Positions | None:
        """Positions of genes given by slice, positions, mask or names, in that order; None for all of them.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        return resolve(genes, len(self), "gene", lambda: self.index, lambda names: self.finder.find_all(names))

    def main(self, names: Iterable[str]) -> dict[str, int]:
        """Position of each gene that is there; of several genes of one symbol, of that which most cells express."""
        places = {name: self.finder.places(name) for name in names}
        return {name: min(found, key=self.token.__getitem__) for name, found in places.items() if found}

    @property
    def finder(self) -> "GeneFinder":
        """Finds genes by name; made when first used."""
        if self._finder is None:
            self._finder = GeneFinder(self.symbols, self.ids, self.index.tolist())
        return self._finder


class Chosen:
    """The cells or genes of an axis, or some of them, in an order of their own.

    Parameters
    ----------
    axis
        Gives the axis, which is read then.
    n
        How many the axis has.
    positions
        Of those that are chosen; None for all.
    what
        ``cell`` or ``gene``, for messages.
    """

    def __init__(self, axis: Callable[[], CellAxis | GeneAxis], n: int, positions: Positions | None, what: str) -> None:
        self._axis, self._n, self._positions, self._what = axis, n, positions, what

    def __len__(self) -> int:
        return self._n if self._positions is None else len(self._positions)

    @property
    def names(self) -> pd.Index:
        """Their names."""
        names = self._axis().names
        return names if self._positions is None else names[self._positions]

    def find(self, selector: Any) -> Positions | None:
        """Positions on the axis of those that a selector means among these, in its order; None for all of the axis.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not here.
        """
        if selector is None or (isinstance(selector, slice) and selector == slice(None)):
            return self._positions
        if self._positions is None:
            return self._axis().find(selector)
        places = resolve(selector, len(self), self._what, lambda: self.names, self._places)
        return self._positions if places is None else self._positions[places]

    def _places(self, names: Sequence[Any]) -> Positions:
        """Where, among those chosen, some names stand; of one that was chosen several times, the first place."""
        wanted, chosen = self._axis().find(list(names)), self._positions
        if chosen is None or wanted is None:
            return np.arange(len(self))
        order = np.argsort(chosen, kind="stable")
        at = np.searchsorted(chosen[order], wanted)
        found = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(wanted), np.int64)
        lost = np.flatnonzero(chosen[found] != wanted) if len(order) else np.arange(len(wanted))
        if len(lost):
            said = f"the {self._what} {names[lost[0]]!r} is not among those chosen"
            raise UnknownNameError(said, "choose it as well")
        return found


class GeneFinder:
    """Finds the position of a gene by its name in var, else by symbol, else by id.

    Parameters
    ----------
    symbols, ids
        Of all genes, in order.
    names
        Their names in var; the symbols where not given.
    """

    def __init__(self, symbols: Sequence[str], ids: Sequence[str], names: Sequence[str] | None = None) -> None:
        self._ids = ids
        self._by_symbol: dict[str, list[int]] = {}
        for i, symbol in enumerate(symbols):
            self._by_symbol.setdefault(symbol, []).append(i)
        self._by_id = {name: i for i, name in enumerate(ids)}
        self._by_name = {} if names is None else {name: i for i, name in enumerate(names)}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.places(name))

    def find(self, name: str) -> int:
        """Position of one gene.

        Raises
        ------
        UnknownNameError
            With the nearest names if it is not there, or with the ids if several genes share the symbol.
        """
        places = self.places(name)
        if not places:
            raise UnknownNameError(f"the dataset has no gene {name!r}", self._hint(name))
        if len(places) > 1:
            ids = ", ".join(str(self._ids[i]) for i in places)
            raise UnknownNameError(f"{len(places)} genes have the symbol {name!r}", f"name one by its id: {ids}")
        return places[0]

    def find_all(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Position of each gene, in the order asked for.

        Raises
        ------
        UnknownNameError
            As `find`, for the first that cannot be found.
        """
        return np.array([self.find(name) for name in names], np.int64)

    def places(self, name: str) -> list[int]:
        """Positions of all genes that a name may mean."""
        if name in self._by_name:
            return [self._by_name[name]]
        return self._by_symbol.get(name) or ([self._by_id[name]] if name in self._by_id else [])

    def _hint(self, name: object) -> str:
        known = [*self._by_name, *self._by_symbol, *self._by_id]
        text = str(name)
        near = [k for k in known if k.casefold() == text.casefold()] or difflib.get_close_matches(text, known, 3, 0.6)
        distinct = list(dict.fromkeys(near))[:3]
        return f"did you mean {', '.join(distinct)}?" if distinct else "give symbols or ids as in atlas.var"
