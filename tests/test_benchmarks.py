"""The benchmark scripts run and print what they promise, at a size at which their figures say nothing."""

import json
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import titin
from titin.demo import write_demo_atlas

pytestmark = pytest.mark.slow  # each script compiles its kernels, several times over

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CELLS, GENES = 240, 200


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_atlas(tmp_path_factory.mktemp("twin") / "twin.h5ad", n_cells=CELLS, n_genes=GENES)


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_build_measures_time_memory_and_sizes(twin: Path, tmp_path: Path):
    done = run(
        "build.py", "--twin", twin, "--runs", 1, "--threads", 1, "--no-warm-up", "--dense-cells", 0,
        "--layers", "--work", tmp_path, "--json", "-",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["layers"]["X and umi"]["bytes"] > found["layers"]["X alone"]["bytes"]
    assert found["twin"].items() >= {"cells": CELLS, "genes": GENES}.items()
    assert found["build"]["seconds"]["median"] > sum(s["median"] for s in found["build"]["steps"].values()) * 0.99
    assert found["build"]["peak_bytes"]["median"] > 50 * 2**20
    assert "scan" in found["build"]["steps"]
    sizes = {name.removeprefix("skeletal_muscle_10x_"): f for name, f in found["build"]["list_columns"].items()}
    assert set(sizes["expression.parquet"]) == {"genes", "counts", "levels"}
    assert set(sizes["expression_by_gene.parquet"]) == {"cells", "counts"}
    assert found["start_up"]["import titin"]["median"] > 0
    assert (found["dense"], found["double"], found["annbatch"]) == (None, None, None)
    assert not list(tmp_path.iterdir())


def test_cluster_compares_results_and_seconds(twin: Path, tmp_path: Path):
    pytest.importorskip("distributed", reason="needs `pip install 'titin[cluster]'`")
    dataset = titin.build(twin, tmp_path / "dataset", project=()).path
    done = run("cluster.py", "--dataset", dataset, "--source", twin, "--runs", 1, "--pass", "variable genes",
               "--pass", "pseudobulk", "--pass", "build", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["passes"]
    assert [one["pass"] for one in found] == ["variable genes", "pseudobulk", "build"]
    assert all(one["equal"] and one["speed"] > 0 and one["cluster_cpu_seconds"] > 0 for one in found)


def test_scale_counts_what_a_build_reads(twin: Path, tmp_path: Path):
    done = run("scale.py", "--twin", twin, "--cells", 500, 1000, "--values", 20, "--threads", 1, "--work", tmp_path,
               "--json", "-")  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [r["cells"] for r in runs] == [500, 1000]
    assert 10 * 1000 < runs[1]["nnz"] < 40 * 1000
    assert all(r["reads"] > 0 and r["read_bytes"] > 4 * r["nnz"] and r["written_bytes"] > 0 for r in runs)
    assert not list(tmp_path.iterdir())


def test_a_revision_is_compared_with_the_checkout(twin: Path, tmp_path: Path):
    if subprocess.run(["git", "-C", BENCHMARKS, "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        pytest.skip("this is no checkout of git")
    done = run("revisions.py", "--against", "HEAD", "--twin", twin, "--runs", 1, "--genes", 5, "--batches", 1,
               "--work", tmp_path, "--json", "-")  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert len(runs["before"]) == len(runs["now"]) == 1
    assert list(runs["before"][0]) == list(runs["now"][0])
    assert {"build", "one gene", "a cell of a minibatch, counts"} < set(runs["now"][0])
    assert min(runs["now"][0].values()) > 0
    assert not list(tmp_path.iterdir())
    done = run("revisions.py", "--against", "no-such-revision", "--twin", twin, "--work", tmp_path)
    assert done.returncode == 2
    assert "no-such-revision" in done.stderr


def test_loaders_are_compared_by_turns_in_every_way(twin: Path, tmp_path: Path):
    asked = ["load.py", "--source", twin, "--peer-python", sys.executable, "--cells", CELLS // 2, "--turns", 1,
             "--epochs", 2, "--seconds", 1, "--threads", 1, "--work", tmp_path]  # fmt: skip
    done = run(*asked, "--peers", "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["dataset"]["n_cells"] == CELLS // 2
    assert len(found["ways"]) == 10
    assert all(list(way["rates"]) == ["titin", "titin, cached"] for way in found["ways"])
    assert min(rate for way in found["ways"] for rates in way["rates"].values() for rate in rates) > 0
    assert {way["way"]["order"] for way in found["ways"]} == {"blocks", "single cells"}
    assert not list(tmp_path.iterdir())
    done = run(*asked, "--peers", "no-such-peer")
    assert done.returncode == 2
    assert "there is no peer no-such-peer" in done.stderr


def test_build_says_what_is_missing(tmp_path: Path):
    done = run("build.py", "--twin-script", tmp_path / "twin.py")
    assert done.returncode == 2
    assert "--twin-script" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_way_of_normalising_is_undone_and_nothing_else(tmp_path: Path):
    target = tmp_path / "found.json"
    done = run("recovery_family.py", "--cells", 120, "--json", target)
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text())
    assert len(found["recovered"]) == 72
    for row in found["recovered"]:
        assert row["kind"] == ("normalized" if row["transform"] == "x" else "log1p"), row
        assert (row["counts"], row["values"]) == (1.0, "equal"), row
    assert {row["kind"] for row in found["refused"]} == {"real"}


def test_encoding_marks_the_current_choice_in_every_table(twin: Path, tmp_path: Path):
    target = tmp_path / "found.json"
    done = run("encoding.py", "--twin", twin, "--cells", 200, "--rounds", 1, "--markdown", "--json", target)
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text())
    assert found["sample"].items() >= {"cells": 200, "genes": GENES}.items()
    studies = [study for group in found["studies"].values() for study in group]
    assert [s["question"] for s in studies if sum(row["current"] for row in s["rows"]) != 1] == []
    assert all(row["bytes"] > 0 and min(row["seconds"].values()) > 0 for s in studies for row in s["rows"])
    assert done.stdout.count("\n### ") == len(studies)


def test_dense_peer_writes_every_gene_as_a_column(twin: Path, tmp_path: Path):
    import pandas as pd

    done = run("_peers.py", "dense", twin, tmp_path / "dense.parquet")
    assert done.returncode == 0, done.stderr
    frame, source = pd.read_parquet(tmp_path / "dense.parquet"), ad.read_h5ad(twin)
    assert frame.columns.tolist() == source.var_names.tolist()
    np.testing.assert_array_equal(frame.to_numpy(), source.X.toarray())


@pytest.mark.parametrize("dense", [False, True])
def test_head_and_stack_keep_the_cells(twin: Path, tmp_path: Path, dense: bool):
    source = ad.read_h5ad(twin)
    if dense:
        twin, source.X = tmp_path / "source.h5ad", source.X.toarray()
        source.write_h5ad(twin)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import _twins
    finally:
        sys.path.remove(str(BENCHMARKS))
    _twins.head(twin, tmp_path / "head.h5ad", 50)
    _twins.stack(twin, tmp_path / "stack.h5ad", 2)
    head, stack = ad.read_h5ad(tmp_path / "head.h5ad"), ad.read_h5ad(tmp_path / "stack.h5ad")
    expected = {"cells": 2 * CELLS, "genes": GENES, "nnz": 2 * np.count_nonzero(_dense(source.X))}
    assert _twins.shape(tmp_path / "stack.h5ad") == expected
    np.testing.assert_array_equal(_dense(head.X), _dense(source.X)[:50])
    np.testing.assert_array_equal(_dense(stack.X), np.vstack([_dense(source.X)] * 2))
    assert head.obs_names.tolist() == source.obs_names[:50].tolist()
    assert stack.obs_names.is_unique
    assert stack.obs_names[:CELLS].tolist() == source.obs_names.tolist()
    for column in source.obs:
        assert stack.obs[column].tolist() == source.obs[column].tolist() * 2
        assert head.obs[column].tolist() == source.obs[column].tolist()[:50]
    for key, values in source.obsm.items():
        np.testing.assert_array_equal(stack.obsm[key], np.vstack([values, values]))
    assert stack.var.equals(source.var)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset large enough to be tested for ageing, and what it was built from."""
    folder = tmp_path_factory.mktemp("study")
    source = write_demo_atlas(folder / "twin.h5ad", n_cells=3000, n_genes=600)
    return titin.build(source, folder / "dataset", preset="muscle", project=()).path, source


def test_learn_says_what_is_found_of_what_was_planted(study: tuple[Path, Path], tmp_path: Path):
    dataset, source = study
    target = tmp_path / "found.json"
    done = run("learn.py", dataset, "--truth", source, "--output", tmp_path / "results", "--json", target,
               "--model", "elastic_net")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text())
    assert [row["folds"] > 10 and row["peak_gib"] > 0.1 for row in found["runs"]] == [True, True]
    assert 0.6 < found["planted_auroc"]["elastic_net"] <= 1
    done = run("learn.py", dataset, "--task", "cell_type_0", "--model", "logistic", "--json", target)
    assert done.returncode == 0, done.stderr
    (alone,) = json.loads(target.read_text())["runs"]
    f1 = {row["model"]: row for row in alone["scores"] if row["metric"] == "macro_f1"}
    assert 0.5 < f1["logistic"]["low"] <= f1["logistic"]["value"] <= f1["logistic"]["high"]
    assert "known markers are among the 50 genes" in done.stdout


@pytest.mark.parametrize(("script", "names"), [
    ("ageing.py", ["pseudobulk", "comparisons, annotation_level0", "composition, poisson"]),
    ("ageing_truth.py", ["gene × type, protocols together", "false discoveries"]),
    ("validate.py", ["full"]),
    ("relabel.py", ["relabel: a column with a role", "diff"]),
    ("train.py", ["together", "values, 600 genes, dense, torch.bfloat16", "counts, all genes"]),
])  # fmt: skip
def test_scripts_on_a_dataset(study: tuple[Path, Path], tmp_path: Path, script: str, names: list[str]):
    dataset, source = study
    if script == "train.py":
        pytest.importorskip("torch", reason="needs `pip install titin[torch]`")
    given = ["--twin", source, "--work", tmp_path, "--runs", 1] if script == "validate.py" else (
        ["--rounds", 1] if script == "relabel.py" else [])  # fmt: skip
    done = run(script, "--dataset", dataset, *given)
    assert done.returncode == 0, done.stderr
    assert [name for name in names if name not in done.stdout] == []


def test_label_checks_find_what_they_change_and_nothing_where_they_change_nothing(tmp_path: Path):
    target = tmp_path / "found.json"
    done = run("label_checks.py", "--seeds", 1, "--cells", 1500, "--each", 1, "--json", target)
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text())
    assert [finding for finding in found["clean"] if finding["severity"] == "error"] == []
    assert found["found"]["two types"] == found["tried"]["two types"] == 1
    assert found["found"]["sex of a donor"] >= 0.9 * found["tried"]["sex of a donor"] > 5


def test_scores_of_gene_sets_by_every_method(study: tuple[Path, Path], tmp_path: Path):
    target = tmp_path / "found.json"
    done = run("ageing_scores.py", study[0], "--no-report", "--json", target)
    assert done.returncode == 0, done.stderr
    assert [name for name in ("score_genes", "ucell", "ulm") if name not in done.stdout] == []
    assert json.loads(target.read_text())


def test_groups_measures_each_way_beside_a_plain_pass(twin: Path, tmp_path: Path):
    titin.build(twin, tmp_path / "dataset", project=())
    done = run("groups.py", "--dataset", tmp_path / "dataset", "--repeats", 2, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["cells"], found["genes"]) == (CELLS, GENES)
    plain, *ways = found["ways"]
    assert plain["of_a_plain_pass"] == 1
    assert len(ways) == 4
    assert all(way["seconds"] > 0 and way["first_seconds"] > 0 and way["of_a_plain_pass"] > 0 for way in ways)


def test_groups_says_what_the_dataset_lacks(tmp_path: Path):
    plain = ad.AnnData(sparse.random(30, 20, 0.3, format="csr", random_state=0, dtype=np.float32))
    plain.write_h5ad(tmp_path / "plain.h5ad")
    titin.build(tmp_path / "plain.h5ad", tmp_path / "dataset", project=())
    done = run("groups.py", "--dataset", tmp_path / "dataset")
    assert done.returncode == 2
    assert "lacks donors, cell types or ages" in done.stderr


def _dense(X: object) -> np.ndarray:
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def test_compare_writes_its_page_and_names_the_peers_that_are_missing(twin: Path, tmp_path: Path):
    page = tmp_path / "comparison.md"
    done = run(
        "compare.py", "--peer-python", sys.executable, "--source", twin, "--seconds", 1, "--epochs", 2,
        "--n-queries", 2, "--threads", 1, "--folder", tmp_path, "--write", page,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = page.read_text("utf-8")
    assert f"{CELLS:,} cells × {GENES:,} genes" in text
    assert "cellstream is not installed" in text
    assert "annbatch is not installed" in text
    for row in (
        "| titin | counts and exact values",
        "| h5ad | values",
        "| titin, counts, from its cache |",
        "| titin | 2 |",
    ):
        assert row in text
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.md"]


def test_merge_measures_merges_and_a_part(twin: Path, tmp_path: Path):
    done = run("merge.py", "--twin", twin, "--studies", 1, 2, "--where", "Sex=F", "--threads", 1, "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["runs"]
    assert found["merge of 2"]["n_cells"] == 2 * found["one study alone"]["n_cells"] == 2 * CELLS
    assert 0 < found["subset"]["n_cells"] < CELLS
    assert found["merge of 2"]["peak_bytes"] > 50 * 2**20


def test_network_says_what_is_recovered(tmp_path: Path):
    done = run("network.py", "--seeds", 1, "--n-cells", 5000, "--n-genes", 700, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["places"]
    assert max(row["ridge_aupr_ratio"] for row in rows if row["planted_change"]) > 3


def test_remote_counts_requests_and_reads_what_is_here(twin: Path, tmp_path: Path):
    pytest.importorskip("aiohttp", reason="needs `pip install aiohttp`")
    titin.build(twin, tmp_path / "dataset", project=())
    done = run("remote.py", "--dataset", tmp_path / "dataset", "--latency", 1, "--batches", 1, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    steps = {one["step"]: one for one in found["steps"]}
    assert steps["open"]["requests"] == 1
    assert steps["open"]["requests"] + steps["counts_of(gene)"]["requests"] <= 5
    assert steps["counts_of(another)"]["requests"] < steps["counts_of(gene)"]["requests"]
    assert 0 < found["loader_cells_per_second"]["there"] < found["loader_cells_per_second"]["most"]
