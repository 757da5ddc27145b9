"""``titin age``: tables, JSON, and one sentence for what is missing."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import sparse

import titin
from titin.cli import cli, main
from titin.demo import write_demo_atlas


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
        "de_annotation_level0.parquet", "de_annotation_level0.json", "de_annotation_level0_meta.parquet",
        "de_annotation_level0_meta.json",
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
    assert "not tested: " in text
    assert "sex is the same in all donors" in text
    assert (tmp_path / "de_annotation_level1_males.csv").is_file()


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
    ("few", "no cell type could be compared: 4 donors with enough cells, fewer than 6"),
    ("counts", "this dataset has no counts: no integers lie behind"),
])  # fmt: skip
def test_what_is_missing_is_said_in_one_sentence(poor, tmp_path, capsys, command, name, sentence):
    if (command, name) == ("composition", "counts"):
        run("age", command, poor / name, "-q", "-o", tmp_path, "--method", "asin")  # cells can be counted all the same
        return
    with pytest.raises(SystemExit) as stop:
        main(["age", command, str(poor / name), "-q", "-o", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_males_need_a_sex(poor, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["age", "de", str(poor / "one"), "-q", "--males-only"])
    assert stop.value.code == 2
    assert "this dataset has no sex: only males are asked for" in capsys.readouterr().err
