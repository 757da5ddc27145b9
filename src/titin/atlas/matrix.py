"""Chosen cells × genes by the cheaper of two ways: whole genes from one file, or row groups of cells from the other."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titin.atlas.axes import GeneAxis
from titin.atlas.csr import GrowingMatrix, RowBlock, column_map, row_blocks
from titin.atlas.gene_values import GeneReader
from titin.atlas.row_groups import Positions, all_groups, count_groups, give_back_memory
from titin.atlas.selection import check_memory
from titin.dataset import layout
from titin.dataset.store import Store
from titin.resources import Resources

if TYPE_CHECKING:
    from scipy import sparse

_LARGE = 10_000_000  # stored values, after which it is worth giving back memory


class MatrixReader:
    """Reads a dataset by position: cells in its order, genes in the source's.

    Parameters
    ----------
    store
        Where from.
    resources
        Threads, and the memory that a result may take.
    """

    def __init__(self, store: Store, resources: Resources) -> None:
        self.store, self.resources = store, resources
        self._parts: dict[str, MatrixReader] = {}

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.store.manifest.n_cells

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.store.manifest.n_genes

    def part(self, place: str) -> "MatrixReader":
        """The reader of a further matrix of the cells, the same each time; see `titin.dataset.store.Store.part`."""
        if place not in self._parts:
            self._parts[place] = MatrixReader(self.store.part(place), self.resources)
        return self._parts[place]

    @cached_property
    def genes(self) -> GeneAxis:
        """All genes, read when first used."""
        return GeneAxis(self.store)

    @cached_property
    def by_gene(self) -> GeneReader:
        """Reader of whole genes."""
        return GeneReader(self.store, self.dtype, self.resources.memory, self.resources.threads)

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the values: that of the source (float32 for float16)."""
        dtype: np.dtype = np.dtype(self.store.manifest.source["dtype"]).newbyteorder("=")
        return np.dtype(np.float32) if dtype == np.float16 else dtype

    @cached_property
    def count_dtype(self) -> np.dtype:
        """Of the counts, as stored: uint16, or uint32."""
        self.check_counts()
        shard = self.store.manifest.shards(self.store.manifest.layout.expression)[0]
        return self.store.list_dtype(shard, layout.COUNTS)

    def check_counts(self) -> None:
        """Refuse if there are no counts."""
        self.store.manifest.need_counts("ask for its values: atlas.X")

    def gene(self, name: str, *, counts: bool = False) -> NDArray[Any]:
        """Return one gene over all cells, in the dataset's order: the source's values, or counts as stored.

        Raises
        ------
        UnknownNameError
            If there is no such gene, or several of that symbol.
        DatasetError
            If a file is missing, damaged or replaced.
        """
        token = int(self.genes.token[self.genes.finder.find(name)])
        cells, stored = self.by_gene.read(token)
        values = stored if counts else self.by_gene.values(token, cells, stored)
        whole = np.zeros(self.n_cells, stored.dtype if counts else self.dtype)
        whole[cells] = values
        return whole

    def blocks(self, rows: Positions | None, columns: Positions | None, *, counts: bool = False) -> Iterator[RowBlock]:
        """Yield cells (ascending, repeats allowed; None for all) × genes (each once; None for all) by row groups."""
        tokens = self.tokens(columns)
        dtype = self.count_dtype if counts else self.dtype
        column_of = column_map(self.n_genes, tokens)
        threads = self.resources.threads
        return row_blocks(self.store, rows, column_of, len(tokens), dtype, counts=counts, threads=threads)

    def csr(self, rows: Positions | None, columns: Positions | None, *, counts: bool = False) -> "sparse.csr_matrix":
        """Return cells × genes in any order, repeats allowed; None for all.

        Raises
        ------
        MemoryLimitError
            If the result would not fit the memory limit.
        """
        self.check_csr(rows, columns, counts=counts)
        if columns is not None and self.columns_are_cheaper(rows, columns, counts=counts):
            X = self.by_gene.matrix(self.genes.token[columns], counts=counts).tocsr()
            X = X.astype(self.count_dtype if counts else self.dtype, copy=False)
            return X if rows is None else X[rows]
        once, row_places = _unique(rows)
        apart, column_places = _unique(columns, ordered=False)
        n_columns = self.n_genes if apart is None else len(apart)
        whole = GrowingMatrix(self._nnz(once, apart), n_columns, self.count_dtype if counts else self.dtype)
        for block in self.blocks(once, apart, counts=counts):
            whole.append(block.X)
        X = whole.finish()
        if len(X.data) > _LARGE:
            give_back_memory()
        X = X if row_places is None else X[row_places]
        return X if column_places is None else _canonical(X[:, column_places])

    def columns_are_cheaper(self, rows: Positions | None, columns: Positions, *, counts: bool = False) -> bool:
        """Whether reading the genes over all cells is less work than reading all genes of the cells."""
        tokens, n_cells = self.genes.token[columns], int(self.genes.n_cells[columns].sum())
        if n_cells * (self.dtype.itemsize + 4) > self.resources.memory:
            return False
        groups = all_groups(self.store)
        each = self.store.manifest.nnz // max(1, len(groups))
        needed = len(groups) if rows is None else count_groups(self.store, np.unique(rows))
        return self.by_gene.cost(tokens, n_cells, counts=counts) < needed * each

    def check_csr(self, rows: Positions | None, columns: Positions | None, *, counts: bool = False) -> None:
        """Refuse a CSR matrix that would not fit the memory limit, judging by how many cells express the genes."""
        n_rows = self.n_cells if rows is None else len(rows)
        n_columns = self.n_genes if columns is None else len(columns)
        nnz = self._nnz(rows, columns)
        entry = (self.count_dtype if counts else self.dtype).itemsize + (4 if nnz < 2**31 else 8)
        check_memory(
            nnz * entry + 8 * (n_rows + 1), self.resources.result,
            f"a CSR matrix of {n_rows:,} cells × {n_columns:,} genes",
            "take atlas.iter_blocks() or titin.Loader, which need memory for some cells only",
        )  # fmt: skip

    def tokens(self, columns: Positions | None) -> NDArray[np.int64]:
        """Token of each gene."""
        return self.genes.token if columns is None else self.genes.token[columns]

    def _nnz(self, rows: Positions | None, columns: Positions | None) -> int:
        """About how many values are stored in cells × genes; exact for all cells."""
        if columns is None:
            expressed = self.store.manifest.nnz
        else:
            expressed = int(self.genes.n_cells[columns].sum())
        return expressed if rows is None else -(-expressed * len(rows) // max(1, self.n_cells))

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "resources": self.resources, "_parts": {}}


def _unique(positions: Positions | None, *, ordered: bool = True) -> tuple[Positions | None, Positions | None]:
    """Each position once, ascending if ``ordered``, and what restores the order and the repeats (None: nothing)."""
    if positions is None or bool((np.diff(positions) > 0).all()):
        return positions, None
    once, places = np.unique(positions, return_inverse=True)
    if not ordered and len(once) == len(positions):
        return positions, None
    return once, places


def _canonical(X: "sparse.csr_matrix") -> "sparse.csr_matrix":
    X.sort_indices()
    return X
