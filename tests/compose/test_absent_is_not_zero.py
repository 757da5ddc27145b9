"""What a study did not measure is no zero: analyses of studies joined by all genes are those of the common genes."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from small_studies import build_study

import titin
from titin.ageing import differential_expression, gene_statistics, programmes, pseudobulk, variance_partition
from titin.ageing.pseudobulk import write_pseudobulk
from titin.annotate import check_labels, label_cells, train_label_model
from titin.atlas.passes import BlockReader
from titin.dataset.manifest import Manifest
from titin.embed.pca import pca
from titin.features import highly_variable, score_gene_sets
from titin.learn import Clock, run_benchmark
from titin.plot.style import alt_text

N_GENES, N_CELLS, DONORS = 240, 900, 12
ROLES = {"cell_type": ["kind"], "donor": "donor", "age": "age", "sex": "sex"}
SETS = {"first": [f"G{i}" for i in range(40, 52)], "second": [f"G{i}" for i in range(100, 130)],
        "of one": [f"G{i}" for i in range(15)]}  # fmt: skip
ONE_LACKS, OTHER_LACKS = set(range(200, N_GENES)), set(range(30))


def studies(kind: str) -> dict[str, ad.AnnData]:
    """Two studies of six donors; genes rise with age, and tell types; each study lacks genes, of many counts, too."""
    rng = np.random.default_rng(5)
    donor, kinds = rng.integers(0, DONORS, N_CELLS), rng.integers(0, 3, N_CELLS)
    ages = np.linspace(20, 80, DONORS)[rng.permutation(DONORS)]
    mean = np.tile(rng.gamma(0.6, 3.0, N_GENES), (N_CELLS, 1))
    mean[:, :30] *= 4
    mean[:, 60:90] *= (1 + (ages[donor] - 20) / 30)[:, None]
    for k in range(3):
        mean[kinds == k, 130 + 20 * k : 150 + 20 * k] *= 6
    counts = rng.poisson(mean)
    X = sparse.csr_matrix(counts.astype(np.float32))
    if kind == "log1p":
        total = counts.sum(axis=1).astype(np.float32)
        X.data = np.log1p(X.data / np.repeat(total, np.diff(X.indptr)) * np.float32(1e4))
    obs = pd.DataFrame({
        "kind": pd.Categorical(np.array(["a", "b", "c"])[kinds]), "donor": [f"D{d}" for d in donor],
        "age": ages[donor], "sex": np.where(donor % 2, "F", "M"),
    }, index=[f"c{i}" for i in range(N_CELLS)])  # fmt: skip
    var = pd.DataFrame({"gene_ids": [f"ENSG{i:011d}" for i in range(N_GENES)]}, index=[f"G{i}" for i in range(N_GENES)])
    whole = ad.AnnData(X, obs=obs, var=var)
    found = {}
    for name, rows, lacks in (("one", donor < 6, ONE_LACKS), ("other", donor >= 6, OTHER_LACKS)):
        found[name] = whole[rows, [f"G{i}" for i in range(N_GENES) if i not in lacks]].copy()
    return found


@pytest.fixture(scope="module", params=["log1p", "counts"])
def joined(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The studies joined by common genes, and by all."""
    folder = tmp_path_factory.mktemp(request.param)
    paths = [build_study(source, folder, name, roles=ROLES) for name, source in studies(request.param).items()]
    for join in ("inner", "outer"):
        titin.merge(paths, folder / join, join=join)
    return folder / "inner", folder / "outer"


ANALYSES: dict[str, Callable[[titin.Atlas], pd.DataFrame]] = {
    "pseudobulk": lambda a: pd.DataFrame(pseudobulk(a).counts.toarray(), columns=pseudobulk(a).genes["gene"]),
    "age de": lambda a: differential_expression(a, formula="~ sex + age").table,
    "age programmes": lambda a: programmes(a, sets=SETS, formula="~ sex + age").table,
    "age variance": lambda a: variance_partition(a).table,
    "gene statistics": lambda a: gene_statistics(a, ["kind"]).table,
    "scores": lambda a: score_gene_sets(a, SETS).table,
    "scores by rank": lambda a: score_gene_sets(a, SETS, method="ucell").table,
    "scores by regression": lambda a: score_gene_sets(a, SETS, method="ulm").table,
    "components": lambda a: pd.DataFrame(pca(a, 5).scores, index=a.obs_names),
    "components that are projected": lambda a: pd.DataFrame(pca(a, 5, cells=slice(0, 400)).transform(a)),
    "X of samples": lambda a: a.Xy("age").X,
    "clock": lambda a: Clock(seed=1).fit(a).donors_,
    "labels checked": lambda a: check_labels(a).table.astype({"label": str, "predicted": str}),
    "labels of a model": lambda a: label_cells(a, train_label_model(a)).table,
}  # fmt: skip


@pytest.mark.parametrize("analysis", list(ANALYSES))
def test_results_are_those_of_the_common_genes(joined, analysis):
    inner, outer = (titin.open(path) for path in joined)
    assert outer.n_vars == N_GENES
    assert inner.n_vars == N_GENES - len(ONE_LACKS | OTHER_LACKS)
    run = ANALYSES[analysis]
    found, wanted = run(outer), run(inner)
    assert len(found)
    pd.testing.assert_frame_equal(found, wanted, check_exact=False, rtol=1e-5, atol=1e-6)


def test_a_benchmark_learns_from_the_common_genes(joined, tmp_path):
    asked = {"tasks": ["age", "cell_type"], "models": ["ridge", "logistic"], "figures": False, "seed": 3}
    asked["splits"] = ["leave_one_study_out"]
    inner, outer = (run_benchmark(path, tmp_path / path.name, **asked) for path in joined)
    assert len(outer.scores) > 3
    pd.testing.assert_frame_equal(outer.scores, inner.scores, check_exact=False, rtol=1e-4)
    assert any("not measured by all of the studies one, other" in said for said in outer.told)


def test_genes_that_vary_are_among_those_that_all_measured(joined):
    inner, outer = (titin.open(path) for path in joined)
    found, wanted = highly_variable(outer, 50), highly_variable(inner, 50)
    pd.testing.assert_frame_equal(found.loc[wanted.index], wanted)
    absent = found.drop(index=wanted.index)
    assert len(absent) == len(ONE_LACKS | OTHER_LACKS)
    assert not absent["highly_variable"].any()
    assert absent["means"].isna().all()
    assert set(outer.manifest.panel["genes"]) == set(inner.manifest.panel["genes"])
    assert not pca(outer, 5).loadings[~outer.var_names.isin(inner.var_names)].any()


def test_a_dataset_is_shown_with_the_genes_that_all_measured(joined):
    inner, outer = (titin.open(path) for path in joined)
    shown = outer.comparable()
    assert shown.var_names.tolist() == inner.var_names.tolist()
    assert shown.n_obs == outer.n_obs
    assert (shown.X[:].toarray() == outer.X[:, list(inner.var_names)].toarray()).all()
    assert (shown.X[:50, ["G50", "G31"]].toarray() == outer.X[:50, ["G50", "G31"]].toarray()).all()
    assert (shown["G77"] == outer["G77"]).all()
    assert shown.measured.to_numpy().all()
    assert shown.manifest.nnz == inner.manifest.nnz
    np.testing.assert_array_equal(shown.reader.genes.token, inner.reader.genes.token)
    pd.testing.assert_frame_equal(shown.var, outer.var.loc[inner.var_names])
    assert (np.diff(BlockReader(shown).genes) != 0).all()
    assert pickle.loads(pickle.dumps(shown)).shape == shown.shape
    with pytest.raises(KeyError, match="no gene 'G5'"):
        shown["G5"]
    assert shown.whole.shape == outer.shape
    assert shown.comparable() is shown
    assert inner.comparable() is inner
    batch, _ = next(iter(titin.Loader(shown, 8, shuffle=False)))
    assert (batch.toarray()[:, 3] == titin.Loader(outer, 8, shuffle=False, genes=[inner.var_names[3]]).__iter__()
            .__next__()[0].toarray()[:, 0]).all()  # fmt: skip


def test_cells_of_one_study_have_the_genes_of_that_study(joined):
    outer = titin.open(joined[1])
    own = outer.comparable(outer.obs["study"] == "one")
    assert set(own.var_names) == {f"G{i}" for i in range(N_GENES) if i not in ONE_LACKS}
    assert set(score_gene_sets(outer, SETS, cells=outer.obs["study"] == "one").table) == set(SETS)
    assert set(score_gene_sets(outer, SETS).table) == {"first", "second"}


def test_it_is_said_how_many_genes_take_no_part(joined):
    inner, outer = (titin.open(path) for path in joined)
    said = f"{len(ONE_LACKS | OTHER_LACKS)} genes were not measured by all of the studies one, other: not evaluable"
    assert outer.not_comparable[0].startswith(said)
    assert inner.not_comparable == []
    assert said in check_labels(outer).settings["warnings"][0]
    with pytest.raises(KeyError, match="'G5' was not measured by all studies"):
        outer.Xy("age", genes=["G50", "G5"])


def test_the_file_of_sums_has_all_genes_and_is_read_by_the_common_ones(joined, tmp_path):
    shutil.copytree(joined[1], tmp_path / "outer")
    before = pseudobulk(titin.open(tmp_path / "outer"))
    atlas = write_pseudobulk(titin.open(tmp_path / "outer"))
    stored = atlas.store.table(atlas.layout.pseudobulk)
    assert sum(map(len, stored["genes"].to_pylist())) > before.counts.nnz
    found = pseudobulk(atlas)
    assert (found.counts != before.counts).nnz == 0
    pd.testing.assert_frame_equal(found.genes, before.genes)
    assert titin.validate(tmp_path / "outer").passed


def test_studies_without_a_common_gene_are_refused_where_they_are_compared(joined):
    outer = titin.open(joined[1])
    manifest = Manifest.read(joined[1])
    outer.var[manifest.studies["one"]["measured"]] = False
    with pytest.raises(titin.errors.TitinError, match="no gene was measured by all of the studies one, other"):
        outer.comparable()


def test_a_gene_is_grey_in_a_figure_where_it_was_not_measured(joined, tmp_path):
    shutil.copytree(joined[1], tmp_path / "outer")
    titin.add_embeddings(tmp_path / "outer", ["pca"], pca={"n_comps": 2})
    atlas = titin.open(tmp_path / "outer")
    lacked, of_one = f"G{min(ONE_LACKS)}", (atlas.obs["study"] == "one").to_numpy()
    np.testing.assert_array_equal(atlas.measured_in(lacked).to_numpy(), ~of_one)
    assert atlas.measured_in("G50").all()
    assert list(atlas[of_one].measured_in(lacked).unique()) == [False]
    axes = atlas.plot.pca(color=lacked)
    assert f"{int(of_one.sum()):,} cells without a value in grey" in alt_text(axes)
    assert "without a value" not in alt_text(atlas.plot.pca(color="G50"))
