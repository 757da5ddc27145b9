"""Parts and merges of a dataset have no check of labels: its models were of other cells and donors."""

import pytest

import titin
from titin.annotate import check_labels, read_label_check, write_label_check


@pytest.fixture(scope="module")
def checked(typed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checked_whole") / "dataset"
    titin.subset(typed, folder)
    write_label_check(folder, check_labels(titin.open(folder), cell_type_level="cell_type"))
    assert read_label_check(titin.open(folder)) is not None
    return folder


@pytest.mark.parametrize("choice", [{"where": "donor!=D2"}, {"genes": [f"GENE{i}" for i in range(40)]}, {}])
def test_a_part_has_no_check_and_is_valid(checked, tmp_path, choice):
    report = titin.subset(checked, tmp_path / "part", **choice)
    assert not [name for name in report.manifest.files if "label_check" in name]
    assert not list((tmp_path / "part").glob("*label_check*"))
    assert "titin annotate" in report.manifest.left_out["label_check"]
    assert read_label_check(titin.open(tmp_path / "part")) is None
    assert titin.validate(tmp_path / "part").passed
    assert read_label_check(titin.open(checked)) is not None


def test_a_merge_has_no_check_and_is_valid(checked, typed, tmp_path):
    titin.merge([checked, typed], tmp_path / "both", studies=["one", "two"])
    assert not list((tmp_path / "both").glob("*label_check*"))
    assert read_label_check(titin.open(tmp_path / "both")) is None
    assert titin.validate(tmp_path / "both").passed
