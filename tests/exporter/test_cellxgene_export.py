"""A file of the CELLxGENE schema: nothing without confirmed terms, and then what the schema asks for, bit for bit."""

import json
import os
import re
import shutil
import subprocess
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import titin
from titin.cli import main
from titin.errors import TitinError
from titin.exporter import cellxgene_file, export
from titin.exporter.cellxgene_genes import find_genes
from titin.exporter.cellxgene_guesses import StudyTables, assay_of, stage_name
from titin.exporter.cellxgene_ontologies import Ontologies, installed
from titin.exporter.cellxgene_schema import FIELDS, misfit
from titin.exporter.cellxgene_tables import readable
from titin.exporter.cellxgene_terms import Entry, FieldTerms, TermsFile, read_terms, terms_text
from titin.progress import Progress

# real genes of muscle, blood and skin, as GENCODE has them
IDS = [
    "ENSG00000109061", "ENSG00000125414", "ENSG00000092054", "ENSG00000143632", "ENSG00000155657", "ENSG00000104879",
    "ENSG00000111049", "ENSG00000009709", "ENSG00000129152", "ENSG00000122180", "ENSG00000261371", "ENSG00000110799",
    "ENSG00000108821", "ENSG00000164692", "ENSG00000168542", "ENSG00000139329", "ENSG00000011465", "ENSG00000134853",
    "ENSG00000177455", "ENSG00000156738", "ENSG00000167286", "ENSG00000198851", "ENSG00000160654", "ENSG00000010610",
    "ENSG00000153563", "ENSG00000170458", "ENSG00000203747", "ENSG00000026508", "ENSG00000075624", "ENSG00000111640",
]  # fmt: skip
N_CELLS = 24


def counts_of(n_genes: int = len(IDS), seed: int = 0) -> sparse.csr_matrix:
    counts = np.random.default_rng(seed).poisson(1.5, (N_CELLS, n_genes))
    counts[:, 0] += 1  # no cell without a count
    return sparse.csr_matrix(counts.astype("float32"))


def logarithms(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    scale = np.asarray(counts.sum(axis=1)).ravel() / 1e4
    values = sparse.csr_matrix(counts.multiply(1 / scale[:, None]), dtype="float32")
    values.data = np.log1p(values.data)
    return values


def study(X: sparse.csr_matrix, ids: list[str] | None = None) -> ad.AnnData:
    """A study as people have them: words and not terms."""
    every = np.arange(N_CELLS)
    obs = pd.DataFrame({
        "cell_type": pd.Categorical(np.where(every % 2, "T cells", "Fibroblast of the moon")),
        "donor": pd.Categorical([f"D{k % 4}" for k in every]),
        "sex": pd.Categorical(np.where(every % 4 < 2, "F", "male")),
        "age": np.array([25, 32, 61, 70])[every % 4],
        "chemistry": pd.Categorical(np.where(every % 2, "10x 3' v2", "v3")),
        "protocol": pd.Categorical(np.where(every % 2, "nuclei", "cells")),
        "remark": pd.Categorical([None if k % 3 else "=1+1" for k in every]),
        "__score": np.linspace(0, 1, N_CELLS),
    }, index=[f"cell-{k}" for k in every])  # fmt: skip
    obs["age"] = obs["age"].astype("int64")
    var = pd.DataFrame({"gene_ids": ids or [f"{name}.7" for name in IDS[: X.shape[1]]],
                        "feature_type": "gene"}, index=[f"G{k}" for k in range(X.shape[1])])  # fmt: skip
    atlas = ad.AnnData(
        X, obs, var, uns={"sex_colors": np.array(["#ff0000", "#00ff00"]), "empty": [], "log": {"base": 2}}
    )
    atlas.obsm["X_umap"] = np.random.default_rng(1).normal(size=(N_CELLS, 2)).astype("float32")
    atlas.obsm["spatial"] = np.zeros((N_CELLS, 2), "float32")
    return atlas


def built(atlas: ad.AnnData, folder: Path, **options: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        atlas.write_h5ad(folder / "study.h5ad")
    roles = {"cell_type": "cell_type", "donor": "donor", "sex": "sex", "age": "age", "chemistry": "chemistry",
             "protocol": "protocol"}  # fmt: skip
    return titin.build(folder / "study.h5ad", folder / "dataset", project=[], threads=1, roles=roles, **options).path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logarithms, whose counts titin has recovered."""
    return built(study(logarithms(counts_of())), tmp_path_factory.mktemp("study"))


class Notes(Progress):
    """What was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(autouse=True)
def without_ontologies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same whatever is installed; tests that look terms up ask for it."""
    monkeypatch.setattr(cellxgene_file, "installed", lambda: False)


def refused(dataset: Path, terms: Path, **options: Any) -> str:
    output = terms.parent / "out.h5ad"
    with pytest.raises(TitinError) as raised:
        export(dataset, "cellxgene", output, terms=terms, threads=1, **options)
    assert not output.exists()
    return str(raised.value)


ANSWERS = {  # what a person fills in
    'title = "?"': 'title = "Muscle of four donors"', '"T cells" = "?"': '"T cells" = "CL:0000084"',
    '"Fibroblast of the moon" = "?"': '"Fibroblast of the moon" = "CL:0000057"',
    '"25" = "?"': '"25" = "HsapDv:0000119"', '"32" = "?"': '"32" = "HsapDv:0000126"',
    '"61" = "?"': '"61" = "HsapDv:0000155"', '"70" = "?"': '"70" = "HsapDv:0000164"',
}  # fmt: skip
EVERY = {"disease": "PATO:0000461", "tissue": "UBERON:0001134", "is_primary_data": "true"}


def confirm(text: str) -> str:
    """Do by rule what a person does by hand."""
    for question, answer in ANSWERS.items():
        text = text.replace(question, answer)
    for name, term in EVERY.items():
        text = re.sub(rf'(\[{name}\][^\[]*every_cell = )"[^"]*"', rf'\1"{term}"', text)
    return text.replace('"? ', '"')


@pytest.fixture
def terms(dataset: Path, tmp_path: Path) -> Path:
    """A confirmed file of the dataset's terms."""
    path = tmp_path / "terms.toml"
    refused(dataset, path)
    path.write_text(confirm(path.read_text("utf-8")), "utf-8")
    return path


# ---- the file of terms


def test_without_a_file_of_terms_a_proposal_is_written_and_nothing_else(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "terms.toml"
    said = refused(dataset, path)
    assert "nothing is exported" in said
    assert "take the question mark away" in said
    assert [found.name for found in tmp_path.iterdir()] == ["terms.toml"]
    document = tomllib.loads(path.read_text("utf-8"))
    assert document["organism"] == "? NCBITaxon:9606"
    assert document["genes"]["column"] == "gene_ids"
    assert document["sex"]["terms"] == {"F": "? PATO:0000383", "male": "? PATO:0000384"}
    assert document["assay"]["terms"] == {"10x 3' v2": "? EFO:0009899", "v3": "? EFO:0009922"}
    assert document["suspension_type"]["terms"] == {"cells": "? cell", "nuclei": "? nucleus"}
    assert document["cell_type"]["terms"] == {"Fibroblast of the moon": "?", "T cells": "?"}
    assert document["donor_id"] == {"column": "? donor"}
    assert document["disease"] == document["is_primary_data"] == {"every_cell": "?"}
    assert set(document) == {"title", "organism", "genes", *FIELDS}


def test_nothing_of_a_proposal_is_confirmed(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "terms.toml"
    refused(dataset, path)
    for where, entry in read_terms(path).entries():
        assert entry.confirmed == (where.endswith(".column") and where != "donor_id.column"), where


@pytest.mark.parametrize("left", ["title", "F", "donor_id", "every_cell"])
def test_one_question_mark_is_enough_to_export_nothing(left: str, dataset: Path, terms: Path) -> None:
    text = terms.read_text("utf-8")
    pattern = r'(\[donor_id\][^\n]*\ncolumn = )"' if left == "donor_id" else rf'(\n"?{left}"? = )"'
    changed = re.sub(pattern, r'\1"? ', text, count=1)
    assert changed != text
    terms.write_text(changed, "utf-8")
    said = refused(dataset, terms)
    assert "1 entry" in said
    assert "is not confirmed" in said
    assert terms.read_text("utf-8") == changed


def test_values_that_the_file_does_not_name_are_proposed_beside_it(dataset: Path, terms: Path) -> None:
    text = terms.read_text("utf-8")
    kept = text.replace('"T cells" = "CL:0000084"\n', "").replace('"male" = "PATO:0000384" # male\n', "")
    terms.write_text(kept, "utf-8")
    said = refused(dataset, terms)
    assert "cell_type of 'T cells'" in said
    assert terms.read_text("utf-8") == kept
    document = tomllib.loads((terms.parent / "terms.new.toml").read_text("utf-8"))
    assert document["cell_type"]["terms"] == {"Fibroblast of the moon": "CL:0000057", "T cells": "?"}
    assert document["sex"]["terms"] == {"F": "PATO:0000383", "male": "? PATO:0000384"}
    assert document["title"] == "Muscle of four donors"
    assert "exists already" in refused(dataset, terms)


def test_another_column_is_proposed_terms_for(dataset: Path, terms: Path) -> None:
    text = re.sub(
        r'column = "cell_type"[^\[]*\[cell_type.terms\][^\[]*', 'column = "remark"\n\n', terms.read_text("utf-8")
    )
    terms.write_text(text, "utf-8")
    assert "cell_type for cells without a value, cell_type of '=1+1'" in refused(dataset, terms)
    document = tomllib.loads((terms.parent / "terms.new.toml").read_text("utf-8"))
    assert document["cell_type"] == {"column": "remark", "missing": "? unknown", "terms": {"=1+1": "?"}}


@pytest.mark.parametrize(("old", "new", "said"), [
    ('"F" = "PATO:0000383"', '"F" = "female"', "'female' is no term of PATO"),
    ('every_cell = "tissue"', 'every_cell = "meat"', "'meat' is none of tissue, organoid"),
    ('organism = "NCBITaxon:9606"', 'organism = "human"', "organism 'human' is none of"),
    ('"25" = "HsapDv:0000119"', '"25" = "MmusDv:0000062"', "those of NCBITaxon:9606 are of HsapDv"),
    ('"T cells" = "CL:0000084"', '"T cells" = "na"', "cell_type is na, which is for cell lines"),
    ('every_cell = "unknown"', 'every_cell = "na"', "self_reported_ethnicity is na"),
    ("[sex]", "[sexes]", "sexes is nothing that a file of terms says; did you mean sex?"),
    ('column = "sex"', 'colum = "sex"', "sex.colum is nothing that"),
    ('column = "sex"', 'column = "gender"', "obs has no column 'gender'"),
    ('column = "gene_ids"', 'column = "ids"', "var has no column 'ids'"),
    ('"F" = "PATO:0000383"', '"F" = 5', "sex.terms.F is no text"),
    ("leave_out = []", 'leave_out = ["ENSG00000000000"]', "leave_out names ENSG00000000000"),
    ("leave_out = []", 'leave_out = "../ids.txt"', "is to lie beside this one"),
    ("[sex]", "[sex", "cannot be read as a file of terms"),
])  # fmt: skip
def test_what_the_schema_does_not_take_is_named(old: str, new: str, said: str, dataset: Path, terms: Path) -> None:
    text = terms.read_text("utf-8")
    assert old in text
    terms.write_text(text.replace(old, new), "utf-8")
    assert said in refused(dataset, terms)


def test_the_command_says_it_as_a_refusal(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["export", str(dataset), "--to", "cellxgene", "-o", "out.h5ad"]
    for more, said in (([], "--terms FILE"), (["--terms", "terms.toml"], "nothing is exported")):
        with pytest.raises(SystemExit) as ended:
            main([*call, *more])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["terms.toml"]
    Path("terms.toml").write_text(confirm(Path("terms.toml").read_text("utf-8")), "utf-8")
    main([*call, "--terms", "terms.toml", "--json"])
    assert json.loads(capsys.readouterr().out)["path"] == "out.h5ad"
    assert Path("out.h5ad").is_file()


@pytest.mark.parametrize(("to", "options", "said"), [
    ("h5ad", {"terms": "t.toml"}, "--terms belongs to --format cellxgene"),
    ("cellxgene", {"counts": True}, "do not belong to --format cellxgene"),
    ("cellxgene", {"genes": ["G1"]}, "--genes belongs to --format wide"),
])  # fmt: skip
def test_options_of_other_formats_are_refused(
    to: str, options: dict[str, Any], said: str, dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(TitinError, match=said):
        export(dataset, to, tmp_path / "out.h5ad", **options)


TEXT = st.text(max_size=12) | st.sampled_from(
    ["?", "? CL:1", '"', "\\", "#", "\n", "=", "'''", "\x7f", "\u202e", "a.b"]
)


@given(st.dictionaries(TEXT, st.tuples(TEXT, TEXT), max_size=4), TEXT, st.lists(TEXT, max_size=3))
def test_a_file_of_any_words_is_read_as_it_was_written(
    values: dict[str, tuple[str, str]], title: str, left_out: list[str]
) -> None:
    terms = {value: Entry(text, why) for value, (text, why) in values.items()}
    written = TermsFile(
        title=Entry(title), leave_out=tuple(left_out), fields={"sex": FieldTerms(Entry("x"), terms=terms)}
    )
    try:
        text = terms_text(written).encode().decode()
    except UnicodeEncodeError:  # a surrogate, which no table of a dataset holds
        return
    document = tomllib.loads(text)
    assert document["title"] == title
    assert document["genes"]["leave_out"] == left_out
    assert document["sex"].get("terms", {}) == {value: text for value, (text, _) in values.items()}


# ---- the file of the schema


def read(path: Path) -> ad.AnnData:
    return ad.read_h5ad(path)


def test_counts_are_in_raw_and_values_in_x(dataset: Path, terms: Path, tmp_path: Path) -> None:
    notes = Notes()
    found = read(export(dataset, "cellxgene", tmp_path / "out.h5ad", terms=terms, threads=1, progress=notes))
    counts = counts_of()
    assert isinstance(found.X, sparse.csr_matrix)
    assert found.X.dtype == found.raw.X.dtype == np.float32
    np.testing.assert_array_equal(found.raw.X.toarray(), counts.toarray())
    np.testing.assert_array_equal(found.X.toarray(), logarithms(counts).toarray())
    assert found.var_names.tolist() == found.raw.var_names.tolist() == IDS  # without versions
    assert found.var["G" if "G" in found.var else "gene_name"].tolist() == [f"G{k}" for k in range(len(IDS))]
    assert not found.var["feature_is_filtered"].any()
    assert "feature_is_filtered" not in found.raw.var
    assert found.obs_names.tolist() == [f"cell-{k}" for k in range(N_CELLS)]
    assert any("schema 7.1.0" in said for said in notes.said)
    assert any("terms are not looked up" in said for said in notes.said)


def test_tables_are_those_of_the_schema(dataset: Path, terms: Path, tmp_path: Path) -> None:
    notes = Notes()
    found = read(export(dataset, "cellxgene", tmp_path / "out.h5ad", terms=terms, threads=1, progress=notes))
    obs, source = found.obs, study(counts_of()).obs
    assert obs["sex_ontology_term_id"].tolist() == [
        "PATO:0000383" if s == "F" else "PATO:0000384" for s in source["sex"]
    ]
    assert obs["development_stage_ontology_term_id"].iloc[0] == "HsapDv:0000119"
    assert obs["cell_type_ontology_term_id"].tolist() == ["CL:0000057", "CL:0000084"] * (N_CELLS // 2)
    assert obs["donor_id"].tolist() == source["donor"].tolist()
    assert obs["is_primary_data"].dtype == bool
    assert obs["is_primary_data"].all()
    assert {column: set(obs[column]) for column in ("tissue_type", "suspension_type")} == {
        "tissue_type": {"tissue"}, "suspension_type": {"cell", "nucleus"},
    }  # fmt: skip
    assert not {"sex", "cell_type", "__score", "assay"} & set(obs.columns)
    assert obs["original_sex"].tolist() == source["sex"].tolist()  # kept, under another name
    assert obs["score"].tolist() == source["__score"].tolist()
    assert obs["remark"].dropna().unique().tolist() == ["=1+1"]
    assert all(not pd.api.types.is_object_dtype(dtype) for dtype in obs.dtypes)
    assert list(found.obsm) == ["X_umap"]
    assert found.uns["title"] == "Muscle of four donors"
    assert found.uns["organism_ontology_term_id"] == "NCBITaxon:9606"
    assert found.uns["original_sex_colors"].tolist() == ["#ff0000", "#00ff00"]
    assert found.uns["log"] == {"base": 2}
    assert "empty" not in found.uns
    assert any("sex is original_sex" in said for said in notes.said)
    assert any("spatial" in said for said in notes.said)


def test_counts_alone_are_in_x(tmp_path: Path) -> None:
    dataset = built(study(counts_of()), tmp_path)
    terms = confirmed(dataset, tmp_path)
    found = read(export(dataset, "cellxgene", tmp_path / "out.h5ad", terms=terms, threads=1))
    assert found.raw is None
    np.testing.assert_array_equal(found.X.toarray(), counts_of().toarray())
    assert found.X.dtype == np.float32


def confirmed(dataset: Path, folder: Path, change: Callable[[str], str] = lambda text: text) -> Path:
    path = folder / "confirmed.toml"
    refused(dataset, path)
    path.write_text(change(confirm(path.read_text("utf-8"))), "utf-8")
    return path


@pytest.mark.parametrize("where", ["layer", "raw"])
def test_counts_are_found_in_a_layer_and_in_raw_of_more_genes(where: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    counts = counts_of()
    values = counts.copy()
    values.data = rng.normal(size=len(values.data)).astype("float32")  # no logarithms of these counts
    atlas = study(values)
    if where == "layer":
        atlas.layers["counts"] = counts
        atlas.layers["smooth"] = values * 2
        dataset = built(atlas, tmp_path, layers=["counts", "smooth"], allow_negative=True)
        kept = np.arange(len(IDS))
    else:
        kept = rng.permutation(len(IDS))[:20]  # of fewer genes, in another order
        atlas.raw = study(counts)
        part = atlas[:, kept].copy()
        part.raw = study(counts)
        dataset = built(part, tmp_path, with_raw=True, allow_negative=True)
    found = read(export(dataset, "cellxgene", tmp_path / "out.h5ad", terms=confirmed(dataset, tmp_path), threads=1))
    np.testing.assert_array_equal(found.raw.X.toarray(), counts.toarray())
    expected = np.zeros(counts.shape, "float32")
    expected[:, kept] = values.toarray()[:, kept]
    np.testing.assert_array_equal(found.X.toarray(), expected)
    assert found.X.has_sorted_indices
    assert set(np.flatnonzero(~found.var["feature_is_filtered"])) == set(kept)
    if where == "layer":
        assert list(found.layers) == ["smooth"]
        np.testing.assert_array_equal(found.layers["smooth"].toarray(), 2 * values.toarray())


def test_a_dataset_without_counts_is_refused(tmp_path: Path) -> None:
    values = counts_of()
    values.data = np.random.default_rng(3).gamma(2.0, size=len(values.data)).astype("float32")
    said = refused(built(study(values), tmp_path), tmp_path / "terms.toml")
    assert "wants counts, and this dataset has none" in said
    assert not (tmp_path / "terms.toml").exists()


def test_a_dataset_without_projections_is_told_of_embed(tmp_path: Path) -> None:
    atlas = study(counts_of())
    del atlas.obsm["X_umap"]
    dataset = built(atlas, tmp_path)
    assert "`titin embed` adds one" in refused(dataset, confirmed(dataset, tmp_path))


def test_donors_are_called_as_in_the_column_or_as_the_file_says(dataset: Path, terms: Path, tmp_path: Path) -> None:
    text = terms.read_text("utf-8")
    for name, said in (("Ada", None), ("na", "donor_id of 'D1': 'na' is no donor")):
        terms.write_text(text + f'\n[donor_id.terms]\nD1 = "{name}"\n', "utf-8")
        if said:
            assert said in refused(dataset, terms)
        else:
            found = read(export(dataset, "cellxgene", tmp_path / "donors.h5ad", terms=terms, threads=1)).obs["donor_id"]
            assert found.tolist() == ["D0", "Ada", "D2", "D3"] * (N_CELLS // 4)


@pytest.mark.parametrize(("column", "expected"), [
    (pd.Series([1, None, 3], dtype="Int64"), [1.0, None, 3.0]), (pd.Series([1, 2], dtype="Int8"), [1, 2]),
    (pd.Series([True, None], dtype="boolean"), ["True", None]), (pd.Series([True, False]), [True, False]),
    (pd.Series(pd.Categorical([True, False])), ["True", "False"]),
    (pd.Series(["a", None], dtype="string"), ["a", None]),
    (pd.Series(pd.Categorical([1, "1"])), ["1", "1_"]), (pd.Series(["a", 5], dtype=object), ["a", "5"]),
    (pd.Series(pd.to_datetime(["2020-01-02"])), ["2020-01-02 00:00:00"]),
    (pd.Series(pd.Categorical([3.0, None])), ["3", None]),
])  # fmt: skip
def test_columns_are_of_one_type(column: pd.Series, expected: list[Any]) -> None:
    found = pd.Series(readable(column))
    assert [None if pd.isna(value) else value for value in found.astype(object)] == expected
    kinds = {type(value) for value in found.dtype.categories} if found.dtype == "category" else set()
    assert kinds <= {str}
    assert not pd.api.types.is_object_dtype(found.dtype)


# ---- genes


def test_genes_without_an_id_are_left_out_only_where_the_user_says_so(tmp_path: Path) -> None:
    ids = [*IDS[:-3], "novel-1", IDS[0] + "_PAR_Y", "nan"]
    dataset = built(study(counts_of(), ids), tmp_path)
    path = tmp_path / "terms.toml"
    refused(dataset, path)
    line = next(line for line in path.read_text("utf-8").splitlines() if line.startswith("without_id"))
    assert line == 'without_id = "? leave out" # 3 genes without an id: G27, G28, G29'
    text = confirm(path.read_text("utf-8"))
    path.write_text(text.replace('without_id = "leave out"', 'without_id = "? leave out"'), "utf-8")
    assert "genes.without_id" in refused(dataset, path)
    path.write_text(text, "utf-8")
    notes = Notes()
    found = read(export(dataset, "cellxgene", tmp_path / "out.h5ad", terms=path, threads=1, progress=notes))
    assert found.var_names.tolist() == IDS[:-3]
    np.testing.assert_array_equal(found.X.toarray(), counts_of().toarray()[:, :-3])
    assert any(said.startswith("3 genes left out, as the file of terms says: G27, G28, G29") for said in notes.said)


def test_genes_are_left_out_by_id_name_and_file(tmp_path: Path) -> None:
    dataset = built(study(counts_of()), tmp_path)
    (tmp_path / "retired.txt").write_text(f"{IDS[3]}\nG5\n{IDS[7]}.2\n")
    for own in ('"retired.txt"', json.dumps([IDS[3], "G5", f"{IDS[7]}.2"])):
        terms = tmp_path / "confirmed.toml"
        terms.unlink(missing_ok=True)
        confirmed(dataset, tmp_path, lambda text, own=own: text.replace("leave_out = []", f"leave_out = {own}"))
        found = read(export(dataset, "cellxgene", tmp_path / "out.h5ad", terms=terms, threads=1, force=True))
        assert found.var_names.tolist() == [name for k, name in enumerate(IDS) if k not in (3, 5, 7)]
        (tmp_path / "out.h5ad").unlink()


def test_one_id_of_two_genes_is_refused_until_one_is_left_out(tmp_path: Path) -> None:
    dataset = built(study(counts_of(), [*IDS[:-1], f"{IDS[0]}.9"]), tmp_path)
    terms = confirmed(dataset, tmp_path)
    assert f"1 id stand for several genes each: {IDS[0]}" in refused(dataset, terms)
    terms.write_text(terms.read_text("utf-8").replace("leave_out = []", 'leave_out = ["G29"]'), "utf-8")
    assert read(export(dataset, "cellxgene", tmp_path / "out.h5ad", terms=terms, threads=1)).n_vars == len(IDS) - 1


def test_a_cell_without_a_count_in_what_is_exported_is_named(tmp_path: Path) -> None:
    counts = counts_of().toarray()
    counts[5] = 0
    counts[5, 2] = 4
    dataset = built(study(sparse.csr_matrix(counts)), tmp_path)
    terms = confirmed(dataset, tmp_path, lambda text: text.replace("leave_out = []", 'leave_out = ["G2"]'))
    assert "1 cell without a count in the genes that are exported" in (said := refused(dataset, terms))
    assert "'cell-5'" in said


def test_ids_are_found_in_the_index_or_the_column_that_has_most() -> None:
    var = pd.DataFrame({"a": ["x", IDS[1]], "b": [IDS[0], f"{IDS[1]}.3"], "n": [1, 2]}, index=["G0", "G1"])
    assert find_genes(var).column == "b"
    assert find_genes(var.set_index("b")).column == ""
    assert find_genes(var).ids == IDS[:2]


# ---- guesses


@pytest.mark.parametrize(("written", "term"), [
    ("3'v2", "EFO:0009899"), ("10X 3′ v3.1", "EFO:0009922"), ("Chromium Single Cell 5' v2", "EFO:0009900"),
    ("3 prime v3", "EFO:0009922"), ("Smart-seq2", "EFO:0008931"), ("SS2", "EFO:0008931"), ("V2", "EFO:0009899"),
    ("10x", ""), ("5'", ""), ("batch 2", ""),
])  # fmt: skip
def test_the_assay_of_a_chemistry(written: str, term: str) -> None:
    tables = StudyTables(pd.DataFrame(), pd.DataFrame(), {}, None, None, print)  # type: ignore[arg-type]
    found = assay_of(tables, written, "chemistry", "")
    assert found.term == term
    assert not found.confirmed


@pytest.mark.parametrize(("low", "high", "mouse", "name"), [
    (45.9, 45.9, False, "45-year-old stage"), (0.5, 0.5, False, "6-month-old stage"),
    (0, 0, False, "newborn stage (0-28 days)"), (60, 69, False, "seventh decade stage"),
    (61, 75, False, "60-79 year-old stage"), (15, 19, False, "15-19 year-old"), (18, 22, False, None),
    (0.25, 0.25, True, "3-month-old stage"), (8 * 7 / 365.25, 8 * 7 / 365.25, True, "8-week-old stage"),
    (0.21, 0.21, True, None), (1, 2, True, None),
])  # fmt: skip
def test_the_stage_of_an_age(low: float, high: float, mouse: bool, name: str | None) -> None:
    assert stage_name(low, high, mouse=mouse) == name


@given(st.sampled_from(sorted(FIELDS)), st.text(max_size=20))
def test_any_text_fits_or_does_not(name: str, term: str) -> None:
    why = misfit(FIELDS[name], term)
    assert why is None or len(why) > 5


@pytest.fixture
def ontologies(monkeypatch: pytest.MonkeyPatch) -> Ontologies:
    if not installed():
        pytest.skip("cellxgene-ontology-guide is not installed: pip install 'titin[cellxgene]'")
    monkeypatch.setattr(cellxgene_file, "installed", lambda: True)
    return Ontologies()


def test_terms_are_found_by_label_and_synonym(ontologies: Ontologies) -> None:
    assert ontologies.find("T-cells", "CL") == ["CL:0000084"]
    assert ontologies.find("T lymphocyte", "CL") == ["CL:0000084"]  # a synonym
    assert ontologies.find("Fibroblast of the moon", "CL") == []
    assert ontologies.successor("HsapDv:0000087") == "HsapDv:0000258"  # which has its name now
    assert ontologies.misfit(FIELDS["cell_type"], "CL:0000548")
    assert ontologies.misfit(FIELDS["assay"], "EFO:0000001")
    assert ontologies.misfit(FIELDS["disease"], "MONDO:0004975 || MONDO:0005148") is None


def test_a_proposal_with_ontologies_names_terms(ontologies: Ontologies, dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "terms.toml"
    refused(dataset, path)
    text = path.read_text("utf-8")
    assert '"T cells" = "? CL:0000084" # T cell\n' in text
    assert '"25" = "? HsapDv:0000119" # 25-year-old stage\n' in text
    assert '"Fibroblast of the moon" = "?"' in text
    path.write_text(confirm(text).replace('"T cells" = "CL:0000084"', '"T cells" = "CL:9999999"'), "utf-8")
    assert "'CL:9999999' is not known to the ontologies" in refused(dataset, path)


# ---- the validator of the schema


def validator() -> str:
    """The command `cellxgene-schema` of an environment of its own; titin's own packages are too new for it."""
    found = os.environ.get("CELLXGENE_SCHEMA") or shutil.which("cellxgene-schema")
    if not found:
        pytest.skip("cellxgene-schema is not there: install it in an environment of its own, and name the command in "
                    "CELLXGENE_SCHEMA")  # fmt: skip
    return found


def validate(command: str, path: Path) -> tuple[int, str]:
    done = subprocess.run([command, "validate", str(path)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["logarithms", "counts", "raw"])
def test_the_validator_of_the_schema_accepts_it(kind: str, tmp_path: Path) -> None:
    command = validator()
    counts = counts_of()
    atlas = study(logarithms(counts) if kind == "logarithms" else counts)
    if kind == "raw":
        values = counts.copy()
        values.data = np.random.default_rng(3).gamma(2.0, size=len(values.data)).astype("float32")
        atlas = study(values)[:, :20].copy()
        atlas.raw = study(counts)
    dataset = built(atlas, tmp_path, with_raw=kind == "raw")
    path = export(dataset, "cellxgene", tmp_path / "out.h5ad", terms=confirmed(dataset, tmp_path), threads=1)
    code, said = validate(command, path)
    assert code == 0, said
    assert "is_valid=True" in said


@pytest.mark.slow
def test_a_real_file_of_an_older_schema_is_accepted_after_its_retired_genes_are_left_out(
    ontologies: Ontologies, shared: Path, tmp_path: Path
) -> None:
    command = validator()
    source = shared / "data" / "h5ad" / "human_liver_cellxgene_146x33452.h5ad"
    if not source.is_file():
        pytest.skip(f"there is no {source.name}")
    dataset = titin.build(
        source, tmp_path / "dataset", project=[], threads=1, preset="cellxgene", layers=["counts"]
    ).path
    terms = tmp_path / "terms.toml"
    refused(dataset, terms)
    terms.write_text(confirm(terms.read_text("utf-8")), "utf-8")
    path = tmp_path / "out.h5ad"
    export(dataset, "cellxgene", path, terms=terms, threads=1)
    code, said = validate(command, path)
    retired = sorted(set(re.findall(r"feature ID '(\w+)'", said)))
    assert code == 1
    assert retired
    (tmp_path / "retired.txt").write_text("\n".join(retired))
    terms.write_text(terms.read_text("utf-8").replace("leave_out = []", 'leave_out = "retired.txt"'), "utf-8")
    export(dataset, "cellxgene", path, terms=terms, threads=1, force=True)
    code, said = validate(command, path)
    assert code == 0, said
