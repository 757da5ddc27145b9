"""Small demo atlases, built."""

import titin
from titin.demo import make_demo_atlas, write_donor_table


def build_demo(folder, *, n_cells, n_genes, age_effect, seed=0):
    make_demo_atlas(n_cells=n_cells, n_genes=n_genes, age_effect=age_effect, seed=seed).write_h5ad(folder / "a.h5ad")
    titin.build(folder / "a.h5ad", folder / "dataset", preset="muscle", donors=_donors(folder))
    return titin.open(folder / "dataset")


def _donors(folder):
    write_donor_table(folder / "donors.csv")
    return folder / "donors.csv"
