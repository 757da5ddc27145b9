"""Small atlases with the published design: with planted ageing, and without."""

import pytest
from small_demos import build_demo

import titin


@pytest.fixture(scope="session")
def demo(made_once):
    """With planted ageing."""
    folder = made_once("ageing", lambda folder: build_demo(folder, n_cells=2500, n_genes=600, age_effect=True))
    return titin.open(folder / "dataset")


@pytest.fixture(scope="session")
def ageless(made_once):
    """Without: nothing but the donors differs between ages."""
    folder = made_once("ageless", lambda folder: build_demo(folder, n_cells=9000, n_genes=300, age_effect=False))
    return titin.open(folder / "dataset")
