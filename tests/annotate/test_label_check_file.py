"""A check of labels is a file of the dataset: written whole, read back, and refused once the labels have changed."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import titin
from titin.ageing import Inputs
from titin.annotate import check_labels, read_label_check, write_label_check
from titin.builder import relabel
from titin.check import validate
from titin.cli import main
from titin.dataset.manifest import Manifest, describe_file
from titin.errors import TitinError
from titin.learn.units import read_design
from titin.publish import refresh_card
from titin.study.conditions import Where
from titin.study.flagged import WITHOUT_FLAGGED, flagged_cells


@pytest.fixture(scope="module")
def checked(typed, tmp_path_factory):
    """A dataset in which two types of one donor were exchanged before it was built, and what its check found."""
    folder = tmp_path_factory.mktemp("checked") / "dataset"
    obs = titin.open(typed).to_anndata()
    labels, d2 = obs.obs["cell_type"].astype(str).to_numpy(object), (obs.obs["donor"] == "D2").to_numpy()
    b, mast = (d2 & (labels == name) for name in ("B cell", "Mast"))
    labels[b], labels[mast] = "Mast", "B cell"
    obs.obs["cell_type"] = pd.Categorical(labels)
    obs.write_h5ad(folder.with_suffix(".h5ad"))
    roles = {"cell_type": ["lineage", "cell_type"], "donor": "donor", "protocol": "batch"}
    titin.build(folder.with_suffix(".h5ad"), folder, roles=roles)
    check = check_labels(titin.open(folder))
    write_label_check(folder, check, last=refresh_card)
    return folder, check, int(b.sum() + mast.sum())


def test_what_is_written_is_read_back(checked):
    folder, check, _ = checked
    read = read_label_check(titin.open(folder))
    assert read.settings == check.settings
    for name, frame in check.tables().items():
        own = read.tables()[name]
        if name == "table":
            frame, own = (one.astype({"level": str, "label": str, "predicted": str}) for one in (frame, own))
        pd.testing.assert_frame_equal(own, frame, check_dtype=False)


def test_it_is_a_file_of_the_format(checked):
    folder, check, n_exchanged = checked
    report = validate(folder, checks=["integrity", "derived"], level="quick")
    assert [f.message for _, f in report.findings() if f.severity == "error"] == []
    notes = report["derived.label_check"].outcome.findings
    assert {note.severity for note in notes} == {"note"}
    n_flagged = check.levels["cell_type"]["n_flagged"]
    (said,) = (note.message for note in notes if "of cell_type" in note.message)
    assert f"{n_flagged} of 360 labels of cell_type" in said
    assert "of donor D2 called" in said
    assert "config_name: label_check" in (folder / "README.md").read_text("utf-8")
    assert n_flagged >= 0.9 * n_exchanged
    flagged = check.table["flagged"].to_numpy().reshape(2, 360).any(axis=0)
    assert flagged_cells(titin.open(folder)).tolist() == flagged.tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.set_column(4, "p_label", [np.full(len(t), 2, np.float32)]), "720 numbers are not between 0 and 1"),
        (lambda t: t.slice(1), "not one row for each cell and level"),
        (lambda t: t.set_column(2, "label", [["Made up"] * len(t)]), "labels of 'lineage' have changed"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_dataset_is_found(checked, tmp_path, change, said):
    copy = tmp_path / "copy"
    shutil.copytree(checked[0], copy)
    manifest = Manifest.read(copy)
    file = copy / manifest.layout.label_check
    pq.write_table(change(pq.read_table(file)), file, store_schema=True)
    manifest.files[file.name] = describe_file(file)
    manifest.write(copy)
    outcome = validate(copy, checks=["derived"])["derived.label_check"].outcome
    assert any(said in finding.message for finding in outcome.findings)
    assert all(finding.severity in (None, "warning", "note") for finding in outcome.findings)


def test_flags_of_other_labels_are_refused(checked):
    atlas = titin.open(checked[0])
    atlas.obs = atlas.obs.assign(cell_type=pd.Categorical(["Mast"] * 360))
    with pytest.raises(TitinError, match="have changed since"):
        flagged_cells(atlas)


def test_flags_are_asked_for_where_there_are_none(typed):
    assert read_label_check(titin.open(typed)) is None
    with pytest.raises(TitinError, match="no check of its labels"):
        flagged_cells(titin.open(typed))


def test_the_command_writes_prints_and_does_not_overwrite(typed, tmp_path, capsys):
    folder = tmp_path / "dataset"
    shutil.copytree(typed, folder)
    main(["annotate", str(folder), "--json", "-q", "-o", str(tmp_path / "check.csv")])
    document = json.loads(capsys.readouterr().out)
    assert set(document["levels"]) == {"lineage", "cell_type"}
    assert "self-consistency" in document["caveat"]
    assert all((tmp_path / name).is_file() for name in ("check.csv", "check_review.csv", "check_types.csv"))
    assert read_label_check(titin.open(folder)) is not None
    with pytest.raises(SystemExit) as done:
        main(["annotate", str(folder), "-q"])
    assert done.value.code == 2
    assert "--force" in capsys.readouterr().err
    main(["annotate", str(folder), "-q", "--force", "--cell-type-level", "1"])
    out = capsys.readouterr().out
    assert "cell_type: " in out
    assert "of labels found again" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--vote", "batch"], "--vote is of a model"), (["--folds", "3", "--model", "x.npz"], "--folds is of a check"),
        (["--model", "x", "--celltypist", "y"], "ask for different things"),
        (["--cell-type-level", "nine"], "there is no level"), (["--save-model", "x.pkl"], "does not end in .npz"),
        (["--model", "nowhere.npz"], "there is no file"), (["--celltypist", "nowhere.pkl"], "there is no file"),
        (["--model", "nowhere"], "no dataset|nowhere"), (["-o", "x.txt"], "ends neither"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_said(typed, tmp_path, capsys, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(["annotate", str(typed), "-q", *options])
    assert done.value.code == 2
    assert re.search(said, capsys.readouterr().err)


def test_flagged_cells_are_left_out_where_that_is_asked_for(checked, tmp_path, capsys):
    folder = checked[0]
    n = int(flagged_cells(titin.open(folder)).sum())
    units, complete = read_design(titin.open(folder), Where.of([WITHOUT_FLAGGED]))
    assert complete.cells_left_out == {"--where": n}
    assert units["donor"].notna().sum() == 360 - n
    inputs = Inputs(titin.open(folder), where=Where.of([WITHOUT_FLAGGED]))
    assert (~inputs.atlas.cells.chosen).sum() == n


@pytest.mark.parametrize("words", [["age", "variance"], ["bench"], ["report"]])
def test_commands_say_where_no_labels_were_checked(typed, tmp_path, capsys, words):
    with pytest.raises(SystemExit) as done:
        main([*words, str(typed), "--without-flagged", "-q", "-o", str(tmp_path / "out.html")])
    assert done.value.code == 2
    assert "titin annotate" in capsys.readouterr().err


def test_a_check_of_former_labels_goes_with_them(checked, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(checked[0], folder)
    told = relabel(folder, pd.DataFrame({"cell_type": ["New"]}, index=["c0"])).stale
    assert any("check of labels" in said for said in told)
    assert read_label_check(titin.open(folder)) is None
    assert not list(folder.glob("*label_check*"))
