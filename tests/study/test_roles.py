"""Columns of obs are found by name and content, or given by hand."""

import numpy as np
import pandas as pd
import pytest

from titin.dataset.layout import ROLES
from titin.errors import TitinError
from titin.study.roles import find_roles

MUSCLE = {
    "SampleID": ["s1", "s2", "s3"], "DonorID": ["D1", "D2", "D2"], "Age_group": ["15-20", "70-75", "70-75"],
    "Age_bin": ["young", "old", "old"], "Sex": ["F", "M", "M"], "batch": ["cells", "nuclei", "cells"],
    "10X_version": ["v2", "v3", "v3"], "annotation_level0": ["MF", "MuSC", "MF"], "annotation_level1": ["a", "b", "c"],
    "annotation_level2": ["a1", "b1", "c1"], "n_counts": [1.0, 2.0, 3.0],
}  # fmt: skip
CELLXGENE = {
    "donor_id": ["d1", "d2", "d3"], "sample_id": ["s", "s", "t"],
    "development_stage": ["45-year-old stage", "sixth decade stage", "unknown"], "sex": ["male", "male", "female"],
    "suspension_type": ["cell", "nucleus", "cell"], "assay": ["10x 3' v3"] * 3,
    "cell_type": ["T cell", "B cell", "T cell"], "author_cell_type": ["t1", "b1", "t2"],
}  # fmt: skip
NOTHING = dict.fromkeys(ROLES) | {"cell_type": []}


def test_the_muscle_atlas():
    assert find_roles(pd.DataFrame(MUSCLE), {}) == {
        "cell_type": ["annotation_level0", "annotation_level1", "annotation_level2"], "donor": "DonorID",
        "sample": "SampleID", "age": "Age_group", "sex": "Sex", "protocol": "batch", "chemistry": "10X_version",
        "study": None,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_cellxgene(dtype):
    assert find_roles(pd.DataFrame(CELLXGENE).astype(dtype), {}) == {
        "cell_type": ["cell_type", "author_cell_type"], "donor": "donor_id", "sample": "sample_id",
        "age": "development_stage", "sex": "sex", "protocol": "suspension_type", "chemistry": "assay",
        "study": None,
    }  # fmt: skip


def test_a_real_census(shared):
    obs = pd.read_parquet(shared / "data/tables/cellxgene_census_obs_23945x20.parquet")
    assert find_roles(obs, {}) == {
        "cell_type": ["cell_type"], "donor": "donor_id", "sample": None, "age": None, "sex": "sex",
        "protocol": "suspension_type", "chemistry": "assay",
        "study": None,
    }  # fmt: skip
    adults = obs[obs["development_stage"].str.contains("decade")]
    assert find_roles(adults, {})["age"] == "development_stage"
    assert find_roles(obs, {"age": "development_stage"})["age"] == "development_stage"


def test_nothing_to_find():
    assert find_roles(pd.DataFrame({"n_counts": [1.0], "leiden": ["0"]}), {}) == NOTHING
    assert find_roles(pd.DataFrame(index=["a"]), {}) == NOTHING


@pytest.mark.parametrize("column", [["young", "old"], ["adult"], [None, None], [True, False], ["31", None, None]])
def test_a_column_called_age_without_ages_is_passed_over(column):
    obs = pd.DataFrame({"age": pd.Series(column, dtype=object), "Age_group": ["15-20"] * len(column)})
    assert find_roles(obs, {})["age"] == "Age_group"


@pytest.mark.parametrize(("entries", "fits"), [
    (["cell", "nucleus"], True), (["Cells", "Nuclei"], True), (["single-cell", None], True), (["snRNA-seq"], True),
    (["batch1", "batch2"], False), ([1, 2], False), (["cells", "batch1"], False),
])  # fmt: skip
def test_a_batch_is_a_protocol_only_where_it_tells_cells_from_nuclei(entries, fits):
    assert find_roles(pd.DataFrame({"batch": entries}), {})["protocol"] == ("batch" if fits else None)


@pytest.mark.parametrize("name", ["donor", "Donor ID", "donor-id", "patient", "Patient.ID", "individual", "SUBJECT_ID"])
def test_names_are_told_without_case_and_separators(name):
    assert find_roles(pd.DataFrame({"x": [1], name: ["d"]}), {})["donor"] == name


def test_the_better_name_wins_and_of_equals_the_first():
    assert find_roles(pd.DataFrame({"patient": ["p"], "donor_id": ["d"]}), {})["donor"] == "donor_id"
    assert find_roles(pd.DataFrame({"Donor_ID": ["p"], "donor_id": ["d"]}), {})["donor"] == "Donor_ID"


def test_columns_whose_names_are_no_text():
    assert find_roles(pd.DataFrame({0: [1], None: [2], "sex": ["f"]}), {})["sex"] == "sex"
    assert find_roles(pd.DataFrame({0: [1], None: [2]}), {})["cell_type"] == []


@pytest.mark.parametrize(("columns", "found"), [
    ({"ann_level_2": ["a", "b"], "ann_level_1": ["x", "x"]}, ["ann_level_1", "ann_level_2"]),
    ({"level10": ["a", "b"], "level9": ["x", "x"]}, ["level9", "level10"]),
    ({"celltype_fine": ["a", "b"], "cell type": ["x", "x"]}, ["cell type", "celltype_fine"]),
    ({"cell_type": [1, 2]}, []),
    ({"cell_type": [None, None]}, []),
    ({"celltypist": ["a", "b"], "leiden": ["0", "1"]}, []),
])  # fmt: skip
def test_levels_of_cell_types_coarsest_first(columns, found):
    assert find_roles(pd.DataFrame(columns), {})["cell_type"] == found


def test_what_is_given_wins():
    roles = find_roles(pd.DataFrame(MUSCLE), {"cell_type": ["Age_bin"], "donor": "SampleID", "protocol": "10X_version"})
    assert roles["cell_type"] == ["Age_bin"]
    assert (roles["donor"], roles["protocol"], roles["sex"]) == ("SampleID", "10X_version", "Sex")


def test_one_cell_type_column_may_be_given_without_a_list():
    assert find_roles(pd.DataFrame(MUSCLE), {"cell_type": "Age_bin"})["cell_type"] == ["Age_bin"]


@pytest.mark.parametrize(("given", "message", "hint"), [
    ({"donor": "DonerID"}, "obs has no column 'DonerID', which was given as the donor", "did you mean DonorID"),
    ({"age": "age_group"}, "obs has no column 'age_group', which was given as the age", "did you mean Age_group"),
    ({"cell_type": ["annotation_level0", "annotation_lvl1"]}, "as the cell type", "did you mean annotation_level"),
    ({"sex": "zzz"}, "obs has no column 'zzz'", "columns of obs: SampleID, DonorID,"),
])  # fmt: skip
def test_a_column_that_does_not_exist(given, message, hint):
    with pytest.raises(TitinError, match=message) as error:
        find_roles(pd.DataFrame(MUSCLE), given)
    assert error.value.hint.startswith(hint)


def test_a_column_given_where_obs_has_none():
    with pytest.raises(TitinError) as error:
        find_roles(pd.DataFrame(index=["a"]), {"donor": "x"})
    assert error.value.hint == "columns of obs: none"


def test_an_age_column_without_ages():
    with pytest.raises(TitinError, match=r"'Age_bin' holds no age .* \(it holds 'young', 'old'\)") as error:
        find_roles(pd.DataFrame(MUSCLE), {"age": "Age_bin"})
    assert "15-20" in error.value.hint


def test_an_age_column_with_few_ages_may_be_given():
    obs = pd.DataFrame({"age": ["31", *[None] * 9]})
    assert find_roles(obs, {})["age"] is None
    assert find_roles(obs, {"age": "age"})["age"] == "age"


def test_empty_columns_are_no_roles():
    obs = pd.DataFrame({"donor": [None, None], "patient": ["p", "q"], "sex": pd.Categorical([None, None])})
    roles = find_roles(obs, {})
    assert (roles["donor"], roles["sex"]) == ("patient", None)
    assert find_roles(pd.DataFrame({"age": [np.nan, np.nan]}), {})["age"] is None
