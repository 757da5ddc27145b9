"""A model of one dataset labels another; what does not fit is refused, and files of models are data."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from typed_cells import N_GENES, ROLES, TYPES, typed_atlas

import titin
from titin.annotate import label_cells, read_label_model, train_label_model, write_label_model
from titin.cli import main
from titin.errors import TitinError


@pytest.fixture(scope="module")
def model(typed):
    return train_label_model(titin.open(typed), cell_type_level="cell_type")


def _other(folder, name="other", **options):
    """Another dataset of the same types; what its cells are."""
    adata = typed_atlas(seed=7, donors=3, **options)
    clusters = adata.obs["cell_type"].astype(str).replace({"Mast": "T cell"})
    adata.obs["cluster"] = pd.Categorical(clusters)
    adata.write_h5ad(folder / f"{name}.h5ad")
    titin.build(folder / f"{name}.h5ad", folder / name, roles=ROLES)
    return titin.open(folder / name)


def test_another_dataset_is_labelled_as_it_is(model, tmp_path):
    other = _other(tmp_path)
    found = label_cells(other, model)
    own = other.cell_columns(["cell_type"])["cell_type"].astype(str).to_numpy()
    assert (found.table["predicted"].astype(str).to_numpy() == own).mean() > 0.97
    assert found.table.index.tolist() == list(other.obs_names)
    assert found.coverage == 1
    assert found.missing_genes == []
    assert set(found.compared["level"]) == {"lineage", "cell_type"}
    compared = found.compared[found.compared["level"] == "cell_type"]
    assert (compared["share"][compared["label"] == compared["predicted"]] > 0.8).all()
    assert found.types["n_cells"].sum() == other.n_obs


def test_genes_are_matched_by_id_before_symbol(model, tmp_path):
    renamed = _other(tmp_path, genes=[f"other name {i}" for i in range(N_GENES)])
    assert label_cells(renamed, model).coverage == 1


def test_another_species_is_refused(model, tmp_path):
    adata = typed_atlas(donors=2, genes=[f"Mouse{i}" for i in range(N_GENES)])
    adata.var["gene_ids"] = [f"ENSMUSG{i:011d}" for i in range(N_GENES)]
    adata.write_h5ad(tmp_path / "mouse.h5ad")
    titin.build(tmp_path / "mouse.h5ad", tmp_path / "mouse", roles=ROLES)
    with pytest.raises(TitinError, match=r"0 of the model's .* genes \(0%\)"):
        label_cells(titin.open(tmp_path / "mouse"), model)


def test_missing_genes_count_as_at_their_mean_and_are_told(model, tmp_path):
    adata = typed_atlas(seed=7, donors=3)
    adata[:, : int(N_GENES * 0.8)].copy().write_h5ad(tmp_path / "fewer.h5ad")
    titin.build(tmp_path / "fewer.h5ad", tmp_path / "fewer", roles=ROLES)
    found = label_cells(titin.open(tmp_path / "fewer"), model)
    kept = [gene for gene in model.genes if int(gene.removeprefix("GENE")) < N_GENES * 0.8]
    assert found.coverage == pytest.approx(len(kept) / len(model.genes))
    assert set(found.missing_genes) == set(model.genes) - set(kept)


def test_cells_below_a_probability_are_unassigned(model, tmp_path):
    found = label_cells(_other(tmp_path), model, assigned_from=0.99)
    low = found.table["p"] < 0.99
    assert low.any()
    assert (found.table["label"][low] == "Unassigned").all()
    assert (found.table["label"][~low] == found.table["predicted"][~low]).all()


def test_clusters_vote(model, tmp_path):
    other = _other(tmp_path)
    found = label_cells(other, model, vote="cluster").table
    clusters = other.cell_columns(["cluster"])["cluster"].astype(str).to_numpy()
    for name in set(clusters):
        mine = found[clusters == name]
        commonest = mine["predicted"].value_counts()
        assert set(mine["voted"]) == {commonest.index[0]}
        assert mine["vote_share"].to_numpy() == pytest.approx(commonest.iloc[0] / len(mine))
    with pytest.raises(TitinError, match="no column 'nine'"):
        label_cells(other, model, vote="nine")


def test_a_saved_model_is_the_same_model_and_the_same_bytes(model, typed, tmp_path):
    write_label_model(model, tmp_path / "a.npz")
    read = read_label_model(tmp_path / "a.npz")
    assert (list(read.classes), list(read.genes), list(read.gene_ids)) == (
        list(model.classes), list(model.genes), list(model.gene_ids))  # fmt: skip
    for name in ("coef", "intercept", "mean", "scale"):
        np.testing.assert_array_equal(getattr(read, name), getattr(model, name))
    write_label_model(train_label_model(titin.open(typed), cell_type_level="cell_type", threads=1), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert np.load(tmp_path / "a.npz")["coef"].shape == (len(TYPES), len(model.genes))
    with pytest.raises(TitinError, match="there already"):
        write_label_model(model, tmp_path / "a.npz")


def _rewritten(path, out, change):
    """Write a model with a changed document."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "model.json":
                document = json.loads(data)
                change(document)
                data = json.dumps(document).encode()
            new.writestr(name, data)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="other"), lambda d: d.update(version=2), lambda d: d.pop("genes"),
        lambda d: d["classes"].append("one more"), lambda d: d["classes"].__setitem__(0, d["classes"][1]),
        lambda d: d["genes"].pop(), lambda d: d.update(classes="text"), lambda d: d["genes"][0].update(name=3),
    ],
)  # fmt: skip
def test_what_is_no_model_is_refused(model, tmp_path, change):
    write_label_model(model, tmp_path / "a.npz")
    _rewritten(tmp_path / "a.npz", tmp_path / "b.npz", change)
    with pytest.raises(TitinError, match="is no label model"):
        read_label_model(tmp_path / "b.npz")


def test_an_array_of_objects_is_refused(model, tmp_path):
    write_label_model(model, tmp_path / "a.npz")
    arrays = {name: getattr(model, name) for name in ("intercept", "mean", "scale")}
    np.savez(tmp_path / "b.npz", coef=np.array([print], object), **arrays)
    with zipfile.ZipFile(tmp_path / "a.npz") as old, zipfile.ZipFile(tmp_path / "b.npz", "a") as new:
        new.writestr("model.json", old.read("model.json"))
    with pytest.raises(TitinError, match="is no label model"):
        read_label_model(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    with pytest.raises(TitinError, match="is no label model"):
        read_label_model(tmp_path / "c.npz")


def test_the_command_trains_saves_and_labels(typed, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _other(tmp_path)
    main(["annotate", str(typed), "--save-model", "m.npz", "--cell-type-level", "cell_type", "-q"])
    assert "5 types (B cell, Endothelial" in capsys.readouterr().out
    main(["annotate", "other", "--model", "m.npz", "--vote", "cluster", "-o", "labels.csv", "-q"])
    out = capsys.readouterr().out
    assert "genes: 100.0% of its" in out
    assert "its own labels (lineage)" in out
    table = pd.read_csv("labels.csv")
    assert {"cell_id", "predicted", "p", "label", "voted"} <= set(table)
    main(["annotate", "other", "--model", str(typed), "--cell-type-level", "cell_type", "--json", "-q"])
    document = json.loads(capsys.readouterr().out)
    assert document["coverage"] == 1
    assert document["files"] == []
