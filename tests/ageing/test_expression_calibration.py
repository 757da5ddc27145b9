"""The scripts of calibration on a small size: real pseudobulk without an effect, and with one made by thinning."""

import numpy as np
import pandas as pd
import pytest
from ageing_data import draw_pseudobulk

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


def test_ages_are_dealt_to_donors_and_to_nothing_else():
    data = draw_pseudobulk(0, protocols=("cells", "nuclei"), n_genes=40)
    dealt = load("twins").deal_ages(data, np.random.default_rng(1))
    before, after = (one.groups.groupby("donor")["age"].unique().str.len() for one in (data, dealt))
    assert (before == 1).all()
    assert (after == 1).all()
    assert sorted(dealt.groups["age"]) == sorted(data.groups["age"])
    assert (dealt.groups["age"] != data.groups["age"]).any()
    pd.testing.assert_frame_equal(dealt.groups.drop(columns="age"), data.groups.drop(columns="age"))
    assert dealt.counts is data.counts


def test_tests_of_one_twin_are_not_taken_for_independent():
    """Where a discovery in one type is one in all, the error is that of as many tests as there are twins."""
    module = load("expression_twins")
    rng = np.random.default_rng(2)
    twin = np.repeat(np.arange(40), 10)
    hit = np.repeat(rng.random(40) < 0.25, 10)
    tests = pd.DataFrame({"twin": twin, "hit": hit, "genes": 100, **dict.fromkeys((0.05, 1e-3, 1e-4), 0.0)})
    expected = tests.groupby("twin")["hit"].mean().std(ddof=1) / np.sqrt(40)
    said = module.describe_by_twin(tests)
    assert said["standard error by twins"] == f"{100 * expected:.1f} %"
    assert said["twins"] == "40"
    alone = module.describe_by_twin(tests.assign(hit=rng.random(400) < 0.25))
    assert float(alone["standard error by twins"].removesuffix(" %")) == pytest.approx(
        100 * np.sqrt(0.25 * 0.75 / 400), abs=0.6
    )


def test_a_ratio_of_errors_has_the_standard_error_of_the_delta_method():
    rng = np.random.default_rng(3)
    below = rng.normal(15, 2, 400)
    above = below + rng.normal(0.5, 1, 400)
    ratio, error = load("clock_transfer").ratio_of_means(above, below)
    assert ratio == pytest.approx(above.mean() / below.mean())
    left = above - ratio * below
    assert error == pytest.approx(left.std(ddof=1) / below.mean() / np.sqrt(400), rel=0.02)
    assert load("clock_transfer").ratio_of_means(below * 0.9, below) == pytest.approx((0.9, 0))
