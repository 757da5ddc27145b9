"""The command line: what goes to stdout and stderr, in which form, and which setting wins."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import anndata as ad
import click
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.io
from scipy import sparse

from command_line import Outcome, Run
from titin.cli import COMMANDS, cli
from titin.demo import write_demo_atlas

ANSI = "\x1b["


@pytest.fixture(scope="session")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_atlas(tmp_path_factory.mktemp("atlas") / "atlas.h5ad", n_cells=300, n_genes=300)


@pytest.fixture(scope="session")
def dataset(atlas: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from titin.builder import build

    return build(atlas, tmp_path_factory.mktemp("dataset") / "dataset", tissue="muscle", method="10x").path


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def manifest(folder: str | Path) -> dict[str, Any]:
    return dict(json.loads(Path(folder, "titin.json").read_text("utf-8")))


# ---- every command


def every_command() -> list[list[str]]:
    """Names of all commands; those in a group after its own."""
    return [[], *([name] for name in COMMANDS), *(path for path, _ in leaf_commands() if len(path) > 1)]


def leaf_commands() -> list[tuple[list[str], click.Command]]:
    """All commands but groups, by their names."""
    context = click.Context(cli)
    loaded = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    found = []
    for name, command in loaded.items():
        if isinstance(command, click.Group):
            found += [([name, own], inner) for own, inner in command.commands.items()]
        elif command is not None:
            found.append(([name], command))
    return found


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(command: list[str], flag: str, titin: Run) -> None:
    outcome = titin(*command, flag)
    assert outcome.code == 0
    assert outcome.stdout.startswith("Usage: ")
    assert outcome.stderr == ""
    if "Commands:" not in outcome.stdout:
        for option in ("--json", "--quiet", "--debug", "--help"):
            assert option in outcome.stdout


def test_help_lists_every_command_in_the_order_of_use(titin: Run) -> None:
    listed = re.findall(r"^  (\w+)  ", titin("--help").stdout.split("Commands:")[1], re.MULTILINE)
    assert listed == [
        "build", "batch", "info", "export", "embed", "relabel", "roles", "subset", "merge", "validate", "diff", "card",
        "publish", "bench", "predict", "annotate", "age", "network", "report", "explore", "site", "demo", "doctor",
    ]  # fmt: skip


EXAMPLES = {
    "build": ["build", "{atlas}", "-o", "out"],
    "dry run": ["build", "{atlas}", "-o", "out", "--dry-run"],
    "info": ["info", "{dataset}"],
    "export": ["export", "{dataset}", "--format", "h5ad", "-o", "out"],
    "subset": ["subset", "{dataset}", "--where", "sex=F", "-o", "out"],
    "demo": ["demo", "-o", "out", "--n-cells", "200", "--n-genes", "150"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize("command", EXAMPLES.values(), ids=EXAMPLES)
def test_json_is_one_document_and_text_is_on_stdout_alone(
    command: list[str], titin: Run, atlas: Path, dataset: Path, tmp_path: Path
) -> None:
    arguments = [part.format(atlas=atlas, dataset=dataset) for part in command]
    text = titin(*arguments, "-q")
    assert text.code == 0, text
    assert text.stderr == ""
    assert text.stdout.strip()
    assert ANSI not in text.stdout
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(text.stdout)
    for made in tmp_path.iterdir():
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    outcome = titin(*arguments, "--json")
    assert outcome.code == 0, outcome
    assert outcome.document
    assert outcome.stdout not in outcome.stderr


def test_an_error_leaves_stdout_empty_with_json_too(titin: Run) -> None:
    for arguments in (["info", "nowhere"], ["build", "nowhere.h5ad"], ["export", "nowhere", "--format", "mtx"]):
        outcome = titin(*arguments, "--json", "-q")
        assert outcome.code == 2
        assert outcome.stdout == ""
        assert outcome.stderr.startswith("error: ")
        assert "nowhere" in outcome.stderr


def test_progress_is_lines_at_most_every_tenth_where_stderr_is_no_terminal(titin: Run, atlas: Path) -> None:
    outcome = titin("build", atlas, "-o", "out")
    lines = outcome.stderr.splitlines()
    for step in ("read and encode", "write expression", "write expression by gene"):
        told = [line for line in lines if line.startswith(f"{step}:")]
        assert re.fullmatch(rf"{step}: [\d,]+ (cells|values)", told[0])
        assert re.fullmatch(rf"{step}: done in [\d.]+ s", told[-1])
        assert len(told) <= 11
        known = r"(, [\d,]+ (cells|values)/s(, [\d,]+ s left)?)?"
        assert all(re.fullmatch(rf"{step}: [1-9]0 %{known}", line) for line in told[1:-1])
    assert ANSI not in outcome.stderr
    assert "\r" not in outcome.stderr


def test_lines_of_progress_tell_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    from titin.progress import LineProgress

    progress = LineProgress(sys.stderr)
    progress.start("count", 1_000, "sheep")
    for _ in range(1_000):
        progress.advance(1)
    progress.finish()
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "count: 1,000 sheep"
    assert [line.split(",")[0] for line in told[1:-1]] == [f"count: {n} %" for n in range(10, 100, 10)]
    assert told[-1].startswith("count: done in")


@pytest.mark.parametrize("no_color", [False, True])
def test_color_only_on_a_terminal_and_never_with_no_color(no_color: bool, atlas: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if no_color else {})
    command = [sys.executable, "-m", "titin", "build", str(atlas), "-o", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    told = b""
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        told += piece
    os.close(leader)
    stdout, _ = process.communicate()
    assert process.returncode == 0, told
    assert b"read and encode" in told
    assert b"100%" in told
    colors = re.findall(rb"\x1b\[[\d;]*3[\d;]*m", told)
    assert bool(colors) != no_color
    assert b"\x1b" not in stdout


def test_a_closed_pipe_is_no_error(dataset: Path) -> None:
    command = f"'{sys.executable}' -m titin info '{dataset}' | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


# ---- settings


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    titin: Run, atlas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seed(*arguments: str) -> int:
        outcome = titin("build", atlas, "-o", "out", "--force", "-q", *arguments)
        assert outcome.code == 0, outcome
        return int(manifest("out")["settings"]["seed"])

    assert seed() == 0
    Path("titin.toml").write_text("seed = 1\n")
    assert seed() == 1
    Path("titin.toml").write_text("seed = 1\n[build]\nseed = 2\n[demo]\nseed = 9\n")
    assert seed() == 2
    monkeypatch.setenv("TITIN_SEED", "3")
    assert seed() == 3
    assert seed("--seed", "4") == 4


@pytest.mark.parametrize(("name", "bad", "good"), [("threads", "0", "1"), ("memory", "1kB", "1GiB")])
def test_threads_and_memory_follow_the_same_order(
    name: str, bad: str, good: str, titin: Run, atlas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad value is refused exactly where it is the one that counts."""

    def code(*arguments: str) -> int:
        return titin("build", atlas, "-o", "out", "--force", "-q", *arguments).code

    quoted = {"threads": "{}", "memory": '"{}"'}[name]
    Path("titin.toml").write_text(f"{name} = {quoted.format(bad)}\n")
    assert code() == 2
    monkeypatch.setenv(f"TITIN_{name.upper()}", good)
    assert code() == 0
    monkeypatch.setenv(f"TITIN_{name.upper()}", bad)
    assert code() == 2
    assert code(f"--{name}", good) == 0
    monkeypatch.delenv(f"TITIN_{name.upper()}")
    Path("titin.toml").write_text(f"{name} = {quoted.format(good)}\n[build]\n{name} = {quoted.format(bad)}\n")
    assert code() == 2


# ---- build


def test_build_without_output_is_named_after_tissue_and_method(titin: Run, atlas: Path, tmp_path: Path) -> None:
    outcome = titin("build", atlas, "--tissue", "leg muscle", "--technology", "10x", "--json", "-q")
    assert outcome.document["path"] == "leg_muscle_10x"
    assert names(tmp_path) == ["leg_muscle_10x"]
    assert titin("build", atlas, "--tissue", "leg muscle", "--technology", "10x").code == 2


def test_what_a_build_reports_is_what_it_wrote(titin: Run, atlas: Path, tmp_path: Path) -> None:
    report = titin("build", atlas, "-o", "out", "--json", "-q").document
    on_disk = {p.name: p.stat().st_size for p in (tmp_path / "out").iterdir()}
    del on_disk["titin.json"]
    assert {name: entry["bytes"] for name, entry in report["files"].items()} == on_disk
    assert report["bytes"] == sum(on_disk.values())
    assert (report["n_cells"], report["n_genes"]) == (300, 300)
    assert set(report["seconds"]) == {"scan", "cells", "genes", "metadata", "checksum", "manifest", "total"}
    assert report["peak_bytes"] > 0


@pytest.mark.parametrize("n_cells", [300, 3_000])
def test_a_dry_run_writes_nothing_and_its_sizes_are_nearly_right(n_cells: int, titin: Run, tmp_path: Path) -> None:
    atlas = write_demo_atlas("atlas.h5ad", n_cells=n_cells, n_genes=300)
    plan = titin("build", atlas, "-o", "out", "--dry-run", "--json").document
    assert names(tmp_path) == ["atlas.h5ad"]
    assert plan["target"] == "out"
    assert plan["roles"]["donor"] == "DonorID"
    assert plan["memory_bytes"] == 2**30
    assert plan["seconds"] > 0
    assert titin("build", atlas, "-o", "out", "-q").code == 0
    real = {p.name: p.stat().st_size for p in (tmp_path / "out").iterdir()}
    assert set(real) - set(plan["files"]) <= {"titin.json", "README.md"}
    for name, size in plan["files"].items():
        assert real[name] / 1.5 < size < real[name] * 1.5, name
    assert sum(real.values()) / 1.5 < plan["bytes"] < sum(real.values()) * 1.5


def test_a_dry_run_lists_the_columns_of_obs_with_what_they_may_be(titin: Run, tmp_path: Path) -> None:
    whole = write_demo_atlas(tmp_path / "whole.h5ad", n_cells=300, n_genes=300)
    source = ad.read_h5ad(whole)
    source.obs["note"] = [f"cell {i}" for i in range(source.n_obs)]
    source.write_h5ad("atlas.h5ad")
    columns = titin("build", "atlas.h5ad", "-o", "out", "--dry-run", "--json").document["obs_columns"]
    assert [one["column"] for one in columns] == list(source.obs)
    found = {one["column"]: one for one in columns}
    assert {one["column"]: one["role"] for one in columns if one["role"]} == {
        "SampleID": "sample", "DonorID": "donor", "Age_group": "age", "Sex": "sex", "batch": "protocol",
        "10X_version": "chemistry", **{f"annotation_level{i}": "cell_type" for i in range(3)},
    }  # fmt: skip
    assert "age" in found["Age_bin"]["guess"]
    assert (found["DonorID"]["kind"], found["n_genes"]["kind"], found["note"]["kind"]) == (
        "labels", "whole numbers", "text",
    )  # fmt: skip
    assert found["DonorID"]["values"] == source.obs["DonorID"].nunique()
    assert found["Sex"]["examples"] == source.obs["Sex"].value_counts().index.tolist()
    lines = titin("build", "atlas.h5ad", "-o", "out", "--dry-run").stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("column of obs"))
    told = [re.split(r"  +", line) for line in lines[head + 1 : head + 1 + len(columns)]]
    assert [one[0] for one in told] == list(source.obs)
    donors = found["DonorID"]
    assert told[1] == ["DonorID", f"labels ({donors['values']})", f"{', '.join(donors['examples'])} …", "donor"]


def test_a_dry_run_extrapolates_from_a_sample(titin: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("titin.builder.dry_run._SAMPLE_VALUES", 200_000)
    atlas = write_demo_atlas("atlas.h5ad", n_cells=3_000, n_genes=400)
    plan = titin("build", atlas, "-o", "out", "--dry-run", "--json").document
    assert plan["sampled_cells"] < 1_500
    assert titin("build", atlas, "-o", "out", "-q").code == 0
    for name, size in plan["files"].items():
        real = (tmp_path / "out" / name).stat().st_size
        assert real / 1.5 < size < real * 1.5, name


# ---- info


def test_info_tells_what_the_files_hold(titin: Run, atlas: Path, dataset: Path) -> None:
    facts = titin("info", dataset, "--json").document
    X = ad.read_h5ad(atlas).X
    assert (facts["n_cells"], facts["n_genes"], facts["nnz"]) == (*X.shape, X.nnz)
    assert facts["sparsity"] == pytest.approx(1 - X.nnz / (X.shape[0] * X.shape[1]))
    assert facts["projections"] == {"X_scVI": 30, "X_umap": 2}
    for name, entry in facts["files"].items():
        assert entry["bytes"] == (dataset / name).stat().st_size
        if name.endswith(".parquet"):
            assert entry["rows"] == pq.read_metadata(dataset / name).num_rows
    text = titin("info", dataset)
    assert text.stderr == ""
    for part in (f"{X.nnz:,} non-zeros", "300 cells × 300 genes", "DonorID", "10,000 a cell"):
        assert part in text.stdout
    size = (dataset / "muscle_10x_expression.parquet").stat().st_size
    assert f"{size * 8 / X.nnz:.2f}" in text.stdout


def test_info_says_first_what_a_person_asks(titin: Run, atlas: Path, dataset: Path) -> None:
    lines = titin("info", dataset).stdout.splitlines()
    begins = [line.split("  ")[0] for line in lines]
    order = ["donors", "ages", "cell types", "protocol", "chemistry", "validated", "values", "role", "file"]
    assert sorted(order, key=begins.index) == order
    assert all("bits" not in line for line in lines[: begins.index("role")])
    assert lines[1] == f"synthetic data: {ad.read_h5ad(atlas).uns['demo']['about']}"
    obs = ad.read_h5ad(atlas).obs
    men = obs["DonorID"][obs["Sex"] == "M"].nunique()
    n_donors, n_samples = obs["DonorID"].nunique(), obs["SampleID"].nunique()
    told = f"{n_donors}: {men} male, {n_donors - men} female; {n_samples} samples"
    assert lines[begins.index("donors")].split(maxsplit=1)[1] == told


def test_info_says_whether_the_dataset_was_validated_as_it_is_now(titin: Run, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "own")

    def said() -> str:
        lines = titin("info", "own").stdout.splitlines()
        return next(line.removeprefix("validated").strip() for line in lines if line.startswith("validated"))

    assert said() == "not yet: titin validate own"
    assert titin("info", "own", "--json").document["validation"] is None
    report = titin("validate", "own", "--level", "quick", "-q", "--json").document
    assert said() == f"{report['validation_summary']['timestamp']}: {report['verdict']}"
    assert report["verdict"].startswith("own passes: no errors")
    found = titin("info", "own", "--json").document["validation"]
    assert (found["level"], found["errors"], found["current"]) == ("quick", 0, True)
    titin("card", "own", "-q", "--license", "cc-by-4.0")
    assert said() == "not since it was changed: titin validate own --force"
    (tmp_path / "own.validation" / "validation_report.json").write_text("{}")
    assert said().startswith("not known: own.validation/validation_report.json is not as `titin validate` writes it")


def test_info_of_something_else(titin: Run, tmp_path: Path, dataset: Path) -> None:
    (tmp_path / "folder").mkdir()
    outcome = titin("info", "folder")
    assert outcome.code == 2
    assert "folder is not a titin dataset" in outcome.stderr
    shutil.copytree(dataset, tmp_path / "broken")
    (tmp_path / "broken" / "muscle_10x_expression.parquet").unlink()
    outcome = titin("info", "broken")
    assert outcome.code == 2
    assert "muscle_10x_expression.parquet is missing" in outcome.stderr
    assert "Traceback" not in outcome.stderr


# ---- export


def test_export_to_h5ad_and_zarr_is_the_atlas_again(titin: Run, atlas: Path, dataset: Path) -> None:
    source = ad.read_h5ad(atlas)
    for to, read in (("h5ad", ad.read_h5ad), ("zarr", ad.read_zarr)):
        outcome = titin("export", dataset, "--format", to, "--json")
        path = outcome.document["path"]
        assert path == f"muscle_10x.{to}"
        back = read(path)
        assert np.array_equal(back.X.toarray(), source.X.toarray())
        pd.testing.assert_frame_equal(back.obs, source.obs)
        assert np.array_equal(back.obsm["X_umap"], source.obsm["X_umap"])


def test_export_to_mtx_holds_the_counts(titin: Run, atlas: Path, dataset: Path) -> None:
    source = ad.read_h5ad(atlas)
    assert titin("export", dataset, "--format", "mtx").stdout == "wrote muscle_10x_mtx\n"
    counts = sparse.csr_matrix(scipy.io.mmread("muscle_10x_mtx/matrix.mtx.gz", spmatrix=False)).T
    total = source.obs["n_counts"].to_numpy()
    assert np.array_equal(np.asarray(counts.sum(1)).ravel(), total)
    barcodes = pd.read_csv("muscle_10x_mtx/barcodes.tsv.gz", header=None)[0]
    assert list(barcodes) == list(source.obs_names)


def test_export_wide(titin: Run, atlas: Path, dataset: Path, tmp_path: Path) -> None:
    source = ad.read_h5ad(atlas)
    wanted = list(source.var_names[[3, 7, 11]])
    assert titin("export", dataset, "--format", "wide", "--genes", ",".join(wanted), "-o", "few.parquet").code == 0
    (tmp_path / "list.txt").write_text("\n".join(wanted) + "\n")
    assert titin("export", dataset, "--format", "wide", "--genes", "@list.txt", "-o", "listed.parquet").code == 0
    assert titin("export", dataset, "--format", "wide").stdout == "wrote muscle_10x_wide.parquet\n"
    few = pd.read_parquet("few.parquet")
    assert list(few.columns) == wanted
    assert list(few.index) == list(source.obs_names)
    assert np.array_equal(few.to_numpy(), source[:, wanted].X.toarray())
    pd.testing.assert_frame_equal(few, pd.read_parquet("listed.parquet"))
    assert np.array_equal(pd.read_parquet("muscle_10x_wide.parquet").to_numpy(), source.X.toarray())


def refused(outcome: Outcome, *parts: str) -> None:
    assert outcome.code == 2, outcome
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    for part in parts:
        assert part in outcome.stderr


def test_export_wide_refuses_what_does_not_fit_in_memory(
    titin: Run, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("titin.exporter.formats"), "make_resources", lambda *_, **__: _Tiny())
    outcome = titin("export", dataset, "--format", "wide")
    refused(outcome, "300 cells × 300 genes", "KiB of memory", "--genes", "--memory")
    assert names(tmp_path) == []


class _Tiny:
    memory, threads, bucket_values, cluster = 100_000, 1, 50_000, None


@pytest.mark.parametrize("given", ["@mine", "@mine.txt", "mine.txt", "./mine", "{}/mine", "{}/mine.txt"])
def test_genes_from_a_file(titin: Run, dataset: Path, tmp_path: Path, given: str) -> None:
    known = pd.read_parquet(dataset / "muscle_10x_feature_metadata.parquet").index[[4, 2]].tolist()
    for name in ("mine", "mine.txt"):
        (tmp_path / name).write_text("\n".join(known) + "\n")
    outcome = titin("export", dataset, "--format", "wide", "--genes", given.format(tmp_path), "-o", "wide.parquet")
    assert outcome.code == 0
    assert list(pd.read_parquet(tmp_path / "wide.parquet").columns) == known


def test_export_refusals(titin: Run, dataset: Path, tmp_path: Path) -> None:
    known = pd.read_parquet(dataset / "muscle_10x_feature_metadata.parquet").index[0]
    wide = ("export", dataset, "--format", "wide")
    refused(titin(*wide, "--genes", f"{known}X"), f"no gene '{known}X'", "did you mean", known)
    refused(titin(*wide, "--genes", "@nowhere.txt"), "nowhere.txt cannot be read", "one gene a line")
    refused(titin(*wide, "--genes", "nowhere.txt"), "nowhere.txt cannot be read", "one gene a line")
    refused(titin(*wide, "--genes", " , "), "names no gene")
    refused(titin("export", dataset, "--format", "h5ad", "--genes", known), "--format wide")
    refused(titin("export", dataset, "--format", "mtx", "--compression", "gzip"), "--format h5ad")
    refused(titin("export", dataset, "--format", "loom"), "'loom'", "h5ad")
    refused(titin("export", dataset), "--format")
    (tmp_path / "mine.h5ad").write_text("mine")
    refused(titin("export", dataset, "--format", "h5ad", "-o", "mine.h5ad"), "mine.h5ad exists already", "--force")
    assert (tmp_path / "mine.h5ad").read_text() == "mine"
    assert names(tmp_path) == ["mine.h5ad"]
    assert titin("export", dataset, "--format", "h5ad", "-o", "mine.h5ad", "--force", "--compression", "gzip").code == 0
    assert ad.read_h5ad("mine.h5ad").shape == (300, 300)


# ---- demo, doctor


def test_demo(titin: Run, tmp_path: Path) -> None:
    outcome = titin("demo", "-o", "demo", "--n-cells", "300", "--n-genes", "200")
    assert outcome.code == 0, outcome
    assert names(tmp_path / "demo") == ["atlas.h5ad", "donors.csv", "skeletal_muscle_10x"]
    refused(titin("demo", "-o", "demo", "--n-cells", "300", "--n-genes", "200"), "atlas.h5ad exists already", "--force")
    assert titin("demo", "--n-cells", "200", "--n-genes", "200", "--force", "-q").stderr == ""
    assert manifest("demo/skeletal_muscle_10x")["n_cells"] == 200
    # what it says to try next works
    nexts = [line.split() for line in outcome.stdout.splitlines() if line.startswith("  titin ")]
    assert len(nexts) >= 4
    for _, *arguments in nexts:
        done = titin(*arguments, "--json")
        assert done.code == 0, done
        assert done.document


def test_doctor(titin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = titin("doctor")
    assert outcome.code == 0
    assert outcome.stdout.endswith("everything works\n")
    facts = titin("doctor", "--json").document
    assert facts["problems"] == []
    assert facts["libraries"]["numpy"] == np.__version__
    assert facts["libraries"]["pyarrow"]
    monkeypatch.setattr("titin.doctor._memory", lambda: 1_000_000)
    outcome = titin("doctor")
    assert outcome.code == 1
    assert "problem: only 1 MB of memory is free" in outcome.stdout


def test_doctor_names_whatever_the_package_asks_for(titin: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyproject.toml has it: each dependency, and each package of each extra."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {**project["optional-dependencies"], "new": ["no-such-package[with,parts]>=1"]}
    stated = list(project["dependencies"])
    stated += [f'{name}; extra == "{extra}"' for extra, own in extras.items() for name in own]
    monkeypatch.setattr("importlib.metadata.requires", {"titin": stated}.get)
    facts = titin("doctor", "--json").document
    plain = [re.match(r"[\w.-]+", line)[0] for line in project["dependencies"]]  # type: ignore[index]
    assert set(facts["libraries"]) == set(plain)
    assert set(facts["optional"]) == set(extras)
    assert facts["optional"]["new"] == {"no-such-package": None}
    assert facts["problems"] == []
    text = titin("doctor").stdout
    assert all(name in text for name in plain)
    assert "extra new: no-such-package not installed (pip install 'titin[new]')" in text
    stated.append("another-package>=2")
    assert titin("doctor", "--json").document["problems"] == [
        "another-package is not installed: pip install another-package"
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("thread = 2", ["there is no setting 'thread'", "did you mean threads?"]),
        ("[build]\nseeds = 2", ["there is no setting 'seeds' of build", "did you mean seed?"]),
        ("[biuld]\nseed = 2", ["there is no command 'biuld'"]),
        ("[age]\ncontrasts = 'young_old'", ["there is no setting 'contrasts' of age", "did you mean contrast?"]),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(tmp_path, settings, said):
    (tmp_path / "titin.toml").write_text(settings)
    done = subprocess.run([sys.executable, "-m", "titin", "doctor"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    for words in said:
        assert words in done.stderr


def test_settings_of_a_group_reach_its_commands(titin: Run) -> None:
    Path("titin.toml").write_text("[age]\nmethod = 'neither'\n")
    for command in ("de", "programmes"):
        outcome = titin("age", command, "dataset")
        assert outcome.code == 2
        assert "'neither' is not one of" in outcome.stderr
    assert "'neither'" not in titin("age", "de", "dataset", "--method", "voom").stderr
    Path("titin.toml").write_text("threads = 'many'\n")
    assert "'many' is not a valid int" in titin("age", "de", "dataset").stderr
    assert "'many'" not in titin("age", "de", "dataset", "--threads", "1").stderr
