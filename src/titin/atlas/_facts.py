"""What is known of a dataset from its manifest alone."""

from pathlib import Path
from typing import Any

from titin.atlas._store import Store
from titin.dataset.layout import Layout
from titin.dataset.manifest import Manifest


class Facts:
    """Size, kind, roles and names, of which nothing is to be read."""

    store: Store

    @property
    def manifest(self) -> Manifest:
        """What ``titin.json`` says."""
        return self.store.manifest

    @property
    def folder(self) -> Path:
        """The folder of a local dataset.

        Raises
        ------
        TitinError
            If the dataset lies elsewhere.
        """
        return self.store.folder

    @property
    def layout(self) -> Layout:
        """File names."""
        return self.manifest.layout

    @property
    def kind(self) -> str:
        """What the values are: ``counts``, ``log1p`` or ``real``; see `titin.dataset.codec`."""
        return self.manifest.kind

    @property
    def roles(self) -> dict[str, Any]:
        """Which obs column plays which part: cell_type (several), donor, sample, age, sex, protocol, chemistry."""
        return self.manifest.roles

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, genes."""
        return self.manifest.n_cells, self.manifest.n_genes

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return self.manifest.n_cells

    @property
    def n_vars(self) -> int:
        """Number of genes."""
        return self.manifest.n_genes
