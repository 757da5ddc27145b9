import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_atlases import AGES, build

import titin
from titin.ageing.diffusion_pseudotime import diffusion_pseudotime, gaussian_weights
from titin.ageing.stem_cells import _say_trajectory, follow_markers, phases, stem_cells
from titin.embed import neighbors
from titin.errors import TitinError

MARKERS = ("PAX7", "MYF5", "MYOD1", "MYOG", "MYH3")
QUIET = ("PAX7", "SPRY1", "CALCR", "HEY1", "HEYL")
CYCLE = ("MCM5", "PCNA", "TYMS", "FEN1", "MCM2", "HMGB2", "CDK1", "NUSAP1", "UBE2C", "BIRC5")
LATE = tuple(f"LATE{i}" for i in range(20))
EARLY = tuple(f"EARLY{i}" for i in range(20))
GENES = [*dict.fromkeys([*MARKERS, *QUIET, *CYCLE, *LATE, *EARLY]), *(f"G{i}" for i in range(120))]
PEAKS = {"PAX7": 0.0, "MYF5": 0.25, "MYOD1": 0.5, "MYOG": 0.75, "MYH3": 1.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Stem cells of 12 donors on their way to myocytes; those of the old are further on."""
    rng = np.random.default_rng(4)
    rows, time = [], []
    for i, age in enumerate(AGES):
        for _ in range(60):
            t = np.clip(rng.beta(1.2, 1.6) + 0.003 * (age - 45), 0, 1)
            time.append(t)
            rows.append((f"d{i}", float(age), "MuSC", "MYOG+MuSCs" if t > 0.7 else "MuSC"))
        rows += [(f"d{i}", float(age), "FB", "FB")] * 5
        time += [0.5] * 5
    obs = pd.DataFrame(rows, columns=["donor", "age", "annotation_level0", "annotation_level1"])
    obs.index = [f"c{i}" for i in range(len(obs))]
    t = np.array(time)
    rate = np.tile(rng.lognormal(0, 0.3, len(GENES)), (len(obs), 1))
    for name, peak in PEAKS.items():
        rate[:, GENES.index(name)] = 8 * np.exp(-((t - peak) ** 2) / 0.04)
    for name in (*QUIET[1:], *EARLY):
        rate[:, GENES.index(name)] = 5 * (1 - t)
    for name in LATE:
        rate[:, GENES.index(name)] = 5 * t
    atlas = build(tmp_path_factory.mktemp("stem"), obs, rng.poisson(rate).astype(np.float32), GENES)
    return atlas, pd.Series(t, obs.index)


@pytest.fixture(scope="module")
def found(made):
    return stem_cells(made[0], n_bootstraps=100)


def test_pseudotime_follows_the_planted_time(made, found):
    own = found.cells.set_index("cell_id")["pseudotime"]
    assert len(own) == 720
    assert own.corr(made[1].loc[own.index], method="spearman") > 0.9
    assert own.min() == 0
    assert own.max() == 1


def test_markers_come_in_the_planted_order(found):
    assert found.markers["marker"].tolist() == list(MARKERS)
    assert found.markers["expected"].tolist() == [1, 2, 3, 4, 5]
    assert (found.markers["ci_low"] < found.markers["centre"]).all()
    assert (found.markers["centre"] < found.markers["ci_high"]).all()


def test_held_out_markers_follow_a_trajectory_and_no_other_order(found):
    facts = found.trajectory
    assert facts["n_donors"] == 12
    assert facts["r"] > 0.5
    assert facts["p_value"] < 1e-6
    assert facts["n_genes"] == len(GENES) - len(MARKERS)
    rng = np.random.default_rng(0)
    p = [follow_markers(found.cells.assign(pseudotime=rng.random(len(found.cells))), MARKERS)["p_value"]
         for _ in range(200)]  # fmt: skip
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.035)


def test_without_a_trajectory_no_order_is_told(found):
    other = replace(found, trajectory={**found.trajectory, "r": 0.02, "p_value": 0.4})
    assert _say_trajectory(other).startswith("no trajectory")
    assert "PAX7" not in _say_trajectory(other)
    assert "PAX7 → MYF5 → MYOD1 → MYOG → MYH3" in _say_trajectory(found)


def test_shares_of_subtypes_are_compared_over_donors(made, found):
    tests = found.table.set_index("feature")
    assert tests.loc["share of MYOG+MuSCs", "effect"] > 0
    assert tests.loc["share of MYOG+MuSCs", "n_donors"] == 12
    donors = found.donors[found.donors["feature"] == "share of MYOG+MuSCs"].set_index("donor")
    obs = made[0].obs
    stem = obs[obs["annotation_level0"] == "MuSC"]
    expected = (stem["annotation_level1"] == "MYOG+MuSCs").groupby(stem["donor"].astype(str)).mean()
    pd.testing.assert_series_equal(donors["mean"].sort_index(), expected.sort_index(), check_names=False)


def test_phases_are_scanpys():
    s, g2m = np.array([0.3, -0.1, 0.1, -0.2]), np.array([0.1, 0.2, 0.1, -0.1])
    assert list(phases(s, g2m)) == ["S", "G2M", "S", "G1"]


def test_pseudotime_is_scanpys_on_the_same_graph(made):
    import anndata as ad
    import scanpy as sc
    from scipy import sparse

    rng = np.random.default_rng(0)
    t = np.sort(rng.random(300))
    X = np.column_stack([t * 4, np.sin(3 * t), np.cos(2 * t)]) + rng.normal(0, 0.05, (300, 3))
    near = neighbors(X.astype(np.float32), 15)
    weights = gaussian_weights(near.indices, near.distances)
    ours = diffusion_pseudotime(weights, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = ad.AnnData(X.astype(np.float32))
        sc.pp.neighbors(adata, n_neighbors=15, method="gauss", use_rep="X")
        theirs_weights = adata.obsp["connectivities"]
        adata.obsp["connectivities"] = sparse.csr_matrix(weights)
        adata.uns["iroot"] = 0
        sc.tl.diffmap(adata, n_comps=15)
        sc.tl.dpt(adata, n_dcs=10)
    np.testing.assert_allclose(ours, adata.obs["dpt_pseudotime"], atol=2e-3)
    assert np.corrcoef(weights.toarray().ravel(), theirs_weights.toarray().ravel())[0, 1] > 0.98


def test_cells_out_of_reach_have_no_time():
    from scipy import sparse

    block = np.ones((6, 6)) - np.eye(6)
    weights = sparse.csr_matrix(np.block([[block, np.zeros((6, 6))], [np.zeros((6, 6)), block]]))
    time = diffusion_pseudotime(weights, 0)
    assert np.isfinite(time[:6]).all()
    assert np.isnan(time[6:]).all()


def test_without_a_word_on_stem_cells_in_the_preset_it_says_so(made):
    with pytest.raises(TitinError, match="the preset of this dataset says nothing of stem cells"):
        stem_cells(titin.open(made[0].folder))


def test_an_atlas_without_stem_cells_says_so(tmp_path):
    obs = pd.DataFrame({"donor": ["d0", "d1"] * 10, "cell_type": "FB"}, index=[f"c{i}" for i in range(20)])
    atlas = build(tmp_path, obs, np.random.default_rng(0).poisson(1.0, (20, len(GENES))).astype(np.float32), GENES)
    with pytest.raises(TitinError, match="has no muscle stem cells: none of the labels of cell_type is called as such"):
        stem_cells(atlas)
