import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from small_atlases import GENES, build, cells, counts_of

import titin
from titin.ageing import Fibres
from titin.cli import cli
from titin.demo import make_demo
from titin.errors import OutputError, TitinError
from titin.progress import Progress


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    return make_demo(folder, n_cells=1500, n_genes=500, seed=2, force=False, progress=Progress()).path


def run(*arguments):
    return CliRunner().invoke(cli, ["age", *map(str, arguments)], catch_exceptions=False)


def test_fibres_writes_donors_and_trends(dataset, tmp_path):
    document = json.loads(run("fibres", dataset, "-o", tmp_path, "--json", "-q").stdout)
    tables = [f"fibres_annotation_level0{part}" for part in ("", "_donors")]
    assert {name.rpartition("/")[2] for name in document["files"]} == {
        "fibres_annotation_level0.json", *(f"{table}.{ending}" for table in tables for ending in ("parquet", "csv"))
    }  # fmt: skip
    told = document["results"]["fibres_annotation_level0"]
    assert told["labels"][:2] == ["Hyb", "MF-I"]
    donors = pd.read_parquet(tmp_path / "fibres_annotation_level0_donors.parquet")
    assert donors["donor"].nunique() == 17
    assert told["settings"]["pure"] == 0.8


def test_earlier_tables_are_replaced_only_when_told_to(dataset, tmp_path):
    run("fibres", dataset, "-o", tmp_path, "-q", "--min-counts", 3)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match=r"fibres_annotation_level0\.\w+ is there already") as refused:
        run("fibres", dataset, "-o", tmp_path, "-q", "--min-counts", 9)
    assert "--force" in refused.value.hint
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run("fibres", dataset, "-o", tmp_path, "-q", "--min-counts", 9, "--force")
    assert Fibres.read(tmp_path / "fibres_annotation_level0.parquet").settings["min_counts"] == 9
    run(
        "fibres", dataset, "-o", tmp_path, "-q", "--cell-type-level", 1
    )  # tables of another level do not stand in the way


def test_programmes_takes_a_gmt_writes_scores_and_enrichment(dataset, tmp_path):
    gmt = tmp_path / "own.gmt"
    gmt.write_text("slow\tx\tMYH7\tTNNT1\tCKM\nribosomes\tx\tRPS4Y1\tRPS3\tRPL3\tRPS6\tRPL5\tRPS2\tRPS8\n", "utf-8")
    document = json.loads(run("programmes", dataset, "--gmt", gmt, "-o", tmp_path / "out", "--format", "csv", "--write",
                              "--method", "ucell", "--json", "-q").stdout)  # fmt: skip
    told = document["results"]["programmes_annotation_level0"]
    names = [name.rpartition("/")[2] for name in document["files"]]
    assert names[:2] == ["programmes_annotation_level0.csv", "programmes_annotation_level0_donors.csv"]
    assert names[-1] == "skeletal_muscle_10x_gene_set_scores.parquet"
    assert set(pd.read_csv(tmp_path / "out" / "programmes_annotation_level0.csv")["feature"]) <= {"slow", "ribosomes"}
    assert list(pd.read_parquet(dataset / names[-1])) == list(told["genes"])
    assert told["skipped"]
    assert titin.open(dataset).n_obs == 1500


def test_senescence_and_stem_cells_say_what_was_found(dataset, tmp_path):
    said = run("senescence", dataset, "-o", tmp_path, "-q").stdout
    assert "CDKN2A is hardly seen" in said
    assert "senescence_annotation_level0_detection.parquet" in said
    said = run("stemcells", dataset, "-o", tmp_path, "-q").stdout
    assert "whether there is a trajectory is not evaluable of " in said
    cells_of = pd.read_parquet(tmp_path / "stemcells_annotation_level0_cells.parquet")
    assert cells_of["pseudotime"].between(0, 1).all()


@pytest.mark.parametrize(("command", "thing"), [("fibres", "muscle fibres"), ("stemcells", "stem cells")])
def test_what_the_preset_says_nothing_of_is_not_offered(tmp_path, command, thing):
    rng = np.random.default_rng(0)
    obs = cells(rng, per_donor=6)
    build(tmp_path, obs, counts_of(obs, rng), GENES)
    with pytest.raises(TitinError, match=f"the preset of this dataset says nothing of {thing}"):
        run(command, tmp_path / "dataset", "-o", tmp_path / "out", "-q")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "change", "message"),
    [
        ("fibres", "types", "this dataset has no cell types"),
        ("stemcells", "types", "this dataset has no cell types"),
        ("stemcells", "", "this dataset has no muscle stem cells"),
        ("programmes", "ages", "this dataset has no ages"),
        ("senescence", "people", "this dataset has 1 donor"),
        ("senescence", "donors", "this dataset has no donors"),
        ("fibres", "counts", "this dataset has no counts"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path, command, change, message):
    rng = np.random.default_rng(0)
    obs = cells(rng, per_donor=6)
    values = counts_of(obs, rng)
    if change == "people":
        obs[["donor", "age"]] = "d0", 30.0
    elif change == "counts":
        values = values * rng.uniform(0.5, 2, values.shape).astype(np.float32)
    elif change:
        obs = obs.drop(columns={"types": "cell_type", "ages": "age", "donors": "donor"}[change])
    build(tmp_path, obs, values, GENES)
    more = ["--gmt", str(tmp_path / "own.gmt")] if command == "programmes" else []
    (tmp_path / "own.gmt").write_text("a\tx\tG1\tG2\tG3\n", "utf-8")
    with pytest.raises(TitinError, match=message):
        run(command, tmp_path / "dataset", "-o", tmp_path / "out", *more, "-q", "--preset", "muscle")
