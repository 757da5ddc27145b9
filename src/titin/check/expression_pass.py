"""One pass over every value of ``expression``: sums, digests and problems, for all checks that need them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from titin.check.findings import Problems
from titin.check.kernels import digest_by_cell, digest_rows, inspect_levels, inspect_lists
from titin.check.passes import ListReader, PanelReader, compare_panel, first_place, value_words, words
from titin.cluster import Cluster, spread
from titin.dataset import layout
from titin.dataset.codec import decode_values
from titin.dataset.pages import Lists
from titin.dataset.row_group import RowGroup
from titin.dataset.store import Store
from titin.dataset.transforms import log_unit_of
from titin.errors import TitinError
from titin.progress import Progress
from titin.shelf import Shelf


@dataclass(frozen=True)
class Totals:
    """Sums over every stored value, recomputed from ``expression``.

    Attributes
    ----------
    n_genes
        int32 a cell, in the dataset's order: genes detected.
    n_counts
        float64 a cell: sum of its counts; of kind ``real``, of its values.
    mitochondrial
        float64 a cell: the part of ``n_counts`` that lies on mitochondrial genes (symbol begins with ``MT-``,
        whatever the case).
    gene_n_cells
        int64 a gene, in the source's order (that of ``var``): cells that express it.
    gene_n_counts
        float64 a gene: sum of counts; of kind ``real``, of values.
    gene_sums, gene_squares
        float64 a gene: sum of the source's values, and of their squares.
    """

    n_genes: NDArray[np.int32]
    n_counts: NDArray[np.float64]
    mitochondrial: NDArray[np.float64]
    gene_n_cells: NDArray[np.int64]
    gene_n_counts: NDArray[np.float64]
    gene_sums: NDArray[np.float64]
    gene_squares: NDArray[np.float64]

    @property
    def percent_mito(self) -> NDArray[np.float64]:
        """Share of a cell's counts on mitochondrial genes, 0 … 100; NaN for a cell without counts."""
        share = 100 * self.mitochondrial
        with np.errstate(invalid="ignore", divide="ignore"):
            share /= self.n_counts
        return share

    @property
    def facts(self) -> dict[str, Any]:
        """A few of them, JSON-safe."""
        return {
            "nonzeros": int(self.n_genes.sum()),
            "counts": float(self.n_counts.sum()),
            "median_genes": float(np.median(self.n_genes)) if len(self.n_genes) else None,
            "median_counts": float(np.median(self.n_counts)) if len(self.n_counts) else None,
        }


_SORTS = {1: "order", 2: "token", 3: "zero"}
_LEVEL_SORTS = {1: "level number", 2: "level order", 3: "level value", 4: "level distance"}
_Found = tuple[str, int, str, str]
_RUN = 4  # row groups of one task: what all genes add up to takes as much to move as some hundred cells


@dataclass(frozen=True)
class ExpressionPass:
    """What the pass leaves.

    Attributes
    ----------
    totals
        Sums by cell and gene.
    problems
        Of cells: ``lengths``, ``order``, ``token``, ``zero``, ``value``, ``level number``, ``level order``,
        ``level value``, ``level distance``; of the panel: ``panel``.
    gene_digests
        uint64, genes × 2 by token: of (cell, token, count).
    cell_digests
        uint64, cells × 2 in the dataset's order: of (source column, value); empty without a source.
    worst_ulp
        Greatest distance of a level from what its count gives.
    """

    totals: Totals
    problems: Problems
    gene_digests: NDArray[np.uint64]
    cell_digests: NDArray[np.uint64]
    worst_ulp: float


@dataclass
class _Block:
    """What one row group adds, or several."""

    found: list[_Found]
    n_genes: NDArray[np.int64]
    cells: NDArray[np.float64]
    sums: NDArray[np.float64]
    gene_digests: NDArray[np.uint64]
    cell_digests: NDArray[np.uint64]
    worst_ulp: float


class _Reading:
    """How row groups are read and looked at; shared by threads, and sent to workers."""

    def __init__(self, store: Store, genes: pd.DataFrame, reader: ListReader, digest_values: bool) -> None:
        self.manifest, self.reader = store.manifest, reader
        self.panel: PanelReader | None = None
        with suppress(TitinError):  # other checks say why
            self.panel = PanelReader(store, genes)
        self.n_genes = self.manifest.n_genes
        self.marked = np.zeros(self.n_genes, np.bool_)
        self.number = np.zeros(self.n_genes, np.int64)
        tokens = genes[layout.TOKEN].to_numpy()
        fine = (tokens >= 0) & (tokens < self.n_genes)
        self.marked[tokens[fine]] = genes[layout.GENE].str.upper().str.startswith("MT-").fillna(False)[fine]
        self.number[tokens[fine]] = genes[layout.SOURCE_COLUMN].to_numpy()[fine]
        self.digest_values = digest_values
        self.scale, self.log_unit = None, log_unit_of(self.manifest.value_kind)
        if self.manifest.value_kind.has_levels:
            self.scale = _read_scale(store)
        self.negative = bool(self.manifest.settings.get("allow_negative"))

    def look_at_all(self, groups: Sequence[RowGroup]) -> _Block:
        """Read row groups that follow each other, and look at every value of them."""
        blocks = [self.look(group) for group in groups]
        first = blocks[0]
        for block in blocks[1:]:
            first.found += block.found
            first.sums += block.sums
            first.gene_digests += block.gene_digests
            first.worst_ulp = max(first.worst_ulp, block.worst_ulp)
        for name in ("n_genes", "cells", "cell_digests"):
            setattr(first, name, np.concatenate([getattr(block, name) for block in blocks]))
        return first

    def look(self, group: RowGroup) -> _Block:
        """Read a row group and look at every value of it."""
        panel = self.panel.of(group) if self.panel is not None else None
        genes, data, *rest = self.reader.read(group)
        (indptr, tokens), (data_indptr, elements) = genes, data
        if not np.array_equal(indptr, data_indptr):
            return self._unusable(group, indptr, data_indptr)
        found, n_wrong = self._inspect(group, indptr, tokens, elements)
        values, worst, level_found = self._values(group, indptr, elements, rest)
        found += level_found
        n_cells, n_digests = group.n_rows, group.n_rows if self.digest_values else 0
        block = _Block(
            found, np.diff(indptr), np.empty((n_cells, 3)), np.zeros((self.n_genes, 4)),
            np.zeros((self.n_genes, 2), np.uint64), np.empty((n_digests, 2), np.uint64), worst,
        )  # fmt: skip
        digest_by_cell(
            indptr, tokens, words(elements), elements, values, group.first_row, block.gene_digests, block.sums,
            self.marked, block.cells,
        )  # fmt: skip
        if self.digest_values:
            digest_rows(indptr, tokens, value_words(values), self.number, block.cell_digests)
        if panel is not None and not n_wrong:
            block.found += compare_panel(panel, group, indptr, tokens, elements, values)
        return block

    def _inspect(
        self, group: RowGroup, indptr: NDArray[np.int64], tokens: NDArray, elements: NDArray
    ) -> tuple[list[_Found], int]:
        """Tokens ascending and in range, counts at least 1, values finite and not 0."""
        what = np.empty(group.n_rows, np.uint8)
        found: list[_Found] = []
        n_wrong = inspect_lists(indptr, tokens, words(elements), self.n_genes, what)
        for code, sort in _SORTS.items() if n_wrong else ():
            cells = np.flatnonzero(what == code)
            if len(cells):
                own = slice(indptr[cells[0]], indptr[cells[0] + 1])
                found.append(
                    (
                        sort,
                        len(cells),
                        _describe(code, tokens[own], elements[own], self.n_genes),
                        first_place(group, cells),
                    )
                )
        if elements.dtype.kind == "f":
            bad = ~np.isfinite(elements) | (np.False_ if self.negative else elements < 0)
            if bad.any():
                at = int(np.flatnonzero(bad)[0])
                cell = np.array([np.searchsorted(indptr, at, side="right") - 1])
                said = f"the value {elements[at]} of token {int(tokens[at])}"
                found.append(("value", int(bad.sum()), said, first_place(group, cell)))
        return found, n_wrong

    def _values(
        self, group: RowGroup, indptr: NDArray[np.int64], elements: NDArray, rest: list[Lists]
    ) -> tuple[NDArray, float, list[_Found]]:
        """The source's values, the greatest distance of a level from its place, and what is wrong with levels."""
        if self.scale is None:
            return elements, 0.0, []
        level_indptr, levels = rest[0]
        scale = self.scale[group.first_row : group.first_row + group.n_rows]
        what, distance = np.empty(group.n_rows, np.uint8), np.empty(group.n_rows)
        n_wrong = inspect_levels(indptr, elements, level_indptr, levels, scale, self.log_unit, what, distance)
        found: list[_Found] = []
        for code, sort in _LEVEL_SORTS.items() if n_wrong else ():
            cells = np.flatnonzero(what == code)
            if len(cells):
                said = f"{distance[cells[0]]:.1f} units in the last place" if code == 4 else _describe_levels(
                    levels[level_indptr[cells[0]] : level_indptr[cells[0] + 1]]
                )  # fmt: skip
                found.append((sort, len(cells), said, first_place(group, cells)))
        if (what == 1).any():  # not decodable: the values are not known
            return np.full(len(elements), np.nan), float(distance.max(initial=0.0)), found
        return decode_values(indptr, elements, level_indptr, levels), float(distance.max(initial=0.0)), found

    def _unusable(self, group: RowGroup, indptr: NDArray[np.int64], other: NDArray[np.int64]) -> _Block:
        """A row group whose lists do not belong together: its cells are counted as wrong and give no sums."""
        cells = np.flatnonzero(np.diff(indptr) != np.diff(other))
        n = int(np.diff(indptr)[cells[0]]), int(np.diff(other)[cells[0]])
        said = f"{n[0]:,} {layout.GENES} and {n[1]:,} {self.reader.columns[1]}"
        n_digests = group.n_rows if self.digest_values else 0
        return _Block(
            [("lengths", len(cells), said, first_place(group, cells))], np.diff(indptr), np.zeros((group.n_rows, 3)),
            np.zeros((self.n_genes, 4)), np.zeros((self.n_genes, 2), np.uint64), np.zeros((n_digests, 2), np.uint64),
            0.0,
        )  # fmt: skip


def _read_scale(store: Store) -> NDArray[np.float32]:
    """Scale of each cell, whatever type the file gives it."""
    file, at = store.manifest.layout.expression, 0
    scale = np.empty(store.n_rows(file), np.float32)
    for part in store.ranges(file, [layout.SCALE]):
        scale[at : at + part.num_rows] = part.column(0).to_numpy()
        at += part.num_rows
    return scale


def _describe(code: int, tokens: NDArray, elements: NDArray, n_genes: int) -> str:
    if code == 1:
        at = int(np.flatnonzero(np.diff(tokens.astype(np.int64)) <= 0)[0])
        return f"token {int(tokens[at + 1])} follows {int(tokens[at])}"
    if code == 2:
        return f"token {int(tokens[tokens >= n_genes][0])} of {n_genes:,} genes"
    at = int(np.flatnonzero(words(elements) == 0)[0])
    return f"a stored 0 for token {int(tokens[at])}"


def _describe_levels(levels: NDArray) -> str:
    return f"{len(levels):,} levels" + (f", from {levels.min()} to {levels.max()}" if len(levels) else "")


def read_expression(
    store: Store, genes: pd.DataFrame, *, digest_cells: bool, threads: int, cluster: Cluster | None = None,
    progress: Progress, shelf: Shelf | None = None,
) -> ExpressionPass:  # fmt: skip
    """Read every value of ``expression`` once, in threads or on a cluster.

    Parameters
    ----------
    store
        The dataset.
    genes
        Feature metadata as stored: one row a gene.
    digest_cells
        Whether ``cell_digests`` are wanted, to compare cells with a source.
    shelf
        Where they are put; in memory where not given.

    Raises
    ------
    DatasetError
        If a file cannot be read.
    """
    manifest = store.manifest
    data = manifest.value_kind.entries
    columns = [layout.GENES, data, *([layout.LEVELS] if manifest.value_kind.has_levels else [])]
    reader = ListReader(store, manifest.layout.expression, columns)
    reading = _Reading(store, genes, reader, digest_cells)
    n_cells = sum(group.n_rows for group in reader.groups)
    gather = _Gather(n_cells, manifest.n_genes, reading.digest_values, shelf or Shelf())
    progress.start("read expression", n_cells, "cells")
    runs = [reader.groups[first : first + _RUN] for first in range(0, len(reader.groups), _RUN)]
    for run, block in zip(runs, spread(_look_at_all, (reading,), runs, threads, cluster), strict=True):
        gather.add(run[0].first_row, block)
        progress.advance(len(block.n_genes))
    progress.finish()
    pa.default_memory_pool().release_unused()
    return gather.result(reading.number)


def _look_at_all(reading: _Reading, groups: Sequence[RowGroup]) -> _Block:
    return reading.look_at_all(groups)


class _Gather:
    """Adds blocks up in their order, so that sums do not depend on threads or workers."""

    def __init__(self, n_cells: int, n_genes: int, digest_values: bool, shelf: Shelf) -> None:
        self.problems = Problems()
        self.n_genes = np.zeros(n_cells, np.int32)
        self.n_counts, self.mitochondrial = np.zeros(n_cells), np.zeros(n_cells)
        self.sums, self.gene_digests = np.zeros((n_genes, 4)), np.zeros((n_genes, 2), np.uint64)
        self.cell_digests = shelf.empty(2 * n_cells * digest_values, np.uint64)[0].reshape(-1, 2)
        self.worst_ulp = 0.0

    def add(self, first: int, block: _Block) -> None:
        rows = slice(first, first + len(block.n_genes))
        self.problems.extend(block.found)
        self.n_genes[rows] = block.n_genes
        self.n_counts[rows], self.mitochondrial[rows] = block.cells[:, 0], block.cells[:, 2]
        if len(self.cell_digests):
            self.cell_digests[rows] = block.cell_digests
        self.sums += block.sums
        self.gene_digests += block.gene_digests
        self.worst_ulp = max(self.worst_ulp, block.worst_ulp)

    def result(self, source_columns: NDArray[np.int64]) -> ExpressionPass:
        """``source_columns``: that of each token."""
        by_source = np.zeros_like(self.sums)
        by_source[source_columns] = self.sums
        totals = Totals(
            self.n_genes, self.n_counts, self.mitochondrial, by_source[:, 0].astype(np.int64),
            *(np.ascontiguousarray(by_source[:, k]) for k in (1, 2, 3)),
        )  # fmt: skip
        return ExpressionPass(totals, self.problems, self.gene_digests, self.cell_digests, self.worst_ulp)
