"""Small atlases with the published design: with planted ageing, and without."""

import pytest

import titin
from titin.demo import make_demo_atlas


def build_demo(folder, *, n_cells, n_genes, age_effect, seed=0):
    make_demo_atlas(n_cells=n_cells, n_genes=n_genes, age_effect=age_effect, seed=seed).write_h5ad(folder / "a.h5ad")
    titin.build(folder / "a.h5ad", folder / "dataset", preset="muscle", donors=_donors(folder))
    return titin.open(folder / "dataset")


def _donors(folder):
    from titin.demo import write_donor_table

    write_donor_table(folder / "donors.csv")
    return folder / "donors.csv"


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """With planted ageing."""
    return build_demo(tmp_path_factory.mktemp("ageing"), n_cells=2500, n_genes=600, age_effect=True)


@pytest.fixture(scope="session")
def ageless(tmp_path_factory):
    """Without: nothing but the donors differs between ages."""
    return build_demo(tmp_path_factory.mktemp("ageless"), n_cells=9000, n_genes=300, age_effect=False)
