"""``titin age``: tables, JSON, and one sentence for what is missing."""

import importlib
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from click.testing import CliRunner
from scipy import sparse

import titin
from titin import ageing
from titin.ageing import Composition
from titin.cli import cli, main
from titin.demo import write_demo_atlas
from titin.section import Figure, Section


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo, built."""
    folder = tmp_path_factory.mktemp("commands")
    write_demo_atlas(folder / "demo.h5ad", n_cells=4000, n_genes=400)
    titin.build(folder / "demo.h5ad", folder / "demo", preset="muscle")
    return folder / "demo"


def run(*arguments):
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_expression_is_written_and_told(demo, tmp_path):
    document = json.loads(run("age", "de", demo, "-o", tmp_path, "--json", "-q"))
    assert [name.rsplit("/", 1)[1] for name in document["files"]] == [
        f"de_annotation_level0{part}{ending}" for part in ("", "_joint") for ending in (".parquet", ".csv", ".json")
    ]  # fmt: skip
    table = pd.read_parquet(tmp_path / "de_annotation_level0.parquet")
    told = document["results"]["de_annotation_level0"]
    assert told["hits"] == (table["adj_p_value"] < 0.05).sum() > 0
    planted = titin.open(demo).uns["truth"]["age_log_fold_change"]
    hits = table[table["adj_p_value"] < 0.05]
    true = hits["gene"].map(planted).fillna(0)
    assert (true == 0).mean() < 0.2
    assert (np.sign(true) == np.sign(hits["log2_fold_change"]))[true != 0].all()
    assert len(told["tests"]) == len(table[["cell_type", "protocol"]].drop_duplicates())
    written = json.loads((tmp_path / "de_annotation_level0.json").read_text())
    assert {name: written[name] for name in ("settings", "tests", "skipped")} == {
        name: told[name] for name in ("settings", "tests", "skipped")
    }
    text = run("age", "de", demo, "-o", tmp_path, "-q", "--males-only", "--format", "csv", "--cell-type-level", 1)
    assert "not evaluable: " in text
    assert "sex is the same in all donors" in text
    assert (tmp_path / "de_annotation_level1_males.csv").is_file()


def test_what_goes_up_and_down_is_counted_by_type_at_one_p_over_all(demo, tmp_path):
    document = json.loads(run("age", "de", demo, "-o", tmp_path, "--json", "-q"))
    table = pd.read_parquet(tmp_path / "de_annotation_level0.parquet")
    clear = table[scipy.stats.false_discovery_control(table["p_value"]) < 0.05]
    told = {
        (row["cell_type"], row["protocol"]): row for row in document["results"]["de_annotation_level0"]["up_and_down"]
    }
    assert set(told) == set(table[["cell_type", "protocol"]].drop_duplicates().itertuples(index=False, name=None))
    for (cell_type, protocol), row in told.items():
        own = clear[(clear["cell_type"] == cell_type) & (clear["protocol"] == protocol)]
        assert (row["up"], row["down"]) == ((own["log2_fold_change"] > 0).sum(), (own["log2_fold_change"] < 0).sum())
        assert (
            row["clearest"].split(", ")[: len(own)] == own.sort_values("p_value")["gene"].head(3).tolist() or own.empty
        )
    assert sum(row["tested"] for row in told.values()) == len(table)
    assert len(clear) > 5
    lines = run("age", "de", demo, "-o", tmp_path, "-q", "--force").splitlines()
    about = titin.open(demo).synthetic
    assert lines[:2] == [f"{document['verdict']}.", f"These data are synthetic. {about}"]
    assert document["synthetic"] == about
    assert [line.split() for line in lines if "up  down" in line] == [
        ["cell", "type", "protocol", "donors", "tested", "up", "down", "clearest"]
    ]
    assert sum("log2 fold change a decade  times a decade" in line for line in lines) == 2
    assert sum(line.startswith("not evaluable: ") for line in lines) <= len(document["results"])
    assert "wrote " + str(tmp_path / "de_annotation_level0.parquet") + " (and .csv, .json)" in lines


@pytest.mark.parametrize(("file_format", "endings"), [
    ([], {".parquet", ".csv", ".json"}), (["--format", "parquet"], {".parquet", ".json"}),
    (["--format", "csv"], {".csv", ".json"}),
])  # fmt: skip
def test_tables_are_there_for_spreadsheets_too(demo, tmp_path, file_format, endings):
    run("age", "composition", demo, "-o", tmp_path, "-q", "--method", "asin", *file_format)
    assert {file.suffix for file in tmp_path.iterdir()} == endings
    tables = [Composition.read(file).table for file in sorted(tmp_path.iterdir()) if file.suffix == ".json"]
    for file in tmp_path.glob("*.csv"):
        assert pd.read_csv(file)["cell_type"].tolist() == tables[0]["cell_type"].tolist()


def test_a_table_for_spreadsheets_is_not_replaced_unasked(demo, tmp_path, capsys):
    theirs = tmp_path / "composition_annotation_level0_asin.csv"
    theirs.write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["age", "composition", str(demo), "-q", "-o", str(tmp_path), "--method", "asin"])
    assert stop.value.code == 2
    assert f"{theirs} is there already" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == [theirs.name]


def test_figures_are_those_of_the_report(demo, tmp_path, capsys):
    words = ["age", "de", str(demo), "-o", str(tmp_path), "-q", "--cell-type-level", "1", "--figures"]
    document = json.loads(run(*words, "--json"))
    pictures = [Path(file) for file in document["files"] if file.endswith(".png")]
    analysis = next(one for one in ageing.ANALYSES if one.name == "de")
    section = Section("de", "de")
    inputs = ageing.Inputs(titin.open(demo))
    analysis.show(section, analysis.compute(inputs, cell_type_level=1), inputs)
    assert len(pictures) == sum(isinstance(block, Figure) for block in section.blocks) > 2
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert {picture.parent for picture in pictures} == {tmp_path / "de_annotation_level1_figures"}
    with pytest.raises(SystemExit):
        main(words)
    assert "is there already" in capsys.readouterr().err
    for file in tmp_path.glob("*.*"):
        file.unlink()
    with pytest.raises(SystemExit):
        main(words)
    assert "de_annotation_level1_figures is there already" in capsys.readouterr().err


def test_figures_of_fractions_are_of_the_level_that_was_asked_for(demo):
    inputs, section = ageing.Inputs(titin.open(demo)), Section("c", "c")
    analysis = next(one for one in ageing.ANALYSES if one.name == "composition")
    analysis.show(section, analysis.compute(inputs, cell_type_level=2, parts=("asin",)), inputs)
    figure = next(block for block in section.blocks if isinstance(block, Figure))
    assert {*figure.table["cell_type"]} == set(inputs.atlas.obs["annotation_level2"].astype(str))


def test_a_gene_is_shown_in_every_type_that_it_was_tested_in(demo, tmp_path):
    whole = json.loads(run("age", "de", demo, "-o", tmp_path, "--json", "-q"))
    table = pd.read_parquet(tmp_path / "de_annotation_level0.parquet")
    gene = str(table.sort_values("p_value")["gene"].iloc[0])
    own = table[table["gene"] == gene].sort_values("p_value")
    names = (gene, str(own["gene_id"].iloc[0]))
    for name, spelling in zip(names, ("--gene", "--genes"), strict=True):
        told = json.loads(run("age", "de", demo, "-o", tmp_path, "--json", "-q", "--force", spelling, name))
        shown = told["results"]["de_annotation_level0"]
        assert [row["cell_type"] for row in shown["top"]] == own["cell_type"].tolist()
        assert [row["p_value"] for row in shown["top"]] == own["p_value"].tolist()
        assert (told["verdict"], shown["hits"]) == (whole["verdict"], whole["results"]["de_annotation_level0"]["hits"])
    assert pd.read_parquet(tmp_path / "de_annotation_level0.parquet").equals(table)
    text = run("age", "de", demo, "-o", tmp_path, "-q", "--force", "--gene", gene)
    assert f"shown alone: {gene}; all are tested" in text


def test_a_cell_type_is_shown_with_why_it_was_not_tested(demo, tmp_path):
    whole = json.loads(run("age", "de", demo, "-o", tmp_path, "--json", "-q"))["results"]["de_annotation_level0"]
    tested, left_out = whole["tests"][0]["cell_type"], whole["skipped"][0]["cell_type"]
    words = ["--cell-type", tested, "--cell-type", left_out]
    told = json.loads(run("age", "de", demo, "-o", tmp_path, "--json", "-q", "--force", *words))
    shown = told["results"]["de_annotation_level0"]
    assert {row["cell_type"] for row in (*shown["top"], *shown["up_and_down"])} <= {tested, left_out}
    assert shown["hits"] == whole["hits"]
    reasons = [entry for entry in whole["skipped"] if entry["cell_type"] in (tested, left_out)]
    assert sorted(place for places in shown["not_tested"].values() for place in places) == sorted(
        f"{entry['cell_type']} in {entry['protocol']}" for entry in reasons
    )
    text = run("age", "de", demo, "-o", tmp_path, "-q", "--force", *words)
    assert f"{left_out} in " in next(line for line in text.splitlines() if line.startswith("not evaluable: "))


@pytest.fixture
def nothing_computed(monkeypatch):
    """No matrix may be read, and no cell counted by type."""

    def fail(*_, **__):
        pytest.fail("something was computed")

    for module, name in (("analysis", "pseudobulk"), ("composition", "cell_counts"), ("donor_scores", "pseudobulk"),
                         ("donor_scores", "score_gene_sets")):  # fmt: skip
        monkeypatch.setattr(importlib.import_module(f"titin.ageing.{module}"), name, fail)


@pytest.mark.usefixtures("nothing_computed")
@pytest.mark.parametrize("command", ["de", "composition", "programmes"])
@pytest.mark.parametrize(("options", "sentence"), [
    (["--cell-type-level", "galaxy"], "there is no level 'galaxy' of cell types"),
    (["--contrast", "bmi"], "obs has no column 'bmi'"),
    (["--formula", "~ bmi + age"], "obs has no column 'bmi'"),
    (["--contrast", "batch", "--formula", "~ age"], "'batch' names no term and no column of the design"),
    (["--formula", "~ age +"], "is no formula"),
    (["--gene", "cdkn1a"], "did you mean CDKN1A?"),
    (["--cell-type", "Musc"], "did you mean MuSC"),
])  # fmt: skip
def test_options_are_checked_before_anything_is_computed(demo, capsys, command, options, sentence):
    if options[0] == "--gene" and command != "de":
        return
    with pytest.raises(SystemExit) as stop:
        main(["age", command, str(demo), "-q", *options])
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_computed")
@pytest.mark.parametrize("command", ["de", "composition", "programmes", "senescence"])
@pytest.mark.parametrize(("name", "sentence"), [
    ("donors", "this dataset has no donors: donors are what is compared"),
    ("ages", "this dataset has no ages: the comparison is of ages"),
    ("one", "this dataset has 1 donor: donors are what is compared"),
])  # fmt: skip
def test_roles_are_checked_before_anything_is_computed(poor, capsys, command, name, sentence):
    with pytest.raises(SystemExit) as stop:
        main(["age", command, str(poor / name), "-q"])
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_column_that_has_a_role_is_that_role(demo, tmp_path):
    """Sex was adjusted for sex, so that no type could be compared."""
    one, other = (json.loads(run("age", "de", demo, "-o", tmp_path / name, "--json", "-q", "--contrast", name))
                  for name in ("Sex", "sex"))  # fmt: skip
    assert one["results"]["de_annotation_level0"]["settings"]["formula"] == "~ chemistry + sex"
    assert one["results"]["de_annotation_level0"]["top"] == other["results"]["de_annotation_level0"]["top"] != []
    assert "a decade" not in run("age", "de", demo, "-o", tmp_path / "Sex", "-q", "--contrast", "Sex", "--force")


def test_the_reason_is_that_of_the_largest_type(demo, tmp_path, capsys):
    words = ["age", "de", str(demo), "-o", str(tmp_path), "-q", "--contrast", "Sex", "--formula", "~ sex + Sex"]
    with pytest.raises(SystemExit):
        main(words)
    obs = titin.open(demo).obs
    (cell_type, protocol), _ = max(obs.groupby(["annotation_level0", "batch"], observed=True).size().items(),
                                   key=lambda entry: entry[1])  # fmt: skip
    said = capsys.readouterr().err
    assert f"Sex is confounded with sex ({cell_type} in {protocol}, the largest of " in said
    assert "no donors" not in said


def test_pseudobulk_is_kept_when_asked(demo, tmp_path):
    import shutil

    folder = shutil.copytree(demo, tmp_path / "copy")
    run("age", "de", folder, "-q", "--save-pseudobulk")
    assert (folder / titin.open(folder).layout.pseudobulk).is_file()
    assert (tmp_path / "copy.ageing" / "de_annotation_level0.parquet").is_file()


def test_composition_is_written_and_told(demo, tmp_path):
    text = run("age", "composition", demo, "-o", tmp_path, "-q")
    assert ": 0 young and 0 old donors with samples large enough" in text
    text = run("age", "composition", demo, "-o", tmp_path, "-q", "--min-sample-cells", 20, "--force")
    assert "fractions add up to one" in text
    assert "samples large enough" not in text
    for method in ("asin", "logit", "poisson", "mann_whitney"):
        assert len(pd.read_parquet(tmp_path / f"composition_annotation_level0_{method}.parquet"))
    document = json.loads(
        run("age", "composition", demo, "-o", tmp_path, "-q", "--method", "asin", "--json", "--force")
    )
    assert list(document["results"]) == ["composition_annotation_level0_asin"]


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    """Datasets that lack one thing each."""
    folder = tmp_path_factory.mktemp("poor")
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (240, 30)).astype(np.float32)
    full = pd.DataFrame({
        "donor": [f"d{i % 8}" for i in range(240)], "age": [20.0 + 6 * (i % 8) for i in range(240)],
        "cell_type": ["A", "B", "C"] * 80,
    }, index=[f"c{i}" for i in range(240)])  # fmt: skip
    makes = {
        "donors": (counts, full.drop(columns="donor")), "ages": (counts, full.drop(columns="age")),
        "types": (counts, full.drop(columns="cell_type")), "one": (counts, full.assign(donor="d0", age=30.0)),
        "counts": (counts * rng.uniform(0.1, 9, counts.shape).astype(np.float32), full),
        "few": (counts, full[full["donor"].isin(["d0", "d1", "d6", "d7"])]),
    }  # fmt: skip
    for name, (X, obs) in makes.items():
        X = X[full.index.isin(obs.index)]
        ad.AnnData(sparse.csr_matrix(X), obs=obs).write_h5ad(folder / f"{name}.h5ad")
        titin.build(folder / f"{name}.h5ad", folder / name, method="x")
    return folder


@pytest.mark.parametrize("command", ["de", "composition"])
@pytest.mark.parametrize(("name", "sentence"), [
    ("donors", "this dataset has no donors: donors are what is compared"),
    ("ages", "this dataset has no ages: the comparison is of ages"),
    ("types", "this dataset has no cell types: no obs column has the role cell_type"),
    ("one", "this dataset has 1 donor: donors are what is compared"),
    ("few", "not evaluable in any cell type: 4 donors with enough cells, fewer than 6"),
    ("counts", "this dataset has no counts: no integers lie behind"),
])  # fmt: skip
def test_what_is_missing_is_said_in_one_sentence(poor, tmp_path, capsys, command, name, sentence):
    if (command, name) in (("composition", "counts"), ("de", "types")):
        options = ["--method", "asin"] if command == "composition" else []
        run("age", command, poor / name, "-q", "-o", tmp_path, *options)  # what is needed is there all the same
        return
    with pytest.raises(SystemExit) as stop:
        main(["age", command, str(poor / name), "-q", "-o", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_chosen_cells_are_said_and_kept(demo, tmp_path):
    text = run("age", "de", demo, "-o", tmp_path, "-q", "--where", "Sex=M", "--where", "age=20..80")
    assert "where Sex=M and age=20..80" in text
    assert "VIF of age 1." in text
    assert "not chosen by --where" in text
    males = run("age", "de", demo, "-o", tmp_path, "-q", "--males-only", "--where", "age=20..80", "--format", "csv")
    assert "where age=20..80 and sex=M" in males
    one = pd.read_parquet(tmp_path / "de_annotation_level0_Sex_M_age_20..80.parquet")
    other = pd.read_csv(tmp_path / "de_annotation_level0_age_20..80_males.csv")
    np.testing.assert_allclose(one["p_value"], other["p_value"])
    whole = json.loads(run("age", "de", demo, "-o", tmp_path, "-q", "--json", "--cell-type-level", "all"))
    assert {t["cell_type"] for t in whole["results"]["de_all_cells"]["tests"]} == {"all cells"}


@pytest.mark.parametrize(("condition", "sentence"), [
    ("Sex", "'Sex' is no condition"), ("Sex=X", "no cell has 'X' in 'Sex'"), ("colour=1", "obs has no column 'colour'"),
])  # fmt: skip
def test_conditions_that_mean_nothing_are_refused(demo, capsys, condition, sentence):
    with pytest.raises(SystemExit) as stop:
        main(["age", "programmes", str(demo), "-q", "--where", condition])
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err


def test_males_need_a_sex(poor, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["age", "de", str(poor / "one"), "-q", "--males-only"])
    assert stop.value.code == 2
    assert "this dataset has no sex: only males are asked for" in capsys.readouterr().err
