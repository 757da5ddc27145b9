"""First pass over the source: encode every cell, gather each gene's sums, and file the cells by where they will go."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from titin.builder.cell_buckets import Cells, file_block, run_cells
from titin.builder.evidence import Evidence, cell_sums
from titin.builder.job import CELLS, BuildJob
from titin.builder.scan_on_workers import EncodedRows, encode_on_workers
from titin.dataset import layout
from titin.dataset.block import Block
from titin.dataset.codec import Encoded, InvalidValueError, RefusedError, encode
from titin.dataset.kernels import accumulate
from titin.dataset.kinds import Kind, ValueKind, candidates
from titin.dataset.spill import Spill
from titin.errors import SourceError
from titin.parallel import ordered_map, read_ahead
from titin.shelf import Shelf, let_go_of_pages
from titin.source import Matrix, Source
from titin.source.counted import blocks_with_counts

_HEAD_CELLS = 256  # of which the kind is told


@dataclass
class Scan:
    """The result of the first pass; kept on disk beside the spilled cells.

    Attributes
    ----------
    kind, base
        See `titin.dataset.kinds`.
    bucket_cells, strip_values
        Cells of a bucket; cell position // bucket_cells is its bucket. Values of the genes that are gathered at a time.
    totals
        float64, genes × 6 in source order: cells, counts, sum and sum of squares of the values, and of the
        linear (normalised, not logged) values.
    wide_counts
        Whether a count needs 32 bits.
    largest, negative
        The largest value, and whether there is one below 0.
    n_witnessed
        Cells whose recovered counts are those of the matrix beside X: all of them were compared.
    n_beyond
        Counts of that matrix whose values are zero: of genes that were filtered, or wrong.
    target_sum, target_of
        Counts a cell was normalised to, where it is the same for all cells; and which total of a cell that is: the
        sum of its counts (``counts``), or an obs column (a total taken before genes were removed).
    target_column
        The obs column that holds this total of every cell; empty if none does.
    refused
        For each kind tried in vain, the first cells that were not of it, or what all cells together spoke against it.
    detection
        Of each gene, what tokens are given by: cells that express it in X, where this is a layer; empty where it is
        those of this matrix.
    """

    kind: Kind
    bucket_cells: int
    totals: NDArray[np.float64]
    strip_values: int
    base: str = "e"
    nnz: int = 0
    wide_counts: bool = False
    float64: bool = False
    worst_ulp: float = 0.0
    largest: float = 0.0
    negative: bool = False
    n_witnessed: int = 0
    n_beyond: int = 0
    target_sum: float | None = None
    target_of: str = ""
    target_column: str = ""
    n_zeros: int = 0
    n_unsorted: int = 0
    n_empty: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)
    detection: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def value_kind(self) -> ValueKind:
        """What the values are, with all that follows from it."""
        return ValueKind(self.kind, self.base)

    @property
    def n_cells_by_gene(self) -> NDArray[np.int64]:
        """Number of cells that express each gene, in source order."""
        return self.totals[:, 0].astype(np.int64)

    @property
    def source_columns(self) -> NDArray[np.int64]:
        """Source position of each token: genes by descending detection, ties by source order."""
        return np.argsort(-(self.detection if len(self.detection) else self.totals[:, 0]), kind="stable")

    @property
    def tokens(self) -> NDArray[np.int32]:
        """Token of each gene, in source order."""
        tokens = np.empty(len(self.totals), np.int32)
        tokens[self.source_columns] = np.arange(len(self.totals), dtype=np.int32)
        return tokens

    @property
    def element(self) -> np.dtype:
        """Type of the counts, or of the values of a ``real`` matrix."""
        if not self.value_kind.has_counts:
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

    def __init__(self, scan: Scan, n_cells: int, shelf: Shelf) -> None:
        self.scan, self.evidence = scan, Evidence(n_cells if scan.value_kind.has_levels else 0, shelf)

    def add(self, block: Encoded) -> None:
        scan, kind = self.scan, self.scan.value_kind
        if kind.has_levels:
            self.evidence.add(block)
            scan.float64 |= block.levels.dtype == np.float64
        if kind.lognorm_of_counts:
            factor = layout.TARGET_SUM / np.maximum(cell_sums(block), 1.0)
        elif kind.has_counts:
            factor = 1.0 / block.scale.astype(np.float64)
        else:
            factor = np.ones(len(block.indptr) - 1)
            scan.float64 |= block.counts.dtype == np.float64
        accumulate(block.indptr, block.genes, block.values, block.counts, factor, scan.totals)
        scan.nnz += len(block.genes)
        scan.wide_counts |= block.counts.dtype == np.uint32
        scan.worst_ulp = max(scan.worst_ulp, float(block.worst_ulp))
        scan.largest = max(scan.largest, float(block.values.max(initial=0.0)))
        scan.negative |= bool(block.values.min(initial=0.0) < 0)
        scan.n_zeros += block.n_zeros
        scan.n_unsorted += block.n_unsorted
        scan.n_empty += int((np.diff(block.indptr) == 0).sum())

    def finish(self, obs: pd.DataFrame) -> Scan:
        """Add what only all cells together tell.

        Raises
        ------
        _RefusedAt
            If they are not of their kind after all.
        """
        if self.scan.value_kind.has_levels:
            if self.scan.nnz and (doubt := self.evidence.doubt()):
                raise _RefusedAt(self.scan.value_kind, [f"all cells together: {doubt[0]}"], as_any=doubt[1])
            self.scan.n_witnessed = self.evidence.n_witnessed
            if target := self.evidence.target(obs):
                self.scan.target_of, self.scan.target_sum = target
                column = self.evidence.column(obs, target[1])
                self.scan.target_column = column if isinstance(column, str) else ""
        return self.scan


def scan(job: BuildJob) -> tuple[Scan, Spill]:
    """Encode all cells as the first kind that all of them are, and file them by bucket.

    Raises
    ------
    SourceError
        For a value that no dataset can hold; names the cell and the gene.
    """
    refused: dict[str, list[str]] = {}
    known = job.source.kind
    kinds = candidates(job.source.uns) if known is None else [known]
    while True:
        try:
            return _scan_as(job, kinds, refused)
        except _RefusedAt as refusal:
            if known is not None:
                raise _not_of(job.source, known, refusal.cells) from None
            refused[str(refusal.kind)] = refusal.cells
            kinds = kinds[kinds.index(refusal.kind) + 1 :]
            if refusal.as_any:
                kinds = [kind for kind in kinds if not kind.has_levels]


class _RefusedAt(Exception):  # noqa: N818 - a turn in the road, not an error
    """``as_any``: no other way of making values of counts need be tried."""

    def __init__(self, kind: ValueKind, cells: list[str], *, as_any: bool = False) -> None:
        self.kind, self.cells, self.as_any = kind, cells, as_any


def _scan_as(job: BuildJob, kinds: list[ValueKind], refused: dict[str, list[str]]) -> tuple[Scan, Spill]:
    source, (n_cells, n_genes) = job.source, job.source.X.shape
    blocks = read_ahead(blocks_with_counts(source.X, source.counts, job.block_bytes, job.work))
    spill: Spill | None = None
    try:
        first = next(blocks)
        kind = kind_of_head(source, first, kinds, refused, allow_negative=job.options.allow_negative)
        cells_a_run = run_cells(n_cells, job.bucket_cells)
        spill = Spill(job.work / CELLS, -(-n_cells // cells_a_run))
        tally = _Tally(Scan(
            kind.name, job.bucket_cells, np.zeros((n_genes, 6)), job.resources.bucket_values // 2, base=kind.base,
            refused=refused,
        ), n_cells, job.shelf)  # fmt: skip

        job.progress.start("read and encode", n_cells, "cells")
        with closing(_encoded(job, kind, chain([first], blocks), cells_a_run)) as parts:
            for part in parts:
                tally.add(part.encoded)
                tally.scan.n_beyond += part.n_beyond
                for bucket, arrays in part.filed:
                    spill.append(bucket, *arrays)
                let_go_of_pages()
                job.progress.advance(part.n_cells)
        found = tally.finish(job.source.obs)
        spill.finish()
        return found, spill
    except BaseException:
        if spill is not None:
            spill.discard()
        raise
    finally:
        blocks.close()


@dataclass(frozen=True)
class _Part:
    """Cells of the source that are encoded, and as they are to be filed."""

    n_cells: int
    n_beyond: int
    encoded: Encoded
    filed: list[tuple[int, Cells]]


def _encoded(job: BuildJob, kind: ValueKind, blocks: Iterable[Block], cells_a_run: int) -> Generator[_Part, None, None]:
    """Encode all cells, in the order of the source: in threads, or on the workers of a cluster if these can read it.

    Parameters
    ----------
    blocks
        The source, which workers read themselves.
    """
    source, n_genes = job.source, job.source.X.shape[1]

    def part(start: int, n_cells: int, n_beyond: int, encoded: Encoded) -> _Part:
        return _Part(n_cells, n_beyond, encoded, file_block(encoded, job.positions[start:], cells_a_run, n_genes))

    def here(block: Block) -> _Part:
        encoded = _encode(source, block, kind, job.options.allow_negative)
        return part(block.start, block.n_cells, block.n_beyond, encoded)

    def there(rows: EncodedRows) -> _Part:
        with _naming_cells(source, rows.start, kind):
            return part(rows.start, rows.n_cells, rows.n_beyond, rows.encoded())

    cluster = job.resources.cluster
    distant = None if cluster is None else encode_on_workers(job, kind, cluster)
    if distant is None:
        yield from ordered_map(here, blocks, job.resources.threads)
        return
    with closing(distant):
        yield from ordered_map(there, distant, job.resources.threads)


def kind_of_head(
    source: Source, first: Block, kinds: list[ValueKind], refused: dict[str, list[str]], *, allow_negative: bool = False
) -> ValueKind:
    """The first kind that the first cells are of; a wrong one is refused by most cells, so that few will do.

    Parameters
    ----------
    first
        The first block of X.
    kinds
        In the order in which they are tried.
    refused
        Told which cells are not of the kinds before.

    Raises
    ------
    SourceError
        If they are of none.
    """
    head = first.part(0, min(_HEAD_CELLS, first.n_cells))
    for kind in kinds:
        try:
            _encode(source, head, kind, allow_negative)
        except _RefusedAt as refusal:
            refused[str(kind)] = refusal.cells
        else:
            return kind
    if kinds[-1].has_counts:
        raise _not_of(source, kinds[-1], refused[str(kinds[-1])])
    raise SourceError(
        f"{source.path}: {source.X.name} holds integers too large to keep exactly (over 2^53)",
        "store it as floating point, or choose another matrix with --layer or --raw",
    )


def _not_of(source: Source, kind: ValueKind, cells: list[str]) -> SourceError:
    """Values that were to be of a kind are not."""
    return SourceError(
        f"{source.path}: not all values are of kind {kind}: {', '.join(cells)}",
        "build each file by itself: that tells what its values are",
    )


def _encode(source: Source, block: Block, kind: ValueKind, allow_negative: bool) -> Encoded:
    with _naming_cells(source, block.start, kind):
        return encode(
            block.indptr, block.indices, block.data, source.X.shape[1], kind.name, base=kind.base,
            witness=block.counts, allow_negative=allow_negative,
        )  # fmt: skip


@contextmanager
def _naming_cells(source: Source, start: int, kind: ValueKind) -> Iterator[None]:
    """Say which cell of the source is meant where a block that begins at ``start`` cannot be encoded."""
    try:
        yield
    except RefusedError as refusal:
        # the first alone, because the other cells of its block depend on the memory given
        raise _RefusedAt(kind, source.obs.index[start + refusal.cells[:1]].astype(str).tolist()) from None
    except InvalidValueError as error:
        cell = source.obs.index[start + error.cell]
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
