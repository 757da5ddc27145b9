"""Highly variable genes of a dataset are those that scanpy finds in the matrix."""

import warnings
from importlib.metadata import version

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from packaging.version import Version
from scipy import sparse

import titin
from small_builds import build_and_open
from titin.atlas import Atlas
from titin.errors import TitinError
from titin.features import highly_variable

SEURAT = ["highly_variable", "means", "dispersions", "dispersions_norm"]
SEURAT_V3 = ["highly_variable", "highly_variable_rank", "means", "variances", "variances_norm"]


def normalised(counts: ad.AnnData) -> ad.AnnData:
    import scanpy as sc

    normal = counts.copy()
    normal.X = normal.X.astype(np.float32)
    sc.pp.normalize_total(normal, target_sum=1e4)
    sc.pp.log1p(normal)
    return normal


def by_scanpy(source: ad.AnnData, **options: object) -> pd.DataFrame:
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.highly_variable_genes(source, **options)
    return source.var


# since then it takes variances within batches as mean of squares less square of means, which rounds otherwise
ROUNDS_WITHIN_BATCHES = Version(version("scanpy")) >= Version("1.12")


def check(
    ours: pd.DataFrame, theirs: pd.DataFrame, columns: list[str], tied: np.ndarray, *, rounded: bool = False
) -> None:
    """The same columns, values and choice; where genes are equal, either may have the better rank."""
    assert ours.columns.tolist() == columns
    assert ours.index.equals(theirs.index)
    assert ours["highly_variable"].sum() <= theirs["highly_variable"].sum()  # scanpy may take all equals at the cut
    differ = (ours["highly_variable"] != theirs["highly_variable"]).to_numpy()
    if rounded:
        assert differ.mean() < 0.005
        ranks = pd.DataFrame({"ours": ours["highly_variable_rank"], "theirs": theirs["highly_variable_rank"]}).dropna()
        assert len(ranks) > 1900
        assert ranks.corr().loc["ours", "theirs"] > 0.999
        columns = [columns[0], *(name for name in columns if not name.startswith("highly_variable"))]
        tied = tied | differ
    # one of equal genes may take the last place from another gene
    assert (differ & ~tied).sum() <= (differ & tied).sum() <= 10
    for column in columns[1:]:
        same = ~tied if column in ("highly_variable_rank", "highly_variable_nbatches") else slice(None)
        expected = theirs[column].astype(float)
        if column.startswith("dispersions"):
            expected = expected.fillna(0)
        np.testing.assert_allclose(
            ours[column].astype(float)[same], expected[same], rtol=1e-3 if rounded else 3e-5, atol=1e-6, err_msg=column
        )


def tied_genes(atlas: Atlas, column: str, batch_key: str | None = None, **options: object) -> np.ndarray:
    """Which genes vary exactly as much as another, in some batch."""
    batches = (
        [None] if batch_key is None else [atlas.obs[batch_key] == name for name in sorted(set(atlas.obs[batch_key]))]
    )
    tied = np.zeros(atlas.n_vars, bool)
    for cells in batches:
        values = highly_variable(atlas, **{"cells": cells, **options})[column]
        tied |= values.round(9).duplicated(keep=False).to_numpy()
    return tied


@pytest.fixture(scope="module")
def pbmc(tmp_path_factory, shared):
    """Real counts of 2,170 cells with made-up batches, as datasets of counts and of logarithms.

    Only genes in 20 cells or more: most others vary exactly as much as another.
    """
    path = shared / "data" / "h5ad" / "pbmc4k_soupx_2170x33694.h5ad"
    if not path.exists():
        pytest.skip(f"needs {path.name}")
    stored = ad.read_h5ad(path)
    stored = stored[:, np.asarray((stored.X > 0).sum(axis=0)).ravel() >= 20].copy()
    batch = pd.Categorical(
        np.array(["b", "a", "c"])[np.random.default_rng(0).choice(3, stored.n_obs, p=[0.5, 0.3, 0.2])]
    )
    obs = pd.DataFrame({"batch": pd.Categorical(batch)}, index=stored.obs_names)
    counts = ad.AnnData(sparse.csr_matrix(stored.X), obs, pd.DataFrame(index=stored.var_names))
    folder = tmp_path_factory.mktemp("hvg")
    normal = normalised(counts)
    atlases = {"counts": build_and_open(folder, counts, "counts"), "log1p": build_and_open(folder, normal, "log1p")}
    assert {name: atlas.kind for name, atlas in atlases.items()} == {"counts": "counts", "log1p": "log1p"}
    return atlases, counts, normal


@pytest.mark.parametrize("kind", ["counts", "log1p"])
@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_seurat_is_scanpys(pbmc, kind, batch_key):
    atlases, _, normal = pbmc
    ours = highly_variable(atlases[kind], batch_key=batch_key)
    theirs = by_scanpy(normal.copy(), flavor="seurat", n_top_genes=2000, batch_key=batch_key)
    extra = ["highly_variable_nbatches", "highly_variable_intersection"] if batch_key else []
    check(ours, theirs, SEURAT + extra, tied_genes(atlases[kind], "dispersions_norm", batch_key))


@pytest.mark.parametrize("kind", ["counts", "log1p"])
@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_seurat_v3_is_scanpys(pbmc, kind, batch_key):
    atlases, counts, _ = pbmc
    ours = highly_variable(atlases[kind], flavor="seurat_v3", batch_key=batch_key)
    theirs = by_scanpy(counts.copy(), flavor="seurat_v3", n_top_genes=2000, batch_key=batch_key)
    tied = tied_genes(atlases[kind], "variances_norm", batch_key, flavor="seurat_v3")
    assert tied[ours["highly_variable"]].mean() < 0.75  # or nothing would be compared
    check(ours, theirs, SEURAT_V3 + (["highly_variable_nbatches"] if batch_key else []), tied,
          rounded=bool(batch_key) and ROUNDS_WITHIN_BATCHES)  # fmt: skip


@pytest.mark.parametrize("flavor", ["seurat", "seurat_v3"])
def test_judged_by_some_cells(pbmc, flavor):
    atlases, counts, normal = pbmc
    atlas = atlases["log1p"]
    train = (atlas.obs["batch"] != "a").to_numpy()
    source = (counts if flavor == "seurat_v3" else normal)[atlas.obs_names[train]].copy()
    theirs = by_scanpy(source, flavor=flavor, n_top_genes=500)
    columns = SEURAT if flavor == "seurat" else SEURAT_V3
    tied = tied_genes(atlas, "dispersions_norm" if flavor == "seurat" else "variances_norm", cells=train, flavor=flavor)
    check(highly_variable(atlas, 500, flavor=flavor, cells=train), theirs, columns, tied)


@pytest.mark.parametrize("flavor", ["seurat", "seurat_v3"])
def test_the_number_of_threads_changes_no_bit(pbmc, flavor):
    one, three = (
        highly_variable(pbmc[0]["log1p"], flavor=flavor, batch_key="batch", threads=threads) for threads in (1, 3)
    )
    pd.testing.assert_frame_equal(one, three, check_exact=True)


def test_one_batch_is_judged_as_scanpy_judges_one(pbmc):
    atlases, _, normal = pbmc
    cells = (atlases["log1p"].obs["batch"] == "a").to_numpy()
    source = normal[atlases["log1p"].obs_names[cells]].copy()
    theirs = by_scanpy(source, flavor="seurat", n_top_genes=300, batch_key="batch")
    ours = highly_variable(atlases["log1p"], 300, batch_key="batch", cells=cells)
    assert ours.index[ours["highly_variable"]].tolist() == theirs.index[theirs["highly_variable"]].tolist()


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """30 cells × 40 genes of counts, some genes silent or constant, and one batch of one cell."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(1, 2, 40), (30, 40)).astype(np.float32)
    counts[:, :3], counts[:, 3] = 0, 2
    obs = pd.DataFrame({"lone": ["x"] + ["y"] * 29, "batch": ["x", "y"] * 15}, index=[f"c{i}" for i in range(30)])
    obs["hole"] = pd.Categorical([None, *obs["batch"][1:]])
    return build_and_open(tmp_path_factory.mktemp("few"), ad.AnnData(sparse.csr_matrix(counts), obs), "few")


@pytest.mark.parametrize("flavor", ["seurat", "seurat_v3"])
@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_few_cells_and_silent_genes(few, flavor, batch_key):
    table = highly_variable(few, 10, flavor=flavor, batch_key=batch_key, span=0.9)
    assert table["highly_variable"].sum() == 10
    assert not table["highly_variable"].iloc[:3].any()
    assert np.isfinite(table["means"]).all()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"flavor": "cell_ranger"}, "no flavor 'cell_ranger'"),
        ({"batch_key": "plate"}, "obs has no column 'plate'"),
        ({"batch_key": "lone"}, "batch 'x' of lone has 1 cell: no variance"),
        ({"batch_key": "hole"}, "has no hole"),
        ({"cells": np.zeros(30, bool)}, "the choice has 0 cells"),
        ({"n_top_genes": 0}, "out of range"),
        ({"flavor": "seurat_v3", "cells": [1, 2], "span": 0.01}, "cannot be fitted"),
    ],
)
def test_wrong_use_is_told(few, options, complaint):
    with pytest.raises(TitinError, match=complaint) as caught:
        highly_variable(few, **{"n_top_genes": 5, **options})
    assert caught.value.hint


def test_values_without_counts_or_below_zero_are_told(tmp_path):
    rng = np.random.default_rng(0)
    real = ad.AnnData(sparse.csr_matrix(-rng.uniform(0.1, 1, (20, 10)).astype(np.float32)))
    real.write_h5ad(tmp_path / "real.h5ad")
    titin.build(tmp_path / "real.h5ad", tmp_path / "real", method="x", allow_negative=True)
    atlas = titin.open(tmp_path / "real")
    with pytest.raises(TitinError, match="has no counts"):
        highly_variable(atlas, 5, flavor="seurat_v3")
    with pytest.raises(TitinError, match="negative values"):
        highly_variable(atlas, 5)
