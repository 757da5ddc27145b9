"""Rows of a board are of the same donors, and stay when another model is run."""

import json

import numpy as np
import pytest
from test_few_units import build

from titin.errors import TitinError
from titin.learn import run_benchmark

QUICK = {"splits": ["leave_one_donor_out"], "figures": False, "threads": 1, "permutations": 9}


@pytest.fixture
def dataset(tmp_path):
    """Eight donors, of whom the last has too few cells for a pseudocell."""
    return build(tmp_path, [20] * 7 + [9], [20, 30, 35, 50, 60, 65, 70, 75], types=("T",))


def models_of(done, task="age_numeric"):
    return set(done.scores.query("task == @task and not baseline")["model"])


def test_rows_of_earlier_runs_stay_and_are_replaced_by_their_like(dataset, tmp_path):
    out = tmp_path / "out"
    one = run_benchmark(dataset, out, tasks=["age_numeric"], models=["ridge"], **QUICK)
    other = run_benchmark(dataset, out, tasks=["age_numeric"], models=["pls"], **QUICK)
    assert models_of(one) == {"ridge"}
    assert models_of(other) == {"ridge", "pls"}
    assert "rows of earlier runs stay: ridge (age_numeric, leave_one_donor_out)" in other.told
    pick = "model == 'ridge' and metric == 'mae' and of == 'donor'"
    assert one.scores.query(pick)["value"].item() == other.scores.query(pick)["value"].item()
    assert set(other.comparisons["model"]) | set(other.comparisons["other"]) >= {"ridge", "pls"}
    third = run_benchmark(dataset, out, tasks=["sex"], models=["logistic"], **QUICK)
    assert models_of(third) == {"ridge", "pls"}
    assert models_of(third, "sex") == {"logistic"}
    again = run_benchmark(dataset, out, tasks=["age_numeric"], models=["ridge"], **QUICK)
    assert models_of(again) == {"ridge", "pls"}
    text = (out / "leaderboard.md").read_text()
    assert text.count("| **ridge** |") == 1
    assert "is the best of 2 models, and chosen for it: its error is optimistic" in text


def test_rows_made_otherwise_are_left_out_and_told(dataset, tmp_path):
    out = tmp_path / "out"
    run_benchmark(dataset, out, tasks=["age_numeric"], models=["ridge", "pls"], **QUICK)
    done = run_benchmark(dataset, out, tasks=["age_numeric"], models=["mean"], **{**QUICK, "permutations": 11})
    assert models_of(done) == {"pls"}  # ridge was fitted to nine permutations
    assert any(said.startswith("rows of earlier runs are left out") and "ridge" in said for said in done.told)


def test_a_board_that_is_none_is_refused_in_words(dataset, tmp_path):
    out = tmp_path / "out"
    run_benchmark(dataset, out, tasks=["age_numeric"], models=["ridge"], **QUICK)
    path = out / "board.json"
    document = json.loads(path.read_text())
    document["rows"][0]["level"] = "galaxy"
    path.write_text(json.dumps(document))
    with pytest.raises(TitinError, match=r"board\.json holds no rows of a board: rows\[0\]\.level"):
        run_benchmark(dataset, out, tasks=["age_numeric"], models=["ridge"], **QUICK)


def test_baselines_are_scored_on_the_donors_of_the_models(dataset, tmp_path):
    done = run_benchmark(dataset, tmp_path / "out", tasks=["age_numeric"], models=["ridge"], **QUICK)
    of = done.scores.query("metric == 'mae' and of == 'donor'").set_index("model")
    assert set(of["n_donors"]) == {7}
    ages = np.array([20, 30, 35, 50, 60, 65, 70, 75.0])
    others = [np.delete(ages, i).mean() for i in range(7)]
    assert of.loc["mean", "value"] == pytest.approx(np.abs(ages[:7] - others).mean())
    assert "spearman" not in set(done.scores["metric"])
