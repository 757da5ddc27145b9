"""Networks that a backend infers of each donor's own cells, and what titin takes from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from titin.errors import TitinError

Singles = NDArray[np.float32]


@runtime_checkable
class DonorBackend(Protocol):
    """Infers a network of each donor from the counts of its cells.

    Attributes
    ----------
    most_genes, most_cells
        Genes that it is given at most, but for regulators; cells of a donor.
    """

    most_genes: int
    most_cells: int

    def infer_donors(
        self, counts: sparse.csr_matrix, depth: NDArray[np.float64], donor: NDArray[np.int64], genes: Sequence[str],
        gene_ids: Sequence[str], regulators: Sequence[str],
    ) -> Singles:  # fmt: skip
        """Infer the networks of one cell type and protocol.

        Parameters
        ----------
        counts
            Cells × genes.
        depth
            Counts of each cell in all genes of the dataset.
        donor
            Place of each cell's donor, from 0, none left out.
        genes, gene_ids
            Symbols and ids of the columns.
        regulators
            Symbols of those that may regulate.

        Returns
        -------
        ndarray
            float32, donors × regulators × genes, not below 0 where the backend knows no sign: edges then have that of
            the correlation.
        """
        ...


@dataclass(frozen=True, eq=False)
class DonorNetworks:
    """Weights of each donor, float32, donors × regulators × genes; of others see `titin.network.ridge.Fit`."""

    by_donor: Singles

    @cached_property
    def weights(self) -> Singles:
        """Mean over donors, regulators × genes."""
        return self.of_draw(range(len(self.by_donor)))

    def of_draw(self, donors: Sequence[int]) -> Singles:
        """Mean over some donors, as often as they are named."""
        share = np.bincount(np.asarray(donors, np.int64), minlength=len(self.by_donor)) / len(donors)
        return np.asarray(np.tensordot(share.astype(np.float32), self.by_donor, axes=1), np.float32)

    def of_donors(
        self,
        regulators: NDArray[np.int64],
        genes: NDArray[np.int64],
        starts: NDArray[np.int64],  # noqa: ARG002 - as of `Fit`
    ) -> NDArray[np.float64]:
        """Each donor's weight of some edges, edges × donors."""
        return self.by_donor[:, regulators, genes].T.astype(np.float64)


def check_donor_weights(found: Singles, backend: str, shape: tuple[int, int, int], signs: Singles) -> DonorNetworks:
    """What a backend gave, of the right shape, with signs where it has none, and 0 for what is no number.

    Raises
    ------
    TitinError
        If the shape is another.
    """
    found = np.asarray(found, np.float32)
    if found.shape != shape:
        raise TitinError(f"the backend {backend} gave {found.shape} weights, not {shape}",
                         "it must give donors × regulators × genes")  # fmt: skip
    found = np.nan_to_num(found)
    return DonorNetworks(found if (found < 0).any() else found * signs)
