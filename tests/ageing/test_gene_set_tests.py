"""Camera, fry and the F test of a term: the same as limma's, and what sets of correlated genes do to them."""

import golden
import numpy as np
import pytest
from ageing_data import draw_pseudobulk

from titin.ageing import expression_comparisons, gene_set_tests
from titin.ageing.f_tests import f_test_of_term
from titin.ageing.gene_set_tests import camera, fry, gene_effects
from titin.ageing.normalization import log_counts, normalization_factors, weigh_log_counts

AGE = np.array([0.0, 0, 1])


@pytest.fixture(scope="module")
def comparison():
    """Names of the genes, their log counts and weights, the design, and the sets."""
    counts, design = golden.of_cells()
    counts = counts[counts.sum(axis=1) >= 80]
    plain = counts.to_numpy(float).T
    logs = weigh_log_counts(plain, plain.sum(axis=1) * normalization_factors(plain), design)
    sets = golden.table("camera_sets")
    return logs, design, {name: counts.index.isin(own["gene"]) for name, own in sets.groupby("set")}


@pytest.mark.parametrize(("method", "weighted", "correlation", "trend"), [
    ("plain", False, 0.01, False), ("plain estimated", False, None, False), ("voom", True, 0.01, False),
    ("voom estimated", True, None, False), ("voom trend", True, 0.01, True),
])  # fmt: skip
def test_camera_is_that_of_limma(comparison, method, weighted, correlation, trend):
    logs, design, sets = comparison
    found = gene_effects(logs.values, design, AGE, logs.weights if weighted else None, trend=trend)
    expected = golden.table("camera").query("method == @method").set_index("set")
    assert sorted(expected.index) == sorted(sets)
    for name, row in expected.iterrows():
        test = camera(found, sets[name], correlation=correlation)
        assert int(sets[name].sum()) == row["n_genes"]
        assert test.p_value == pytest.approx(row["p_value"], rel=1e-6)
        assert test.correlation == pytest.approx(row["correlation"], rel=1e-6)
        assert (test.t > 0) == (row["direction"] == "Up")


@pytest.mark.parametrize(("method", "weighted"), [("plain", False), ("voom", True)])
def test_fry_is_that_of_limma(comparison, method, weighted):
    logs, design, sets = comparison
    found = gene_effects(logs.values, design, AGE, logs.weights if weighted else None)
    for name, row in golden.table("fry").query("method == @method").set_index("set").iterrows():
        test, p_mixed = fry(found, sets[name])
        assert test.p_value == pytest.approx(row["p_value"], rel=1e-6)
        assert p_mixed == pytest.approx(row["p_value_mixed"], rel=1e-6)
        assert (test.t > 0) == (row["direction"] == "Up")


@pytest.mark.parametrize("prior", ["common", "trend"])
def test_the_f_of_a_term_is_that_of_limma(prior):
    counts, design = golden.of_cells()
    plain = counts.to_numpy(float).T
    values = log_counts(plain, plain.sum(axis=1) * normalization_factors(plain))
    design = np.column_stack([design, design[:, 2] ** 2])
    found = f_test_of_term(values, design, np.eye(4)[:, 2:], prior=prior)
    expected = golden.table("f_tests").query("method == @prior").set_index("gene").loc[counts.index]
    np.testing.assert_allclose(found.f, expected["f"], rtol=1e-6)
    np.testing.assert_allclose(found.p_value, expected["p_value"], rtol=1e-6)


def test_the_f_of_one_column_is_the_square_of_its_t():
    rng = np.random.default_rng(0)
    y, design = rng.normal(size=(40, 12)), np.column_stack([np.ones(12), rng.normal(size=(12, 2))])
    weights = rng.uniform(0.5, 2, y.shape)
    one = f_test_of_term(y, design, np.eye(3)[:, 2:], weights)
    for gene in range(3):
        root = np.sqrt(weights[gene])
        beta, rss = np.linalg.lstsq(root[:, None] * design, root * y[gene], rcond=None)[:2]
        covariance = np.linalg.inv((design * weights[gene, :, None]).T @ design) * rss[0] / 9
        assert one.f[gene] == pytest.approx(beta[2] ** 2 / covariance[2, 2], rel=1e-9)
    np.testing.assert_allclose(one.coefficients[:, 0] ** 2 > 0, True)


def test_genes_that_go_together_are_no_finding_with_the_correlation_estimated():
    """200 null sets of 30 genes with a common factor: exact counts of p < 0.05 of one seed."""
    rng = np.random.default_rng(12)
    design = np.column_stack([np.ones(14), np.repeat([0, 1], 7), rng.permutation(np.linspace(-2, 2, 14))])
    inside = np.arange(300) < 30
    hits = {"preset": 0, "estimated": 0, "fry": 0}
    for _ in range(200):
        y = rng.normal(size=(300, 14))
        y[inside] += 0.7 * rng.normal(size=14)
        found = gene_effects(y, design, AGE)
        hits["preset"] += camera(found, inside).p_value < 0.05
        hits["estimated"] += camera(found, inside, correlation=None).p_value < 0.05
        hits["fry"] += fry(found, inside)[0].p_value < 0.05
    # the preset correlation is far too small here, and the estimated one still a little: fry alone holds its level
    assert hits == {"preset": 112, "estimated": 23, "fry": 9}


def test_a_planted_set_is_found_in_the_comparisons_of_a_dataset():
    rng = np.random.default_rng(3)
    data = draw_pseudobulk(2, n_genes=200, n_donors=20)
    found = expression_comparisons(data)
    sets = {"random": [f"g{i}" for i in rng.choice(np.arange(100, 200), 20, replace=False)], "few": ["g1", "g2"]}
    tests = gene_set_tests(found, sets)
    assert set(tests.table["set"]) == {"random"}
    row = tests.table.iloc[0]
    logs = found.comparisons[0].log_counts
    design = found.comparisons[0].compared.design
    effects = gene_effects(logs.values, design.matrix, design.contrast, logs.weights, trend=True)
    inside = found.genes["gene"].iloc[found.comparisons[0].genes].isin(sets["random"]).to_numpy()
    assert row["p_value"] == pytest.approx(camera(effects, inside, correlation=None).p_value, rel=1e-9)
    assert row["preset_p_value"] == pytest.approx(camera(effects, inside).p_value, rel=1e-9)
    assert row["fry_p_value"] == pytest.approx(fry(effects, inside)[0].p_value, rel=1e-9)
    assert row["adj_fry_p_value"] == row["fry_p_value"]
    assert tests.settings["preset_correlation"] == 0.01
