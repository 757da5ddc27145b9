"""Levels that do not fit in memory are read of the cells that have the gene, and of no others."""

import numpy as np
import pytest

import titin
from titin.atlas import gene_values
from titin.dataset import layout
from titin.demo import write_demo_atlas


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("levels")
    source = write_demo_atlas(folder / "a.h5ad", n_cells=3 * layout.ROW_GROUP_CELLS - 100, n_genes=150)
    titin.build(source, folder / "d", project=())
    return folder / "d"


def test_a_gene_reads_the_levels_of_its_own_row_groups(dataset, monkeypatch) -> None:
    kept = titin.open(dataset)
    assert kept.kind == "log1p"
    wanted = {gene: kept[gene] for gene in kept.var_names}
    monkeypatch.setattr(gene_values, "_CACHE_SHARE", 2**60)
    read, own = [], gene_values.read_levels
    monkeypatch.setattr(gene_values, "read_levels", lambda store, group: read.append(group) or own(store, group))
    atlas = titin.open(dataset)
    numbers = set()
    for gene, values in wanted.items():
        read.clear()
        assert atlas[gene].equals(values)
        cells = np.flatnonzero(values.to_numpy())
        assert sorted(group.first_row for group in read) == sorted(
            {int(cell) // layout.ROW_GROUP_CELLS * layout.ROW_GROUP_CELLS for cell in cells}
        )
        numbers.add(len(read))
    assert max(numbers) == 3
