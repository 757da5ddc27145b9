"""What the design forbids to conclude is counted over donors and said with numbers."""

import json

import numpy as np
import pandas as pd
import pytest

from titin.study.confounding import cramers_v, design_facts, design_notes
from titin.study.design import Study

ROLES = {"cell_type": ["type"], "donor": "donor", "age": "age", "sex": "sex", "protocol": "protocol",
         "chemistry": "chemistry", "sample": None}  # fmt: skip
# four young men and four old people of both sexes in cells; nuclei of three of them and of a young woman
DONORS = [
    ("y1", "20-25", "M", "cells", "v2"), ("y2", "20-25", "M", "cells", "v3"), ("y3", "25-30", "M", "cells", "v2"),
    ("o1", "60-65", "M", "cells", "v3"), ("o2", "60-65", "F", "cells", "v2"), ("o3", "70-75", "F", "cells", "v3"),
    ("y1", "20-25", "M", "nuclei", "v3"), ("y4", "25-30", "F", "nuclei", "v3"), ("o1", "60-65", "M", "nuclei", "v3"),
    ("o3", "70-75", "F", "nuclei", "v3"),
]  # fmt: skip


def study(cells=5, types=("FB", "T")):
    rows = [(*donor, kind) for donor in DONORS for kind in types for _ in range(cells)]
    return pd.DataFrame(rows, columns=["donor", "age", "sex", "protocol", "chemistry", "type"])


def facts_of(obs, **roles):
    return design_facts(Study(obs, ROLES | roles))


def test_the_cells_of_a_donor_do_not_count_as_donors():
    few, many = facts_of(study(1)), facts_of(study(40))
    assert few["arms"]["cells"]["age_sex"] == many["arms"]["cells"]["age_sex"]
    assert many["arms"]["cells"]["cells"] == 40 * few["arms"]["cells"]["cells"]


def test_age_that_goes_with_sex_is_found_in_its_arm():
    facts = facts_of(study())
    arms = facts["arms"]
    assert arms["cells"]["age_sex"]["table"] == {"young": {"F": 0, "M": 3}, "old": {"F": 2, "M": 1}}
    assert arms["cells"]["age_sex"]["cramers_v"] == pytest.approx(np.sqrt(0.5))
    assert arms["cells"]["age_sex"]["p"] == pytest.approx(0.4)
    assert arms["nuclei"]["age_sex"]["table"] == {"young": {"F": 1, "M": 1}, "old": {"F": 1, "M": 1}}
    assert arms["nuclei"]["age_sex"]["cramers_v"] == 0
    assert arms["nuclei"]["age_chemistry"] == {
        "table": {"young": {"v3": 2}, "old": {"v3": 2}},
        "cramers_v": None,
        "p": None,
    }
    notes = [n for n in design_notes(facts) if "confounded" in n]
    assert notes == ["Age and sex are confounded in cells: all 3 young donors have sex M "
                     "(donors: young 3 M; old 2 F, 1 M; Cramér's V = 0.71, Fisher's p = 0.4)."]  # fmt: skip


def test_counts_are_json_safe_and_do_not_depend_on_the_order_of_cells():
    obs = study()
    facts = facts_of(obs)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts_of(obs.sample(frac=1, random_state=0)) == facts
    assert facts_of(obs.astype("category")) == facts


def test_bins_of_one_donor_are_named():
    obs = study()
    assert facts_of(obs)["single_donor_ages"] == {"70-75": "o3"}
    assert any("1 age bin holds one donor: 70-75 (o3)" in note for note in design_notes(facts_of(obs)))


def test_exact_ages_are_no_bins():
    exact = study().assign(
        age=lambda t: t["donor"].map({d: 20.0 + 7 * i for i, d in enumerate(sorted(t["donor"].unique()))})
    )
    assert facts_of(exact)["single_donor_ages"] == {}
    assert facts_of(exact.assign(age=exact["age"].astype(str)))["single_donor_ages"] == {}


def test_donors_and_types_that_protocols_share():
    obs = study()
    only = pd.DataFrame([("y1", "20-25", "M", "nuclei", "v3", "MF")] * 7, columns=obs.columns)
    facts = facts_of(pd.concat([obs, only]))
    assert facts["shared_donors"] == ["o1", "o3", "y1"]
    assert facts["single_protocol_types"] == {"nuclei": {"MF": 7}}
    assert facts["rare_types"] == {"MF": 1}
    notes = design_notes(facts)
    assert "Of 7 donors, 3 are in more than one protocol (6 in cells, 4 in nuclei)." in notes
    assert "1 cell type is in nuclei only: MF (7)." in notes
    assert "1 cell type of fewer than 3 donors: MF (1)." in notes


def test_one_protocol_has_nothing_of_its_own():
    assert facts_of(study().query("protocol == 'cells'"))["single_protocol_types"] == {}


def test_a_donor_with_most_cells_is_named():
    obs = pd.concat([study(1), study(1).query("donor == 'y2'").loc[lambda t: t.index.repeat(30)]])
    note = next(n for n in design_notes(facts_of(obs)) if "differ in cells" in n)
    assert note == "Donors differ in cells: y2 has 62 of 80 (78%), o2 has 2."


@pytest.mark.parametrize("absent", ["donor", "age", "sex", "protocol", "chemistry", "cell_type"])
def test_what_is_missing_is_left_out(absent):
    facts = facts_of(study(), **{absent: [] if absent == "cell_type" else None})
    text = json.dumps(facts)
    assert (absent == "donor") == ("arms" not in facts)
    assert (absent in ("age", "donor")) == ("ages" not in facts)
    if absent in ("sex", "chemistry"):
        assert f"age_{absent}" not in text
    assert isinstance(design_notes(facts), list)


def test_missing_entries_are_no_category():
    obs = study()
    obs.loc[obs["donor"] == "y4", "sex"] = None
    facts = facts_of(obs)
    assert facts["arms"]["nuclei"]["age_sex"]["table"] == {"young": {"F": 0, "M": 1}, "old": {"F": 1, "M": 1}}


def test_an_empty_study_has_no_notes():
    assert design_notes(facts_of(study().head(0))) == []


def test_cramers_v_of_known_tables():
    assert cramers_v(pd.DataFrame([[3, 0], [0, 5]])) == pytest.approx(1)
    assert cramers_v(pd.DataFrame([[2, 2], [3, 3]])) == 0
    assert cramers_v(pd.DataFrame([[4, 0], [5, 0]])) is None
    assert cramers_v(pd.DataFrame([[0, 5], [4, 3]])) == pytest.approx(0.5976, abs=1e-4)


def test_the_design_of_the_muscle_atlas(shared):
    donors = pd.read_csv(shared / "data/atlas_tables/donor_by_batch.csv")
    from titin.demo import make_demo_atlas

    obs = make_demo_atlas(n_cells=2000, n_genes=150).obs
    facts = design_facts(Study(obs, {"donor": "DonorID", "age": "Age_group", "sex": "Sex", "protocol": "batch",
                               "chemistry": "10X_version", "cell_type": ["annotation_level0"]}))  # fmt: skip
    by_arm = donors.groupby(donors.columns[donors.isin(["cells", "nuclei"]).any()][0])
    donor_column = next(c for c in donors if donors[c].astype(str).isin(["470BR"]).any())
    for name, part in by_arm:
        assert facts["arms"][name]["donors"] == part[donor_column].nunique()
    assert facts["donors"]["number"] == 17
    assert facts["arms"]["cells"]["age_sex"]["table"] == {"young": {"F": 0, "M": 5}, "old": {"F": 4, "M": 3}}
    assert facts["arms"]["cells"]["age_sex"]["p"] == pytest.approx(0.081, abs=5e-4)
    assert facts["arms"]["nuclei"]["age_sex"]["p"] == pytest.approx(0.59, abs=5e-3)
    assert len(facts["shared_donors"]) == 8
    assert list(facts["single_donor_ages"].values()) == ["470BR", "398B", "621B", "582C"]
