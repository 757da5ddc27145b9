"""``expression.loc`` and ``expression.iloc``: cells and genes by name, or by position."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.atlas.axes import CellAxis
from titin.atlas.display import some
from titin.atlas.kernels import scatter_rows
from titin.atlas.matrix import MatrixReader
from titin.atlas.selection import Positions, SelectionError, UnknownNameError, check_memory, check_once, resolve
from titin.atlas.statistics import ExpressionGroups, Question, Statistics

if TYPE_CHECKING:
    from scipy import sparse


class Indexer(ABC):
    """What ``loc`` and ``iloc`` share: two keys to a value, a Series, or a smaller Expression."""

    def __init__(self, expression: "Expression") -> None:
        self._expression = expression

    def __getitem__(self, key: Any) -> Any:
        """Select cells, or cells and genes.

        Returns
        -------
        Expression
            For several cells and genes; still nothing is read.
        Series
            For one cell (index: genes) or one gene (index: cells).
        number
            For one of each.

        Raises
        ------
        SelectionError, UnknownNameError
            If the selection names what is not there.
        """
        rows, columns = key if isinstance(key, tuple) and len(key) == 2 else (key, slice(None))
        if isinstance(rows, tuple):
            raise SelectionError(f"there are 2 dimensions, not {len(rows)}", "select cells, genes")
        self._expression.cells.check_index(rows)
        row, column = self._one(rows, 0), self._one(columns, 1)
        chosen = self._expression.select(
            self._several(rows, 0) if row is None else np.array([row]),
            self._several(columns, 1) if column is None else np.array([column]),
        )
        if row is None and column is None:
            return chosen
        values = chosen.to_frame()
        if row is not None and column is not None:
            return values.to_numpy()[0, 0]
        return values.iloc[0] if row is not None else values.iloc[:, 0]

    @abstractmethod
    def _one(self, key: Any, axis: int) -> int | None:
        """Position of the one cell or gene that a key names; None if it may name several."""

    @abstractmethod
    def _several(self, key: Any, axis: int) -> Positions | None:
        """Positions that a key selects; None for all."""

    def _names(self, axis: int) -> pd.Index:
        return self._expression.columns if axis else self._expression.index


class ByPosition(Indexer):
    """``expression.iloc``."""

    def _one(self, key: Any, axis: int) -> int | None:
        if isinstance(key, int | np.integer) and not isinstance(key, bool | np.bool_):
            positions = self._several(key, axis)
            return None if positions is None else int(positions[0])
        return None

    def _several(self, key: Any, axis: int) -> Positions | None:
        def refuse(names: Any) -> Positions:
            raise SelectionError(f"iloc goes by position, not by {names[0]!r}", "use loc for names")

        return resolve(key, self._expression.shape[axis], _WHAT[axis], lambda: self._names(axis), refuse)


class ByName(Indexer):
    """``expression.loc``."""

    def _one(self, key: Any, axis: int) -> int | None:
        if not isinstance(key, str):
            return None
        positions = self._find([key], axis)
        return int(positions[0]) if len(positions) == 1 else None

    def _several(self, key: Any, axis: int) -> Positions | None:
        if isinstance(key, slice) and key != slice(None):
            return self._slice(key, axis)
        return resolve(
            _no_numbers(key), self._expression.shape[axis], _WHAT[axis], lambda: self._names(axis),
            lambda names: self._find(names, axis),
        )  # fmt: skip

    def _slice(self, key: slice, axis: int) -> Positions:
        """From one name to another, the last included."""
        names = self._names(axis)
        ends = [None if name is None else int(self._find([name], axis)[0]) for name in (key.start, key.stop)]
        stop = None if ends[1] is None else ends[1] + 1
        return np.arange(len(names))[ends[0] : stop : key.step]

    def _find(self, names: Any, axis: int) -> Positions:
        return self._expression.find_columns(names) if axis else self._find_rows(names)

    def _find_rows(self, names: Any) -> Positions:
        found = self._names(0).get_indexer_for(pd.Index(names, dtype=object if len(names) == 0 else None))
        missing = np.flatnonzero(found < 0)
        if len(missing):
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            shown = names[missing[0]] if len(found) == len(names) else next(n for n in names if n not in self._names(0))
            raise UnknownNameError(f"there is no cell {shown!r} here{more}", "cells are named as in expression.index")
        return found.astype(np.int64)


_WHAT = ("cell", "gene")


def _no_numbers(key: Any) -> Any:
    """Refuse positions where names are meant."""
    values = key if isinstance(key, np.ndarray | pd.Series | pd.Index) else None
    kind = np.asarray(values).dtype.kind if values is not None else ""
    single = isinstance(key, int | float | np.number) and not isinstance(key, bool)
    listed = isinstance(key, list | tuple) and any(isinstance(k, int) and not isinstance(k, bool) for k in key)
    if single or listed or kind in ("i", "u", "f"):
        raise SelectionError("loc goes by name, not by position", "use iloc for positions")
    return key


_INSTEAD = (
    "choose genes, expression[[…]], or cells, expression.iloc[a:b]; sums, means and groupby need no table; "
    "or take atlas.iter_blocks() or titin.Loader"
)


class Expression(Statistics):
    """Cells × genes as a DataFrame has them, read when asked for.

    One gene, ``expression["XIST"]``, is a Series and a list of genes a DataFrame. Cells chosen by ``loc``, ``iloc`` or
    a mask are another Expression. Statistics stream over the cells with float64 sums and give ordinary Series.
    Whatever would be a dense table over the memory limit raises `MemoryLimitError` instead.

    Parameters
    ----------
    reader, cells
        The dataset's matrix and its cells.
    rows, columns
        Positions of cells (repeats allowed) and of genes (each once); None for all.
    """

    ndim = 2

    def __init__(
        self, reader: MatrixReader, cells: CellAxis, rows: Positions | None = None, columns: Positions | None = None
    ) -> None:
        self.reader, self.cells, self.rows, self.columns_chosen = reader, cells, rows, columns
        self.question = Question(reader, rows, columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self.question.n_rows, self.question.n_columns

    @property
    def size(self) -> int:
        """Number of values, zeros included."""
        return self.shape[0] * self.shape[1]

    @property
    def empty(self) -> bool:
        """Whether there is no value."""
        return self.size == 0

    @cached_property
    def index(self) -> pd.Index:
        """Names of the cells."""
        names = self.cells.names
        return names if self.rows is None else names[self.rows]

    @cached_property
    def columns(self) -> pd.Index:
        """Names of the genes."""
        names = self.reader.genes.index
        return names if self.columns_chosen is None else names[self.columns_chosen]

    @property
    def dtypes(self) -> pd.Series:
        """The dtype of each gene: that of the source."""
        return pd.Series([self.reader.dtype] * self.shape[1], index=self.columns, dtype=object)

    @property
    def loc(self) -> ByName:
        """Cells and genes by name or mask."""
        return ByName(self)

    @property
    def iloc(self) -> ByPosition:
        """Cells and genes by position or mask."""
        return ByPosition(self)

    @property
    def sparsity(self) -> float:
        """Share of zeros, 0 … 1; counted if cells are chosen, known otherwise."""
        if self.rows is None:
            genes = self.reader.genes.n_cells
            stored = int((genes if self.columns_chosen is None else genes[self.columns_chosen]).sum())
        else:
            stored = sum(block.X.nnz for block in self.reader.blocks(np.sort(self.rows), self.columns_chosen))
        return 1 - stored / self.size if self.size else float("nan")

    @property
    def values(self) -> NDArray[Any]:
        """All values as one array, cells × genes.

        Raises
        ------
        MemoryLimitError
            If it would not fit the memory limit.
        """
        return self.to_numpy()

    def to_numpy(self, dtype: Any = None) -> NDArray[Any]:
        """All values as one array, cells × genes; raises as `values` does."""
        dtype = self.reader.dtype if dtype is None else np.dtype(dtype)
        self._check_dense(dtype.itemsize)
        whole = np.zeros(self.shape, dtype)
        for part in self.question.parts():
            block = part.block
            scatter_rows(block.indptr, block.indices, block.data, part.rows, part.places, part.column_of, whole)
        return whole

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("an Expression is read, so that an array of it is always a copy")
        return self.to_numpy(dtype)

    def to_frame(self, genes: Any = None) -> pd.DataFrame:
        """Return a DataFrame of these cells and all or some genes.

        Parameters
        ----------
        genes
            Names, in the order wanted.

        Raises
        ------
        MemoryLimitError
            If it would not fit the memory limit.
        UnknownNameError
            If there is no such gene.
        """
        if genes is not None:
            return self._table([genes] if isinstance(genes, str) else list(genes))
        return pd.DataFrame(self.to_numpy(), index=self.index, columns=self.columns, copy=False)

    def to_scipy(self) -> "sparse.csr_matrix":
        """Return the CSR matrix, cells × genes; a MemoryLimitError if it would not fit the memory limit."""
        return self.reader.csr(self.rows, self.columns_chosen)

    def select(self, rows: Positions | None, columns: Positions | None) -> "Expression":
        """Return some cells and genes of these, by position.

        Raises
        ------
        SelectionError
            If a gene is chosen twice.
        """
        if columns is not None:
            check_once(columns, self.columns)
        return Expression(self.reader, self.cells, _compose(self.rows, rows), _compose(self.columns_chosen, columns))

    def find_columns(self, genes: Sequence[str]) -> Positions:
        """Positions, among these genes, of genes by name in var, symbol or id.

        Raises
        ------
        UnknownNameError
            If one is not there.
        """
        found = self.reader.genes.finder.find_all(genes)
        if self.columns_chosen is None:
            return found
        place = np.full(self.reader.n_genes, -1, np.int64)
        place[self.columns_chosen] = np.arange(len(self.columns_chosen))
        missing = np.flatnonzero(place[found] < 0)
        if len(missing):
            raise UnknownNameError(f"{genes[missing[0]]!r} is not among the genes chosen", "choose it as well")
        return place[found]

    def __getitem__(self, key: Any) -> Any:
        """One gene as a Series, a list of genes as a DataFrame; a mask or a slice chooses cells.

        Raises
        ------
        UnknownNameError
            A KeyError, with the nearest names if there is no such gene.
        MemoryLimitError
            If the table would not fit the memory limit.
        """
        if isinstance(key, str):
            return self._gene(key)
        if isinstance(key, slice) or _is_mask(key):
            self.cells.check_index(key)
            return self.select(resolve(key, len(self), "cell", lambda: self.index, self.find_columns), None)
        names = list(key) if isinstance(key, list | tuple | set | pd.Index | pd.Series | np.ndarray) else [key]
        return self._table(names)

    def _table(self, names: list[str]) -> pd.DataFrame:
        if not all(isinstance(name, str) for name in names):
            raise SelectionError("genes are chosen by name", "use iloc[:, positions] for positions")
        self._check_dense(self.reader.dtype.itemsize, len(names))
        columns = self.find_columns(names)
        X = self.reader.csr(self.rows, _compose(self.columns_chosen, columns))
        labels = pd.Index(names, dtype=self.columns.dtype, name=self.columns.name)
        return pd.DataFrame(X.toarray(order="F"), index=self.index, columns=labels, copy=False)

    def head(self, n: int = 5) -> pd.DataFrame:
        """Return the first cells as a DataFrame; without the last ``-n`` if negative."""
        return self.iloc[:n].to_frame()  # type: ignore[no-any-return]

    def tail(self, n: int = 5) -> pd.DataFrame:
        """Return the last cells as a DataFrame."""
        return self.iloc[max(0, len(self) - n) :].to_frame()  # type: ignore[no-any-return]

    def sample(self, n: int = 1, random_state: int | None = None) -> "Expression":
        """Choose ``n`` different cells at random, in random order."""
        if n > len(self):
            raise SelectionError(f"{n:,} of {len(self):,} cells cannot be chosen", "choose fewer")
        return self.select(np.random.default_rng(random_state).permutation(len(self))[:n], None)

    def groupby(self, by: Any) -> ExpressionGroups:
        """Group the cells.

        Parameters
        ----------
        by
            A column of obs, a list of them, or one label a cell (a Series is aligned by its index).

        Raises
        ------
        UnknownNameError
            If obs has no such column.
        SelectionError
            If there is not one label a cell.
        """
        return ExpressionGroups(self.question, self.columns, _keys(self, by))

    def memory_usage(self, index: bool = True, deep: bool = False) -> pd.Series:
        """Bytes held in memory: those of the index, and none for the genes, which are read when asked for."""
        usage = pd.Series(0, index=self.columns, dtype=np.int64)
        if not index:
            return usage
        return pd.concat([pd.Series([self.index.memory_usage(deep=deep)], index=["Index"]), usage])

    def keys(self) -> pd.Index:
        """Names of the genes."""
        return self.columns

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, gene: object) -> bool:
        return gene in self.columns

    def __getattr__(self, name: str) -> NoReturn:
        if not name.startswith("_") and hasattr(pd.DataFrame, name):
            raise AttributeError(f"an Expression has no {name}: take a DataFrame of some genes, expression[[…]]")
        raise AttributeError(f"an Expression has no {name}")

    def _ipython_key_completions_(self) -> list[str]:
        return self.columns.tolist()

    def _repr_html_(self) -> str:
        from titin.html import notebook

        return notebook(repr(self), [("genes", some(self.columns)), ("cells", some(self.index))])

    def __repr__(self) -> str:
        return f"Expression of {self.shape[0]:,} cells × {self.shape[1]:,} genes, {self.reader.dtype}; not read"

    def _gene(self, name: str) -> pd.Series:
        self.find_columns([name])
        series = pd.Series(self.reader.gene(name), index=self.cells.names, name=name, copy=False)
        return series if self.rows is None else series.iloc[self.rows]

    def _check_dense(self, itemsize: int, n_columns: int | None = None) -> None:
        n = self.shape[1] if n_columns is None else n_columns
        what = f"a dense table of {len(self):,} cells × {n:,} genes"
        check_memory(len(self) * n * itemsize, self.reader.resources.result, what, _INSTEAD)


def _compose(outer: Positions | None, inner: Positions | None) -> Positions | None:
    return outer if inner is None else inner if outer is None else outer[inner]


def _is_mask(key: Any) -> bool:
    dtype = getattr(key, "dtype", None)
    if dtype is not None:
        return bool(pd.api.types.is_bool_dtype(dtype))
    return isinstance(key, list) and bool(key) and all(isinstance(k, bool | np.bool_) for k in key)


def _keys(expression: Expression, by: Any) -> list[pd.Series]:
    """Return the labels of the cells, one Series each for what they are grouped by."""
    if isinstance(by, list) and by and all(isinstance(name, str) for name in by):
        columns = expression.cells.obs.columns
        if len(by) != len(expression) or all(name in columns for name in by):
            return [_key(expression, name) for name in by]
    return [_key(expression, by)]


def _key(expression: Expression, by: Any) -> pd.Series:
    if isinstance(by, str):
        return expression.cells.columns(by, expression.rows)[by].reset_index(drop=True)
    expression.cells.check_index(by)
    if isinstance(by, pd.Series) and not isinstance(by.index, pd.RangeIndex) and not by.index.equals(expression.index):
        if not by.index.is_unique or (by.index.get_indexer(expression.index) < 0).any():
            raise SelectionError("the index of what to group by is not that of the cells", "pass an array, one a cell")
        by = by.reindex(expression.index)
    values = pd.Series(by).reset_index(drop=True)
    if len(values) != len(expression):
        raise SelectionError(f"{len(values):,} labels for {len(expression):,} cells", "give one label a cell")
    return values
