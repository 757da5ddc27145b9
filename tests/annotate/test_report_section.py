"""What a check of labels found, in the report."""

import matplotlib.pyplot as plt
from typed_cells import exchange

import titin
from titin.annotate import check_labels
from titin.annotate.report_section import show_label_check
from titin.report.atlas_sections import labels_checked
from titin.report.data import ReportData
from titin.section import Figure, Paragraph, Section, Table


def test_the_section_says_what_was_found_and_what_it_does_not_say(relabelled):
    check = check_labels(relabelled(exchange), cell_type_level="cell_type")
    section = Section("labels", "Labels")
    show_label_check(section, check)
    said = " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))
    assert f"{check.levels['cell_type']['n_flagged']} of 360 labels are contradicted" in said
    assert "self-consistency" in said
    tables = {block.name: block for block in section.blocks if isinstance(block, Table)}
    assert tables["review"].table.iloc[0]["donor"] == "D2"
    (figure,) = (block for block in section.blocks if isinstance(block, Figure))
    wide = figure.table.set_index("cell_type")
    assert wide.shape == (5, 6)
    assert set(wide["D2"].sort_values().index[:2]) == {"B cell", "Mast"}
    assert section.facts["flagged"] == {"cell_type": check.levels["cell_type"]["n_flagged"]}
    plt.close("all")


def test_without_a_check_it_says_so(typed):
    from titin.ageing import Inputs

    section = Section("labels", "Labels")
    assert not section.attempt(lambda: labels_checked(section, ReportData(Inputs(titin.open(typed)), typed)))
    assert "titin annotate" in section.facts["missing"][0]
