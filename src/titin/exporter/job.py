"""What the writers of all formats are given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from titin.atlas.source_blocks import source_blocks
from titin.dataset.block import Block
from titin.dataset.manifest import Manifest
from titin.dataset.store import Store
from titin.progress import Progress
from titin.resources import Resources


@dataclass(frozen=True)
class ExportJob:
    """One export: where from, with what, how told.

    Attributes
    ----------
    scratch
        Folder for intermediate files, beside the output.
    counts
        Integer counts instead of the source's values.
    genes
        Symbols or ids (``wide`` only); None for all.
    compression
        Of ``.h5ad``: None, ``gzip`` or ``lzf``.
    terms
        File of terms of a ``cellxgene`` export.
    """

    store: Store
    scratch: Path
    resources: Resources
    progress: Progress
    counts: bool = False
    genes: Sequence[str] | None = None
    compression: str | None = None
    terms: Path | None = None

    def of(self, store: Store) -> "ExportJob":
        """The job as if a further matrix were the matrix: its own values."""
        return replace(self, store=store, counts=False)

    def blocks(self, columns: NDArray[np.int64] | None = None) -> Iterator[Block]:
        """The cells in the order of the source, read in threads or by the workers of a cluster.

        Parameters
        ----------
        columns
            Of the source, ascending; all where not given.
        """
        own = self.resources
        return source_blocks(self.store, self.scratch, own, counts=self.counts, columns=columns, cluster=own.cluster)

    @property
    def manifest(self) -> Manifest:
        """What the dataset says of itself."""
        return self.store.manifest
