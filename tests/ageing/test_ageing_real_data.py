"""Differential expression on real donors: known differences are found."""

import numpy as np
import pytest

import titin
from titin.ageing import differential_expression, pseudobulk


@pytest.fixture(scope="module")
def heart(shared, tmp_path_factory):
    """Pseudobulk of 22 hearts and three types, as if each were one cell."""
    folder = tmp_path_factory.mktemp("heart") / "heart"
    source = shared / "data" / "h5ad" / "heart_pseudobulk_mofacell_66x29126.h5ad"
    titin.build(source, folder, method="x", roles={"cell_type": ["cell_type"], "donor": "donor_id"})
    return titin.open(folder)


def test_ischaemic_hearts_differ_from_others_within_batches(heart):
    found = differential_expression(
        heart, contrast="patient_group", formula="~ batch + patient_group", min_cells=1, min_donors=3
    )
    assert sorted(t["cell_type"] for t in found.tests) == ["CM", "Endo", "Fib"]
    assert all(t["n_units"] == 22 and t["residual_df"] == 19 for t in found.tests)
    assert all("patient_group[T.myogenic]" in t["columns"] for t in found.tests)
    fibroblasts = found.table[found.table["cell_type"] == "Fib"].set_index("gene")
    assert (fibroblasts["adj_p_value"] < 0.05).sum() > 20
    unadjusted = differential_expression(heart, contrast="patient_group", formula="~ patient_group", min_cells=1)
    assert (unadjusted.table["adj_p_value"] < 0.05).sum() != (found.table["adj_p_value"] < 0.05).sum()


def test_permuted_hearts_do_not_differ(heart):
    data = pseudobulk(heart, extra=["patient_group", "batch"])
    donors = data.groups[["donor", "patient_group"]].drop_duplicates()
    runs = 0
    for seed in range(5):
        shuffled = dict(
            zip(donors["donor"], np.random.default_rng(seed).permutation(donors["patient_group"]), strict=True)
        )
        data.groups["patient_group"] = data.groups["donor"].map(shuffled)
        found = differential_expression(data.select(cell_type="Fib"), contrast="patient_group",
                                        formula="~ patient_group", min_cells=1)  # fmt: skip
        runs += (found.table["adj_p_value"] < 0.05).mean() > 0.01
    assert runs <= 1


def test_treatment_is_tested_within_patients(shared, tmp_path):
    """Slices of five glioblastomas with and without panobinostat, which raises metallothioneins."""
    folder = tmp_path / "tumours"
    roles = {"donor": "patient_id", "age": "age", "sex": "gender", "sample": "sample_id", "cell_type": ["diagnosis"]}
    titin.build(shared / "data" / "h5ad" / "glioblastoma_lemur_5000x300.h5ad", folder, method="x", roles=roles)
    atlas = titin.open(folder)
    plain = differential_expression(atlas, contrast="condition", min_donors=5)  # "~ sex + condition"
    assert "count twice" in plain.tests[0]["notes"][0]
    paired = differential_expression(atlas, contrast="condition", formula="~ donor + condition", min_donors=5)
    test = paired.tests[0]
    assert (test["n_units"], test["residual_df"], test["notes"]) == (10, 4, [])
    assert set(paired.table["n_donors"]) == {5}
    hits = paired.table[paired.table["adj_p_value"] < 0.05]
    assert len(hits) > 10
    assert hits["gene"].str.match("MT1|MT2A").any()
    raised = paired.table.set_index("gene")["log2_fold_change"].filter(regex="^MT1|^MT2A")
    assert (raised > 0).all()
    by_age = differential_expression(atlas)
    assert by_age.table.empty
    assert [s["reason"] for s in by_age.skipped] == ["5 donors with enough cells, fewer than 6"]
