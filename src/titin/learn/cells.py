"""Whole cells, spread over donors and types, by which genes that tell classes apart are chosen.

Which cells they are follows from the design alone, never from a value, so that each fold may use those of its training
donors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas import Atlas
from titin.atlas.kernels import add_sums, count_chosen, take_chosen
from titin.atlas.passes import BlockReader
from titin.atlas.selection import check_memory
from titin.dataset.kernels import add_moments
from titin.learn import kernels as _kernels
from titin.learn.units import BenchmarkUnits, spread
from titin.progress import Progress
from titin.study.design import levels_of

WHOLE_CELLS = 10_000


@dataclass(frozen=True)
class Sample:
    """Whole cells.

    Attributes
    ----------
    obs
        Their rows of the design table.
    group
        int64, the row of `titin.learn.cells.Moments.groups` of each.
    X
        Cells × genes, in the order of ``atlas.var``: log-normalised values, CSR, float32.
    """

    obs: pd.DataFrame
    group: NDArray[np.int64]
    X: sparse.csr_matrix = field(repr=False)

    def separation(self, column: str, groups: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Say how far each class of a column is set apart from all other cells of some groups.

        Returns
        -------
        t
            float64, classes × genes: Welch's t. A class with fewer than two cells, or that is alone, has zeros.
        elsewhere
            float64, classes × genes: share of the other cells that express the gene.
        """
        mine = np.flatnonzero(groups[self.group] & self.obs[column].notna().to_numpy())
        code, classes = pd.factorize(self.obs[column].iloc[mine].astype(str), sort=True)
        X, shape = self.X[mine], (len(classes), self.X.shape[1])
        sums, squares, detected = np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int32)
        add_moments(X.indptr, X.indices, X.data, code, sums, squares, detected)
        n = np.bincount(code, minlength=len(classes))[:, None]
        mean, spread_of = _mean_and_error(sums, squares, n)
        other, other_spread = _mean_and_error(sums.sum(axis=0) - sums, squares.sum(axis=0) - squares, n.sum() - n)
        error = np.sqrt(spread_of + other_spread)
        t = np.divide(mean - other, error, out=np.zeros(shape), where=error > 0)
        elsewhere = (detected.sum(axis=0) - detected) / np.maximum(n.sum() - n, 1)
        return np.where(np.minimum(n, n.sum() - n) < 2, 0.0, t), elsewhere


def _mean_and_error(
    sums: NDArray[np.float64], squares: NDArray[np.float64], n: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean, and squared standard error of it."""
    mean = sums / np.maximum(n, 1)
    variance = np.maximum(squares / np.maximum(n, 1) - mean**2, 0)
    return mean, variance / np.maximum(n - 1, 1)


class SampleStore:
    """Picks the cells of a sample out of the blocks of a pass.

    Parameters
    ----------
    design
        One row a cell of the dataset.
    of_cell
        int64, the group of each cell; -1 for cells of none, which are never chosen.
    n
        Cells, at most.
    """

    def __init__(self, design: pd.DataFrame, of_cell: NDArray[np.int64], n: int) -> None:
        known = np.flatnonzero(of_cell >= 0)
        by = ["donor", *levels_of(design)[-1:]]
        self.rows = known[spread(design.iloc[known], n, by)] if n and len(known) else np.zeros(0, np.int64)
        self.obs, self.group = design.iloc[self.rows].reset_index(drop=True), of_cell[self.rows]
        self._parts: list[sparse.csr_matrix] = []

    def add(self, block: Any) -> None:
        """Take the chosen cells of a block; blocks come in the order of cells."""
        first, last = np.searchsorted(self.rows, [block.start, block.start + block.n_cells])
        if first == last:
            return
        width = int(block.indices.max()) + 1 if len(block.indices) else 1
        whole = sparse.csr_matrix((block.data, block.indices, block.indptr), shape=(block.n_cells, width))
        self._parts.append(whole[self.rows[first:last] - block.start])

    def finish(self, genes: NDArray[np.int64]) -> Sample | None:
        """Return the sample; ``genes`` is the position in ``atlas.var`` of each column of the blocks."""
        if not len(self.rows):
            return None
        lengths = np.concatenate([np.diff(part.indptr) for part in self._parts])
        indices = genes[np.concatenate([part.indices for part in self._parts])].astype(np.int32)
        data = np.concatenate([part.data for part in self._parts]).astype(np.float32, copy=False)
        self._parts.clear()
        X = sparse.csr_matrix((data, indices, np.concatenate([[0], np.cumsum(lengths)])),
                              shape=(len(self.rows), len(genes)))  # fmt: skip
        X.sort_indices()
        return Sample(self.obs, self.group, X)


Positions = NDArray[np.int64]
GROUP = ("donor", "protocol", "chemistry")
QUALITY = ("log_n_genes", "log_depth", "fraction_mito", "fraction_ribo", "fraction_top_gene")
_MITO, _RIBO = r"MT-.*", r"RP[LS](?:P?\d+[AXYL]{0,2}\d?|A)"


@dataclass(frozen=True)
class Moments:
    """Sums over the cells of each group, groups × genes (in the order of ``atlas.var``).

    Attributes
    ----------
    groups
        One row a group: donor, and protocol and chemistry where there are any.
    n_cells
        int64, one a group.
    sums, squares
        float64, of linear values (``expm1`` of log-normalised ones; of the values themselves in a dataset of kind
        ``real``).
    detected
        int32, cells with a value.
    quality
        float32, cells × `QUALITY`, of each cell by itself.
    sample
        Whole cells, if any were asked for.
    """

    groups: pd.DataFrame
    n_cells: NDArray[np.int64]
    sums: NDArray[np.float64] = field(repr=False)
    squares: NDArray[np.float64] = field(repr=False)
    detected: NDArray[np.int32] = field(repr=False)
    quality: NDArray[np.float32] = field(repr=False)
    is_log: bool = True
    sample: "Sample | None" = field(default=None, repr=False)

    def mask(self, obs: pd.DataFrame) -> NDArray[np.bool_]:
        """Groups that units with these donors, protocols and chemistries are of."""
        columns = [name for name in self.groups if name in obs]
        if not columns:
            return np.zeros(len(self.groups), bool)
        present = pd.MultiIndex.from_frame(obs[columns].astype(str).drop_duplicates())
        return np.asarray(pd.MultiIndex.from_frame(self.groups[columns].astype(str)).isin(present))

    def of(self, groups: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean, sample variance and share of cells that express each gene, over the cells of some groups."""
        n = max(int(self.n_cells[groups].sum()), 1)
        mean = self.sums[groups].sum(axis=0) / n
        variance = np.maximum(self.squares[groups].sum(axis=0) - n * mean**2, 0) / max(n - 1, 1)
        return mean, variance, self.detected[groups].sum(axis=0) / n


@dataclass(frozen=True)
class Gathered:
    """Units × genes, and all that features are made of.

    Attributes
    ----------
    atlas, moments, units
        Of what.
    X
        Units × ``genes``: of cells the log-normalised values (CSR, float32), of larger units log1p of the mean of
        their cells' linear values (dense, float32). Of a dataset of kind ``real`` the values and their means.
    genes
        int64, position in ``atlas.var`` of each column, ascending.
    quality
        float32, units × `QUALITY`.
    """

    atlas: Atlas = field(repr=False)
    moments: Moments = field(repr=False)
    units: BenchmarkUnits
    X: Any = field(repr=False)
    genes: Positions = field(repr=False)
    quality: NDArray[np.float32] = field(repr=False)

    def take(self, rows: Positions, genes: Positions) -> Any:
        """Values of some units and genes, which must be among those gathered; CSR or dense."""
        columns = np.searchsorted(self.genes, genes)
        if len(genes) and not np.array_equal(self.genes[np.minimum(columns, len(self.genes) - 1)], genes):
            raise KeyError("a gene that was not gathered")
        return self.X[rows][:, columns]


def gather_moments(
    atlas: Atlas, design: pd.DataFrame, *, threads: int, whole_cells: int = 0, progress: Progress | None = None
) -> Moments:
    """Add up the moments of all genes by donor, protocol and chemistry, in one pass.

    Parameters
    ----------
    design
        From `titin.learn.atlas_design`.
    whole_cells
        Cells to keep, at most; fewer where they would take more than an eighth of the memory limit.
    """
    progress = progress or Progress()
    groups, of_cell = _groups(design)
    n_groups, n_genes, n_cells = len(groups), atlas.n_vars, atlas.n_obs
    check_memory(n_groups * n_genes * 20, atlas.reader.resources.memory,
                 f"sums of {n_genes:,} genes by {n_groups:,} groups of cells", "allow more memory")  # fmt: skip
    reader = BlockReader(atlas)
    sums, squares = np.zeros((n_groups, n_genes)), np.zeros((n_groups, n_genes))
    detected = np.zeros((n_groups, n_genes), np.int32)
    raw = np.zeros((n_cells, 6), np.float32)
    kept = SampleStore(design, of_cell, _affordable(atlas, whole_cells))
    names = gene_symbols(atlas)[reader.genes]
    mito, ribo = (np.asarray(names.str.fullmatch(pattern), bool) for pattern in (_MITO, _RIBO))
    progress.start("moments by donor", n_cells, "cells")
    is_log = atlas.manifest.value_kind.has_counts

    def read(block: Any) -> Any:
        values = block.data
        if is_log:
            values = np.empty(len(block.data), np.float32)
            _kernels.linear(block.data, reader.log_unit, values)
        quality = np.empty((block.n_cells, 6), np.float32)
        _kernels.cell_quality(block.indptr, block.indices, values, mito, ribo, quality)
        return block, values, quality

    for block, values, quality in reader.map(read, threads):
        rows = slice(block.start, block.start + block.n_cells)
        add_moments(block.indptr, block.indices, values, of_cell[rows], sums, squares, detected)
        kept.add(block)
        raw[rows] = quality
        progress.advance(block.n_cells)
    progress.finish()
    order = np.argsort(reader.genes)
    counted = np.bincount(of_cell[of_cell >= 0], minlength=n_groups)
    return Moments(groups, counted, sums[:, order], squares[:, order], detected[:, order], _quality(raw), is_log,
                   kept.finish(reader.genes))  # fmt: skip


def gather_units(
    moments: Moments, atlas: Atlas, wanted: Mapping[str, tuple[BenchmarkUnits, Positions]], *, threads: int,
    progress: Progress | None = None,
) -> dict[str, Gathered]:  # fmt: skip
    """Read units × genes of several levels in one pass.

    Parameters
    ----------
    moments
        From `gather_moments`.
    wanted
        By level: the units, and positions of the genes (int64, ascending).

    Raises
    ------
    MemoryLimitError
        If they do not fit the atlas's memory limit.
    """
    read = read_units(atlas, wanted, threads=threads, progress=progress)
    return {
        level: Gathered(atlas, moments, units, read[level], genes, unit_means(moments.quality, units))
        for level, (units, genes) in wanted.items()
    }


def read_units(
    atlas: Atlas, wanted: Mapping[str, tuple[BenchmarkUnits, Positions]], *, threads: int,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Read the values alone, as `Gathered` has them, by level; see `gather_units`."""
    progress = progress or Progress()
    is_log = atlas.manifest.value_kind.has_counts
    everything = np.unique(np.concatenate([np.zeros(0, np.int64), *(genes for _, genes in wanted.values())]))
    stores = {level: _make_store(atlas, units, genes) for level, (units, genes) in wanted.items()}
    if len(everything):
        reader = BlockReader(atlas, genes=everything)
        columns = {level: _column_of(reader.genes, genes) for level, (_, genes) in wanted.items()}
        progress.start("chosen genes", atlas.n_obs, "cells")

        def read(block: Any) -> Any:
            values = np.empty(len(block.data), np.float32)
            if is_log:
                _kernels.linear(block.data, reader.log_unit, values)
            return block, values if is_log else block.data

        for block, values in reader.map(read, threads):
            rows = slice(block.start, block.start + block.n_cells)
            for level, store in stores.items():
                store.add(block, values, wanted[level][0].of_cell[rows], columns[level])
            progress.advance(block.n_cells)
        progress.finish()
    return {level: store.finish(is_log) for level, store in stores.items()}


def unit_means(values: NDArray[np.float32], units: BenchmarkUnits) -> NDArray[np.float32]:
    """Mean over the cells of each unit, of cells × columns."""
    cells = np.flatnonzero(units.of_cell >= 0)
    if units.level == "cell":
        return np.asarray(values[cells], np.float32)
    sums = np.zeros((len(units), values.shape[1]))
    np.add.at(sums, units.of_cell[cells], values[cells])
    return np.asarray(sums / units.obs["n_cells"].to_numpy()[:, None], np.float32)


def gene_symbols(atlas: Atlas) -> pd.Index:
    """Symbol of each gene, in the order of ``atlas.var``."""
    return pd.Index(atlas.reader.genes.symbols).astype(str)


def symbol_positions(atlas: Atlas, symbols: Any) -> Positions:
    """Positions of those genes that the dataset has, once each; of a symbol that several genes have, none."""
    finder = atlas.reader.genes.finder
    found = []
    for symbol in symbols:
        if symbol in finder:
            try:
                found.append(finder.find(symbol))
            except KeyError:
                continue
    return np.array(list(dict.fromkeys(found)), np.int64)


def _affordable(atlas: Atlas, n: int) -> int:
    per_cell = 8 * max(1, int(atlas.reader.genes.n_cells.sum()) // max(1, atlas.n_obs))
    return min(n, atlas.reader.resources.memory // 8 // per_cell)


class _CellValues:
    """Cells × genes, filled block by block."""

    def __init__(self, atlas: Atlas, units: BenchmarkUnits, genes: Positions) -> None:
        nnz = int(atlas.reader.genes.n_cells[genes].sum())
        check_memory(nnz * 8, atlas.reader.resources.memory, f"{len(units):,} cells × {len(genes):,} genes",
                     "allow more memory, or leave out tasks that are about cells")  # fmt: skip
        self.shape = len(units), len(genes)
        self.columns, self.data = np.empty(nnz, np.int32), np.empty(nnz, np.float32)
        self.row_end, self.at = np.zeros(len(units), np.int64), 0

    def add(self, block: Any, values: Any, unit: Any, column_of: Any) -> None:  # noqa: ARG002
        rows, at = np.flatnonzero(unit >= 0), self.at
        ends = np.empty(len(rows) + 1, np.int64)
        count_chosen(block.indptr, block.indices, rows, column_of, ends)
        self.at += int(ends[-1])
        columns, data = self.columns[at : self.at], self.data[at : self.at]
        take_chosen(block.indptr, block.indices, block.data, rows, column_of, ends, columns, data)
        self.row_end[unit[rows]] = at + ends[1:]

    def finish(self, is_log: bool) -> sparse.csr_matrix:  # noqa: ARG002
        indptr = np.concatenate([[0], np.maximum.accumulate(self.row_end)]).astype(np.int64)
        dtype = np.int32 if self.at < 2**31 else np.int64
        X = sparse.csr_matrix(self.shape, dtype=np.float32)
        X.data, X.indices = self.data[: self.at], self.columns[: self.at].astype(dtype, copy=False)
        X.indptr = indptr.astype(dtype)
        X.has_sorted_indices = False
        X.sort_indices()  # they came in the order of tokens, which other donors' cells have a say in
        return X


class _UnitMeans:
    """Units × genes, added up block by block."""

    def __init__(self, atlas: Atlas, units: BenchmarkUnits, genes: Positions) -> None:
        check_memory(len(units) * len(genes) * 4, atlas.reader.resources.memory,
                     f"{len(units):,} {units.level}s × {len(genes):,} genes", "allow more memory")  # fmt: skip
        self.sums = np.zeros((len(units), len(genes)), np.float32)
        self.n_cells = units.obs["n_cells"].to_numpy()

    def add(self, block: Any, values: Any, unit: Any, column_of: Any) -> None:
        add_sums(block.indptr, block.indices, values, np.arange(block.n_cells), unit, column_of, self.sums)

    def finish(self, is_log: bool) -> NDArray[np.float32]:
        self.sums /= self.n_cells[:, None].astype(np.float32)
        return np.log1p(self.sums, out=self.sums) if is_log else self.sums


def _make_store(atlas: Atlas, units: BenchmarkUnits, genes: Positions) -> "_CellValues | _UnitMeans":
    return _CellValues(atlas, units, genes) if units.level == "cell" else _UnitMeans(atlas, units, genes)


def _column_of(read: Positions, genes: Positions) -> NDArray[np.int32]:
    """Column among ``genes`` of each gene that is read; -1 for none."""
    place = np.searchsorted(genes, read)
    there = np.isin(read, genes)
    return np.where(there, place, -1).astype(np.int32)


def _groups(design: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    columns = [name for name in GROUP if name in design]
    if "donor" not in columns:
        return pd.DataFrame(index=range(0)), np.full(len(design), -1)
    known = design[columns].astype(object).where(design[columns].notna(), "")
    code = known.groupby(columns, sort=True).ngroup().to_numpy()
    code = np.where(design["donor"].notna(), code, -1)
    present, first = np.unique(code, return_index=True)
    keep = present >= 0
    groups = known.iloc[first[keep]].reset_index(drop=True)
    return groups, np.where(code >= 0, np.searchsorted(present[keep], code), -1)


def _quality(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    n_genes, least, total, mito, ribo, most = raw.T.astype(np.float64)
    safe = np.where(total > 0, total, 1)
    depth = np.where(least > 0, total / np.where(least > 0, least, 1), 0)  # in smallest values, which are single counts
    return np.column_stack([np.log1p(n_genes), np.log1p(np.abs(depth)), mito / safe, ribo / safe, most / safe]).astype(
        np.float32
    )
