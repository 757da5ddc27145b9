"""Whole genes from the gene-major file: counts as stored, values exact without reading the cells' other counts."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titin.atlas.csr import column_map, row_blocks
from titin.atlas.kernels import find_levels
from titin.atlas.row_groups import all_groups, read_gene_block, read_levels
from titin.dataset import layout
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store
from titin.dataset.transforms import log_unit_of
from titin.parallel import ordered_map

if TYPE_CHECKING:
    from scipy import sparse

_CACHE_SHARE = 4  # levels are kept in memory when they take no more than one part in so many of the limit
_REMOTE_THREADS = 16
_LEVELS_A_CELL = 20  # or about so many
_APART = 20_000  # stored values between two genes that are read through rather than passed over


class Levels(NamedTuple):
    """The exact values of the distinct counts of consecutive cells."""

    first: int
    scale: NDArray[np.float32]
    indptr: NDArray[np.int64]
    levels: NDArray[Any]


class GeneReader:
    """Reads whole genes: of ``expression_by_gene`` the pages that they lie in.

    Where counts were recovered the file holds them; the exact value of a count is that one of the cell's levels which
    lies next to what the count gives, such as log1p(count / scale). Scales and levels of all cells (about 90 bytes a
    cell) are read once and kept, if they fit a quarter of the memory limit, else those of the row groups that have
    cells of the gene are read along with it.

    Parameters
    ----------
    store
        Where from.
    dtype
        Of the values returned.
    memory
        The limit, in bytes.
    threads
        For reading levels.
    """

    def __init__(self, store: Store, dtype: np.dtype, memory: int, threads: int) -> None:
        self._store, self._dtype, self._memory, self._threads = store, dtype, memory, threads
        self._file = store.manifest.layout.expression_by_gene
        self._levels: Levels | None = None
        self._lock = Lock()

    def cost(self, tokens: NDArray[np.int64], n_cells: int, *, counts: bool) -> int:
        """About how many list elements are to be read and decoded for some genes, which ``n_cells`` entries are of."""
        levels = self._store.manifest.value_kind.has_levels and not counts and self._levels is None
        return n_cells + len(tokens) * _APART + levels * _LEVELS_A_CELL * self._store.manifest.n_cells

    def read(self, token: int) -> tuple[NDArray[np.uint32], NDArray[Any]]:
        """Cells that express a gene (positions, ascending) and their counts, or values of kind ``real``.

        Raises
        ------
        DatasetError
            If a file is missing, damaged or replaced.
        """
        group = self._groups()[int(self._places(np.array([token]))[0])]
        return self._read_group(group, [token])[0]

    def values(self, token: int, cells: NDArray[np.uint32], stored: NDArray[Any]) -> NDArray[Any]:
        """Return the source's values of what `read` returned."""
        if not self._store.manifest.value_kind.has_levels:
            return stored.astype(self._dtype, copy=False)
        values, unsure = np.empty(len(cells), self._dtype), np.zeros(len(cells), np.bool_)
        n_unsure, log_unit = 0, log_unit_of(self._store.manifest.value_kind)
        for part in self._parts(cells):
            a, b = np.searchsorted(cells, [part.first, part.first + len(part.scale)])
            n_unsure += find_levels(
                cells[a:b],
                stored[a:b],
                part.first,
                part.scale,
                log_unit,
                part.indptr,
                part.levels,
                values[a:b],
                unsure[a:b],
            )
        if n_unsure:
            self._look_up(token, cells, unsure, values)
        return values

    def matrix(self, tokens: NDArray[np.int64], *, counts: bool) -> "sparse.csc_matrix":
        """All cells of some genes, one column each in the order given."""
        groups, place = self._groups(), self._places(tokens)
        found: dict[int, tuple[NDArray[np.uint32], NDArray[Any]]] = {}
        for index in np.unique(place).tolist():
            wanted = np.unique(tokens[place == index]).tolist()
            for token, (cells, stored) in zip(wanted, self._read_group(groups[index], wanted), strict=True):
                data = stored if counts else self.values(token, cells, stored)
                found[token] = cells.astype(np.int32) if self._store.manifest.n_cells < 2**31 else cells, data
        columns = [found[token] for token in tokens.tolist()]
        indptr = np.concatenate([[0], np.cumsum([len(cells) for cells, _ in columns], dtype=np.int64)])
        indices = np.concatenate([cells for cells, _ in columns]) if columns else np.empty(0, np.int32)
        data = np.concatenate([data for _, data in columns]) if columns else np.empty(0, self._dtype)
        from scipy import sparse

        return sparse.csc_matrix((data, indices, indptr), (self._store.manifest.n_cells, len(tokens)))

    def _groups(self) -> tuple[RowGroup, ...]:
        return self._store.row_groups(self._file)

    def _places(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the row group of each token."""
        return np.searchsorted(self._firsts, tokens, side="right") - 1

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        return np.array([group.first_row for group in self._groups()], np.int64)

    def _read_group(self, group: RowGroup, tokens: Sequence[int]) -> list[tuple[NDArray[np.uint32], NDArray[Any]]]:
        """Genes of a row group, by ascending token; those that lie close together are read in one go."""
        a_gene = self._store.elements(group, layout.CELLS) / group.n_rows
        wanted = np.array(tokens) - group.first_row
        found = []
        for run in np.split(wanted, np.flatnonzero(np.diff(wanted) * a_gene > _APART) + 1):
            block = read_gene_block(self._store, group, (int(run[0]), int(run[-1]) + 1))
            for row in run - run[0]:
                own = slice(block.indptr[row], block.indptr[row + 1])
                found.append((block.cells[own], block.stored[own]))
        return found

    def _parts(self, cells: NDArray[np.uint32]) -> Iterator[Levels]:
        """Levels of all cells at once from memory, or of the row groups that have some of these cells."""
        groups = all_groups(self._store)
        if self._levels is None and groups and self._size(groups) <= self._memory // _CACHE_SHARE:
            with self._lock:
                if self._levels is None:
                    self._levels = _join(list(ordered_map(self._read_levels, groups, self._level_threads)))
        if self._levels is not None:
            yield self._levels
        else:
            firsts = np.array([group.first_row for group in groups], np.int64)
            having = np.unique(np.searchsorted(firsts, cells, side="right") - 1).tolist()
            yield from ordered_map(self._read_levels, [groups[place] for place in having], self._level_threads)

    @property
    def _level_threads(self) -> int:
        """More far away, where each of these small reads costs a round trip."""
        return max(self._threads, _REMOTE_THREADS) if self._store.remote else self._threads

    def _size(self, groups: Sequence[RowGroup]) -> int:
        """About how many bytes the levels of all cells take, judging by the first row group."""
        a_cell = self._store.elements(groups[0], layout.LEVELS) * 4 / max(1, groups[0].n_rows) + 12
        return int(a_cell * self._store.manifest.n_cells)

    def _read_levels(self, group: RowGroup) -> Levels:
        (indptr, levels), scale = read_levels(self._store, group)
        return Levels(group.first_row, scale, indptr, levels)

    def _look_up(self, token: int, cells: NDArray[np.uint32], unsure: NDArray[np.bool_], values: NDArray[Any]) -> None:
        """Fill in the values that the levels alone do not tell, from the cells themselves."""
        column_of = column_map(self._store.manifest.n_genes, np.array([token]))
        rows = cells[unsure].astype(np.int64)
        blocks = row_blocks(self._store, rows, column_of, 1, self._dtype, counts=False, threads=self._threads)
        found = np.concatenate([block.X.data for block in blocks])
        if len(found) != len(rows):
            said = f"gene {token:,} has counts in cells that have none in {self._store.manifest.layout.expression}"
            raise self._store.damaged(self._file, ValueError(said))
        values[unsure] = found


def _join(parts: list[Levels]) -> Levels:
    offsets = np.cumsum([0, *(len(part.levels) for part in parts)])
    indptr = [part.indptr[:-1] + offset for part, offset in zip(parts, offsets, strict=False)]
    return Levels(
        0,
        np.concatenate([part.scale for part in parts]),
        np.concatenate([*indptr, offsets[-1:]]),
        np.concatenate([part.levels for part in parts]),
    )
