"""The cells of several studies as one matrix and one origin, one study after another."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from titin.atlas.source_blocks import sort_entries
from titin.dataset.block import Block
from titin.source import Matrix, Source
from titin.source.counted import blocks_with_counts


@dataclass(frozen=True)
class StackedStudy:
    """One study of a stack.

    Attributes
    ----------
    source
        Its matrices.
    columns
        int32, the column of the stack of each of its genes; -1 for none.
    """

    source: Source
    columns: NDArray[np.int32]


class StackedMatrix(Matrix):
    """The matrices of several studies, one under another, genes by their columns; what a study lacks is no entry.

    Parameters
    ----------
    studies
        In their order.
    n_genes
        Columns of the stack.
    name
        Where AnnData has the matrix.
    """

    def __init__(self, studies: Sequence[StackedStudy], n_genes: int, name: str = "X") -> None:
        self.name = name
        matrices = [study.source.X for study in studies]
        self._studies = studies
        self.shape = (sum(matrix.shape[0] for matrix in matrices), n_genes)
        self.dtype = np.result_type(*(matrix.dtype for matrix in matrices))
        self.storage = "dense" if all(matrix.storage == "dense" for matrix in matrices) else "csr"
        known = [matrix.shape[0] * matrix.shape[1] if matrix.nnz is None else matrix.nnz for matrix in matrices]
        self.nnz = sum(known)  # at most: genes that are left out count, too
        self._has_counts = any(study.source.counts is not None for study in studies)

    def blocks(self, max_bytes: int, scratch: Path) -> Iterator[Block]:
        """Yield all cells once, study after study; see `Matrix.blocks`."""
        start = 0
        for study in self._studies:
            source = study.source
            for block in blocks_with_counts(source.X, source.counts, max_bytes, scratch):
                yield self._moved(block, start + block.start, study.columns)
            start += source.X.shape[0]

    def _moved(self, block: Block, start: int, column_of: NDArray[np.int32]) -> Block:
        columns = column_of[block.indices]
        kept = columns >= 0
        data = block.data.astype(self.dtype, copy=False)
        counts = block.counts
        if counts is None and self._has_counts:
            counts = np.zeros(len(data))
        indptr = block.indptr
        if not kept.all():
            ends = np.concatenate([[0], np.cumsum(kept)])
            indptr, columns, data = ends[indptr], columns[kept], data[kept]
            counts = None if counts is None else counts[kept]
        ascending = bool((np.diff(column_of[column_of >= 0]) > 0).all())
        if not ascending:
            local = np.arange(block.n_cells, dtype=np.int32)
            indptr, columns, entries = sort_entries(indptr, columns, local, self.shape[1])
            data, counts = data[entries], None if counts is None else counts[entries]
        return Block(start, indptr, columns, data, counts, block.n_beyond)


class StackedOrigin:
    """Several sources as one origin.

    Parameters
    ----------
    sources
        In their order.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self.path = Path(" and ".join(dict.fromkeys(source.path.name for source in sources)))

    @cached_property
    def _sha256(self) -> str:
        return self._joined(lambda source: source.sha256())

    def _joined(self, told: Callable[[Source], str]) -> str:
        said = "".join(f"{told(source)}\n" for source in self._sources)
        return hashlib.sha256(said.encode()).hexdigest()

    def sha256(self) -> str:
        """Checksum of the checksums of all."""
        return self._sha256

    def fingerprint(self) -> str:
        """Checksum of the fingerprints of all."""
        return self._joined(lambda source: source.inventory.fingerprint())

    def check_unchanged(self) -> None:
        """Refuse them where one is not as it was; see `titin.source.Source.check_unchanged`."""
        for source in self._sources:
            source.check_unchanged()
