"""The head of a report against what was planted: it says what changes, and of nothing that nothing does."""

import json
import re
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import titin
from titin.ageing import ANALYSES, Inputs
from titin.html import script_document
from titin.report.answer import answers, table_of_types
from titin.report.data import ReportData
from titin.report.gene_search import document_of_genes, searched_genes

AGES = [20, 22, 25, 28, 31, 34, 37, 40, 52, 55, 58, 61, 64, 67, 70, 73]
PLANTED = [f"UP{i}" for i in range(12)]
GENES = [*PLANTED, *(f"G{i}" for i in range(600))]


def build(folder: Path, *, planted: bool) -> ReportData:
    """Sixteen donors with three types; of the planted, B grows with age, and A expresses `PLANTED` more."""
    rng = np.random.default_rng(4)
    rows = []
    for i, age in enumerate(AGES):
        share = 0.1 + (0.006 * (age - 20) if planted else 0.15)
        kinds = rng.choice(["A", "B", "C"], 120, p=[0.5, share, 0.5 - share])
        rows += [(f"d{i:02d}", float(age), "FM"[i % 2], kind) for kind in kinds]
    obs = pd.DataFrame(rows, columns=["donor", "age", "sex", "cell_type"])
    obs.index = [f"c{i}" for i in range(len(obs))]
    people = rng.normal(0, 0.15, (len(AGES), len(GENES)))[obs["donor"].str[1:].astype(int)]
    rate = np.exp(people) * rng.lognormal(0.3, 0.5, len(GENES))
    if planted:
        inside = (obs["cell_type"] == "A").to_numpy()
        rate[np.ix_(inside, range(len(PLANTED)))] *= np.exp(0.25 * (obs["age"].to_numpy()[inside, None] / 10 - 4.5))
    source = ad.AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.float32)), obs=obs,
                        var=pd.DataFrame(index=GENES))  # fmt: skip
    source.write_h5ad(folder / "source.h5ad")
    (folder / "own.gmt").write_text("\t".join(["planted", "by the test", *PLANTED]) + "\n"
                                    + "\t".join(["others", "by the test", *GENES[-15:]]) + "\n")  # fmt: skip
    (folder / "own.toml").write_text('[report]\nasks = ["senescence"]\n[[gene_sets]]\nfile = "own.gmt"\n')
    titin.build(folder / "source.h5ad", folder / "dataset", tissue="toy", method="x")
    atlas = titin.open(folder / "dataset", preset=folder / "own.toml")
    data = ReportData(Inputs(atlas), folder / "dataset")
    for one in ANALYSES:
        if one.headline:
            data.findings[one.anchor] = one.compute(data.inputs, **one.in_report(data.inputs))
    return data


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return build(tmp_path_factory.mktemp("planted"), planted=True)


@pytest.fixture(scope="module")
def nothing(tmp_path_factory):
    return build(tmp_path_factory.mktemp("nothing"), planted=False)


def said(data):
    return {one.anchor: one.text for one in answers(data, ANALYSES)}


def test_what_was_planted_is_what_is_said(planted):
    found = said(planted)
    assert list(found) == ["composition", "expression", "programmes", "methods"]
    assert re.match(r"2 of 3 cell types change in fraction with age .*B rises \(×1\.\d+ a decade, 1\.\d+ to 1\.\d+, ",
                    found["composition"])  # fmt: skip
    assert "C falls (×0." in found["composition"]
    n = int(re.match(r"(\d+) genes change their expression with age \(each counted once;", found["expression"])[1])
    assert 12 <= n <= 14  # a twentieth of what is found is false
    assert re.search(r"most in A \(1\d: 12 up, [01] down\)", found["expression"])
    assert re.search(r"over \d+ tests\): planted in A rises \(\+", found["programmes"])
    assert "people of different ages were compared, and nobody was followed" in found["methods"]


def test_of_a_twin_without_any_change_nothing_is_said_to_be_found(nothing):
    found = said(nothing)
    for anchor in ("composition", "expression", "programmes"):
        assert re.match(r"None of \d+ (cell types|genes|gene programmes) changes .*beyond chance", found[anchor]), found
    table = table_of_types(nothing)
    assert table["fraction"].eq("none found").all()
    assert table[["genes up", "genes down"]].sum().tolist() == [0, 0]
    assert table["clearest programme"].eq("none found").all()


def test_the_table_has_a_row_a_type_with_what_changes_in_it(planted):
    table = table_of_types(planted).set_index("cell type")
    assert set(table.index) == {"A", "B", "C"}
    assert table.index[0] == "A"
    assert table.loc["A", "genes up"] == 12
    assert table.loc["A", "genes down"] <= 1
    assert table.loc["B", "fraction"].startswith("×1.")
    assert table.loc["C", "fraction"].startswith("×0.")
    assert table.loc["A", "clearest programme"].startswith("planted up")
    assert table["cells"].sum() == 16 * 120


def test_what_was_not_compared_is_no_zero(planted, monkeypatch):
    found = planted.findings["expression"].results[""]
    monkeypatch.setattr(planted, "findings", {**planted.findings})
    rest = found.table[found.table["cell_type"] != "C"]
    object.__setattr__(found, "table", rest)
    table = table_of_types(planted).set_index("cell type")
    assert pd.isna(table.loc["C", "genes up"])
    assert table.loc["C", "clearest genes"] == "not compared"
    assert table.loc["B", "genes up"] <= 1


def test_the_search_has_the_clearest_comparisons_of_each_gene(planted):
    document = searched_genes(planted)
    assert set(document["genes"]) <= set(GENES)
    place, effect, low, high, p = document["genes"]["UP0"][0]
    assert document["places"][place] == "A"
    assert low < effect < high
    assert p < 0.05
    assert document["omitted"] == 0


def test_the_search_stays_small_and_counts_what_it_omits():
    rows = [(f"g{i}", kind, "all", 1.0, 0.0, 2.0, i / 1000) for i in range(50) for kind in "abcdef"]
    table = pd.DataFrame(rows, columns=["gene", "cell_type", "protocol", "log2_fold_change", "ci_low", "ci_high",
                                        "p_value"])  # fmt: skip
    document = document_of_genes(table, rows=40)
    assert sum(map(len, document["genes"].values())) == 40
    assert max(map(len, document["genes"].values())) == 4
    assert document["omitted"] == 40


def test_a_hostile_gene_cannot_leave_its_script():
    table = pd.DataFrame({"gene": ["</script><script>owned=1</script>"], "cell_type": ["<b>\u202e"], "protocol": "all",
                          "log2_fold_change": [1.0], "ci_low": [0.0], "ci_high": [2.0], "p_value": [0.1]})  # fmt: skip
    text = str(script_document(document_of_genes(table)))
    assert "</" not in text
    assert "\u202e" not in text
    assert list(json.loads(text)["genes"]) == ["</script><script>owned=1</script>"]


def test_where_nothing_can_be_asked_one_reason_is_given_once(planted):
    bare = ReportData(planted.inputs, planted.folder)
    bare.missing = dict.fromkeys(("composition", "expression", "programmes", "senescence"), "this dataset has no ages")
    assert [one.text for one in answers(bare, ANALYSES)] == [
        "What changes with age cannot be told: this dataset has no ages."
    ]
    assert table_of_types(bare) is None
    assert searched_genes(bare) is None
