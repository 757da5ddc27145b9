"""The combined estimate is that of the textbook."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from titin.ageing import DifferentialExpression, meta_analysis
from titin.errors import TitinError


def table(effects, errors, df=np.inf, genes=("a",)):
    rows = [
        {"gene": g, "gene_id": g, "cell_type": "T", "protocol": f"p{k}", "log2_fold_change": b, "standard_error": se,
         "df": df, "n_donors": 5, "n_cells": 50, "mean_log_cpm": 3.0}
        for g in genes for k, (b, se) in enumerate(zip(effects, errors, strict=True))
    ]  # fmt: skip
    protocols = [f"p{k}" for k in range(len(effects))]
    tests = [{"cell_type": "T", "protocol": p, "donors": [f"{p} d{i}" for i in range(5)]} for p in protocols]
    return DifferentialExpression(pd.DataFrame(rows), tests=tests)


def test_two_protocols_by_hand():
    found = meta_analysis(table([0.5, -0.1], [0.1, 0.2])).table.iloc[0]
    w = np.array([100.0, 25.0])
    effect = (w @ [0.5, -0.1]) / w.sum()
    q = (w * (np.array([0.5, -0.1]) - effect) ** 2).sum()
    assert found["log2_fold_change"] == pytest.approx(effect)
    assert found["standard_error"] == pytest.approx(w.sum() ** -0.5)
    assert found["p_value"] == pytest.approx(2 * stats.norm.sf(effect * w.sum() ** 0.5))
    assert found["ci_high"] - found["ci_low"] == pytest.approx(2 * stats.norm.ppf(0.975) * w.sum() ** -0.5)
    assert found["q"] == pytest.approx(q)
    assert found["q_p_value"] == pytest.approx(stats.chi2.sf(q, 1))
    assert found["i2"] == pytest.approx((q - 1) / q)
    assert (found["n_protocols"], found["n_donors"], found["protocol"]) == (2, 10, "meta")


def test_equal_and_few_degrees_of_freedom_add_up():
    found = meta_analysis(table([0.3, 0.2, 0.4], [0.1, 0.1, 0.1], df=7)).table.iloc[0]
    assert found["df"] == pytest.approx(21)  # of the mean of three equally precise estimates
    assert found["log2_fold_change"] == pytest.approx(0.3)
    assert found["p_value"] == pytest.approx(2 * stats.t.sf(0.3 / (0.1 / 3**0.5), 21))
    assert found["i2"] == 0


def test_genes_of_one_protocol_are_not_combined():
    both = table([0.3, 0.2], [0.1, 0.1], genes=("a", "b", "c"))
    found = meta_analysis(replace(both, table=both.table.drop(index=[1, 2])))  # a and b have one protocol each
    assert found.table["gene"].tolist() == ["c"]
    with pytest.raises(TitinError, match="no cell type was tested in two protocols"):
        meta_analysis(replace(both, table=both.table[both.table["protocol"] == "p0"]))
    with pytest.raises(TitinError, match="the table has no column 'df'"):
        meta_analysis(replace(both, table=both.table.drop(columns="df")))
