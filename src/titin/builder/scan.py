"""First pass over the source: encode every cell, gather each gene's sums, and file the cells by where they will go."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.builder.job import BuildJob
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.codec import KINDS, Encoded, InvalidValueError, Kind, RefusedError, encode
from titin.dataset.kernels import accumulate, align_witness, copy_runs, sum_rows
from titin.dataset.spill import Spill
from titin.errors import SourceError
from titin.parallel import ordered_map, read_ahead
from titin.source import Matrix

_SAME = 1e-5  # relative spread up to which all cells count as normalised to the same total
_PROVEN = float(np.log(1e-6))  # a matrix that passes for log1p by chance more often than this is of kind real


@dataclass
class Scan:
    """The result of the first pass; kept on disk beside the spilled cells.

    Attributes
    ----------
    kind
        See `titin.dataset.codec`.
    bucket_cells
        Cells of a bucket of the spill; cell position // bucket_cells is its bucket.
    totals
        float64, genes × 6 in source order: cells, counts, sum and sum of squares of the values, and of the
        linear (normalised, not logged) values.
    wide_counts
        Whether a count needs 32 bits.
    target_sum, target_of
        Counts a cell was normalised to, where it is the same for all cells; and which total of a cell that is: the
        sum of its counts (``counts``), or an obs column (a total taken before genes were removed).
    refused
        For each kind tried in vain, the first cells that were not of it.
    """

    kind: Kind
    bucket_cells: int
    totals: NDArray[np.float64]
    nnz: int = 0
    wide_counts: bool = False
    float64: bool = False
    worst_ulp: float = 0.0
    target_sum: float | None = None
    target_of: str = ""
    n_zeros: int = 0
    n_unsorted: int = 0
    n_empty: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)

    @property
    def n_cells_by_gene(self) -> NDArray[np.int64]:
        """Number of cells that express each gene, in source order."""
        return self.totals[:, 0].astype(np.int64)

    @property
    def source_columns(self) -> NDArray[np.int64]:
        """Source position of each token: genes by descending detection, ties by source order."""
        return np.argsort(-self.totals[:, 0], kind="stable")

    @property
    def tokens(self) -> NDArray[np.int32]:
        """Token of each gene, in source order."""
        tokens = np.empty(len(self.totals), np.int32)
        tokens[self.source_columns] = np.arange(len(self.totals), dtype=np.int32)
        return tokens

    @property
    def element(self) -> np.dtype:
        """Type of the counts, or of the values of a ``real`` matrix."""
        if self.kind == "real":
            return np.dtype(np.float64 if self.float64 else np.float32)
        return np.dtype(np.uint32 if self.wide_counts else np.uint16)

    def save(self, path: Path) -> None:
        """Write to an ``.npz`` file."""
        np.savez(path, allow_pickle=False, **{k: np.asarray(v) for k, v in self._plain().items()})

    def _plain(self) -> dict[str, Any]:
        plain = dict(vars(self))
        plain["target_sum"] = np.nan if self.target_sum is None else self.target_sum
        refused = plain.pop("refused")
        plain["refused_kinds"] = np.array(list(refused), dtype=str)
        plain["refused_cells"] = np.array(["\n".join(v) for v in refused.values()], dtype=str)
        return plain

    @classmethod
    def load(cls, path: Path) -> "Scan":
        """Read what `save` wrote."""
        with np.load(path) as file:
            plain = {k: file[k] if file[k].ndim else file[k].item() for k in file.files}
        kinds, cells = plain.pop("refused_kinds"), plain.pop("refused_cells")
        refused = {str(k): str(c).split("\n") for k, c in zip(kinds, cells, strict=True)}
        target = plain.pop("target_sum")
        return cls(**plain, refused=refused, target_sum=None if np.isnan(target) else target)


class _Tally:
    """Running totals of one pass."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.chance = 0.0  # logarithm of the chance that all cells so far pass for log1p by accident
        self._sums: list[NDArray[np.float64]] = []
        self._scales: list[NDArray[np.float32]] = []

    def add(self, block: Encoded) -> None:
        scan = self.scan
        if block.kind == "log1p":
            factor = 1.0 / block.scale.astype(np.float64)
            self._sums.append(_cell_sums(block))
            self._scales.append(block.scale)
            scan.float64 |= block.levels.dtype == np.float64
        elif block.kind == "counts":
            factor = layout.TARGET_SUM / np.maximum(_cell_sums(block), 1.0)
        else:
            factor = np.ones(len(block.indptr) - 1)
            scan.float64 |= block.counts.dtype == np.float64
        accumulate(block.indptr, block.genes, block.values, block.counts, factor, scan.totals)
        scan.nnz += len(block.genes)
        scan.wide_counts |= block.counts.dtype == np.uint32
        self.chance += block.chance
        scan.worst_ulp = max(scan.worst_ulp, float(block.worst_ulp))
        scan.n_zeros += block.n_zeros
        scan.n_unsorted += block.n_unsorted
        scan.n_empty += int((np.diff(block.indptr) == 0).sum())

    def finish(self, obs: pd.DataFrame) -> Scan:
        """Add what only all cells together tell."""
        if self._scales:
            target = _find_target(np.concatenate(self._sums), np.concatenate(self._scales), obs)
            if target is not None:
                self.scan.target_of, self.scan.target_sum = target
        return self.scan


def _find_target(sums: NDArray[np.float64], scales: NDArray[np.float32], obs: pd.DataFrame) -> tuple[str, float] | None:
    """The total of a cell that is the same multiple of its scale in all cells, and that multiple."""
    full = sums > 0
    totals = {"counts": sums}
    for name in obs.columns:
        if pd.api.types.is_numeric_dtype(obs[name].dtype) and not pd.api.types.is_bool_dtype(obs[name].dtype):
            totals[f"obs/{name}"] = obs[name].to_numpy(np.float64, na_value=np.nan)
    for name, total in totals.items():
        ratio = total[full] / scales[full]
        middle = float(np.median(ratio)) if len(ratio) else 0.0
        if middle > 0 and np.abs(ratio / middle - 1).max() < _SAME:
            return name, float(f"{middle:.6g}")
    return None


def _cell_sums(block: Encoded) -> NDArray[np.float64]:
    sums = np.empty(len(block.indptr) - 1)
    sum_rows(block.indptr, block.counts, sums)
    return sums


def scan(job: BuildJob) -> tuple[Scan, Spill]:
    """Encode all cells as the first kind that all of them are, and file them by bucket.

    Raises
    ------
    SourceError
        For a value that no dataset can hold; names the cell and the gene.
    """
    refused: dict[str, list[str]] = {}
    kinds = list(KINDS)
    while True:
        try:
            return _scan_as(job, kinds, refused)
        except _RefusedAt as refusal:
            refused[refusal.kind] = refusal.cells
            kinds = kinds[kinds.index(refusal.kind) + 1 :]


class _RefusedAt(Exception):  # noqa: N818 - a turn in the road, not an error
    def __init__(self, kind: Kind, cells: list[str]) -> None:
        self.kind, self.cells = kind, cells


def _scan_as(job: BuildJob, kinds: list[Kind], refused: dict[str, list[str]]) -> tuple[Scan, Spill]:
    n_cells, n_genes = job.source.X.shape
    blocks = read_ahead(_blocks_with_witness(job))
    spill: Spill | None = None
    try:
        first = next(blocks)
        kind = _kind_of(job, first, kinds, refused)
        bucket_cells = job.bucket_cells
        spill = Spill(job.work / "cells", -(-n_cells // bucket_cells))
        tally = _Tally(Scan(kind, bucket_cells, np.zeros((n_genes, 6)), refused=refused))

        def work(item: tuple[Block, NDArray | None]) -> tuple[Block, Encoded, "_Filed"]:
            encoded = _encode(job, *item, kind)
            return item[0], encoded, _file(encoded, job.positions[item[0].start :], bucket_cells, n_genes)

        job.progress.start("read and encode", n_cells, "cells")
        for block, encoded, filed in ordered_map(work, chain([first], blocks), job.resources.threads):
            tally.add(encoded)
            for bucket, arrays in filed:
                spill.append(bucket, *arrays)
            job.progress.advance(block.n_cells)
        if kind == "log1p" and tally.chance > _PROVEN:
            raise _RefusedAt(kind, ["all cells together: they have too few distinct values to prove counts"])
        spill.finish()
        return tally.finish(job.source.obs), spill
    except BaseException:
        if spill is not None:
            spill.discard()
        raise
    finally:
        blocks.close()


def _kind_of(
    job: BuildJob, first: tuple[Block, NDArray | None], kinds: list[Kind], refused: dict[str, list[str]]
) -> Kind:
    for kind in kinds:
        try:
            _encode(job, *first, kind)
        except _RefusedAt as refusal:
            refused[kind] = refusal.cells
        else:
            return kind
    raise SourceError(
        f"{job.source.path}: {job.source.X.name} holds integers too large to keep exactly (over 2^53)",
        "store it as floating point, or choose another matrix with --layer or --raw",
    )


def _encode(job: BuildJob, block: Block, witness: NDArray | None, kind: Kind) -> Encoded:
    source = job.source
    try:
        return encode(
            block.indptr, block.indices, block.data, source.X.shape[1], kind,
            witness=witness, allow_negative=job.options.allow_negative,
        )  # fmt: skip
    except RefusedError as refusal:
        # the first alone, because the other cells of its block depend on the memory given
        raise _RefusedAt(kind, source.obs.index[block.start + refusal.cells[:1]].astype(str).tolist()) from None
    except InvalidValueError as error:
        cell = source.obs.index[block.start + error.cell]
        raise SourceError(*_explain(source.X, str(source.path), error, cell, source.var.index)) from None


def _explain(matrix: Matrix, path: str, error: InvalidValueError, cell: str, genes: Any) -> tuple[str, str]:
    if error.problem == "gene":
        return (
            f"{path}: {matrix.name} names gene {error.gene} in cell {cell!r}, but has {matrix.shape[1]:,} genes",
            "the file is damaged: write it again from its source",
        )
    where = f"{path}: {matrix.name} at cell {cell!r}, gene {str(genes[error.gene])!r}"
    if error.problem == "repeated":
        return f"{where}: the gene is stored twice", "sum the duplicates first: adata.X.sum_duplicates()"
    if error.problem == "negative":
        return (
            f"{where}: negative value {error.value:g}",
            "the matrix looks scaled; choose the counts or log-normalised values with --raw or --layer NAME, "
            "or give --allow-negative to keep these values as they are",
        )
    name = "NaN" if error.problem == "nan" else "infinite"
    return f"{where}: the value is {name}", "replace or remove such values before building"


def _blocks_with_witness(job: BuildJob) -> Iterator[tuple[Block, NDArray | None]]:
    """Blocks of X, each with the known counts parallel to its values where the source has them."""
    source, size = job.source, job.block_bytes
    rows = _Rows(source.counts.blocks(size, job.work)) if source.counts is not None else None
    for block in source.X.blocks(size, job.work):
        witness = None
        if rows is not None:
            known = rows.take(block.n_cells)
            witness = np.zeros(len(block.data))
            align_witness(
                block.indptr, np.asarray(block.indices, np.int64),
                known.indptr, np.asarray(known.indices, np.int64), np.asarray(known.data, np.float64), witness,
            )  # fmt: skip
        yield block, witness


class _Rows:
    """Cut a stream of blocks at other places."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._parts: list[Block] = []

    def take(self, n_cells: int) -> Block:
        """Return the next ``n_cells`` cells as one block."""
        while sum(p.n_cells for p in self._parts) < n_cells:
            self._parts.append(next(self._blocks))
        whole = _join(self._parts)
        cut = whole.indptr[n_cells]
        rest = Block(
            whole.start + n_cells, whole.indptr[n_cells:] - cut, whole.indices[cut:].copy(), whole.data[cut:].copy()
        )
        self._parts = [rest] if rest.n_cells else []
        return Block(whole.start, whole.indptr[: n_cells + 1], whole.indices[:cut], whole.data[:cut])


def _join(parts: list[Block]) -> Block:
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([np.diff(p.indptr) for p in parts])
    return Block(
        parts[0].start,
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([p.indices for p in parts]),
        np.concatenate([p.data for p in parts]),
    )


_Filed = list[tuple[int, tuple[NDArray[Any], ...]]]


def _file(block: Encoded, positions: NDArray[np.int64], bucket_cells: int, n_genes: int) -> _Filed:
    """Order a block's cells by where they will go, and cut them at the buckets' edges.

    Each group holds: position within the bucket (uint32), number of genes (int64), number of levels (int64) and
    scale of each cell; then genes, counts and levels of the cells one after another.
    """
    n_cells = len(block.indptr) - 1
    order = np.argsort(positions[:n_cells], kind="stable")
    target = positions[:n_cells][order]
    lengths = np.diff(block.indptr)[order]
    genes = block.genes.astype(np.uint16 if n_genes <= layout.MAX_UINT16_GENES else np.uint32)
    genes, starts = _reorder(genes, block.indptr, order, lengths)
    counts, _ = _reorder(block.counts, block.indptr, order, lengths)
    if block.kind == "log1p":
        level_lengths = np.diff(block.level_indptr)[order]
        levels, level_starts = _reorder(block.levels, block.level_indptr, order, level_lengths)
        scale = block.scale[order]
    else:
        level_lengths, levels = np.zeros(n_cells, np.int64), block.levels
        level_starts, scale = np.zeros(n_cells + 1, np.int64), np.ones(n_cells, np.float32)
    edges = np.searchsorted(target, np.arange(target[0] // bucket_cells, target[-1] // bucket_cells + 2) * bucket_cells)
    filed: _Filed = []
    for a, b in pairwise(edges.tolist()):
        if a == b:
            continue
        bucket = int(target[a]) // bucket_cells
        local = (target[a:b] - bucket * bucket_cells).astype(np.uint32)
        filed.append((bucket, (
            local, lengths[a:b], level_lengths[a:b], scale[a:b],
            genes[starts[a] : starts[b]], counts[starts[a] : starts[b]], levels[level_starts[a] : level_starts[b]],
        )))  # fmt: skip
    return filed


def _reorder(
    elements: NDArray[Any], indptr: NDArray[np.int64], order: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Elements of the rows in another order, and where each row then starts (rows + 1)."""
    size = elements.dtype.itemsize
    starts = np.concatenate([[0], np.cumsum(lengths)])
    moved = np.empty_like(elements)
    copy_runs(elements.view(np.uint8), indptr[:-1][order] * size, lengths * size, moved.view(np.uint8), starts * size)
    return moved, starts
