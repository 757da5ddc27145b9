"""No value of a held-out donor reaches what is fitted; without ageing nothing is found, but by the leaky split."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

import titin
from titin.learn import atlas_design, find_models, find_tasks, make_splits, make_units, run_benchmark
from titin.learn.cells import gather_moments, gather_units
from titin.learn.features import Centred
from titin.learn.fitting import fit_features, run_fold
from titin.learn.models import CLASS_FEATURES, FEATURES, make_features

HELD_OUT = "470BR"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """An atlas, and the same with the values of one donor scrambled."""
    from titin.demo import make_demo_atlas

    folder = tmp_path_factory.mktemp("pair")
    adata = make_demo_atlas(n_cells=1500, n_genes=400)
    adata.X = sparse.csr_matrix(
        adata.layers["counts"] if "counts" in adata.layers else np.round(np.expm1(adata.X.toarray()))
    )
    mine = np.flatnonzero(adata.obs["DonorID"] == HELD_OUT)
    other = adata.copy()
    X = other.X.tolil()
    rng = np.random.default_rng(0)
    for row in mine:
        X[row] = rng.poisson(3.0, X.shape[1])
    other.X = X.tocsr()
    made = []
    for name, source in (("a", adata), ("b", other)):
        small = ad.AnnData(
            source.X.astype(np.float32), obs=source.obs, var=source.var, obsm={"X_umap": source.obsm["X_umap"]}
        )
        small.write_h5ad(folder / f"{name}.h5ad")
        titin.build(folder / f"{name}.h5ad", folder / name, preset="muscle")
        made.append(titin.open(folder / name))
    return made


def gathered(atlas, level):
    design = atlas_design(atlas)
    units = make_units(design, level)
    moments = gather_moments(atlas, design, threads=1, whole_cells=1000)
    return gather_units(moments, atlas, {level: (units, np.arange(atlas.n_vars))}, threads=1)[level]


def fold_of(data, task):
    split = make_splits(data.units.obs)[0]["leave_one_donor_out"]
    usable = data.units.obs[task.column].notna().to_numpy()
    return next(f for f in split.apply(data.units.obs, usable) if data.units.obs["donor"].iloc[f.test[0]] == HELD_OUT)


def fitted_state(maker):
    state = {k: v for k, v in vars(maker).items() if k.endswith("_") or k == "names"}
    inner = getattr(maker, "inner", None)
    return state | ({f"inner.{k}": v for k, v in fitted_state(inner).items()} if inner is not None else {})


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, dict):
            assert_same({str(k): v for k, v in value.items()}, {str(k): v for k, v in b[key].items()})
        else:
            np.testing.assert_array_equal(np.asarray(value), np.asarray(b[key]), err_msg=key)


@pytest.mark.parametrize("level", ["cell", "pseudocell"])
def test_scrambling_a_held_out_donor_changes_nothing_that_is_fitted(pair, level):
    data = [gathered(atlas, level) for atlas in pair]
    task = find_tasks(data[0].units.obs, ["age"])[0]
    fold = fold_of(data[0], task)
    changed = False
    for name in [*FEATURES, "type+centred", *(f"{name}:cell_type_0" for name in CLASS_FEATURES)]:
        a, b = (make_features(name).fit(d, fold.train) for d in data)
        assert_same(fitted_state(a), fitted_state(b))
        train = [np.asarray(_dense(m.transform(d, fold.train))) for m, d in zip((a, b), data, strict=True)]
        np.testing.assert_array_equal(*train)
        test = [np.asarray(_dense(m.transform(d, fold.test))) for m, d in zip((a, b), data, strict=True)]
        changed |= test[0].shape == test[1].shape and not np.array_equal(*test)
    assert changed  # the scrambled values are seen, where they may be


@pytest.mark.parametrize("name", ["ridge", "ridge_by_type", "elastic_net", "pls", "boosting"])
def test_nor_any_parameter_of_a_model(pair, name):
    (model,) = (m for m in find_models([name]) if m.name == name)
    weights = []
    for atlas in pair:
        data = gathered(atlas, "pseudocell")
        task = find_tasks(data.units.obs, ["age"])[0]
        fold = fold_of(data, task)
        model = model.for_task(task)
        features = fit_features(model.features, data, fold, task, None)
        with threadpool_limits(1):
            result = run_fold(model, task, data, fold, features)
            own = run_fold(model, task, data, type(fold)(0, fold.train, fold.train), features)
        weights.append((result.genes, own.predictions["predicted"].to_numpy()))
    np.testing.assert_array_equal(weights[0][1], weights[1][1])
    if weights[0][0] is not None:
        pd.testing.assert_frame_equal(weights[0][0], weights[1][0])


def test_without_ageing_only_the_leaky_split_finds_any(ageless, tmp_path):
    models = ["ridge", "knn@centred"]
    found = run_benchmark(
        ageless, tmp_path / "b", tasks=["age"], models=models, permutations=200, figures=False, threads=1
    )
    scores = found.scores.set_index(["split", "model", "of", "metric"])[["value", "low", "high"]].sort_index()
    mean = scores.loc[("leave_one_donor_out", "mean", "donor", "mae"), "value"]
    for model in models:
        held = scores.loc[("leave_one_donor_out", model, "donor")]
        assert held.loc["r2", "low"] <= 0
        assert held.loc["mae", "high"] >= mean
        p = held.loc[[i for i in held.index if i.startswith("permutation_p")], "value"].iloc[0]
        assert p > 0.02
    assert scores.loc[("random_leaky", "knn@centred", "donor", "r2"), "value"] > 0.5
    told = (tmp_path / "b" / "leaderboard.md").read_text()
    assert "LEAKY, for demonstration only" in told


def test_planted_ageing_is_found(demo, tmp_path):
    effects = demo.uns["truth"]["age_log_fold_change"]
    planted = {"up": [gene for gene in effects if effects[gene] > 0], "all": list(effects)}
    found = run_benchmark(demo, tmp_path / "b", tasks=["age"], models=["elastic_net"], permutations=99, figures=False,
                          splits=["leave_one_donor_out"], threads=1, gene_sets=planted)  # fmt: skip
    mae = found.scores.query("metric == 'mae' and of == 'donor'").set_index("model")["value"]
    assert mae["elastic_net"] < min(mae["mean"], mae["sex_only"])
    p = found.comparisons.query("model in ('mean', 'sex_only') and other == 'elastic_net'")["p"]
    assert len(p) == 2
    assert (p < 0.05).all()
    checked = json.loads((tmp_path / "b" / "biology.json").read_text())["tasks"]["age_years"]
    assert checked["model"] == "elastic_net"
    assert len(checked["top_genes"]) == 50
    overlap = checked["overlap"]
    assert overlap["all"]["found"] > 2 * overlap["all"]["expected"]
    assert overlap["all"]["p"] < 0.01
    assert overlap["up"]["rising"] >= 0.9 * overlap["up"]["found"] > 0
    assert {"GenAge_human", "SenMayo", "HAGR_ageing_up"} <= set(overlap)
    assert "- up: " in (tmp_path / "b" / "biology.md").read_text()


def test_sex_genes_are_left_out_of_clocks(demo):
    data = gathered(demo, "pseudocell")
    names = Centred(leave_out=("sex_female", "sex_male")).fit(data, np.arange(len(data.units))).names
    assert "XIST" in demo
    assert not {"XIST", "RPS4Y1", "DDX3Y", "UTY"} & set(names)


def _dense(X):
    if isinstance(X, pd.DataFrame):
        return X.drop(columns=[]).astype(str)
    return X.toarray() if sparse.issparse(X) else X
