"""Metacells keep every count and every donor apart, and what is regressed is free of donors and depth."""

import numpy as np
import pytest
from planted import planted_atlas
from scipy import sparse

from titin.network.metacells import draw_cells, make_metacells, standardise

DONORS, CELLS = 4, 50


@pytest.fixture(scope="module")
def counts() -> sparse.csr_matrix:
    study = planted_atlas(donors=DONORS, cells=CELLS)
    return sparse.csr_matrix(study.X[(study.obs["cell_type"] == "T cell").to_numpy()])


@pytest.fixture(scope="module")
def donor() -> np.ndarray:
    return np.repeat(np.arange(DONORS), CELLS)


def test_no_count_is_lost_and_no_metacell_has_two_donors(counts: sparse.csr_matrix, donor: np.ndarray) -> None:
    batch = np.arange(DONORS * CELLS) % 2
    sums, of, in_batch = make_metacells(counts, donor, batch, size=5)
    for d in range(DONORS):
        for b in range(2):
            own = (donor == d) & (batch == b)
            found = sums[(of == d) & (in_batch == b)]
            np.testing.assert_allclose(found.sum(axis=0), counts[own].sum(axis=0), rtol=1e-6)
            assert 25 / 9 <= found.shape[0] <= 25 / 5
    assert (np.diff(of) >= 0).all()


def test_like_cells_are_together(counts: sparse.csr_matrix, donor: np.ndarray) -> None:
    """Genes of one regulator vary more between metacells than between as many cells drawn at random."""
    own = np.arange(4 + 3 * 8, 4 + 3 * 8 + 7)
    sums = make_metacells(counts, donor, np.zeros_like(donor), size=5)[0]
    drawn = np.random.default_rng(0).permutation(len(donor)).reshape(-1, 5)
    random = np.asarray([counts[rows].sum(axis=0).A1 for rows in drawn])
    share = [x[:, own].sum(axis=1) / x.sum(axis=1) for x in (sums.toarray(), random)]
    assert share[0].std() > 1.1 * share[1].std()


def test_values_are_free_of_donors_and_depth(counts: sparse.csr_matrix, donor: np.ndarray) -> None:
    sums, of, batch = make_metacells(counts, donor, np.zeros_like(donor), size=5)
    values = standardise(sums, of, batch, np.arange(20)).astype(float)
    depth = np.log(np.asarray(sums.sum(axis=1)).ravel())
    for d in range(DONORS):
        depth[of == d] -= depth[of == d].mean()
        assert np.abs(values[of == d].mean(axis=0)).max() < 1e-5
    assert np.abs(depth @ values / len(values)).max() < 1e-5
    np.testing.assert_allclose((values**2).mean(axis=0), 1, atol=1e-4)


def test_a_gene_without_variance_is_nothing() -> None:
    flat = sparse.csr_matrix(np.array([[5.0, 0], [5, 0], [5, 0]]))
    assert (standardise(flat, np.array([0, 0, 1]), np.zeros(3, int), np.arange(2)) == 0).all()


def test_what_is_drawn_of_a_donor_depends_on_that_donor_alone() -> None:
    cells, donor = np.arange(100), np.repeat([0, 1], 50)
    drawn = draw_cells(cells, donor, most=20, seed=1)
    alone = draw_cells(cells[50:], donor[50:], most=20, seed=1)
    assert len(drawn) == 40
    assert drawn[drawn >= 50].tolist() == alone.tolist()
    assert draw_cells(cells, donor, most=60, seed=1).tolist() == cells.tolist()
    assert draw_cells(cells, donor, most=20, seed=2).tolist() != drawn.tolist()
