"""What one pass over the matrix leaves for all checks that need sums."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Totals:
    """Sums over every stored value, recomputed from ``expression``.

    Attributes
    ----------
    n_genes
        int64 a cell, in the dataset's order: genes detected.
    n_counts
        float64 a cell: sum of its counts; of kind ``real``, of its values.
    mitochondrial
        float64 a cell: the part of ``n_counts`` that lies on mitochondrial genes (symbol begins with ``MT-``,
        whatever the case).
    value_sums
        float64 a cell: sum of the source's values.
    gene_n_cells
        int64 a gene, in the source's order (that of ``var``): cells that express it.
    gene_n_counts
        float64 a gene: sum of counts; of kind ``real``, of values.
    gene_sums, gene_squares
        float64 a gene: sum of the source's values, and of their squares.
    """

    n_genes: NDArray[np.int64]
    n_counts: NDArray[np.float64]
    mitochondrial: NDArray[np.float64]
    value_sums: NDArray[np.float64]
    gene_n_cells: NDArray[np.int64]
    gene_n_counts: NDArray[np.float64]
    gene_sums: NDArray[np.float64]
    gene_squares: NDArray[np.float64]

    @property
    def percent_mito(self) -> NDArray[np.float64]:
        """Share of a cell's counts on mitochondrial genes, 0 … 100; NaN for a cell without counts."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 100 * self.mitochondrial / self.n_counts

    @property
    def facts(self) -> dict[str, Any]:
        """A few of them, JSON-safe."""
        return {
            "nonzeros": int(self.n_genes.sum()),
            "counts": float(self.n_counts.sum()),
            "median_genes": float(np.median(self.n_genes)) if len(self.n_genes) else None,
            "median_counts": float(np.median(self.n_counts)) if len(self.n_counts) else None,
        }
