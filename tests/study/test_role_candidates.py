"""Roles as a person would give them: tables of obs as people have them, each with what leads astray."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titin.dataset.layout import ROLES
from titin.study.candidates import find_candidates
from titin.study.roles import choose_roles, find_roles

N = 240
D = np.arange(N) // 40  # six donors
S = np.arange(N) // 20  # two samples a donor
HALF = np.arange(N) % 2
TYPES = np.array(["T cell", "B cell", "monocyte", "NK cell"])[np.arange(N) % 4]
FINE = np.char.add(TYPES.astype(str), np.where(np.arange(N) // 4 % 2, " a", " b"))
AGES = np.array([21, 34, 47, 59, 66, 78])
CELLS = [f"AAAC{i:05d}-1" for i in range(N)]


def donors(prefix="D"):
    return [f"{prefix}{d}" for d in D]


def by(values, code=D):
    return np.asarray(values, object)[code % len(values)]


SAMPLES = [f"S{s}" for s in S]
SEX = by(["F", "M"])

# name: columns of obs, and the roles of it; what is not named has no column
TABLES = {
    "CELLxGENE": ({
        "donor_id": donors(), "development_stage": by([f"{a}-year-old stage" for a in AGES]), "sex": by(["female",
            "male"]),
        "suspension_type": by(["cell", "nucleus"]), "assay": "10x 3' v3", "cell_type": TYPES, "tissue": "blood",
        "assay_ontology_term_id": "EFO:0009922", "sex_ontology_term_id": by(["PATO:0000383", "PATO:0000384"]),
        "cell_type_ontology_term_id": by(["CL:1", "CL:2"], HALF), "is_primary_data": True, "disease": "normal",
        "development_stage_ontology_term_id": by(["HsapDv:0000001", "HsapDv:0000002"]),
    }, {"donor": "donor_id", "age": "development_stage", "sex": "sex", "protocol": "suspension_type",
        "chemistry": "assay", "cell_type": ["cell_type"]}),
    "before CELLxGENE took it": ({
        "donor_id": donors(), "sex_ontology_term_id": by(["PATO:0000383", "PATO:0000384"]),
        "assay_ontology_term_id": "EFO:0009922", "cell_type_ontology_term_id": by(["CL:1", "CL:2"], HALF),
    }, {"donor": "donor_id", "sex": "sex_ontology_term_id", "chemistry": "assay_ontology_term_id",
        "cell_type": ["cell_type_ontology_term_id"]}),
    "donors called pooled and unknown": (
        {"donor_id": by(["D1", "D2", "D3", "pooled", "unknown", "na"])}, {"donor": "donor_id"}),
    "no donor but pooled and unknown": ({"donor_id": by(["pooled", "unknown"])}, {}),
    "na of suspension_type": ({"suspension_type": by(["cell", "nucleus", "na"])}, {"protocol": "suspension_type"}),
    "all na of suspension_type": ({"suspension_type": "na"}, {}),
    "missing of suspension_type": ({"suspension_type": by(["cell", None])}, {"protocol": "suspension_type"}),
    "Seurat": ({
        "orig.ident": by(["run0", "run1", "run2"]), "nCount_RNA": np.arange(N) * 1.0, "Patient": D + 1.0,
        "Gender": by(["M", "F ", "male", "Female", "NA", "m"]), "batch": by(["run0", "run1", "run2"]),
        "predicted.celltype.l1": TYPES, "predicted.celltype.l2": FINE, "seurat_clusters": by(["0", "1", "2"], HALF),
        "predicted.celltype.l1.score": np.linspace(0, 1, N),
    }, {"donor": "Patient", "sample": "orig.ident", "sex": "Gender",
        "cell_type": ["predicted.celltype.l1", "predicted.celltype.l2"]}),
    "SeuratProject": ({"orig.ident": "SeuratProject", "donor": donors()}, {"donor": "donor"}),
    "patient yes or no": ({"patient": D % 2 == 0, "subject_code": donors("P")}, {"donor": "subject_code"}),
    "patient or control": ({"patient": by(["patient", "control"]), "Subject.ID": donors()}, {"donor": "Subject.ID"}),
    "patient 0 or 1": ({"patient": D % 2, "case_id": donors()}, {"donor": "case_id"}),
    "patient y or n": ({"patient": by(["Y", "N"]), "individual": donors()}, {"donor": "individual"}),
    "donor or recipient": ({"donor": by(["donor", "recipient"]), "hipid": donors("HIP")}, {"donor": "hipid"}),
    "donor or host alone": ({"donor": by(["donor", "host"])}, {}),
    "donor is the disease": ({"donor": by(["healthy", "disease"])}, {}),
    "donors 0 and 1 by genotype": ({"donor_id": D % 2}, {"donor": "donor_id"}),
    "donors as numbers": ({"patient": D + 1}, {"donor": "patient"}),
    "donor is the chemistry": ({"donor": by(["5p", "3pv2", "3pv1"])}, {"chemistry": "donor"}),
    "donor is the sex": ({"donor": by(["male", "female"]), "sex": SEX}, {"sex": "sex"}),
    "donor of each cell": ({"donor": CELLS, "mouse.id": donors("M")}, {"donor": "mouse.id"}),
    "donor is a measurement": ({"donor": np.linspace(0, 1, N), "animal": donors("A")}, {"donor": "animal"}),
    "what is said of donors": ({
        "donor_type": by(["DCD", "DBD"]), "donor_status": by(["alive", "dead"]), "donor_age": AGES[D], "donor_sex": SEX,
        "patient_group": by(["x", "y"]), "donor_uuid": donors("u"),
    }, {"donor": "donor_uuid", "age": "donor_age", "sex": "donor_sex"}),
    "ROSMAP": ({"projid": donors("1"), "msex": D % 2, "age_death": AGES[D]}, {"donor": "projid", "age": "age_death"}),
    "names of donors of two studies": ({
        "donor_id": by(["1", "2", "3"]), "donor_uuid": donors("u"), "sex": by(["F", "M"]), "age": AGES[D],
    }, {"donor": "donor_uuid", "sex": "sex", "age": "age"}),
    "vireo": ({"donor_id": by(["donor0", "donor1", "donor2", "doublet", "unassigned"], np.arange(N)),
        "best_singlet": donors()},
              {"donor": "donor_id"}),
    "souporcell": ({"assignment": by(["0", "1", "2", "0/1"], np.arange(N)), "status": by(["singlet", "doublet"], HALF)},
                   {"donor": "assignment"}),
    "Smart-seq2": ({"sample": CELLS, "plate": by(["p1", "p2"], HALF), "library": CELLS, "mouse": donors("M"),
                    "method": "Smart-seq2"}, {"donor": "mouse", "chemistry": "method"}),
    "samples nearly of each cell": ({"sample_id": [f"c{i // 2 if i < 40 else i}" for i in range(N)]}, {}),
    "samples yes or no": ({"sample": HALF == 0, "library_id": SAMPLES, "donor": donors()},
                          {"donor": "donor", "sample": "library_id"}),
    "a pool before its samples": ({"library": by(["L1", "L2"], HALF), "sample_name": SAMPLES, "donor": donors()},
                                  {"donor": "donor", "sample": "sample_name"}),
    "sample of pools": ({"channel": by(["c1", "c2"], HALF), "donor": donors()}, {"donor": "donor",
        "sample": "channel"}),
    "batches that are samples": ({"batch": SAMPLES, "donor": donors()}, {"donor": "donor", "sample": "batch"}),
    "batches of several donors": ({"batch": by(["b1", "b2"], HALF), "donor": donors()}, {"donor": "donor"}),
    "batches alone": ({"batch": by(["b1", "b2"])}, {}),
    "muscle": ({"batch": by(["cells", "nuclei"]), "10X_version": by(["v2", "v3"]), "DonorID": donors(),
        "SampleID": SAMPLES,
                "Age_group": by(["15-20", "70-75"]), "Age_bin": by(["young", "old"]), "annotation_level0": TYPES,
                "annotation_level1": FINE},
               {"protocol": "batch", "chemistry": "10X_version", "donor": "DonorID", "sample": "SampleID",
                "age": "Age_group", "cell_type": ["annotation_level0", "annotation_level1"]}),
    "protocol is a kit": ({"protocol": by(["10x 3' v2", "10x 3' v3"])}, {"chemistry": "protocol"}),
    "technology tells nuclei": ({"technology": by(["scRNA-seq", "snRNA-seq"])}, {"protocol": "technology"}),
    "sample type of nuclei": ({"sample_type": by(["nuclei", "cells"])}, {"protocol": "sample_type"}),
    "sample type of tissue": ({"sample_type": by(["blood", "tumor"])}, {}),
    "library preparation": ({"library_preparation_protocol": by(["10x 3' v2", "Smart-seq2"])},
                            {"chemistry": "library_preparation_protocol"}),
    "assay yes or no": ({"assay": D % 2 == 0}, {}),
    "platform of free text": ({"platform": CELLS}, {}),
    "sex as codes": ({"Sex": D % 2}, {}),
    "sex as codes beside words": ({"Sex": D % 2, "Gender": SEX}, {"sex": "Gender"}),
    "sex in four spellings": ({"sex": by(["F", "female", "M", "Male "])}, {"sex": "sex"}),
    "sex not known": ({"sex": "unknown", "predicted_sex": SEX}, {"sex": "predicted_sex"}),
    "gender is text": ({"gender": by(["cohort A", "cohort B"])}, {}),
    "age as codes": ({"age": by([-1, 0, 1])}, {}),
    "age as two codes": ({"age": D % 2}, {}),
    "age standardised": ({"age": ((AGES - AGES.mean()) / AGES.std())[D]}, {}),
    "age of each cell": ({"age": np.linspace(0.1, 9.7, N)}, {}),
    "age young or old": ({"age": by(["young", "old"]), "Age..years.": AGES[D]}, {"age": "Age..years."}),
    "age in words of few": ({"age": [str(AGES[d]) if d < 1 else "unknown" for d in D], "age_group": by(["15-20",
        "70-75"])},
                            {"age": "age_group"}),
    "age in months": ({"age_months": by([3, 18, 24]), "mouse.id": donors("M")}, {"age": "age_months",
        "donor": "mouse.id"}),
    "ages of mice beside days": ({"age": by(["3m", "18m", "24m"]), "age_numeric": by([90, 540, 720])}, {"age": "age"}),
    "no ages": ({"percentage": np.linspace(0, 1, N), "stage": by(["I", "II"]), "lineage_age": np.linspace(0, 1, N),
                 "image": CELLS, "dosage": by([1, 2])}, {}),
    "free text of each cell": ({"annotation": [f"note {i}" for i in range(N)], "cell.type": TYPES},
        {"cell_type": ["cell.type"]}),
    "cell type yes or no": ({"annotation": HALF == 0, "celltype": TYPES}, {"cell_type": ["celltype"]}),
    "types as numbers beside names": ({"celltype": np.arange(N) % 4,
        "cell_type": pd.Categorical((np.arange(N) % 4).astype(str)),
                                       "cell.type": TYPES}, {"cell_type": ["cell.type"]}),
    "clusters alone": ({"leiden": by(["0", "1", "2"], HALF), "seurat_clusters": np.arange(N) % 5, "louvain": by(["0",
        "1"])}, {}),
    "clusters with names": ({"leiden": by(["0", "1", "2"], HALF), "cluster": TYPES}, {"cell_type": ["cluster"]}),
    "Tabula Muris": ({"cell_ontology_class": TYPES, "free_annotation": FINE, "mouse.id": donors("3-M-"),
        "mouse.sex": SEX,
                      "subtissue": "x", "tissue": "Lung"},
                     {"cell_type": ["cell_ontology_class", "free_annotation"], "donor": "mouse.id",
                         "sex": "mouse.sex"}),
    "mousebrain": ({"level1class": TYPES, "level2class": FINE}, {"cell_type": ["level1class", "level2class"]}),
    "Human Lung Cell Atlas": ({"ann_level_2": FINE, "ann_level_1": TYPES, "ann_level_1_label_final": TYPES,
        "cell_type": TYPES},
                              {"cell_type": ["ann_level_1", "ann_level_2"]}),
    "predictions beside labels": ({"predicted.celltype.l1": TYPES, "majority_voting": FINE, "cell_type": TYPES},
                                  {"cell_type": ["cell_type"]}),
    "CellTypist": ({"majority_voting": TYPES, "predicted_labels": FINE, "conf_score": np.linspace(0, 1, N)},
                   {"cell_type": ["majority_voting", "predicted_labels"]}),
    "Allen Institute": ({"external_donor_name_label": donors("H"), "class_label": TYPES, "subclass_label": FINE},
                        {"donor": "external_donor_name_label", "cell_type": ["class_label", "subclass_label"]}),
    "T cells only": ({"cell_type": "T", "donor": "D1"}, {"cell_type": ["cell_type"], "donor": "donor"}),
    "in R's words": ({"X10X_version": by(["3'v2", "3'v3"]), "Donor.ID": donors(), "Cell.Type": TYPES},
                     {"chemistry": "X10X_version", "donor": "Donor.ID", "cell_type": ["Cell.Type"]}),
    "quality alone": ({"n_counts": np.arange(N), "percent_mito": np.linspace(0, 1, N), "doublet": HALF == 0,
                       "phase": by(["G1", "S"], HALF), "doublet_score": np.linspace(0, 1, N)}, {}),
}  # fmt: skip


def table(name):
    return pd.DataFrame(TABLES[name][0], index=CELLS)


def expected(name):
    return dict.fromkeys(ROLES) | {"cell_type": []} | TABLES[name][1]


@pytest.mark.parametrize("dtype", ["as it is", "category"])
@pytest.mark.parametrize("name", TABLES)
def test_roles_are_those_that_a_person_would_give(name, dtype):
    obs = table(name)
    if dtype == "category":
        obs = obs.astype({column: "category" for column in obs if obs[column].dtype == object})
    assert find_roles(obs, {}) == expected(name)


NEUTRAL = st.sampled_from(["note", "x1", "my column", "QC", "zzz", "colour", "tissue2", "A", "Ω"])


@given(st.data(), st.sampled_from(sorted(TABLES)))
@settings(max_examples=150)
def test_neither_order_nor_columns_of_no_part_change_roles(data, name):
    obs = table(name)
    columns = data.draw(st.permutations(list(obs.columns)))
    obs = obs[columns]
    if data.draw(st.booleans()):
        obs = obs.assign(**{data.draw(NEUTRAL): data.draw(st.sampled_from([SAMPLES, SEX, CELLS, D, D % 2 == 0, None]))})
    assert find_roles(obs, {}) == expected(name)


TRAPS = st.sampled_from(["donor", "donor_id", "patient", "sample_id", "sample", "library", "sex", "gender", "assay",
                         "suspension_type", "cell_type", "annotation", "celltype", "age", "Age_years"])  # fmt: skip
FULL = pd.DataFrame(
    {"Subject.ID": donors(), "specimen": SAMPLES, "AGE": AGES[D], "donor_sex": SEX, "modality": by(["cells", "nuclei"]),
     "platform": by(["10x v2", "10x v3"]), "cell.label": TYPES}, CELLS,
)  # fmt: skip
OF_FULL = {"cell_type": ["cell.label"], "donor": "Subject.ID", "sample": "specimen", "age": "AGE", "sex": "donor_sex",
           "protocol": "modality", "chemistry": "platform", "study": None}  # fmt: skip


@given(
    TRAPS, st.sampled_from(["a value a cell", "yes or no", "words for missing", "numbers of each cell"]), st.booleans()
)
def test_a_column_that_says_nothing_of_a_role_does_not_change_it(name, kind, first):
    entries = {"a value a cell": CELLS, "yes or no": by(["yes", "no"], HALF), "words for missing": "unknown",
               "numbers of each cell": np.linspace(-1, 1, N)}[kind]  # fmt: skip
    added = pd.DataFrame({name: entries}, CELLS)
    obs = pd.concat([added, FULL] if first else [FULL, added], axis=1)
    assert find_roles(obs, {}) == OF_FULL


@pytest.mark.parametrize(("name", "role", "why", "others"), [
    ("patient yes or no", "donor", "6 donors", {"patient": "yes or no (False, True), no names"}),
    ("Seurat", "sample", "3 samples, 3 of them of several donors", {}),
    ("Smart-seq2", "sample", "no column that fits", {
        "sample": "240 values in 240 cells: names of cells", "library": "240 values in 240 cells: names of cells"}),
    ("na of suspension_type", "protocol", "cell, nucleus; 80 cells (80 'na') without", {}),
    ("all na of suspension_type", "protocol", "no column that fits", {
        "suspension_type": "no entry that says something: 'na'"}),
    ("names of donors of two studies", "donor", "6 donors, one age and sex each", {
        "donor_id": "3 donors, 3 of two sexes, 3 of ages too far apart for one person"}),
    ("clusters alone", "cell_type", "no column that fits", {
        "leiden": "2 numbers, which name no cell type", "louvain": "2 numbers, which name no cell type",
        "seurat_clusters": "5 numbers, which name no cell type"}),
    ("sex as codes", "sex", "no column that fits", {"Sex": "codes (0, 1) that do not say which sex is which"}),
    ("quality alone", "donor", "no column of that name", {}),
])  # fmt: skip
def test_every_guess_has_its_reason_and_the_runners_up(name, role, why, others):
    choice = choose_roles(table(name), {})[role]
    assert (choice.why, choice.others) == (why, others)
    assert not choice.given


def test_what_is_given_is_taken_and_warned_of():
    obs = table("patient yes or no").assign(sex=D % 2)
    chosen = choose_roles(obs, {"donor": "patient", "sex": "sex", "cell_type": ["subject_code"]})
    assert chosen["donor"].column == "patient"
    assert chosen["donor"].warning == (
        "'patient' is taken for the donor as asked, but does not fit: yes or no (False, True), no names"
    )
    assert "codes (0, 1)" in chosen["sex"].warning
    assert chosen["cell_type"].column == ["subject_code"]
    assert not chosen["cell_type"].warning


def test_none_unsets_a_role():
    chosen = choose_roles(FULL, {"donor": "none", "cell_type": ["none"]}, {"donor": "Subject.ID"})
    assert (chosen["donor"].column, chosen["cell_type"].column) == (None, [])
    assert chosen["donor"].why == "set to none"
    assert chosen["sample"].column == "specimen"


def test_columns_of_a_preset_that_say_nothing_are_looked_for():
    preset = {"donor": "donor_id", "age": "development_stage", "sex": "sex", "protocol": "suspension_type",
              "chemistry": "assay", "cell_type": ["cell_type"], "study": None}  # fmt: skip
    obs = table("CELLxGENE").drop(columns="suspension_type").assign(age=AGES[D], development_stage="adult")
    chosen = choose_roles(obs, {}, preset)
    assert chosen["protocol"].column is None
    assert chosen["age"].column == "age"
    assert chosen["donor"].column == "donor_id"
    assert chosen["donor"].why == "by the preset; 6 donors, one age and sex each"


def test_names_with_less_to_say_come_later():
    names = ["my_patient_id", "person", "Donor ID", "donor", "MouseID", "donor_age", "donors_per_cell", "case no."]
    assert find_candidates(names, "donor") == ["Donor ID", "donor", "person", "MouseID", "case no.", "my_patient_id"]


REAL = {
    "celltypist_sample_559x32786": {},
    "glioblastoma_lemur_5000x300": {"donor": "patient_id", "sample": "sample_id", "age": "age", "sex": "gender"},
    "heart_pseudobulk_mofacell_66x29126": {"donor": "donor_id", "cell_type": ["cell_type"]},
    "hsmm_human_skeletal_myoblast_fpkm": {},
    "human_liver_cellxgene_146x33452": {
        "donor": "donor_id", "sample": "sample", "sex": "sex", "protocol": "suspension_type", "chemistry": "assay",
        "cell_type": ["cell_type", "author_cell_type"]},
    "oligodendroglioma_infercnv": {"donor": "patient", "cell_type": ["annotation"]},
    "pbmc4k_soupx_2170x33694": {"cell_type": ["Annotation"]},
    "pbmc_3tech_symphony_1200x1767": {"chemistry": "donor", "cell_type": ["cell_type_broad", "cell_type"]},
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_files(shared, name):
    import anndata

    obs = anndata.read_h5ad(shared / "data" / "h5ad" / f"{name}.h5ad", backed="r").obs
    assert find_roles(obs, {}) == dict.fromkeys(ROLES) | {"cell_type": []} | REAL[name]


def test_real_tables_of_samples_and_donors(shared):
    samples = find_roles(pd.read_csv(shared / "data/atlas_tables/samples.csv"), {})
    assert samples == {"cell_type": [], "donor": "DonorID", "sample": "SampleID", "age": None, "sex": "Sex",
                       "protocol": "batch", "chemistry": "X10X_version", "study": None}  # fmt: skip
    of_donors = find_roles(pd.read_csv(shared / "data/atlas_tables/donor_by_batch.csv"), {})
    assert (of_donors["donor"], of_donors["age"], of_donors["sex"]) == ("DonorID", "Age", "Sex")
