from collections.abc import Callable
from pathlib import Path

import pytest
from planted import ROLES, edges, planted_atlas

import titin


@pytest.fixture(scope="session")
def planted(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A folder with ``dataset``, 12 donors and planted regulators, and their network, ``edges.csv``."""

    def make(folder: Path) -> None:
        planted_atlas().write_h5ad(folder / "atlas.h5ad")
        titin.build(folder / "atlas.h5ad", folder / "dataset", roles=ROLES, project=())
        edges().to_csv(folder / "edges.csv", index=False)

    return made_once("planted", make)
