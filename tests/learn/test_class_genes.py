"""Genes that tell classes apart are scanpy's, hold the planted markers, and carry the scores of the type models."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_demos import build_demo

import titin
from titin.errors import TitinError
from titin.learn import atlas_design, find_models, find_tasks, run_benchmark
from titin.learn.cells import WHOLE_CELLS, gather_moments
from titin.learn.models import make_features


@pytest.fixture(scope="module")
def sample(demo):
    return gather_moments(demo, atlas_design(demo), threads=2, whole_cells=1500).sample


def test_the_sample_holds_whole_cells_of_every_type(demo, sample):
    design = atlas_design(demo)
    assert len(sample.obs) == 1500
    assert set(sample.obs["cell_type_2"]) == set(design["cell_type_2"].dropna())
    everything = gather_moments(demo, design, threads=1, whole_cells=WHOLE_CELLS).sample
    expected = demo.X[demo.obs_names, :]
    assert (expected != everything.X).nnz == 0


def test_the_sample_fits_the_memory(demo):
    small = titin.open(demo.folder)
    small.reader.resources = replace(small.reader.resources, memory=16 * 2**20)
    kept = gather_moments(small, atlas_design(small), threads=1, whole_cells=WHOLE_CELLS).sample
    assert 0 < len(kept.obs) < demo.n_obs
    assert kept.X.nnz * 8 < 1.25 * 2 * 2**20  # cells of rare types may have more genes than most


@pytest.mark.filterwarnings("ignore:DataFrame is highly fragmented")  # scanpy makes it so
def test_separation_is_scanpys(demo, sample):
    sc = pytest.importorskip("scanpy")
    import anndata as ad

    mine = sample.obs.groupby("cell_type_0", observed=True)["donor"].transform("size") >= 2
    adata = ad.AnnData(sample.X[mine.to_numpy()], obs=sample.obs[mine].reset_index(drop=True).rename(index=str),
                       var=pd.DataFrame(index=demo.var_names))  # fmt: skip
    adata.obs["cell_type_0"] = adata.obs["cell_type_0"].cat.remove_unused_categories()
    adata.uns["log1p"] = {"base": None}
    sc.tl.rank_genes_groups(adata, "cell_type_0", method="t-test")
    kept = type(sample)(adata.obs, sample.group[mine.to_numpy()], adata.X)
    found, elsewhere = kept.separation("cell_type_0", np.ones(sample.group.max() + 1, bool))
    for t, name in zip(found, sorted(adata.obs["cell_type_0"].unique()), strict=True):
        theirs = sc.get.rank_genes_groups_df(adata, name).set_index("names")["scores"].reindex(demo.var_names)
        np.testing.assert_allclose(t, theirs.fillna(0), rtol=2e-3, atol=2e-3)
    other = (adata.obs["cell_type_0"] != "MuSC").to_numpy()
    place = sorted(adata.obs["cell_type_0"].unique()).index("MuSC")
    np.testing.assert_allclose(elsewhere[place], np.asarray((adata.X[other] > 0).mean(axis=0)).ravel())


def test_classes_that_cannot_be_compared_have_no_genes(sample):
    alone, _ = sample.separation("donor", sample.group[0] == np.arange(sample.group.max() + 1))
    assert alone.shape[0] == 1
    assert not alone.any()


def test_models_bind_the_column_of_their_task(demo):
    design = atlas_design(demo)
    age, kind = find_tasks(design, ["age", "cell_type_1"])
    (model,) = (m for m in find_models(["knn@class_pca"]) if m.name == "knn@class_pca")
    assert model.for_task(kind).features == "class_pca:cell_type_1"
    assert not model.suits(age)
    with pytest.raises(TitinError, match="class_genes"):
        make_features("class_gene")


def test_a_named_model_that_suits_no_task_is_told(demo, tmp_path):
    done = run_benchmark(demo, tmp_path / "b", tasks=["age"], models=["ridge@class_genes"], figures=False, threads=1,
                         splits=["cells_to_nuclei"])  # fmt: skip
    assert "ridge@class_genes: for none of these tasks" in done.told


def test_type_models_find_the_planted_markers(demo, tmp_path):
    run_benchmark(demo, tmp_path / "b", tasks=["cell_type_0"], models=["logistic"], figures=False, threads=2,
                  splits=["leave_one_donor_out"])  # fmt: skip
    checked = json.loads((tmp_path / "b" / "biology.json").read_text())["tasks"]["cell_type_0"]["classes"]
    known = sum(c["markers"] for c in checked.values())
    found = sum(c["in_top_50"] for c in checked.values())
    expected = sum(c["expected"] for c in checked.values())
    assert found > 0.6 * known
    assert expected < 0.2 * known


@pytest.mark.slow
def test_scores_rise_with_the_planted_markers(tmp_path, monkeypatch):
    scores = []
    for fold in (1.0, 4.0, 60.0):
        monkeypatch.setattr("titin.demo.expression.MARKER_FOLD", fold)
        (tmp_path / str(fold)).mkdir()
        atlas = build_demo(tmp_path / str(fold), n_cells=1500, n_genes=300, age_effect=True)
        done = run_benchmark(atlas, tmp_path / str(fold) / "b", tasks=["cell_type_0"], figures=False, threads=2,
                             models=["logistic@type_markers"], splits=["leave_one_donor_out"])  # fmt: skip
        found = done.scores.query("metric == 'macro_f1' and of == 'unit'").set_index("model")["value"]
        scores.append(found[["logistic@type_markers", "marker_rule"]])
    scores = pd.DataFrame(scores)
    assert (scores.diff().iloc[1:] > 0.02).all(axis=None), scores
