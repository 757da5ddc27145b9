import json
import warnings
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from synthetic_scores import synthetic

import titin
from titin.errors import TitinError
from titin.features import gene_sets, programme_sets, score_gene_sets

RESULTS = json.loads((Path(__file__).parent / "results_scores.json").read_text("utf-8"))


def build(folder, values, names, genes=None):
    genes = [f"gene{i}" for i in range(values.shape[1])] if genes is None else genes
    source = ad.AnnData(sparse.csr_matrix(values), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=genes))
    source.write_h5ad(folder / "source.h5ad")
    titin.build(folder / "source.h5ad", folder / "dataset", tissue="toy", method="x")
    return titin.open(folder / "dataset"), source


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    values, sets = synthetic()
    names = [f"c{i}" for i in range(len(values))]
    atlas, source = build(tmp_path_factory.mktemp("toy"), values, names)
    return atlas, source, sets


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """2,600 cells of several row groups, counts, where genes differ much in their means."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(rng.lognormal(-1, 1.5, 400), (2600, 400)).astype(np.float32)
    counts[3] = 0
    atlas, source = build(tmp_path_factory.mktemp("large"), counts, [f"c{i}" for i in range(2600)])
    return atlas, source, {"a": ["gene3", "gene50", "gene399"], "b": [f"gene{i}" for i in range(10, 90)]}


def by_scanpy(source, sets, **parameters):
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = source.copy()
        for name, genes in sets.items():
            sc.tl.score_genes(found, genes, score_name=name, **parameters)
    return found.obs[list(sets)]


@pytest.mark.parametrize("parameters", [{}, {"ctrl_size": 7, "n_bins": 9, "random_state": 3}])
def test_score_genes_is_scanpys_with_the_same_seed(toy, parameters):
    atlas, source, sets = toy
    ours = {"ctrl_size": "control_size", "random_state": "seed", "n_bins": "n_bins"}
    found = score_gene_sets(atlas, sets, **{ours[k]: v for k, v in parameters.items()}).table
    expected = by_scanpy(source, sets, **parameters).loc[found.index]
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), atol=2e-6)
    assert found.std().min() > 0.05


def test_counts_are_normalised_as_scanpy_does_before_scoring(large):
    import scanpy as sc

    atlas, source, sets = large
    normalised = source.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.normalize_total(normalised, target_sum=1e4)
        sc.pp.log1p(normalised)
    found = score_gene_sets(atlas, sets, threads=2).table
    expected = by_scanpy(normalised, sets).loc[found.index]
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), atol=5e-6)
    pd.testing.assert_frame_equal(found, score_gene_sets(atlas, sets, threads=1).table)


def test_scores_of_chosen_cells_have_controls_of_these_cells(toy):
    atlas, source, sets = toy
    chosen = [f"c{i}" for i in range(0, 60, 3)]
    found = score_gene_sets(atlas, sets, cells=chosen).table
    expected = by_scanpy(source[chosen].copy(), sets).loc[found.index]
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), atol=2e-6)


def test_ulm_is_decouplers(toy):
    atlas, source, sets = toy
    found = score_gene_sets(atlas, sets, method="ulm").table.loc[source.obs_names]
    np.testing.assert_allclose(found.to_numpy(), RESULTS["ulm"], rtol=2e-5, atol=2e-5)


def test_ucell_is_pyucells(toy):
    atlas, source, sets = toy
    found = score_gene_sets(atlas, sets, method="ucell", max_rank=200).table.loc[source.obs_names]
    np.testing.assert_allclose(found.to_numpy(), RESULTS["ucell"], atol=2e-6)
    assert found.to_numpy().min() >= 0


@pytest.mark.parametrize("method", ["ucell", "ulm"])
def test_rank_and_slope_scores_by_direct_computation(large, method):
    from scipy.stats import linregress, rankdata

    atlas, source, sets = large
    found = score_gene_sets(atlas, sets, method=method, max_rank=150).table
    counts = source.X.toarray()
    values = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4)
    for cell in ("c0", "c1700", "c2599"):
        own = values[int(cell[1:])]
        for name, genes in sets.items():
            inside = source.var_names.isin(genes)
            if method == "ulm":
                slope = linregress(inside.astype(float), own)
                expected = slope.slope / slope.stderr
            else:
                ranks = np.full(len(own), 150.0)
                ranks[own > 0] = np.minimum(rankdata(-own[own > 0]), 150)
                n = inside.sum()
                expected = 1 - (ranks[inside].sum() - n * (n + 1) / 2) / (n * 150 - n * (n + 1) / 2)
            assert found.loc[cell, name] == pytest.approx(expected, rel=2e-4, abs=1e-5)
    assert found.loc["c3"].tolist() == [0, 0]  # a cell without counts


def test_missing_genes_are_told_and_small_sets_left_out(toy):
    atlas, _, sets = toy
    found = score_gene_sets(atlas, {"a": [*sets["a"], "TTN"], "few": ["gene1", "TTN"], "none": ["TTN"]})
    assert list(found.table) == ["a"]
    assert found.missing == {"a": ["TTN"], "few": ["TTN"], "none": ["TTN"]}
    assert found.left_out == {
        "few": "1 of its 2 genes in the dataset",
        "none": "none of its 1 genes in the dataset",
    }
    assert found.genes == {"a": 12}
    np.testing.assert_array_equal(found.table["a"], score_gene_sets(atlas, sets).table["a"])


def test_programmes_are_all_sets_but_markers_and_sex():
    names = set(programme_sets())
    assert {"SenMayo", "HALLMARK_MYOGENESIS", "ribosome_biogenesis", "cell_cycle_S", "fibre_slow"} <= names
    assert {n for n in gene_sets() if n.startswith(("markers_", "sex_"))}.isdisjoint(names)
    assert len(names) > 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "gsva"}, "there is no method 'gsva'"),
        ({"sets": {"x": ["TTN"]}}, "none of the 1 gene sets has 3 genes"),
        ({"method": "ucell", "max_rank": 20}, "a largest rank of 20 is less than the 50 genes"),
        ({"n_bins": 1}, "1 bins of 50 control genes are too few"),
    ],
)
def test_wrong_use_is_told(toy, arguments, message):
    atlas, _, sets = toy
    with pytest.raises(TitinError, match=message):
        score_gene_sets(atlas, **{"sets": sets, **arguments})


def test_scores_are_kept_in_the_dataset_and_read_back(tmp_path):
    from titin.demo import make_demo
    from titin.features import read_gene_set_scores, write_gene_set_scores
    from titin.progress import Progress

    report = make_demo(tmp_path, n_cells=200, n_genes=500, seed=0, force=False, progress=Progress())
    atlas = titin.open(report.path)
    assert read_gene_set_scores(atlas) is None
    scores = score_gene_sets(atlas, {"slow": ["MYH7", "TNNT1", "CKM"], "fast": ["MYH1", "MYH2", "TNNT3"]})
    path = write_gene_set_scores(report.path, scores)
    assert path.name == "skeletal_muscle_10x_gene_set_scores.parquet"
    again = titin.open(report.path)
    assert again.manifest.files[path.name]["rows"] == 200
    pd.testing.assert_frame_equal(read_gene_set_scores(again).table, scores.table)
    assert read_gene_set_scores(again).settings["method"] == scores.settings["method"]
    assert list(pd.read_parquet(path)) == ["slow", "fast"]
    with pytest.raises(TitinError, match="scores of 10 cells do not fit a dataset of 200"):
        write_gene_set_scores(report.path, replace(scores, table=scores.table.iloc[:10]))
    with pytest.raises(TitinError, match="a table alone does not say how the cells were scored"):
        write_gene_set_scores(report.path, scores.table)
    assert read_gene_set_scores(titin.open(report.path)) is not None
