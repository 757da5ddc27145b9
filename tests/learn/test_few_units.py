"""Benchmarks of few units: what cannot be evaluated is a result with its reason, and nothing else is lost for it."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.cli import cli
from titin.learn import Model, atlas_design, run_benchmark
from titin.learn.estimators import PartialLeastSquares

BASELINES = {"mean", "median", "young_old_oracle"}
GENES = ["XIST", "RPS4Y1", "CDKN1A", "MYH7", *(f"G{i}" for i in range(36))]


def build(folder, cells, ages, *, types=("T",), sexes=("female", "male"), alike=False, seed=0, change=None):
    """Donors of so many cells and such ages; of the types by turns."""
    rng = np.random.default_rng(seed)
    donor = np.repeat(np.arange(len(cells)), cells)
    obs = pd.DataFrame({
        "donor": [f"D{i}" for i in donor], "age": np.array(ages, float)[donor],
        "sex": np.array(sexes)[donor % len(sexes)], "cell_type": np.array(types)[donor % len(types)],
    }, index=[f"c{i}" for i in range(len(donor))])  # fmt: skip
    counts = rng.poisson(2.0, (len(obs), len(GENES))).astype(np.float32) + 1
    counts = np.broadcast_to(counts[:1], counts.shape) if alike else counts
    obs = obs if change is None else change(obs)
    folder.mkdir(parents=True, exist_ok=True)
    ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=GENES)).write_h5ad(folder / "s.h5ad")
    titin.build(folder / "s.h5ad", folder / "dataset", force=True, shuffle=False)
    return folder / "dataset"


def bench(dataset, *more):
    """Run all default models; the JSON, in which no NaN is."""
    result = CliRunner().invoke(
        cli, ["bench", str(dataset), "-q", "--json", "--permutations", "5", "--no-figures", *more]
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    written = json.loads(
        (dataset.with_name("dataset.benchmark") / "scores.json").read_text(), parse_constant=pytest.fail
    )
    document = json.loads(result.stdout, parse_constant=pytest.fail)
    assert document["scores"] == written["scores"]
    return result.exit_code, document


FEW = {  # cells, ages, types, and what is said
    "three units of two types": ([15, 16, 15, 9, 9], [35, 62, 50, 25, 70], ("T", "T", "B"), "do not vary"),
    "two units": ([20, 20, 9, 9, 9], [35, 62, 50, 25, 70], ("T",), "one value in training (1 pseudocell)"),
    "one unit": ([20, 9, 9, 9, 9], [35, 62, 50, 25, 70], ("T",), "no pseudocell to train on"),
    "no unit": ([9, 9, 9, 9], [35, 62, 50, 25], ("T",), "no pseudocells that can be used"),
    "one type a donor": ([20, 20, 20], [35, 62, 50], ("T", "B", "C"), "do not vary"),
}


@pytest.mark.parametrize("name", FEW)
def test_baselines_are_scored_where_too_few_units_are_left_to_learn_from(tmp_path, name):
    cells, ages, types, said = FEW[name]
    code, document = bench(build(tmp_path, cells, ages, types=types), "--task", "age")
    assert code == 0
    scored = {row["model"] for row in document["scores"] if row["metric"] == "mae" and row["value"] is not None}
    assert scored >= BASELINES - {"young_old_oracle"} if len(cells) < 4 else BASELINES
    assert any(said in entry["reason"] for entry in document["not_evaluated"])
    assert not any(entry["crashed"] for entry in document["not_evaluated"])
    assert any(said in sentence for sentence in document["told"])
    few = [f"D{i}" for i, n in enumerate(cells) if n < 15]
    if 0 < len(few) < len(cells):
        assert any(sentence.endswith(f"so not predicted: {', '.join(few)}") for sentence in document["told"])


def test_cells_that_are_all_alike_teach_nothing(tmp_path):
    code, document = bench(build(tmp_path, [30] * 6, [20, 30, 40, 50, 60, 70], alike=True), "--task", "age")
    assert code == 0
    assert {e["model"] for e in document["not_evaluated"]} >= {"ridge", "pls", "elastic_net", "boosting"}
    told = ("do not vary", "no features to learn from", "too few units or genes for components")
    assert all(any(reason in entry["reason"] for reason in told) for entry in document["not_evaluated"])
    scored = {row["model"] for row in document["scores"] if row["split"] == "leave_one_donor_out"}
    assert scored >= BASELINES


def test_one_donor_says_that_nothing_can_be_held_out(tmp_path):
    for n, ages in ((1, [40]), (2, [40, 40])):
        code, document = bench(build(tmp_path / str(n), [40] * n, ages))
        assert code == 0
        assert document["told"]
        assert not [row for row in document["scores"] if row["of"] == "donor" and row["low"] is not None and n == 1]


class Faulty:
    """A model of somebody's that fails where a donor is held out."""

    def fit(self, X, y):
        if len(y) < 5:
            raise ZeroDivisionError("division by\nzero")
        return self

    def predict(self, X):
        return np.full(len(X), 40.0)


def test_the_failure_of_one_model_is_its_own(tmp_path):
    dataset = build(tmp_path, [20] * 5, [20, 30, 50, 60, 70])
    models = ["ridge", Model("faulty", Faulty, ("regression",), "centred")]
    done = run_benchmark(dataset, tmp_path / "out", tasks=["age"], models=models, splits=["leave_one_donor_out"],
                         permutations=5, figures=False, threads=1)  # fmt: skip
    assert done.crashed
    (failed,) = {(e.model, e.reason, e.crashed) for e in done.not_evaluated}
    assert failed == ("faulty", "ZeroDivisionError: division by zero", True)
    assert {"ridge", "mean"} <= set(done.scores["model"])
    assert "faulty" not in set(done.scores["model"])
    assert any("faulty: failed with D0, D1, D2, D3, D4 held out: ZeroDivisionError" in said for said in done.told)
    assert "ZeroDivisionError" in (tmp_path / "out" / "leaderboard.md").read_text()
    again = run_benchmark(dataset, tmp_path / "out", tasks=["age"], models=models, splits=["leave_one_donor_out"],
                          permutations=5, figures=False, threads=1)  # fmt: skip
    assert again.not_evaluated == done.not_evaluated
    assert again.kept == 5 * len(set(done.scores["model"]))


def test_least_squares_take_no_more_components_than_the_units_span():
    X = np.outer([0.0, 1, 2, 3], [1.0, 2, 0])
    fitted = PartialLeastSquares(n_components=3, scale=False).fit(X, np.array([0.0, 1, 2, 3]))
    np.testing.assert_allclose(fitted.predict(X).ravel(), [0, 1, 2, 3], atol=1e-9)
    assert fitted.get_params()["n_components"] == 3


def test_cells_that_lack_a_donor_or_type_take_no_part_as_if_they_were_not_there(tmp_path):
    rng = np.random.default_rng(4)
    gaps = {"donor": rng.random(360) < 0.1, "cell_type": rng.random(360) < 0.1}
    lacking = gaps["donor"] | gaps["cell_type"]

    def change(obs):
        return obs.assign(**{
            name: pd.Categorical(np.where(mask, "unknown" if name == "donor" else None, obs[name]))
            for name, mask in gaps.items()
        })  # fmt: skip

    whole = build(tmp_path / "gaps", [60] * 6, [20, 30, 40, 50, 60, 70], types=("T", "B"), change=change)
    source = ad.read_h5ad(tmp_path / "gaps" / "s.h5ad")
    (tmp_path / "rest").mkdir()
    source[~lacking].copy().write_h5ad(tmp_path / "rest" / "s.h5ad")
    titin.build(tmp_path / "rest" / "s.h5ad", tmp_path / "rest" / "dataset", shuffle=False)
    asked = {
        "tasks": ["age", "cell_type"],
        "models": ["ridge", "logistic"],
        "splits": ["leave_one_donor_out"],
        "permutations": 5,
        "figures": False,
        "threads": 1,
    }
    one = run_benchmark(whole, tmp_path / "one", **asked)
    other = run_benchmark(tmp_path / "rest" / "dataset", tmp_path / "other", **asked)
    pd.testing.assert_frame_equal(one.scores, other.scores, rtol=1e-4)
    assert one.cells_left_out == {"donor": gaps["donor"].sum(), "cell_type": (lacking & ~gaps["donor"]).sum()}
    assert one.told[0].startswith(f"{lacking.sum()} cells take no part: ")
    assert atlas_design(titin.open(whole))["donor"].isna().sum() == gaps["donor"].sum()


def designs():
    """One to twelve donors of few or many cells, few ages, types and sexes, and gaps."""
    return st.fixed_dictionaries({
        "cells": st.lists(st.sampled_from([1, 3, 9, 16, 35]), min_size=1, max_size=12),
        "age": st.lists(st.sampled_from([25, 40, 62, 75]), min_size=12, max_size=12),
        "types": st.sampled_from([("T",), ("T", "B"), ("T", "B", "C")]),
        "sexes": st.sampled_from([("female",), ("female", "male")]),
        "gap": st.sampled_from(["", "donor", "sex", "age", "cell_type"]), "share": st.sampled_from([0.3, 1.0]),
        "alike": st.booleans(), "seed": st.integers(0, 99),
    })  # fmt: skip


def check(folder, drawn):
    """Every command ends with a document without NaN, or a sentence."""

    def change(obs):
        if not drawn["gap"]:
            return obs
        missing = np.random.default_rng(drawn["seed"]).random(len(obs)) < drawn["share"]
        column = obs[drawn["gap"]].mask(missing)
        # anndata writes no text of which none is left
        return obs.assign(**{drawn["gap"]: column if drawn["gap"] == "age" else column.astype("category")})

    n = len(drawn["cells"])
    dataset = build(folder, drawn["cells"], drawn["age"][:n], types=drawn["types"], sexes=drawn["sexes"],
                    alike=drawn["alike"], seed=drawn["seed"], change=change)  # fmt: skip
    code, document = bench(dataset, "--force")
    assert code == 0, document["not_evaluated"]


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(designs())
def test_no_small_design_crashes(tmp_path, drawn):
    check(tmp_path, drawn)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(designs())
def test_no_small_design_of_many_crashes(tmp_path, drawn):
    check(tmp_path, drawn)
