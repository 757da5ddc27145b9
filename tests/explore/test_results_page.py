"""The page of results: what other commands have left beside the dataset, or that they were not run."""

import csv
import json
import shutil
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from window import Window, static_host

from demo_dataset import Demo
from titin.ageing import ANALYSES
from titin.cli import main
from titin.explore import write_site
from titin.explore.results import ROWS, collect_results

MODELS = {"majority": (0.5, 0.4, 0.6, True), "<b>logistic</b>": (0.8, 0.7, 0.9, False)}


def scores() -> dict[str, Any]:
    """What `titin bench` writes, of two models."""
    rows = [{"task": "sex", "split": "leave_one_donor_out", "model": model, "features": "genes", "track": "supervised",
             "leaky": False, "baseline": baseline, "level": "", "of": "donor", "metric": "balanced_accuracy",
             "value": value, "low": low, "high": high, "n_units": 17, "n_donors": 17}
            for model, (value, low, high, baseline) in MODELS.items()]  # fmt: skip
    tasks = [{"name": "sex", "description": "", "not_evaluable": ["2 donors of unknown sex are left out"]}]
    return {"schema_version": 1, "tasks": tasks, "scores": rows, "told": []}


@pytest.fixture(scope="module")
def left(mapped: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, and beside it what three commands leave."""
    folder = tmp_path_factory.mktemp("results")
    dataset = folder / "dataset"
    shutil.copytree(mapped.dataset, dataset)
    main(["validate", str(dataset), "--check", "integrity", "-q"])
    for analysis in ("de", "composition"):
        main(["age", analysis, str(dataset), "--format", "parquet", "-q"])
    (folder / "dataset.benchmark").mkdir()
    (folder / "dataset.benchmark" / "scores.json").write_text(json.dumps(scores()), "utf-8")
    return dataset


@pytest.fixture(scope="module")
def shown(left: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The site of it, and the table of differential expression."""
    done = write_site(left, tmp_path_factory.mktemp("shown") / "site")
    file = next(left.with_name("dataset.ageing").glob("de_annotation_level0.parquet"))
    return SimpleNamespace(site=done.path, file=file, table=pq.read_table(file).to_pandas())


def test_all_that_lies_beside_is_collected(left: Path) -> None:
    found = collect_results(left)
    assert found["problems"] == []
    assert found["validation"]["current"] is True
    assert {"integrity.manifest", "integrity.checksums"} <= {one["name"] for one in found["validation"]["checks"]}
    assert [one["model"] for one in found["benchmark"]["scores"]] == list(MODELS)
    assert {one["analysis"] for one in found["ageing"]} == {"de", "composition"}
    assert set(found["not_run"]) == {one.name for one in ANALYSES} - {"de", "composition"}
    assert str(left.parent) not in json.dumps(found)  # nothing of this machine


def test_a_table_is_told_by_its_clearest_rows(left: Path, shown: SimpleNamespace) -> None:
    found = next(one for one in collect_results(left)["ageing"] if one["name"] == "de_annotation_level0")
    told = found["tables"]["table"]
    table = shown.table.sort_values("p_value", kind="stable").head(ROWS)
    assert told["n_rows"] == len(shown.table) > ROWS
    mine = pd.DataFrame(told["rows"], columns=told["columns"])
    assert mine["gene"].tolist() == table["gene"].tolist()
    for name in ("log2_fold_change", "ci_low", "p_value", "adj_p_value"):
        np.testing.assert_array_equal(mine[name].astype(float), table[name].astype(float))


def test_what_is_not_as_it_is_written_is_told(left: Path, tmp_path: Path) -> None:
    shutil.copytree(left.parent, tmp_path, dirs_exist_ok=True)
    (tmp_path / "dataset.validation" / "validation_report.json").write_text("[]", "utf-8")
    (tmp_path / "dataset.benchmark" / "scores.json").write_text('{"scores": 1}', "utf-8")
    ageing = tmp_path / "dataset.ageing"
    document = json.loads((ageing / "de_annotation_level0.json").read_text("utf-8"))
    document["tables"]["table"]["file"] = "../dataset/titin.json"
    (ageing / "de_annotation_level0.json").write_text(json.dumps(document), "utf-8")
    composition = next(ageing.glob("composition*.parquet"))
    composition.unlink()
    composition.symlink_to(tmp_path / "dataset" / "titin.json")
    found = collect_results(tmp_path / "dataset")
    assert found["validation"] is found["benchmark"] is None
    for said in ("validation_report.json is not as `titin validate`", "scores.json is not as `titin bench`",
                 "de_annotation_level0.json is not as `titin age`", f"{composition.stem}.json is not as"):  # fmt: skip
        assert any(said in problem for problem in found["problems"]), (said, found["problems"])


def test_files_that_are_too_many_are_told(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titin.explore.results._MOST_FILES", 1)
    found = collect_results(left)
    assert len(found["ageing"]) == 1
    assert any("the first 1 are shown" in problem for problem in found["problems"])


def test_a_changed_dataset_is_said_to_be_another(left: Path, tmp_path: Path) -> None:
    shutil.copytree(left.parent, tmp_path, dirs_exist_ok=True)
    manifest = tmp_path / "dataset" / "titin.json"
    manifest.write_text(manifest.read_text("utf-8") + "\n", "utf-8")
    found = collect_results(tmp_path / "dataset")
    assert found["validation"]["current"] is False
    assert all(one["older"] for one in found["ageing"])


def test_the_page_shows_the_numbers_of_the_files(window: Window, shown: SimpleNamespace) -> None:
    with static_host(shown.site) as address:
        window.open(address)
        window.page.click("#page-results")
        window.until("document.querySelector('[aria-label=\"Scores\"]') !== null")
        said = window.page.inner_text("#sheet")
        assert "no errors in" in said
        assert "<b>logistic</b>" in said
        assert "2 donors of unknown sex are left out." in said
        assert "titin age variance DATASET" in window.run("document.querySelector('#sheet').textContent")
        cells = [cell.inner_text() for cell in
                 window.page.query_selector_all("[aria-label='Scores'] tbody tr >> nth=1 >> th, td")]  # fmt: skip
        assert "0.8" in cells
        assert "0.7 to 0.9" in cells
        told = window.run("titin.results()")
        own = next(one for one in told["ageing"] if one["name"] == "de_annotation_level0")["tables"]["table"]
        mine = pd.DataFrame(own["rows"], columns=own["columns"])
        known = shown.table.sort_values("p_value", kind="stable").head(ROWS)
        np.testing.assert_allclose(mine["log2_fold_change"].astype(float), known["log2_fold_change"], rtol=1e-12)
        assert window.said == []


def test_a_table_is_sorted_saved_and_leads_to_the_gene(window: Window, shown: SimpleNamespace, tmp_path: Path) -> None:
    label = "[aria-label='de_annotation_level0, table']"
    with static_host(shown.site) as address:
        window.open(f"{address}#page=results")
        window.until("document.querySelectorAll('#sheet summary').length > 2")
        window.page.click("#sheet summary:has-text('de_annotation_level0') >> nth=0")
        window.until("label => document.querySelector(label) !== null", label)
        known = shown.table.sort_values("p_value", kind="stable").head(ROWS)
        place = known.columns.get_loc("log2_fold_change")
        window.page.click(f"{label} thead button >> nth={place}")
        first = window.page.inner_text(f"{label} tbody tr >> nth=0 >> td >> nth={place - 1}")
        assert float(first) == pytest.approx(known["log2_fold_change"].min(), rel=1e-3)
        with window.page.expect_download() as saved:
            window.page.click(f"details:has({label}) button:has-text('Save table')")
        saved.value.save_as(tmp_path / "de.csv")
        lines = (tmp_path / "de.csv").read_text("utf-8").splitlines()
        assert json.loads(lines[0].removeprefix("# "))["rows"] == len(shown.table)
        rows = list(csv.DictReader(lines[1:]))
        np.testing.assert_allclose([float(row["p_value"]) for row in rows], known["p_value"], rtol=1e-12)
        gene = window.page.inner_text(f"{label} tbody .link >> nth=0")
        window.page.click(f"{label} tbody .link >> nth=0")
        window.until("titin.state().page === 'gene'")
        assert window.run("titin.state()")["card"] == gene
        assert window.said == []


def test_what_was_not_run_is_said_with_its_command(window: Window, hosted: str) -> None:
    window.open(f"{hosted}#page=results")
    window.until("document.querySelector('#sheet h3') !== null")
    said = window.page.inner_text("#sheet")
    assert "Not run: run titin validate DATASET." in said
    assert "Not run: run titin bench DATASET." in said
    assert "titin network DATASET --network FILE --keep" in said
    assert window.said == []


def test_a_page_of_a_dataset_elsewhere_has_none(left: Path, tmp_path: Path) -> None:
    with static_host(left) as data:
        done = write_site(left, tmp_path / "site", data=data)  # the published dataset may have its ages in bins
        assert not (done.path / "results.json").exists()
        assert "titin-results" not in (done.path / "index.html").read_text("utf-8")


def test_the_server_gives_what_lies_beside_now(left: Path) -> None:
    pytest.importorskip("starlette", reason="needs the extra explore")
    from titin.explore import ExplorerServer

    server = ExplorerServer(left)
    server.start()
    try:
        with urllib.request.urlopen(f"{server.address}results.json") as answer:
            assert json.load(answer) == collect_results(left)
    finally:
        server.stop()
