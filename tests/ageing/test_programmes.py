import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_atlases import AGES, PROGRAMME, build, cells, counts_of

from titin.ageing.donor_means import DonorMeans, compare_donor_means, detectable_factor, donor_means
from titin.ageing.programmes import programmes
from titin.ageing.senescence import senescence
from titin.errors import TitinError
from titin.features import score_gene_sets

SETS = {"rising": PROGRAMME, "other": [f"G{i}" for i in range(20)], "third": [f"G{i}" for i in range(40, 60)]}


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    rng = np.random.default_rng(0)
    obs = cells(rng)
    return build(tmp_path_factory.mktemp("programmes"), obs, counts_of(obs, rng))


def test_a_programme_that_rises_in_fibroblasts_is_found_there_alone(atlas):
    found = programmes(atlas, SETS)
    tests = found.table.set_index(["feature", "cell_type"])
    assert tests.loc[("rising", "FB"), "adj_p_value"] < 1e-4
    assert tests.loc[("rising", "FB"), "effect"] > 0
    assert (tests.drop(("rising", "FB"))["adj_p_value"] > 0.01).all()
    assert found.settings["contrast"] == "age"
    assert "donors" in found.tests[0]


def test_means_effects_and_intervals_are_those_of_least_squares_over_donors(atlas):
    scores = score_gene_sets(atlas, SETS)
    tests = programmes(atlas, scores=scores, formula="~ age").table.set_index(["feature", "cell_type"])
    obs = atlas.obs.loc[scores.table.index]
    own = scores.table["rising"][obs["cell_type"] == "FB"].groupby(obs["donor"].astype(str)).mean()
    ages = pd.Series(AGES, index=[f"d{i}" for i in range(12)]) / 10
    line = stats.linregress(ages.loc[own.index], own.astype(float))
    row = tests.loc[("rising", "FB")]
    assert row["effect"] == pytest.approx(line.slope, rel=1e-5)
    assert row["p_value"] == pytest.approx(line.pvalue, rel=1e-4)
    half = stats.t.ppf(0.975, 10) * line.stderr
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((line.slope - half, line.slope + half), rel=1e-4)
    assert row["detectable"] == pytest.approx(line.stderr * detectable_factor(10), rel=1e-4)


def test_donors_are_listed_with_their_means_and_cells(atlas):
    donors = programmes(atlas, SETS).donors
    fb = donors[(donors["feature"] == "rising") & (donors["cell_type"] == "FB")].set_index("donor")
    expected = atlas.obs[atlas.obs["cell_type"] == "FB"]["donor"].astype(str).value_counts()
    assert fb["n_cells"].to_dict() == expected.to_dict()
    assert fb.loc["d3", "age"] == AGES[3]


def test_detection_of_cdkn1a_rises_in_fibroblasts(atlas):
    found = senescence(atlas, scores=score_gene_sets(atlas, SETS))
    tests = found.table.set_index(["feature", "cell_type"])
    assert tests.loc[("CDKN1A detected", "FB"), "p_value"] < 1e-3
    other = tests.loc[("CDKN1A detected", "T-cell"), "effect"]
    assert abs(other) < tests.loc[("CDKN1A detected", "FB"), "effect"] / 2
    seen = found.detection.set_index(["gene", "cell_type"]).loc[("CDKN1A", "FB")]
    fibroblasts = (atlas.obs["cell_type"] == "FB").to_numpy()
    assert seen["n_detected"] == (atlas["CDKN1A"].to_numpy()[fibroblasts] > 0).sum()
    assert seen["n_cells"] == fibroblasts.sum()
    assert found.missing_genes == ["CDKN2A", "GDF15", "IL6", "CXCL8"]


def test_without_ages_or_with_one_donor_the_reason_is_one_sentence(tmp_path):
    rng = np.random.default_rng(1)
    obs = cells(rng, per_donor=12)
    values = counts_of(obs, rng)
    no_ages = build(tmp_path / "ages", obs.drop(columns="age"), values)
    with pytest.raises(TitinError, match="this dataset has no ages: the comparison is of ages"):
        programmes(no_ages, SETS)
    one = build(tmp_path / "one", obs.assign(donor="d0", age=30), values)
    with pytest.raises(TitinError, match="this dataset has 1 donor"):
        programmes(one, SETS)


def test_without_labels_all_cells_are_of_one_type(tmp_path):
    rng = np.random.default_rng(2)
    obs = cells(rng, per_donor=30)
    atlas = build(tmp_path, obs.drop(columns="cell_type"), counts_of(obs, rng))
    means = donor_means(atlas, score_gene_sets(atlas, SETS).table)
    assert compare_donor_means(means).table["cell_type"].unique().tolist() == ["all cells"]


def test_scores_of_other_cells_are_refused(atlas):
    scores = pd.DataFrame({"a": [1.0]}, index=["elsewhere"])
    with pytest.raises(TitinError, match="cell 'elsewhere' is not in the dataset"):
        donor_means(atlas, scores)


def test_without_an_effect_p_values_are_uniform():
    rng = np.random.default_rng(0)
    groups = pd.DataFrame({"donor": [f"d{i}" for i in range(12)], "age": [float(a) for a in AGES], "cell_type": "FB",
                           "sex": ["F", "M"] * 6, "n_cells": rng.integers(20, 500, 12)})  # fmt: skip
    means = pd.DataFrame(rng.normal(size=(12, 3000)), columns=[f"s{i}" for i in range(3000)])
    tests = compare_donor_means(DonorMeans(groups, means)).table
    assert stats.kstest(tests["p_value"], "uniform").pvalue > 0.01
    assert (tests["adj_p_value"] < 0.05).sum() <= 1
    found = (tests["effect"].abs() > tests["detectable"]).mean()
    assert found < 0.05  # an effect large enough to be found is not found where there is none
