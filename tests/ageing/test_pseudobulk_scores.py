"""Scores of donors' sums: they do not follow depth, and depth that goes with age is said."""

from dataclasses import replace

import numpy as np
import pytest
from ageing_data import draw_pseudobulk
from scipy import sparse
from small_atlases import build, cells, counts_of

from titin.ageing.depth import depth_warnings, depth_with_age
from titin.ageing.donor_means import compare_donor_means
from titin.ageing.programmes import programmes
from titin.ageing.pseudobulk_scores import pseudobulk_scores
from titin.errors import TitinError


def sets_of(rng, n=60, size=15, n_genes=600):
    return {f"s{i}": [f"g{g}" for g in rng.choice(n_genes, size, replace=False)] for i in range(n)}


def thinned(data, rng, sign):
    """Old donors (sign -1) or young ones (1) keep down to 40 % of their counts."""
    place = (data.groups["age"].to_numpy() - 20) / 55
    kept = 1 - 0.6 * (place if sign < 0 else 1 - place)
    counts = data.counts.toarray()
    return replace(data, counts=sparse.csr_matrix(rng.binomial(counts, kept[:, None])))


@pytest.mark.parametrize(("sign", "share"), [(-1, 0.0688), (1, 0.0667)])
def test_scores_do_not_follow_depth(sign, share):
    rng = np.random.default_rng(0)
    found = []
    for seed in range(8):
        data = draw_pseudobulk(seed, n_genes=600)
        scores = pseudobulk_scores(thinned(data, rng, sign), sets_of(rng))
        found.append(compare_donor_means(scores.means).table["p_value"])
    small = np.mean(np.concatenate(found) < 0.05)
    assert small == pytest.approx(share, abs=5e-4)
    assert small < 0.08


def test_a_donor_with_more_counts_of_the_same_scores_the_same():
    data = draw_pseudobulk(1, n_genes=600)
    more = np.ones((12, 1), np.int64)
    more[3] = 7
    other = replace(data, counts=sparse.csr_matrix(data.counts.toarray() * more))
    one, two = (pseudobulk_scores(d, sets_of(np.random.default_rng(2))).means.means for d in (data, other))
    np.testing.assert_allclose(one, two, atol=0.1)  # a few genes are beside others now
    assert one.to_numpy().std() > 0.1


def test_a_score_is_that_of_the_set_less_that_of_its_bins():
    """Twenty-six genes: two of them share a bin, the others have one of their own, where nothing is to compare with."""
    counts = np.tile(np.arange(1, 27) * 100, (12, 1))
    counts[:, 0] += np.arange(12)
    data = replace(draw_pseudobulk(0, n_genes=26, n_changed=0), counts=sparse.csr_matrix(counts))
    score = pseudobulk_scores(data, {}, single_genes=["g0"]).means.means["g0"]
    library = counts.sum(axis=1)
    logs = np.log2((counts + library[:, None] / library.mean()) / (library + 2 * library / library.mean())[:, None])
    np.testing.assert_allclose(score, logs[:, 0] - logs[:, 1])


def test_depth_that_goes_with_age_is_warned_of():
    rng = np.random.default_rng(3)
    data = draw_pseudobulk(5, n_genes=600)
    assert depth_warnings(data) == []
    shallow = thinned(data, rng, -1)
    row = depth_with_age(shallow).iloc[0]
    age = shallow.groups["age"]
    depth = np.log(np.asarray(shallow.counts.sum(axis=1)).ravel() / shallow.groups["n_cells"])
    assert row["r"] == pytest.approx(np.corrcoef(age, depth)[0, 1])
    half = 1.959964 / np.sqrt(12 - 3)
    assert row["ci_low"] == pytest.approx(np.tanh(np.arctanh(row["r"]) - half))
    said = depth_warnings(shallow)[0]
    assert said.startswith("in cells, cells of younger donors have more counts")
    assert f"r = {row['r']:+.2f}" in said


def test_sets_that_are_not_there_are_told():
    data = draw_pseudobulk(0)
    found = pseudobulk_scores(data, {"here": ["g0", "g1", "g2"], "elsewhere": ["g0", "X"]})
    assert found.genes == {"here": 3}
    assert found.left_out == {"elsewhere": "1 of its 2 genes in the dataset"}
    with pytest.raises(TitinError, match="none of the 1 gene sets has 3 genes or more"):
        pseudobulk_scores(data, {"elsewhere": ["X"]})


def test_without_counts_cells_are_scored_and_it_is_said(tmp_path):
    rng = np.random.default_rng(0)
    obs = cells(rng, per_donor=30)
    values = np.log1p(counts_of(obs, rng)) * rng.uniform(0.5, 2, (len(obs), 1)).astype(np.float32)
    atlas = build(tmp_path, obs, values)
    found = programmes(atlas, {"others": [f"G{i}" for i in range(20)]})
    assert found.settings["score"].startswith("mean of the set's genes")
    assert "the dataset has no counts" in found.settings["depth_warnings"][0]
