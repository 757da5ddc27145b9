"""Protocols in one model: what they have in common, where they differ, and donors who are in both counted once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ageing_data import draw_pseudobulk
from numpy.testing import assert_allclose
from scipy import sparse

from titin.ageing import Pseudobulk, differential_expression, expression_comparisons, joint_model
from titin.ageing.comparison import Comparisons
from titin.ageing.joint_model import COLUMNS, JOINT, joint_design
from titin.ageing.linear_models import fit_linear_models, moderate
from titin.errors import TitinError

BOTH = ("cells", "nuclei")


def apart(data: Pseudobulk) -> Pseudobulk:
    """The same with donors of the second protocol as other people."""
    nuclei = data.groups["protocol"] == "nuclei"
    return replace(
        data, groups=data.groups.assign(donor=data.groups["donor"].where(~nuclei, data.groups["donor"] + "n"))
    )


def without(data: Pseudobulk, protocol: str, genes: slice) -> Pseudobulk:
    """The same without counts of some genes in one protocol."""
    counts = data.counts.toarray()
    counts[np.ix_(data.groups["protocol"] == protocol, np.arange(counts.shape[1])[genes])] = 0
    matrix = sparse.csr_matrix(counts)
    return replace(data, counts=matrix, detected=(matrix > 0).astype(np.int64))


def partly_shared(
    seed: int, *, log_level: float, dispersion: float, kept: dict[str, float] | None = None
) -> Pseudobulk:
    """Nothing changes; 17 donors, thirteen in each protocol and nine in both, who differ from gene to gene.

    ``kept`` is the share of the counts that stay in a protocol; where it is not given, two units of five keep a
    twentieth.
    """
    rng = np.random.default_rng(seed)
    own = rng.lognormal(dispersion, 1.5, 400)
    data = draw_pseudobulk(seed, protocols=BOTH, n_genes=400, n_donors=17, dispersion=own, log_level=log_level)
    if kept is None:
        share = rng.choice([0.05, 1.0], len(data.groups), p=[0.4, 0.6])
    else:
        share = data.groups["protocol"].map(kept).to_numpy(float)
    donors = rng.permutation(17)
    left = np.setdiff1d(np.arange(34), [*donors[:4], *17 + donors[4:8]])
    counts = sparse.csr_matrix(rng.binomial(data.counts.toarray(), share[:, None])[left])
    groups = data.groups.iloc[left].reset_index(drop=True)
    return replace(data, groups=groups, counts=counts, detected=(counts > 0).astype(np.int64))


def test_what_it_gives():
    found = joint_model(draw_pseudobulk(0, protocols=BOTH, effect=0.4, dispersion=0.2))
    table = found.table
    assert isinstance(found, Comparisons)
    assert list(table) == [*COLUMNS[:4], "contrast", *COLUMNS[4:]]
    assert (table["protocol"] == JOINT).all()
    assert (table["n_protocols"] == 2).all()
    assert (table["n_donors"] == 12).all()
    assert (table["n_cells"] == 2400).all()
    assert_allclose(table["t"], table["log2_fold_change"] / table["standard_error"])
    middle = (table["ci_low"] + table["ci_high"]) / 2
    assert_allclose(middle, table["log2_fold_change"])
    (test,) = found.tests
    assert test["protocols"] == ["cells", "nuclei"]
    assert len(test["shared_donors"]) == len(test["donors"]) == 12
    assert test["columns"] == ["Intercept in cells", "sex[T.M] in cells", "age", "Intercept in nuclei",
                               "sex[T.M] in nuclei"]  # fmt: skip
    assert test["residual_df"] == 24 - 5
    assert sum(test["correlations"].values()) == pytest.approx(1, abs=1e-3)
    assert test["correlation"] > 0.6  # a donor's deviations are the same in both protocols
    assert "up to 12 donors are in several protocols" in found.caveat
    number = table["gene"].str[1:].astype(int)
    planted = np.where(number < 30, np.where(number % 2, -0.4, 0.4), 0)
    assert np.corrcoef(table["log2_fold_change"], planted)[0, 1] > 0.6


def test_protocols_of_other_donors_are_independent():
    """Without a donor in both it is one linear model, a weight for each protocol, with a trend in its prior."""
    data = apart(draw_pseudobulk(1, protocols=BOTH))
    compared = expression_comparisons(data)
    found = joint_model(compared)
    assert found.caveat == ""
    assert found.table["correlation"].isna().all()
    assert found.tests[0]["shared_donors"] == []
    assert "correlations" not in found.tests[0]
    first, second = compared.comparisons
    genes = np.intersect1d(first.genes, second.genes)
    y = np.column_stack([own.log_values()[np.searchsorted(own.genes, genes)] for own in (first, second)])
    design, added = joint_design([own.compared.design for own in (first, second)])
    scale = []
    for own in (first, second):
        values = own.log_values()[np.searchsorted(own.genes, genes)]
        left = fit_linear_models(values, own.compared.design.matrix, own.compared.design.contrast).variance
        scale.append(np.exp(np.log(left).mean()))
    weights = np.broadcast_to(1 / np.repeat(scale, 12), y.shape)
    weight = np.eye(design.shape[1])[-1]
    expected = moderate(fit_linear_models(y, design, weight, weights), prior="trend")
    assert_allclose(found.table["p_value"], expected.p_value, rtol=1e-7)
    assert_allclose(found.table["standard_error"], expected.standard_error, rtol=1e-7)
    full = np.column_stack([design, added])
    t = fit_linear_models(y, full, np.eye(full.shape[1])[-1], weights)
    assert np.corrcoef(t.effect**2 / t.variance, found.table["interaction_f"])[0, 1] > 0.9


def test_donors_in_both_protocols_are_not_counted_twice():
    share, naive = [], []
    for seed in range(8):
        data = draw_pseudobulk(seed, protocols=BOTH, dispersion=0.2)
        share.append(joint_model(data).table["p_value"])
        naive.append(joint_model(apart(data)).table["p_value"])
    assert np.mean(np.concatenate(share) < 0.05) == pytest.approx(0.05, abs=0.015)
    assert np.mean(np.concatenate(naive) < 0.05) > 0.1


def test_donors_with_few_counts_do_not_make_p_values_small():
    """Libraries differ twentyfold, and genes in how much donors differ in them: weights by count have 9 % < 0.05."""
    p = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        dispersion = rng.lognormal(-2.5, 1.5, 400)
        data = draw_pseudobulk(seed, protocols=BOTH, n_genes=400, n_donors=14, dispersion=dispersion)
        kept = rng.choice([0.05, 1.0], len(data.groups), p=[0.4, 0.6])
        matrix = sparse.csr_matrix(rng.binomial(data.counts.toarray(), kept[:, None]))
        p.append(joint_model(replace(data, counts=matrix)).table["p_value"])
    assert np.mean(np.concatenate(p) < 0.05) == pytest.approx(0.05, abs=0.015)


def test_donors_who_differ_much_do_not_make_p_values_small():
    """Genes of many counts have correlations up to 0.999, and one protocol a tenth of the other's counts.

    Divided by a scale of each protocol, 10 % have p < 0.05 and 1 % p < 0.001; with correlations up to 0.97 alone, 8 %.
    """
    p = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        dispersion = rng.lognormal(-3, 1.5, 500)
        data = draw_pseudobulk(seed, protocols=BOTH, n_genes=500, n_donors=14, dispersion=dispersion, log_level=7)
        kept = np.where(data.groups["protocol"] == "nuclei", 0.1, 1.0)
        matrix = sparse.csr_matrix(rng.binomial(data.counts.toarray(), kept[:, None]))
        p.append(joint_model(replace(data, counts=matrix)).table["p_value"])
    found = np.concatenate(p)
    assert (found < 0.05).mean() == pytest.approx(0.05, abs=0.015)
    assert (found < 0.001).mean() < 0.0025


def test_neither_contrast_nor_its_difference_is_found_where_protocols_differ_in_precision():
    """A scale of each protocol belongs to the difference of the contrast, and to it alone.

    With it in the contrast too, 8 % of the genes have p < 0.05; without it anywhere, 6 % by protocol × age, and with a
    prior that is settled between variance and correlation until it no longer moves, 0.4 % of them p < 0.001.
    """
    kept = {"cells": 1.0, "nuclei": 0.03}
    tables = [joint_model(partly_shared(seed, log_level=7, dispersion=-3, kept=kept)).table for seed in range(10)]
    table = pd.concat(tables)
    for p in ("p_value", "interaction_p_value"):
        assert (table[p] < 0.05).mean() == pytest.approx(0.05, abs=0.012)
        assert (table[p] < 0.001).mean() < 0.0025
        assert (table[p] < 0.0001).mean() < 0.0005
    assert sum((own["interaction_adj_p_value"] < 0.05).any() for own in tables) <= 1


def test_protocol_and_age_are_not_found_where_units_differ_in_precision():
    """Forty rounds of variances and correlations, not four, find changes by protocol in three of these ten."""
    tables = [joint_model(partly_shared(seed, log_level=5, dispersion=-2.5)).table for seed in range(10)]
    p = pd.concat(tables)["interaction_p_value"]
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert (p < 0.001).mean() < 0.0025
    assert (p < 0.0001).mean() < 0.0005
    assert sum((own["interaction_adj_p_value"] < 0.05).any() for own in tables) <= 1


def test_an_effect_in_one_protocol_only_is_told_as_interaction():
    data = draw_pseudobulk(2, protocols=BOTH, n_donors=16)
    counts = data.counts.toarray()
    nuclei = (data.groups["protocol"] == "nuclei").to_numpy()
    change = 2.0 ** (0.6 * (data.groups["age"].to_numpy()[nuclei] - 47) / 10)
    counts[nuclei, :20] = np.round(counts[nuclei, :20] * change[:, None])
    matrix = sparse.csr_matrix(counts)
    table = joint_model(replace(data, counts=matrix)).table.set_index("gene")
    differ = table["interaction_adj_p_value"] < 0.05
    changed = table.index.isin([f"g{i}" for i in range(20)])
    assert differ[changed].mean() > 0.8
    assert differ[~changed].mean() < 0.02
    common = draw_pseudobulk(2, protocols=BOTH, n_donors=16, effect=0.6, n_changed=20)
    table = joint_model(common).table.set_index("gene")
    assert (table["interaction_adj_p_value"] > 0.05).mean() > 0.98
    changed = table.index.isin([f"g{i}" for i in range(20)])
    assert (table["adj_p_value"] < 0.05)[changed].mean() > 0.9


def test_only_genes_of_two_protocols_are_tested_each_with_its_own():
    data = draw_pseudobulk(3, protocols=("cells", "nuclei", "spatial"), n_genes=120)
    some = without(without(data, "nuclei", slice(0, 40)), "spatial", slice(20, 60))
    table = joint_model(some).table.set_index("gene")
    seen = expression_comparisons(some)
    tested = {own.protocol: {f"g{i}" for i in own.genes} for own in seen.comparisons}
    expected = pd.Series({f"g{i}": sum(f"g{i}" in own for own in tested.values()) for i in range(120)})
    assert set(table.index) == set(expected.index[expected > 1])
    assert (table["n_protocols"] == expected[table.index]).all()
    assert {f"g{i}" for i in range(20, 40)}.isdisjoint(table.index)
    assert (table["n_cells"] == 1200 * table["n_protocols"]).all()
    alone = joint_model(some.select(protocol=["cells", "nuclei"])).table.set_index("gene")
    both = [f"g{i}" for i in range(40, 60) if f"g{i}" in table.index and f"g{i}" in alone.index]
    # the same effect of the same units; only what other genes say of variance and correlation is another
    assert_allclose(table.loc[both, "log2_fold_change"], alone.loc[both, "log2_fold_change"], rtol=0.2, atol=0.02)


def test_what_cannot_be_modelled_is_said():
    data = draw_pseudobulk(4, protocols=BOTH, n_genes=60)
    with pytest.raises(TitinError, match="no cell type was tested in two protocols"):
        joint_model(data.select(protocol=["cells"]))
    with pytest.raises(TitinError, match="there is no correlation 'none'"):
        joint_model(data, correlation="none")
    lone = data.select(protocol=["cells"])
    groups = pd.concat([data.groups, lone.groups.assign(cell_type="V")], ignore_index=True)
    counts, detected = (sparse.vstack([getattr(data, name), getattr(lone, name)]).tocsr()
                        for name in ("counts", "detected"))  # fmt: skip
    more = Pseudobulk(groups, counts, detected, data.genes, ["cell_type"])
    found = joint_model(more)
    assert [test["cell_type"] for test in found.tests] == ["T"]
    assert {"cell_type": "V", "protocol": JOINT, "reason": "tested in one protocol only"} in found.skipped


@pytest.mark.parametrize("correlation", ["gene-wise", "consensus"])
def test_of_comparisons_and_of_data_it_is_the_same(correlation):
    data = draw_pseudobulk(5, protocols=BOTH, n_genes=80)
    one = joint_model(data, correlation=correlation, contrast="young_old")
    other = joint_model(expression_comparisons(data, contrast="young_old"), correlation=correlation)
    pd.testing.assert_frame_equal(one.table, other.table)
    assert one.settings["correlation"].startswith("one" if correlation == "consensus" else "of a gene's own")
    assert one.settings["formula"] == differential_expression(data, contrast="young_old").settings["formula"]
