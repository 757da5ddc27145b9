"""The genes of a dataset: their names, and where they stand."""

import difflib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.selection import UnknownNameError
from titin.dataset import layout
from titin.dataset.store import Store
from titin.dataset.tables import decode_values


class Genes:
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
    n_cells, mean
        Cells that express it (int64); mean of the source's values over all cells (float64).
    """

    def __init__(self, store: Store) -> None:
        record = store.manifest.var["columns"][0]
        index = record["column"]
        columns = [layout.GENE, layout.GENE_IDS, layout.SOURCE_COLUMN, layout.N_CELLS, layout.MEAN]
        table = store.table(store.manifest.layout.feature_metadata, list(dict.fromkeys([*columns, index])))
        self.token: NDArray[np.int64] = np.argsort(table.column(layout.SOURCE_COLUMN).to_numpy())
        table = table.take(self.token)
        self.n_cells: NDArray[np.int64] = table.column(layout.N_CELLS).to_numpy()
        self.mean: NDArray[np.float64] = table.column(layout.MEAN).to_numpy()
        names = decode_values(table.column(index), record)
        self.index = pd.Index(names, dtype=names.dtype, name=record["name"])
        self._symbols: list[str] = table.column(layout.GENE).to_pylist()
        self._ids: list[str] = table.column(layout.GENE_IDS).to_pylist()
        self._finder: GeneFinder | None = None

    def __len__(self) -> int:
        return len(self.token)

    @property
    def finder(self) -> "GeneFinder":
        """Finds genes by name; made when first used."""
        if self._finder is None:
            self._finder = GeneFinder(self._symbols, self._ids, self.index.tolist())
        return self._finder


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
        return isinstance(name, str) and bool(self._places(name))

    def find(self, name: str) -> int:
        """Position of one gene.

        Raises
        ------
        UnknownNameError
            With the nearest names if it is not there, or with the ids if several genes share the symbol.
        """
        places = self._places(name)
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

    def _places(self, name: str) -> list[int]:
        if name in self._by_name:
            return [self._by_name[name]]
        return self._by_symbol.get(name) or ([self._by_id[name]] if name in self._by_id else [])

    def _hint(self, name: object) -> str:
        known = [*self._by_name, *self._by_symbol, *self._by_id]
        text = str(name)
        near = [k for k in known if k.casefold() == text.casefold()] or difflib.get_close_matches(text, known, 3, 0.6)
        distinct = list(dict.fromkeys(near))[:3]
        return f"did you mean {', '.join(distinct)}?" if distinct else "give symbols or ids as in atlas.var"
