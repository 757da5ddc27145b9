"""A run can be resumed, gives the same numbers again, takes models of users, and says what it cannot do."""

import json
import re
import sys
import time

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn.linear_model import Ridge
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

import titin
from titin.cli import cli
from titin.errors import OutputError, TitinError
from titin.learn import Model, all_models, atlas_design, benchmark_run, find_models, make_units, run_benchmark
from titin.learn.cells import gather_moments, gather_units
from titin.learn.terminal import describe, describe_choices, list_choices

QUICK = {"figures": False, "threads": 1, "permutations": 20}


def nearest() -> KNeighborsClassifier:
    """A user's model."""
    return KNeighborsClassifier(3)


@pytest.fixture(scope="module")
def first(demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "results"
    done = run_benchmark(demo, folder, tasks=["age", "sex"], models=["ridge", "logistic"], threads=2,
                         permutations=20, learning_curve=True)  # fmt: skip
    return folder, done


def test_what_is_done_is_kept_and_what_is_lost_is_done_again(demo, first, monkeypatch):
    folder, done = first
    assert done.ran > 0
    assert done.kept == 0
    again = {"tasks": ["age", "sex"], "models": ["ridge", "logistic"], "learning_curve": True, **QUICK}
    lost = sorted((folder / "predictions/age_years/leave_one_donor_out/ridge").glob("fold-*.parquet"))[3]
    before = pq.read_table(lost).to_pandas()
    lost.write_bytes(b"cut off")
    resumed = run_benchmark(demo, folder, **again)
    assert (resumed.ran, resumed.kept) == (1, done.ran - 1)
    pd.testing.assert_frame_equal(pq.read_table(lost).to_pandas(), before)
    pd.testing.assert_frame_equal(resumed.scores, done.scores)
    monkeypatch.setattr("titin.learn.run_folds.gather_moments", lambda *_, **__: pytest.fail("nothing is to be read"))
    assert run_benchmark(demo, folder, **again).ran == 0
    assert not list(folder.rglob("*.titin-*"))


def test_every_fold_has_its_permutations_whichever_thread_is_first(demo, tmp_path, monkeypatch):
    deal = benchmark_run.donor_strata

    def deal_late(*given):
        time.sleep(0.3)
        return deal(*given)

    monkeypatch.setattr(benchmark_run, "donor_strata", deal_late)
    run_benchmark(demo, tmp_path / "r", tasks=["age"], models=["ridge"], splits=["leave_one_donor_out"], threads=2,
                  permutations=5, figures=False)  # fmt: skip
    names = sorted(path.name for path in (tmp_path / "r" / "predictions").rglob("ridge/*.parquet"))
    folds = [name.removeprefix("fold") for name in names if name.startswith("fold")]
    assert len(folds) > 5
    assert [name.removeprefix("permuted") for name in names if name.startswith("permuted")] == folds


def test_earlier_results_go_with_force_only_and_other_folders_never(demo, tmp_path):
    asked = {"tasks": ["sex"], "models": ["logistic"], "splits": ["random_leaky"], **QUICK}
    folder = tmp_path / "results"
    done = run_benchmark(demo, folder, **asked)
    (folder / "notes.txt").write_text("mine")
    assert run_benchmark(demo, folder, **asked).ran == 0
    assert (folder / "notes.txt").exists()
    anew = run_benchmark(demo, folder, force=True, **asked)
    assert (anew.ran, anew.kept) == (done.ran, 0)
    assert not (folder / "notes.txt").exists()
    pd.testing.assert_frame_equal(anew.scores, done.scores)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match="is not of an earlier benchmark"):
            run_benchmark(demo, tmp_path / "other", force=force, **asked)
    assert (tmp_path / "other" / "thesis.txt").read_text() == "mine"


def test_scores_are_those_of_the_predictions(first):
    folder, done = first
    files = sorted((folder / "predictions/sex/leave_one_donor_out/logistic").glob("fold-*.parquet"))
    table = pd.concat([pq.read_table(file).to_pandas() for file in files])
    found = done.scores.query(
        "task == 'sex' and split == 'leave_one_donor_out' and model == 'logistic' and of == 'unit'"
    )
    expected = f1_score(table["true"], table["predicted"], average="macro")
    assert found.set_index("metric").loc["macro_f1", "value"] == pytest.approx(expected)
    written = json.loads((folder / "scores.json").read_text())
    assert len(written["scores"]) == len(done.scores) == len(pq.read_table(folder / "scores.parquet"))
    assert written["splits_sha256"] == json.loads((folder / "splits.json").read_text())["sha256"]


def test_the_terminal_shows_scores_with_their_intervals_and_choices(demo, first):
    _, done = first
    parts = describe(done).split("\n\n")
    shown = next(part.splitlines() for part in parts if part.startswith("age_years, leave_one_donor_out: "))
    assert shown[0] == "age_years, leave_one_donor_out: MAE in years by donor, 15 donors"
    assert shown[1].split() == ["model", "MAE", "95", "%", "interval"]
    errors = [float(re.search(r" (\d+\.\d+) ", line)[1]) for line in shown[2:]]
    assert errors == sorted(errors)
    ridge = next(line.split() for line in shown if line.split()[0] == "ridge")
    assert float(ridge[2]) <= float(ridge[1]) <= float(ridge[4])
    assert sum(line.endswith("baseline") for line in shown) >= 1
    assert any("LEAKY" in part for part in parts)
    listed = describe_choices(list_choices(demo.folder))
    assert re.search(r"^ridge +\S+ +regression$", listed, re.MULTILINE)
    assert "  age_years: exact age, years" in listed


def test_tables_come_before_what_cannot_be_said_which_is_said_once(demo, first):
    folder, done = first
    told = list(done.told)
    assert len(told) == len(set(told))
    assert sum("not evaluable" in said for said in told) <= 3
    shown, board = describe(done), (folder / "leaderboard.md").read_text()
    assert shown.startswith("age_years, leave_one_donor_out: ")
    assert shown.index("LEAKY") < shown.index("what to know") < min(shown.index(said) for said in told)
    assert board.index("| model |") < board.rindex("| *mean* |") < board.index("## What cannot be said")
    assert told[0] == f"these data are synthetic. {demo.synthetic}".rstrip(".")
    several = [said for said in told if "too few cells of one type for a pseudocell" in said]
    assert len(several) == 1
    assert several[0].startswith("age_years, ")


def test_figures_and_leaderboard(first):
    folder, _ = first
    drawn = {file.name for file in (folder / "figures").iterdir()}
    assert {"age_years_predicted_against_actual.png", "age_years_learning_curve.png", "age_years_leak_gap.png",
            "sex_confusion.png", "sex_reliability.png"} <= drawn  # fmt: skip
    text = (folder / "leaderboard.md").read_text()
    assert "### age_years, leave_one_donor_out: 15 donors" in text  # two have too few cells for a pseudocell
    assert "| *mean* | facts, donors | 18.91 (" in text
    assert "LEAKY" in text
    assert "all 5 young donors in cells are male" in text


def test_a_model_that_errs_more_than_the_baseline_is_said_to_be_worse(first):
    folder, done = first
    pairs = done.comparisons.query("task == 'sex' and split == 'leave_one_donor_out'")
    rule = pairs.query("model == 'sex_gene_rule' and other == 'logistic'")["difference"].iloc[0]
    section = (folder / "leaderboard.md").read_text().split("### sex, leave_one_donor_out")[1].split("###")[0]
    row = next(line for line in section.splitlines() if line.startswith("| **logistic**"))
    assert rule != 0
    assert ("worse" in row) == (rule < 0)


def test_sex_is_told_by_sex_genes(first):
    checked = json.loads((first[0] / "biology.json").read_text())["tasks"]["sex"]
    assert checked["sex_genes_in_top_10"] >= 5
    rule = first[1].scores.query(
        "task == 'sex' and model == 'sex_gene_rule' and metric == 'accuracy' and of == 'donor'"
    )
    assert (rule["value"] == 1).all()


def test_models_of_users(demo, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mypkg", sys.modules[__name__])
    own = Model("own_ridge", lambda: Ridge(10.0), ("regression",), "gene_sets")
    done = run_benchmark(demo, tmp_path / "b", tasks=["age", "cell_type_0"], models=["mypkg:nearest", own],
                         splits=["cells_to_nuclei"], **QUICK)  # fmt: skip
    found = done.scores.query("metric in ('mae', 'macro_f1')").groupby("model")["value"].first()
    assert found["mypkg:nearest"] > found["majority"]
    assert np.isfinite(found["own_ridge"])
    with pytest.raises(TitinError, match="cannot be imported"):
        find_models(["mypkg:nothing"])
    with pytest.raises(TitinError, match="there is no model 'rigde'"):
        find_models(["rigde"])
    with pytest.raises(TitinError, match="there are no features"):
        find_models(["ridge@nothing"])


def test_models_by_entry_point(monkeypatch):
    class Point:
        name, value = "own", "pkg:own"

        def load(self):
            return Model("own", nearest)

    monkeypatch.setattr("titin.learn.models.entry_points", lambda group: [Point()] if group == "titin.models" else [])
    assert all_models()["own"].make is nearest


def test_given_projections_are_transductive(demo, tmp_path):
    key = next(iter(demo.obsm))
    done = run_benchmark(demo, tmp_path / "b", tasks=["cell_type_0"], models=[f"logistic@{key}"],
                         splits=["cells_to_nuclei"], clustering=True, **QUICK)  # fmt: skip
    track = done.scores.drop_duplicates("model").set_index("model")["track"]
    assert track[f"logistic@{key}"] == "transductive"
    assert track["majority"] == "inductive"
    assert "(transductive)" in (tmp_path / "b" / "leaderboard.md").read_text()
    clusters = pq.read_table(tmp_path / "b" / "clustering.parquet").to_pandas()
    assert set(clusters["projection"]) == set(demo.obsm)
    assert {"ari", "nmi", "best_f1", "silhouette", "donor_ilisi", "label_transfer_macro_f1"} <= set(clusters["metric"])


def test_mlp_is_fed_by_the_loader(demo):
    pytest.importorskip("torch")
    from titin.learn.estimators import LoaderCells
    from titin.learn.mlp import LoaderMLP

    design = atlas_design(demo)
    units = make_units(design, "cell")
    data = gather_units(gather_moments(demo, design, threads=1), demo, {"cell": (units, np.zeros(0, np.int64))},
                        threads=1)["cell"]  # fmt: skip
    kind = units.obs["cell_type_0"].astype(str)
    rows = np.flatnonzero(kind.isin(["MF-I", "FB", "MuSC"]))
    train, test = rows[::2], rows[1::2]
    model = LoaderMLP(n_genes=200, hidden=16, min_steps=40, batch_size=128)
    model.fit(LoaderCells.of(data, train), kind.iloc[train].to_numpy())
    shares = model.predict_proba(LoaderCells.of(data, test))
    assert (model.predict(LoaderCells.of(data, test)) == kind.iloc[test].to_numpy()).mean() > 0.9
    again = LoaderMLP(n_genes=200, hidden=16, min_steps=40, batch_size=128)
    again.fit(LoaderCells.of(data, train), kind.iloc[train].to_numpy())
    np.testing.assert_allclose(again.predict_proba(LoaderCells.of(data, test)), shares, atol=1e-5)


@pytest.mark.parametrize("what", ["nothing known", "one donor", "one class"])
def test_says_what_it_cannot_do(tmp_path, what):
    rng = np.random.default_rng(0)
    obs = {
        "nothing known": {},
        "one donor": {"donor_id": ["a"] * 120, "cell_type": ["x", "y"] * 60, "sex": ["F"] * 120},
        "one class": {"donor_id": list("abcd") * 30, "cell_type": ["x"] * 120, "age": [30.0] * 120},
    }[what]
    table = pd.DataFrame(obs, index=[f"c{i}" for i in range(120)])
    ad.AnnData(rng.poisson(1.0, (120, 60)).astype(np.float32), obs=table).write_h5ad(tmp_path / "a.h5ad")
    titin.build(tmp_path / "a.h5ad", tmp_path / "d")
    result = CliRunner().invoke(cli, ["bench", str(tmp_path / "d"), "-q", "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "0 folds run" in result.output
    assert "not evaluable" in result.output
    assert (tmp_path / "d.benchmark" / "leaderboard.md").exists()
    listed = CliRunner().invoke(cli, ["bench", str(tmp_path / "d"), "--list", "--json"])
    assert not any(task["evaluable"] for task in json.loads(listed.output)["tasks"])


def test_glioblastoma_has_one_female_donor(shared, tmp_path):
    titin.build(shared / "data/h5ad/glioblastoma_lemur_5000x300.h5ad", tmp_path / "d")
    done = run_benchmark(tmp_path / "d", tasks=["sex", "age", "obs:condition"], models=["logistic"],
                         splits=["leave_one_donor_out"], **QUICK)  # fmt: skip
    assert "sex: 1 female donor: not evaluable" in done.told
    assert set(done.scores["task"]) == {"age_numeric", "obs:condition"} or set(done.scores["task"]) == {
        "age_years", "obs:condition"}  # fmt: skip
    assert done.folder == tmp_path / "d.benchmark"


def test_protocol_and_chemistry_of_the_liver_are_confounded(shared, tmp_path):
    titin.build(shared / "data/h5ad/human_liver_cellxgene_146x33452.h5ad", tmp_path / "d")
    done = run_benchmark(tmp_path / "d", tasks=["protocol", "chemistry", "cell_type"], models=["logistic"],
                         splits=["leave_one_donor_out"], **QUICK)  # fmt: skip
    assert any(told.startswith("protocol is confounded with chemistry (cell: 10x 3' v2, nucleus: 10x 3' v3)")
               for told in done.told)  # fmt: skip
    assert "cell_type_0" in set(done.scores["task"])


def test_pbmc_labels_without_donors(shared, tmp_path):
    titin.build(shared / "data/h5ad/pbmc4k_soupx_2170x33694.h5ad", tmp_path / "d", roles={"cell_type": ["Annotation"]})
    done = run_benchmark(tmp_path / "d", **QUICK)
    assert done.scores.empty
    said = "age_numeric, young_old, sex, protocol, cell_type_0: no column says which donor a cell is of: not evaluable"
    assert said in done.told
