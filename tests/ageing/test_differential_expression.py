"""Differential expression finds what is there, and only that, with donors as the replicates."""

import json

import numpy as np
import pytest
from ageing_data import draw_pseudobulk
from scipy import stats

from titin.ageing import differential_expression
from titin.ageing.differential_expression import COLUMNS
from titin.errors import TitinError


def test_planted_genes_are_found_with_sign_and_size():
    results = differential_expression(draw_pseudobulk(0, effect=0.3)).table
    assert list(results.columns) == [*COLUMNS[:4], "contrast", *COLUMNS[4:]]
    planted = results["gene"].isin([f"g{i}" for i in range(30)]).to_numpy()
    hits = (results["adj_p_value"] < 0.05).to_numpy()
    assert hits[planted].mean() > 0.8
    assert (hits & ~planted).sum() <= 0.1 * hits.sum()
    true = np.where([int(g[1:]) % 2 for g in results["gene"]], -0.3, 0.3)
    assert (np.sign(true) == np.sign(results["log2_fold_change"]))[planted & hits].all()
    assert np.median((results["log2_fold_change"] / true)[planted]) == pytest.approx(1, abs=0.1)
    inside = (results["ci_low"] < true) & (true < results["ci_high"])
    assert inside[planted].mean() > 0.85


def test_without_an_effect_p_values_are_uniform_over_seeds():
    tables = [differential_expression(draw_pseudobulk(seed, n_genes=150)).table for seed in range(20)]
    assert stats.kstest(np.concatenate([t["p_value"] for t in tables]), "uniform").pvalue > 0.01
    assert sum((t["adj_p_value"] < 0.05).any() for t in tables) <= 3  # of twenty, when one is expected
    assert sum((t["adj_p_value"] < 0.05).sum() for t in tables) < 0.002 * sum(map(len, tables))


@pytest.mark.parametrize("method", ["trend", "deseq2"])
def test_methods_agree(method):
    if method == "deseq2":
        pytest.importorskip("pydeseq2")
    data = draw_pseudobulk(1, effect=0.4, n_genes=120)
    first, second = differential_expression(data).table, differential_expression(data, method=method).table
    assert list(second.columns) == [*COLUMNS[:4], "contrast", *COLUMNS[4:]]
    assert first["gene"].tolist() == second["gene"].tolist()
    assert np.corrcoef(first["log2_fold_change"], second["log2_fold_change"])[0, 1] > 0.98
    hits = (first["adj_p_value"] < 0.05).to_numpy()
    assert (second["adj_p_value"] < 0.05)[hits].mean() > 0.8


def test_deseq2_is_pydeseq2():
    dds = pytest.importorskip("pydeseq2.dds")
    import warnings

    import pandas as pd
    from pydeseq2.ds import DeseqStats

    data = draw_pseudobulk(2, effect=0.4, n_genes=60)
    found = differential_expression(data, method="deseq2", formula="~ age").table.set_index("gene")
    counts = pd.DataFrame(data.counts.toarray(), data.groups["donor"], data.genes["gene"])[found.index]
    design = pd.DataFrame({"Intercept": 1.0, "age": data.groups["age"].to_numpy() / 10}, counts.index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        direct = dds.DeseqDataSet(counts=counts, metadata=design, design=design, refit_cooks=False, quiet=True)
        direct.deseq2()
        test = DeseqStats(direct, np.array([0.0, 1.0]), cooks_filter=False, independent_filter=False, quiet=True)
        test.summary()
    golden = test.results_df
    np.testing.assert_allclose(found["log2_fold_change"], golden["log2FoldChange"], rtol=1e-6)
    np.testing.assert_allclose(found["standard_error"], golden["lfcSE"], rtol=1e-6)
    np.testing.assert_allclose(found["p_value"], golden["pvalue"], rtol=1e-5)
    np.testing.assert_allclose(found["adj_p_value"], golden["padj"], rtol=1e-5)


def test_results_say_what_was_done_in_json():
    data = draw_pseudobulk(3, protocols=("cells", "nuclei"), n_genes=80)
    data.groups.loc[data.groups["protocol"] == "nuclei", "n_cells"] = 2
    results = differential_expression(data)
    said = json.loads(json.dumps({**results.settings, **results.document()}))
    assert said["contrast"] == "age"
    assert said["unit"] == "decade"
    assert said["formula"] == "~ sex + age"
    assert [(t["cell_type"], t["protocol"], len(t["donors"])) for t in said["tests"]] == [("T", "cells", 12)]
    assert said["tests"][0]["residual_df"] == 9
    reason = "no donors with enough cells, fewer than 6"
    assert said["skipped"] == [{"cell_type": "T", "protocol": "nuclei", "reason": reason, "n_cells": 24}]
    assert (results.table["n_cells"] == 1200).all()


def test_males_only_leaves_sex_out():
    data = draw_pseudobulk(4, n_genes=80, n_donors=24)
    results = differential_expression(data, where={"sex": "M"})
    assert (results.table["n_donors"] == 12).all()
    assert results.tests[0]["columns"] == ["Intercept", "age"]
    assert results.tests[0]["notes"] == ["sex is the same in all donors"]


def test_young_and_old_are_compared_with_the_same_sign():
    data = draw_pseudobulk(5, effect=0.5, n_genes=80)
    by_age = differential_expression(data).table.set_index("gene")["log2_fold_change"]
    halves = differential_expression(data, contrast="young_old").table.set_index("gene")["log2_fold_change"]
    assert np.corrcoef(by_age[:30], halves[by_age.index[:30]])[0, 1] > 0.9
    sexes = differential_expression(data, contrast="sex", formula="~ age + sex")
    assert sexes.tests[0]["columns"] == ["Intercept", "age", "sex[T.M]"]


@pytest.mark.parametrize(("arguments", "message"), [
    ({"method": "magic"}, "there is no method 'magic'"),
    ({"cell_type_level": "fine"}, "there is no level 'fine' of cell types"),
    ({"contrast": "sex"}, None),
    ({"contrast": "colour"}, "names 'colour', which the dataset does not have"),
    ({"contrast": {"age": 1.0}}, "weights of columns need a formula"),
])  # fmt: skip
def test_wrong_questions(arguments, message):
    data = draw_pseudobulk(6, n_genes=60)
    if message is None:
        assert len(differential_expression(data, **arguments).table)
        return
    with pytest.raises(TitinError, match=message):
        differential_expression(data, **arguments)
