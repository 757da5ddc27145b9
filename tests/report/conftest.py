"""A report to look at."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import titin
from titin.cli import cli
from titin.demo import make_demo
from titin.progress import Progress


@pytest.fixture(scope="session")
def demo(made_once):
    """The report of a small demo as the command writes it: what the command said, and the dataset."""
    folder = made_once("report", _make_report)
    told = json.loads((folder / "told.json").read_text("utf-8"))
    return told["said"] | {key: str(folder / told[key]) for key in ("path", "folder")}, folder / told["dataset"]


def _make_report(folder):
    report = make_demo(folder, n_cells=1500, n_genes=500, seed=1, force=False, progress=Progress())
    path = report.path
    finding = {"severity": "warning", "message": "A <b>bold</b> finding.", "where": None, "hint": None}
    checks = [{"title": "All is well.", "status": "warning", "read": "2 files", "findings": [finding]}]
    validation = path.with_name(f"{path.name}.validation")
    validation.mkdir()
    summary = {"errors": 0, "warnings": 1, "notes": 0, "total_tests": 1, "timestamp": "2026-01-01"}
    document = {"level": "full", "checks": checks, "validation_summary": summary}
    (validation / "validation_report.json").write_text(json.dumps(document), "utf-8")
    benchmark = path.with_name(f"{path.name}.benchmark")
    benchmark.mkdir()
    score = {
        "task": "age_years", "split": "leave_one_donor_out", "model": "ridge", "track": "inductive", "leaky": False,
        "baseline": False, "of": "donor", "metric": "mae", "value": 11.25, "low": 8.5, "high": 14.0, "n_donors": 17,
    }  # fmt: skip
    leak = {**score, "split": "random_leaky", "leaky": True, "value": 2.75}
    tasks = [{"name": "age_years", "description": "years of age", "not_evaluable": ["bins of one donor"]}]
    found = {"scores": [{**score, "model": "mean", "baseline": True, "value": 18.4}, score, leak], "tasks": tasks,
             "told": ["Age bins cannot be predicted."]}  # fmt: skip
    (benchmark / "scores.json").write_text(json.dumps(found), "utf-8")
    genes = list(titin.open(path).var_names)
    edges = [f"{genes[i]},{genes[20 + 8 * i + j]},{1 if j else -1}" for i in range(4) for j in range(8)]
    (folder / "edges.csv").write_text("\n".join(["source,target,weight", *edges]), "utf-8")
    CliRunner().invoke(cli, ["network", str(path), "--network", str(folder / "edges.csv"), "--bootstraps", "0",
                             "--edges", "20", "-q"], catch_exceptions=False)  # fmt: skip
    CliRunner().invoke(cli, ["annotate", str(path), "--cell-type-level", "0", "-q"], catch_exceptions=False)
    run = CliRunner().invoke(cli, ["report", str(path), "-o", str(folder / "report.html"), "--json", "-q"],
                             catch_exceptions=False)  # fmt: skip
    said = json.loads(run.stdout)
    places = {"dataset": path, "path": Path(said["path"]), "folder": Path(said["folder"])}  # the folder will be moved
    told = {"said": said} | {key: str(place.relative_to(folder)) for key, place in places.items()}
    (folder / "told.json").write_text(json.dumps(told), "utf-8")
