"""Cells summed over what is compared: donors, or donors within a protocol."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from titin.atlas import UnknownNameError
from titin.features import gene_sets

if TYPE_CHECKING:
    from titin.atlas import Atlas
    from titin.check.dataset import CheckedDataset

FEWEST_CELLS = 20  # of a unit that is compared with others
_BATCH_VALUES = 50_000_000  # cells × genes read at a time; a few in a hundred are stored


@dataclass(frozen=True)
class Units:
    """Cells by unit.

    Attributes
    ----------
    table
        One row a unit: a column for each role it was made from (text) and ``cells``.
    codes
        int64 a cell: row of its unit, -1 for a cell that lacks one of the roles.
    """

    table: pd.DataFrame
    codes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.table)

    def sum(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Sum of a value a cell, by unit (float64)."""
        mine = self.codes >= 0
        return np.bincount(self.codes[mine], values[mine].astype(np.float64), minlength=len(self)).astype(np.float64)

    def median(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Median of a value a cell, by unit (float64)."""
        mine = self.codes >= 0
        medians = pd.Series(values[mine]).groupby(self.codes[mine]).median()
        return medians.reindex(range(len(self))).to_numpy(np.float64)

    def gene_counts(self, atlas: "Atlas", genes: Sequence[str]) -> NDArray[np.float64]:
        """Counts of genes summed by unit, shape ``(units, genes)``; a bounded number of genes is held at a time."""
        mine = np.flatnonzero(self.codes >= 0)
        which = sparse.csr_array((np.ones(len(mine)), (self.codes[mine], mine)), shape=(len(self), len(self.codes)))
        batch = max(1, _BATCH_VALUES // max(len(self.codes), 1))
        parts = [
            (which @ atlas.counts[:, list(genes[i : i + batch])].astype(np.float64)).toarray()
            for i in range(0, len(genes), batch)
        ]
        return np.hstack(parts) if parts else np.zeros((len(self), 0))

    def name(self, row: int) -> str:
        """Name of a unit, for messages: the donor, and what of it."""
        first, *rest = (str(v) for v in self.table.drop(columns="cells").iloc[row])
        return f"{first} ({', '.join(rest)})" if rest else first


def units(context: "CheckedDataset", roles: Sequence[str]) -> Units:
    """Group the cells by the roles that the dataset has."""
    known = [role for role in roles if context.missing(role) is None]
    keys = pd.DataFrame({role: context.column(role).astype("string").to_numpy() for role in known}, dtype="string")
    grouped = keys.groupby(known, sort=True, dropna=True)
    codes: NDArray[np.int64] = np.asarray(grouped.ngroup().fillna(-1), np.int64)
    table = grouped.size().reset_index(name="cells")
    return Units(table, codes)


def present(atlas: "Atlas", genes: Iterable[str]) -> list[str]:
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


def bundled(context: "CheckedDataset", name: str) -> list[str]:
    """Genes of a bundled set that the dataset has."""
    return present(context.atlas, gene_sets()[name].genes)


def protocol_kind(name: object) -> str | None:
    """``cells`` or ``nuclei`` by the name of a protocol; None if it says neither.

    Examples
    --------
    >>> protocol_kind("snRNA-seq"), protocol_kind("single cell"), protocol_kind("3' v2")
    ('nuclei', 'cells', None)
    """
    plain = re.sub(r"[\s._-]+", "", str(name)).lower()
    if re.search(r"nucle|^sn(rna|$)", plain):
        return "nuclei"
    return "cells" if re.search(r"cell|^sc(rna|$)", plain) else None


def sex_of(name: object) -> str | None:
    """``F`` or ``M`` by a recorded sex; None for anything else."""
    plain = str(name).strip().lower()
    return "F" if plain in ("f", "female", "woman") else "M" if plain in ("m", "male", "man") else None


def normalised(context: "CheckedDataset", gene: str) -> NDArray[np.float32]:
    """Values of a gene that can be compared between cells.

    Of kind ``log1p`` and ``real`` the dataset's own; of kind ``counts``, log1p of counts in 10,000.
    """
    if context.manifest.kind != "counts":
        return context.atlas[gene].to_numpy(np.float32)
    total = np.maximum(context.totals.n_counts, 1)
    return np.log1p(context.atlas.counts_of(gene).to_numpy() / total * 1e4).astype(np.float32)
