"""What a build says of the roles that it found: in the summary, the dry run, the manifest and titin info."""

import numpy as np
import pytest

from titin.builder import plan
from titin.builder.terminal import describe_plan, describe_report, report_document
from titin.dataset.description import describe, document
from titin.dataset.manifest import Manifest


@pytest.fixture
def trap(atlas):
    """A yes/no column called patient, one value a cell called sample, na among suspensions."""
    rows = np.arange(120)
    atlas.obs["patient"] = rows % 2 == 0
    atlas.obs["sample"] = atlas.obs_names
    atlas.obs["suspension_type"] = np.array(["cell", "nucleus", "na"])[rows % 3]
    return atlas


def test_every_guess_has_its_reason_everywhere(trap, build_atlas, tmp_path):
    report = build_atlas(trap.copy())
    found = Manifest.read(report.path).roles_found
    assert found["donor"] == {
        "why": "4 donors, one sex each, 4 sampled at several ages",
        "not_taken": {"patient": "yes or no (False, True), no names"}, "given": False, "warning": None,
    }  # fmt: skip
    assert found["sample"]["not_taken"] == {"sample": "120 values in 120 cells: names of cells"}
    assert found["protocol"]["why"] == "cell, nucleus; 40 cells (40 'na') without"
    texts = [describe_report(report_document(report)), describe(document(report.path))]
    texts.append(describe_plan(plan(tmp_path / "atlas.h5ad", tmp_path / "planned")))
    for text in texts:
        assert "not patient: yes or no (False, True), no names" in text
        assert "not sample: 120 values in 120 cells: names of cells" in text
        assert "cell, nucleus; 40 cells (40 'na') without" in text


def test_a_column_that_is_asked_for_is_taken_with_a_warning(trap, build_atlas):
    report = build_atlas(trap, roles={"donor": "patient"})
    assert report.manifest.roles["donor"] == "patient"
    assert report.manifest.roles_found["donor"]["given"]
    said = "'patient' is taken for the donor as asked, but does not fit: yes or no (False, True), no names"
    assert said in report.manifest.notes
    assert f"note: {said}" in describe_report(report_document(report))


def test_none_leaves_a_role_without_a_column(trap, build_atlas):
    report = build_atlas(trap, roles={"donor": "none", "cell_type": ["none"]})
    assert (report.manifest.roles["donor"], report.manifest.roles["cell_type"]) == (None, [])
    assert report.manifest.roles_found["donor"]["why"] == "set to none"


def test_a_preset_builds_without_one_of_its_columns(trap, build_atlas):
    del trap.obs["suspension_type"]
    trap.obs["assay"] = "10x 3' v3"
    report = build_atlas(trap, preset="cellxgene")
    assert report.manifest.roles["protocol"] is None
    not_taken = report.manifest.roles_found["protocol"]["not_taken"]
    assert not_taken == {"suspension_type": "the preset's column, which obs lacks"}
    assert report.manifest.roles["donor"] == "donor_id"


def test_a_role_of_a_preset_can_be_left_out(trap, build_atlas):
    trap.obs["assay"] = "10x 3' v3"
    report = build_atlas(trap, preset="cellxgene", roles={"protocol": "none"})
    assert report.manifest.roles["protocol"] is None
    assert report.manifest.roles["chemistry"] == "assay"
