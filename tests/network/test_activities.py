"""Activities over donors find what was planted, say who was compared, and agree with their parts."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from planted import OF_B, RISING, ROLES, edges, genes, planted_atlas
from scipy import stats

import titin
from titin.ageing import pseudobulk
from titin.errors import TitinError
from titin.network import Activities, PriorNetwork, activities, activity_scores, read_network, write_cell_activities


@pytest.fixture(scope="module")
def atlas(planted: Path) -> titin.Atlas:
    return titin.open(planted / "dataset")


@pytest.fixture(scope="module")
def found(atlas: titin.Atlas) -> Activities:
    return activities(atlas, PriorNetwork(edges()))


def test_what_rises_with_age_and_what_belongs_to_a_type_is_found(found: Activities) -> None:
    table = found.table.set_index(["regulator", "cell_type"])
    assert (table.loc[RISING, "adj_p_value"] < 0.01).all()
    assert (table.loc[RISING, "effect"] > 0).all()
    assert table.loc[RISING, "t"].min() > 4 * table.drop(RISING, level=0)["t"].abs().max()
    assert table.loc[(OF_B, "B cell"), "rank"] == 1
    assert table.loc[(OF_B, "T cell"), "rank"] == table["rank"].max()


def test_every_row_says_who_is_behind_it(found: Activities) -> None:
    assert (found.table[["n_donors", "n_donors_tested"]] == 12).all(axis=None)
    assert (found.table["n_cells"] == 12 * 100).all()
    assert (found.table["n_targets"] == 8).all()
    assert [test["donors"] for test in found.tests] == [[f"D{i:02}" for i in range(12)]] * 2
    assert found.settings["contrast"] == "young_old"
    assert "moderated" in found.settings["method"]


def test_donors_have_the_activity_of_their_sums_beside_the_type(atlas: titin.Atlas, found: Activities) -> None:
    sums = pseudobulk(atlas)
    own = sums.select(cell_type="T cell")
    counts = own.counts.toarray().astype(float)
    size = counts.sum(axis=1)
    prior = size / sums.counts.sum(axis=1).mean()
    logs = np.log2((counts + prior[:, None]) / (size + 2 * prior)[:, None] * 1e6)
    names, weights = PriorNetwork(edges()).matrix(list(own.genes["gene"]))
    expected = activity_scores(logs - logs.mean(axis=0), weights)[:, names.index("TF3")]
    table = found.donors.query("cell_type == 'T cell' and feature == 'TF3'").set_index("donor")["mean"]
    np.testing.assert_allclose(table[own.groups["donor"]].to_numpy(), expected, rtol=1e-9)


def test_a_change_by_age_is_a_decade(atlas: titin.Atlas) -> None:
    by_age = activities(atlas, PriorNetwork(edges()), contrast="age")
    assert by_age.settings["unit"] == "decade"
    assert by_age.table["contrast"].unique().tolist() == ["age (a decade)"]
    row = by_age.table.set_index(["regulator", "cell_type"]).loc[(RISING, "T cell")]
    own = by_age.donors.query("cell_type == 'T cell' and feature == @RISING")
    assert row["effect"] == pytest.approx(10 * stats.linregress(own["age"], own["mean"]).slope)


def test_cells_are_scored_as_a_sample_each(atlas: titin.Atlas, tmp_path: Path) -> None:
    path = write_cell_activities(atlas, PriorNetwork(edges()), tmp_path / "cells.parquet", cells=slice(0, 50))
    table = pq.read_table(path).to_pandas().set_index("cell_id")
    assert table.index.tolist() == list(atlas.obs_names[:50])
    names, weights = PriorNetwork(edges()).matrix(list(atlas.var_names))
    values = atlas.counts[:50].toarray().astype(float)
    per_10k = np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(table[names].to_numpy(), activity_scores(per_10k, weights), atol=2e-4)


@pytest.mark.parametrize(("lacks", "said"), [
    ("age", "no donor's age is known"), ("donor", "this dataset has 1 donor"),
])  # fmt: skip
def test_without_a_comparison_types_are_told_apart_all_the_same(lacks: str, said: str, tmp_path: Path) -> None:
    study = planted_atlas(donors=4, cells=15)
    if lacks == "donor":
        study.obs["donor"] = "D0"
        study.obs["age"] = 40
    else:
        study.obs = study.obs.drop(columns="age")
    found = activities(built(study, tmp_path), PriorNetwork(edges()))
    assert said in found.not_compared
    assert found.table["p_value"].isna().all()
    assert found.table.set_index(["regulator", "cell_type"]).loc[(OF_B, "B cell"), "rank"] == 1


def built(study: ad.AnnData, folder: Path) -> titin.Atlas:
    study.write_h5ad(folder / "study.h5ad")
    roles = {role: column for role, column in ROLES.items() if isinstance(column, list) or column in study.obs}
    titin.build(folder / "study.h5ad", folder / "study", roles=roles, project=())
    return titin.open(folder / "study")


def test_one_type_has_nothing_to_be_beside(tmp_path: Path) -> None:
    study = planted_atlas(donors=6, cells=15)
    found = activities(built(study[study.obs["cell_type"] == "T cell"].copy(), tmp_path), PriorNetwork(edges()))
    assert found.table["activity"].isna().all()
    assert found.table["p_value"].notna().any()


def test_few_donors_are_told_with_their_type(tmp_path: Path) -> None:
    study = planted_atlas(donors=6, cells=15)
    young_b = (study.obs["cell_type"] == "B cell") & (study.obs["donor"] < "D01")
    found = activities(built(study[~young_b].copy(), tmp_path), PriorNetwork(edges()))
    assert [(entry["cell_type"], entry["reason"]) for entry in found.skipped] == [
        ("B cell", "5 donors with enough cells, fewer than 6")
    ]
    assert found.table.query("cell_type == 'B cell'")["p_value"].isna().all()


def test_a_network_of_other_genes_is_told(atlas: titin.Atlas) -> None:
    other = PriorNetwork(pd.DataFrame({"source": "SPI1", "target": ["LYZ", "CD14"], "weight": 1.0}), "blood.csv")
    with pytest.raises(TitinError, match=r"no regulator of blood\.csv has 5 targets among the genes"):
        activities(atlas, other)


def test_values_that_are_no_counts_are_told(tmp_path: Path) -> None:
    study = planted_atlas(donors=4, cells=10)
    study.X = study.X.astype(np.float32) * 0.37 - 0.1 * (study.X > 0).astype(np.float32)
    with pytest.raises(TitinError, match="this dataset has no counts"):
        activities(built(study, tmp_path), PriorNetwork(edges()))


@pytest.mark.parametrize(("table", "said"), [
    ("tf,gene\na,b\n", "has no column source: its columns are tf, gene"),
    ("source,target,weight\n", "has no edge"),
    ("source,target,weight\nA,B,1\nA,C,\n", "row 2: an edge needs"),
    ("source,target,weight\nA,B,0\n", "row 1: an edge needs"),
    ("source,target,weight\nA,B,inf\n", "row 1: an edge needs"),
    ("source,target,weight\n,B,1\n", "row 1: an edge needs"),
    ("source,target,weight\nA,B,1\nA,B,2\n", "the edge from A to B with two weights"),
])  # fmt: skip
def test_what_is_no_network_is_told(table: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text(table)
    with pytest.raises(TitinError, match=said):
        read_network(path)


def test_networks_are_read_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "edges.tsv.gz"
    pd.DataFrame({"target": ["NA", " B"], "source": ["A", "A"]}).to_csv(path, sep="\t", index=False)
    assert read_network(path).edges.to_dict("list") == {"source": ["A", "A"], "target": ["NA", "B"], "weight": [1, 1]}
    assert read_network(path).sources == ["A"]


def test_a_result_is_read_back(found: Activities, tmp_path: Path) -> None:
    found.write(tmp_path / "activity.parquet")
    again = Activities.read(tmp_path / "activity.parquet")
    pd.testing.assert_frame_equal(again.donors, found.donors)
    assert again.settings == found.settings
    assert len(genes()) == 4 + 32 + 60
