"""Composition: donors' fractions, by linear models, the mixed model, and ranks."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import titin
from calibration import load
from titin.ageing import CellCounts, cell_counts, composition, fit_poisson_mixed_model, mann_whitney
from titin.ageing.composition import rank_test
from titin.ageing.fractions import fit_logistic, transform
from titin.demo import write_demo_atlas
from titin.errors import TitinError

METHODS = ["asin", "logit", "quasi", "poisson", "mann_whitney"]


def draw(seed=0, *, slopes=(), n_donors=14, n_types=8, cells=2000, noise=0.15):
    """Two samples a donor; the log of the first types' share changes by so much a decade."""
    rng = np.random.default_rng(seed)
    age = rng.permutation(np.linspace(20, 75, n_donors))
    slope = np.zeros(n_types)
    slope[: len(slopes)] = slopes
    log = np.linspace(0, 1.5, n_types) + slope * (age[:, None] - 47) / 10 + rng.normal(0, noise, (n_donors, n_types))
    share = np.exp(log) / np.exp(log).sum(axis=1, keepdims=True)
    counts = np.array([rng.multinomial(cells, share[d]) for d in range(n_donors) for _ in range(2)])
    donors = pd.DataFrame({"donor": [f"d{i:02d}" for i in range(n_donors)], "age": age,
                           "sex": rng.permutation(np.tile(["F", "M"], n_donors // 2))})  # fmt: skip
    samples = donors.loc[donors.index.repeat(2)].reset_index(drop=True)
    samples["sample"], samples["n_cells"] = [f"s{i}" for i in range(len(samples))], counts.sum(axis=1)
    return CellCounts(pd.DataFrame(counts, columns=[f"t{k}" for k in range(n_types)]), samples=samples)


@pytest.mark.parametrize("method", ["asin", "logit", "quasi", "poisson"])
def test_planted_changes_are_found(method):
    found = composition(draw(slopes=(-0.3, 0.3)), method=method).table.set_index("cell_type")
    assert found["fold_change"]["t0"] == pytest.approx(np.exp(-0.3), abs=0.12)
    assert found["fold_change"]["t1"] == pytest.approx(np.exp(0.3), abs=0.2)
    if method == "poisson":
        assert (found["ltsr"][["t0", "t1"]] > 0.99).all()
        assert (found["ci_low"] < found["fold_change"]).all()
        return
    assert (found["adj_p_value"][["t0", "t1"]] < 0.01).all()
    assert np.sign(found["effect"]["t0"]) == -1


@pytest.mark.parametrize("method", ["asin", "logit", "quasi"])
def test_without_a_change_p_values_are_uniform(method):
    p = np.concatenate([composition(draw(seed), method=method).table["p_value"] for seed in range(30)])
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.04)


def test_tables_say_what_they_are():
    for method in METHODS:
        found = composition(draw(), method=method)
        said = json.loads(json.dumps(found.document()))
        assert "fractions add up to one" in said["caveat"]
        assert set(found.table["protocol"]) == {"all"}
        assert set(found.table["contrast"]) == {"young_old" if method == "mann_whitney" else "age (a decade)"}
        assert found.table["cell_type"].tolist() == [f"t{k}" for k in range(8)]
    assert composition(draw(), method="asin").table["mean_fraction"].sum() == pytest.approx(1)


@pytest.mark.parametrize("method", ["asin", "logit"])
def test_donors_of_as_many_cells_weigh_the_same(method):
    data = draw(3, slopes=(0.2,))
    pd.testing.assert_frame_equal(composition(data, method=method).table,
                                  composition(data, method=method, weigh=False).table)  # fmt: skip


def test_a_donor_with_few_cells_makes_no_changes():
    found = load("few_cells").trial(np.random.default_rng(0), 20, 20, 300.0, "nuclei")
    share = {name: round(float(values[1]), 3) for name, values in found.items()}
    assert share == {"asin": 0.041, "logit": 0.061, "quasi": 0.041, "propeller": 0.148,
                     "mann_whitney": 0.03}  # fmt: skip


def test_donors_with_fewer_cells_than_asked_are_left_out():
    data = draw(4)
    few = (data.samples["donor"] == "d03").to_numpy()
    data.counts.loc[few] = 1  # sixteen cells in two samples
    data.samples["n_cells"] = data.counts.sum(axis=1)
    for method in ("asin", "logit", "quasi", "poisson"):
        found = composition(data, method=method, min_donor_cells=17)
        assert "d03" not in found.tests[0]["donors"]
        assert "1 donor with fewer than 17 cells left out" in found.tests[0]["notes"]
        assert "d03" in composition(data, method=method).tests[0]["donors"]


def test_the_logistic_model_is_that_of_statsmodels():
    import statsmodels.api as sm

    data = draw(5, slopes=(0.2,))
    total, seen = data.counts.sum(axis=1).to_numpy(float), data.counts[["t0", "t5"]].to_numpy(float).T
    design = np.column_stack([np.ones(len(total)), data.samples["age"].to_numpy() / 10])
    correlation = 0.01
    fit = fit_logistic(seen, total, design, np.array([0.0, 1.0]), correlation)[0]
    for i in range(2):
        weights = total / (1 + (total - 1) * correlation)
        model = sm.GLM(seen[i] / total, design, family=sm.families.Binomial(), var_weights=weights).fit(scale="X2")
        assert fit.effect[i] == pytest.approx(model.params[1], rel=1e-6)
        assert fit.variance[i] == pytest.approx(model.scale, rel=1e-6)
        assert fit.unscaled[i] * np.sqrt(fit.variance[i]) == pytest.approx(model.bse[1], rel=1e-6)


def test_the_sign_rate_is_not_called_a_test():
    assert "LTSR is no test" in composition(draw(), method="poisson").caveat
    assert "LTSR" not in composition(draw(), method="asin").caveat


def test_rare_types_are_skipped_but_count_in_the_total():
    data = draw()
    data.counts["rare"] = 0
    data.counts.loc[0, "rare"] = 3
    data.samples["n_cells"] = data.counts.sum(axis=1)
    found = composition(data)
    assert "rare" not in set(found.table["cell_type"])
    assert found.skipped == [{"cell_type": "rare", "protocol": "all", "reason": "3 cells, fewer than 20", "n_cells": 3}]
    assert found.table["mean_fraction"].sum() < 1


def test_poisson_effects_are_those_of_the_model():
    data = draw(1, slopes=(0.2,))
    found = composition(data, method="poisson", formula="~ age")
    age = data.samples["age"].to_numpy() / 10
    design = np.column_stack([np.ones(len(age)), (age - age.mean()) / age.std()])
    model = fit_poisson_mixed_model(
        data.counts.to_numpy(), design, ["Intercept", "age"], data.samples["donor"].to_numpy()
    )
    np.testing.assert_allclose(found.table["effect"], model.slopes[:, 1] / age.std(), rtol=1e-5)
    assert found.tests[0]["converged"]


def test_transforms():
    fractions = np.array([[0.25, 0.75], [0.0, 1.0]])
    np.testing.assert_allclose(transform(fractions, "asin"), np.arcsin(np.sqrt(fractions)))
    logit = transform(fractions, "logit", np.array([4, 10]))
    np.testing.assert_allclose(logit[0], [np.log(1.5 / 3.5), np.log(3.5 / 1.5)])
    assert np.isfinite(logit).all()


def test_mann_whitney_is_the_published_recipe():
    data = draw(2, slopes=(-0.4,), cells=2000)
    small = data.samples["sample"] == "s5"
    data.counts.loc[small, :] = [1, 0, 0, 0, 0, 0, 0, 0]  # a sample too small to count
    data.samples["n_cells"] = data.counts.sum(axis=1)
    result = mann_whitney(data)
    found = result.table.set_index("cell_type")
    shares = data.counts.div(data.samples["n_cells"], axis=0)[~small]
    means = shares.groupby(data.samples["donor"][~small]).mean()
    old = data.samples.groupby("donor")["age"].first() >= result.settings["age_cut"]
    for name in means:
        expected = stats.mannwhitneyu(means.loc[~old, name], means.loc[old, name])
        assert (found["u"][name], found["p_value"][name]) == (expected.statistic, expected.pvalue)
    np.testing.assert_allclose(found["adj_p_value"], stats.false_discovery_control(found["p_value"]))


def with_u(u, n, m):
    """Ranks of n and m values without ties whose U is u."""
    first = np.arange(n)  # as small as can be: U is 0
    for k in range(n - 1, -1, -1):
        moved = min(m, u)
        first[k] += moved
        u -= moved
    return first.astype(float), np.setdiff1d(np.arange(n + m), first).astype(float)


def test_p_values_are_those_printed_for_the_muscle_atlas(shared):
    """From each U, with 5 young and 7 old donors of cells, 6 and 7 of nuclei, 12 and 13 of both protocols.

    The fractions are not published. Without ties they are not needed; types that some donors lack have ties at zero.
    """
    printed = pd.read_csv(shared / "data" / "atlas_tables" / "composition_mwu_tests.csv")
    sizes = {"cells": (5, 7), "nuclei": (6, 7), "both": (12, 13)}
    whole = printed[printed["U"] == printed["U"].round()]
    found = [rank_test(*with_u(int(row.U), *sizes[row.subset])) for row in whole.itertuples()]
    assert [u for u, _ in found] == whole["U"].tolist()
    same = np.isclose([p for _, p in found], whole["p_value"], rtol=6e-4)
    assert same.sum() == 46
    often = ["FB", "MuSC", "Pericyte", "CapEC", "VenEC", "LymphEC", "Macrophage", "Monocyte", "T-cell", "Tenocyte"]
    assert same[whole["celltype"].isin(often).to_numpy()].all()
    absent = rank_test(np.zeros(12), np.arange(1.0, 14))[1]  # myofibres are in nuclei only
    assert absent == pytest.approx(whole.set_index("celltype")["p_value"]["MF-II"].iloc[0], rel=1e-3)
    by_age = printed[printed["subset"] != "both"]
    adjusted = by_age.groupby("notebook_cell")["p_value"].transform(stats.false_discovery_control)
    assert adjusted.min() > 0.05  # no type changes with age in the published tests


def test_old_people_lose_naive_cd8_t_cells(shared):
    """Twenty blood donors: the strongest known change of composition with age is the strongest one found."""
    table = pd.read_csv(shared / "data" / "tables" / "pbmc_ageing_celltype_proportions_20donors.csv")
    types = [c for c in table if c not in ("Sample", "Sex", "Age")]
    counts = (table[types] * 50).round().astype(int)  # percent of about 5,000 cells
    age = table["Age"].map({"young": 25.0, "old": 70.0})
    samples = pd.DataFrame({"donor": table["Sample"], "sex": table["Sex"], "age": age, "n_cells": counts.sum(axis=1)})
    data = CellCounts(counts, samples=samples)
    for method in ("asin", "logit"):
        found = composition(data, method=method, contrast="young_old", formula="~ sex + old").table
        best = found.loc[found["p_value"].idxmin()]
        assert best["cell_type"] == "CD8.Naive"
        assert best["adj_p_value"] < 0.01
        assert best["fold_change"] < 0.5
    counted = composition(data, method="quasi", contrast="young_old", formula="~ sex + old").table
    counted = counted.set_index("cell_type")
    assert counted["adj_p_value"]["CD8.Naive"] < 0.02
    assert counted["fold_change"]["CD8.Naive"] < 0.5
    ranks = mann_whitney(data).table.set_index("cell_type")
    assert ranks["adj_p_value"]["CD8.Naive"] < 0.05
    mixed = composition(data, method="poisson", contrast="young_old", formula="~ sex + old").table.set_index(
        "cell_type"
    )
    assert mixed["ltsr"]["CD8.Naive"] > 0.999
    assert mixed["fold_change"].idxmin() == "CD8.Naive"


def test_counts_of_an_atlas(tmp_path):
    write_demo_atlas(tmp_path / "demo.h5ad", n_cells=600, n_genes=150)
    titin.build(tmp_path / "demo.h5ad", tmp_path / "demo", preset="muscle")
    atlas = titin.open(tmp_path / "demo")
    found = cell_counts(atlas, 1)
    assert found.level == "annotation_level1"
    expected = pd.crosstab(atlas.obs["SampleID"].astype(str), atlas.obs["annotation_level1"].astype(str))
    by_sample = found.counts.groupby(found.samples["sample"].to_numpy()).sum()
    np.testing.assert_array_equal(by_sample.to_numpy(), expected.to_numpy())
    with pytest.raises(TitinError, match="there is no level 7"):
        cell_counts(atlas, 7)


def test_wrong_use():
    with pytest.raises(TitinError, match="there is no method 'magic'"):
        composition(draw(), method="magic")
    with pytest.raises(TitinError, match="must be whole numbers"):
        CellCounts(pd.DataFrame({"a": [0.5]}), samples=pd.DataFrame({"n_cells": [1]}))
    data = draw()
    with pytest.raises(TitinError, match="this dataset has no ages"):
        mann_whitney(CellCounts(data.counts, samples=data.samples.drop(columns="age")))
