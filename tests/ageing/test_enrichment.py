import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from titin.ageing.enrichment import over_representation, ranked_enrichment
from titin.errors import TitinError

FEATURES = Path(__file__).parents[1] / "features"


@pytest.fixture
def synthetic(monkeypatch):
    monkeypatch.syspath_prepend(str(FEATURES))
    from synthetic_scores import synthetic

    yield synthetic()
    sys.modules.pop("synthetic_scores", None)


def results(n=400, seed=0):
    rng = np.random.default_rng(seed)
    t = rng.normal(size=n)
    t[:30] += 3
    p = 2 * stats.norm.sf(np.abs(t))
    return pd.DataFrame({
        "gene": [f"g{i}" for i in range(n)], "cell_type": "FB", "protocol": "cells", "t": t,
        "log2_fold_change": t / 3, "p_value": p, "adj_p_value": stats.false_discovery_control(p),
        "mean_log_cpm": rng.normal(5, 1, n),
    })  # fmt: skip


SETS = {"shifted": [f"g{i}" for i in range(30)], "plain": [f"g{i}" for i in range(100, 140)], "tiny": ["g1", "g2"]}


def test_without_correlation_the_ranked_test_is_decouplers_ulm_and_students_t(synthetic):
    values, sets = synthetic
    golden = json.loads((FEATURES / "results_scores.json").read_text("utf-8"))["ulm"]
    table = pd.DataFrame({"gene": [f"gene{i}" for i in range(500)], "cell_type": "x", "protocol": "y", "t": values[0]})
    found = ranked_enrichment(table, sets, correlation=0, min_genes=3).table.set_index("set")
    assert found.loc[list(sets), "t"].tolist() == pytest.approx(golden[0], rel=1e-5)
    inside = np.isin(table["gene"], sets["b"])
    student = stats.ttest_ind(values[0][inside].astype(float), values[0][~inside].astype(float))
    assert found.loc["b", "p_value"] == pytest.approx(student.pvalue, rel=1e-6)


def test_correlation_of_a_sets_genes_widens_the_test():
    table = results()
    narrow = ranked_enrichment(table, SETS, correlation=0).table.set_index("set")
    wide = ranked_enrichment(table, SETS).table.set_index("set")
    assert list(narrow.index) == ["shifted", "plain"]
    n, m = 400, 30
    expected = narrow.loc["shifted", "t"] * np.sqrt((1 / m + 1 / (n - m)) / ((1 + 29 * 0.01) / m + 1 / (n - m)))
    assert wide.loc["shifted", "t"] == pytest.approx(expected)
    assert wide.loc["shifted", "adj_p_value"] < 1e-6
    assert wide.loc["plain", "adj_p_value"] > 0.05


def test_over_representation_is_fishers_one_sided_test_on_the_genes_tested():
    table = results()
    found = over_representation(table, {**SETS, "with strangers": [*SETS["shifted"], "elsewhere"]}).table
    up = found[found["direction"] == "up"].set_index("set")
    hits = (table["adj_p_value"] < 0.05) & (table["t"] > 0)
    inside = table["gene"].isin(SETS["shifted"])
    fields = [[(inside & hits).sum(), (inside & ~hits).sum()], [(~inside & hits).sum(), (~inside & ~hits).sum()]]
    assert up.loc["shifted", "p_value"] == pytest.approx(stats.fisher_exact(fields, "greater").pvalue, rel=1e-9)
    assert up.loc["with strangers", "p_value"] == up.loc["shifted", "p_value"]
    assert up.loc["shifted", "n_overlap"] == fields[0][0]
    assert set(up.loc["shifted", "genes"].split()) == set(table["gene"][inside & hits])
    assert "tiny" not in up.index


def test_no_hits_give_no_rows_and_strange_tables_are_told():
    table = results().assign(adj_p_value=0.9)
    assert over_representation(table, SETS).table.empty
    with pytest.raises(TitinError, match="the table has no column 't'"):
        ranked_enrichment(table.drop(columns="t"), SETS)


def test_random_sets_are_found_as_often_as_chance_allows():
    rng = np.random.default_rng(3)
    table = results(seed=4).assign(t=rng.normal(size=400))
    sets = {f"s{i}": rng.choice(table["gene"], 25, replace=False).tolist() for i in range(300)}
    p = ranked_enrichment(table, sets, correlation=0).table["p_value"]
    assert 0.02 < (p < 0.05).mean() < 0.08


def test_fibre_sets_part_slow_from_fast_human_fibres(shared):
    path = shared / "data" / "tables" / "human_muscle_fibres_slow_vs_fast_de.csv"
    if not path.exists():
        pytest.skip(f"needs {path.name}")
    table = pd.read_csv(path)
    fibres = pd.DataFrame({"gene": table["GENE"], "cell_type": "fibre", "protocol": "x", "t": table["stat"]}).dropna()
    found = ranked_enrichment(fibres).table.set_index("set")
    assert found.loc["fibre_slow", "t"] > 15
    assert found.loc["fibre_fast", "t"] < -15
    assert found.loc["glycolysis_muscle", "t"] < -5
    assert found.loc["HALLMARK_OXIDATIVE_PHOSPHORYLATION", "adj_p_value"] < 0.05
