"""The scripts of calibration on a small size: real pseudobulk without an effect, and with one made by thinning."""

import numpy as np
import pytest

from calibration import load


@pytest.fixture(scope="module")
def endothelium(shared):
    """Endothelial cells of 22 hearts."""
    return load("real_pseudobulk").hearts(shared / "data").select(cell_type="Endo")


def test_hardly_a_gene_of_real_donors_with_made_up_ages_is_found(endothelium):
    tests = load("expression_null").null_tests(endothelium, ["voom"], 8, 3)
    assert tests["genes"].tolist() == [358, 565, 383, 426, 567, 653, 428, 585]
    assert tests["hit"].tolist() == [run == 3 for run in range(8)]
    assert tests[0.05].mean() == pytest.approx(0.0514, abs=5e-4)
    assert (tests[1e-4] == 0).all()


def test_what_is_planted_in_real_donors_is_found_with_its_sign(shared):
    muscle = load("real_pseudobulk").hearts(shared / "data").select(cell_type="CM")
    tests = load("expression_power").planted_tests(muscle, ["voom"], 2, 3)
    large, found = tests["effect"].abs() >= 0.9, tests["found"]
    assert [large.sum(), (found & large).sum(), (found & (tests["effect"] == 0)).sum()] == [186, 23, 1]
    assert tests["sign"][found & large].all()


def test_thinning_changes_counts_by_the_planted_effect_alone(endothelium):
    rng = np.random.default_rng(0)
    dealt = load("real_pseudobulk").make_up_ages(endothelium, rng)
    thinned, effects = load("expression_power").plant(dealt, rng)
    before, after, effect = dealt.counts.toarray(), thinned.counts.toarray(), effects.to_numpy()
    assert (after <= before).all()
    np.testing.assert_array_equal(after[:, effect == 0], before[:, effect == 0])
    years = dealt.groups["age"].to_numpy()
    for rises, whole in ((effect > 0, years.argmax()), (effect < 0, years.argmin())):
        kept = after[:, rises].sum(axis=1) / before[:, rises].sum(axis=1)
        assert kept[whole] == 1
        assert kept[years.argmin() + years.argmax() - whole] < 0.35
        assert abs(np.corrcoef(kept, years)[0, 1]) > 0.6
