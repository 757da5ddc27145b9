"""Genes that checks look for, as far as a dataset has them, and their values."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from titin.atlas import Atlas, UnknownNameError
from titin.check.dataset import CheckedDataset
from titin.features import gene_sets


def present(atlas: Atlas, genes: Iterable[str]) -> list[str]:
    """Names under which the atlas has genes: as spelt, or in a mouse's spelling; ambiguous ones are left out."""
    names = []
    for gene in genes:
        for spelling in (gene, gene.capitalize()):
            if spelling in atlas:
                try:
                    atlas.gene_positions([spelling])
                except UnknownNameError:
                    continue
                names.append(spelling)
                break
    return list(dict.fromkeys(names))


def bundled(dataset: CheckedDataset, name: str) -> list[str]:
    """Genes of a bundled set that the dataset has."""
    return present(dataset.atlas, gene_sets()[name].genes)


def normalised(dataset: CheckedDataset, gene: str) -> NDArray[np.float32]:
    """Values of a gene that can be compared between cells.

    Of kind ``log1p`` and ``real`` the dataset's own; of kind ``counts``, log1p of counts in 10,000.
    """
    if dataset.manifest.kind != "counts":
        return dataset.atlas[gene].to_numpy(np.float32)
    total = np.maximum(dataset.totals.n_counts, 1)
    return np.log1p(dataset.atlas.counts_of(gene).to_numpy() / total * 1e4).astype(np.float32)
